//! Judgement, tested by scenarios: each file in `fixtures/scenarios` describes the facts from the kernel and
//! /proc, and what a careful operator would conclude. Adding one needs no Rust;
//! `fixtures/scenarios/README.md` has the syntax.

#[path = "scenarios/readings.rs"]
mod readings;
mod scenario;

use std::collections::BTreeSet;

use closewait::model::Cause;
use unicode_width::UnicodeWidthStr;

use scenario::{Scenario, judge};

/// What differs from the expectation; `None` when nothing does.
///
/// # Errors
/// When a line of the scenario is not understood.
fn failure(scenario: &Scenario) -> Result<Option<String>, String> {
    let found = judge::run(scenario)?;
    Ok(Some(judge::differences(scenario, &found)).filter(|text| !text.is_empty()))
}

#[test]
fn every_scenario_is_judged_as_its_file_expects() {
    let mut failures = String::new();
    for (name, scenario) in scenario::all() {
        let told = scenario.and_then(|scenario| {
            let Scenario { title, why, .. } = &scenario;
            Ok(match (failure(&scenario)?, &scenario.wrong_today) {
                (Some(text), None) => Some(format!("({title})\n    {}\n{text}", why.trim())),
                (None, Some(_)) => Some("is right now: remove its wrong_today\n".to_owned()),
                (None, None) | (Some(_), Some(_)) => None,
            })
        });
        if let Some(text) = told.unwrap_or_else(Some) {
            failures.push_str(&format!("\n{name} {text}"));
        }
    }
    assert!(
        failures.is_empty(),
        "\n(- expected, + found, then the words of the finding)\n{failures}"
    );
}

/// With `--nocapture` it also shows what is known to be wrong, and all words of every finding.
#[test]
fn every_finding_is_put_in_words() {
    for (name, scenario) in scenario::all() {
        let scenario = scenario.unwrap();
        println!("\n== {name}: {}", scenario.title);
        if let Some(wrong) = &scenario.wrong_today {
            let text = failure(&scenario).unwrap().unwrap_or_default();
            println!("WRONG TODAY: {wrong}\n{text}");
        }
        for told in judge::run(&scenario).unwrap().findings {
            println!("{}\n    {}", told.head, told.words.replace('\n', "\n    "));
            assert!(told.words.lines().count() >= 2, "{name}: {}", told.head);
        }
    }
}

#[test]
fn stacks_are_shown_on_lines_that_fit() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots/scenarios");
    settings.set_prepend_module_to_snapshot(false);
    let mut shown = 0;
    for (name, scenario) in scenario::all() {
        let scenario = scenario.unwrap();
        if !(scenario.process.iter()).any(|process| process.stacks.is_some()) {
            continue;
        }
        shown += 1;
        let found = judge::run(&scenario).unwrap();
        let screens = found.findings.iter().map(|told| {
            for (screen, width) in told.screens.iter().zip([80, 160]) {
                let longest = screen.lines().map(UnicodeWidthStr::width).max();
                assert!(longest <= Some(width), "{name}: {screen}");
            }
            told.screens.join("\n")
        });
        let text: Vec<String> = screens.collect();
        let file = name.trim_end_matches(".toml");
        settings.bind(|| insta::assert_snapshot!(file, text.join("\n\n")));
    }
    assert!(shown > 5, "{shown}");
}

#[test]
fn every_cause_has_a_scenario_that_expects_it_as_a_finding() {
    let expected: BTreeSet<String> = scenario::all()
        .into_iter()
        .filter_map(|(_, scenario)| scenario.ok())
        .filter(|scenario| scenario.wrong_today.is_none())
        .flat_map(|scenario| scenario.expect)
        .map(|expect| expect.cause)
        .collect();
    for cause in Cause::ALL {
        assert!(expected.contains(cause.name()), "no scenario of {cause}");
    }
}

#[test]
fn nobody_is_told_to_lower_tcp_fin_timeout() {
    for (name, scenario) in scenario::all() {
        let found = judge::run(&scenario.unwrap()).unwrap();
        for told in found.findings {
            assert!(!told.words.contains("fin_timeout"), "{name}: {}", told.head);
        }
    }
}

const SMALLEST: &str = r#"
    title = "one connection"
    why = "the least that a file can hold"
    sockets = ["CLOSE_WAIT :80 <- 10.0.0.9 a[1] recvq=0 sent=1m received=1m acked=1m"]
    causes = { never-closed = 1 }
"#;

#[test]
fn an_unknown_key_is_rejected_wherever_it_stands() {
    assert!(scenario::read(SMALLEST).is_ok());
    for extra in [
        "cuases = {}",
        "[rules]\nwarnings = 1",
        "[host]\nsomax = 1",
        "[[process]]\npid = 1\nfdlimit = 2",
        "[[process]]\npid = 1\nepoll = { watchd = 2 }",
        "[[expect]]\ncause = 'x'\nsockets = 1\nseverity = 'info'\nservice = ':1'\nowner = '-'\nsay = []",
    ] {
        let error = scenario::read(&format!("{SMALLEST}\n{extra}\n")).unwrap_err();
        assert!(
            error.contains("unknown field") || error.contains("untagged"),
            "{error}"
        );
    }
    let misspelt = SMALLEST.replace("recvq=", "recq=");
    let error = judge::run(&scenario::read(&misspelt).unwrap())
        .err()
        .unwrap();
    assert!(error.contains("unknown key \"recq\""), "{error}");
}

#[test]
fn a_finding_that_the_file_does_not_expect_is_a_failure() {
    let text = failure(&scenario::read(SMALLEST).unwrap())
        .unwrap()
        .unwrap();
    assert!(text.contains("+ info never-closed 1x :80 a[1]"), "{text}");
}

#[test]
fn a_line_that_cannot_be_is_rejected() {
    for (line, message) in [
        ("CLOSE_WAIT :80 <- 10.0.0.9 recvq=0", "whose?"),
        ("CLOSE_WAIT :80 <- 10.0.0.9 a[1] recvq=0", "needs sent="),
        (
            "CLOSE_WAIT :80 <- 10.0.0.9 a[1] tcpinfo=none sent=1s",
            "there is none",
        ),
        ("CLOSE_WAIT -> 10.0.0.9 a[1] tcpinfo=none", "needs a port"),
        ("CLOSE_WAIT :80 10.0.0.9 hidden tcpinfo=none", "needs LOCAL"),
        ("BANANA :80 <- 10.0.0.9 a[1]", "unknown state"),
        (
            "CLOSE_WAIT :80 <- 10.0.0.9 a[1] sent=5 received=1s acked=1s",
            "not a duration",
        ),
    ] {
        let mut scenario = scenario::read(SMALLEST).unwrap();
        scenario.sockets = vec![line.to_owned()];
        let error = judge::run(&scenario).err().unwrap();
        assert!(error.contains(message), "{line}: {error}");
    }
}
