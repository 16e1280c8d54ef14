//! The columns of a listing: the figures of ss, the same names in every format, and no work for columns that
//! are not shown.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use serde_json::Value;

use crate::lab::{Lab, Lack, left_out, run, sockets_of, until};

/// The figures of each socket in `ss -tinmO`, by its two ends.
fn of_ss(lab: &Lab) -> Option<BTreeMap<String, BTreeMap<String, u64>>> {
    lab.enter();
    let printed = Command::new("ss").args(["-tinmOH"]).output().ok()?;
    let text = String::from_utf8(printed.stdout).unwrap();
    let mut sockets = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let mut figures = BTreeMap::new();
        let mut words_after = words[5..].iter().peekable();
        while let Some(word) = words_after.next() {
            if let Some(memory) = word.strip_prefix("skmem:(") {
                for part in memory.trim_end_matches(')').split(',') {
                    let digits = part.find(|c: char| c.is_ascii_digit()).unwrap();
                    let (name, number) = part.split_at(digits);
                    figures.insert(format!("skmem {name}"), number.parse().unwrap());
                }
            } else if *word == "send" {
                let rate = words_after.peek().and_then(|rate| rate.strip_suffix("bps"));
                figures.insert("send".to_owned(), rate.unwrap().parse().unwrap());
            } else if let Some(bbr) = word.strip_prefix("bbr:(") {
                for part in bbr.trim_end_matches(')').split(',') {
                    let (name, number) = part.split_once(':').unwrap();
                    if let Ok(number) = number.trim_end_matches("bps").parse() {
                        figures.insert(format!("bbr {name}"), number);
                    }
                }
            } else if let Some((name, number)) = word.split_once(':')
                && let Ok(number) = number.parse()
            {
                figures.insert(name.to_owned(), number);
            }
        }
        sockets.insert(format!("{} {}", words[3], words[4]), figures);
    }
    Some(sockets)
}

/// The name of a figure in ss, and its place in the tool.
const FIGURES: [(&str, &str); 20] = [
    ("mss", "/tcp_info/mss"),
    ("pmtu", "/tcp_info/pmtu"),
    ("rcvmss", "/tcp_info/rcvmss"),
    ("advmss", "/tcp_info/advmss"),
    ("cwnd", "/tcp_info/cwnd"),
    ("bytes_sent", "/tcp_info/bytes_sent"),
    ("bytes_acked", "/tcp_info/bytes_acked"),
    ("bytes_received", "/tcp_info/bytes_received"),
    ("segs_out", "/tcp_info/segs_out"),
    ("segs_in", "/tcp_info/segs_in"),
    ("data_segs_out", "/tcp_info/data_segs_out"),
    ("data_segs_in", "/tcp_info/data_segs_in"),
    ("rcv_space", "/tcp_info/rcv_space"),
    ("rcv_ssthresh", "/tcp_info/rcv_ssthresh"),
    ("snd_wnd", "/tcp_info/snd_wnd"),
    ("rcv_wnd", "/tcp_info/rcv_wnd"),
    ("skmem r", "/memory/rmem_alloc"),
    ("skmem rb", "/memory/rcvbuf"),
    ("skmem tb", "/memory/sndbuf"),
    ("skmem d", "/memory/drops"),
];

#[test]
fn the_figures_are_those_of_ss() {
    let lab = Lab::new();
    let _held = lab.start("leak", &["connections=5"]);
    if of_ss(&lab).is_none() {
        left_out(Lack::Program("ss"));
        return;
    }
    until("figures that agree", || {
        let document = lab.json(&["list", "-i", "-m", "-n"]);
        let others = of_ss(&lab).unwrap_or_default();
        let mut compared = 0;
        for socket in sockets_of(&document) {
            let end = |end: &Value| {
                let addr = end["addr"].as_str().unwrap();
                if addr.contains(':') {
                    format!("[{addr}]:{}", end["port"])
                } else {
                    format!("{addr}:{}", end["port"])
                }
            };
            let key = format!("{} {}", end(&socket["local"]), end(&socket["remote"]));
            let Some(figures) = others.get(&key) else {
                continue;
            };
            for (name, pointer) in FIGURES {
                // ss leaves out zeros, and an older ss unknown figures.
                let Some(expected) = figures.get(name) else {
                    continue;
                };
                let found = socket.pointer(pointer).and_then(Value::as_u64);
                if found != Some(*expected) {
                    return Err(format!("{key}: {name} {expected} {pointer} {found:?}"));
                }
                compared += 1;
            }
        }
        // At least five sockets, with the twelve figures that every ss prints.
        if compared >= 5 * 12 {
            Ok(())
        } else {
            Err(format!("{compared} compared"))
        }
    });
}

