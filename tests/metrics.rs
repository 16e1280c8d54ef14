//! `--prometheus` and `--output`, on sockets that the test creates on loopback.

mod openmetrics;

use std::io::{Read, Write};
use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use closewait::classifier::age::Sightings;
use closewait::classifier::finding::Findings;
use closewait::classifier::queue::queues;
use closewait::classifier::rules::Thresholds;
use closewait::classifier::{Rules, classify};
use closewait::filter::Filter;
use closewait::model::{
    Details, Endpoint, Host, Namespace, Protocol, Protocols, Scan, Snapshot, Socket, Source, State,
};
use closewait::renderer::format::openmetrics::exposition;
use proptest::prelude::*;

use openmetrics::{faults, value};

fn closewait(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_closewait"))
        .env("LC_ALL", "C.UTF-8")
        .args(args)
        .output()
        .unwrap()
}

fn metrics(args: &[&str]) -> String {
    let found = closewait(&[&["--prometheus"], args].concat());
    assert!(found.status.success(), "{found:?}");
    let text = String::from_utf8(found.stdout).unwrap();
    assert_eq!(faults(&text), Vec::<String>::new(), "{text}");
    text
}

/// A listener and so many of its connections in CLOSE_WAIT.
fn waits(count: usize) -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let kept = (0..count).map(|_| {
        let mut client = TcpStream::connect(to).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        client.write_all(b"request").unwrap();
        accepted.read_exact(&mut [0; 7]).unwrap();
        drop(client);
        assert_eq!(accepted.peek(&mut [0]).unwrap(), 0, "end-of-file is there");
        accepted
    });
    let kept = kept.collect();
    (listener, kept)
}

#[test]
fn the_validator_finds_what_is_broken() {
    let fine = "# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n# HELP a_seconds x\n\
                a_seconds_bucket{le=\"1.0\"} 1\na_seconds_bucket{le=\"+Inf\"} 2\na_seconds_sum 3.5\n\
                a_seconds_count 2\n# TYPE b gauge\n# HELP b x\nb{c=\"d\\\"\\\\\\n\",e=\"\"} 1\n# EOF\n";
    assert_eq!(faults(fine), Vec::<String>::new());
    let gauge = |samples: &str| format!("# TYPE b gauge\n# HELP b x\n{samples}# EOF\n");
    let mut broken = vec![
        String::new(),
        fine.replace("# EOF\n", ""),
        format!("{fine}# EOF\n"),
        fine.replace("histogram", "gaugehistogram"),
        fine.replace("# UNIT a_seconds seconds", "# UNIT a_seconds bytes"),
        fine.replace("# HELP b x", "# HELP b "),
        fine.replace("# HELP b x\n", "# HELP b x\n# HELP b y\n"),
        fine.replace("# HELP b x\n", "# note\n"),
        fine.replace("{le=\"1.0\"} 1", "{le=\"1.0\"} 3"),
        fine.replace("{le=\"1.0\"}", "{le=\"x\"}"),
        fine.replace("a_seconds_bucket{le=\"+Inf\"} 2\n", ""),
        fine.replace("a_seconds_count 2", "a_seconds_count 3"),
        fine.replace("a_seconds_sum 3.5\n", ""),
        fine.replace("# EOF", "# TYPE a_seconds gauge\n# HELP a_seconds x\n# EOF"),
        "b 1\n# EOF\n".to_owned(),
    ];
    let samples = [
        "b 1\nb 2\n",
        "b{c=\"d\"} 1\nb{c=\"d\"} 1\n",
        "b{c=\"d} 1\n",
        "b{c=\"\\x\"} 1\n",
        "b{1c=\"d\"} 1\n",
        "b{c=\"d\",c=\"e\"} 1\n",
        "b x\n",
        "b\n",
        "1b 1\n",
        "b_sum 1\n",
        "other 1\n",
        "b 1 2 3\n",
    ];
    broken.extend(samples.map(gauge));
    for text in broken {
        assert!(!faults(&text).is_empty(), "{text}");
    }
}

#[test]
fn every_state_and_cause_is_there_at_0_too() {
    let (listener, kept) = waits(3);
    let port = listener.local_addr().unwrap().port().to_string();
    let text = metrics(&["--port", &port]);
    let program = std::fs::read_to_string("/proc/self/comm").unwrap();
    let series = format!(
        "closewait_sockets{{state=\"CLOSE_WAIT\",side=\"server\",port=\"{port}\",program=\"{}\"}}",
        program.trim_end()
    );
    assert_eq!(value(&text, &series), Some(3.0), "{text}");
    for state in ["SYN_SENT", "LAST_ACK", "TIME_WAIT", "CLOSING"] {
        assert!(
            text.contains(&format!("closewait_sockets{{state=\"{state}\"")),
            "{state}"
        );
    }
    assert_eq!(
        value(&text, "closewait_close_wait_age_seconds_count"),
        Some(3.0)
    );
    assert_eq!(
        value(&text, "closewait_close_wait_unknown_age_sockets"),
        Some(0.0)
    );
    assert_eq!(value(&text, "closewait_up"), Some(1.0));
    let causes = text
        .lines()
        .filter(|line| line.starts_with("closewait_close_wait_sockets{"));
    let of_causes: f64 = causes
        .clone()
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
        .sum();
    assert_eq!((causes.count(), of_causes), (11, 3.0));
    // A state that the selection excludes has no count, rather than 0.
    let selected = metrics(&["--port", &port, "--state", "close-wait"]);
    assert!(!selected.contains("state=\"ESTABLISHED\""), "{selected}");
    // Without times in the source the ages are unknown.
    let text = metrics(&["--port", &port, "--source", "procfs"]);
    assert_eq!(
        value(&text, "closewait_close_wait_unknown_age_sockets"),
        Some(3.0)
    );
    assert_eq!(value(&text, "closewait_complete"), Some(0.0));
    assert_eq!(
        value(&text, "closewait_gaps{kind=\"proc-source\"}"),
        Some(1.0)
    );
    assert!(
        !text.contains("closewait_accept_queue_limit_connections{"),
        "unknown is absent"
    );
    drop(kept);
}

