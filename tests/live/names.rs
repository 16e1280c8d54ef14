//! Names instead of numbers, from a name server of the test.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::thread;

use serde_json::Value;

use crate::lab::{Lab, Lack, closewait, left_out, run};

/// Answers every question for the name of an address with `peer.example`, except for 127.0.0.9.
fn serve(socket: UdpSocket) {
    thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            let question = &question[..length];
            if question[12..].starts_with(b"\x019") {
                continue;
            }
            let mut answer = question[..2].to_vec();
            answer.extend([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
            answer.extend(&question[12..]);
            let name = b"\x04peer\x07example\0";
            answer.extend([0xc0, 0x0c, 0, 12, 0, 1, 0, 0, 0, 60, 0, name.len() as u8]);
            answer.extend(name);
            let _ = socket.send_to(&answer, from);
        }
    });
}

#[test]
fn names_are_looked_up_only_where_they_are_asked_for_and_for_a_bounded_time() {
    let lab = Lab::new();
    if !lab.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    lab.enter();
    serve(UdpSocket::bind("127.0.0.53:53").unwrap());
    let listener = TcpListener::bind("127.0.0.7:8080").unwrap();
    let near = TcpStream::connect("127.0.0.7:8080").unwrap();
    let (_accepted, _) = listener.accept().unwrap();
    let silent = TcpListener::bind("127.0.0.9:0").unwrap();
    let port = near.local_addr().unwrap().port();

    let files = tempfile::tempdir().unwrap();
    let conf = files.path().join("resolv.conf");
    std::fs::write(&conf, "nameserver 127.0.0.53\n").unwrap();
    let list = |args: &str| {
        let script = format!(
            "mount --bind {} /etc/resolv.conf && exec {} list -a {args}",
            conf.display(),
            closewait().display()
        );
        lab.enter();
        let found = run(Command::new("unshare").args(["-m", "sh", "-c", &script]));
        assert_eq!(found.code, 0, "{args}: {}", found.stderr);
        found
    };
    let plain = list("");
    assert!(plain.stdout.contains("127.0.0.7:8080"), "{}", plain.stdout);
    let named = list("-r");
    assert!(named.stdout.contains("peer.example:"), "{}", named.stdout);
    // That one gets no answer, and the others do not wait for it.
    let unnamed = format!("127.0.0.9:{}", silent.local_addr().unwrap().port());
    assert!(named.stdout.contains(&unnamed), "{}", named.stdout);
    assert!(
        named.stderr.contains("1 address has no name yet"),
        "{}",
        named.stderr
    );
    // As in ss: -n with -r resolves hosts, but keeps ports numeric.
    let hosts = list("-nr");
    assert!(
        hosts.stdout.contains("peer.example:8080"),
        "{}",
        hosts.stdout
    );
    let lines = list(&format!("-r --jsonl --port {port} --state established"));
    for line in lines.stdout.lines() {
        let socket: Value = serde_json::from_str(line).unwrap();
        let (local, remote) = (&socket["local"], &socket["remote"]);
        let served = [local, remote].into_iter().find(|end| end["port"] == 8080);
        assert_eq!(served.unwrap()["addr"], "127.0.0.7");
        assert_eq!(served.unwrap()["host"], "peer.example");
    }
    let csv = list(&format!("-r --csv --port {port} --state established"));
    assert!(csv.stdout.contains(",127.0.0.7,8080,"), "{}", csv.stdout);
    assert!(csv.stdout.contains("peer.example:"), "{}", csv.stdout);
}
