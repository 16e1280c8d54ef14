//! Lines about what sockets that no process holds use up: local ports, the table of TIME_WAIT, SYN queues.

use std::cmp::Reverse;
use std::io::{self, Write};

use crate::classifier::Report;
use crate::classifier::half_open::{SynQueue, syn_queues};
use crate::classifier::local_ports::{LocalPorts, full_of_time_wait, local_ports};
use crate::classifier::service::{ServedAt, Service};
use crate::model::Protocol;
use crate::renderer::style::NO_MARK;
use crate::renderer::units::{count, plural};
use crate::renderer::view::View;
use crate::renderer::{frame, names, units};

/// The most lines about remote ends, and about SYN queues.
const MOST: usize = 3;
/// The most states of the connections that use the ports.
const STATES: usize = 2;

/// Writes a line for each limit that is reached or near.
pub fn lines(report: &Report<'_>, view: &View, out: &mut impl Write) -> io::Result<()> {
    let ports = local_ports(report);
    let ports = ports.iter().map(|ports| of_ports(report, ports)).collect();
    write_all(ports, "remote end", view, out)?;
    let full = full_of_time_wait(report).into_iter();
    let full = full.map(|(netns, sockets, limit)| of_time_wait(report, netns, sockets, limit));
    write_all(full.collect(), "namespace", view, out)?;
    let queues = syn_queues(report);
    let queues = queues.iter().map(|queue| of_queue(report, queue)).collect();
    write_all(queues, "SYN queue", view, out)
}

fn write_all(lines: Vec<String>, noun: &str, view: &View, out: &mut impl Write) -> io::Result<()> {
    let most = view.limit.map_or(usize::MAX, |limit| limit.min(MOST));
    let more = units::more(lines.len().saturating_sub(most), noun);
    for line in lines.into_iter().take(most).chain(more) {
        frame::write_wrapped(&line, view.look.width, NO_MARK.len(), out)?;
    }
    Ok(())
}

/// `TIME_WAIT: 90 of 100 ephemeral ports from 10.0.0.1 to 10.0.0.5:3306 are in use (88 in TIME_WAIT)`, and what
/// connect(2) does then.
fn of_ports(report: &Report<'_>, ports: &LocalPorts) -> String {
    let at = ServedAt::Remote(ports.remote);
    let service = Service { at, device: 0 };
    let to = names::service_of(report, ports.netns, service, Protocol::Tcp);
    let mut states: Vec<_> = ports.states.iter().collect();
    states.sort_by_key(|(_, count)| Reverse(**count));
    let states = states.iter().take(STATES);
    let states = states.map(|(state, sockets)| format!("{} in {state}", count(**sockets)));
    let of = match (ports.used < ports.usable, ports.at_least) {
        (false, _) => format!("all {}", count(ports.usable)),
        (true, true) => format!("at least {} of {}", count(ports.used), count(ports.usable)),
        (true, false) => format!("{} of {}", count(ports.used), count(ports.usable)),
    };
    let then = match (ports.is_relieved(), ports.used < ports.usable) {
        (true, _) => "connect() can reuse those in TIME_WAIT after 1 s (tcp_tw_reuse)",
        (false, true) => "connect() fails with EADDRNOTAVAIL when none is left",
        (false, false) => "connect() fails with EADDRNOTAVAIL",
    };
    format!(
        "{}: {of} ephemeral ports from {} {to}{} are in use ({}); {then}",
        ports.main_state(),
        ports.local,
        in_netns(report, ports.netns),
        states.collect::<Vec<_>>().join(", "),
    )
}

fn of_time_wait(report: &Report<'_>, netns: u16, sockets: u64, limit: u64) -> String {
    format!(
        "TIME_WAIT: {} of at most {} sockets{} (tcp_max_tw_buckets); beyond that, connections end \
         without TIME_WAIT",
        count(sockets),
        count(limit),
        in_netns(report, netns),
    )
}

/// `SYN_RECV: SYN queue of 10.0.0.1:443: 129 of 128 (full), from 128 addresses`, whether they answer, and what
/// happens to others.
fn of_queue(report: &Report<'_>, queue: &SynQueue) -> String {
    let full = match queue.is_full() {
        true => "full".to_owned(),
        false => format!("{} %", queue.half_open * 100 / queue.limit.max(1)),
    };
    let limit = match queue.at_max_syn_backlog {
        true => ", limited by tcp_max_syn_backlog",
        false => "",
    };
    let es = if queue.addresses == 1 { "" } else { "es" };
    let mut line = format!(
        "SYN_RECV: SYN queue of {}{}: {} of {} ({full}{limit}), from {} address{es}",
        names::listener_of(report, &queue.bound),
        in_netns(report, queue.bound.netns),
        count(queue.half_open),
        count(queue.limit),
        count(queue.addresses),
    );
    if queue.retransmitted > 0 {
        let again = queue.retransmitted;
        let (s, were) = (plural(again), if again == 1 { "was" } else { "were" });
        line.push_str(&format!("; {} SYN-ACK{s} {were} sent again", count(again)));
    }
    line.push_str(match (queue.is_full(), queue.cookies) {
        (true, Some(true)) => "; new clients get SYN cookies (tcp_syncookies)",
        (true, Some(false)) => "; new clients are dropped (tcp_syncookies 0)",
        _ => "",
    });
    line
}

/// ` in blue`, if there are several namespaces.
fn in_netns(report: &Report<'_>, netns: u16) -> String {
    match report.snapshot.only_namespace() {
        Some(_) => String::new(),
        None => format!(" in {}", names::netns_of(report, netns)),
    }
}
