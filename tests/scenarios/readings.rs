//! Two readings, each given as the sockets of a scenario: what a comparison and a growth rest on.

use closewait::classifier::change::{Change, Presence};
use closewait::classifier::diff::diff;
use closewait::classifier::finding::{self, Finding};
use closewait::classifier::growth::{self, Growth};
use closewait::classifier::range::Limits;
use closewait::classifier::rules::Thresholds;
use closewait::classifier::tally::{Dimension, ValueText};
use closewait::classifier::verdict::{CountBy, Criteria, Since, Status, verdict};
use closewait::classifier::{Report, Rules, classify};
use closewait::model::{Pid, Snapshot, State, StateSet};

use crate::scenario;

fn read(sockets: &[&str]) -> (Snapshot, Rules) {
    let text = format!(
        "title = \"\"\nwhy = \"\"\ncauses = {{}}\nlisteners = [\":8080 java[1234] queue=0/100\"]\nsockets = {sockets:?}\n"
    );
    let scenario = scenario::read(&text).unwrap();
    let rules = scenario::build::rules(&scenario.rules).unwrap();
    (scenario::build::snapshot(&scenario).unwrap(), rules)
}

/// A comparison by cause of two readings of one service, each given as the sockets of a
/// scenario: cause, before, after, still, new, gone.
fn causes(before: &[&str], after: &[&str]) -> Vec<(String, [u64; 5])> {
    let ((earlier, rules), (later, _)) = (read(before), read(after));
    let (earlier, later) = (classify(&earlier, &rules), classify(&later, &rules));
    // Whatever is asked for, what a socket is rests on the whole of its service.
    let lines = diff(
        &earlier,
        &later,
        &[Dimension::State, Dimension::Cause],
        true,
    )
    .lines;
    lines
        .into_iter()
        .filter_map(|line| {
            let ValueText::Text(cause) = &line.values[1] else {
                return None;
            };
            let change = line.change;
            let counts = [
                change.before(),
                change.after(),
                change.still,
                change.new,
                change.gone,
            ];
            Some((cause.to_string(), counts))
        })
        .collect()
}

/// So many sockets of a leak, of this age; each reading numbers its sockets from the first on.
fn leaked(count: usize, port: u16, age: &str) -> String {
    format!(
        "{count}x CLOSE_WAIT :8080 <- 10.0.0.9:{port} java[1234] recvq=0 sent={age} received={age} acked={age}"
    )
}

#[test]
fn the_young_sockets_of_a_leak_are_of_the_leak() {
    let old = leaked(20, 20_000, "13m");
    let (older, young) = (leaked(178, 30_000, "8s"), leaked(117, 40_000, "2s"));
    let grown = causes(&[&old], &[&old, &older, &young]);
    assert_eq!(grown, [("never-closed".to_owned(), [20, 315, 20, 295, 0])]);
    let began = causes(&[], &[&older, &young]);
    assert_eq!(began, [("never-closed".to_owned(), [0, 295, 0, 295, 0])]);
    // Those that were young are still there, and no longer young.
    let stayed = causes(
        &[&older, &young],
        &[&older, &leaked(117, 40_000, "12s"), &young],
    );
    assert_eq!(
        stayed,
        [("never-closed".to_owned(), [295, 412, 295, 117, 0])]
    );
    // Of a process that ended, all are gone.
    let ended = causes(&[&older, &young], &[]);
    assert_eq!(ended, [("never-closed".to_owned(), [295, 0, 0, 0, 295])]);
}

#[test]
fn the_young_that_are_closed_beside_a_leak_are_not_of_it() {
    let old = leaked(20, 20_000, "13m");
    // The cookies show that the young sockets before are not those after.
    let passing = leaked(50, 30_000, "1s");
    let churned = causes(&[&old, &passing], &[&old]);
    assert_eq!(churned[0], ("never-closed".to_owned(), [20, 20, 20, 0, 0]));
    assert_eq!(churned[1], ("transient".to_owned(), [50, 0, 0, 0, 50]));
    // Nor is anything a leak where nothing lingers, or which of two causes it will be.
    let young = causes(&[], &[&passing]);
    assert_eq!(young, [("transient".to_owned(), [0, 50, 0, 50, 0])]);
    let unread =
        "9x CLOSE_WAIT :8080 <- 10.0.0.8 java[1234] recvq=9 sent=never received=13m acked=13m";
    let mixed = causes(&[], &[&old, unread, &passing]);
    assert_eq!(mixed.len(), 3, "{mixed:?}");
}