/// ss prints rates in bits per second, rounded; ours are in bytes per second.
fn is_that_rate(bits: u64, bytes: Option<u64>) -> bool {
    bytes.is_some_and(|bytes| (bytes * 8).abs_diff(bits) <= 8)
}

#[test]
fn the_rate_to_send_and_what_bbr_tells_are_those_of_ss() {
    let lab = Lab::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let has_bbr = rustix::net::sockopt::set_tcp_congestion(&client, "bbr").is_ok();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"question").unwrap();
    server.read_exact(&mut [0; 8]).unwrap();
    if of_ss(&lab).is_none() {
        left_out(Lack::Program("ss"));
        return;
    }
    let key = format!(
        "{} {}",
        client.local_addr().unwrap(),
        client.peer_addr().unwrap()
    );
    let sport = client.local_addr().unwrap().port().to_string();
    until("rates that agree", || {
        let document = lab.json(&["list", "-i", "sport", "=", &sport]);
        let ours = &document["sockets"][0]["tcp_info"];
        let of_ss = of_ss(&lab).unwrap_or_default();
        let theirs = of_ss.get(&key).ok_or("not in ss")?;
        let rate = |theirs: Option<&u64>, ours: &Value| {
            theirs.is_some_and(|theirs| is_that_rate(*theirs, ours.as_u64()))
        };
        if !rate(theirs.get("send"), &ours["send_bytes_per_s"]) {
            return Err(format!("{theirs:?} {ours}"));
        }
        if !has_bbr {
            left_out(Lack::Kernel("no bbr"));
            return Ok(());
        }
        if ours["congestion"] != "bbr"
            || !rate(theirs.get("bbr bw"), &ours["bbr_bw_bytes_per_s"])
            || ours["bbr_pacing_gain"].as_u64() < Some(256)
            || !ours["vegas_enabled"].is_null()
        {
            return Err(format!("{theirs:?} {ours}"));
        }
        Ok(())
    });
}

#[test]
fn a_column_has_one_name_and_one_value_in_every_form() {
    let lab = Lab::new();
    let held = lab.start("leak", &["connections=3"]);
    let port = held.port().to_string();
    let columns = "cookie,state,recv_q,local_port,mss,sndbuf,owner_kind,tos,congestion,pids";
    let list = |form: &[&str]| {
        let selected = [
            "list",
            "--port",
            &port,
            "--state",
            "close-wait",
            "--sort",
            "cookie",
            "--columns",
            columns,
        ];
        let found = lab.closewait(&[&selected[..], form].concat());
        assert_eq!(found.code, 0, "{}", found.stderr);
        found.stdout
    };
    let mut csv = csv::Reader::from_reader(std::io::Cursor::new(list(&["--csv"])));
    assert_eq!(
        csv.headers().unwrap().iter().collect::<Vec<_>>().join(","),
        columns
    );
    let records: Vec<Vec<String>> = csv
        .records()
        .map(|record| record.unwrap().iter().map(str::to_owned).collect())
        .collect();
    let table: Vec<Vec<String>> = list(&["-H"])
        .lines()
        .map(|line| line.split_ascii_whitespace().map(str::to_owned).collect())
        .collect();
    assert_eq!(records, table);
    let lines = list(&["--jsonl"]);
    let objects: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((objects.len(), records.len()), (3, 3));
    for (object, record) in objects.iter().zip(&records) {
        assert_eq!(object.as_object().unwrap().len(), record.len());
        for (name, text) in columns.split(',').zip(record) {
            let reported = match &object[name] {
                Value::String(text) => text.clone(),
                Value::Array(pids) => pids[0].to_string(),
                number => number.to_string(),
            };
            assert_eq!(reported, *text, "{name}");
        }
    }
}

