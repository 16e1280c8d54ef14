//! UDP, as ss and netstat show it.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::process::Command;

use serde_json::Value;

use crate::lab::{Lab, Lack, closewait, left_out, once_possible, run, sockets_of};

/// Sockets with and without a peer, in both families, and IPv4 over IPv6; and a TCP server.
struct Sockets {
    lab: Lab,
    made: Vec<UdpSocket>,
    tcp: std::net::TcpListener,
}

impl Sockets {
    fn new() -> Sockets {
        let lab = Lab::new();
        lab.enter();
        let bind = |addr: &str| UdpSocket::bind(addr).unwrap();
        let v4 = bind("127.0.0.1:0");
        let v6 = bind("[::1]:0");
        let any = bind("0.0.0.0:0");
        let dual = bind("[::]:0");
        let to_v4 = bind("127.0.0.1:0");
        to_v4.connect(v4.local_addr().unwrap()).unwrap();
        let to_v6 = bind("[::1]:0");
        to_v6.connect(v6.local_addr().unwrap()).unwrap();
        // It stays unread.
        to_v4.send(&[0; 100]).unwrap();
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Sockets {
            lab,
            made: vec![v4, v6, any, dual, to_v4, to_v6],
            tcp,
        }
    }

    fn ports(&self) -> Vec<u16> {
        let udp = self
            .made
            .iter()
            .map(|made| made.local_addr().unwrap().port());
        udp.chain([self.tcp.local_addr().unwrap().port()]).collect()
    }

    /// Protocol, state, Recv-Q and local port of each of our sockets in the tool.
    fn listed(&self, args: &[&str]) -> BTreeSet<(String, String, u64, u16)> {
        let ports = self.ports();
        let list = self.lab.json(args);
        sockets_of(&list)
            .filter_map(|socket| {
                let port = u16::try_from(socket["local"]["port"].as_u64()?).ok()?;
                let text = |name: &str| socket[name].as_str().unwrap().to_owned();
                let queue = socket["recv_q"].as_u64()?;
                let found = (text("protocol"), text("state"), queue, port);
                ports.contains(&port).then_some(found)
            })
            .collect()
    }

    /// Protocol, state, Recv-Q and local port of each of our sockets in ss.
    fn of_ss(&self, letters: &str) -> Option<BTreeSet<(String, String, u64, u16)>> {
        self.lab.enter();
        let ports = self.ports();
        let printed = Command::new("ss").args([letters, "-nH"]).output().ok()?;
        let text = String::from_utf8(printed.stdout).unwrap();
        let both = letters.contains('t') && letters.contains('u');
        let lines = text.lines().filter_map(|line| {
            let mut words: Vec<&str> = line.split_ascii_whitespace().collect();
            if !both {
                words.insert(0, if letters.contains('u') { "udp" } else { "tcp" });
            }
            // With a single state, ss has no state column.
            if words[1].parse::<u64>().is_ok() {
                words.insert(1, "ESTAB");
            }
            let port = words[4].rsplit_once(':')?.1.parse().ok()?;
            let state = match words[1] {
                "ESTAB" => "ESTABLISHED",
                other => other,
            };
            let found = (
                words[0].to_owned(),
                state.to_owned(),
                words[2].parse().ok()?,
                port,
            );
            ports.contains(&port).then_some(found)
        });
        Some(lines.collect())
    }
}

#[test]
fn the_letters_show_the_sockets_of_ss() {
    let sockets = Sockets::new();
    for letters in ["-u", "-ua", "-ul", "-tua", "-tul", "-ua4", "-ua6"] {
        let found = sockets.listed(&[letters, "--json"]);
        match sockets.of_ss(letters) {
            Some(expected) => assert_eq!(found, expected, "{letters}"),
            None => left_out(Lack::Program("ss")),
        }
        let from_proc = sockets.listed(&[letters, "--json", "--source", "procfs"]);
        assert_eq!(found, from_proc, "{letters}");
    }
    assert_eq!(sockets.listed(&["-u"]).len(), 2);
    assert_eq!(sockets.listed(&["-ul"]).len(), 4);
    assert_eq!(sockets.listed(&["-atunlp"]).len(), 7);
    let tcp_alone = sockets.listed(&["-at"]);
    assert!(tcp_alone.iter().all(|(protocol, ..)| protocol == "tcp"));
}

/// Family, Recv-Q, Send-Q, both ends and the state of each line of netstat, sorted.
fn of_netstat(text: &str) -> Vec<[String; 6]> {
    let line = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [proto, recv_q, send_q, local, remote, ..] = words[..] else {
            return None;
        };
        let state = words.get(5).copied().unwrap_or("UNCONN");
        // netstat has no brackets around IPv6, and shows no interface; the bound one is lo.
        let end = |end: &str| end.replace(['[', ']'], "").replace("%lo", "");
        let line = [proto, recv_q, send_q, &end(local), &end(remote), state].map(str::to_owned);
        proto.starts_with("udp").then_some(line)
    };
    let mut lines: Vec<[String; 6]> = text.lines().filter_map(line).collect();
    lines.sort();
    lines
}

