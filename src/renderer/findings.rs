//! Findings in words: a headline, the evidence as short lines, what it means, what to do next.
//!
//! The same words go to the screen and into JSON.

use std::io::{self, Write};

use super::style::{Look, MARK, NO_MARK, Role};
use super::{escape, triage, units};
use crate::classifier::Report;
use crate::classifier::finding::{Finding, Set};
use crate::classifier::group::Service;
use crate::classifier::severity::Severity;
use crate::model::{Cause, Evidence, Pid, Runtime, Side, Wait, WaitKind, WaitTarget};

/// At most this many of the evidence lines of a finding go to the screen; JSON has all.
const LINES: usize = 6;
/// And of one that is told in short.
const LINES_SHORT: usize = 1;
/// The share of a limit, in percent, from which on the limit is as good as reached.
const LIMIT_PERCENT: u64 = 90;
/// The share of one processor, in percent, from which on a thread is spinning: a sample is a few
/// ticks long, and one may be lost.
const SPINNING_PERCENT: f64 = 85.0;
/// A close_notify alert of TLS: 24 bytes with TLS 1.3, up to 53 before, and some with a MAC.
const CLOSE_NOTIFY: std::ops::RangeInclusive<u32> = 24..=70;

/// Writes the findings of the screen: at most `limit`, and how many more there are. The first,
/// and those that are more than information, are told at length.
pub fn section(
    report: &Report<'_>,
    findings: &[Finding],
    limit: usize,
    look: Look,
    out: &mut impl Write,
) -> io::Result<()> {
    for (at, finding) in findings.iter().take(limit).enumerate() {
        let at_length = at == 0 || finding.severity > Severity::Info;
        tell(report, finding, at_length, look, out)?;
    }
    let more = findings.len().saturating_sub(limit);
    if more > 0 {
        let plural = if more == 1 { "" } else { "s" };
        let text = format!(
            "… {} more finding{plural}: --limit 0",
            units::count(more as u64)
        );
        writeln!(out, "\n{NO_MARK}{}", look.paint(Role::Quiet, text))?;
    }
    Ok(())
}

fn tell(
    report: &Report<'_>,
    finding: &Finding,
    at_length: bool,
    look: Look,
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(out)?;
    let (role, mark) = match finding.severity {
        Severity::Info => (Role::Info, NO_MARK),
        Severity::Warning => (Role::Warning, MARK),
        Severity::Critical => (Role::Critical, MARK),
    };
    let severity = finding.severity.name().to_uppercase();
    let headline = format!(
        "{severity} {}: {}",
        finding.set.cause,
        summary(report, finding)
    );
    for (at, line) in triage::wrapped(&headline, look.width, mark.len())
        .iter()
        .enumerate()
    {
        let start = if at == 0 { mark } else { NO_MARK };
        writeln!(out, "{}", look.paint(role, format_args!("{start}{line}")))?;
    }
    let (lines, steps) = if at_length {
        (LINES, usize::MAX)
    } else {
        (LINES_SHORT, 0)
    };
    if at_length {
        triage::write_wrapped(&meaning(finding), look.width, 4, out)?;
    }
    for line in evidence(report, finding).iter().take(lines) {
        bullet("·", line, look, out)?;
    }
    for line in next_steps(report, finding).iter().take(steps) {
        bullet("→", line, look, out)?;
    }
    Ok(())
}

fn bullet(sign: &str, text: &str, look: Look, out: &mut impl Write) -> io::Result<()> {
    for (at, line) in triage::wrapped(text, look.width, 6).iter().enumerate() {
        let start = if at == 0 { sign } else { " " };
        writeln!(out, "    {start} {line}")?;
    }
    Ok(())
}

