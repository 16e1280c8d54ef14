//! Two readings, in every view: what `--for` shows.

use closewait::classifier::change::Change;
use closewait::classifier::{classify, growth};
use closewait::model::{Charset, Endpoint, Gap, GapKind, Snapshot, Socket, State};
use closewait::renderer::{self, Latest, Since};
use serde_json::Value;

use super::{ELAPSED, check, evidence, findings, from_text, planned, whole};

const BETWEEN_MS: u64 = 10_003;

/// The reading before: the leak of java on :8080 has three sockets less, a connection of envoy
/// was open, and node had other sockets.
fn before() -> Snapshot {
    let mut before = whole();
    let mut left = 3;
    before.sockets.retain(|socket| {
        let is_of_leak = socket.state == State::CloseWait && socket.local.port == 8080;
        let is_new = is_of_leak && left > 0;
        left -= i32::from(is_new);
        !is_new
    });
    let mut cookie = 1 << 40;
    for socket in &mut before.sockets {
        if socket.state == State::CloseWait && socket.local.port == 8082 {
            cookie += 1;
            socket.cookie = std::num::NonZeroU64::new(cookie);
        }
    }
    let open = (before.sockets.iter_mut())
        .find(|socket| socket.state == State::CloseWait && socket.local.port == 8443);
    open.unwrap().state = State::Established;
    // A service that has ended since.
    let leak = (before.sockets.iter())
        .find(|socket| socket.state == State::CloseWait && socket.local.port == 8080)
        .cloned()
        .unwrap();
    before.sockets.extend((0..4).map(|at| {
        let mut socket = leak.clone();
        socket.remote = Endpoint {
            port: 50_000 + at,
            addr: "10.0.0.7".parse().unwrap(),
        };
        socket.local.port = 8070;
        socket.cookie = std::num::NonZeroU64::new((1 << 41) + u64::from(at));
        socket
    }));
    before
}

/// What a command line prints of two readings.
fn grown(before: &Snapshot, after: &Snapshot, width: Option<usize>, command: &str) -> String {
    grown_since(before, None, after, width, command)
}

