//! JSON, by the schema in `docs/schema.json`: one document, or one line a socket.
//!
//! Sockets are written as they are met; nothing is built for all of them.

mod counts;
pub mod diff;
mod halt;
mod legs;
mod row;
mod types;
mod workers;

pub use self::counts::lines as tally_lines;

use std::io::{self, Write};
use std::time::Duration;

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use crate::classifier::chain::{Hop, LockOwner, Says};
use crate::classifier::finding::{FinWait2, Finding, Findings, ServiceEnd};
use crate::classifier::group::{Group, ServedAt, Service};
use crate::classifier::pool::PoolVerdict;
use crate::classifier::queue::Queue;
use crate::classifier::requests::{Requests, Role};
use crate::classifier::send_progress::HalfClosed;
use crate::classifier::silent::{Silent, silent};
use crate::classifier::{Report, Row};
use crate::model::{
    Cause, Endpoint, Evidence, FdLimit, Holders, Pid, Placed, Protocol, Resolved, Side, Snapshot,
    Socket, Wait, WaitTarget,
};
use crate::renderer::counts::Counts;
use crate::renderer::format::json::row::RowJson;
use crate::renderer::format::json::types::{
    Causes, Counters, CpuJson, CulpritJson, Document, EndpointJson, EpollJson, EvidenceJson,
    FindingJson, GroupJson, HalfClosedJson, HopJson, IdleJson, KeeperJson, ListenerJson, PartJson,
    PatienceJson, PlacedJson, PoolJson, Process, RequestsJson, RetiredJson, SilentJson, SocketJson,
    SpreadJson, ThreadsJson, TimerJson, TitleJson, UdpJson, WaitJson,
};
pub(in crate::renderer) use crate::renderer::format::json::types::{
    Gap, NameJson, Reading, States, Tool,
};
use crate::renderer::order::{self, Order};
use crate::renderer::{Object, Page, View, findings, names, units};

/// The version of the schema: raised only when a field is renamed or removed.
pub(in crate::renderer) const SCHEMA: u32 = 1;

/// Writes the whole document.
pub fn document(
    report: &Report<'_>,
    found: &Findings,
    view: &View,
    elapsed: Duration,
    out: &mut impl Write,
) -> io::Result<()> {
    let snapshot = report.snapshot;
    let context = Context::of(report);
    let order = match &view.page {
        Page::List { object, .. } => Some((order::rows(report, view.sort, view.limit), object)),
        Page::Triage | Page::Tally(_) | Page::Diagram => None,
    };
    let by = match &view.page {
        Page::Tally(by) => Some(Counts::new(report, by, view.limit)),
        _ => None,
    };
    let groups = match view.page {
        Page::List { .. } | Page::Tally(_) | Page::Diagram => report.groups(),
        Page::Triage => {
            let mut groups = order::groups(report, view.sort);
            groups.truncate(view.limit.unwrap_or(usize::MAX));
            groups
        }
    };
    let settings = snapshot.only_namespace().map(|only| &only.settings);
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
        source: source(snapshot),
        namespaces: snapshot.namespaces.iter().map(Into::into).collect(),
        other_namespaces: snapshot.others.as_ref().map(Into::into),
        complete: report.is_complete(),
        selection: view.selection.as_ref().map(NameJson),
        gaps: gaps(report),
        states: States(&report.states),
        udp: report.udp.as_ref().map(UdpJson::from),
        groups: groups.iter().map(|group| context.group(group)).collect(),
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
        counters: Counters {
            scope: "namespace-since-boot",
            listen_overflows: settings.and_then(|settings| settings.listen_overflows),
            listen_drops: settings.and_then(|settings| settings.listen_drops),
        },
        fin_wait2: FinWait2::of(report).into(),
        unanswered: silent.iter().map(|silent| context.silent(silent)).collect(),
        sockets: order.as_ref().map(|(order, object)| Sockets {
            order,
            object,
            report,
            context: &context,
        }),
        by,
    };
    serde_json::to_writer(&mut *out, &document)?;
    out.write_all(b"\n")
}