/// One line: how many, whose, where, since when.
pub fn summary(report: &Report<'_>, finding: &Finding) -> String {
    let set = &finding.set;
    let count = units::count(set.sockets);
    let owner = owner(report, finding);
    let end = service(set.service);
    let age = match set.idle {
        Some(idle) => format!(", ≥ {}", units::duration(idle.p50_ms)),
        None => String::new(),
    };
    let plural = if set.sockets == 1 { "" } else { "s" };
    match (&finding.queue, set.cause) {
        (Some(queue), Cause::NotAccepted) => {
            let limit = queue
                .limit
                .map_or("?".to_owned(), |limit| units::count(limit.into()));
            let waited = queue.oldest_ms.map_or(String::new(), |oldest| {
                format!(", the oldest ≥ {}", units::duration(oldest))
            });
            format!(
                "{owner} has not accepted {} connection{} {end}: accept queue {} of {limit}, {} already given up{waited}",
                units::count(queue.unaccepted),
                if queue.unaccepted == 1 { "" } else { "s" },
                units::count(queue.now.into()),
                units::count(queue.close_wait),
            )
        }
        _ => format!("{count} CLOSE_WAIT socket{plural} of {owner} {end}{age}"),
    }
}

fn owner(report: &Report<'_>, finding: &Finding) -> String {
    match triage::owner_of(report, &finding.set.owner).as_str() {
        "-" if finding.set.owner.kind.is_none() => "a process (owners were not read)".to_owned(),
        text if text.starts_with('?') => "a process that may not be seen".to_owned(),
        text => text.trim_end_matches(" (not accepted)").to_owned(),
    }
}

fn service(service: Service) -> String {
    match service {
        Service::Local(port) => format!("on :{port}"),
        Service::Remote(remote) => format!("to {remote}"),
    }
}

/// What the cause means, in a sentence or two.
pub fn meaning(finding: &Finding) -> String {
    let set = &finding.set;
    match set.cause {
        Cause::Transient => "Normal teardown: the peer closed a moment ago.".to_owned(),
        Cause::NotAccepted => {
            if emfile(finding) {
                "The process has no file descriptors left, so accept() fails: consistent with EMFILE. The peers gave up in the queue.".to_owned()
            } else {
                "The program does not call accept() in time; peers give up while still queued. Consistent with a slow or blocked accept loop, or a backlog longer than it can serve.".to_owned()
            }
        }
        Cause::HalfClose => {
            "Legitimate: the peer closed one direction only, and this side still sends.".to_owned()
        }
        Cause::SendStuck => "The last answer is not being taken by the peer: the kernel retransmits or probes, and gives up after tcp_retries2 attempts.".to_owned(),
        Cause::Inherited => "More than one process holds these sockets, or one that is younger than they are: consistent with descriptors inherited by fork. Closing one copy does not close the connection.".to_owned(),
        Cause::NeverClosed if set.unanswered == Some(set.sockets) => {
            "End-of-file was read and close() has not come. Nothing was sent since the last byte came in: consistent with a leak, or with handlers that still work for peers that have gone.".to_owned()
        }
        Cause::NeverClosed => "End-of-file was read and close() never came: consistent with a leak, such as an error path that does not close.".to_owned(),
        Cause::StalePool => "Consistent with a pool of idle connections that the server has closed: harmless until one is reused, and bounded by the pool's size.".to_owned(),
        Cause::SlowHandler if all_silent(set) => "The peers connected, sent nothing and left, and the program has not looked since: consistent with workers that are all busy.".to_owned(),
        Cause::SlowHandler => slow_handler(finding),
        Cause::Abandoned => "The last request was answered, then nobody looked at the socket again: consistent with a connection dropped from the event loop, or a keep-alive that is never read.".to_owned(),
        Cause::NotReading if close_notify(set) => "The same few bytes lie unread on each: consistent with a TLS close_notify that a pool does not read.".to_owned(),
        Cause::NotReading if spinning(finding).is_some() => "Data lies unread while a thread uses a whole processor: consistent with a dead loop.".to_owned(),
        Cause::NotReading => "Data lies unread: the application is stalled, or its workers are all busy.".to_owned(),
        Cause::Unclear => "The facts that would decide are missing: no tcp_info came with these sockets. Read them through sock_diag (as root, without --source procfs).".to_owned(),
    }
}

fn slow_handler(finding: &Finding) -> String {
    let mut text = "The peers gave up while their request was being worked on".to_owned();
    match majority_wait(finding) {
        Some((wait, _)) if matches!(wait.target, Some(WaitTarget::Remote(_))) => {
            text.push_str(": consistent with a slow service behind this one.");
        }
        _ => text.push_str(": consistent with slow responses, or a timeout set too small."),
    }
    text
}

