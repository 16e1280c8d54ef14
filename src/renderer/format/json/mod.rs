//! JSON: one document, or one line a socket. `docs/schema.json` says what each field means; fields
//! are added, never renamed or removed within a schema number.
//!
//! Sockets are written one by one; nothing is built for all of them.

mod chain;
mod context;
mod counts;
pub mod diff;
mod finding;
mod group;
mod growth;
mod halt;
mod legs;
mod limits;
mod origin;
mod peeked;
mod process;
mod reading;
mod row;
mod socket;
mod stacks;
mod target;
mod workers;

pub use self::counts::lines as tally_lines;

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use self::chain::SilentJson;
use self::context::{Context, NameJson};
use self::finding::FindingJson;
use self::group::GroupJson;
use self::growth::GrowthJson;
use self::limits::{LocalPortsJson, SynQueueJson};
use self::reading::{
    Counters, FinWait2Json, Gap, ListenerJson, NamespaceJson, OthersJson, SCHEMA, States, Tool,
    UdpJson,
};
use self::row::{RowJson, Sockets};
use crate::classifier::fin_wait2::FinWait2;
use crate::classifier::finding::Findings;
use crate::classifier::half_open::syn_queues;
use crate::classifier::local_ports::local_ports;
use crate::classifier::silent::silent;
use crate::classifier::{Report, Row};
use crate::renderer::counts::Counts;
use crate::renderer::frame;
use crate::renderer::since::Since;
use crate::renderer::view::{Page, View};
use crate::renderer::{order, units};

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    tool: Tool,
    host: NameJson<'a>,
    taken_at: Option<String>,
    elapsed_ms: f64,
    source: &'static str,
    namespaces: Vec<NamespaceJson<'a>>,
    other_namespaces: Option<OthersJson<'a>>,
    complete: bool,
    selection: Option<NameJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    without_sockets: Vec<String>,
    gaps: Vec<Gap<'a>>,
    states: States<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    growth: Option<GrowthJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    udp: Option<UdpJson>,
    groups: Vec<GroupJson<'a>>,
    findings: Vec<FindingJson<'a>>,
    listeners: Vec<ListenerJson<'a>>,
    counters: Counters,
    fin_wait2: FinWait2Json,
    local_ports: Vec<LocalPortsJson<'a>>,
    syn_queues: Vec<SynQueueJson<'a>>,
    unanswered: Vec<SilentJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sockets: Option<Sockets<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Counts<'a>>,
}

/// Writes the whole document.
pub fn document(
    report: &Report<'_>,
    found: &Findings,
    since: Option<Since<'_>>,
    view: &View,
    elapsed: Duration,
    out: &mut impl Write,
) -> io::Result<()> {
    let snapshot = report.snapshot;
    let context = Context::of(report);
    let of_before = since.map(|since| Context::of(since.before));
    let gone = order::gone(report, since, view.sort, view.limit);
    let order = match &view.page {
        Page::List { object, .. } => Some((order::rows(report, view.sort, view.limit), object)),
        Page::Triage | Page::Tally(_) | Page::Diagram | Page::Figures(..) => None,
    };
    let by = match &view.page {
        Page::Tally(by) => Some(Counts::new(report, since, by, view.limit)),
        _ => None,
    };
    let groups = match view.page {
        Page::List { .. } | Page::Tally(_) | Page::Diagram | Page::Figures(..) => report.groups(),
        Page::Triage => {
            let mut groups = order::groups(report, view.sort);
            groups.truncate(view.limit.unwrap_or(usize::MAX));
            groups
        }
    };
    let silent = match view.page {
        Page::Triage => silent(report, &found.findings),
        _ => Vec::new(),
    };
    let document = Document {
        schema: SCHEMA,
        tool: Tool::THIS,
        host: NameJson(&snapshot.host.name),
        taken_at: units::timestamp(snapshot.taken_at_ns),
        elapsed_ms: elapsed.as_micros() as f64 / 1000.0,
        source: reading::source(snapshot),
        namespaces: snapshot.namespaces.iter().map(Into::into).collect(),
        other_namespaces: snapshot.others.as_ref().map(Into::into),
        complete: report.is_complete(),
        selection: view.selection.as_ref().map(NameJson),
        without_sockets: (frame::without_sockets(report, view).iter())
            .map(ToString::to_string)
            .collect(),
        gaps: reading::gaps(report),
        states: States(&report.states),
        growth: since
            .zip(of_before.as_ref())
            .map(|(since, before)| GrowthJson::of(since, before)),
        udp: report.udp.as_ref().map(UdpJson::from),
        groups: (groups.iter())
            .map(|group| context.group(group, since.map(|since| since.growth)))
            .collect(),
        findings: found
            .findings
            .iter()
            .map(|finding| context.finding(finding))
            .collect(),
        listeners: found
            .queues
            .iter()
            .map(|queue| context.listener(queue))
            .collect(),
        counters: Counters::of(snapshot),
        fin_wait2: FinWait2::of(report).into(),
        local_ports: local_ports(report)
            .iter()
            .map(|ports| context.local_ports(ports))
            .collect(),
        syn_queues: syn_queues(report)
            .iter()
            .map(|queue| context.syn_queue(queue))
            .collect(),
        unanswered: silent.iter().map(|silent| context.silent(silent)).collect(),
        sockets: order.as_ref().map(|(order, object)| Sockets {
            order,
            gone: (gone.as_ref()).and_then(|(gone, _)| Some((gone, of_before.as_ref()?))),
            object,
            report,
            context: &context,
        }),
        by,
    };
    serde_json::to_writer(&mut *out, &document)?;
    out.write_all(b"\n")
}

/// Writes one socket a line.
pub fn lines(
    report: &Report<'_>,
    since: Option<Since<'_>>,
    view: &View,
    out: &mut impl Write,
) -> io::Result<()> {
    let context = Context::of(report);
    let Page::List { object, .. } = &view.page else {
        return Ok(());
    };
    let mut write = |row: Row<'_>, context: &Context<'_>| -> io::Result<()> {
        let line = RowJson {
            row,
            object,
            context,
        };
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")
    };
    let order = order::rows(report, view.sort, view.limit);
    for row in order.rows(report) {
        write(row, &context)?;
    }
    if let Some((gone, before)) = order::gone(report, since, view.sort, view.limit) {
        let context = Context::of(before);
        for row in gone.rows(before) {
            write(row, &context)?;
        }
    }
    Ok(())
}
