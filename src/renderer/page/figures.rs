//! What this host has now of a topic of `closewait explain`: below its text, in its language.

use std::io::{self, Write};

use crate::classifier::Report;
use crate::classifier::fin_wait2::FinWait2;
use crate::classifier::group::Group;
use crate::classifier::half_open::syn_queues;
use crate::classifier::local_ports::local_ports;
use crate::classifier::queue::queues;
use crate::explain::{Language, Topic};
use crate::model::{Cause, Settings, State};
use crate::renderer::names;
use crate::renderer::units::{count, duration, plural};

/// The most groups, remote ends and queues.
const MOST: usize = 3;

/// Writes the figures, under a heading. Nothing for a topic that has none.
pub fn figures(
    report: &Report<'_>,
    topic: Topic,
    language: Language,
    out: &mut impl Write,
) -> io::Result<()> {
    let of = Figures { report, language };
    let lines = match topic {
        Topic::State(state) => of.state(state),
        Topic::Cause(cause) => of.cause(cause),
    };
    if lines.is_empty() {
        return Ok(());
    }
    let unread = of.say(
        "Not everything could be read; closewait lists what is missing.",
        "有些内容读不到，closewait（不带子命令）会列出来。",
    );
    let unread = (!report.is_complete()).then_some(unread);
    let heading = of.say("Now, in this network namespace", "此刻（本网络命名空间）");
    writeln!(out, "\n{heading}")?;
    let mut lines = lines.iter().chain(&unread);
    lines.try_for_each(|line| writeln!(out, "  {line}"))
}

struct Figures<'a> {
    report: &'a Report<'a>,
    language: Language,
}