fn all_silent(set: &Set) -> bool {
    set.silent == Some(set.sockets)
}

fn close_notify(set: &Set) -> bool {
    let unread = set.recv_q.max.saturating_sub(1);
    set.recv_q_min == set.recv_q.max
        && CLOSE_NOTIFY.contains(&unread)
        && set.service.side() == Side::Client
}

fn emfile(finding: &Finding) -> bool {
    finding.evidence.iter().any(|evidence| {
        evidence
            .open_fds
            .zip(evidence.fd_limit.flatten())
            .is_some_and(|(open, limit)| open * 100 >= limit * LIMIT_PERCENT)
    })
}

fn spinning(finding: &Finding) -> Option<(Pid, f64)> {
    finding
        .evidence
        .iter()
        .filter_map(|evidence| evidence.cpu.as_ref()?.busiest)
        .find(|(_, percent)| *percent >= SPINNING_PERCENT)
}

/// What most of the threads of an owner wait for, with how many threads it has.
fn majority_wait(finding: &Finding) -> Option<(&Wait, u32)> {
    finding.evidence.iter().find_map(|evidence| {
        let total = evidence.threads?.total;
        let wait = evidence.waits.as_ref()?.first()?;
        (wait.threads > 1 && wait.threads * 2 > total).then_some((wait, total))
    })
}

/// How much a line of evidence tells: the screen has room for a few.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// It points at the fault.
    Decisive,
    /// The cause rests on it, or it narrows it down.
    Telling,
    /// Good to know.
    Plain,
}

/// Lines of evidence with their ranks.
#[derive(Default)]
struct Lines(Vec<(Rank, String)>);

impl Lines {
    fn add(&mut self, rank: Rank, line: impl Into<String>) {
        self.0.push((rank, line.into()));
    }
}

/// The facts that led there, each a short line, those that tell most first.
pub fn evidence(report: &Report<'_>, finding: &Finding) -> Vec<String> {
    let set = &finding.set;
    let mut lines = Lines::default();
    if finding.queue.is_some() {
        queue_lines(report, finding, &mut lines);
    }
    queue_of_bytes(set, &mut lines);
    if let Some(idle) = set.idle {
        let (median, oldest) = (units::duration(idle.p50_ms), units::duration(idle.max_ms));
        if median != oldest {
            lines.add(
                Rank::Telling,
                format!("the oldest has waited at least {oldest}"),
            );
        }
    }
    patience_line(set, &mut lines);
    for evidence in &finding.evidence {
        process_lines(report, finding, evidence, &mut lines);
    }
    if let Some(legs) = set.legs {
        lines.add(Rank::Decisive, format!(
            "{} of {} pair with a connection in {} of the same process {}: consistent with a proxy that does not pass on the close",
            units::count(legs.pairs),
            units::count(set.sockets),
            legs.state,
            service(legs.other),
        ));
    }
    peer_lines(report, set, &mut lines);
    outlook_line(set, &mut lines);
    let Lines(mut lines) = lines;
    lines.sort_by_key(|(rank, _)| *rank);
    lines.into_iter().map(|(_, line)| line).collect()
}

fn queue_of_bytes(set: &Set, lines: &mut Lines) {
    let queue = set.recv_q;
    if set.sockets == 0 {
        return;
    }
    let same = set.recv_q_min == queue.max;
    let words = match (set.recv_q_min, queue.max) {
        (0, 0) => "Recv-Q 0: end-of-file was read".to_owned(),
        (1, 1) => "Recv-Q 1: every byte was read, end-of-file was not".to_owned(),
        (_, max) if same => format!(
            "Recv-Q {max} on every socket: the same {} unread byte{} and the FIN",
            units::count((max - 1).into()),
            if max == 2 { "" } else { "s" }
        ),
        (min, max) => format!(
            "Recv-Q {} to {}",
            units::count(min.into()),
            units::count(max.into())
        ),
    };
    lines.add(Rank::Telling, words);
    if set.send_q_max > 0 {
        lines.add(
            Rank::Telling,
            format!(
                "up to {} bytes sent and not acknowledged",
                units::count(set.send_q_max.into())
            ),
        );
    }
    match set.silent {
        Some(silent) if silent > 0 => lines.add(
            Rank::Telling,
            format!(
                "{} of {} never received a byte but the FIN",
                units::count(silent),
                units::count(set.sockets)
            ),
        ),
        _ => {}
    }
    if let Some(unanswered) = set.unanswered
        && matches!(set.cause, Cause::NeverClosed | Cause::NotReading)
    {
        lines.add(
            Rank::Telling,
            format!(
                "{} of {} were sent nothing since their last byte came in",
                units::count(unanswered),
                units::count(set.sockets)
            ),
        );
    }
}

