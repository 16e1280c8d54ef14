//! The verdict of `closewait check`: one status, and what led to it. Pure.
//!
//! A view that hides something proves no absence: it is UNKNOWN unless what was seen alerts
//! already, and more of it would alert as well.

use rustc_hash::FxHashMap;

use super::finding::Findings;
use super::group::{GroupOwner, Service, service};
use super::range::{Alert, Limits, Range};
use super::severity::Severity;
use super::{Report, Row};
use crate::model::{Cause, Endpoint, GapKind, Hiding, Owner, State, StateSet};

/// The status of a check, by weight: what is known to be bad outweighs what is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Ok,
    Unknown,
    Warning,
    Critical,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Ok => "OK",
            Status::Warning => "WARNING",
            Status::Critical => "CRITICAL",
            Status::Unknown => "UNKNOWN",
        }
    }
}

/// What the sockets are counted by; the worst count is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Total,
    Owner,
    Port,
    /// The listener whose connections they are.
    Listener,
}

/// What is judged, and by which limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// The states whose sockets are counted.
    pub states: StateSet,
    pub by: By,
    /// Of the count; without them the severity of findings decides.
    pub count: Limits,
    /// Of the share of an owner's open files, in percent.
    pub fd_share: Limits,
    /// Of the fullness of an accept queue, in percent.
    pub queue: Limits,
    /// Of the growth in sockets a minute.
    pub growth: Limits,
    /// What could not be seen is no reason for UNKNOWN.
    pub allow_partial: bool,
}

impl Test {
    /// Whether nothing but the findings decides on counts.
    pub fn is_by_severity(&self) -> bool {
        self.count.is_empty()
            && self.fd_share.is_empty()
            && self.queue.is_empty()
            && self.growth.is_empty()
    }

    /// Whether it rests on what processes tell about themselves.
    pub fn needs_evidence(&self) -> bool {
        self.is_by_severity() || !self.fd_share.is_empty()
    }
}

/// The sockets that are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    Total,
    Owner(u16, GroupOwner),
    Port(u16, Service),
    /// `None` of those that no listener covers.
    Listener(u16, Option<Endpoint>),
}

/// The largest count.
#[derive(Debug, Clone, PartialEq)]
pub struct Worst {
    pub key: Key,
    pub sockets: u64,
    /// The cause of most of them, and of how many.
    pub cause: Option<(Cause, u64)>,
    /// The service's end of most of them.
    pub service: Option<Service>,
    pub owner: Option<GroupOwner>,
}

/// One value that was held against limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measure {
    /// `None` where it is not known.
    pub value: Option<f64>,
    pub limits: Limits,
    pub status: Status,
}

/// The status and what led to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub status: Status,
    /// All sockets in the states, whatever their age.
    pub all: u64,
    /// Those that count: of CLOSE_WAIT neither transient nor a half-close in use.
    pub counted: u64,
    pub worst: Option<Worst>,
    pub oldest_ms: Option<u64>,
    /// The worst count against its limits.
    pub count: Measure,
    pub fd_share: Option<Measure>,
    pub queue: Option<Measure>,
    pub growth: Option<Measure>,
    /// The gravest finding decided.
    pub severity: Option<Severity>,
    /// Why the view does not suffice, in words, with what to try.
    pub unseen: Vec<String>,
    /// Ages are not known: everything counts.
    pub no_ages: bool,
}

/// An earlier reading, as far as growth rests on it.
#[derive(Debug, Clone, Default)]
pub struct Earlier {
    counts: FxHashMap<(u64, Key), u64>,
    /// Why its view did not suffice.
    unseen: Vec<String>,
}

impl Earlier {
    pub fn of(report: &Report<'_>, test: &Test) -> Earlier {
        let counts = Counts::of(report, test);
        Earlier {
            unseen: unseen(report, test, counts.hidden),
            counts: counts.by_place(report),
        }
    }
}

/// Growth since an earlier reading.
#[derive(Debug, Clone, Copy)]
pub struct Growth<'a> {
    pub earlier: &'a Earlier,
    pub minutes: f64,
}

