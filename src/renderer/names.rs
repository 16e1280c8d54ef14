//! What ends, owners, namespaces and processes are called in text for people.

use crate::classifier::listeners::Bound;
use crate::classifier::owner::GroupOwner;
use crate::classifier::service::{ServedAt, Service};
use crate::classifier::{Report, hidden_reason};
use crate::model::endpoint::is_wildcard;
use crate::model::{Name, Pid, Protocol, Resolved, Runtime};
use crate::renderer::columns;

/// `%eth0`, or nothing.
pub fn on_device(device: Option<&Name>) -> String {
    device.map_or(String::new(), |device| format!("%{device}"))
}

/// Where a listener listens: `0.0.0.0:80`, `[::]%eth0:80`.
pub fn listener_of(report: &Report<'_>, bound: &Bound) -> String {
    let device = report.snapshot.netns(bound.netns).device(bound.device);
    let mut text = String::new();
    let names = Resolved::default();
    columns::push_end(
        bound.local,
        device.as_deref(),
        Protocol::Tcp,
        &names,
        &mut text,
    );
    text
}

/// `:80`, `%eth0:80` if the listener is bound to a device, `to 10.0.0.5:3306`; a star means many
/// ports. `with 10.0.0.9` if the side is unknown; `-` if there is no other end.
pub fn service_of(report: &Report<'_>, netns: u16, service: Service, protocol: Protocol) -> String {
    let names = &report.resolved;
    let device = report.snapshot.netns(netns).device(service.device);
    let on = on_device(device.as_deref());
    match service.at {
        ServedAt::Local(0) => format!("{on}:*"),
        ServedAt::Local(port) => match names.service(protocol, port) {
            Some(name) => format!("{on}:{name}"),
            None => format!("{on}:{port}"),
        },
        ServedAt::Remote(remote) => {
            let mut text = "to ".to_owned();
            columns::push_end(remote, device.as_deref(), protocol, names, &mut text);
            text
        }
        ServedAt::Unknown(addr) if is_wildcard(addr) => "-".to_owned(),
        ServedAt::Unknown(addr) => match names.host(addr) {
            Some(name) => format!("with {name}{on}"),
            None => format!("with {addr}{on}"),
        },
    }
}

/// The name of a namespace, safe for a terminal.
pub fn netns_of(report: &Report<'_>, netns: u16) -> String {
    let label = report.snapshot.netns(netns).label.as_ref();
    label.map_or("?".to_owned(), Name::to_string)
}

/// `java[1234]`, `nginx[10] +3`, `python3[7] (queued)`, `-`, `?`.
pub fn owner_of(report: &Report<'_>, owner: &GroupOwner) -> String {
    let mut text = String::new();
    columns::push_processes(owner.pids.iter().copied(), report.holders(), &mut text);
    match owner.kind {
        Some("listener") if text.is_empty() => "? (not accepted)".to_owned(),
        Some("listener") => text + " (not accepted)",
        Some("hidden") => columns::hidden(hidden_reason(report.snapshot)).to_owned(),
        _ if text.is_empty() => "-".to_owned(),
        _ => text,
    }
}

/// `java[1234]`, made safe for a terminal.
pub fn process(report: &Report<'_>, pid: Pid) -> String {
    match report.holders().name(pid) {
        Some(name) => format!("{name}[{pid}]"),
        None => format!("process {pid}"),
    }
}

/// The name in JSON and in words.
pub fn runtime(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Java => "java",
        Runtime::Python => "python",
        Runtime::Node => "node",
        Runtime::Go => "go",
        Runtime::Ruby => "ruby",
        Runtime::Php => "php",
        Runtime::Nginx => "nginx",
        Runtime::Native => "native",
    }
}
