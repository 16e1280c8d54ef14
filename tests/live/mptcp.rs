//! MPTCP connections, each with TCP sockets that only the kernel uses.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};

use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, ipproto, listen};
use serde_json::Value;

use crate::lab::{Age, GRACE_MS, Lab, Lack, Nobody, left_out, sockets_of, until};

const CONNECTIONS: usize = 20;

/// An MPTCP server and its clients.
struct Servers {
    lab: Lab,
    listener: TcpListener,
    /// Accepted connections whose clients have sent a request, received an answer and closed.
    leaked: Vec<TcpStream>,
}

/// `None` if the kernel has no MPTCP, or it is disabled.
fn socket() -> Option<OwnedFd> {
    let made = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        Some(ipproto::MPTCP),
    );
    if made.is_err() {
        left_out(Lack::Kernel("no MPTCP"));
    }
    made.ok()
}

impl Servers {
    fn new(leaked: usize) -> Option<Servers> {
        let lab = Lab::new();
        if !lab.is_private() {
            left_out(Lack::Namespace);
            return None;
        }
        let end = socket()?;
        bind(&end, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        listen(&end, 64).unwrap();
        let mut servers = Servers {
            lab,
            listener: TcpListener::from(end),
            leaked: Vec::new(),
        };
        for _ in 0..leaked {
            let mut client = servers.client();
            let (mut server, _) = servers.listener.accept().unwrap();
            client.write_all(b"request").unwrap();
            server.read_exact(&mut [0; 7]).unwrap();
            server.write_all(b"answer").unwrap();
            client.read_exact(&mut [0; 6]).unwrap();
            servers.leaked.push(server);
        }
        Some(servers)
    }

    fn client(&self) -> TcpStream {
        let end = socket().expect("what could be made before");
        let SocketAddr::V4(addr) = self.listener.local_addr().unwrap() else {
            unreachable!()
        };
        connect(&end, &addr).unwrap();
        TcpStream::from(end)
    }

    fn port(&self) -> String {
        self.listener.local_addr().unwrap().port().to_string()
    }

    /// How many sockets of a protocol are listed in a state.
    fn listed(&self, list: &Value) -> BTreeSet<(String, String, u64)> {
        let port: Value = self.listener.local_addr().unwrap().port().into();
        let text = |socket: &Value, name: &str| socket[name].as_str().unwrap().to_owned();
        let ours = sockets_of(list).filter(|socket| socket["local"]["port"] == port);
        let mut kinds: Vec<(String, String)> = ours
            .map(|socket| (text(socket, "protocol"), text(socket, "state")))
            .collect();
        kinds.sort();
        kinds
            .chunk_by(|a, b| a == b)
            .map(|same| {
                let (protocol, state) = same[0].clone();
                (protocol, state, same.len() as u64)
            })
            .collect()
    }
}

fn reported(kinds: &[(&str, &str, u64)]) -> BTreeSet<(String, String, u64)> {
    kinds
        .iter()
        .map(|(protocol, state, count)| ((*protocol).to_owned(), (*state).to_owned(), *count))
        .collect()
}

#[test]
fn leaked_connections_of_mptcp_count_once_and_have_their_owner_and_port() {
    let Some(servers) = Servers::new(CONNECTIONS) else {
        return;
    };
    let port = servers.listener.local_addr().unwrap().port();
    let list = servers.lab.lingering(port, CONNECTIONS, Age::Least);
    assert!(sockets_of(&list).all(|socket| socket["protocol"] == "mptcp"));
    let triage = servers.lab.json(&["--threshold", "warning=10"]);
    assert_eq!(triage["states"]["CLOSE_WAIT"], CONNECTIONS);
    assert_eq!(triage["states"]["LISTEN"], 1);
    assert_eq!(triage["states"]["ESTABLISHED"], 0, "{}", triage["states"]);
    assert_eq!(triage["complete"], true, "{}", triage["gaps"]);
    let finding = &triage["findings"][0];
    // Recv-Q 0 does not show whether the end of file was read.
    assert_eq!(finding["cause"], "unclear");
    assert_eq!(finding["severity"], "warning");
    assert_eq!(finding["sockets"], CONNECTIONS);
    assert_eq!(finding["local_port"], port);
    assert_eq!(finding["owners"][0]["pid"], std::process::id());
    let evidence = finding["evidence"].to_string();
    let unknown = "MPTCP does not show whether end-of-file was read";
    assert!(evidence.contains(unknown), "{evidence}");

    let check = servers.lab.closewait(&["check", "-w", "10"]);
    assert_eq!(check.code, 1, "{}", check.stdout);
    let metrics = servers.lab.closewait(&["--prometheus"]).stdout;
    let counted = metrics
        .lines()
        .filter(|line| line.starts_with("closewait_sockets{state=\"CLOSE_WAIT\""));
    let counted: Vec<_> = counted.collect();
    assert!(
        matches!(counted[..], [one] if one.ends_with(&format!("}} {CONNECTIONS}"))),
        "{counted:?}"
    );
    let by = servers
        .lab
        .json(&["--by", "protocol", "state", "close-wait"]);
    assert_eq!(by["by"]["rows"][0]["protocol"], "mptcp", "{by}");
    assert_eq!(by["by"]["rows"][0]["sockets"], CONNECTIONS);
    drop(servers.leaked);
}

#[test]
fn a_young_close_wait_of_mptcp_does_not_linger() {
    let Some(servers) = Servers::new(CONNECTIONS) else {
        return;
    };
    let check = || servers.lab.closewait(&["check", "-w", "1", "-c", "2"]);
    let first = check();
    let list = servers.lab.json(&["list", "--port", &servers.port()]);
    let oldest = sockets_of(&list).map(|socket| socket["idle_ms"]["at_most"].as_u64());
    if oldest
        .max()
        .flatten()
        .is_some_and(|oldest| oldest < GRACE_MS)
    {
        assert_eq!(first.code, 0, "{}", first.stdout);
    }
}

#[test]
fn each_subflow_is_listed_after_its_connection_with_the_same_owner() {
    let Some(servers) = Servers::new(2) else {
        return;
    };
    let client = servers.client();
    let (server, _) = servers.listener.accept().unwrap();
    let list = until("two in CLOSE_WAIT", || {
        let list = servers.lab.json(&["list", "-a"]);
        let kinds = servers.listed(&list);
        let expected = reported(&[
            ("mptcp", "LISTEN", 1),
            ("subflow", "LISTEN", 1),
            ("mptcp", "CLOSE_WAIT", 2),
            ("mptcp", "ESTABLISHED", 1),
            ("subflow", "ESTABLISHED", 3),
        ]);
        (kinds == expected)
            .then_some(list)
            .ok_or_else(|| format!("{kinds:?}"))
    });
    let sockets: Vec<&Value> = sockets_of(&list).collect();
    for pair in sockets.chunks(2) {
        let [connection, subflow] = pair else {
            panic!("{pair:?}")
        };
        assert_eq!(connection["protocol"], "mptcp");
        assert_eq!(subflow["protocol"], "subflow");
        assert_eq!(subflow["cause"], Value::Null);
        for name in [
            "local",
            "remote",
            "mptcp_token",
            "owners",
            "owner_kind",
            "side",
        ] {
            assert_eq!(connection[name], subflow[name], "{name}");
        }
    }
    // The same applies without privilege.
    let told_nobody = Nobody::new().closewait(&["list", "-a", "--json"]);
    let told_nobody = serde_json::from_str(&told_nobody.stdout).unwrap();
    assert_eq!(servers.listed(&told_nobody), servers.listed(&list));
    // Also if no figure of TCP is wanted.
    let bare = ["list", "-a", "--columns", "protocol,state,local", "--json"];
    let bare = servers.lab.closewait(&bare).stdout;
    let bare = serde_json::from_str(&bare).unwrap();
    assert_eq!(servers.listed(&bare), servers.listed(&list));
    drop((client, server));
}

#[test]
fn connections_of_mptcp_that_were_not_accepted_are_in_one_queue() {
    let Some(servers) = Servers::new(0) else {
        return;
    };
    let open = servers.client();
    let mut gone = servers.client();
    gone.write_all(b"request").unwrap();
    drop(gone);
    let plain = TcpStream::connect(servers.listener.local_addr().unwrap()).unwrap();
    let listed = until("one of three that gave up", || {
        let list = servers.lab.json(&["list", "-a"]);
        let kinds = servers.listed(&list);
        kinds
            .contains(&("mptcp".to_owned(), "CLOSE_WAIT".to_owned(), 1))
            .then_some(list)
            .ok_or_else(|| format!("{kinds:?}"))
    });
    let waiting: Vec<_> = sockets_of(&listed)
        .filter(|socket| socket["accepted"] == false)
        .map(|socket| socket["protocol"].as_str().unwrap())
        .collect();
    assert_eq!(waiting, ["tcp", "mptcp", "mptcp"]);
    let triage = servers.lab.json(&[]);
    let queues = triage["listeners"].as_array().unwrap();
    assert_eq!(queues.len(), 1, "{queues:?}");
    assert_eq!(queues[0]["queue"], 3, "{queues:?}");
    drop((open, plain));
}

#[test]
fn mptcp_that_proc_does_not_show_is_a_gap() {
    let lab = Lab::new();
    if !lab.is_private() {
        return left_out(Lack::Namespace);
    }
    let kinds = |lab: &Lab| {
        let triage = lab.json(&["--source", "procfs"]);
        let gaps = triage["gaps"].as_array().unwrap().clone();
        let kinds = gaps
            .into_iter()
            .map(|gap| gap["kind"].as_str().unwrap().to_owned());
        kinds.collect::<Vec<_>>()
    };
    let missing = "mptcp-unread".to_owned();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(!kinds(&lab).contains(&missing));
    drop((tcp, lab));
    let Some(servers) = Servers::new(1) else {
        return;
    };
    assert!(kinds(&servers.lab).contains(&missing));
    let check = servers.lab.closewait(&["check", "--source", "procfs"]);
    assert_eq!(check.code, 3, "{}", check.stdout);
    assert!(check.stdout.contains("MPTCP"), "{}", check.stdout);
}

#[test]
fn a_recording_brings_mptcp_back() {
    let Some(servers) = Servers::new(2) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mptcp.cw");
    let file = file.to_str().unwrap();
    until("two in CLOSE_WAIT", || {
        let list = servers.lab.json(&["list"]);
        let kinds = servers.listed(&list);
        let wanted = ("mptcp".to_owned(), "CLOSE_WAIT".to_owned(), 2);
        kinds
            .contains(&wanted)
            .then_some(())
            .ok_or(format!("{kinds:?}"))
    });
    for redact in [false, true] {
        let record = ["record", file, "--force", "--no-evidence"];
        let redact = redact.then_some("--redact");
        let args: Vec<&str> = record.into_iter().chain(redact).collect();
        let recorded = servers.lab.closewait(&args);
        assert_eq!(recorded.code, 0, "{}", recorded.stderr);
        let replayed = servers.lab.json(&["--from", file, "list", "-a"]);
        let live = servers.lab.json(&["list", "-a"]);
        assert_eq!(servers.listed(&replayed), servers.listed(&live));
    }
}

#[test]
fn mptcp_is_read_in_every_namespace() {
    let Some(servers) = Servers::new(2) else {
        return;
    };
    // From another namespace.
    let here = Lab::new();
    let pid = servers.lab.holder_pid().unwrap().to_string();
    for args in [["list", "-a", "-N", &pid].as_slice(), &["list", "-a", "-A"]] {
        let list = here.json(args);
        let kinds = servers.listed(&list);
        for kind in [("mptcp", "LISTEN", 1), ("subflow", "LISTEN", 1)] {
            assert!(kinds.is_superset(&reported(&[kind])), "{args:?}: {kinds:?}");
        }
    }
}
