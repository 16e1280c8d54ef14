//! A recording in place of the host: the same sockets and facts are read from it as from the host.

use std::io::BufReader;
use std::time::Instant;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{DUMPS_MAX, Recording, RecordingError};
use crate::collector::holders::UNMATCHED_FEW;
use crate::collector::processes::{ProcessFacts, Suspect};
use crate::collector::request::Request;
use crate::collector::sockets::capture::{Dump, Form};
use crate::collector::sockets::gaps::bound_in_dump;
use crate::collector::sockets::relevant::{
    drop_unrelated, may_be_selected, may_explain, may_matter,
};
use crate::collector::sockets::sock_diag::Dumped;
use crate::collector::sockets::sock_diag::wire;
use crate::collector::sockets::{mptcp, proc_net};
use crate::filter::Filter;
use crate::model::{
    DetailSet, Evidence, Families, FdLimit, Gap, GapKind, Name, Namespace, Pid, Protocol, Scan,
    Scanned, Snapshot, Socket, Source, State, Step,
};

impl Recording {
    /// Everything that the request asks for, as if the host were read when this was recorded.
    pub(crate) fn collect(&self, request: &Request) -> Result<Snapshot, RecordingError> {
        let start = Instant::now();
        let wanted: Vec<bool> = self
            .facts
            .namespaces
            .iter()
            .map(|namespace| !request.filter.excludes(namespace))
            .collect();
        if !wanted.contains(&true) {
            return Err(RecordingError::NoNetns);
        }
        let mut found = Dumped::default();
        let mut namespaces = Vec::new();
        let (mut room, mut malformed) = (DUMPS_MAX, 0u64);
        for (at, namespace) in (0u16..).zip(&self.facts.namespaces) {
            if !wanted.get(usize::from(at)).is_some_and(|wanted| *wanted) {
                continue;
            }
            let place = u16::try_from(namespaces.len()).unwrap_or(u16::MAX);
            let mut here = self.table(at, request, &mut room, &mut malformed)?;
            here.place(place);
            found.append(here);
            namespaces.push(namespace.clone());
        }
        let step = Step {
            what: format!("recording: {} sockets kept", found.sockets.len()).into(),
            took: start.elapsed(),
        };
        let mut gaps = self.gaps(request);
        gaps.extend(self.more_malformed(malformed));
        // Older recordings lack this gap.
        let is_recorded = gaps.iter().any(|gap| gap.kind == GapKind::StateUnread);
        let from_netlink = |namespace: &Namespace| namespace.source == Source::Netlink;
        if !is_recorded
            && request.protocols.contains(Protocol::Tcp)
            && namespaces.iter().any(from_netlink)
        {
            let release = self.facts.host.kernel.as_ref().map(Name::lossy);
            gaps.extend(bound_in_dump(
                &request.filter,
                &found.sockets,
                release.as_deref(),
            ));
        }
        let owners = request.owners;
        Ok(Snapshot {
            host: self.facts.host.clone(),
            namespaces,
            others: self.facts.others.clone().filter(|_| request.others),
            taken_at_ns: self.facts.taken_at_ns.into(),
            reading_ms: self.facts.reading_ms,
            sockets: found.sockets,
            subflows: found.subflows,
            details: found.details,
            holders: owners.then(|| self.owners.holders()),
            cgroups: request.cgroups.then(|| self.cgroups.cgroups()),
            scan: if owners {
                self.facts.scan.clone()
            } else {
                Scan::default()
            },
            scanned: self.scanned(),
            gaps,
            steps: vec![step],
            recorded: true,
        })
    }

    /// The evidence of the suspects. Those that were not recorded are missing.
    pub(crate) fn examine(&self, request: &Request, suspects: &[Suspect]) -> Vec<Evidence> {
        let recorded = |suspect: &Suspect| {
            let mut all_facts = self.evidence.iter();
            let facts = all_facts.find(|facts| facts.pid() == suspect.pid)?;
            let mut evidence = ProcessFacts::about(facts, &suspect.stuck);
            // Only a request for all sockets can tell which are in no table.
            evidence.dead_sockets = evidence.dead_sockets.filter(|_| request.sees_all());
            evidence.stacks = evidence.stacks.filter(|_| request.stacks && suspect.stacks);
            Some(evidence)
        };
        suspects.iter().filter_map(recorded).collect()
    }

    /// The facts about these processes.
    pub(crate) fn facts_of(&self, pids: &[Pid]) -> Vec<ProcessFacts> {
        let is_one = |facts: &&ProcessFacts| pids.contains(&facts.pid());
        self.evidence.iter().filter(is_one).cloned().collect()
    }

    /// The processes with many dead sockets.
    pub(crate) fn with_dead_sockets(&self, request: &Request) -> Vec<Pid> {
        let many = |facts: &&ProcessFacts| facts.dead_sockets() >= Some(UNMATCHED_FEW as u64);
        let evidence = self.evidence.iter().filter(|_| request.sees_all());
        evidence.filter(many).map(ProcessFacts::pid).collect()
    }