/// The same with a reading in between, 2 s before the last.
fn grown_since(
    before: &Snapshot,
    between: Option<&Snapshot>,
    after: &Snapshot,
    width: Option<usize>,
    command: &str,
) -> String {
    let plan = planned(Charset::Utf8, width, command);
    let mut before = classify(before, &plan.rules);
    let mut report = classify(after, &plan.rules);
    let growth = growth::between(&before, &report, BETWEEN_MS, false);
    growth.mark(&mut before, &mut report);
    let mut found = findings(&report, &plan, &evidence());
    for finding in &mut found.findings {
        let of_set = growth.of_set(&finding.set);
        finding.growth = (of_set.change != Change::default()).then_some(of_set);
    }
    let between = between.map(|between| classify(between, &plan.rules));
    let latest = (between.as_ref())
        .map(|between| (growth::between(between, &report, 2_000, false), between));
    let since = Some(Since {
        growth: &growth,
        before: &before,
        latest: (latest.as_ref()).map(|(growth, before)| Latest { growth, before }),
    });
    let mut out = Vec::new();
    renderer::render(&report, &found, since, &plan.view, ELAPSED, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn two_readings_on_terminals_and_in_a_pipe() {
    let (before, after) = (before(), whole());
    let shown = |width, command: &str| {
        let command = format!("{command} --for 10s --color never");
        grown(&before, &after, width, &command)
    };
    check("growth-80", &shown(Some(80), ""));
    check("growth-160", &shown(Some(160), ""));
    check("growth-list-80", &shown(Some(80), "list state close-wait"));
    let wide = "list state close-wait --sort change";
    check("growth-list-160", &shown(Some(160), wide));
    check(
        "growth-list-csv",
        &shown(None, "list state close-wait --csv"),
    );
    check(
        "growth-by",
        &shown(Some(80), "--by state,program,port state close-wait"),
    );
    check(
        "growth-by-csv",
        &shown(None, "--by state,port state close-wait --csv"),
    );
}

#[test]
fn of_several_readings_the_latest_change_is_shown_too() {
    let (before, after) = (before(), whole());
    // Since then, one socket of the leak has come and one of another service has gone.
    let mut between = after.clone();
    let of = |port| {
        let is_meant =
            move |socket: &&Socket| socket.state == State::CloseWait && socket.local.port == port;
        after.sockets.iter().find(is_meant).cloned().unwrap()
    };
    let new = of(8080);
    between.sockets.retain(|socket| socket.cookie != new.cookie);
    let mut gone = of(8082);
    gone.cookie = std::num::NonZeroU64::new(1 << 42);
    between.sockets.push(gone);
    let shown = |width, command: &str| {
        let command = format!("{command} --for 10s --findings 1 --color never");
        grown_since(&before, Some(&between), &after, Some(width), &command)
    };
    check("latest-80", &shown(80, ""));
    check("latest-160", &shown(160, ""));
    let by = "--by state,program,port state close-wait";
    let text = grown_since(
        &before,
        Some(&between),
        &after,
        Some(80),
        &format!("{by} --for 10s"),
    );
    check("latest-by", &text);
}

#[test]
fn json_of_two_readings() {
    let (before, after) = (before(), whole());
    let document = |command: &str| -> Value {
        let command = format!("{command} --for 10s --json");
        serde_json::from_str(&grown(&before, &after, None, &command)).unwrap()
    };
    let list = document("list state close-wait");
    assert_eq!(list["growth"]["between_ms"], BETWEEN_MS);
    assert_eq!(list["growth"]["told_by"], "cookie");
    let of = |change: &str| {
        let sockets = list["sockets"].as_array().unwrap();
        let has = |socket: &&Value| socket["change"] == change;
        sockets.iter().filter(has).count() as u64
    };
    let total = &list["growth"]["total"];
    assert!(of("new") > 3 && of("gone") > 4);
    assert_eq!(total["new"], of("new"));
    assert_eq!(total["gone"], of("gone"));
    assert_eq!(total["still"], of("still"));
    let gone = &list["growth"]["gone_groups"][0];
    assert_eq!(
        (&gone["local_port"], &gone["sockets"]),
        (&8070.into(), &4.into())
    );
    let triage = document("");
    let group = (triage["groups"].as_array().unwrap().iter())
        .find(|group| group["state"] == "CLOSE_WAIT" && group["local_port"] == 8080)
        .unwrap();
    assert_eq!(group["growth"]["new"], 3);
    let per_minute = group["growth"]["growth_per_min"].as_f64().unwrap();
    assert_eq!(per_minute.round(), 18.0);
    let by = document("--by port state close-wait");
    let gone = &by["by"]["gone"][0];
    assert_eq!(
        (&gone["port"], &gone["growth"]["gone"]),
        (&8070.into(), &4.into())
    );
}

#[test]
fn what_two_readings_leave_open_is_said() {
    let (before, after) = (before(), whole());
    let by_ends = grown(&from_text(), &from_text(), Some(100), "--for 10s");
    assert!(by_ends.contains("matched by address and port"), "{by_ends}");
    assert!(by_ends.contains("0 new sockets, 0 gone"), "{by_ends}");
    let mut cut = before.clone();
    cut.gaps.push(Gap {
        kind: GapKind::DumpInterrupted,
        count: 1,
        detail: "sockets came and went".into(),
        hint: "run again".into(),
    });
    let text = grown(&cut, &after, None, "--for 10s");
    assert!(text.contains("some new sockets may be older"), "{text}");
    let text = grown(&before, &cut, None, "--for 10s");
    assert!(
        text.contains("some gone sockets may still be there"),
        "{text}"
    );
}
