//! Default timeouts: whether the time that peers waited before they hung up equals the default of a
//! setting that is known. Pure.
//!
//! Equal numbers prove nothing: a user may have set the same value, and many settings share one. So
//! only what fits the side and the silence is named, and only if the times of the peers agree.

mod remotes;
mod table;

use self::remotes::Remotes;
use self::table::TABLE;
use crate::classifier::report::Report;
use crate::classifier::socket_set::SocketSet;
use crate::model::{Cause, Side};

/// A timer fires late, by the period of its wheel and the load of its host. At most so
/// many milliseconds, or this fraction of the timeout.
const LATE_MS: u32 = 100;
const LATE_PART: u32 = 200;
/// Many programs set a timer from the time at which their loop woke up: nginx was seen 12 ms early. And
/// both moments are known to a tick of the kernel's clock, which is 10 ms at most.
const EARLY_MS: u32 = 50;

/// The default of a setting after which a peer hangs up.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// The program and the name of the setting.
    pub name: &'static str,
    /// Whole seconds.
    pub milliseconds: u32,
    pub silence: Silence,
    pub user: User,
    /// Where the default is documented.
    pub source: &'static str,
    /// The month in which it was last compared with its source.
    pub checked: &'static str,
}

/// Who hung up, and after what silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Silence {
    /// A client whose request was not answered.
    Unanswered,
    /// A client that had its answer and did not need the connection again.
    IdleClient,
    /// A server that had answered and got no other request.
    IdleServer,
}

/// Programs that use no library of another language.
const OTHERS: [&str; 8] = [
    "apache2", "envoy", "httpd", "java", "mysqld", "nginx", "node", "python",
];
/// What may follow their names, as in `python3.12`.
const VERSION: [char; 11] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '.'];

/// The programs that have a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// Those whose names begin with one of these.
    Named(&'static [&'static str]),
    /// A library of programs of any name, except those that others have.
    Any,
    /// A service that runs on no host of its users.
    Elsewhere,
}

impl User {
    fn may_be(self, program: &str) -> bool {
        match self {
            User::Named(names) => names.iter().any(|name| program.starts_with(name)),
            User::Any => !OTHERS.contains(&program.trim_end_matches(VERSION)),
            User::Elsewhere => false,
        }
    }
}

/// The settings whose default equals the time that most peers of a set waited, the most common first.
pub fn equal(report: &Report<'_>, set: &SocketSet) -> Vec<&'static Setting> {
    let (Some(patience), Some(silence)) = (set.patience, Silence::of(set)) else {
        return Vec::new();
    };
    if patience.cluster_ms.is_none() {
        return Vec::new();
    }
    let equal: Vec<&'static Setting> = TABLE
        .iter()
        .filter(|setting| setting.silence == silence)
        .filter(|setting| setting.is(patience.p10_ms, patience.p50_ms))
        .collect();
    if equal.is_empty() {
        return equal;
    }
    // The peers on this host are known by name: those that still hold their end, and servers by
    // their listeners, of which one of several holders may be the server.
    let peers = set.peers.pids.iter();
    let peers: Vec<String> = peers
        .filter_map(|pid| report.holders().name(*pid))
        .map(ToString::to_string)
        .collect();
    let remotes = Remotes::of(report, set);
    let fits = |user: User| {
        let mut servers = remotes.servers.iter();
        (user != User::Elsewhere || !remotes.here)
            && peers.iter().all(|peer| user.may_be(peer))
            && servers.all(|names| names.iter().any(|name| user.may_be(name)))
    };
    let equal = equal.into_iter();
    equal.filter(|setting| fits(setting.user)).collect()
}

impl Setting {
    /// Whether times with this tenth percentile and this median come from a timer of this length: nearly
    /// all are at least as long, and half of them not much longer.
    fn is(&self, p10_ms: u32, p50_ms: u32) -> bool {
        let late_ms = LATE_MS.max(self.milliseconds / LATE_PART);
        p10_ms.saturating_add(EARLY_MS) >= self.milliseconds
            && p50_ms <= self.milliseconds.saturating_add(late_ms)
    }
}

impl Silence {
    /// `None` if the sockets differ, or the peers of none sent anything before they hung up.
    fn of(set: &SocketSet) -> Option<Silence> {
        let never_spoke = set.silent != Some(0);
        // A peer that sent a request and waits did not hang up.
        let waits = set.half_closed.unanswered == set.sockets;
        match set.end.side()? {
            _ if never_spoke || waits => None,
            Side::Client => match set.unanswered {
                Some(idle) => (idle == set.sockets).then_some(Silence::IdleServer),
                // The answer came within a tick of the request. A program that waits for another
                // one reads end-of-file.
                None => (set.cause == Cause::StalePool).then_some(Silence::IdleServer),
            },
            Side::Server if set.unanswered == Some(set.sockets) => {
                (set.cause != Cause::Abandoned).then_some(Silence::Unanswered)
            }
            Side::Server => (set.unanswered == Some(0)).then_some(Silence::IdleClient),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_has_a_source_and_a_date_and_occurs_once() {
        for setting in TABLE {
            assert!(setting.source.starts_with("https://"), "{setting:?}");
            let (year, month) = setting.checked.split_once('-').unwrap();
            assert!(year.parse::<u16>().unwrap() >= 2026, "{setting:?}");
            assert!(
                (1..=12).contains(&month.parse::<u8>().unwrap()),
                "{setting:?}"
            );
            let is_seconds =
                setting.milliseconds >= 1_000 && setting.milliseconds.is_multiple_of(1_000);
            assert!(is_seconds, "{setting:?}");
            let same = TABLE.iter().filter(|other| {
                let key = |of: &Setting| (of.name, of.silence, of.milliseconds);
                key(other) == key(setting)
            });
            assert_eq!(same.count(), 1, "{setting:?}");
        }
    }

    #[test]
    fn the_table_is_ordered_by_silence_and_time() {
        let keys = TABLE
            .iter()
            .map(|setting| (setting.silence, setting.milliseconds));
        assert!(keys.is_sorted());
    }

    #[test]
    fn a_timer_is_late_by_little_and_hardly_early() {
        let setting = |milliseconds| Setting {
            milliseconds,
            ..Setting {
                name: "x",
                milliseconds: 0,
                silence: Silence::Unanswered,
                user: User::Any,
                source: "",
                checked: "",
            }
        };
        let five = setting(5_000);
        assert!(five.is(4_950, 5_000) && five.is(5_001, 5_100));
        assert!(!five.is(4_949, 5_000), "early");
        assert!(!five.is(5_000, 5_101), "late");
        let hour = setting(3_600_000);
        assert!(hour.is(3_600_000, 3_618_000));
        assert!(!hour.is(3_600_000, 3_618_001));
    }

    #[test]
    fn a_service_of_the_cloud_is_no_program_of_this_host() {
        let named = User::Named(&["nginx"]);
        assert!(named.may_be("nginx") && !named.may_be("curl"));
        assert!(User::Any.may_be("curl") && !User::Elsewhere.may_be("nginx"));
    }

    #[test]
    fn a_library_is_not_one_of_a_program_of_another_language() {
        for program in ["python3", "python3.12", "node", "java", "nginx"] {
            assert!(!User::Any.may_be(program), "{program}");
        }
        assert!(User::Any.may_be("node_exporter") && User::Any.may_be("shop3"));
    }
}
