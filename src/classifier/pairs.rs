//! Pairs the two legs of a proxy: a CLOSE_WAIT, and another connection of the same program and
//! network namespace that carried the same bytes in both directions.
//!
//! Byte counts decide: what the program reads on one leg it writes on the other. Times only exclude
//! pairs, because nothing is relayed before it is received; the delay depends on the load.

use rustc_hash::{FxHashMap, FxHashSet};

use super::program::Program;
use super::report::Report;
use super::row::Row;
use super::service::Service;
use super::service::ServiceEnd;
use crate::model::{Ago, Endpoint, Name, Pid, Side, Socket, State, Tick};

/// The least share of the connections of a set that need a partner, in percent.
const PAIRED_PERCENT: usize = 80;

/// The most connections of a set for which a partner is searched.
const LOOKED_AT: usize = 1_000;

/// What the program did with the close on the other leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LegState {
    /// ESTABLISHED: the close was not relayed.
    Kept,
    /// ESTABLISHED, to a service that has not answered the last request.
    Unanswered,
    /// FIN_WAIT2: the close was relayed and acknowledged, and the remote end has not closed.
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
    /// How many connections of the set were searched for.
    pub looked_at: u64,
    /// The service or services of the other legs.
    pub other: ServiceEnd,
    /// Each of these services, ordered.
    pub(super) services: Vec<Service>,
    pub leg_state: LegState,
}

/// Searches for the other legs of sets of rows among all sockets that were read, selected or not.
/// `None` for a set unless most of its rows have a partner.
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

/// The connections among which a partner is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Among<'a> {
    Process(Pid),
    /// Those of all processes with this name that descend from the first one: workers may share the
    /// legs of a connection. Other programs of the name are unrelated.
    Program(&'a Name, Pid),
}

/// A class of legs that byte counts do not tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind<'a> {
    netns: u16,
    among: Among<'a>,
    side: Side,
    /// Bytes that the program has read and written.
    read: u64,
    written: u64,
}

impl Kind<'_> {
    /// The class of the other leg.
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
    /// Its class by process, and by program.
    kinds: [Kind<'a>; 2],
    /// When the last byte was received and sent.
    received: Ago,
    sent: Ago,
    /// Whether something was received and all of it was read, and whether everything written was
    /// sent. Otherwise the times do not show when data was relayed.
    is_drained: bool,
    is_flushed: bool,
    service: Service,
    /// `None` in a state that does not show a close.
    leg_state: Option<LegState>,
}

impl<'a> Leg<'a> {
    /// `None` if facts are missing, or no byte was transferred.
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

    /// Whether data of this leg may have been relayed to the other: it must have been received
    /// before.
    fn may_feed(&self, other: &Leg<'_>, tick: Option<Tick>) -> bool {
        let is_later = |tick| self.received.is_after(other.sent, tick) == Some(true);
        !(self.is_drained && other.is_flushed && tick.is_some_and(is_later))
    }
}

/// The legs of the wanted classes and of their mirror images.
struct Table<'a> {
    /// The precision of times of different sockets; `None` if they cannot be compared.
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
        // Byte counts tell most connections apart, so their owners need not be looked up.
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

    /// The other legs of one set, of which this many sockets were searched for.
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

    /// The partners of legs of one class; `None` if no connection has their byte counts.
    fn partners(&self, kind: Kind<'_>, near: &[&Leg<'_>]) -> Option<Vec<(LegState, Service)>> {
        let (here, there) = (self.of(kind), self.of(kind.mirrored()));
        // The two ends of one connection have the same byte counts, and are not legs of a proxy.
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
        // Other legs of the class have partners too.
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

    /// The partner of a leg, whichever of these it is; `None` if they differ.
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