/// A table of sockets that may differ in facts that no label has.
fn table(sockets: &[(bool, u8, u32, bool, u16)]) -> Snapshot {
    let namespace = || Namespace {
        label: Some("blue".into()),
        source: Source::Netlink,
        ..Namespace::UNKNOWN
    };
    let sockets = sockets
        .iter()
        .map(|(listens, port, device, v6only, netns)| {
            let end = |port| Endpoint::new(Ipv6Addr::UNSPECIFIED, port);
            let (state, remote) = if *listens {
                (State::Listen, end(0))
            } else {
                (State::CloseWait, end(40_000))
            };
            Socket {
                netns: *netns,
                interface: *device,
                v6only: Some(*v6only),
                recv_q: u32::from(*port),
                ..Socket::bare(state, end(80 + u16::from(*port)), remote)
            }
        });
    Snapshot {
        host: Host::default(),
        namespaces: vec![namespace(), namespace()],
        others: None,
        taken_at_ns: 0,
        reading_ms: None,
        sockets: sockets.collect(),
        details: Details::default(),
        holders: None,
        cgroups: None,
        scan: Scan::default(),
        scanned: Vec::new(),
        subflows: Vec::new(),
        gaps: Vec::new(),
        steps: Vec::new(),
        recorded: false,
    }
}

proptest! {
    #[test]
    fn no_two_samples_have_the_same_labels(
        sockets in proptest::collection::vec((any::<bool>(), 0u8..2, 0u32..3, any::<bool>(), 0u16..2), 0..12),
        limit in 0usize..6,
    ) {
        let snapshot = table(&sockets);
        let rules = Rules {
            filter: Filter::everything(),
            protocols: Protocols::One(Protocol::Tcp),
            grace_ms: 5_000,
            thresholds: Thresholds::default(),
            seen: Sightings::default(),
        };
        let report = classify(&snapshot, &rules);
        let found = Findings { queues: queues(&report), ..Findings::default() };
        let mut text = Vec::new();
        exposition(&report, &found, limit, Duration::ZERO, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        prop_assert_eq!(faults(&text), Vec::<String>::new(), "{}", text);
    }
}

#[test]
fn what_a_limit_leaves_out_is_summed() {
    let servers: Vec<_> = (1..=4).map(waits).collect();
    let ports: Vec<String> = servers
        .iter()
        .flat_map(|(listener, _)| {
            let port = listener.local_addr().unwrap().port().to_string();
            ["--port".to_owned(), port]
        })
        .collect();
    let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
    let state = ["--state", "close-wait", "--label-limit", "2"];
    let text = metrics(&[&ports[..], &state].concat());
    let lines = text
        .lines()
        .filter(|line| line.starts_with("closewait_sockets{"));
    assert_eq!(lines.count(), 3, "{text}");
    let other =
        "closewait_sockets{state=\"CLOSE_WAIT\",side=\"other\",port=\"other\",program=\"other\"}";
    assert_eq!(value(&text, other), Some(3.0), "the two smallest: {text}");
}

#[test]
fn a_file_is_replaced_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("closewait.prom");
    let to = path.to_str().unwrap();
    let first = closewait(&["--prometheus", "--output", to]);
    assert!(
        first.status.success() && first.stdout.is_empty(),
        "{first:?}"
    );
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(faults(&text), Vec::<String>::new());
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o444, 0o444 & !umask(), "node_exporter may read it");

    // A reading that fails does not leave the old one looking fresh.
    let nothing = directory.path().join("nothing");
    let failed = closewait(&[
        "--prometheus",
        "--output",
        to,
        "--source",
        "procfs",
        "--proc",
        nothing.to_str().unwrap(),
    ]);
    assert_eq!(failed.status.code(), Some(1));
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(faults(&text), Vec::<String>::new());
    assert_eq!(value(&text, "closewait_up"), Some(0.0));
    assert_eq!(value(&text, "closewait_complete"), Some(0.0));
    assert!(!text.contains("closewait_sockets"));

    // Other forms keep the old file where they fail, and nothing is left beside it.
    let json = directory.path().join("all.json");
    assert!(
        closewait(&["--json", "--output", json.to_str().unwrap()])
            .status
            .success()
    );
    serde_json::from_str::<serde_json::Value>(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let nowhere = closewait(&["--json", "--output", "/proc/nowhere/x"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("could not write /proc/nowhere/x"));
    let files = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(files, 2);
}

fn umask() -> u32 {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Umask:"))
        .unwrap();
    u32::from_str_radix(line.trim(), 8).unwrap()
}

#[test]
fn metrics_are_of_triage_alone() {
    for args in [
        &["list", "--prometheus"][..],
        &["--prometheus", "--by", "state"],
        &["triage", "-u", "--prometheus"],
    ] {
        let found = closewait(args);
        assert_eq!(found.status.code(), Some(2), "{args:?}: {found:?}");
    }
}