/// Where the sockets came from.
fn source(snapshot: &Snapshot) -> &'static str {
    if snapshot.recorded {
        "recording"
    } else {
        snapshot.source().name()
    }
}

/// With one decimal.
fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

fn gaps<'a>(report: &'a Report<'_>) -> Vec<Gap<'a>> {
    report.gaps.iter().map(Gap::of).collect()
}

impl<'a> Gap<'a> {
    pub(in crate::renderer) fn of(gap: &'a crate::model::Gap) -> Gap<'a> {
        Gap {
            kind: gap.kind.name(),
            count: gap.count,
            detail: &gap.detail,
            hint: &gap.hint,
        }
    }
}

impl<'a> Reading<'a> {
    /// One of several readings that a document is about.
    pub(in crate::renderer) fn of(report: &'a Report<'_>) -> Reading<'a> {
        let snapshot = report.snapshot;
        Reading {
            host: NameJson(&snapshot.host.name),
            taken_at: units::timestamp(snapshot.taken_at_ns),
            source: source(snapshot),
            complete: report.is_complete(),
            gaps: gaps(report),
        }
    }
}

/// Writes one socket a line.
pub fn lines(report: &Report<'_>, view: &View, out: &mut impl Write) -> io::Result<()> {
    let context = Context::of(report);
    let Page::List { object, .. } = &view.page else {
        return Ok(());
    };
    for row in order::rows(report, view.sort, view.limit).rows(report) {
        let line = RowJson {
            row,
            object,
            context: &context,
        };
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// The sockets of a list, written one by one.
struct Sockets<'a> {
    order: &'a Order,
    object: &'a Object,
    report: &'a Report<'a>,
    context: &'a Context<'a>,
}

impl Serialize for Sockets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        for row in self.order.rows(self.report) {
            seq.serialize_element(&RowJson {
                row,
                object: self.object,
                context: self.context,
            })?;
        }
        seq.end()
    }
}

/// The holders of one socket, written without a list of them being made.
struct HoldersJson<'a> {
    row: Row<'a>,
    holders: &'a Holders,
}

impl Serialize for HoldersJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Holder<'a> {
            pid: u32,
            fd: u32,
            name: Option<NameJson<'a>>,
        }
        serializer.collect_seq(self.row.owner.holders().iter().map(|holder| Holder {
            pid: holder.pid.0,
            fd: holder.fd,
            name: self.holders.name(holder.pid).map(NameJson),
        }))
    }
}

/// What every group and socket of a document needs from around it.
struct Context<'a> {
    report: &'a Report<'a>,
}

