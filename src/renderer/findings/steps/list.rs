//! The command that lists the sockets of a finding, and no others.

use std::net::IpAddr;

use crate::classifier::Report;
use crate::classifier::cause::GRACE_MS;
use crate::classifier::finding::Finding;
use crate::classifier::service::ServedAt;
use crate::classifier::service::ServiceEnd;
use crate::classifier::socket_set::SocketSet;
use crate::model::{Endpoint, Name, Namespace, Pid};
use crate::renderer::findings::steps::place::closewait;
use crate::renderer::findings::steps::step::{Step, word};

/// More processes than this are named by their program.
const PIDS_MAX: usize = 4;

/// The command that lists the sockets.
pub(super) fn list(report: &Report<'_>, finding: &Finding) -> Step {
    let set = &finding.set;
    let mut command = format!("{} list", closewait(report));
    // No peer gave up yet: connections that wait in the queue have no cause to select by.
    let mut conditions = Vec::new();
    if finding.queue.is_some() && set.sockets == 0 {
        command.push_str(" --state established");
        conditions.push("inode = 0".to_owned());
    } else if set.waiting.is_some() {
        command.push_str(" --state fin-wait-2");
        conditions.push("inode != 0".to_owned());
    } else {
        command.push_str(" --state close-wait");
        match finding.parts.as_slice() {
            [] => command.push_str(&format!(" --cause {}", set.cause)),
            parts => {
                let parts = parts.iter().map(|part| part.cause);
                let causes = std::iter::once(set.cause).chain(parts);
                let each: Vec<String> = causes.map(|cause| format!("cause = {cause}")).collect();
                conditions.push(format!("( {} )", each.join(" or ")));
            }
        }
    }
    match holders(report, set) {
        // The parts may belong to other processes of the same service.
        _ if !finding.parts.is_empty() => {}
        Holders::Nobody => {}
        Holders::Process(pid) => command.push_str(&format!(" --pid {pid}")),
        Holders::Program(name) => command.push_str(&format!(" --program {}", word(&name))),
        Holders::Processes(pids) => {
            let each: Vec<String> = pids.iter().map(|pid| format!("pid = {pid}")).collect();
            conditions.push(format!("( {} )", each.join(" or ")));
        }
    }
    // Those that wait for a listener may have come to another port.
    let unmatched = finding
        .queue
        .as_ref()
        .is_some_and(|queue| queue.unmatched > 0);
    conditions.extend(end(set.end).filter(|_| !unmatched));
    match within(report.snapshot.netns(set.netns)) {
        Within::Own => {}
        Within::Named(name) => command.push_str(&format!(" -N {name}")),
        Within::Numbered(inode) => conditions.push(format!("netns = {inode}")),
    }
    let grace_ms = report.grace_ms();
    if grace_ms != GRACE_MS {
        command.push_str(&format!(" --grace {grace_ms}ms"));
    }
    if !conditions.is_empty() {
        command.push(' ');
        command.push_str(&word(&conditions.join(" and ")));
    }
    Step::run(command)
}

enum Holders {
    Nobody,
    Process(Pid),
    Processes(Vec<Pid>),
    Program(String),
}

fn holders(report: &Report<'_>, set: &SocketSet) -> Holders {
    // For shared sockets and accept queues, any one holder will do.
    let shared = set.listener.is_some() || set.held.is_empty();
    match set.by_weight.as_slice() {
        [] => Holders::Nobody,
        [pid] => Holders::Process(*pid),
        [pid, ..] if shared => Holders::Process(*pid),
        pids if pids
            .iter()
            .any(|pid| set.holds(*pid).len() as u64 == set.sockets) =>
        {
            let all = |pid: &&Pid| set.holds(**pid).len() as u64 == set.sockets;
            Holders::Process(pids.iter().find(all).copied().unwrap_or(pids[0]))
        }
        pids if pids.len() <= PIDS_MAX => Holders::Processes(pids.to_vec()),
        pids => {
            let mut names = pids.iter().map(|pid| report.holders().name(*pid));
            let first = names.next().flatten();
            match first.and_then(plain) {
                Some(text) if names.all(|name| name == first) => Holders::Program(text.to_owned()),
                _ => Holders::Processes(pids.to_vec()),
            }
        }
    }
}

/// The condition that chooses the service end.
fn end(end: ServiceEnd) -> Option<String> {
    let service = match end {
        ServiceEnd::One(service) => service,
        ServiceEnd::Several(side, _) => return side.map(|side| format!("side = {}", side.name())),
    };
    Some(match service.at {
        ServedAt::Local(0) => "side = server".to_owned(),
        ServedAt::Local(port) => format!("sport = :{port}"),
        ServedAt::Remote(Endpoint { addr, port: 0 }) => format!("{} and side = client", to(addr)),
        ServedAt::Remote(remote) => format!("dst {remote}"),
        ServedAt::Unknown(addr) => to(addr),
    })
}

/// An IPv6 address needs brackets even without a port.
fn to(addr: IpAddr) -> String {
    match addr {
        IpAddr::V4(addr) => format!("dst {addr}"),
        IpAddr::V6(addr) => format!("dst [{addr}]"),
    }
}

/// How a namespace is chosen.
enum Within<'a> {
    /// It is the tool's own, or there are no words for it.
    Own,
    Named(&'a str),
    Numbered(u64),
}

fn within(namespace: &Namespace) -> Within<'_> {
    match (&namespace.asked, namespace.inode) {
        (Some(name), inode) => match (plain(name), inode) {
            (Some(name), _) => Within::Named(name),
            (None, Some(inode)) => Within::Numbered(inode),
            (None, None) => Within::Own,
        },
        (None, _) => Within::Own,
    }
}

/// The option of another command that reads the namespace: ` -N blue`, or nothing.
pub(super) fn namespace_option(report: &Report<'_>, set: &SocketSet) -> String {
    match within(report.snapshot.netns(set.netns)) {
        Within::Own => String::new(),
        Within::Named(name) => format!(" -N {name}"),
        Within::Numbered(inode) => format!(" -N {inode}"),
    }
}

/// A name without characters that a shell or a reader could misread; others may be made to mislead.
fn plain(name: &Name) -> Option<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    let name = std::str::from_utf8(name.bytes()).ok()?;
    (!name.is_empty() && !name.starts_with('-') && name.chars().all(plain)).then_some(name)
}
