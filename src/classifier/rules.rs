//! Rules: what to select, and the limits by which it is judged. Every threshold of severity is here
//! with its reason, and can be overridden.

use super::age::Sightings;
use crate::filter::Filter;
use crate::model::Protocols;

/// What to select and how to judge it.
#[derive(Debug, Clone)]
pub struct Rules {
    pub filter: Filter,
    pub protocols: Protocols,
    /// How long a CLOSE_WAIT may last before it counts, in milliseconds.
    pub grace_ms: u64,
    pub thresholds: Thresholds,
    /// Sockets that an earlier reading already saw in CLOSE_WAIT.
    pub seen: Sightings,
}

/// The values from which on a finding matters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Lingering sockets. A healthy server shows a handful for milliseconds; a hundred that stay
    /// are a fault in any program.
    pub warning: u64,
    /// A thousand is close to the default soft limit of 1,024 open files.
    pub critical: u64,
    /// The share of the owner's limit of open files that the sockets hold, in percent. A fifth is
    /// visible on a graph.
    pub fd_warning: u64,
    /// At half, one burst of ordinary traffic reaches the limit, and accept(2) fails.
    pub fd_critical: u64,
    /// How full an accept queue is, in percent. Half full means that connections arrive faster than
    /// accept(2) takes them.
    pub queue_warning: u64,
    /// At its limit the kernel drops connections that complete the handshake.
    pub queue_critical: u64,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds {
            warning: 100,
            critical: 1_000,
            fd_warning: 20,
            fd_critical: 50,
            queue_warning: 50,
            queue_critical: 100,
        }
    }
}

type Of = fn(&mut Thresholds) -> &mut u64;

/// The name by which each threshold is overridden.
const BY_NAME: [(&str, Of); 6] = [
    ("warning", |all| &mut all.warning),
    ("critical", |all| &mut all.critical),
    ("fd-warning", |all| &mut all.fd_warning),
    ("fd-critical", |all| &mut all.fd_critical),
    ("queue-warning", |all| &mut all.queue_warning),
    ("queue-critical", |all| &mut all.queue_critical),
];

impl Thresholds {
    /// The threshold with a name.
    pub fn by_name(&mut self, name: &str) -> Option<&mut u64> {
        let (_, of) = BY_NAME.iter().find(|(known, _)| *known == name)?;
        Some(of(self))
    }

    /// The names of all thresholds.
    pub fn names() -> [&'static str; BY_NAME.len()] {
        BY_NAME.map(|(name, _)| name)
    }
}

/// The share of the ephemeral ports in use to one remote end from which on they get a line, in percent.
/// connect(2) takes ports of one parity first, which are half of the range; above that it searches
/// through the taken ones each time (`net/ipv4/inet_hashtables.c`, `__inet_hash_connect`).
pub const PORTS_NOTABLE: u64 = 50;
/// The same for TIME_WAIT sockets, of `tcp_max_tw_buckets`. Nothing changes below the limit.
pub const TIME_WAIT_NOTABLE: u64 = 90;
/// The same for a SYN queue: half full means that half-open connections last.
pub const SYN_QUEUE_NOTABLE: u64 = 50;
/// Fewer half-open connections that fill a queue may all have begun within one round trip.
pub const SYN_QUEUE_FEW: u64 = 16;