#[test]
fn all_of_udp_is_what_netstat_lists_link_local_addresses_too() {
    let sockets = Sockets::new();
    if !sockets.lab.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    let added = ["addr", "add", "fe80::77/64", "dev", "lo", "nodad"];
    assert_eq!(run(Command::new("ip").args(added)).code, 0);
    let lo = 1;
    let at = |port| std::net::SocketAddrV6::new("fe80::77".parse().unwrap(), port, 0, lo);
    let server = once_possible(|| UdpSocket::bind(at(0)));
    let client = UdpSocket::bind("[::]:0").unwrap();
    let port = server.local_addr().unwrap().port();
    once_possible(|| client.connect(at(port)));
    client.send(&[0; 9]).unwrap();
    let Ok(netstat) = Command::new("netstat").args(["-W", "-uan"]).output() else {
        left_out(Lack::Program("netstat"));
        return;
    };
    let netstat = of_netstat(&String::from_utf8(netstat.stdout).unwrap());
    assert_eq!(netstat.len(), 8, "{netstat:?}");
    for source in ["netlink", "procfs"] {
        let ours = sockets.lab.closewait(&["-uanW", "--source", source]);
        assert_eq!(of_netstat(&ours.stdout), netstat, "{source}");
    }
}

#[test]
fn a_socket_of_udp_has_an_owner_and_no_side_age_or_cause() {
    let sockets = Sockets::new();
    let port = sockets.ports()[0].to_string();
    let list = sockets.lab.json(&["-ua", "--port", &port]);
    let found: Vec<&Value> = sockets_of(&list).collect();
    assert_eq!(found.len(), 2, "the server and its client");
    let me = u64::from(std::process::id());
    for socket in found {
        assert_eq!(socket["owners"][0]["pid"].as_u64(), Some(me));
        for unknown in ["side", "idle_ms", "cause", "accepted"] {
            assert!(socket[unknown].is_null(), "{unknown}");
        }
        assert_eq!(socket["owner_kind"], "process");
    }
    let text = sockets.lab.closewait(&["-uaH", "--port", &port]).stdout;
    assert!(text.lines().all(|line| line.starts_with("udp ")), "{text}");
    assert!(text.contains(" UNCONN "), "{text}");
}

#[test]
fn udp_is_counted_apart_from_tcp() {
    let sockets = Sockets::new();
    let ports = sockets.ports();
    let selected: Vec<String> = ports
        .iter()
        .flat_map(|port| ["--port".to_owned(), port.to_string()])
        .collect();
    let triage = |letters: &str| {
        let mut args = vec!["triage", letters, "--json"];
        args.extend(selected.iter().map(String::as_str));
        sockets.lab.json(&args)
    };
    let both = triage("-tu");
    assert_eq!(both["udp"]["ESTABLISHED"], 2);
    assert_eq!(both["udp"]["UNCONN"], 4);
    assert_eq!(both["states"]["LISTEN"], 1);
    assert_eq!(both["states"]["ESTABLISHED"], 0);
    assert_eq!(both["states"]["CLOSE"], 0);
    let by = sockets
        .lab
        .json(&["triage", "-tu", "--by", "state", "--json"]);
    assert_eq!(
        by["by"]["dimensions"],
        serde_json::json!(["protocol", "state"])
    );
    let udp = triage("-u");
    // TCP was not read: its counts are unknown, not 0.
    assert!(udp["states"]["CLOSE_WAIT"].is_null());
    assert_eq!(udp["udp"], both["udp"]);
    assert!(triage("-t").get("udp").is_none());
    let groups = both["groups"].as_array().unwrap();
    let of_udp = groups.iter().filter(|group| group["protocol"] == "udp");
    assert!(of_udp.clone().count() >= 5);
    assert!(of_udp.clone().all(|group| group["side"].is_null()));
}

#[test]
fn a_filter_of_ss_selects_udp_too() {
    let sockets = Sockets::new();
    let [server, .., client, _, _] = sockets.ports()[..] else {
        panic!("ports");
    };
    let (from, to) = (format!(":{client}"), format!("127.0.0.1:{server}"));
    for filter in [
        &["sport", "=", &from][..],
        &["dst", &to],
        &["state", "established", "dst", &to],
    ] {
        let found = sockets.listed(&[&["-ua"], filter].concat());
        assert_eq!(found.len(), 1, "{filter:?}");
        assert_eq!(found.first().unwrap().3, client);
    }
    assert_eq!(sockets.listed(&["-ua", "state", "close-wait"]).len(), 0);
    let unread = sockets.listed(&["-ua", "recvq", ">", "0"]);
    assert_eq!(unread.first().map(|found| found.3), Some(server));
}

#[test]
fn a_proc_without_udp_is_a_gap_beside_tcp_and_an_error_alone() {
    let root = tempfile::tempdir().unwrap();
    let net = root.path().join("net");
    std::fs::create_dir(&net).unwrap();
    let heading = "  sl  local_address rem_address   st tx_queue\n";
    std::fs::write(net.join("tcp"), heading).unwrap();
    let root = root.path().to_str().unwrap();
    let from = |letters: &str| {
        let args = [letters, "--proc", root, "--source", "procfs", "--no-owners"];
        run(Command::new(closewait()).args(args))
    };
    let both = from("-atu");
    assert_eq!(both.code, 0, "{}", both.stderr);
    assert!(
        both.stderr.contains("no UDP socket was read"),
        "{}",
        both.stderr
    );
    let quiet = [&["-q"][..], &["state", "close-wait"]].concat();
    let args = [
        "list",
        "-atu",
        "--proc",
        root,
        "--source",
        "procfs",
        "--no-owners",
    ];
    let quiet = run(Command::new(closewait()).args(args).args(quiet));
    assert_eq!(
        quiet.code, 2,
        "what was not read may be there: {}",
        quiet.stderr
    );
    let alone = from("-au");
    assert_eq!(alone.code, 1, "{}", alone.stderr);
    assert!(alone.stderr.contains("net/udp"), "{}", alone.stderr);
}