fn patience_line(set: &Set, lines: &mut Lines) {
    let Some(patience) = set.patience else { return };
    let since = if all_silent(set) {
        "connecting"
    } else {
        "their last byte"
    };
    let seconds = |ms: u32| format!("{:.1} s", f64::from(ms) / 1000.0);
    let (p50, p90) = (seconds(patience.p50_ms), seconds(patience.p90_ms));
    let clustered = patience.cluster_ms.map(seconds);
    match (clustered, set.cause) {
        (Some(timeout), Cause::StalePool) => lines.add(
            Rank::Decisive,
            format!(
                "the server hung up after {timeout} of silence (p50 {p50}, p90 {p90}): clustered at {timeout}, consistent with its idle timeout"
            ),
        ),
        (Some(timeout), _) => lines.add(
            Rank::Decisive,
            format!(
                "peers hung up p50 {p50}, p90 {p90} after {since}: clustered at {timeout}, consistent with a client timeout"
            ),
        ),
        (None, _) => lines.add(
            Rank::Plain,
            format!("peers hung up p50 {p50}, p90 {p90} after {since}"),
        ),
    }
}

fn queue_lines(report: &Report<'_>, finding: &Finding, lines: &mut Lines) {
    let Some(queue) = &finding.queue else { return };
    let full = match queue.percent() {
        Some(100..) => " (full)".to_owned(),
        Some(percent) => format!(" ({percent} %)"),
        None => String::new(),
    };
    let limit = queue.limit.map_or("an unknown limit".to_owned(), |limit| {
        units::count(limit.into())
    });
    lines.add(
        Rank::Decisive,
        format!(
            "accept queue of {}: {} of {limit}{full}, {} of them in CLOSE_WAIT",
            queue.local,
            units::count(queue.now.into()),
            units::count(queue.close_wait),
        ),
    );
    if queue.at_somaxconn {
        lines.add(
            Rank::Decisive,
            format!(
                "the limit is net.core.somaxconn = {}: a larger backlog is cut to it",
                queue.limit.unwrap_or_default()
            ),
        );
    }
    if let Some(half_open) = queue.syn_recv.filter(|count| *count > 0) {
        lines.add(
            Rank::Telling,
            format!("{} connections are in SYN_RECV", units::count(half_open)),
        );
    }
    let host = &report.snapshot.host;
    if let Some((overflows, drops)) = host.listen_overflows.zip(host.listen_drops)
        && overflows + drops > 0
    {
        lines.add(Rank::Plain, format!(
            "since boot, all listeners of the namespace together: ListenOverflows {}, ListenDrops {}",
            units::count(overflows),
            units::count(drops)
        ));
    }
}

