//! What every page has around it: the header, what could not be seen, and text on lines that fit.

use std::io::{self, Write};
use std::time::Duration;

use unicode_width::UnicodeWidthStr;

use crate::classifier::{Report, StateCounts};
use crate::filter::Term;
use crate::model::{Name, Snapshot, Source, StateSet, charset};
use crate::renderer::style::{Look, NO_MARK, Role};
use crate::renderer::units;
use crate::renderer::view::View;

/// What was read: the host, the sockets, the processes.
pub(in crate::renderer) fn header(
    report: &Report<'_>,
    view: &View,
    elapsed: Duration,
    out: &mut impl Write,
) -> io::Result<()> {
    let snapshot = report.snapshot;
    let look = view.look;
    let time = units::clock(snapshot.taken_at_ns);
    let host = &snapshot.host.name;
    let netns = namespace(snapshot);
    let title = format!("closewait on {host}");
    let place = format!("{netns}, {time} UTC");
    let fits = look
        .width
        .is_none_or(|width| title.width() + 2 + place.width() <= width);
    let between = if fits { "  " } else { "\n" };
    let place = look.paint(Role::Quiet, place);
    writeln!(out, "{}{between}{place}", look.paint(Role::Heading, title))?;
    let sockets = sockets(report);
    let processes = processes(snapshot);
    let source = match snapshot.source() {
        Source::Netlink => "sock_diag",
        Source::Procfs => "/proc/net/tcp: no ages",
    };
    let recorded = if snapshot.recorded {
        "a recording · "
    } else {
        ""
    };
    let elapsed = units::duration(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
    let read = format!("{recorded}{sockets} · {processes} · {source} · {elapsed}");
    write_wrapped(&read, look.width, 0, out)?;
    if let Some(selection) = &view.selection {
        write_wrapped(&format!("selected: {selection}"), look.width, 0, out)?;
    }
    for name in without_sockets(report, view) {
        write_wrapped(&name.to_string(), look.width, 0, out)?;
    }
    if let Some(others) = report.not_looked_at() {
        write_wrapped(&others.to_string(), look.width, 0, out)?;
    }
    Ok(())
}

/// The ports, programs and processes of the selection that have no socket:
/// `program ngnix has no TCP socket; did you mean nginx?`. Empty if not every socket was read.
pub(in crate::renderer) fn without_sockets(report: &Report<'_>, view: &View) -> Vec<Name> {
    if !view.whole {
        return Vec::new();
    }
    let socket = match report.udp {
        None => "TCP socket",
        Some(_) => "socket",
    };
    let words = |term: &Term| {
        let name = term.named()?;
        let text = match term {
            // It may have had sockets that were not recorded.
            Term::Pid(_) if report.snapshot.recorded => {
                format!("no {socket} of {name} is in the recording")
            }
            _ => format!("{name} has no {socket}"),
        };
        let hint = did_you_mean(report, term);
        Some(Name::from(format!("{text}{hint}")))
    };
    report
        .without_sockets()
        .into_iter()
        .filter_map(words)
        .collect()
}

/// `; did you mean nginx?`, if a holder has a name close to that of the program; else nothing.
pub fn did_you_mean(report: &Report<'_>, term: &Term) -> String {
    report
        .similar_program(term)
        .map(|name| format!("; did you mean {name}?"))
        .unwrap_or_default()
}

/// `net:[4026531840]`, `blue (/run/netns/blue)`, `3 network namespaces`.
fn namespace(snapshot: &Snapshot) -> String {
    let Some(only) = snapshot.only_namespace() else {
        return format!("{} network namespaces", snapshot.namespaces.len());
    };
    let Some(label) = &only.label else {
        return "unknown namespace".to_owned();
    };
    let path = only
        .asked
        .as_ref()
        .filter(|asked| asked.bytes().contains(&b'/'));
    match path.filter(|path| *path != label) {
        Some(path) => format!("{label} ({path})"),
        None => label.to_string(),
    }
}

/// `72 of 73 processes read`.
fn processes(snapshot: &Snapshot) -> String {
    let scan = &snapshot.scan;
    match (&snapshot.holders, scan.processes_seen) {
        (None, _) => "owners not read".to_owned(),
        (Some(_), 0) => "no owners to read".to_owned(),
        (Some(_), seen) => format!(
            "{} of {} processes read",
            units::count(scan.processes_read.into()),
            units::count(seen.into())
        ),
    }
}

/// `1,904 TCP sockets`, `3 TCP and 5 UDP sockets`.
fn sockets(report: &Report<'_>) -> String {
    let tcp = report.states.total();
    let tcp_too = report.states.asked != StateSet::NONE;
    let of = |protocol: &str, count: u64| {
        let plural = units::plural(count);
        format!("{} {protocol} socket{plural}", units::count(count))
    };
    match report.udp.as_ref().map(StateCounts::total) {
        None => of("TCP", tcp),
        Some(udp) if tcp_too => format!("{} TCP and {}", units::count(tcp), of("UDP", udp)),
        Some(udp) => of("UDP", udp),
    }
}

/// What could not be seen, in words.
pub(in crate::renderer) fn gaps(
    report: &Report<'_>,
    look: Look,
    out: &mut impl Write,
) -> io::Result<()> {
    if report.gaps.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", look.paint(Role::Heading, "Not seen"))?;
    for gap in &report.gaps {
        write_wrapped(&gap.to_string(), look.width, NO_MARK.len(), out)?;
    }
    Ok(())
}

/// Writes words on lines of at most `width` columns, indented.
pub fn write_wrapped(
    text: &str,
    width: Option<usize>,
    indent: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    for line in wrapped(text, width, indent) {
        writeln!(out, "{:indent$}{line}", "")?;
    }
    Ok(())
}

/// The words of a text on lines that leave room for an indent; one line without a width.
pub fn wrapped(text: &str, width: Option<usize>, indent: usize) -> Vec<String> {
    let Some(width) = width else {
        return vec![text.to_owned()];
    };
    let room = width.saturating_sub(indent);
    // Signs may become wider in ASCII.
    let wide = |text: &str| text.width() + charset::ascii_growth(text);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && wide(&line) + 1 + wide(word) > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() || word.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}
