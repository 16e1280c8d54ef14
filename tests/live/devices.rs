//! Sockets bound to interfaces: with the same address and port on two interfaces they are two services.

use std::net::{Ipv6Addr, SocketAddrV6, TcpListener, TcpStream};
use std::process::Command;

use rustix::net::{AddressFamily, SocketType, netdevice};
use serde_json::Value;

use crate::accuse::array;
use crate::lab::{Lab, Lack, left_out, run, sockets_of};

const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

fn ip(words: &str) {
    let done = run(Command::new("ip").args(words.split(' ')));
    assert_eq!(done.code, 0, "ip {words}: {}", done.stderr);
}

fn index(name: &str) -> u32 {
    let any = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None).unwrap();
    netdevice::name_to_index(any, name).unwrap()
}

#[test]
fn one_address_and_port_on_two_devices_are_two_services() {
    let lab = Lab::new();
    if !lab.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    ip("link add left type veth peer name right");
    let devices = ["left", "right"];
    for device in devices {
        ip(&format!("link set {device} up"));
        ip(&format!("address add fe80::1/64 dev {device} nodad"));
    }
    let on = |device: &str, port| SocketAddrV6::new(LINK_LOCAL, port, 0, index(device));
    let left = TcpListener::bind(on("left", 0)).unwrap();
    let port = left.local_addr().unwrap().port();
    let right = TcpListener::bind(on("right", port)).unwrap();
    // Three are unaccepted on the left, one is accepted on the right.
    let mut clients: Vec<TcpStream> = (0..3)
        .map(|_| TcpStream::connect(on("left", port)).unwrap())
        .collect();
    clients.push(TcpStream::connect(on("right", port)).unwrap());
    let accepted = right.accept().unwrap();

    let listed = lab.closewait(&[
        "list",
        "-a",
        "--no-owners",
        "-H",
        "sport",
        "=",
        &format!(":{port}"),
    ]);
    let ss = run(Command::new("ss").args(["-tanH", &format!("sport = :{port}")]));
    let column = |text: &str, at: usize| -> Vec<String> {
        let mut ends: Vec<String> = text
            .lines()
            .filter_map(|line| line.split_whitespace().nth(at).map(str::to_owned))
            .collect();
        ends.sort();
        ends
    };
    assert_eq!(column(&listed.stdout, 3), column(&ss.stdout, 3));
    assert!(
        listed.stdout.contains(&format!("[fe80::1]%left:{port}")),
        "{}",
        listed.stdout
    );

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("seen.cwrec");
    let file = file.to_str().unwrap();
    assert_eq!(lab.closewait(&["record", file]).code, 0);
    let scope = "fe80::1%left";
    let replayed = lab.closewait(&[
        "list",
        "--from",
        file,
        "-a",
        "--no-owners",
        "-H",
        "src",
        scope,
    ]);
    assert!(
        replayed.stdout.contains(&format!("[fe80::1]%left:{port}"))
            && !replayed.stdout.contains("%right"),
        "{}{}",
        replayed.stdout,
        replayed.stderr
    );

    let document = lab.json(&["--no-evidence"]);
    for (device, queue, waiting) in [("left", 3, 3), ("right", 0, 0)] {
        let about = |listener: &&Value| listener["local"]["device"] == *device;
        let listener = array(&document, "listeners").find(about).unwrap();
        assert_eq!(listener["queue"], queue, "{listener:#}");
        assert_eq!(listener["unaccepted"], waiting, "{listener:#}");
        let served = |group: &&Value| {
            group["state"] == "ESTABLISHED"
                && group["side"] == "server"
                && group["device"] == *device
        };
        let groups: Vec<&Value> = array(&document, "groups").filter(served).collect();
        let [group] = groups[..] else {
            panic!("{device}: {groups:#?}");
        };
        assert_eq!(group["local_port"], port);
        assert_eq!(group["sockets"], waiting.max(1));
    }
    for condition in [
        format!("src fe80::1%left sport = :{port}"),
        format!("src [fe80::1]%left:{port}"),
        format!("src [fe80::1%left]:{port}"),
    ] {
        let list = lab.json(&["list", "-a", "--no-owners", &condition]);
        let devices: Vec<&Value> = sockets_of(&list)
            .map(|socket| &socket["local"]["device"])
            .collect();
        assert_eq!(devices, ["left"; 4], "{condition}");
    }
    drop((clients, accepted, left));
}
