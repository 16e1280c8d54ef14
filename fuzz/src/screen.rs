//! Shows the result of an input in every output format: no control or invisible characters, and JSON that
//! parses.

use std::sync::LazyLock;
use std::time::Duration;

use closewait::classifier::{self, finding, queue};
use closewait::collector::sockets::sock_diag::Dumped;
use closewait::command::inspection::Inspection;
use closewait::command::{Command, Plan};
use closewait::env::Terminal;
use closewait::model::{Host, Namespace, Scan, Snapshot, Source};
use closewait::renderer::columns::Column;
use closewait::renderer::{self, Format};

use crate::attacks;

/// Pages that show different facts of a socket.
static PAGES: LazyLock<Vec<Inspection>> = LazyLock::new(|| {
    let columns: Vec<&str> = Column::all().map(Column::name).collect();
    let columns = columns.join(",");
    let lines: [&[&str]; 10] = [
        &[],
        &["--json"],
        &["list", "-aeimoW"],
        &["list", "-a", "--columns", &columns],
        &["list", "-a", "--columns", &columns, "--csv"],
        &["list", "-aeim", "--json"],
        &["list", "-a", "--columns", &columns, "--jsonl"],
        &["--by", "state,side,port,peer,user"],
        &["explain"],
        &["--prometheus"],
    ];
    let plan = |line: &[&str]| {
        let command = Command::read(["closewait"].iter().chain(line)).unwrap();
        match Plan::new(command, Terminal::default()) {
            Ok(Plan::Inspect(plan)) => *plan,
            other => panic!("{line:?}: {other:?}"),
        }
    };
    lines.into_iter().map(plan).collect()
});

/// A snapshot with these sockets.
pub fn snapshot(found: Dumped, source: Source) -> Snapshot {
    Snapshot {
        host: Host::default(),
        namespaces: vec![Namespace {
            source,
            ..Namespace::UNKNOWN
        }],
        others: None,
        taken_at_ns: 1_700_000_000_000_000_000,
        reading_ms: Some(1),
        sockets: found.sockets,
        subflows: found.subflows,
        details: found.details,
        holders: None,
        cgroups: None,
        scan: Scan::default(),
        scanned: Vec::new(),
        gaps: Vec::new(),
        steps: Vec::new(),
        recorded: false,
    }
}

/// Prints a snapshot in the format that a byte chooses.
pub fn shown(snapshot: &Snapshot, form: u8) {
    page(snapshot, &PAGES[usize::from(form) % PAGES.len()]);
}

/// Prints a snapshot as a plan says.
pub fn page(snapshot: &Snapshot, plan: &Inspection) {
    let report = classifier::classify(snapshot, &plan.rules);
    let (sets, queues) = (finding::sets(&report), queue::queues(&report));
    let findings = finding::findings(&report, sets, queues, &[], &plan.rules.thresholds);
    let mut out = Vec::new();
    let printed = renderer::render(
        &report,
        &findings,
        None,
        &plan.view,
        Duration::ZERO,
        &mut out,
    );
    assert!(printed.is_ok(), "{printed:?}");
    let text = String::from_utf8(out).unwrap_or_else(|error| panic!("{error}"));
    let documents: Vec<&str> = match plan.view.format {
        Format::Json => vec![&text],
        Format::Jsonl => text.lines().collect(),
        Format::Table | Format::Csv | Format::Prometheus { .. } => {
            // CSV has line ends as in RFC 4180.
            let lines = text.replace("\r\n", "\n");
            assert_eq!(attacks::fault(&lines, true), None);
            Vec::new()
        }
    };
    for document in documents {
        let value: Result<serde_json::Value, _> = serde_json::from_str(document);
        assert!(value.is_ok(), "{value:?}: {document}");
    }
}
