//! Counts the sockets of a check by program, port or listener.

use rustc_hash::FxHashMap;

use super::criteria::{CountBy, Criteria};
use super::key::{Key, order};
use super::measure::{Measure, judge};
use crate::classifier::listeners::Bound;
use crate::classifier::owner::GroupOwner;
use crate::classifier::program::{OwnerKey, Program};
use crate::classifier::range::Limits;
use crate::classifier::report::Report;
use crate::classifier::row::Row;
use crate::classifier::service::Service;
use crate::model::{Cause, Owner, Pid, Side, Socket};

/// The largest count.
#[derive(Debug, Clone, PartialEq)]
pub struct Worst {
    pub key: Key,
    pub sockets: u64,
    /// The cause of most of them, and their number.
    pub cause: Option<(Cause, u64)>,
    /// The service of most of them.
    pub service: Option<Service>,
    /// The owner of most of them.
    pub owner: Option<GroupOwner>,
}

fn counts(row: &Row<'_>, test: &Criteria) -> bool {
    test.states.contains(row.socket.state) && row.lingers() != Some(false)
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) all: u64,
    pub(super) counted: u64,
    pub(super) oldest_ms: Option<u64>,
    pub(super) no_ages: bool,
    pub(super) maybe_young: u64,
    /// Counted sockets with hidden owners.
    pub(super) hidden: u64,
    groups: FxHashMap<Key, Group>,
}

#[derive(Default)]
struct Group {
    sockets: u64,
    causes: [u64; Cause::ALL.len()],
    /// By service and owner, with the processes of the owner.
    parts: FxHashMap<(Service, Option<&'static str>, OwnerKey), Part>,
}

#[derive(Default)]
struct Part {
    sockets: u64,
    pids: Vec<Pid>,
}

/// Where a socket is counted. Sockets of one place are often adjacent.
pub(super) struct Place {
    netns: u16,
    service: Service,
    listener: Option<Bound>,
    owner: GroupOwner,
    whose: OwnerKey,
    pub(super) keys: Vec<Key>,
}

/// The place of each row, made anew only where it differs from that of the row before.
#[derive(Default)]
pub(super) struct Places(Option<Place>);

impl Places {
    /// The place of the next row, and whether it is a new one.
    pub(super) fn of(&mut self, report: &Report<'_>, row: &Row<'_>, by: CountBy) -> (&Place, bool) {
        let listener = (by == CountBy::Listener)
            .then(|| report.listeners().listener_of(row.socket))
            .flatten()
            .map(|listener| listener.bound);
        let last = self.0.take().filter(|place| {
            place.netns == row.socket.netns
                && place.service == row.service()
                && place.listener == listener
                && place.owner.is(&row.owner)
        });
        let is_new = last.is_none();
        let place = last.unwrap_or_else(|| Place::of(report, row, by, listener));
        (self.0.insert(place), is_new)
    }
}

impl Place {
    fn of(report: &Report<'_>, row: &Row<'_>, by: CountBy, listener: Option<Bound>) -> Place {
        let netns = row.socket.netns;
        let service = row.service();
        let owner = GroupOwner::of(&row.owner);
        let mut keys = match by {
            CountBy::Total => vec![Key::Total],
            CountBy::Port => vec![Key::Port(netns, service)],
            CountBy::Listener => vec![Key::Listener(netns, listener)],
            CountBy::Owner | CountBy::Either => {
                let held = owner.kind == Some("process");
                let programs = Program::all(report.holders(), &owner.pids);
                if held && !programs.is_empty() {
                    let keys = programs.into_iter();
                    keys.map(|program| Key::Program(netns, program)).collect()
                } else {
                    vec![Key::Owner(netns, owner.clone())]
                }
            }
        };
        if by == CountBy::Either && service.side() == Some(Side::Server) {
            keys.push(Key::Port(netns, service));
        }
        Place {
            netns,
            service,
            listener,
            whose: OwnerKey::of(report.holders(), &owner, service.side()),
            owner,
            keys,
        }
    }
}

impl Counts {
    pub(super) fn of(report: &Report<'_>, test: &Criteria) -> Counts {
        let mut all = Counts::default();
        let mut places = Places::default();
        for row in report.rows() {
            if !test.states.contains(row.socket.state) {
                continue;
            }
            all.all += 1;
            if !counts(&row, test) {
                continue;
            }
            if report.may_be_young(&row) {
                all.maybe_young += 1;
                continue;
            }
            all.counted += 1;
            let age = row.idle.map(|idle| idle.at_least_ms);
            all.oldest_ms = all.oldest_ms.max(age);
            all.no_ages |= row.cause.is_some() && age.is_none();
            all.hidden += u64::from(matches!(row.owner, Owner::Hidden(_)));
            let (place, is_new) = places.of(report, &row, test.by);
            for key in &place.keys {
                let group = match all.groups.get_mut(key) {
                    Some(group) => group,
                    None => all.groups.entry(key.clone()).or_default(),
                };
                group.add(place, is_new, row.cause);
            }
        }
        all
    }

