//! Without privilege: facts about the sockets are still right, and missing facts are reported.

use serde_json::Value;

use crate::accuse::array;
use crate::lab::{Age, Lab, Lack, Nobody, is_root, left_out, until};
use crate::view::{Seen, of_procfs_crate, of_tool};

#[test]
fn causes_that_need_no_owner_are_right_as_nobody_and_others_are_unclear() {
    let lab = Lab::new();
    if !is_root() {
        left_out(Lack::Root);
        return;
    }
    let server = |role, settings: &[&str]| lab.start(role, settings);
    let suspects = [
        (server("leak", &["connections=4"]), "never-closed", "port"),
        (server("slow", &["connections=5"]), "unclear", "port"),
        (server("abandon", &["connections=6"]), "unclear", "port"),
        (server("inherit", &["connections=8"]), "unclear", "port"),
        (server("deaf", &["connections=3"]), "unclear", "port"),
        (server("queue", &["backlog=2"]), "not-accepted", "port"),
        (server("stream", &["connections=2"]), "half-close", "port"),
        (server("pool", &["connections=7"]), "unclear", "server_port"),
    ];
    for (program, cause, port) in &suspects {
        let port = u16::try_from(program.number(port)).unwrap();
        let age = if *cause == "half-close" {
            Age::Most
        } else {
            Age::Least
        };
        lab.lingering(port, program.connections(), age);
    }
    let run = Nobody::new().closewait(&["--json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    for (program, cause, port) in &suspects {
        let port = program.number(port);
        let about = |finding: &&Value| {
            finding["local_port"].as_u64() == Some(port)
                || finding["remote"]["port"].as_u64() == Some(port)
        };
        let found: Vec<&Value> = array(&document, "findings").filter(about).collect();
        let [finding] = found[..] else {
            panic!("one finding for {cause}: {found:#?}");
        };
        assert_eq!(finding["cause"], *cause, "{finding:#}");
        assert_eq!(finding["sockets"], program.connections(), "{finding:#}");
        assert_eq!(array(finding, "owners").count(), 0, "{finding:#}");
        let kind = if *cause == "not-accepted" {
            "listener"
        } else {
            "hidden"
        };
        assert_eq!(finding["owner_kind"], kind, "{finding:#}");
        if *cause != "half-close" {
            let steps: Vec<&str> = array(finding, "next_steps")
                .filter_map(Value::as_str)
                .collect();
            assert!(
                steps.iter().any(|step| step.contains("root")),
                "{finding:#}"
            );
        }
    }
    assert_eq!(document["complete"], false);
    let kinds: Vec<&str> = array(&document, "gaps")
        .filter_map(|gap| gap["kind"].as_str())
        .collect();
    assert!(kinds.contains(&"owners-hidden"), "{kinds:?}");
    assert!(kinds.contains(&"listener-unknown"), "{kinds:?}");
    let screen = Nobody::new().closewait(&[]);
    assert!(screen.stdout.contains("root"), "{}", screen.stdout);
    let unread = "no stacks were read of the hidden owners of";
    assert!(!screen.stdout.contains(unread), "{}", screen.stdout);
    let screen = Nobody::new().closewait(&["--stacks"]);
    assert!(screen.stdout.contains(unread), "{}", screen.stdout);
}

#[test]
fn another_namespace_is_read_from_proc_where_it_may_not_be_entered() {
    let inside = Lab::new();
    if !inside.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    let states = inside.start("states", &[]);
    let _outside = Lab::new();
    let nobody = Nobody::new();
    let pid = states.pid().to_string();
    // The last acknowledgement may still be in flight.
    until("the same sockets from both", || {
        let there = of_procfs_crate(states.pid());
        let run = nobody.closewait(&["list", "-a", "--json", "-N", &pid]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let document: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(document["source"], "procfs");
        assert_eq!(document["complete"], false);
        let seen = of_tool(&document).into_iter().map(Seen::without_limit);
        let seen: Vec<Seen> = seen.collect();
        if seen == there {
            Ok(())
        } else {
            Err(format!("{seen:?}\n{there:?}"))
        }
    });
    let namespace = format!("/proc/{pid}/ns/net");
    let run = nobody.closewait(&["list", "-N", &namespace]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains(&namespace), "{run:?}");
}