/// Judges a report; growth where it was measured.
pub fn verdict(
    report: &Report<'_>,
    found: &Findings,
    growth: Option<Growth<'_>>,
    test: &Test,
) -> Verdict {
    let counts = Counts::of(report, test);
    let mut unseen = unseen(report, test, counts.hidden);
    for reason in growth.iter().flat_map(|growth| &growth.earlier.unseen) {
        if !unseen.contains(reason) {
            unseen.push(reason.clone());
        }
    }
    let growth = growth.map(|growth| counts.growth(report, growth.earlier) as f64 / growth.minutes);
    let severity = test
        .is_by_severity()
        .then(|| found.findings.iter().map(|finding| finding.severity).max())
        .flatten();
    let worst = counts.worst();
    let largest = worst.as_ref().map_or(0, |worst| worst.sockets);
    let partial = !unseen.is_empty();
    let measure = |value: Option<f64>, limits: Limits| Measure {
        value,
        limits,
        status: judge(value, limits, partial),
    };
    let count = counts.measure(test.count, partial, largest);
    let fd_share = (!test.fd_share.is_empty()).then(|| {
        // Of no counted socket, nothing is held.
        let counting = found
            .findings
            .iter()
            .filter(|finding| !matches!(finding.set.cause, Cause::Transient | Cause::HalfClose));
        let shares = counting.map(|finding| finding.fd_percent);
        let known: Vec<u64> = shares.clone().flatten().collect();
        let all_known = known.len() == shares.count() || counts.counted == 0;
        let most = known.into_iter().max().unwrap_or(0) as f64;
        let mut share = measure(Some(most), test.fd_share);
        if !all_known {
            share.status = share.status.max(Status::Unknown);
        }
        share
    });
    let queue = (!test.queue.is_empty()).then(|| {
        let told = report.snapshot.namespaces.iter();
        let told = told
            .clone()
            .all(|namespace| namespace.source.tells_backlog());
        let fullest = found
            .queues
            .iter()
            .filter_map(|queue| queue.percent())
            .max();
        measure(told.then(|| fullest.unwrap_or(0) as f64), test.queue)
    });
    let growth = (!test.growth.is_empty()).then(|| measure(growth, test.growth));
    let by_severity = match severity {
        Some(Severity::Critical) => Status::Critical,
        Some(Severity::Warning) => Status::Warning,
        Some(Severity::Info) | None => Status::Ok,
    };
    let seen = if partial { Status::Unknown } else { Status::Ok };
    let parts = [Some(count), fd_share, queue, growth];
    let status = parts
        .iter()
        .flatten()
        .map(|part| part.status)
        .fold(by_severity.max(seen), Status::max);
    Verdict {
        status,
        all: counts.all,
        counted: counts.counted,
        oldest_ms: counts.oldest_ms,
        worst,
        count,
        fd_share,
        queue,
        growth,
        severity,
        unseen,
        no_ages: counts.no_ages,
    }
}

/// The status of a value: of an unknown one, and of an alert that more might end in a partial
/// view, UNKNOWN.
fn judge(value: Option<f64>, limits: Limits, partial: bool) -> Status {
    if limits.is_empty() {
        return Status::Ok;
    }
    let Some(value) = value else {
        return Status::Unknown;
    };
    let by = |range: Option<Range>, status| match range.map(|range| range.check(value)) {
        Some(Alert::Above) => status,
        Some(Alert::Otherwise) if partial => Status::Unknown,
        Some(Alert::Otherwise) => status,
        Some(Alert::No) | None => Status::Ok,
    };
    let (warning, critical) = (
        by(limits.warning, Status::Warning),
        by(limits.critical, Status::Critical),
    );
    warning.max(critical)
}

fn counts(row: &Row<'_>, test: &Test) -> bool {
    test.states.contains(row.socket.state)
        && !matches!(row.cause, Some(Cause::Transient | Cause::HalfClose))
}

#[derive(Default)]
struct Counts {
    all: u64,
    counted: u64,
    oldest_ms: Option<u64>,
    no_ages: bool,
    /// Counted sockets whose owners could not be seen.
    hidden: u64,
    groups: FxHashMap<Key, Group>,
}

#[derive(Default)]
struct Group {
    sockets: u64,
    causes: [u64; Cause::ALL.len()],
    services: FxHashMap<(Service, GroupOwner), u64>,
}

impl Counts {
    fn of(report: &Report<'_>, test: &Test) -> Counts {
        let mut all = Counts::default();
        for row in report.rows() {
            if !test.states.contains(row.socket.state) {
                continue;
            }
            all.all += 1;
            if !counts(&row, test) {
                continue;
            }
            all.counted += 1;
            let age = row.idle.map(|idle| idle.at_least_ms);
            all.oldest_ms = all.oldest_ms.max(age);
            all.no_ages |= row.cause.is_some() && age.is_none();
            all.hidden += u64::from(matches!(row.owner, Owner::Hidden(_)));
            let netns = row.socket.netns;
            let service = service(&row, report.snapshot);
            let owner = GroupOwner::of(&row.owner);
            let key = match test.by {
                By::Total => Key::Total,
                By::Owner => Key::Owner(netns, owner.clone()),
                By::Port => Key::Port(netns, service),
                By::Listener => {
                    let listener = report.listeners().covering(row.socket);
                    Key::Listener(netns, listener.map(|listener| listener.local))
                }
            };
            let group = all.groups.entry(key).or_default();
            group.sockets += 1;
            if let Some(cause) = row.cause {
                group.causes[cause as usize] += 1;
            }
            *group.services.entry((service, owner)).or_default() += 1;
        }
        all
    }

