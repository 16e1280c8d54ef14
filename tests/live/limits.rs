//! What sockets without a process use up: the local ports towards one remote end, and the SYN queue of a
//! listener.

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::lab::{Lab, Lack, left_out, run, until};

const HERE: &str = "10.231.8.1";
const THERE: &str = "10.231.8.2";
/// The number of ephemeral ports.
const PORTS: usize = 20;

fn ip(words: &str) {
    let done = run(Command::new("ip").args(words.split(' ')));
    assert_eq!(done.code, 0, "ip {words}: {}", done.stderr);
}

fn set(name: &str, value: &str) {
    fs::write(format!("/proc/sys/net/ipv4/{name}"), value).unwrap();
}

/// Opens a connection that one end closes first; that end is in TIME_WAIT then.
fn open_and_close(listener: &TcpListener, client_first: bool) -> std::io::Result<()> {
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    let (first, mut second) = match client_first {
        true => (client, server),
        false => (server, client),
    };
    drop(first);
    second.read_exact(&mut [0]).unwrap_err();
    Ok(())
}

#[test]
fn ports_in_time_wait_that_make_connect_fail_have_a_line() {
    let lab = Lab::new();
    if !lab.is_private() {
        return left_out(Lack::Namespace);
    }
    ip(&format!("address add {HERE}/32 dev lo"));
    set("ip_local_port_range", "32768 32787");
    set("tcp_tw_reuse", "0");
    // A server that closes first keeps its own port in TIME_WAIT, and no other.
    let server = TcpListener::bind((HERE, 8001)).unwrap();
    for _ in 0..2 * PORTS {
        open_and_close(&server, false).unwrap();
    }
    assert_eq!(lab.json(&[])["local_ports"], Value::Array(Vec::new()));

    let database = TcpListener::bind((HERE, 8002)).unwrap();
    for _ in 0..PORTS {
        open_and_close(&database, true).unwrap();
    }
    let error = open_and_close(&database, true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    let found = &lab.json(&[])["local_ports"][0];
    assert_eq!(found["remote"]["port"], 8002, "{found}");
    assert_eq!(
        (&found["used"], &found["usable"]),
        (&20.into(), &20.into()),
        "{found}"
    );
    let text = lab.closewait(&[]).stdout;
    let line = format!(
        "TIME_WAIT: all 20 ephemeral ports from {HERE} to {HERE}:8002 are in use (20 in TIME_WAIT); \
         connect() fails with EADDRNOTAVAIL"
    );
    assert!(text.contains(&line), "{text}");
    // To other ends the same ports are free.
    open_and_close(&server, true).unwrap();
}

#[test]
fn clients_that_do_not_answer_fill_the_syn_queue() {
    let there = Lab::new();
    let here = Lab::new();
    let Some(pid) = there.holder_pid().filter(|_| here.is_private()) else {
        return left_out(Lack::Namespace);
    };
    ip(&format!(
        "link add near type veth peer name far netns {pid}"
    ));
    ip(&format!("address add {HERE}/24 dev near"));
    ip("link set near up");
    // What is sent to the clients is lost.
    ip(&format!(
        "neighbor add {THERE} lladdr 02:00:00:00:00:01 nud permanent dev near"
    ));
    set("tcp_syncookies", "0");
    let listener = TcpListener::bind((HERE, 443)).unwrap();
    rustix::net::listen(&listener, 8).unwrap();
    there.enter();
    ip(&format!("address add {THERE}/24 dev far"));
    ip("link set far up");
    let address: SocketAddr = listener.local_addr().unwrap();
    let mut attempts = 0;
    let found = until("SYN-ACKs that were sent again", || {
        there.enter();
        if attempts < 20 {
            attempts += 1;
            let attempt = TcpStream::connect_timeout(&address, Duration::from_millis(10));
            assert!(attempt.is_err());
        }
        here.enter();
        let found = here.json(&[])["syn_queues"][0].clone();
        let is_full = found["half_open"].as_u64() >= Some(9);
        let lasts = found["retransmitted"].as_u64() >= Some(1);
        (is_full && lasts)
            .then_some(found)
            .ok_or(format!("{attempts} attempts"))
    });
    assert_eq!(
        (&found["limit"], &found["addresses"]),
        (&8.into(), &1.into()),
        "{found}"
    );
    let text = here.closewait(&[]).stdout;
    let line = format!("SYN_RECV: SYN queue of {HERE}:443: 9 of 8 (full), from 1 address; ");
    assert!(text.contains(&line), "{text}");
    assert!(
        text.contains("; new clients are dropped (tcp_syncookies 0)"),
        "{text}"
    );
    set("tcp_syncookies", "1");
    let text = here.closewait(&[]).stdout;
    assert!(
        text.contains("; new clients get SYN cookies (tcp_syncookies)"),
        "{text}"
    );
}
