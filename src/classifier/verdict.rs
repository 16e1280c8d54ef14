//! The verdict of `closewait check`: one status, and what led to it. Pure.
//!
//! A view that hides something proves no absence: it is UNKNOWN unless what was seen alerts
//! already, and more of it would alert as well.

use std::cmp::Reverse;

use rustc_hash::{FxHashMap, FxHashSet};

use super::finding::{Finding, Findings};
use super::group::{GroupOwner, Service};
use super::listeners::Bound;
use super::program::{OwnerKey, Program};
use super::range::{Alert, Limits, Range};
use super::severity::Severity;
use super::{Report, Row};
use crate::model::{Cause, GapKind, HiddenReason, Owner, Pid, Side, Socket, State, StateSet};

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
pub enum CountBy {
    /// The program, and the listening service.
    Either,
    Total,
    Owner,
    Port,
    /// The listener whose connections they are.
    Listener,
}

impl CountBy {
    /// Whether it tells owners apart.
    pub fn is_by_owner(self) -> bool {
        matches!(self, CountBy::Either | CountBy::Owner)
    }
}

/// What is judged beside the findings, and by which limits. None of them switches another
/// judgement off: those of the count replace what the thresholds of severity say of counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Criteria {
    /// The states whose sockets are counted.
    pub states: StateSet,
    pub by: CountBy,
    /// Of the count; without them the severity of findings decides.
    pub count: Limits,
    /// Of the share of its limit of open files that a process has open, in percent.
    pub fd_share: Limits,
    /// Of the fullness of an accept queue, in percent.
    pub queue: Limits,
    /// Of the growth in sockets a minute.
    pub growth: Limits,
    /// What could not be seen is no reason for UNKNOWN.
    pub allow_partial: bool,
    /// Whatever could not be seen is one.
    pub strict: bool,
    /// Owners are read.
    pub owners: bool,
    /// Those whom findings name are asked.
    pub evidence: bool,
}

impl Criteria {
    /// Whether nothing but the findings decides.
    pub fn is_by_severity(&self) -> bool {
        self.count.is_empty()
            && self.fd_share.is_empty()
            && self.queue.is_empty()
            && self.growth.is_empty()
    }

    /// Whether findings are judged: they are about CLOSE_WAIT and the accept queues.
    pub fn judges_findings(&self) -> bool {
        self.states.contains(State::CloseWait)
    }

    /// Whether CLOSE_WAIT and the accept queues are looked at, whatever is counted.
    pub fn looks_at_findings(&self) -> bool {
        self.judges_findings() || !self.queue.is_empty()
    }

    /// Whether it cannot do without what processes tell about themselves.
    pub fn needs_evidence(&self) -> bool {
        self.is_by_severity()
    }

    /// Whether it cannot do without owners.
    pub fn needs_owners(&self) -> bool {
        self.is_by_severity() || self.by.is_by_owner() || !self.fd_share.is_empty()
    }
}

/// The sockets that are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    Total,
    Program(u16, Program),
    /// Those of no program: unaccepted, or with an owner that is not known.
    Owner(u16, GroupOwner),
    Port(u16, Service),
    /// `None` of those that no listener covers.
    Listener(u16, Option<Bound>),
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
    /// The owner of most of them.
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
    /// How many there are is not known: the source shows none of the states.
    pub count_unknown: bool,
    /// All sockets in the states, whatever their age.
    pub all: u64,
    /// Those that count: of CLOSE_WAIT neither transient nor a half-close in use.
    pub counted: u64,
    pub worst: Option<Worst>,
    pub oldest_ms: Option<u64>,
    /// The worst count against its limits.
    pub count: Measure,
    /// The largest share of its limit of open files that a process with selected sockets has open.
    pub fd_share: Measure,
    /// Which process that is.
    pub fullest: Option<Pid>,
    pub queue: Measure,
    pub growth: Measure,
    /// Where the most FIN_WAIT2 sockets wait for one remote end: the position of the finding, and how
    /// many. The limits of the count are of these too.
    pub waiting: Option<(usize, Measure)>,
    /// Of the gravest finding.
    pub severity: Option<Severity>,
    /// What else is worth a word.
    pub notes: Vec<String>,
    /// Why the view does not suffice, in words, with what to try.
    pub unseen: Vec<String>,
    /// What was not judged, and is no reason for UNKNOWN.
    pub unjudged: Vec<String>,
    /// Ages are not known: everything counts.
    pub no_ages: bool,
    /// Of CLOSE_WAIT, those that would count if they were older than the grace, which they may be.
    pub maybe_young: u64,
}