    /// The worst status of any group; without groups, that of 0.
    pub(super) fn measure(&self, limits: Limits, partial: bool, largest: u64) -> Measure {
        let of = |sockets: u64| judge(Some(sockets as f64), limits, partial);
        // Hidden owners may be many, so together they prove nothing about one.
        let is_one =
            |key: &Key| !matches!(key, Key::Owner(_, owner) if owner.kind == Some("hidden"));
        let judged = self
            .groups
            .iter()
            .filter(|(key, _)| !partial || is_one(key));
        let each = judged.map(|(_, group)| of(group.sockets));
        Measure {
            value: Some(largest as f64),
            limits,
            status: each.max().unwrap_or_else(|| of(0)),
        }
    }

    pub(super) fn worst(&self) -> Option<Worst> {
        // If counts are equal, the program is reported rather than the port.
        let (key, group) = self
            .groups
            .iter()
            .max_by_key(|(key, group)| (group.sockets, std::cmp::Reverse(order(key))))?;
        let causes = Cause::ALL.map(|cause| (cause, group.causes[cause as usize]));
        let cause = causes.into_iter().max_by_key(|(_, count)| *count);
        let most = group.parts.iter().max_by_key(|((service, kind, _), part)| {
            let first = part.pids.iter().min();
            (part.sockets, std::cmp::Reverse((*service, *kind, first)))
        });
        let owner = most.map(|((_, kind, _), part)| GroupOwner {
            kind: *kind,
            pids: match key {
                // All processes of the program, on either side.
                Key::Program(..) => sorted(group.parts.values().flat_map(|part| &part.pids)),
                _ => sorted(&part.pids),
            },
        });
        Some(Worst {
            key: key.clone(),
            sockets: group.sockets,
            cause: cause.filter(|(_, count)| *count > 0),
            service: most.map(|((service, ..), _)| *service),
            owner,
        })
    }
}

impl Group {
    fn add(&mut self, place: &Place, is_new: bool, cause: Option<Cause>) {
        self.sockets += 1;
        if let Some(cause) = cause {
            self.causes[cause as usize] += 1;
        }
        let key = (place.service, place.owner.kind, place.whose.clone());
        let part = self.parts.entry(key).or_default();
        part.sockets += 1;
        if is_new {
            part.pids.extend(&place.owner.pids);
        }
    }
}

/// CLOSE_WAIT and FIN_WAIT2 sockets that would count if they were certainly older than the grace,
/// and those that the filter would then select, because it asks for an age or a cause.
pub fn maybe_young<'a>(report: &'a Report<'_>, test: &Criteria) -> Vec<&'a Socket> {
    let rows = report.rows().filter(|row| counts(row, test));
    let selected = rows.filter(|row| report.may_be_young(row));
    let judged = test.judges_findings();
    let is_hidden = |row: &Row<'_>| report.wait(row).is_some_and(|wait| wait.hidden);
    let waiting = report.rows().filter(|row| judged && is_hidden(row));
    selected
        .chain(waiting)
        .map(|row| row.socket)
        .chain(report.undecided_by_age())
        .collect()
}

/// Each process once, ordered.
pub(super) fn sorted<'a>(pids: impl IntoIterator<Item = &'a Pid>) -> Vec<Pid> {
    let mut pids: Vec<Pid> = pids.into_iter().copied().collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}