fn process_lines(report: &Report<'_>, finding: &Finding, evidence: &Evidence, lines: &mut Lines) {
    let name = process(report, evidence.pid);
    if let Some(threads) = evidence.threads {
        if threads.stopped == threads.total {
            lines.add(
                Rank::Decisive,
                format!("{name} is stopped (SIGSTOP or a debugger): it runs no code"),
            );
        }
        if threads.disk * 2 > threads.total {
            lines.add(Rank::Decisive, format!(
                "{} of {} threads of {name} are in uninterruptible sleep: a disk or a hung mount",
                threads.disk, threads.total
            ));
        }
    }
    if let Some(cpu) = &evidence.cpu {
        if let Some((thread, percent)) = cpu.busiest
            && percent >= SPINNING_PERCENT
        {
            lines.add(Rank::Decisive, format!(
                "thread {thread} of {name} used {percent:.0} % of a processor over {} ms: it spins",
                cpu.sample_ms
            ));
        } else {
            lines.add(
                Rank::Plain,
                format!(
                    "{name} used {:.0} % of a processor over {} ms",
                    cpu.percent, cpu.sample_ms
                ),
            );
        }
    }
    for wait in evidence.waits.iter().flatten().take(2) {
        wait_line(
            &name,
            wait,
            evidence.threads.map_or(0, |threads| threads.total),
            lines,
        );
    }
    if let (Some(open), Some(Some(limit))) = (evidence.open_fds, evidence.fd_limit) {
        let (rank, near) = if open * 100 >= limit * LIMIT_PERCENT {
            (
                Rank::Decisive,
                ": at the limit accept() and open() fail (EMFILE)",
            )
        } else {
            (Rank::Plain, "")
        };
        let held = match finding.fd_percent {
            Some(percent @ 1..) => format!("; these sockets are {percent} % of the limit"),
            _ => String::new(),
        };
        let rank = if held.is_empty() {
            rank
        } else {
            rank.min(Rank::Telling)
        };
        lines.add(
            rank,
            format!(
                "{name} has {} of {} files open{near}{held}",
                units::count(open),
                units::count(limit)
            ),
        );
    }
    if let Some(dead) = evidence.dead_sockets.filter(|dead| *dead > 0) {
        lines.add(Rank::Telling, format!(
            "{name} also holds {} TCP sockets that are in no table: reset, reaped or never connected, and not closed",
            units::count(dead)
        ));
    }
    if let Some(epoll) = evidence.epoll {
        lines.add(Rank::Telling, format!(
            "epoll: {} of these sockets are watched, {} registered without interest, {} in no set",
            units::count(epoll.watched),
            units::count(epoll.muted),
            units::count(epoll.absent)
        ));
    }
    if let Some(age) = evidence.age_ms {
        lines.add(
            Rank::Plain,
            format!(
                "{name} started {} ago{}",
                units::duration(age),
                match evidence.runtime {
                    Runtime::Native => String::new(),
                    runtime => format!(" ({})", runtime_name(runtime)),
                }
            ),
        );
    }
    for unread in &evidence.unread {
        lines.add(Rank::Plain, format!("not known of {name}: {unread}"));
    }
}

fn wait_line(name: &str, wait: &Wait, total: u32, lines: &mut Lines) {
    if wait.threads < 2 && total > 1 {
        return;
    }
    let on = match &wait.target {
        Some(WaitTarget::Remote(remote)) => format!(" on {remote}"),
        Some(WaitTarget::Listener(local)) => format!(" on its listener {local}"),
        Some(WaitTarget::File(file)) => format!(" on {}", escape::text(file)),
        None => match wait.kind {
            WaitKind::Lock => ": a lock or a condition".to_owned(),
            WaitKind::Events => ": an event loop with nothing to do".to_owned(),
            _ => String::new(),
        },
    };
    let verb = if wait.threads == 1 { "waits" } else { "wait" };
    let plural = if total == 1 { "" } else { "s" };
    let rank = match wait.kind {
        WaitKind::Descriptor | WaitKind::Lock if wait.threads * 2 > total => Rank::Decisive,
        _ => Rank::Plain,
    };
    lines.add(
        rank,
        format!(
            "{} of {total} thread{plural} of {name} {verb} in {}{on}",
            wait.threads, wait.call
        ),
    );
}

fn peer_lines(report: &Report<'_>, set: &Set, lines: &mut Lines) {
    let peers = &set.peers;
    if peers.waiting > 0 {
        let names: Vec<String> = peers
            .pids
            .iter()
            .take(3)
            .map(|pid| process(report, *pid))
            .collect();
        let who = if names.is_empty() {
            "a process".to_owned()
        } else {
            names.join(", ")
        };
        lines.add(Rank::Telling, format!(
            "the other end of {} is on this host: {who} closed one direction only and waits (FIN_WAIT2)",
            units::count(peers.waiting)
        ));
    }
    if peers.orphaned > 0 {
        lines.add(Rank::Telling, format!(
            "the other end of {} is on this host and closed for good (FIN_WAIT2 without a process)",
            units::count(peers.orphaned)
        ));
    }
}