/// An earlier reading, as far as growth rests on it.
#[derive(Debug, Clone, Default)]
pub struct Earlier {
    counted: u64,
    counts: FxHashMap<(u64, Key), u64>,
    /// Why its view did not suffice.
    unseen: Vec<String>,
}

impl Earlier {
    pub fn of(report: &Report<'_>, test: &Criteria) -> Earlier {
        let counts = Counts::of(report, test);
        Earlier {
            unseen: View::of(report, test, counts.hidden).unseen,
            counted: counts.counted,
            counts: counts.by_place(report),
        }
    }
}

/// Growth since an earlier reading.
#[derive(Debug, Clone, Copy)]
pub struct Growth<'a> {
    pub earlier: &'a Earlier,
    /// The same without the sockets that linger now and may have lingered then.
    pub at_least: &'a Earlier,
    pub minutes: f64,
}

/// Judges a report; growth where it was measured.
pub fn verdict(
    report: &Report<'_>,
    found: &Findings,
    growth: Option<Growth<'_>>,
    test: &Criteria,
) -> Verdict {
    let counts = Counts::of(report, test);
    let mut view = View::of(report, test, counts.hidden);
    let files = Files::of(report, test);
    if files.unknown > 0 {
        let plural = if files.unknown == 1 { "" } else { "es" };
        let what = format!("the file limit of {} process{plural}", files.unknown);
        view.add(what, test);
    }
    if files.hidden > counts.hidden {
        let plural = if files.hidden == 1 { "" } else { "s" };
        let what = format!(
            "the open files of the holders of {} socket{plural}",
            files.hidden
        );
        view.add(what, test);
    }
    let looks = test.looks_at_findings() && report.asks_for(State::CloseWait);
    if !looks && !test.queue.is_empty() {
        let what = "accept queues, which the filter's states leave out (use --state)";
        view.add(what.to_owned(), test);
    }
    for reason in growth.iter().flat_map(|growth| &growth.earlier.unseen) {
        if !view.unseen.contains(reason) {
            view.unseen.push(reason.clone());
        }
    }
    let since = |earlier: &Earlier, minutes: f64| counts.growth(report, earlier) as f64 / minutes;
    let most = growth.map(|growth| since(growth.at_least, growth.minutes));
    let growth = growth.map(|growth| since(growth.earlier, growth.minutes));
    let severity = test
        .judges_findings()
        .then(|| found.findings.iter().map(|finding| finding.severity).max())
        .flatten();
    let worst = counts.worst();
    let largest = worst.as_ref().map_or(0, |worst| worst.sockets);
    let partial = !view.unseen.is_empty();
    let mut count = counts.measure(test.count, partial, largest);
    // None was seen of what the source does not show.
    let count_unknown = counts.all == 0 && test.states.iter().all(|state| report.hides(state));
    if count_unknown {
        count.value = None;
    }
    let fd_share = Measure {
        value: files.most.map(|(share, _)| share),
        limits: test.fd_share,
        status: judge(files.most.map(|(share, _)| share), test.fd_share, partial),
    };
    let fullest = looks.then(|| fullest(report, found)).flatten();
    let queue = Measure {
        value: fullest,
        limits: test.queue,
        status: judge(fullest, test.queue, partial),
    };
    // A count that falls is no growth, whatever the limit of a growth is.
    let of_increase = Limits {
        warning: test.growth.warning.map(Range::of_increase),
        critical: test.growth.critical.map(Range::of_increase),
    };
    let mut growth = Measure {
        value: growth,
        limits: test.growth,
        status: judge(growth, of_increase, partial),
    };
    if judge(most, of_increase, partial) != growth.status {
        growth.status = growth.status.max(Status::Unknown);
        view.unseen.push(
            "keepalive hides whether some of the sockets lingered at the first reading too"
                .to_owned(),
        );
    }
    let by_severity = match severity {
        Some(Severity::Critical) => Status::Critical,
        Some(Severity::Warning) => Status::Warning,
        Some(Severity::Info) | None => Status::Ok,
    };
    let seen = if partial { Status::Unknown } else { Status::Ok };
    let waiting = test.judges_findings().then(|| most_waiting(found, test));
    let waiting = waiting.flatten();
    let by_waiting = waiting.map_or(Status::Ok, |(_, measure)| measure.status);
    let by_severity = by_severity.max(by_waiting);
    let parts = [count, fd_share, queue, growth].map(|part| part.status);
    let status = parts.into_iter().fold(by_severity.max(seen), Status::max);
    Verdict {
        status,
        count_unknown,
        all: counts.all,
        counted: counts.counted,
        oldest_ms: counts.oldest_ms,
        worst,
        count,
        fd_share,
        fullest: files.most.and_then(|(_, pid)| pid),
        queue,
        growth,
        waiting,
        severity,
        notes: Vec::new(),
        unseen: view.unseen,
        unjudged: view.unjudged,
        no_ages: counts.no_ages,
        maybe_young: counts.maybe_young,
    }
}

