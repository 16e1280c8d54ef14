//! `--peek`: unread requests are named, nothing of them is consumed, and nothing else of them is shown.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::accuse::{array, check_evidence};
use crate::lab::{Age, Lab, Lack, Nobody, Program, is_root, left_out};

/// In the query, the parameters, the cookie, other headers and the body of each request.
const SECRET: &str = "SECRET";

/// Asks the server something, and returns the number that it answers.
fn ask(server: &Program, question: &str) -> usize {
    let port = u16::try_from(server.number("control_port")).unwrap();
    let mut control = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    writeln!(control, "{question}").unwrap();
    let mut answer = String::new();
    BufReader::new(control).read_line(&mut answer).unwrap();
    answer.trim().parse().unwrap()
}

/// The finding about a port.
fn finding(document: &Value, port: u16) -> &Value {
    let is_it = |finding: &&Value| finding["local_port"] == port;
    let found: Vec<&Value> = array(document, "findings").filter(is_it).collect();
    let [finding] = found[..] else {
        panic!("one finding about {port}: {found:#?}");
    };
    finding
}

/// A server with unread bytes of three kinds, once they are a finding.
fn server(lab: &Lab) -> Program {
    let settings = ["requests=5", "hellos=1", "others=1"];
    let server = lab.start("unread", &settings);
    lab.lingering(server.port(), 7, Age::Least);
    server
}

/// What a gzip file contains, as text.
fn unpacked(recording: &[u8]) -> String {
    let magic = [0x1f, 0x8b, 8];
    let starts = recording.windows(magic.len()).enumerate();
    let starts = starts.filter(|(_, bytes)| *bytes == magic);
    let mut all = String::new();
    for (at, _) in starts {
        let mut section = Vec::new();
        // What only looks like the start of a section is no gzip.
        let _ = GzDecoder::new(&recording[at..]).read_to_end(&mut section);
        all.push_str(&String::from_utf8_lossy(&section));
    }
    all
}

#[test]
fn unread_requests_are_named_and_neither_consumed_nor_kept() {
    let lab = Lab::new();
    let server = server(&lab);
    let port = server.port().to_string();
    let files = ask(&server, "descriptors");
    let document = lab.json(&["--peek", "--port", &port]);
    let of_port = finding(&document, server.port());
    assert_eq!(of_port["cause"], "not-reading", "{of_port:#}");
    let peeked = &of_port["peeked"];
    assert_eq!(
        (&peeked["sockets"], &peeked["with_unread"]),
        (&json!(7), &json!(7))
    );
    let unread: Vec<&Value> = array(peeked, "unread").collect();
    assert_eq!(unread.len(), 3, "{peeked:#}");
    let of = |content: &str| {
        let is_it = |peek: &&&Value| peek["content"] == content;
        *unread
            .iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("{peeked:#}"))
    };
    let request = of("http-request");
    assert_eq!(request["sockets"], 5);
    assert_eq!(request["method"], "POST");
    assert_eq!(request["path"], "/checkout");
    assert_eq!(request["user_agent"], "kube-probe/1.27");
    let hello = of("tls-client-hello");
    assert_eq!(hello["server_name"], "shop.example");
    assert_eq!(hello["alpn"], json!(["h2", "http/1.1"]));
    assert_eq!(hello["bytes_max"], 517);
    assert_eq!(of("unknown")["bytes_min"], 8);
    let agent = "5 × POST /checkout, user agent kube-probe/1.27";
    check_evidence(
        of_port,
        &[
            "unread bytes of 7 sockets",
            agent,
            "TLS ClientHello for shop.example",
        ],
    );

    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (recorded, redacted) = (file("a.cw"), file("b.cw"));
    let mut shown = Vec::new();
    for args in [
        &["--peek", "--port", &port][..],
        &["--peek", "--port", &port, "-v"],
        &["--peek", "--port", &port, "--json"],
        &["record", "--peek", "-v", &recorded],
        &["record", "--redact", "--from", &recorded, &redacted],
        &["--from", &recorded, "--port", &port],
        &["--from", &redacted, "--port", &port],
        &["--from", &redacted, "--port", &port, "--json"],
    ] {
        let run = lab.closewait(args);
        assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
        shown.push(format!("{}{}", run.stdout, run.stderr));
    }
    shown.extend([&recorded, &redacted].map(|file| unpacked(&fs::read(file).unwrap())));
    for text in &shown {
        assert!(!text.contains(SECRET), "{text}");
    }
    assert!(shown[5].contains(agent), "{}", shown[5]);
    for of_redacted in [&shown[6], &shown[7], &shown[9]] {
        assert!(of_redacted.contains("/path-1"), "{of_redacted}");
        for word in ["checkout", "kube-probe", "shop.example"] {
            assert!(!of_redacted.contains(word), "{of_redacted}");
        }
    }

    assert_eq!(ask(&server, "descriptors"), files);
    assert_eq!(ask(&server, "read"), 7);
}

