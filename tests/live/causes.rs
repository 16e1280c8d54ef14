//! Each misbehaviour alone: its cause, owner, count and evidence.
//!
//! A connection counts once its peer has closed it for longer than a normal teardown takes, so each test waits
//! for that.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::accuse::{
    Expected, array, check_evidence, check_list, check_no_evidence, check_triage, pids_of,
};
use crate::lab::{Age, Lab, Lack, PATIENCE, Program, left_out, sockets_of, until};
use crate::prepared::prepared;
use crate::replay::means_the_same_replayed;

/// The tolerance for the timeouts of peers, in milliseconds.
const PATIENCE_MARGIN: u64 = 50;

fn server<'a>(program: &Program, cause: &'a str, pids: &[u64]) -> Expected<'a> {
    let mut pids = pids.to_vec();
    pids.sort_unstable();
    Expected {
        cause,
        sockets: program.connections(),
        severity: "info",
        end: ("server", program.port().into()),
        owner_kind: "process",
        pids,
        age: Age::Least,
    }
}

/// Like the former, for connections that still get acknowledgements.
fn renewed(expected: Expected<'_>) -> Expected<'_> {
    Expected {
        age: Age::Most,
        ..expected
    }
}

/// Waits until the connections count, checks the listing and the triage; returns the finding.
fn found(lab: &Lab, expected: &Expected<'_>) -> Value {
    let port = u16::try_from(expected.end.1).unwrap();
    let list = lab.lingering(port, expected.sockets, expected.age);
    check_list(&list, expected);
    let document = lab.json(&[]);
    check_triage(&document, expected).clone()
}

#[test]
fn a_server_that_reads_the_end_and_does_not_close_is_never_closed() {
    let (lab, leak) = prepared("leak");
    let finding = found(
        &lab,
        &Expected {
            severity: "warning",
            ..server(&leak, "never-closed", &[leak.number("pid")])
        },
    );
    check_evidence(&finding, &["Recv-Q 0", "end-of-file was read"]);
    check_evidence(&finding, &["no timer", "until the process closes"]);
    check_evidence(&finding, &["5 TCP sockets that are in no socket table"]);
    let steps: Vec<&str> = array(&finding, "next_steps")
        .filter_map(Value::as_str)
        .collect();
    let pid = leak.pid().to_string();
    assert!(steps.iter().any(|step| step.contains(&pid)), "{steps:?}");
    assert!(
        !steps.iter().any(|step| step.contains("tcp_fin_timeout")),
        "{steps:?}"
    );
}

#[test]
fn an_event_loop_that_forgot_its_connections_is_told_from_one_that_watches_them() {
    for role in ["watched", "muted", "absent", "alone"] {
        let (lab, program) = prepared(role);
        let finding = found(
            &lab,
            &server(&program, "never-closed", &[program.number("pid")]),
        );
        let words = match role {
            "watched" => "3 of these sockets are watched",
            "muted" => "3 of these sockets are registered without interest",
            "absent" => "none of these sockets is registered; other connections",
            _ => {
                // It may wait for its connections in another system call.
                check_no_evidence(&finding, "epoll");
                continue;
            }
        };
        check_evidence(&finding, &["epoll:", words]);
    }
}

#[test]
fn a_leak_whose_peers_answer_keepalive_probes_is_neither_fresh_nor_accused() {
    let (lab, leak) = prepared("probed");
    let finding = found(
        &lab,
        &renewed(server(&leak, "unclear", &[leak.number("pid")])),
    );
    let summary = finding["summary"].as_str().unwrap();
    assert!(summary.contains("age unknown (keepalive)"), "{summary}");
    check_evidence(&finding, &["keepalive runs on 4"]);
    check_no_evidence(&finding, "peers hung up after");
}

#[test]
fn a_slow_server_is_told_by_the_patience_of_its_clients() {
    let (lab, slow) = prepared("slow");
    let finding = found(&lab, &server(&slow, "slow-handler", &[slow.number("pid")]));
    check_evidence(&finding, &["Recv-Q 1", "end-of-file was not"]);
    check_patience(&lab, &slow, &finding);
    check_evidence(&finding, &["clustered at 1.5 s"]);
}

/// Compares the figures with the measurements of the clients.
fn check_patience(lab: &Lab, program: &Program, finding: &Value) {
    let waited: Vec<u64> = array_of_numbers(program.fact("patience_ms"));
    let (least, most) = (waited.iter().min().unwrap(), waited.iter().max().unwrap());
    let is_near = |figure: u64| {
        (least.saturating_sub(PATIENCE_MARGIN)..=most + PATIENCE_MARGIN).contains(&figure)
    };
    let list = lab.json(&[
        "list",
        "--state",
        "close-wait",
        "--port",
        &program.port().to_string(),
    ]);
    for socket in sockets_of(&list) {
        let idle = &socket["idle_ms"];
        let patience = idle["at_most"].as_u64().unwrap() - idle["at_least"].as_u64().unwrap();
        assert!(
            is_near(patience),
            "{patience} of {least} to {most}: {socket}"
        );
    }
    let patience = &finding["patience_ms"];
    assert_eq!(patience["sockets"], program.connections(), "{finding:#}");
    for figure in ["p50", "p90", "cluster"] {
        let figure = patience[figure].as_u64();
        assert!(
            figure.is_some_and(is_near),
            "{figure:?} of {least} to {most}: {finding:#}"
        );
    }
}

fn array_of_numbers(array: &Value) -> Vec<u64> {
    let numbers = array.as_array().unwrap().iter();
    numbers.map(|number| number.as_u64().unwrap()).collect()
}

#[test]
fn workers_that_wait_for_one_downstream_are_counted_and_it_is_named() {
    let (lab, pool) = prepared("downstream");
    let finding = found(&lab, &server(&pool, "slow-handler", &[pool.number("pid")]));
    check_patience(&lab, &pool, &finding);
    let database = format!("127.0.0.1:{}", pool.fact("database_port"));
    // The 32 workers and the main thread.
    check_evidence(&finding, &["30 of 33 threads", "recvfrom", &database]);
    let waits = &finding["processes"][0]["waits"][0];
    assert_eq!(waits["threads"], 30, "{finding:#}");
    assert_eq!(
        waits["remote"]["port"],
        *pool.fact("database_port"),
        "{finding:#}"
    );
    let steps: Vec<&str> = array(&finding, "next_steps")
        .filter_map(Value::as_str)
        .collect();
    assert!(
        steps.iter().any(|step| step.contains(&database)),
        "{steps:?}"
    );
}

#[test]
fn a_server_that_answered_and_looked_away_has_abandoned_them() {
    let (lab, program) = prepared("abandon");
    let finding = found(
        &lab,
        &server(&program, "abandoned", &[program.number("pid")]),
    );
    check_evidence(&finding, &["Recv-Q 1"]);
}

#[test]
fn a_second_request_within_the_tick_of_the_first_answer_is_not_said_to_be_answered() {
    let lab = Lab::new();
    let program = lab.start("abandon", &["connections=30", "again=true"]);
    let list = lab.lingering(program.port(), 30, Age::Least);
    for socket in sockets_of(&list) {
        let cause = socket["cause"].as_str().unwrap();
        assert!(["slow-handler", "unclear"].contains(&cause), "{socket}");
    }
}

#[test]
fn a_server_that_does_not_read_is_not_reading() {
    let (lab, deaf) = prepared("deaf");
    let expected = server(&deaf, "not-reading", &[deaf.number("pid")]);
    let finding = found(&lab, &expected);
    check_evidence(&finding, &["Recv-Q 701", "700 unread bytes"]);
    check_no_evidence(&finding, "never sleeps");
    assert_eq!(finding["recv_q"]["max"], 701);
    assert_eq!(finding["recv_q"]["more"], 6);
}

#[test]
fn a_thread_that_spins_meanwhile_is_pointed_at() {
    let lab = Lab::new();
    let deaf = lab.start("deaf", &["connections=3", "spin=true"]);
    let expected = server(&deaf, "not-reading", &[deaf.number("pid")]);
    let port = u16::try_from(expected.end.1).unwrap();
    check_list(
        &lab.lingering(port, expected.sockets, expected.age),
        &expected,
    );
    let threads = format!("/proc/{}/task", deaf.pid());
    let spinner = std::fs::read_dir(&threads)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .find(|thread| {
            let comm = std::fs::read_to_string(format!("{threads}/{thread}/comm"));
            comm.unwrap() == "spinner\n"
        })
        .expect("a thread that spins");
    // If it gets almost no processor time, it cannot be recognized.
    let start = Instant::now();
    until("a sample that the spinning thread had to itself", || {
        let (waited, asked) = (waiting_for_a_processor(&deaf, &spinner), Instant::now());
        let document = lab.json(&[]);
        let waited = waiting_for_a_processor(&deaf, &spinner).saturating_sub(waited);
        let finding = check_triage(&document, &expected);
        if array(finding, "evidence").any(|line| line.as_str().unwrap().contains("never sleeps")) {
            let busiest = &finding["processes"][0]["cpu"]["busiest_thread"];
            assert_eq!(busiest.to_string(), spinner, "{finding:#}");
            return Ok(());
        }
        if waited > asked.elapsed() / 10 && start.elapsed() > PATIENCE / 2 {
            left_out(Lack::Kernel(
                "too busy for a thread to have a part of a processor",
            ));
            return Ok(());
        }
        Err(finding.to_string())
    });
}

/// How long a thread was runnable, and how long it waited for a processor.
fn waiting_for_a_processor(program: &Program, thread: &str) -> Duration {
    let path = format!("/proc/{}/task/{thread}/schedstat", program.pid());
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let waited = text.split_ascii_whitespace().nth(1);
    Duration::from_nanos(waited.and_then(|text| text.parse().ok()).unwrap_or(0))
}

#[test]
fn a_server_that_does_not_accept_is_named_with_its_full_queue() {
    let (lab, queue) = prepared("queue");
    // The kernel accepts one more than the backlog.
    assert_eq!(queue.connections(), 9);
    let finding = found(
        &lab,
        &Expected {
            severity: "critical",
            owner_kind: "listener",
            ..server(&queue, "not-accepted", &[queue.number("pid")])
        },
    );
    check_evidence(
        &finding,
        &["accept queue", "9 of 8", "9 of them in CLOSE_WAIT"],
    );
    let overflows = if lab.is_private() {
        // Each namespace has its own counter.
        "ListenOverflows 3,"
    } else {
        "ListenOverflows"
    };
    check_evidence(&finding, &[overflows, "all its listeners"]);
    let summary = finding["summary"].as_str().unwrap();
    assert!(summary.contains("accept queue 9"), "{summary}");
}

#[test]
fn a_pool_whose_idle_connections_the_server_closed_is_stale() {
    let (lab, pool) = prepared("pool");
    let port = pool.number("server_port");
    let finding = found(
        &lab,
        &Expected {
            cause: "stale-pool",
            sockets: 7,
            severity: "info",
            end: ("client", port),
            owner_kind: "process",
            pids: vec![pool.number("pid")],
            age: Age::Least,
        },
    );
    check_evidence(&finding, &["Recv-Q 1"]);
    check_evidence(&finding, &["0.6 s", "idle timeout"]);
    assert_eq!(finding["remote"]["addr"], "127.0.0.1");
}

#[test]
fn connections_that_a_child_holds_as_well_are_inherited() {
    let (lab, parent) = prepared("shared");
    let both = [parent.number("pid"), parent.number("child_pid")];
    let finding = found(&lab, &server(&parent, "inherited", &both));
    check_evidence(&finding, &["Recv-Q 1"]);
}

#[test]
fn connections_that_only_a_later_child_holds_are_inherited() {
    let (lab, parent) = prepared("later");
    found(
        &lab,
        &server(&parent, "inherited", &[parent.number("child_pid")]),
    );
}

#[test]
fn connections_that_only_a_child_of_the_listener_holds_are_inherited() {
    let (lab, parent) = prepared("inherit");
    found(
        &lab,
        &server(&parent, "inherited", &[parent.number("child_pid")]),
    );
}

#[test]
fn a_stopped_process_is_said_to_be_stopped() {
    let (lab, leak) = prepared("stopped");
    leak.stop();
    let finding = found(
        &lab,
        &Expected {
            severity: "critical",
            ..server(&leak, "never-closed", &[leak.number("pid")])
        },
    );
    check_evidence(&finding, &["is stopped"]);
    let steps: Vec<&str> = array(&finding, "next_steps")
        .filter_map(Value::as_str)
        .collect();
    let cont = format!("kill -CONT {}", leak.pid());
    assert!(steps.iter().any(|step| step.contains(&cont)), "{steps:?}");
}

#[test]
fn a_limit_of_files_that_is_nearly_reached_is_said() {
    let (lab, leak) = prepared("files");
    let finding = found(
        &lab,
        &Expected {
            severity: "critical",
            ..server(&leak, "never-closed", &[leak.number("pid")])
        },
    );
    check_evidence(&finding, &["of 64 files", "85 % of the limit"]);
    check_evidence(&finding, &["EMFILE"]);
    assert_eq!(finding["processes"][0]["fd_limit"], 64);
}

#[test]
fn a_half_close_that_is_used_is_not_accused() {
    let (lab, stream) = prepared("stream");
    let finding = found(
        &lab,
        &renewed(server(&stream, "half-close", &[stream.number("pid")])),
    );
    assert_eq!(array(&finding, "next_steps").count(), 0, "{finding:#}");
    check_evidence(&finding, &["other ends of 3", "FIN_WAIT2"]);
    means_the_same_replayed(&lab);
    // At any time, and with any selection.
    let port = stream.port().to_string();
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end {
        for state in ["all", "close-wait"] {
            let list = lab.json(&["list", "--port", &port, "--state", state]);
            for socket in sockets_of(&list).filter(|socket| socket["state"] == "CLOSE_WAIT") {
                assert_eq!(socket["cause"], "half-close", "--state {state}: {socket}");
            }
        }
    }
}

#[test]
fn a_long_download_after_a_half_close_is_not_accused() {
    let (lab, bulk) = prepared("bulk");
    let expected = renewed(server(&bulk, "half-close", &[bulk.number("pid")]));
    found(&lab, &expected);
    // There are always unacknowledged bytes.
    let port = bulk.port().to_string();
    for _ in 0..20 {
        let list = lab.json(&["list", "--port", &port]);
        for socket in sockets_of(&list).filter(|socket| socket["state"] == "CLOSE_WAIT") {
            assert_eq!(socket["cause"], "half-close", "{socket}");
        }
    }
}

#[test]
fn a_reader_that_has_no_room_for_some_seconds_is_not_accused() {
    let (lab, choke) = prepared("choke");
    let expected = renewed(server(&choke, "half-close", &[choke.number("pid")]));
    let finding = found(&lab, &expected);
    check_evidence(&finding, &["bytes written but not acknowledged"]);
    check_evidence(&finding, &["windows of 3 of 3 peers are closed"]);
    assert_eq!(finding["half_closed"]["window_shut"], 3, "{finding:#}");
    let shut = finding["half_closed"]["window_shut_ms"].as_u64();
    assert!(shut.is_some_and(|shut| shut > 0), "{finding:#}");
    assert_eq!(array(&finding, "next_steps").count(), 0, "{finding:#}");
}

#[test]
fn an_answer_to_a_half_closed_client_is_worked_on_unless_the_process_is_stopped() {
    let (lab, think) = prepared("think");
    let expected = server(&think, "half-close", &[think.number("pid")]);
    let finding = found(&lab, &expected);
    assert_eq!(array(&finding, "next_steps").count(), 0, "{finding:#}");
    assert_eq!(finding["half_closed"]["unanswered"], 4, "{finding:#}");
    let check = lab.closewait(&["check", "-w", "1", "--port", &think.port().to_string()]);
    assert_eq!(check.code, 0, "{}", check.stdout);
    think.stop();
    let finding = found(
        &lab,
        &Expected {
            severity: "critical",
            ..expected
        },
    );
    check_evidence(&finding, &["is stopped"]);
    let cont = format!("kill -CONT {}", think.pid());
    assert!(
        finding["next_steps"].to_string().contains(&cont),
        "{finding:#}"
    );
}

#[test]
fn an_answer_that_is_sent_again_and_again_is_stuck() {
    let (lab, shrunk) = prepared("shrunk");
    let port = shrunk.port().to_string();
    let all = |is_so: &dyn Fn(&Value) -> bool| {
        let list = lab.json(&["list", "--port", &port, "--state", "close-wait"]);
        match sockets_of(&list).count() == 3 && sockets_of(&list).all(is_so) {
            true => Ok(()),
            false => Err(list.to_string()),
        }
    };
    // This takes half a minute.
    until("that some of it has passed", || {
        all(&|socket| socket["idle_ms"]["at_most"].as_u64() > Some(20_000))
    });
    until("that it is reported", || {
        all(&|socket| socket["cause"] == "send-stuck")
    });
    let expected = renewed(server(&shrunk, "send-stuck", &[shrunk.number("pid")]));
    found(&lab, &expected);
}

#[test]
fn a_proxy_that_does_not_pass_on_a_close_shows_both_of_its_legs() {
    let (lab, proxy) = prepared("proxy");
    let finding = found(
        &lab,
        &Expected {
            cause: "never-closed",
            sockets: 5,
            severity: "info",
            end: ("client", proxy.number("upstream_port")),
            owner_kind: "process",
            pids: vec![proxy.number("pid")],
            age: Age::Least,
        },
    );
    let port = format!(":{}", proxy.port());
    check_evidence(
        &finding,
        &["5 of 5 pair with", "ESTABLISHED", &port, "proxy"],
    );
}

#[test]
fn a_filter_does_not_change_the_finding_about_a_proxy() {
    let (lab, proxy) = prepared("filtered");
    let upstream = proxy.number("upstream_port");
    lab.lingering(u16::try_from(upstream).unwrap(), 5, Age::Least);
    let (upstream, pid) = (upstream.to_string(), proxy.number("pid").to_string());
    let dir = tempfile::tempdir().unwrap();
    let recording = dir.path().join("all.cw");
    let recording = recording.to_str().unwrap();
    assert_eq!(lab.closewait(&["record", recording]).code, 0);
    let pairs = |args: &[&str]| {
        let document = lab.json(args);
        let reported = array(&document, "findings")
            .filter(|finding| pids_of(finding).contains(&proxy.number("pid")))
            .flat_map(|finding| array(finding, "evidence"))
            .find(|line| line.as_str().unwrap().contains("pair with"))
            .cloned();
        reported.unwrap_or_else(|| panic!("{args:?}: {document:#}"))
    };
    let all = pairs(&[]);
    for selection in [
        &["--port", &upstream][..],
        &["state", "close-wait"],
        &["--pid", &pid],
        &["-4"],
        &["list", "dport", "=", &upstream, "recvq", "=", "0"],
        &["list", "--cause", "never-closed"],
    ] {
        assert_eq!(pairs(selection), all);
        assert_eq!(pairs(&[&["--from", recording], selection].concat()), all);
    }
}

#[test]
fn a_proxy_that_has_passed_on_a_close_is_not_accused() {
    let (lab, proxy) = prepared("passing");
    let finding = found(
        &lab,
        &Expected {
            cause: "never-closed",
            sockets: 5,
            severity: "info",
            end: ("client", proxy.number("upstream_port")),
            owner_kind: "process",
            pids: vec![proxy.number("pid")],
            age: Age::Least,
        },
    );
    let port = format!(":{}", proxy.port());
    check_evidence(&finding, &["5 of 5 pair with", "FIN_WAIT2", &port]);
    let reported = finding.to_string();
    assert!(
        reported.contains("the clients have not closed"),
        "{reported}"
    );
    assert!(!reported.contains("does not pass on"), "{reported}");
}

#[test]
fn without_ages_nothing_is_called_fresh_and_what_cannot_be_told_is_unclear() {
    let lab = Lab::new();
    let leak = lab.start("leak", &["connections=3"]);
    let slow = lab.start("slow", &["connections=2", "patience_ms=100"]);
    let deaf = lab.start("deaf", &["connections=2"]);
    let document = lab.json(&["--source", "procfs"]);
    for (program, cause) in [
        (&leak, "never-closed"),
        (&slow, "unclear"),
        (&deaf, "not-reading"),
    ] {
        let finding = check_triage(&document, &server(program, cause, &[program.number("pid")]));
        assert!(
            finding["idle_ms"].is_null(),
            "no age is guessed: {finding:#}"
        );
        assert!(finding["patience_ms"].is_null(), "{finding:#}");
    }
}

#[test]
fn two_thousand_good_connections_a_second_give_no_finding_above_info() {
    let lab = Lab::new();
    let (rate, looks) = if lab.is_private() {
        (2000, 20)
    } else {
        (200, 5)
    };
    let churn = lab.start("churn", &[&format!("rate={rate}")]);
    let pid = churn.number("pid");
    for _ in 0..looks {
        let document = lab.json(&["--sample", "0"]);
        for finding in array(&document, "findings") {
            if lab.is_private() || pids_of(finding).contains(&pid) {
                assert_eq!(finding["severity"], "info", "{finding:#}");
                assert_eq!(finding["cause"], "transient", "{finding:#}");
            }
        }
    }
    let made = churn.finish();
    assert!(made >= looks, "{looks} looks at {made} connections");
}