impl Verdict {
    /// The same, with a reason for which it is no all-clear.
    pub fn without(mut self, reason: String) -> Verdict {
        self.status = self.status.max(Status::Unknown);
        self.unseen.push(reason);
        self
    }
}

/// The sockets that count for sure.
pub fn counted<'a>(report: &'a Report<'_>, test: &Criteria) -> Vec<&'a Socket> {
    let rows = report.rows().filter(|row| counts(row, test));
    rows.filter(|row| !report.may_be_young(row))
        .map(|row| row.socket)
        .collect()
}

/// The CLOSE_WAIT and FIN_WAIT2 sockets that would count if they were known to be older than the grace;
/// with them those that the selection may have then, as it asks for an age or a cause.
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

/// The open files of the processes that hold selected sockets.
#[derive(Default)]
struct Files {
    /// The largest share of its limit that one has open, in percent, and which one; 0 of none where
    /// no process holds any.
    most: Option<(f64, Option<Pid>)>,
    /// Processes whose open files or limit are not known.
    unknown: u64,
    /// Selected sockets whose holders are not known.
    hidden: u64,
}

impl Files {
    /// Nothing of them where nobody asked.
    fn of(report: &Report<'_>, test: &Criteria) -> Files {
        let mut files = Files::default();
        if test.fd_share.is_empty() {
            return files;
        }
        let mut holders: FxHashSet<Pid> = FxHashSet::default();
        for row in report.rows() {
            files.hidden += u64::from(matches!(row.owner, Owner::Hidden(_)));
            holders.extend(row.owner.holders().iter().map(|holder| holder.pid));
        }
        let scanned = &report.snapshot.scanned;
        for pid in sorted(&holders) {
            let Some(of) = scanned.iter().find(|scanned| scanned.pid == pid) else {
                // It has ended.
                continue;
            };
            match of.fd_limit.map(|limit| (of.fds, limit)) {
                Some((open, limit)) => {
                    // Without a limit, every share is 0.
                    let limit = limit.files().unwrap_or(u64::MAX).max(1);
                    let share = open as f64 * 100.0 / limit as f64;
                    if files.most.is_none_or(|(most, _)| share > most) {
                        files.most = Some((share, Some(pid)));
                    }
                }
                None => files.unknown += 1,
            }
        }
        if files.unknown + files.hidden == 0 {
            files.most = files.most.or(Some((0.0, None)));
        }
        files
    }
}

/// The finding that has the most FIN_WAIT2 sockets which wait for a remote end. Too few of them are no
/// fault, whatever a limit says.
fn most_waiting(found: &Findings, test: &Criteria) -> Option<(usize, Measure)> {
    let findings = found.findings.iter().map(Finding::waiting).enumerate();
    let (at, sockets) = findings.max_by_key(|(at, sockets)| (*sockets, Reverse(*at)))?;
    let value = sockets as f64;
    let above =
        |range: Option<Range>| range.is_some_and(|range| range.check(value) == Alert::Above);
    let status = if above(test.count.critical) {
        Status::Critical
    } else if above(test.count.warning) {
        Status::Warning
    } else {
        Status::Ok
    };
    let measure = Measure {
        value: Some(value),
        limits: test.count,
        status,
    };
    (sockets > 0).then_some((at, measure))
}

