//! The two legs of a proxy: a CLOSE_WAIT and another connection of the same program and namespace
//! over which the same bytes went, both ways.
//!
//! Bytes decide: what the program read on one leg it wrote on the other. Times only rule out what
//! cannot be, since nothing is passed on before it came in; how long that took is the machine's
//! load.

use rustc_hash::{FxHashMap, FxHashSet};

use super::program::Program;
use super::report::Report;
use super::row::Row;
use super::service::Service;
use super::service::ServiceEnd;
use crate::model::{Ago, Endpoint, Name, Pid, Side, Socket, State, Tick};

/// A set is a proxy's when this many of its connections have a partner, in percent.
const PAIRED_PERCENT: usize = 80;

/// The most connections of a set for which a partner is looked for.
const LOOKED_AT: usize = 1_000;

/// What became of the close at the other leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LegState {
    /// ESTABLISHED: it was not passed on.
    Kept,
    /// ESTABLISHED to a service that has not answered what was sent to it last.
    Unanswered,
    /// FIN_WAIT2: it was passed on and acknowledged, and the remote end has not closed.
    PassedOn,
}

impl LegState {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            LegState::Kept => "kept",
            LegState::Unanswered => "unanswered",
            LegState::PassedOn => "passed-on",
        }
    }
}

/// The other legs that were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Legs {
    pub pairs: u64,
    /// How many connections of the set were looked at.
    pub looked_at: u64,
    /// The service end, or ends, of the other legs.
    pub other: ServiceEnd,
    /// The same, each by itself, ordered.
    pub(super) services: Vec<Service>,
    pub leg_state: LegState,
}

/// Looks for the other legs of sets of rows, among all sockets that were read: what is selected
/// changes nothing. `None` for a set unless most of its rows have a partner.
pub fn legs(report: &Report<'_>, sets: &[&[u32]]) -> Vec<Option<Legs>> {
    let looked_at = |set: &&[u32]| set.len().min(LOOKED_AT);
    let near: Vec<Vec<Leg<'_>>> = sets
        .iter()
        .map(|set| {
            let rows = set[..looked_at(set)].iter();
            rows.filter_map(|at| Leg::of(report, &report.row(*at as usize)))
                .collect()
        })
        .collect();
    let table = Table::read(report, near.iter().flatten());
    let of_set = |(near, set): (&Vec<Leg<'_>>, _)| table.legs(near, looked_at(set));
    near.iter().zip(sets).map(of_set).collect()
}

/// Among whose connections a partner is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Among<'a> {
    Process(Pid),
    /// Of all processes of this name that the first of them started: workers may share the legs of
    /// a connection. Others of the name have nothing to do with it.
    Program(&'a Name, Pid),
}

/// What the legs have in common that cannot be told apart by bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind<'a> {
    netns: u16,
    among: Among<'a>,
    side: Side,
    /// Bytes that the program has read, and that it has written.
    read: u64,
    written: u64,
}

impl Kind<'_> {
    /// Of the other leg.
    fn mirrored(self) -> Self {
        Kind {
            side: match self.side {
                Side::Server => Side::Client,
                Side::Client => Side::Server,
            },
            read: self.written,
            written: self.read,
            ..self
        }
    }
}

/// A connection of a program.
#[derive(Debug, Clone, Copy)]
struct Leg<'a> {
    local: Endpoint,
    remote: Endpoint,
    /// Of its process, and of its program.
    kinds: [Kind<'a>; 2],
    /// When the last byte came in and went out.
    received: Ago,
    sent: Ago,
    /// Whether something came in and all of it was read, and whether all that was written has
    /// been sent: else the times tell nothing of what was passed on.
    is_drained: bool,
    is_flushed: bool,
    service: Service,
    /// `None` in a state that tells nothing of a close.
    leg_state: Option<LegState>,
}

impl<'a> Leg<'a> {
    /// `None` where the kernel does not tell enough, or no byte ever went.
    fn of(report: &'a Report<'_>, row: &Row<'a>) -> Option<Leg<'a>> {
        let socket = row.socket;
        let (read, written) = socket.passed()?;
        let pid = row.owner.holders().first()?.pid;
        let holders = report.holders();
        let program = Among::Program(holders.name(pid)?, Program::of(holders, pid)?.first);
        let tcp = socket.tcp?;
        let tick = report.snapshot.host.tick;
        let side = row.side()?;
        let (received, sent) = (tcp.last_data_recv()?, tcp.last_data_sent()?);
        let answered =
            side == Side::Server || (read > 0 && sent.is_after(received, tick) != Some(true));
        Some(Leg {
            local: socket.local.canonical(),
            remote: socket.remote.canonical(),
            kinds: [Among::Process(pid), program].map(|among| Kind {
                netns: socket.netns,
                among,
                side,
                read,
                written,
            }),
            received,
            sent,
            is_drained: read > 0 && socket.recv_q <= u32::from(socket.state == State::CloseWait),
            is_flushed: tcp.notsent()? == 0,
            service: row.service(),
            leg_state: match socket.state {
                State::Established if answered => Some(LegState::Kept),
                State::Established => Some(LegState::Unanswered),
                State::FinWait2 => Some(LegState::PassedOn),
                _ => None,
            },
        })
    }

    fn ends(&self) -> (Endpoint, Endpoint) {
        (self.local, self.remote)
    }

    /// Whether what came in over this leg may have gone out over the other: not before.
    fn may_feed(&self, other: &Leg<'_>, tick: Option<Tick>) -> bool {
        let is_later = |tick| self.received.is_after(other.sent, tick) == Some(true);
        !(self.is_drained && other.is_flushed && tick.is_some_and(is_later))
    }
}

/// The legs of the kinds that were asked for, and of their mirror images.
struct Table<'a> {
    /// What times of different sockets are known to; `None` where they cannot be compared.
    tick: Option<Tick>,
    legs: FxHashMap<Kind<'a>, Vec<Leg<'a>>>,
}