impl Figures<'_> {
    fn say(&self, english: impl Into<String>, chinese: impl Into<String>) -> String {
        match self.language {
            Language::English => english.into(),
            Language::Chinese => chinese.into(),
        }
    }

    fn settings(&self) -> Option<&Settings> {
        Some(&self.report.snapshot.only_namespace()?.settings)
    }

    fn state(&self, state: State) -> Vec<String> {
        let Some(sockets) = self.report.states.of(state) else {
            return vec![self.say(
                format!("The number of sockets in {state} could not be read."),
                format!("读不到 {state} 套接字的数量。"),
            )];
        };
        let mut lines = vec![self.sockets(state, sockets)];
        match state {
            State::TimeWait => lines.extend(self.ports()),
            State::SynRecv => lines.extend(self.syn_queues()),
            State::FinWait2 => lines.extend(self.fin_wait2()),
            State::Listen => lines.extend(self.accept_queues()),
            _ => {}
        }
        if state == State::Listen {
            return lines;
        }
        let groups = self.report.groups();
        let of_state = groups.iter().filter(|group| group.state == state);
        lines.extend(self.groups(of_state.map(|group| (group.sockets, group)).collect()));
        lines
    }

    fn sockets(&self, state: State, sockets: u64) -> String {
        let (number, s) = (count(sockets), plural(sockets));
        let limit = self.settings().and_then(|of| of.time_wait_limit);
        match limit.filter(|_| state == State::TimeWait) {
            Some(limit) => self.say(
                format!(
                    "{number} socket{s} in {state}, of at most {} (net.ipv4.tcp_max_tw_buckets)",
                    count(limit)
                ),
                format!(
                    "{state}：{number} 个，上限 {}（net.ipv4.tcp_max_tw_buckets）",
                    count(limit)
                ),
            ),
            None => self.say(
                format!("{number} socket{s} in {state}"),
                format!("{state}：{number} 个"),
            ),
        }
    }

    /// The ephemeral ports in use, for remote ends that use up many.
    fn ports(&self) -> Vec<String> {
        let ports = local_ports(self.report);
        let lines = ports.iter().take(MOST).map(|ports| {
            let (used, usable) = (count(ports.used), count(ports.usable));
            self.say(
                format!(
                    "{used} of {usable} ephemeral ports to {} in use",
                    ports.remote
                ),
                format!(
                    "到 {} 的临时端口：已用 {used} 个，共 {usable} 个",
                    ports.remote
                ),
            )
        });
        lines.collect()
    }

    /// The queues that are filled to a notable degree.
    fn syn_queues(&self) -> Vec<String> {
        let queues = syn_queues(self.report);
        let lines = queues.iter().take(MOST).map(|queue| {
            let listener = names::listener_of(self.report, &queue.bound);
            let (full, limit) = (count(queue.half_open), count(queue.limit));
            self.say(
                format!("SYN queue of {listener}: {full} of {limit}"),
                format!("{listener} 的半连接队列：{full} 个，上限 {limit}"),
            )
        });
        lines.collect()
    }

    fn fin_wait2(&self) -> Vec<String> {
        let all = FinWait2::of(self.report);
        let mut lines = Vec::new();
        if all.orphaned > 0 {
            let orphaned = count(all.orphaned);
            let last = all.last_ends_ms.map(|ms| duration(ms.into()));
            let (last, last_zh) = match last {
                Some(last) => (
                    format!(", the last in {last}"),
                    format!("，最后一个在 {last} 后"),
                ),
                None => Default::default(),
            };
            let limit = self.settings().and_then(|of| of.fin_timeout_s);
            let (limit, limit_zh) = match limit {
                Some(s) => (
                    format!(" (tcp_fin_timeout {s}s)"),
                    format!("（tcp_fin_timeout {s} 秒）"),
                ),
                None => Default::default(),
            };
            lines.push(self.say(
                format!("{orphaned} without a process: the kernel ends them{last}{limit}"),
                format!("{orphaned} 个已无进程持有，由内核结束{last_zh}{limit_zh}"),
            ));
        }
        if all.held > 0 {
            let held = count(all.held);
            lines.push(self.say(
                format!("{held} held by a process: no timer ends them"),
                format!("{held} 个仍被进程持有，没有定时器结束它们"),
            ));
        }
        lines
    }

    /// The accept queues that are not empty, and what did not fit into any.
    fn accept_queues(&self) -> Vec<String> {
        let queues = queues(self.report);
        let used = queues.iter().filter(|queue| queue.waiting() > 0);
        let lines = used.take(MOST).map(|queue| {
            let listener = names::listener_of(self.report, &queue.bound);
            let waiting = count(queue.waiting());
            let (limit, limit_zh) = match queue.limit {
                Some(limit) => (format!(" of {limit}"), format!("，上限 {limit}")),
                None => Default::default(),
            };
            self.say(
                format!("accept queue of {listener}: {waiting}{limit}"),
                format!("{listener} 的全连接队列：{waiting} 个{limit_zh}"),
            )
        });
        let mut lines: Vec<String> = lines.collect();
        let counters = self
            .settings()
            .and_then(|of| Some((of.listen_overflows?, of.listen_drops?)));
        if let Some((overflows, drops)) = counters {
            let counters = format!(
                "ListenOverflows {}, ListenDrops {}",
                count(overflows),
                count(drops)
            );
            lines.push(self.say(
                format!("{counters} since the namespace was created"),
                format!("命名空间建立以来：{counters}"),
            ));
        }
        lines
    }

    fn cause(&self, cause: Cause) -> Vec<String> {
        match cause {
            // Only triage looks for them.
            Cause::DeadDescriptors => return Vec::new(),
            Cause::PeerNotClosed => return self.state(State::FinWait2),
            _ => {}
        }
        let groups = self.report.groups();
        let of_cause: Vec<(u64, &Group)> = groups
            .iter()
            .filter_map(|group| {
                let mut causes = group.causes.iter();
                let (_, sockets) = causes.find(|(of, _)| *of == cause)?;
                Some((*sockets, group))
            })
            .collect();
        let all: u64 = of_cause.iter().map(|(sockets, _)| sockets).sum();
        let (number, s) = (count(all), plural(all));
        let mut lines = vec![self.say(
            format!("{number} socket{s} in CLOSE_WAIT with this cause"),
            format!("此原因的 CLOSE_WAIT：{number} 个"),
        )];
        lines.extend(self.groups(of_cause));
        lines
    }

    /// The largest groups, with the age of the oldest socket.
    fn groups(&self, mut groups: Vec<(u64, &Group)>) -> Vec<String> {
        groups.sort_by_key(|(sockets, _)| std::cmp::Reverse(*sockets));
        let more = groups.len().saturating_sub(MOST) as u64;
        let lines = groups.iter().take(MOST).map(|(sockets, group)| {
            let service =
                names::service_of(self.report, group.netns, group.service, group.protocol);
            let owner = match group.owner.kind {
                Some("process" | "listener") => {
                    format!(" {}", names::owner_of(self.report, &group.owner))
                }
                _ => String::new(),
            };
            let oldest = group.idle.filter(|_| group.state == State::CloseWait);
            let oldest = oldest.map_or(String::new(), |spread| {
                let oldest = duration(spread.max_ms);
                self.say(
                    format!(", the oldest ≥{oldest}"),
                    format!("，最久 ≥{oldest}"),
                )
            });
            format!("{:>6} {service}{owner}{oldest}", count(*sockets))
        });
        let mut lines: Vec<String> = lines.collect();
        if more > 0 {
            let (number, s) = (count(more), plural(more));
            lines.push(self.say(
                format!("and {number} more group{s}; see closewait"),
                format!("另有 {number} 组，见 closewait"),
            ));
        }
        lines
    }
}
