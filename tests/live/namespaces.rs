//! All network namespaces at once, with the same addresses and ports in each: they are not confused.

use std::fs::File;
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::process::Command;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

use crate::lab::{Age, Lab, Lack, Nobody, closewait, left_out, run, sockets_of, until};
use crate::replay::is_the_same_replayed_of_all;

/// Ports that the kernel does not assign to connecting sockets.
const SERVER: u16 = 18080;
const CLIENT: u16 = 20000;

/// A connection whose server end is in CLOSE_WAIT.
pub struct Connection {
    _listener: Option<TcpListener>,
    pub server: TcpStream,
    /// If it is kept, only one direction is closed.
    client: Option<TcpStream>,
}

impl Connection {
    pub fn new(keeps_listener: bool, keeps_client: bool) -> Connection {
        let at = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let listener = TcpListener::bind(at(SERVER)).unwrap();
        // Children of other tests must not inherit it.
        let flags = SocketFlags::CLOEXEC;
        let end = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
        bind(&end, &at(CLIENT)).unwrap();
        connect(&end, &at(SERVER)).unwrap();
        let client = TcpStream::from(end);
        let (server, _) = listener.accept().unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        // Once the end of file can be read, the socket is in CLOSE_WAIT.
        assert_eq!(server.peek(&mut [0]).unwrap(), 0);
        Connection {
            _listener: keeps_listener.then_some(listener),
            server,
            client: keeps_client.then_some(client),
        }
    }
}

/// A namespace with a name but no process.
pub struct Named(pub String);

impl Named {
    pub fn new(what: &str) -> Named {
        let name = format!("closewait-{what}-{}", std::process::id());
        let named = Named(name);
        for args in [
            ["netns", "add", &named.0].as_slice(),
            &["-n", &named.0, "link", "set", "lo", "up"],
        ] {
            let done = run(Command::new("ip").args(args));
            assert_eq!(done.code, 0, "{args:?}: {}", done.stderr);
        }
        named
    }

    pub fn enter(&self) {
        let namespace = File::open(format!("/run/netns/{}", self.0)).unwrap();
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        run(Command::new("ip").args(["netns", "delete", &self.0]));
    }
}

/// The label of a namespace without a name.
pub fn label(lab: &Lab) -> Option<String> {
    let link = std::fs::read_link(format!("/proc/{}/ns/net", lab.holder_pid()?)).unwrap();
    Some(link.to_str().unwrap().to_owned())
}

fn in_namespace<'a>(list: &'a Value, netns: &str) -> Vec<&'a Value> {
    let is_it = |socket: &&Value| socket["netns"] == netns && socket["state"] == "CLOSE_WAIT";
    sockets_of(list).filter(is_it).collect()
}

/// The descriptors of this process for a socket. A child that another test starts has them too, until its exec.
fn fds(socket: &Value) -> Vec<i64> {
    let owners = socket["owners"].as_array().unwrap();
    owners
        .iter()
        .filter(|owner| owner["pid"] == std::process::id())
        .map(|owner| owner["fd"].as_i64().unwrap())
        .collect()
}

#[test]
fn the_same_ends_in_two_namespaces_are_two_connections() {
    let first = Lab::new();
    let Some(first_label) = label(&first) else {
        left_out(Lack::Namespace);
        return;
    };
    let served = Connection::new(true, true);
    let named = Named::new("twin");
    named.enter();
    let abandoned = Connection::new(false, false);
    let of_port = ["list", "-a", "-A", "port", "=", "18080"];
    let list = first.json(&of_port);

    let [of_first] = in_namespace(&list, &first_label)[..] else {
        panic!("one in {first_label}: {list:#}");
    };
    let [of_named] = in_namespace(&list, &named.0)[..] else {
        panic!("one in {}: {list:#}", named.0);
    };
    // The holders are those of this very socket.
    assert_eq!(fds(of_first), [i64::from(served.server.as_raw_fd())]);
    assert_eq!(fds(of_named), [i64::from(abandoned.server.as_raw_fd())]);
    assert_ne!(of_first["inode"], of_named["inode"]);
    assert_eq!(of_first["side"], "server");
    // The other end of the unaccepted connection is in its own namespace too.
    let finding = |netns: &str| {
        let findings = list["findings"].as_array().unwrap();
        let found = findings.iter().find(|finding| finding["netns"] == netns);
        found.unwrap_or_else(|| panic!("a finding in {netns}: {list:#}"))["evidence"].to_string()
    };
    let reported = finding(&first_label);
    assert!(
        reported.contains("closed one direction only and wait"),
        "{reported}"
    );
    assert!(!finding(&named.0).contains("closed one direction only and wait"));
    assert!(served.client.is_some() && abandoned.client.is_none());
    // Each group belongs to one namespace.
    for group in list["groups"].as_array().unwrap() {
        assert_eq!(group["sockets"], 1, "{group:#}");
    }
}