impl<'a> Context<'a> {
    fn of(report: &'a Report<'_>) -> Context<'a> {
        Context { report }
    }

    fn end(&self, end: Endpoint, protocol: Protocol) -> EndpointJson<'a> {
        EndpointJson::named(end, protocol, &self.report.resolved)
    }

    /// A service end as the two fields of which one is set.
    fn service(
        &self,
        service: Service,
        protocol: Protocol,
    ) -> (Option<u16>, Option<EndpointJson<'a>>) {
        match service.at {
            ServedAt::Local(_) => (service.port(), None),
            ServedAt::Remote(remote) => (None, Some(self.end(remote, protocol))),
            ServedAt::Unknown(addr) => (None, Some(self.end(Endpoint::new(addr, 0), protocol))),
        }
    }

    /// This end of a socket, with the interface that it is bound to.
    fn local(&self, socket: &Socket) -> EndpointJson<'a> {
        EndpointJson {
            device: self.device(socket.netns, socket.interface),
            ..self.end(socket.local, socket.protocol)
        }
    }

    fn device(&self, netns: u16, index: u32) -> Option<String> {
        let device = self.report.snapshot.netns(netns).device(index)?;
        Some(device.lossy().into_owned())
    }

    /// What a namespace is called.
    fn netns(&self, at: u16) -> Option<NameJson<'a>> {
        self.report.snapshot.netns(at).label.as_ref().map(NameJson)
    }

    fn processes(&self, pids: &[Pid]) -> Vec<Process<'a>> {
        pids.iter().map(|pid| self.process(*pid)).collect()
    }

    fn process(&self, pid: Pid) -> Process<'a> {
        Process {
            pid: pid.0,
            name: self.name(pid),
        }
    }

    fn name(&self, pid: Pid) -> Option<NameJson<'a>> {
        self.report.holders().name(pid).map(NameJson)
    }

    fn finding(&self, finding: &'a Finding) -> FindingJson<'a> {
        let set = &finding.set;
        let (local_port, remote, ends) = match set.end {
            ServiceEnd::One(one) => {
                let (local_port, remote) = self.service(one, Protocol::Tcp);
                (local_port, remote, 1)
            }
            ServiceEnd::Several(_, ends) => (None, None, ends),
        };
        FindingJson {
            severity: finding.severity.name(),
            cause: set.cause.name(),
            sockets: set.sockets,
            netns: match set.cause {
                // Whose namespace it was is in no table either.
                Cause::DeadDescriptors => None,
                _ => self.netns(set.netns),
            },
            side: set.end.side().map(Side::name),
            local_port,
            remote,
            device: match set.end {
                ServiceEnd::One(service) => self.device(set.netns, service.device),
                ServiceEnd::Several(..) => None,
            },
            ends,
            owner_kind: set.owner.kind,
            owners: self.processes(&set.owner.pids),
            summary: findings::summary(self.report, finding),
            meaning: findings::meaning(finding),
            culprit: finding.culprit.map(|culprit| CulpritJson {
                kind: culprit.name(),
                pid: culprit.pid().map(|pid| pid.0),
                remote: (culprit.remote()).map(|remote| self.end(remote, Protocol::Tcp)),
            }),
            requests: self.requests(&set.requests, &finding.evidence),
            chain: finding.chain.iter().map(|hop| self.hop(hop)).collect(),
            parts: (finding.parts.iter())
                .map(|part| PartJson {
                    cause: part.cause.name(),
                    sockets: part.sockets,
                    owner_kind: part.owner.kind,
                    owners: self.processes(&part.owner.pids),
                })
                .collect(),
            retired: finding.old_workers.as_ref().map(|retired| RetiredJson {
                processes: self.processes(&retired.pids),
                successor: retired.successor.map(|pid| self.process(pid)),
                says_so: retired.says_so,
            }),
            legs: legs::legs(finding),
            waiting: legs::waiting(finding),
            evidence: findings::evidence(self.report, finding),
            next_steps: findings::next_steps(self.report, finding),
            recv_q: set.recv_q.into(),
            idle_ms: set.idle.map(SpreadJson::from),
            patience_ms: set.patience.map(|patience| PatienceJson {
                sockets: patience.sockets,
                p50: patience.p50_ms,
                p90: patience.p90_ms,
                cluster: patience.cluster_ms,
            }),
            pool: set.pool.map(|pool| PoolJson {
                story: set.pool_verdict.map(PoolVerdict::name),
                shape: pool.pattern.map(|pattern| pattern.kind.name()),
                times: pool.basis.name(),
                newest_ms: pool.pattern.map(|pattern| pattern.newest_ms),
                oldest_ms: pool.pattern.map(|pattern| pattern.oldest_ms),
                per_minute: pool
                    .pattern
                    .and_then(|pattern| pattern.per_minute())
                    .map(tenths),
                close_wait: pool.closed,
                established: pool.open,
                callers: pool.callers,
            }),
            half_closed: (set.half_closed != HalfClosed::default()).then(|| {
                let of = set.half_closed;
                HalfClosedJson {
                    certain: of.certain,
                    window_shut: of.shut,
                    window_shut_ms: (of.shut > 0).then_some(of.shut_ms),
                    unanswered: of.unanswered,
                }
            }),
            fd_percent: finding.fd_percent,
            workers: workers::workers(&finding.workers, &self.report.resolved),
            processes: finding
                .evidence
                .iter()
                .map(|evidence| self.evidence(evidence))
                .collect(),
        }
    }

    fn silent(&self, silent: &'a Silent) -> SilentJson<'a> {
        let requests = &silent.requests;
        SilentJson {
            netns: self.netns(silent.netns),
            owner: self.process(silent.pid),
            remote: self.end(requests.remote, Protocol::Tcp),
            connections: requests.connections,
            unanswered: requests.unanswered,
            p50_ms: requests.p50_ms,
            max_ms: requests.max_ms,
        }
    }

    fn hop(&self, hop: &'a Hop) -> HopJson<'a> {
        let title = |says: &'a Says| TitleJson {
            program: says.title.of.name(),
            says: NameJson(&says.title.says),
            pids: says.pids.iter().map(|pid| pid.0).collect(),
        };
        let held_by = |held_by: &'a LockOwner| KeeperJson {
            pid: held_by.pid.0,
            remote: held_by.end.map(|end| self.end(end, Protocol::Tcp)),
            client: held_by.client.map(|pid| self.process(pid)),
        };
        HopJson {
            remote: self.end(hop.remote, Protocol::Tcp),
            netns: self.netns(hop.netns),
            owners: self.processes(&hop.pids),
            connections: hop.connections,
            unaccepted: hop.unaccepted,
            waits_for_itself: hop.is_loop,
            requests: self.requests(&hop.requests, &hop.evidence),
            titles: hop.says.iter().map(title).collect(),
            keepers: hop.keepers.iter().map(held_by).collect(),
            processes: hop
                .evidence
                .iter()
                .map(|evidence| self.evidence(evidence))
                .collect(),
        }
    }

    fn requests(&self, requests: &'a [Requests], evidence: &[Evidence]) -> Vec<RequestsJson<'a>> {
        let one = |of: &'a Requests| RequestsJson {
            remote: self.end(of.remote, Protocol::Tcp),
            connections: of.connections,
            unanswered: of.unanswered,
            p50_ms: of.p50_ms,
            max_ms: of.max_ms,
            explains: of.role == Role::Explains,
            awaited: of.are_awaited(evidence),
        };
        requests.iter().map(one).collect()
    }

    fn evidence(&self, evidence: &'a Evidence) -> EvidenceJson<'a> {
        EvidenceJson {
            pid: evidence.pid.0,
            name: self.name(evidence.pid),
            runtime: names::runtime(evidence.runtime),
            age_ms: evidence.age_ms,
            open_fds: evidence.open_fds,
            fd_limit: evidence.fd_limit.and_then(FdLimit::files),
            dead_sockets: evidence.dead_sockets,
            threads: evidence.threads.map(|threads| ThreadsJson {
                total: threads.total,
                running: threads.running,
                sleeping: threads.sleeping,
                disk: threads.disk,
                stopped: threads.stopped,
                zombie: threads.zombie,
            }),
            cpu: evidence.cpu.as_ref().map(|cpu| CpuJson {
                sample_ms: cpu.sample_ms,
                percent: cpu.percent,
                busiest_thread: cpu.busiest.map(|(thread, _)| thread.0),
                busiest_percent: cpu.busiest.map(|(_, percent)| percent),
                busiest_ran_percent: cpu.ran_percent,
                restless_threads: cpu.restless,
            }),
            halt: (&evidence.halt).into(),
            waits: evidence.waits.as_ref().map(|waits| {
                waits
                    .iter()
                    .map(|one| wait(one, &self.report.resolved))
                    .collect()
            }),
            epoll: evidence.epoll.map(|epoll| EpollJson {
                watched: epoll.watched,
                edge_triggered: epoll.edge,
                muted: epoll.muted,
                absent: epoll.absent,
            }),
            says: evidence.title.as_ref().map(|title| NameJson(&title.says)),
            unread: &evidence.unread,
        }
    }

    fn listener(&self, queue: &Queue) -> ListenerJson<'a> {
        ListenerJson {
            netns: self.netns(queue.bound.netns),
            local: EndpointJson {
                device: self.device(queue.bound.netns, queue.bound.device),
                ..self.end(queue.bound.local, Protocol::Tcp)
            },
            owners: self.processes(&queue.pids),
            queue: queue.now,
            limit: queue.limit,
            syn_recv: queue.syn_recv,
            unaccepted: queue.unaccepted,
            close_wait: queue.close_wait,
            oldest_ms: queue.oldest_ms,
            at_somaxconn: queue.at_somaxconn,
        }
    }

    fn group(&self, group: &'a Group) -> GroupJson<'a> {
        let (local_port, remote) = self.service(group.service, group.protocol);
        GroupJson {
            netns: self.netns(group.netns),
            protocol: group.protocol.name(),
            state: group.protocol.state_name(group.state),
            side: match group.protocol {
                Protocol::Udp => None,
                _ => group.service.side().map(Side::name),
            },
            local_port,
            remote,
            device: self.device(group.netns, group.service.device),
            owner_kind: group.owner.kind,
            owners: self.processes(&group.owner.pids),
            sockets: group.sockets,
            recv_q: group.recv_q.into(),
            send_q_max: group.send_q_max,
            idle_ms: group.idle.map(SpreadJson::from),
            causes: Causes(&group.causes),
        }
    }

    /// The control group, where somebody asked.
    fn placed(&self, row: &Row<'_>) -> Option<PlacedJson<'a>> {
        let cgroups = self.report.snapshot.cgroups.as_ref()?;
        let cgroup = match cgroups.of(row.socket, &row.owner) {
            Placed::In(cgroup) => Some(cgroup),
            Placed::Nowhere | Placed::Unknown => None,
        };
        Some(PlacedJson {
            cgroup: cgroup.map(|found| NameJson(&found.path)),
            unit: cgroup.and_then(|found| found.unit.as_ref().map(NameJson)),
            container: cgroup.and_then(|found| found.container.as_ref().map(NameJson)),
        })
    }

    fn socket<'b>(&'b self, row: &Row<'b>) -> SocketJson<'b> {
        let socket = row.socket;
        let uid = socket.user();
        SocketJson {
            netns: self.netns(socket.netns),
            protocol: socket.protocol.name(),
            family: socket.family.name(),
            state: socket.state_name(),
            local: self.local(socket),
            remote: self.end(socket.remote, socket.protocol),
            side: row.side().map(|side| side.name()),
            recv_q: socket.recv_q,
            send_q: self.report.send_q(socket),
            timer: socket.timer.map(TimerJson::from),
            uid,
            user: uid
                .and_then(|uid| self.report.snapshot.host.users.name(uid))
                .map(NameJson),
            inode: (socket.inode != 0).then_some(socket.inode),
            cookie: socket.cookie.map(u64::from),
            mptcp_token: socket.token,
            accepted: row.accepted(),
            owner_kind: row.owner.kind(),
            owners: HoldersJson {
                row: *row,
                holders: self.report.holders(),
            },
            idle_ms: row.idle.map(IdleJson::from),
            cause: row.cause.map(Cause::name),
            placed: self.placed(row),
        }
    }
}

fn wait<'a>(wait: &'a Wait, names: &'a Resolved) -> WaitJson<'a> {
    let (remote, listener, file) = match &wait.target {
        Some(WaitTarget::Remote(end)) => (
            Some(EndpointJson::named(*end, Protocol::Tcp, names)),
            None,
            None,
        ),
        Some(WaitTarget::Listener(end)) => (
            None,
            Some(EndpointJson::named(*end, Protocol::Tcp, names)),
            None,
        ),
        Some(WaitTarget::File(name)) => (None, None, Some(name.lossy().into())),
        None => (None, None, None),
    };
    WaitJson {
        call: NameJson(&wait.call),
        threads: wait.threads,
        remote,
        listener,
        file,
    }
}
