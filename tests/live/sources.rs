//! What a source cannot show, or not at one moment, is reported: an older kernel, and /proc/net/tcp, which is
//! read page by page.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::process::Command;

use rustix::net::{AddressFamily, SocketType, bind};
use serde_json::Value;

use crate::lab::{Lab, Lack, closewait, left_out, run, sockets_of};

fn kinds(list: &Value) -> Vec<&str> {
    let gaps = list["gaps"].as_array().unwrap().iter();
    gaps.map(|gap| gap["kind"].as_str().unwrap()).collect()
}

#[test]
fn a_table_that_comes_in_pieces_says_so_and_one_of_a_page_does_not() {
    let lab = Lab::new();
    if !lab.is_private() {
        return left_out(Lack::Namespace);
    }
    let list = || lab.json(&["list", "-a", "--source", "procfs"]);
    assert!(!kinds(&list()).contains(&"in-pieces"));
    let page = rustix::param::page_size();
    let many: Vec<TcpListener> = (0..page / 100)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let list = list();
    assert_eq!(sockets_of(&list).count(), many.len());
    assert!(kinds(&list).contains(&"in-pieces"), "{:?}", kinds(&list));
}

/// Two connections over two devices can have the same ends, and no inode.
#[test]
fn rows_of_two_sockets_with_the_same_ends_are_two_and_a_row_twice_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let net = dir.path().join("thread-self/net");
    fs::create_dir_all(&net).unwrap();
    let row = |port: u32, place: u32| {
        format!(
            "   0: 0100007F:1F90 0100007F:{port:04X} 01 00000000:00000000 00:00000000 00000000     0        0 0 1 {place:016x} 20 0 0 10 -1\n"
        )
    };
    let heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
    let listed = |rows: &str| {
        fs::write(net.join("tcp"), format!("{heading}{rows}")).unwrap();
        let root = dir.path().to_str().unwrap();
        let args = [
            "list",
            "--source",
            "procfs",
            "--no-owners",
            "--json",
            "--proc",
            root,
        ];
        let run = run(Command::new(closewait()).args(args));
        serde_json::from_str::<Value>(&run.stdout).unwrap()
    };
    let two = listed(&(row(1, 0xa) + &row(1, 0xb)));
    assert_eq!(sockets_of(&two).count(), 2);

    let mut many = row(1, 0xa);
    for port in 2..1000 {
        write!(many, "{}", row(port, port)).unwrap();
    }
    let again = listed(&(many.clone() + &row(1, 0xa)));
    assert_eq!(sockets_of(&again).count(), 999);
    // Without the kernel's addresses, duplicates cannot be reported from other sockets.
    let many = many.replace("000000000000000a", "0000000000000000");
    let unknown = listed(&(many + &row(1, 0)));
    assert_eq!(sockets_of(&unknown).count(), 999);
    let gaps = unknown["gaps"].to_string();
    assert!(
        gaps.contains("1 more were left out as duplicates"),
        "{gaps}"
    );
}

#[test]
fn a_kernel_before_6_8_has_a_gap_where_bound_inactive_is_asked_for() {
    let lab = Lab::new();
    let tool = closewait();
    let args = ["--json", "state", "bound-inactive"];
    let mut old = Command::new("setarch");
    old.args(["--uname-2.6"]).arg(tool).args(args);
    if Command::new("setarch").arg("--version").output().is_err() {
        return left_out(Lack::Program("setarch"));
    }
    let reported: Value = serde_json::from_str(&run(&mut old).stdout).unwrap();
    assert_eq!(reported["complete"], false);
    assert_eq!(reported["gaps"][0]["kind"], "state-unread");
    assert_eq!(reported["states"]["BOUND_INACTIVE"], Value::Null);
    // Unless it does show an address.
    lab.enter();
    let end = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&end, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let reported: Value = serde_json::from_str(&run(&mut old).stdout).unwrap();
    if reported["states"]["BOUND_INACTIVE"].as_u64() > Some(0) {
        assert_eq!(reported["complete"], true, "{}", reported["gaps"]);
    }
}
