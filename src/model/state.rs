//! TCP states and sets of them, in every spelling that operators use.

use std::fmt;
use std::str::FromStr;

use super::nearest;

/// The state of a TCP socket, numbered as the kernel numbers it (`include/net/tcp_states.h`).
///
/// `TCP_NEW_SYN_RECV` (12) is the kernel's name for a connection request that has no full socket
/// yet; every tool shows it as SYN_RECV and so does this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum State {
    Established = 1,
    SynSent = 2,
    SynRecv = 3,
    FinWait1 = 4,
    FinWait2 = 5,
    TimeWait = 6,
    Close = 7,
    CloseWait = 8,
    LastAck = 9,
    Listen = 10,
    Closing = 11,
    BoundInactive = 13,
}

const NEW_SYN_RECV: u8 = 12;

impl State {
    /// Every state. The summary lists states of equal count in this order.
    pub const ALL: [State; 12] = [
        State::CloseWait,
        State::Established,
        State::SynSent,
        State::SynRecv,
        State::FinWait1,
        State::FinWait2,
        State::TimeWait,
        State::LastAck,
        State::Closing,
        State::Close,
        State::Listen,
        State::BoundInactive,
    ];

    /// The state with the kernel's number; `None` if the number is unknown.
    pub fn from_kernel(number: u8) -> Option<State> {
        if number == NEW_SYN_RECV {
            return Some(State::SynRecv);
        }
        State::ALL.into_iter().find(|state| *state as u8 == number)
    }