/// Readings in quick succession, as `watch` takes them: what is new has always just come.
#[test]
fn what_came_between_readings_a_second_apart_is_new() {
    let old = leaked(20, 20_000, "13m");
    let came = leaked(2, 30_000, "400ms");
    let ((earlier, rules), (mut later, _)) = (read(&[&old]), read(&[&old, &came]));
    let mut new_after = |milliseconds: u64| {
        later.taken_at_ns = earlier.taken_at_ns + i128::from(milliseconds) * 1_000_000;
        let (before, after) = (classify(&earlier, &rules), classify(&later, &rules));
        let growth = growth::between(&before, &after, milliseconds, false);
        let groups = after.groups();
        let waits = groups.iter().find(|group| group.state == State::CloseWait);
        growth.of_group(waits.unwrap()).new
    };
    assert_eq!((new_after(1_000), new_after(2_000)), (2, 2));
    // After a longer time, one that has just come may be closed in a moment.
    assert_eq!(new_after(10_000), 0);
}

/// Ten seconds.
const BETWEEN_MS: u64 = 10_000;

/// What two readings, ten seconds apart, show of the growth.
fn grown<T>(before: &[&str], after: &[&str], look: impl Fn(&Growth, &Report<'_>) -> T) -> T {
    let ((earlier, rules), (later, _)) = (read(before), read(after));
    let (earlier, later) = (classify(&earlier, &rules), classify(&later, &rules));
    let growth = growth::between(&earlier, &later, BETWEEN_MS, false);
    look(&growth, &later)
}

/// The change of the CLOSE_WAIT group.
fn of_close_wait(growth: &Growth, later: &Report<'_>) -> Change {
    let groups = later.groups();
    let waits = groups
        .iter()
        .find(|group| group.state == State::CloseWait)
        .unwrap();
    growth.of_group(waits)
}

fn findings(report: &Report<'_>) -> Vec<Finding> {
    let sets = finding::sets(report);
    finding::findings(report, sets, Vec::new(), &[], &Thresholds::default()).findings
}

const fn change(still: u64, new: u64, gone: u64) -> Change {
    Change { still, new, gone }
}

#[test]
fn a_leak_grows_by_its_lingering_and_its_young_sockets() {
    let old = leaked(20, 20_000, "13m");
    let (older, young) = (leaked(30, 30_000, "8s"), leaked(19, 40_000, "2s"));
    let after = [&*old, &older, &young];
    assert_eq!(grown(&[&old], &after, of_close_wait), change(20, 49, 0));
    let of_finding = grown(&[&old], &after, |growth, later| {
        let findings = findings(later);
        assert_eq!(findings[0].set.sockets, 50);
        growth.of_set(&findings[0].set)
    });
    assert_eq!(of_finding.change, change(20, 49, 0));
    assert_eq!(of_finding.per_minute(), Some(294.0));
    // 955 more in steps of 49 in ten seconds.
    let full = of_finding.full_in_ms(Pid(1234), 69, 1_024);
    assert_eq!(full, Some(955 * BETWEEN_MS / 49));
    assert_eq!(of_finding.full_in_ms(Pid(1234), 1_024, 1_024), None);
    assert_eq!(of_finding.full_in_ms(Pid(1), 69, 1_024), None);
}

#[test]
fn a_program_that_closes_its_sockets_does_not_grow() {
    let passing = |count, port| leaked(count, port, "20ms");
    let (before, after) = (passing(3, 30_000), passing(9, 40_000));
    let growth = |before: &[&str], after: &[&str]| grown(before, after, of_close_wait).growth();
    assert_eq!(growth(&[&before], &[&after]), 0);
    // Nor does a leak that has stopped, beside it.
    let old = leaked(20, 20_000, "13m");
    for before in [&[&*old, &before][..], &[&old]] {
        assert_eq!(growth(before, &[&old, &after]), 0);
    }
    // A leak that goes on is seen beside it. What is passing may be of it, unless some of that went.
    let new = leaked(10, 50_000, "8s");
    assert_eq!(growth(&[&old], &[&old, &new, &after]), 19);
    let gone = passing(30, 30_000);
    assert_eq!(growth(&[&old, &gone], &[&old, &after]), 0);
    // Slow closes come and go; what was young before and lingers now is of the leak.
    let (slow, other) = (leaked(5, 50_000, "3s"), leaked(5, 60_000, "3s"));
    let aged = leaked(5, 50_000, "13s");
    let before = [&*old, &slow, &leaked(7, 10_000, "4s")];
    let now = grown(&before, &[&old, &aged, &other], of_close_wait);
    assert_eq!(now, change(20, 5, 0));
}

#[test]
fn sockets_that_close_wait_now_and_were_open_before_are_new_in_it() {
    let open = "5x ESTABLISHED :8080 <- 10.0.0.9:20000 java[1234] sent=13m received=13m acked=13m";
    let waits = leaked(5, 20_000, "3s");
    assert_eq!(grown(&[open], &[&waits], of_close_wait), change(0, 5, 0));
    let total = grown(&[open], &[&waits], |growth, _| growth.total);
    // The listener is still there.
    assert_eq!(total, change(6, 0, 0));
    let ((earlier, rules), (later, _)) = (read(&[open]), read(&[&waits]));
    let (mut earlier, mut later) = (classify(&earlier, &rules), classify(&later, &rules));
    growth::between(&earlier, &later, BETWEEN_MS, false).mark(&mut earlier, &mut later);
    let changes = |state| {
        let rows = later.rows().filter(move |row| row.socket.state == state);
        rows.map(|row| row.change).collect::<Vec<_>>()
    };
    assert_eq!(changes(State::CloseWait), [Some(Presence::Moved); 5]);
    assert_eq!(changes(State::Listen), [Some(Presence::Still)]);
}

#[test]
fn a_group_that_ended_is_told_with_its_sockets() {
    let old = leaked(12, 20_000, "13m");
    let gone = grown(&[&old], &[], |growth, _| {
        assert_eq!(growth.gone().len(), 12);
        growth.gone_groups.clone()
    });
    let gone: Vec<(State, u64)> = gone
        .iter()
        .map(|group| (group.state, group.sockets))
        .collect();
    assert_eq!(gone, [(State::CloseWait, 12)]);
    // Of a group that is smaller now, nothing is told here.
    let fewer = leaked(7, 20_000, "13m");
    let gone = grown(&[&old], &[&fewer], |growth, later| {
        assert_eq!(of_close_wait(growth, later), change(7, 0, 5));
        growth.gone_groups.len()
    });
    assert_eq!(gone, 0);
}

/// The status of `check --growth 10`, and the growth per minute.
fn checked(before: &[&str], after: &[&str]) -> (Status, Option<f64>) {
    let ((earlier, rules), (later, _)) = (read(before), read(after));
    let (earlier, later) = (classify(&earlier, &rules), classify(&later, &rules));
    let criteria = Criteria {
        states: StateSet::of(State::CloseWait),
        by: CountBy::Either,
        count: Limits::default(),
        fd_share: Limits::default(),
        queue: Limits::default(),
        growth: "10".parse().unwrap(),
        allow_partial: false,
        strict: false,
        owners: true,
        evidence: true,
    };
    let found = finding::Findings {
        findings: findings(&later),
        queues: Vec::new(),
    };
    let since = Since {
        before: &earlier,
        between_ms: BETWEEN_MS,
        all: false,
    };
    let verdict = verdict(&later, &found, Some(since), &criteria);
    (verdict.growth.status, verdict.growth.value)
}

#[test]
fn a_check_counts_the_growth_that_the_page_shows() {
    let old = leaked(20, 20_000, "13m");
    let young = leaked(12, 30_000, "2s");
    let grown = checked(&[&old], &[&old, &young]);
    assert_eq!(grown, (Status::Warning, Some(72.0)));
    // What was young at the first reading and lingers now was there.
    let aged = checked(&[&old, &young], &[&old, &leaked(12, 30_000, "12s")]);
    assert_eq!(aged, (Status::Ok, Some(0.0)));
    let passing = leaked(12, 30_000, "20ms");
    assert_eq!(checked(&[&old], &[&old, &passing]), (Status::Ok, Some(0.0)));
    let fewer = leaked(15, 20_000, "13m");
    assert_eq!(checked(&[&old], &[&fewer]), (Status::Ok, Some(-30.0)));
}
