//! Runs a scenario through the pipeline, and compares what was found with what was expected.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use closewait::classifier::finding::{self, Finding};
use closewait::classifier::service::ServedAt;
use closewait::classifier::service::ServiceEnd;
use closewait::classifier::severity::Severity;
use closewait::classifier::{self, Report, queue};
use closewait::model::{Charset, Evidence, Pid};
use closewait::renderer::style::Look;
use closewait::renderer::{findings, names};

use super::build;
use super::file::{Expect, Process, Scenario};

/// A process with so many dead sockets is asked about them, whatever else it holds.
const DEAD_FEW: u64 = 20;

/// What the program made of a scenario.
pub struct Found {
    pub findings: Vec<Told>,
    pub causes: BTreeMap<String, u64>,
    pub gaps: Vec<String>,
}

/// A finding as the user sees it.
pub struct Told {
    /// Severity, cause, sockets, service end and owner in one line.
    pub head: String,
    /// Summary, meaning, evidence and next steps; one a line.
    pub words: String,
    /// The finding in full on terminals of 80 and of 160 columns.
    pub screens: [String; 2],
}

/// Collects from the file, classifies, and puts it in words.
pub fn run(scenario: &Scenario) -> Result<Found, String> {
    let snapshot = build::snapshot(scenario)?;
    let rules = build::rules(&scenario.rules)?;
    let report = classifier::classify(&snapshot, &rules);
    let sets = finding::sets(&report);
    let queues = queue::queues(&report);
    let suspects = finding::suspects(&sets, &queues, &rules.thresholds);
    let mut evidence: Vec<Evidence> = Vec::new();
    let asked = suspects.asked.iter().map(|(pid, _)| *pid);
    let holds_dead = |process: &&Process| process.dead_sockets.is_some_and(|dead| dead >= DEAD_FEW);
    let with_dead_sockets = scenario.process.iter().filter(holds_dead);
    let asked: BTreeSet<Pid> = asked
        .chain(with_dead_sockets.map(|process| Pid(process.pid)))
        .collect();
    for pid in asked {
        if let Some(process) = described(scenario, pid) {
            evidence.push(build::evidence(process, pid)?);
        }
    }
    let found = loop {
        let (sets, queues) = (sets.clone(), queues.clone());
        let mut found = finding::findings(&report, sets, queues, &evidence, &rules.thresholds);
        let behind = found.not_yet_read();
        let told = behind
            .iter()
            .filter_map(|pid| Some(build::evidence(described(scenario, *pid)?, *pid)));
        let told: Vec<Evidence> = told.collect::<Result<_, _>>()?;
        if told.is_empty() {
            found.keep_stacks(Severity::Warning);
            break found;
        }
        evidence.extend(told);
    };
    let mut causes = BTreeMap::new();
    for cause in report.rows().filter_map(|row| row.cause) {
        *causes.entry(cause.name().to_owned()).or_default() += 1;
    }
    let mut gaps: Vec<String> = report
        .gaps
        .iter()
        .map(|gap| gap.kind.name().to_owned())
        .collect();
    gaps.sort();
    Ok(Found {
        findings: found
            .findings
            .iter()
            .map(|finding| told(&report, finding))
            .collect(),
        causes,
        gaps,
    })
}

fn described(scenario: &Scenario, pid: Pid) -> Option<&Process> {
    let mut processes = scenario.process.iter();
    processes.find(|process| process.is(pid.0))
}

fn told(report: &Report<'_>, finding: &Finding) -> Told {
    let set = &finding.set;
    let service = match set.end {
        ServiceEnd::One(service) => match service.at {
            ServedAt::Local(0) => ":*".to_owned(),
            ServedAt::Local(port) => format!(":{port}"),
            ServedAt::Remote(remote) => remote.to_string(),
            ServedAt::Unknown(addr) => format!("with {addr}"),
        },
        ServiceEnd::Several(_, 0) => "nowhere".to_owned(),
        ServiceEnd::Several(_, ends) => format!("{ends} ends"),
    };
    let mut words = vec![
        findings::summary(report, finding),
        findings::meaning(finding),
    ];
    words.extend(findings::evidence(report, finding));
    words.extend(findings::next_steps(report, finding));
    Told {
        head: format!(
            "{} {} {}x {service} {}",
            finding.severity.name(),
            set.cause,
            set.sockets,
            names::owner_of(report, &set.owner)
        ),
        words: words.join("\n"),
        screens: [80, 160].map(|width| {
            let look = Look {
                colour: false,
                marks: true,
                width: Some(width),
                terminal: true,
                charset: Charset::Utf8,
            };
            let mut out = Vec::new();
            // Writing to a Vec does not fail.
            let _ = findings::Block::new(report, finding, None, look).write(&mut out);
            String::from_utf8_lossy(&out).into_owned()
        }),
    }
}

fn head(expect: &Expect) -> String {
    format!(
        "{} {} {}x {} {}",
        expect.severity, expect.cause, expect.sockets, expect.service, expect.owner
    )
}

/// What differs, line by line; empty when everything is as expected.
pub fn differences(scenario: &Scenario, found: &Found) -> String {
    let mut out = String::new();
    if scenario.causes != found.causes {
        push(&mut out, '-', &format!("causes {:?}", scenario.causes));
        push(&mut out, '+', &format!("causes {:?}", found.causes));
    }
    let mut gaps = scenario.gaps.clone();
    gaps.sort();
    if gaps != found.gaps {
        push(&mut out, '-', &format!("gaps {gaps:?}"));
        push(&mut out, '+', &format!("gaps {:?}", found.gaps));
    }
    let most = scenario.expect.len().max(found.findings.len());
    for at in 0..most {
        finding_differs(scenario.expect.get(at), found.findings.get(at), &mut out);
    }
    out
}

fn finding_differs(expect: Option<&Expect>, told: Option<&Told>, out: &mut String) {
    let expected = expect.map(head);
    let (Some(expect), Some(told)) = (expect, told) else {
        if let Some(expected) = expected {
            push(out, '-', &expected);
        }
        if let Some(told) = told {
            push(out, '+', &told.head);
            push(out, ' ', &told.words);
        }
        return;
    };
    let before = out.len();
    if expected.as_ref() != Some(&told.head) {
        push(out, '-', &expected.unwrap_or_default());
        push(out, '+', &told.head);
    }
    for text in &expect.says {
        if !told.words.contains(text.as_str()) {
            push(out, '-', &format!("{}: says {text:?}", told.head));
        }
    }
    for text in &expect.not_says {
        if told.words.contains(text.as_str()) {
            push(out, '+', &format!("{}: says {text:?}", told.head));
        }
    }
    if out.len() > before {
        push(out, ' ', &told.words);
    }
}

fn push(out: &mut String, sign: char, text: &str) {
    for line in text.lines() {
        // Writing to a String does not fail.
        let _ = writeln!(out, "    {sign} {line}");
    }
}