    /// The name as netstat and the kernel spell it.
    pub fn name(self) -> &'static str {
        match self {
            State::Established => "ESTABLISHED",
            State::SynSent => "SYN_SENT",
            State::SynRecv => "SYN_RECV",
            State::FinWait1 => "FIN_WAIT1",
            State::FinWait2 => "FIN_WAIT2",
            State::TimeWait => "TIME_WAIT",
            State::Close => "CLOSE",
            State::CloseWait => "CLOSE_WAIT",
            State::LastAck => "LAST_ACK",
            State::Listen => "LISTEN",
            State::Closing => "CLOSING",
            State::BoundInactive => "BOUND_INACTIVE",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A set of states, as the bit mask that the kernel takes: bit `n` for state number `n`.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct StateSet(u32);

impl StateSet {
    pub const NONE: StateSet = StateSet(0);
    /// Every state except BOUND_INACTIVE, which is read only if it is asked for by name: it takes a walk
    /// of another hash table, older kernels lack it, and neither netstat nor /proc shows it.
    pub const ALL: StateSet = StateSet(0xffe);
    /// `connected` in ss: all except LISTEN and CLOSE.
    pub const CONNECTED: StateSet =
        StateSet(StateSet::ALL.0 & !(1 << State::Listen as u8) & !(1 << State::Close as u8));
    /// `synchronized` in ss: `connected` without SYN_SENT.
    pub const SYNCHRONIZED: StateSet =
        StateSet(StateSet::CONNECTED.0 & !(1 << State::SynSent as u8));
    /// `bucket` in ss: the states that the kernel keeps as minisockets.
    pub const BUCKET: StateSet = StateSet(1 << State::SynRecv as u8 | 1 << State::TimeWait as u8);
    /// `big` in ss: all except `bucket`.
    pub const BIG: StateSet = StateSet(StateSet::ALL.0 & !StateSet::BUCKET.0);
    /// States of the end that closed first and waits for the other.
    pub const CLOSED_FIRST: StateSet =
        StateSet(1 << State::FinWait1 as u8 | 1 << State::FinWait2 as u8);
    /// States that the other leg of a proxied connection can have while one leg is in CLOSE_WAIT.
    pub const LEG: StateSet = StateSet(
        StateSet::CLOSED_FIRST.0 | 1 << State::Established as u8 | 1 << State::CloseWait as u8,
    );

    pub const fn of(state: State) -> StateSet {
        StateSet(1 << state as u8)
    }

    pub const fn contains(self, state: State) -> bool {
        self.0 & (1 << state as u8) != 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub const fn union(self, other: StateSet) -> StateSet {
        StateSet(self.0 | other.0)
    }

    pub const fn intersection(self, other: StateSet) -> StateSet {
        StateSet(self.0 & other.0)
    }

    pub const fn minus(self, other: StateSet) -> StateSet {
        StateSet(self.0 & !other.0)
    }

    /// The mask for `idiag_states`. SYN_RECV also asks for NEW_SYN_RECV, which is what
    /// connection requests have been since Linux 4.4.
    pub const fn kernel_mask(self) -> u32 {
        if self.contains(State::SynRecv) {
            self.0 | 1 << NEW_SYN_RECV
        } else {
            self.0
        }
    }

    pub fn iter(self) -> impl Iterator<Item = State> {
        State::ALL
            .into_iter()
            .filter(move |state| self.contains(*state))
    }
}

impl fmt::Debug for StateSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// A word that is neither a state nor a group of states.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown state {name:?}{}", .suggestion.map(|s| format!(": did you mean {s}?")).unwrap_or_else(|| ": try CLOSE_WAIT, ESTABLISHED, LISTEN, TIME_WAIT, connected, all, …".to_owned()))]
pub struct UnknownState {
    pub name: String,
    pub suggestion: Option<&'static str>,
}

/// Every spelling of a state, and the groups, in lower case without separators.
const NAMES: &[(&str, StateSet)] = &[
    ("established", StateSet::of(State::Established)),
    ("estab", StateSet::of(State::Established)),
    ("synsent", StateSet::of(State::SynSent)),
    ("synrecv", StateSet::of(State::SynRecv)),
    ("synrcv", StateSet::of(State::SynRecv)),
    ("newsynrecv", StateSet::of(State::SynRecv)),
    ("finwait1", StateSet::of(State::FinWait1)),
    ("finwait2", StateSet::of(State::FinWait2)),
    ("timewait", StateSet::of(State::TimeWait)),
    ("close", StateSet::of(State::Close)),
    ("closed", StateSet::of(State::Close)),
    ("unconnected", StateSet::of(State::Close)),
    ("unconn", StateSet::of(State::Close)),
    ("closewait", StateSet::of(State::CloseWait)),
    ("lastack", StateSet::of(State::LastAck)),
    ("listen", StateSet::of(State::Listen)),
    ("listening", StateSet::of(State::Listen)),
    ("closing", StateSet::of(State::Closing)),
    ("boundinactive", StateSet::of(State::BoundInactive)),
    ("all", StateSet::ALL),
    ("connected", StateSet::CONNECTED),
    ("synchronized", StateSet::SYNCHRONIZED),
    ("bucket", StateSet::BUCKET),
    ("big", StateSet::BIG),
];

impl FromStr for StateSet {
    type Err = UnknownState;

    /// Parses a state or group name in any case, with `-`, `_` or nothing between words.
    fn from_str(name: &str) -> Result<StateSet, UnknownState> {
        let plain: String = name
            .chars()
            .filter(|c| !matches!(c, '-' | '_'))
            .map(|c| c.to_ascii_lowercase())
            .collect();
        NAMES
            .iter()
            .find(|(known, _)| *known == plain)
            .map(|(_, set)| *set)
            .ok_or_else(|| UnknownState {
                name: name.to_owned(),
                suggestion: suggestion(&plain),
            })
    }
}

/// The state that was probably meant, as it is spelled; or the group of states.
fn suggestion(plain: &str) -> Option<&'static str> {
    let meant = nearest(plain, NAMES.iter().map(|(name, _)| *name))?;
    let (name, set) = NAMES.iter().find(|(name, _)| *name == meant)?;
    Some(match set.iter().next() {
        Some(state) if *set == StateSet::of(state) => state.name(),
        _ => name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_close_wait_is_the_same_state() {
        for name in [
            "CLOSE_WAIT",
            "close-wait",
            "CloseWait",
            "closewait",
            "Close_Wait",
        ] {
            assert_eq!(name.parse(), Ok(StateSet::of(State::CloseWait)), "{name}");
        }
    }

    #[test]
    fn names_round_trip_for_every_state() {
        for state in State::ALL {
            assert_eq!(state.name().parse(), Ok(StateSet::of(state)));
            assert_eq!(State::from_kernel(state as u8), Some(state));
        }
    }

    #[test]
    fn groups_are_those_of_ss() {
        let connected: StateSet = "connected".parse().unwrap();
        assert!(!connected.contains(State::Listen) && !connected.contains(State::Close));
        assert!(connected.contains(State::SynSent));
        let synchronized: StateSet = "synchronized".parse().unwrap();
        assert!(!synchronized.contains(State::SynSent) && synchronized.contains(State::SynRecv));
        assert_eq!(
            "bucket"
                .parse::<StateSet>()
                .unwrap()
                .union("big".parse().unwrap()),
            StateSet::ALL
        );
    }

    #[test]
    fn a_slip_is_answered_with_the_name_that_was_meant() {
        let error = "CLOSE_WIAT".parse::<StateSet>().unwrap_err();
        assert_eq!(error.suggestion, Some("CLOSE_WAIT"));
        assert_eq!(
            error.to_string(),
            "unknown state \"CLOSE_WIAT\": did you mean CLOSE_WAIT?"
        );
        assert_eq!("banana".parse::<StateSet>().unwrap_err().suggestion, None);
    }

    #[test]
    fn a_connection_request_is_syn_recv() {
        assert_eq!(State::from_kernel(12), Some(State::SynRecv));
        assert_eq!(StateSet::of(State::SynRecv).kernel_mask(), 1 << 3 | 1 << 12);
        assert_eq!(State::from_kernel(0), None);
        assert_eq!(State::from_kernel(14), None);
    }
}