#[test]
fn a_namespace_is_selected_by_its_name_and_by_its_number() {
    let lab = Lab::new();
    let Some(label) = label(&lab) else {
        left_out(Lack::Namespace);
        return;
    };
    let named = Named::new("term");
    named.enter();
    let _connection = Connection::new(true, true);
    lab.enter();
    let _other = Connection::new(true, true);
    let labels = |netns: &str, operator: &str| -> Vec<String> {
        let list = lab.json(&[
            "list", "-a", "netns", operator, netns, "sport", "=", "18080",
        ]);
        let mut labels: Vec<String> = sockets_of(&list)
            .map(|socket| socket["netns"].as_str().unwrap().to_owned())
            .collect();
        labels.dedup();
        labels
    };
    assert_eq!(labels(&named.0, "="), [named.0.as_str()]);
    assert_eq!(labels(&label, "="), [label.as_str()]);
    let number = label.trim_matches(|c: char| !c.is_ascii_digit());
    assert_eq!(labels(number, "="), [label.as_str()]);
    let others = labels(&label, "!=");
    assert!(others.contains(&named.0) && !others.contains(&label));
    is_the_same_replayed_of_all(&lab, &named.0);
    // Nothing was read, which differs from nothing found.
    let none = lab.closewait(&["netns", "=", "closewait-no-such-namespace"]);
    assert_eq!(none.code, 1);
    assert!(
        none.stderr.contains("no network namespace"),
        "{}",
        none.stderr
    );
}

#[test]
fn who_may_not_enter_a_namespace_reads_it_through_a_process_and_says_so() {
    let nobody = Nobody::new();
    let lab = Lab::new();
    if label(&lab).is_none() {
        left_out(Lack::Namespace);
        return;
    }
    let _connection = Connection::new(true, true);
    // The tool runs in another namespace, and cannot enter the lab.
    Named::new("elsewhere").enter();
    let list = until("the lab through /proc", || {
        let reported = nobody.closewait(&["list", "-A", "--json", "sport", "=", "18080"]);
        assert_eq!(reported.code, 0, "{}", reported.stderr);
        let list: Value = serde_json::from_str(&reported.stdout).unwrap();
        let inodes = lab.json(&["list", "-A", "sport", "=", "18080"]);
        let is_ours = |socket: &&Value| !fds(socket).is_empty();
        let ours = sockets_of(&inodes).find(is_ours).unwrap()["inode"].clone();
        let found = sockets_of(&list).any(|socket| socket["inode"] == ours);
        if found {
            Ok(list)
        } else {
            Err(format!("{list:#}"))
        }
    });
    let gaps = list["gaps"].as_array().unwrap();
    assert!(
        gaps.iter().any(|gap| gap["kind"] == "proc-source"
            && gap["detail"]
                .as_str()
                .unwrap()
                .contains("could not be entered")),
        "{gaps:#?}"
    );
    assert_eq!(list["complete"], false);
}

#[test]
fn one_namespace_and_all_of_them_cannot_be_asked_for_at_once() {
    for args in [["-A", "-N", "1"].as_slice(), &["-A", "list", "-N", "1"]] {
        let reported = run(Command::new(closewait()).args(args));
        assert_eq!(reported.code, 2, "{args:?}: {}", reported.stderr);
    }
    let reported = run(Command::new(closewait()).args(["-A", "dev", "lo"]));
    assert_eq!(reported.code, 2);
    assert!(
        reported.stderr.contains("choose one with -N"),
        "{}",
        reported.stderr
    );
}

#[test]
fn a_connection_in_another_namespace_is_not_dead() {
    let lab = Lab::new();
    if label(&lab).is_none() {
        left_out(Lack::Namespace);
        return;
    }
    let named = Named::new("else");
    let elsewhere = format!("elsewhere=/run/netns/{}", named.0);
    let leak = lab.start("leak", &["dead=2", "connections=3", &elsewhere]);
    lab.lingering(leak.port(), 3, Age::Least);
    let triage = lab.json(&[]);
    let dead: Vec<&Value> = triage["findings"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|finding| finding["processes"].as_array().unwrap())
        .filter(|process| process["pid"] == leak.pid())
        .map(|process| &process["dead_sockets"])
        .collect();
    assert_eq!(dead, [2]);
}