    /// The count of each group, with what its namespace is in every reading.
    fn by_place(&self, report: &Report<'_>) -> FxHashMap<(u64, Key), u64> {
        let place = |netns: u16| {
            let inode = report.snapshot.netns(netns).inode;
            inode.unwrap_or(netns.into())
        };
        let placed = |key: &Key| match key.clone() {
            Key::Total => (0, Key::Total),
            Key::Owner(netns, owner) => (place(netns), Key::Owner(0, owner)),
            Key::Port(netns, service) => (place(netns), Key::Port(0, service)),
            Key::Listener(netns, end) => (place(netns), Key::Listener(0, end)),
        };
        let groups = self.groups.iter();
        groups
            .map(|(key, group)| (placed(key), group.sockets))
            .collect()
    }

    /// By how many sockets the group grew that grew most: what one loses is no comfort to another.
    /// Where none did, how the whole changed.
    fn growth(&self, report: &Report<'_>, earlier: &Earlier) -> i64 {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let now = self.by_place(report);
        let before = |key: &(u64, Key)| earlier.counts.get(key).copied().unwrap_or(0);
        let grown = now
            .iter()
            .map(|(key, sockets)| signed(*sockets) - signed(before(key)));
        match grown.max() {
            Some(most) if most > 0 => most,
            _ => signed(self.counted) - signed(earlier.counts.values().sum()),
        }
    }

    /// The worst status of any group; of none, that of 0.
    fn measure(&self, limits: Limits, partial: bool, largest: u64) -> Measure {
        let of = |sockets: u64| judge(Some(sockets as f64), limits, partial);
        // Those whose owners are hidden may be many owners': together they prove nothing of one.
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

    fn worst(&self) -> Option<Worst> {
        let (key, group) = self
            .groups
            .iter()
            .max_by_key(|(key, group)| (group.sockets, std::cmp::Reverse(format!("{key:?}"))))?;
        let causes = Cause::ALL.map(|cause| (cause, group.causes[cause as usize]));
        let cause = causes.into_iter().max_by_key(|(_, count)| *count);
        let most = group
            .services
            .iter()
            .max_by_key(|((service, _), count)| (**count, std::cmp::Reverse(*service)));
        Some(Worst {
            key: key.clone(),
            sockets: group.sockets,
            cause: cause.filter(|(_, count)| *count > 0),
            service: most.map(|((service, _), _)| *service),
            owner: most.map(|((_, owner), _)| owner.clone()),
        })
    }
}

/// Whether an accept queue has something in it, and nothing tells how full that makes it.
fn has_queue_without_limit(report: &Report<'_>) -> bool {
    report.rows().any(|row| {
        let socket = row.socket;
        socket.state == State::Listen && socket.recv_q > 0 && report.send_q(socket).is_none()
    })
}

/// What hides something that the test asks for.
fn unseen(report: &Report<'_>, test: &Test, hidden: u64) -> Vec<String> {
    if test.allow_partial {
        return Vec::new();
    }
    let by_owner = test.is_by_severity() || test.by == By::Owner || !test.fd_share.is_empty();
    let with_hint = |detail: &str, hint: &str| match hint {
        "" => detail.to_owned(),
        hint => format!("{detail}; {hint}"),
    };
    let mut reasons: Vec<String> = report
        .gaps
        .iter()
        .filter(|gap| match gap.kind {
            GapKind::DumpInterrupted
            | GapKind::Malformed
            | GapKind::FamilyUnread
            | GapKind::UdpUnread
            | GapKind::NetnsUnread
            | GapKind::StateUnread
            | GapKind::Undecided => true,
            GapKind::ProcessesUnlisted => by_owner,
            // A stopped process, or one that runs out of files, is told by its evidence alone.
            GapKind::EvidenceMissing => test.needs_evidence(),
            _ => false,
        })
        .map(|gap| with_hint(&gap.detail, &gap.hint))
        .collect();
    if test.is_by_severity() && has_queue_without_limit(report) {
        reasons.push(
            "connections wait to be accepted, and /proc does not tell how many may; allow sock_diag"
                .to_owned(),
        );
    }
    if by_owner && hidden > 0 && reasons.is_empty() {
        let hint = match super::hiding(report.snapshot) {
            Hiding::NeedsRoot => "run as root, or judge --by total",
            Hiding::Refused | Hiding::Elsewhere => "judge --by total, or --allow-partial",
        };
        let plural = if hidden == 1 { "" } else { "s" };
        reasons.push(format!(
            "the owners of {hidden} socket{plural} are hidden; {hint}"
        ));
    }
    reasons
}
