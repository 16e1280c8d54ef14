//! The tool, ss, /proc and the procfs crate see the same sockets.

use serde_json::Value;

use crate::lab::{Lab, Lack, Program, left_out, until};
use crate::view::{Seen, counts, of_procfs_crate, of_ss, of_tool};

/// A lab with sockets in every stable state.
fn stocked() -> (Lab, Program) {
    let lab = Lab::new();
    let states = lab.start("states", &[]);
    // The last acknowledgement may still be in flight.
    let expected = states.fact("states").as_object().unwrap();
    until("every state that was made", || {
        let found = counts(&listed(&lab, &states, &[]));
        let is_there = |(state, count): (&String, &Value)| {
            let (found, made) = (found.get(state).copied(), count.as_u64());
            // On a shared loopback, another program may have just used the port.
            found == made || (state == "TIME_WAIT" && found > made && !lab.is_private())
        };
        if expected.iter().all(is_there) {
            Ok(())
        } else {
            Err(format!("{found:?} of {expected:?}"))
        }
    });
    (lab, states)
}

fn ports(states: &Program) -> Vec<u16> {
    let ports = states.fact("ports").as_object().unwrap();
    ports
        .values()
        .map(|port| u16::try_from(port.as_u64().unwrap()).unwrap())
        .collect()
}

/// The sockets of the lab; on a shared loopback, those with its ports.
fn own(lab: &Lab, states: &Program, sockets: Vec<Seen>) -> Vec<Seen> {
    let ports = ports(states);
    let is_own = |socket: &Seen| lab.is_private() || socket.is_of(&ports);
    sockets.into_iter().filter(is_own).collect()
}

fn listed(lab: &Lab, states: &Program, args: &[&str]) -> Vec<Seen> {
    let list = lab.json(&[&["list", "-a"], args].concat());
    own(lab, states, of_tool(&list))
}

/// The sockets in another source and in the tool, while nothing changed.
fn at_one_moment(
    what: &str,
    mut tool: impl FnMut() -> Vec<Seen>,
    mut other: impl FnMut() -> Vec<Seen>,
) -> (Vec<Seen>, Vec<Seen>) {
    until(&format!("sockets that stand still for {what}"), || {
        let before = tool();
        let others = other();
        if tool() == before {
            Ok((before, others))
        } else {
            Err("they changed meanwhile".to_owned())
        }
    })
}

#[test]
fn every_state_that_was_made_is_counted() {
    let (lab, states) = stocked();
    let expected = states.fact("states").as_object().unwrap();
    if !lab.is_private() {
        // Sockets with our ports have been counted already; the others are not ours.
        left_out(Lack::Namespace);
        return;
    }
    for args in [&["list", "-a"][..], &[], &["--source", "procfs"]] {
        let document = lab.json(args);
        for (state, count) in document["states"].as_object().unwrap() {
            let count = count.as_u64();
            // Listed only if named.
            if state != "BOUND_INACTIVE" {
                let made = expected.get(state).and_then(Value::as_u64).unwrap_or(0);
                assert_eq!(count, Some(made), "{state} with {args:?}");
            }
        }
    }
}

#[test]
fn ss_sees_the_same_sockets_with_the_same_queues() {
    let (lab, states) = stocked();
    if of_ss().is_none() {
        return;
    }
    let (tool, ss) = at_one_moment(
        "ss",
        || listed(&lab, &states, &[]),
        || own(&lab, &states, of_ss().unwrap()),
    );
    assert_eq!(counts(&tool), counts(&ss));
    assert_eq!(tool, ss);
}

#[test]
fn sock_diag_and_proc_give_the_same_sockets() {
    let (lab, states) = stocked();
    let plain = |sockets: Vec<Seen>| sockets.into_iter().map(Seen::without_limit).collect();
    let (netlink, procfs): (Vec<Seen>, Vec<Seen>) = at_one_moment(
        "/proc",
        || plain(listed(&lab, &states, &["--source", "netlink"])),
        || plain(listed(&lab, &states, &["--source", "procfs"])),
    );
    assert_eq!(netlink, procfs);
    let crate_s = own(&lab, &states, of_procfs_crate(states.pid()));
    assert_eq!(netlink, crate_s);
}

#[test]
fn what_proc_does_not_tell_is_unknown_and_said() {
    let (lab, states) = stocked();
    let document = lab.json(&["list", "-a", "--source", "procfs"]);
    assert_eq!(document["source"], "procfs");
    assert_eq!(document["complete"], false);
    let gaps = document["gaps"].as_array().unwrap();
    assert!(
        gaps.iter().any(|gap| gap["kind"] == "proc-source"),
        "{gaps:?}"
    );
    let ports = ports(&states);
    for socket in crate::lab::sockets_of(&document) {
        assert!(socket["idle_ms"].is_null(), "{socket}");
        assert!(socket["cookie"].is_null(), "{socket}");
        assert_ne!(socket["cause"], "transient", "{socket}");
        let port = socket["local"]["port"].as_u64().unwrap();
        if socket["state"] == "LISTEN" && ports.iter().any(|own| u64::from(*own) == port) {
            assert!(
                socket["send_q"].is_null(),
                "a limit that is not reported: {socket}"
            );
        }
    }
}

#[test]
fn a_namespace_can_be_looked_into_from_outside() {
    let (inside, states) = stocked();
    if !inside.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    let there = listed(&inside, &states, &[]);
    let holder = inside.holder_pid().unwrap();
    // This moves the thread out of the first lab.
    let outside = Lab::new();
    let named = [
        holder.to_string(),
        states.pid().to_string(),
        format!("/proc/{holder}/ns/net"),
    ];
    for name in &named {
        let list = outside.json(&["list", "-a", "-N", name]);
        assert_eq!(of_tool(&list), there, "-N {name}");
    }
    assert!(of_tool(&outside.json(&["list", "-a"])).is_empty());
}

#[test]
fn selections_agree_with_the_whole() {
    let (lab, states) = stocked();
    let all = listed(&lab, &states, &[]);
    let port = u16::try_from(states.fact("ports")["v4"].as_u64().unwrap()).unwrap();
    let with = |args: &[&str], keep: &dyn Fn(&Seen) -> bool| {
        let expected: Vec<Seen> = all.iter().filter(|socket| keep(socket)).cloned().collect();
        assert!(!expected.is_empty(), "{args:?} selects something");
        assert_eq!(listed(&lab, &states, args), expected, "{args:?}");
    };
    let named = port.to_string();
    with(&["--port", &named], &|socket| socket.has_port(&[port]));
    with(&["--state", "fin-wait-2"], &|s| s.state == "FIN_WAIT2");
    with(&["--state", "CloseWait"], &|s| s.state == "CLOSE_WAIT");
    with(&["--state", "syn-recv"], &|s| s.state == "SYN_RECV");
    with(&["--state", "timewait", "--state", "LAST_ACK"], &|s| {
        s.state == "TIME_WAIT" || s.state == "LAST_ACK"
    });
    with(&["--state", "listening"], &|s| s.state == "LISTEN");
    with(&["-4"], &|socket| socket.local.0.is_ipv4());
    with(&["-6"], &|socket| socket.local.0.is_ipv6());
    with(&["-6", "--peer", "127.0.0.0/8"], &|socket| {
        socket.local.0.is_ipv6() && socket.remote.0.to_canonical().is_ipv4()
    });
}