impl<'a> Table<'a> {
    fn read<'b>(report: &'a Report<'_>, near: impl Iterator<Item = &'b Leg<'a>>) -> Table<'a>
    where
        'a: 'b,
    {
        let mut legs: FxHashMap<Kind<'a>, Vec<Leg<'a>>> = FxHashMap::default();
        for kind in near.flat_map(|leg| leg.kinds) {
            legs.entry(kind).or_default();
            legs.entry(kind.mirrored()).or_default();
        }
        // Most connections are told apart by their bytes: whose they are need not be asked.
        let bytes: FxHashSet<(u64, u64)> =
            legs.keys().map(|kind| (kind.read, kind.written)).collect();
        let is_wanted = |socket: &&Socket| {
            socket
                .passed()
                .is_some_and(|passed| bytes.contains(&passed))
                && socket.inode != 0
        };
        let sockets = if bytes.is_empty() {
            &[]
        } else {
            report.snapshot.sockets.as_slice()
        };
        for socket in sockets.iter().filter(is_wanted) {
            let Some(leg) = Leg::of(report, &report.judged(socket)) else {
                continue;
            };
            for kind in leg.kinds {
                if let Some(legs) = legs.get_mut(&kind) {
                    legs.push(leg);
                }
            }
        }
        let snapshot = report.snapshot;
        Table {
            tick: snapshot
                .reading_ms
                .map(|apart| snapshot.host.tick.across(apart)),
            legs,
        }
    }

    fn of<'b>(&'b self, kind: Kind<'b>) -> &'b [Leg<'a>] {
        self.legs.get(&kind).map_or(&[], Vec::as_slice)
    }

    /// The other legs of one set, of which so many were looked at.
    fn legs(&self, near: &[Leg<'_>], looked_at: usize) -> Option<Legs> {
        let mut found: FxHashMap<LegState, FxHashMap<Service, usize>> = FxHashMap::default();
        let mut rest: Vec<&Leg<'_>> = near.iter().collect();
        for among in 0..2 {
            let mut by_kind: FxHashMap<Kind<'_>, Vec<&Leg<'_>>> = FxHashMap::default();
            for leg in rest.drain(..) {
                by_kind.entry(leg.kinds[among]).or_default().push(leg);
            }
            for (kind, near) in by_kind {
                match self.partners(kind, &near) {
                    Some(partners) => {
                        for (leg_state, service) in partners {
                            *found
                                .entry(leg_state)
                                .or_default()
                                .entry(service)
                                .or_default() += 1;
                        }
                    }
                    None => rest.extend(near),
                }
            }
        }
        let (pairs, leg_state, services) = found
            .into_iter()
            .map(|(leg_state, services)| (services.values().sum::<usize>(), leg_state, services))
            .max_by_key(|(pairs, leg_state, _)| (*pairs, *leg_state))?;
        if pairs * 100 < looked_at * PAIRED_PERCENT {
            return None;
        }
        let mut services: Vec<Service> = services.into_keys().collect();
        services.sort_unstable();
        let first = *services.first()?;
        Some(Legs {
            pairs: pairs as u64,
            looked_at: looked_at as u64,
            other: match u32::try_from(services.len()) {
                Ok(1) => ServiceEnd::One(first),
                several => ServiceEnd::Several(first.side(), several.unwrap_or(u32::MAX)),
            },
            services,
            leg_state,
        })
    }

    /// What the partners of legs of one kind tell; `None` where no connection has their bytes.
    fn partners(&self, kind: Kind<'_>, near: &[&Leg<'_>]) -> Option<Vec<(LegState, Service)>> {
        let (here, there) = (self.of(kind), self.of(kind.mirrored()));
        // The two ends of one connection have the same bytes, and are no legs of a proxy.
        let ends = |legs: &[Leg<'_>]| -> FxHashSet<(Endpoint, Endpoint)> {
            legs.iter().map(|leg| (leg.remote, leg.local)).collect()
        };
        let (of_here, of_there) = (ends(here), ends(there));
        let far: Vec<&Leg<'_>> = there
            .iter()
            .filter(|leg| !of_here.contains(&leg.ends()))
            .collect();
        if far.is_empty() {
            return None;
        }
        // Others that look like these have partners too.
        let near_ends: FxHashSet<_> = near.iter().map(|leg| leg.ends()).collect();
        let rivals = here
            .iter()
            .filter(|leg| !of_there.contains(&leg.ends()) && !near_ends.contains(&leg.ends()));
        let free = far.len().saturating_sub(rivals.count());
        let mut partners: Vec<(LegState, Service)> = near
            .iter()
            .filter_map(|leg| self.partner(leg, &far))
            .collect();
        let is_same = partners
            .iter()
            .all(|partner| Some(partner) == partners.first());
        if free < partners.len() && !is_same {
            partners.clear();
        }
        partners.truncate(free);
        Some(partners)
    }

    /// What the partner of a leg tells, whichever of these it is; `None` where they tell
    /// different things.
    fn partner(&self, leg: &Leg<'_>, far: &[&Leg<'_>]) -> Option<(LegState, Service)> {
        let mut partners = far
            .iter()
            .filter(|other| leg.may_feed(other, self.tick) && other.may_feed(leg, self.tick))
            .map(|other| (other.leg_state, other.service));
        let first = partners.next()?;
        let (leg_state, service) = first;
        partners
            .all(|other| other == first)
            .then_some((leg_state?, service))
    }
}