    /// The sockets of one namespace.
    fn table(
        &self,
        netns: u16,
        request: &Request,
        room: &mut u64,
        malformed: &mut u64,
    ) -> Result<Dumped, RecordingError> {
        let mut found = Dumped::default();
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            if !request.protocols.contains(protocol) {
                continue;
            }
            let filter = request.filter.of_protocol(protocol);
            let mut keep = |socket: &Socket| is_kept(socket, &filter, request);
            let mut seen = FxHashSet::default();
            for dump in &self.dumps {
                if dump.netns == netns && dump.form.protocol().asked_as() == protocol {
                    let more = dump.read(request, room, &mut seen, &mut keep, &mut found)?;
                    *malformed = malformed.saturating_add(more);
                }
            }
            found.settle();
            if protocol == Protocol::Tcp {
                let request = Request {
                    filter: filter.clone(),
                    ..request.clone()
                };
                drop_unrelated(&request, &mut found, &|socket| {
                    is_selected(socket, &filter, &request)
                });
                mptcp::adopt_listeners(&mut found);
            }
        }
        Ok(found)
    }

    /// A gap for rows that cannot be parsed now, but could when this was recorded.
    fn more_malformed(&self, found: u64) -> Option<Gap> {
        let gaps = self.facts.gaps.iter();
        let malformed = gaps.filter(|gap| gap.kind == GapKind::Malformed);
        let recorded = malformed.fold(0u64, |sum, gap| sum.saturating_add(gap.count));
        let more = found.checked_sub(recorded).filter(|more| *more > 0)?;
        Some(Gap {
            kind: GapKind::Malformed,
            count: more,
            detail: format!("{more} more rows of the recording could not be parsed").into(),
            hint: "it was altered: record again".into(),
        })
    }

    fn scanned(&self) -> Vec<Scanned> {
        let limit = |facts: &ProcessFacts| Some((facts.pid(), facts.fd_limit()?));
        let mut limits: FxHashMap<Pid, FdLimit> = self.evidence.iter().filter_map(limit).collect();
        limits.extend(self.owners.fd_limits.iter().copied());
        let scanned = |(pid, fds): &(Pid, u64)| Scanned {
            pid: *pid,
            fds: *fds,
            fd_limit: limits.get(pid).copied(),
            epolls: Vec::new(),
            unmatched: None,
        };
        self.owners.open_files.iter().map(scanned).collect()
    }

    /// The recorded gaps that concern the request.
    fn gaps(&self, request: &Request) -> Vec<Gap> {
        let concerns = |gap: &&Gap| match gap.kind {
            GapKind::UdpSource | GapKind::UdpUnread => request.protocols.contains(Protocol::Udp),
            GapKind::MptcpUnread => request.protocols.contains(Protocol::Tcp),
            GapKind::ProcessesUnlisted => request.owners,
            GapKind::StateUnread => {
                let tcp = request.filter.of_protocol(Protocol::Tcp);
                tcp.states().contains(State::BoundInactive)
            }
            GapKind::AgesMissing => request.tcp_info,
            // That depends on which evidence is requested now.
            GapKind::EvidenceMissing => false,
            _ => true,
        };
        self.facts.gaps.iter().filter(concerns).cloned().collect()
    }
}

/// Whether a socket may be selected, or others are judged by it.
fn is_kept(socket: &Socket, filter: &Filter, request: &Request) -> bool {
    is_selected(socket, filter, request)
        || (socket.protocol == Protocol::Tcp && may_explain(request, filter, socket))
}

fn is_selected(socket: &Socket, filter: &Filter, request: &Request) -> bool {
    if socket.protocol == Protocol::Udp {
        return may_be_selected(filter, socket);
    }
    let of_family = match request.families {
        Families::Both => true,
        Families::One(family) => socket.family == family,
    };
    of_family && may_matter(filter, socket)
}

impl Dump {
    /// Reads the sockets, and returns how many rows are malformed.
    fn read(
        &self,
        request: &Request,
        room: &mut u64,
        seen: &mut FxHashSet<u64>,
        keep: &mut impl FnMut(&Socket) -> bool,
        found: &mut Dumped,
    ) -> Result<u64, RecordingError> {
        if let Some(family) = self.form.text_family() {
            let text = BufReader::new(self.content(room));
            let protocol = self.form.protocol();
            let reading = proc_net::read(text, protocol, family, keep, &mut found.sockets)?;
            return Ok(reading.malformed);
        }
        let with_info = request.tcp_info || request.details.contains(DetailSet::INFO);
        let mut malformed: u64 = 0;
        self.messages(room, |message| {
            let Ok(mut socket) = wire::socket(message, self.form.protocol()) else {
                malformed = malformed.saturating_add(1);
                return;
            };
            if self.form == Form::TcpBound {
                socket = wire::bound_inactive(socket);
            }
            let is_new = cookie(&socket).is_none_or(|cookie| seen.insert(cookie));
            if !is_new {
                return found.again(&socket);
            }
            if !keep(&socket) {
                return;
            }
            if !with_info && socket.protocol != Protocol::Mptcp {
                socket.tcp = None;
            }
            if !request.details.is_empty() {
                let detail = wire::detail(message, self.form.protocol());
                socket.detail = found.details.push(detail);
            }
            found.push(socket);
        })?;
        Ok(malformed)
    }
}

/// What identifies a socket in its namespace and protocol, if the kernel sent it.
fn cookie(socket: &Socket) -> Option<u64> {
    socket.cookie.map(u64::from)
}