/// What will happen by itself.
fn outlook_line(set: &Set, lines: &mut Lines) {
    if matches!(set.cause, Cause::Transient | Cause::HalfClose) {
        return;
    }
    let ending = "until the process closes or exits nothing ends";
    match set.no_timer {
        0 => {}
        all if all == set.sockets => {
            lines.add(Rank::Plain, format!("no timer runs: {ending} this"));
        }
        some => lines.add(
            Rank::Plain,
            format!("no timer runs on {}: {ending} those", units::count(some)),
        ),
    }
    if let Some(next) = set.next_probe_ms {
        lines.add(Rank::Plain, format!(
            "keepalive runs on {}, the next probe in {}: it ends those whose peer is gone, and frees no descriptor",
            units::count(set.keepalive),
            units::duration(next.into())
        ));
    }
}

fn process(report: &Report<'_>, pid: Pid) -> String {
    match report.holders().name(pid) {
        Some(name) => format!("{}[{pid}]", escape::text(name.bytes())),
        None => format!("process {pid}"),
    }
}

pub fn runtime_name(runtime: Runtime) -> &'static str {
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

/// Commands that fit the owner and the cause.
pub fn next_steps(report: &Report<'_>, finding: &Finding) -> Vec<String> {
    let set = &finding.set;
    let mut steps = Vec::new();
    if matches!(set.cause, Cause::Transient | Cause::HalfClose) {
        return steps;
    }
    let pid = set.owner.pids.first().copied();
    let stopped = finding.evidence.iter().any(|evidence| {
        evidence
            .threads
            .is_some_and(|threads| threads.stopped == threads.total)
    });
    match pid {
        Some(pid) if stopped => steps.push(format!(
            "kill -CONT {pid}, if it was not stopped on purpose"
        )),
        Some(pid) => {
            let runtime = finding
                .evidence
                .iter()
                .find(|evidence| evidence.pid == pid)
                .map_or(Runtime::Native, |evidence| evidence.runtime);
            steps.push(stack_command(runtime, pid));
        }
        None if set.owner.kind.is_none() => {
            steps.push("run it without --no-owners to see whose they are".to_owned())
        }
        None => steps.push("run it as root to see whose they are".to_owned()),
    }
    if let Some(queue) = &finding.queue {
        if emfile(finding)
            && let Some(pid) = pid
        {
            steps.push(format!(
                "ls -l /proc/{pid}/fd | awk '{{print $NF}}' | sort | uniq -c | sort -rn | head"
            ));
        }
        if queue.at_somaxconn {
            steps.push(
                "make accept() faster first; a larger backlog needs net.core.somaxconn raised too"
                    .to_owned(),
            );
        }
    }
    if let Some((wait, _)) = majority_wait(finding)
        && let Some(WaitTarget::Remote(remote)) = wait.target
    {
        steps.push(format!(
            "look at {remote}: that is what the threads wait for"
        ));
    }
    let mut list = format!("closewait list --state close-wait --cause {}", set.cause);
    if let Some(pid) = pid {
        list.push_str(&format!(" --pid {pid}"));
    }
    let asked = report.snapshot.netns_asked.as_deref();
    if let Some(netns) = asked {
        list.push_str(&format!(" -N {}", escape::text(netns.as_bytes())));
    }
    steps.push(list);
    steps.push(format!("closewait explain {}", set.cause));
    steps
}

fn stack_command(runtime: Runtime, pid: Pid) -> String {
    match runtime {
        Runtime::Java => format!("jcmd {pid} Thread.print"),
        Runtime::Python => format!("py-spy dump --pid {pid}"),
        Runtime::Ruby => format!("rbspy snapshot --pid {pid}"),
        Runtime::Go => {
            format!("dlv attach {pid} (goroutines), or curl its /debug/pprof/goroutine?debug=2")
        }
        Runtime::Node => format!("kill -USR1 {pid}, then node inspect -p {pid}"),
        Runtime::Php | Runtime::Nginx | Runtime::Native => {
            format!("gdb -p {pid} -batch -ex 'thread apply all bt'")
        }
    }
}
