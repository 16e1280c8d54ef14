//! `--for`: what came and went between two readings.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::check::stopped_asleep;
use crate::lab::{Lab, closewait, sockets_of};

/// A server in this process that never closes what it accepts.
pub struct Leak {
    listener: TcpListener,
    kept: Vec<TcpStream>,
}

impl Leak {
    pub fn new(lab: &Lab, sockets: usize) -> Leak {
        lab.enter();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let kept = Vec::new();
        let mut leak = Leak { listener, kept };
        leak.grow(sockets);
        leak
    }

    pub fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    pub fn grow(&mut self, sockets: usize) {
        for _ in 0..sockets {
            let client = TcpStream::connect(("127.0.0.1", self.port())).unwrap();
            let (accepted, _) = self.listener.accept().unwrap();
            drop(client);
            // Its end has arrived.
            assert_eq!(accepted.peek(&mut [0]).unwrap(), 0);
            self.kept.push(accepted);
        }
    }
}

/// Starts closewait, which reads twice and waits in between. Every socket counts at once.
fn started(args: &[&str]) -> Child {
    Command::new(closewait())
        .args(args)
        .args(["--for", "5s", "--grace", "0", "--sample", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn printed(mut started: Child) -> String {
    let mut text = String::new();
    let mut out = started.stdout.take().unwrap();
    out.read_to_string(&mut text).unwrap();
    assert_eq!(started.wait().unwrap().code(), Some(0), "{text}");
    text
}

#[test]
fn new_and_gone_sockets_are_told_from_those_that_stay() {
    let lab = Lab::new();
    let (mut leak, ended) = (Leak::new(&lab, 5), Leak::new(&lab, 4));
    let (port, of_ended) = (leak.port().to_string(), ended.port());
    let both = format!("{port},{of_ended}");
    let words = ["--state", "close-wait", "--port", &both];
    let forms = [
        &["list", "--json"][..],
        &["--json"],
        &[],
        &["list"],
        &["--by", "port", "--csv"],
    ];
    let readers: Vec<Child> = forms
        .iter()
        .map(|form| started(&[form, &words[..]].concat()))
        .collect();
    // The first thread waits for the second reading; others sleep while they watch the first.
    let waiting =
        |reader: &Child| stopped_asleep(reader, |thread| thread == reader.id().to_string());
    let stopped: Vec<_> = readers.iter().map(waiting).collect();
    leak.kept.drain(..2);
    leak.grow(3);
    drop(ended);
    for reader in stopped {
        kill_process(reader, Signal::CONT).unwrap();
    }
    let mut texts = readers.into_iter().map(printed);
    let mut next = || texts.next().unwrap();
    let list: Value = serde_json::from_str(&next()).unwrap();
    let count = |change: &str| {
        let sockets = sockets_of(&list);
        sockets.filter(|socket| socket["change"] == change).count()
    };
    assert_eq!((count("still"), count("new"), count("gone")), (3, 3, 6));
    assert_eq!(list["growth"]["told_by"], "cookie");
    let triage: Value = serde_json::from_str(&next()).unwrap();
    let growth = |of: &str| -> Value {
        let all = triage[of].as_array().unwrap().iter();
        let found = all.filter(|one| one["local_port"] == leak.port());
        let found: Vec<&Value> = found.collect();
        assert_eq!(found.len(), 1, "{triage:#}");
        found[0]["growth"].clone()
    };
    for growth in [growth("groups"), growth("findings")] {
        let counts = ["still", "new", "gone"].map(|name| growth[name].clone());
        assert_eq!(counts, [3, 3, 2].map(|count| json!(count)));
        let rate = growth["growth_per_min"].as_f64().unwrap();
        assert!(rate > 0.0 && rate <= 12.0, "{rate}");
    }
    // This process holds them.
    let limits = &growth("findings")["fd_limits"];
    assert_eq!(limits[0]["pid"], std::process::id(), "{limits}");
    assert!(limits[0]["full_in_ms"].as_u64() > Some(0));
    let gone = &triage["growth"]["gone_groups"];
    assert_eq!(gone[0]["local_port"], of_ended, "{gone}");
    assert_eq!(gone[0]["sockets"], 4);
    let text = next();
    assert!(text.contains("3 new, 2 gone"), "{text}");
    assert!(text.contains("Gone: 4 CLOSE_WAIT of "), "{text}");
    assert!(text.contains("open files in about "), "{text}");
    let text = next();
    assert_eq!(text.matches(" new ").count(), 3, "{text}");
    assert_eq!(text.matches(" gone ").count(), 6, "{text}");
    let csv = next();
    let of_leak = format!("{port},6,");
    let line = csv.lines().find(|line| line.starts_with(&of_leak)).unwrap();
    assert!(line.contains(",3,2,"), "{csv}");
    assert!(csv.contains(&format!("{of_ended},0,0,0,0,4,-")), "{csv}");
}

#[test]
fn a_program_that_closes_at_once_is_not_called_growing() {
    let lab = Lab::new();
    lab.enter();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut reader = Command::new(closewait())
        .args(["--json", "--for", "2s", "--port", &port.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // A few at a time are in CLOSE_WAIT, and each only for a moment.
    let mut open = std::collections::VecDeque::new();
    while reader.try_wait().unwrap().is_none() {
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        open.push_back(listener.accept().unwrap());
        drop(client);
        if open.len() > 20 {
            open.pop_front();
        }
    }
    let document: Value = serde_json::from_str(&printed(reader)).unwrap();
    let groups = document["groups"].as_array().unwrap().iter();
    let waits = groups.filter(|group| group["state"] == "CLOSE_WAIT" && group["side"] == "server");
    for group in waits {
        assert_eq!(group["growth"]["new"], 0, "{group:#}");
        assert_eq!(group["growth"]["gone"], 0, "{group:#}");
    }
}