#[test]
fn without_the_option_no_bytes_are_looked_at() {
    let lab = Lab::new();
    let server = server(&lab);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.cw");
    let file = file.to_str().unwrap();
    let run = lab.closewait(&["record", file]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let port = server.port().to_string();
    for args in [&["--port", &port][..], &["--from", file, "--port", &port]] {
        let document = lab.json(args);
        let finding = finding(&document, server.port());
        assert!(finding.get("peeked").is_none(), "{finding:#}");
    }
    assert!(!unpacked(&fs::read(file).unwrap()).contains("checkout"));
}

#[test]
fn few_sockets_of_a_finding_are_looked_at_and_of_different_clients() {
    let lab = Lab::new();
    let server = lab.start("unread", &["requests=40"]);
    lab.lingering(server.port(), 40, Age::Least);
    let document = lab.json(&["--peek", "--port", &server.port().to_string()]);
    let peeked = &finding(&document, server.port())["peeked"];
    assert_eq!(
        (&peeked["sockets"], &peeked["with_unread"]),
        (&json!(8), &json!(40))
    );
    assert_eq!(ask(&server, "read"), 40);
}

#[test]
fn the_user_of_a_program_may_look_and_others_are_told_what_they_need() {
    let lab = Lab::new();
    if !is_root() {
        return left_out(Lack::Root);
    }
    let theirs = lab.start("unread", &["requests=2"]);
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    let own = lab.start_by(command, "unread", &["requests=2"]);
    let own = own.program();
    for server in [&theirs, own] {
        lab.lingering(server.port(), 2, Age::Least);
    }
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    let is_refused = scope.is_ok_and(|scope| scope.trim() != "0");
    let run = Nobody::new().closewait(&["--peek", "--json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    let peeked = &finding(&document, own.port())["peeked"];
    match is_refused {
        true => assert!(peeked.is_null(), "{peeked:#}"),
        false => assert_eq!(peeked["unread"][0]["path"], "/checkout", "{document:#}"),
    }
    assert!(finding(&document, theirs.port()).get("peeked").is_none());
    let gaps: Vec<&str> = array(&document, "gaps")
        .filter_map(|gap| gap["detail"].as_str())
        .collect();
    let hidden = if is_refused { 4 } else { 2 };
    let expected = format!("the unread bytes of {hidden} sockets were not looked at");
    assert!(gaps.contains(&expected.as_str()), "{gaps:?}");
    let screen = Nobody::new().closewait(&["--peek"]);
    assert!(
        screen
            .stdout
            .contains(&format!("{expected}; run as root (or with CAP_SYS_PTRACE)")),
        "{}",
        screen.stdout
    );
    assert_eq!((ask(&theirs, "read"), ask(own, "read")), (2, 2));
}

#[test]
fn connections_that_are_not_accepted_have_no_bytes_to_look_at_and_are_no_gap() {
    let lab = Lab::new();
    let server = lab.start("queue", &["backlog=2"]);
    lab.lingering(server.port(), server.connections(), Age::Least);
    let port = server.port().to_string();
    let document = lab.json(&["--peek", "--port", &port]);
    assert_eq!(finding(&document, server.port())["cause"], "not-accepted");
    let mut gaps = array(&document, "gaps").filter_map(|gap| gap["detail"].as_str());
    assert!(
        !gaps.any(|detail| detail.contains("unread bytes")),
        "{document:#}"
    );
}
