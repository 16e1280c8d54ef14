//! All misbehaviours at once in one namespace: each is recognized.

use serde_json::Value;

use crate::accuse::{Expected, array, check_list, check_triage};
use crate::lab::{Age, Lab, Program};
use crate::replay::is_the_same_replayed;

/// The expected result for a started program.
struct Suspect {
    program: Program,
    cause: &'static str,
    severity: &'static str,
    side: &'static str,
    port: &'static str,
    owner_kind: &'static str,
    /// The facts with the owners.
    owners: &'static [&'static str],
    age: Age,
}

impl Suspect {
    fn expected(&self) -> Expected<'_> {
        let pid = |fact: &&str| self.program.number(fact);
        let mut pids: Vec<u64> = self.owners.iter().map(pid).collect();
        pids.sort_unstable();
        Expected {
            cause: self.cause,
            sockets: self.program.connections(),
            severity: self.severity,
            end: (self.side, self.program.number(self.port)),
            owner_kind: self.owner_kind,
            pids,
            age: self.age,
        }
    }
}

fn server(lab: &Lab, role: &str, settings: &[&str], cause: &'static str) -> Suspect {
    Suspect {
        program: lab.start(role, settings),
        cause,
        severity: "info",
        side: "server",
        port: "port",
        owner_kind: "process",
        owners: &["pid"],
        age: Age::Least,
    }
}

fn everything(lab: &Lab) -> Vec<Suspect> {
    let mut suspects = vec![
        server(lab, "leak", &["connections=130"], "never-closed"),
        server(lab, "leak", &["connections=4", "keepalive=true"], "unclear"),
        server(lab, "leak", &["connections=40", "files=64"], "never-closed"),
        server(lab, "leak", &["connections=3"], "never-closed"),
        server(lab, "slow", &["connections=20"], "slow-handler"),
        server(lab, "downstream", &["connections=30"], "slow-handler"),
        server(lab, "abandon", &["connections=6"], "abandoned"),
        server(lab, "deaf", &["connections=5", "spin=true"], "not-reading"),
        server(lab, "queue", &["backlog=4"], "not-accepted"),
        server(
            lab,
            "inherit",
            &["connections=40", "parent=keeps"],
            "inherited",
        ),
        server(lab, "stream", &["connections=3"], "half-close"),
        server(lab, "choke", &["connections=2"], "half-close"),
        server(lab, "pool", &["connections=7"], "stale-pool"),
        server(lab, "proxy", &["connections=5"], "never-closed"),
    ];
    suspects[0].severity = "warning";
    suspects[2].severity = "critical";
    suspects[3].severity = "critical";
    suspects[3].program.stop();
    suspects[8].severity = "critical";
    suspects[8].owner_kind = "listener";
    suspects[9].owners = &["pid", "child_pid"];
    // Keepalive probes, a stream and window probes still get acknowledgements.
    for at in [1, 10, 11] {
        suspects[at].age = Age::Most;
    }
    for (at, port) in [(12, "server_port"), (13, "upstream_port")] {
        suspects[at].side = "client";
        suspects[at].port = port;
    }
    suspects
}

#[test]
fn all_at_once_are_told_apart() {
    let lab = Lab::new();
    let suspects = everything(&lab);
    for suspect in &suspects {
        let expected = suspect.expected();
        let port = u16::try_from(expected.end.1).unwrap();
        let list = lab.lingering(port, expected.sockets, expected.age);
        check_list(&list, &expected);
    }
    let document = lab.json(&[]);
    let mut sockets = 0;
    for suspect in &suspects {
        check_triage(&document, &suspect.expected());
        sockets += suspect.program.connections();
    }
    if lab.is_private() {
        assert_eq!(document["states"]["CLOSE_WAIT"], sockets);
        assert_eq!(array(&document, "findings").count(), suspects.len());
        assert_eq!(document["gaps"], Value::Array(Vec::new()), "all was seen");
    }
    let rank = |finding: &Value| match finding["severity"].as_str().unwrap() {
        "critical" => 0,
        "warning" => 1,
        _ => 2,
    };
    let ranks: Vec<u32> = array(&document, "findings").map(rank).collect();
    assert!(ranks.is_sorted(), "the most severe first: {ranks:?}");
    let (streams, others): (Vec<Suspect>, Vec<Suspect>) = suspects
        .into_iter()
        .partition(|suspect| suspect.cause == "half-close");
    drop(streams);
    is_the_same_replayed(&lab);
    drop(others);
}