/// How full the fullest accept queue is, in percent; `None` where a source does not tell.
fn fullest(report: &Report<'_>, found: &Findings) -> Option<f64> {
    let mut namespaces = report.snapshot.namespaces.iter();
    let told = namespaces.all(|namespace| namespace.source.reports_backlog());
    let queues = found.queues.iter();
    let fullest = queues.filter_map(|queue| queue.percent()).max();
    told.then(|| fullest.unwrap_or(0) as f64)
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

fn counts(row: &Row<'_>, test: &Criteria) -> bool {
    test.states.contains(row.socket.state) && row.lingers() != Some(false)
}

#[derive(Default)]
struct Counts {
    all: u64,
    counted: u64,
    oldest_ms: Option<u64>,
    no_ages: bool,
    maybe_young: u64,
    /// Counted sockets whose owners could not be seen.
    hidden: u64,
    groups: FxHashMap<Key, Group>,
}

#[derive(Default)]
struct Group {
    sockets: u64,
    causes: [u64; Cause::ALL.len()],
    /// By service's end and owner, and the processes of the latter.
    parts: FxHashMap<(Service, Option<&'static str>, OwnerKey), Part>,
}

#[derive(Default)]
struct Part {
    sockets: u64,
    pids: Vec<Pid>,
}

/// Where a socket is counted. Those of one place come in runs.
struct Place {
    netns: u16,
    service: Service,
    listener: Option<Bound>,
    owner: GroupOwner,
    whose: OwnerKey,
    keys: Vec<Key>,
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
    fn of(report: &Report<'_>, test: &Criteria) -> Counts {
        let mut all = Counts::default();
        let mut last: Option<Place> = None;
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
            let listener = (test.by == CountBy::Listener)
                .then(|| report.listeners().listener_of(row.socket))
                .flatten()
                .map(|listener| listener.bound);
            let place = last.take().filter(|place| {
                place.netns == row.socket.netns
                    && place.service == row.service()
                    && place.listener == listener
                    && place.owner.is(&row.owner)
            });
            let is_new = place.is_none();
            let place = place.unwrap_or_else(|| Place::of(report, &row, test.by, listener));
            for key in &place.keys {
                let group = match all.groups.get_mut(key) {
                    Some(group) => group,
                    None => all.groups.entry(key.clone()).or_default(),
                };
                group.add(&place, is_new, row.cause);
            }
            last = Some(place);
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
            Key::Program(netns, program) => (place(netns), Key::Program(0, program)),
            Key::Owner(netns, owner) => (place(netns), Key::Owner(0, owner)),
            Key::Port(netns, service) => (place(netns), Key::Port(0, service)),
            Key::Listener(netns, bound) => {
                let bound = bound.map(|bound| Bound { netns: 0, ..bound });
                (place(netns), Key::Listener(0, bound))
            }
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
            _ => signed(self.counted) - signed(earlier.counted),
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
        // Of equal ones the program is told, and not the port.
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
                // All of its processes, whichever end they are at.
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

fn order(key: &Key) -> (u8, String) {
    let kind = match key {
        Key::Program(..) => 0,
        Key::Owner(..) => 1,
        Key::Total | Key::Port(..) | Key::Listener(..) => 2,
    };
    (kind, format!("{key:?}"))
}

/// Each once.
fn sorted<'a>(pids: impl IntoIterator<Item = &'a Pid>) -> Vec<Pid> {
    let mut pids: Vec<Pid> = pids.into_iter().copied().collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// Whether an accept queue has something in it, and nothing tells how full that makes it.
fn has_queue_without_limit(report: &Report<'_>) -> bool {
    report.rows().any(|row| {
        let socket = row.socket;
        socket.state == State::Listen && socket.recv_q > 0 && report.send_q(socket).is_none()
    })
}

/// What a test could not look at.
#[derive(Default)]
struct View {
    /// What hides something that it asks for.
    unseen: Vec<String>,
    /// What it does without.
    unjudged: Vec<String>,
}

impl View {
    fn of(report: &Report<'_>, test: &Criteria, hidden: u64) -> View {
        let mut view = View::default();
        for gap in &report.gaps {
            let needed = match gap.kind {
                GapKind::DumpInterrupted
                | GapKind::Malformed
                | GapKind::FamilyUnread
                | GapKind::UdpUnread
                | GapKind::NetnsUnread
                | GapKind::StateUnread
                | GapKind::MptcpUnread
                | GapKind::Undecided => Some(true),
                GapKind::ProcessesUnlisted => Some(test.needs_owners()),
                // A stopped process, or one that runs out of files, is told by its evidence alone.
                GapKind::EvidenceMissing => Some(test.needs_evidence()),
                // What is not counted does not matter.
                _ => None,
            };
            let reason = gap.to_string();
            match needed {
                Some(true) => view.unseen.push(reason),
                Some(false) if !test.strict => view.unjudged.push(gap.detail.to_string()),
                _ if test.strict => view.unseen.push(reason),
                _ => {}
            }
        }
        if test.judges_findings() && has_queue_without_limit(report) {
            let queues = "how full the accept queues are (/proc does not tell their limits)";
            if test.is_by_severity() {
                view.unseen.push(
                    "connections wait to be accepted, and /proc does not tell how many may; allow \
                     sock_diag"
                        .to_owned(),
                );
            } else if test.queue.is_empty() {
                view.unjudged.push(queues.to_owned());
            }
        }
        if test.strict {
            view.unseen
                .extend(report.not_looked_at().map(|words| words.to_string()));
        }
        let count_unknown = report.rows().filter(|row| {
            let socket = row.socket;
            socket.state == State::FinWait2 && socket.inode != 0 && socket.tcp.is_none()
        });
        let count_unknown = count_unknown.count();
        if test.judges_findings() && count_unknown > 0 {
            let plural = if count_unknown == 1 { "" } else { "s" };
            let what =
                format!("how long {count_unknown} FIN_WAIT2 socket{plural} have waited (no ages)");
            if test.strict {
                view.unseen.push(what);
            } else {
                view.unjudged.push(what);
            }
        }
        view.hidden_owners(report, test, hidden);
        view.unread_processes(report, test);
        let findings = match test.queue.is_empty() {
            true => "CLOSE_WAIT and accept queues",
            false => "CLOSE_WAIT",
        };
        let said = [
            (test.judges_findings(), findings),
            (test.owners, "owners (--no-owners)"),
            (
                test.evidence || !test.owners || !test.judges_findings(),
                "dead descriptors, shares of file limits and stopped processes (--no-evidence)",
            ),
        ];
        let left_out = said.into_iter().filter(|(judged, _)| !judged);
        view.unjudged
            .extend(left_out.map(|(_, what)| what.to_owned()));
        if test.allow_partial {
            view.unjudged.splice(0..0, view.unseen.drain(..));
        }
        view
    }

    /// What one of the judgements lacks.
    fn add(&mut self, what: String, test: &Criteria) {
        if test.allow_partial {
            self.unjudged.push(what);
        } else {
            self.unseen.push(what);
        }
    }

    /// Only its descriptors show what is in no table.
    fn unread_processes(&mut self, report: &Report<'_>, test: &Criteria) {
        let scan = &report.snapshot.scan;
        let unread = scan.processes_seen.saturating_sub(scan.processes_read);
        let judges = test.judges_findings() && test.evidence;
        // No process has the number 0: if it is asked about, all are.
        if unread == 0 || !judges || !report.asks_about_dead(Pid(0)) {
            return;
        }
        let plural = if unread == 1 { "" } else { "es" };
        let what = format!("dead descriptors of {unread} process{plural} that may not be read");
        if test.strict {
            self.unseen.push(what);
        } else {
            self.unjudged.push(what);
        }
    }

    fn hidden_owners(&mut self, report: &Report<'_>, test: &Criteria, hidden: u64) {
        let told = !self.unseen.is_empty() && (test.needs_owners() || test.strict);
        if hidden == 0 || told {
            return;
        }
        let plural = if hidden == 1 { "" } else { "s" };
        let what = format!("the owners of {hidden} socket{plural}");
        if !test.needs_owners() {
            self.unjudged.push(format!("{what} (hidden)"));
            return;
        }
        let hint = match super::hidden_reason(report.snapshot) {
            HiddenReason::NeedsRoot => "run as root, or judge --by total",
            HiddenReason::NeedsCapability => "run with CAP_SYS_PTRACE, or judge --by total",
            HiddenReason::Refused | HiddenReason::Elsewhere => {
                "judge --by total, or --allow-partial"
            }
        };
        self.unseen.push(format!("{what} are hidden; {hint}"));
    }
}