#[test]
fn a_listing_can_be_sorted_by_any_column_with_the_unknown_last() {
    let lab = Lab::new();
    let held = lab.start("leak", &["connections=4"]);
    let port = held.port().to_string();
    let rtts = |sort: &str| -> Vec<Value> {
        let args = ["list", "-a", "--port", &port, "--jsonl", "--columns", "rtt"];
        let found = lab.closewait(&[&args[..], &["--sort", sort]].concat());
        assert_eq!(found.code, 0, "{}", found.stderr);
        let lines = found.stdout.lines();
        lines
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["rtt_us"].clone())
            .collect()
    };
    for (sort, descending) in [("rtt", false), ("-rtt", true)] {
        let found = rtts(sort);
        let known: Vec<u64> = found.iter().filter_map(Value::as_u64).collect();
        let mut expected = known.clone();
        expected.sort_unstable();
        if descending {
            expected.reverse();
        }
        assert_eq!(known, expected);
        assert!(known.len() >= 4);
        // A listener has no round-trip time.
        assert!(found.last().unwrap().is_null(), "{found:?}");
    }
    for column in [
        "owner", "-local", "age", "timer", "programs", "pids", "user",
    ] {
        let found = lab.closewait(&["list", "-a", "--sort", column]);
        assert_eq!(found.code, 0, "{column}: {}", found.stderr);
    }
}

#[test]
fn only_what_a_column_a_condition_or_the_order_needs_is_read() {
    let lab = Lab::new();
    let held = lab.start("leak", &["connections=2"]);
    let port = held.port().to_string();
    let steps = |args: &[&str]| {
        let found = lab.closewait(&[args, &["-v", "--port", &port]].concat());
        assert!(found.code <= 1, "{}", found.stderr);
        found.stderr
    };
    let reads_owners = |args: &[&str]| {
        let steps = steps(args);
        let reads = steps.contains("open files, by ");
        assert_eq!(!reads, steps.contains("owners: not needed"), "{steps}");
        reads
    };
    for args in [
        &["list", "--columns", "state,recvq"][..],
        &["list", "--columns", "age", "--jsonl"],
        &["list", "--columns", "rtt,sndbuf", "--csv"],
        &["list", "--columns", "local", "--sort=-recvq"],
    ] {
        assert!(!reads_owners(args), "{args:?}");
    }
    for args in [
        &["list"][..],
        &["list", "--columns", "state", "--json"],
        &["list", "--columns", "state", "--sort", "owner"],
        &["list", "--columns", "state", "program", "=", "x"],
        &["list", "--columns", "cause"],
        &["triage"],
    ] {
        assert!(reads_owners(args), "{args:?}");
    }
    // TIME_WAIT has no process.
    let nobody = steps(&["list", "state", "time-wait"]);
    assert!(
        nobody.contains("owners: no selected socket has one"),
        "{nobody}"
    );
}

#[test]
fn the_help_of_columns_lists_every_one() {
    let help = run(Command::new(crate::lab::closewait()).args(["list", "--columns", "help"]));
    assert_eq!(help.code, 0);
    for name in ["recv_q", "rtt_us", "rmem_alloc", "owner", "congestion"] {
        let lines = help.stdout.lines();
        let found = lines.filter(|line| line.split(' ').next() == Some(name));
        assert_eq!(found.count(), 1, "{name}");
    }
}

#[test]
fn the_largest_user_id_is_a_user() {
    if !crate::lab::is_root() {
        left_out(Lack::Root);
        return;
    }
    let lab = Lab::new();
    lab.enter();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let user = rustix::process::Uid::from_raw(u32::MAX - 1);
    rustix::fs::fchown(&listener, Some(user), None).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let counted = lab.json(&["-l", "--port", &port, "--by", "user"]);
    assert_eq!(
        counted["by"]["rows"][0]["uid"], 4_294_967_294_u32,
        "{counted}"
    );
    let listed = lab.closewait(&[
        "list",
        "-l",
        "--user",
        "4294967294",
        "--columns",
        "uid,port",
    ]);
    let last = listed.stdout.lines().last().unwrap_or_default();
    let words: Vec<&str> = last.split_whitespace().collect();
    assert_eq!(words, ["4294967294", &port], "{}", listed.stdout);
}
