//! Any text as a file of /proc or /etc about sockets, the host or its users. If the crate procfs can parse a
//! whole table, it must find the same sockets.
//!
//! The first byte chooses the file, the second the output format.

#![no_main]

use closewait::collector::sockets::proc_net;
use closewait::collector::sockets::sock_diag::Dumped;
use closewait::model::{Endpoint, Family, Protocol, Socket, Source, State};
use closewait_fuzz::screen;
use libfuzzer_sys::fuzz_target;
use procfs::FromBufReadSI;

fuzz_target!(|bytes: &[u8]| {
    let [choice, form, text @ ..] = bytes else {
        return;
    };
    let family = [Family::Inet, Family::Inet6][usize::from(choice & 1)];
    match choice >> 1 & 3 {
        0 => table(text, Protocol::Tcp, family, *form),
        1 => table(text, Protocol::Udp, family, *form),
        2 => closewait::fuzz::host(&String::from_utf8_lossy(text)),
        _ => {
            let end = Endpoint::new(std::net::Ipv4Addr::LOCALHOST, 80);
            let mut found = Dumped::default();
            found.sockets = vec![Socket::bare(State::CloseWait, end, end)];
            let mut snapshot = screen::snapshot(found, Source::Procfs);
            snapshot.host.users = closewait::fuzz::users(text);
            screen::shown(&snapshot, *form);
        }
    }
});

fn table(text: &[u8], protocol: Protocol, family: Family, form: u8) {
    let mut found = Dumped::default();
    let read = proc_net::read(text, protocol, family, &mut |_| true, &mut found.sockets);
    let Ok(reading) = read else {
        return;
    };
    let lines = text.split(|byte| *byte == b'\n').count();
    let seen =
        found.sockets.len() as u64 + reading.malformed + reading.repeated + reading.ambiguous;
    assert!(seen <= lines as u64, "{reading:?}");
    if protocol == Protocol::Tcp && reading == proc_net::Reading::default() {
        agrees(text, &found.sockets);
    }
    screen::shown(&screen::snapshot(found, Source::Procfs), form);
}

/// The crate skips the first line, whatever it is; closewait skips only a heading. The crate does not know
/// state 13.
fn agrees(text: &[u8], ours: &[Socket]) {
    let first = text.split(|byte| *byte == b'\n').next();
    if !first.is_some_and(proc_net::is_heading) || text.contains(&b'\r') {
        return;
    }
    let info = procfs::current_system_info();
    let Ok(theirs) = procfs::net::TcpNetEntries::from_buf_read(text, info) else {
        return;
    };
    assert_eq!(theirs.0.len(), ours.len());
    for (theirs, ours) in theirs.0.iter().zip(ours) {
        assert_eq!(theirs.local_address.ip(), ours.local.addr);
        assert_eq!(theirs.local_address.port(), ours.local.port);
        assert_eq!(theirs.remote_address.port(), ours.remote.port);
        assert_eq!(
            (theirs.rx_queue, theirs.tx_queue),
            (ours.recv_q, ours.send_q)
        );
        assert_eq!(
            (theirs.uid, theirs.inode),
            (ours.uid, u64::from(ours.inode))
        );
    }
}
