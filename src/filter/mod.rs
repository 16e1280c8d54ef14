//! Filters: which sockets a command selects.
//!
//! A [`Filter`] is a tree of terms. [`Filter::decide`] evaluates it on the facts that are known of a
//! socket so far and answers yes, no or unknown. The collector drops excluded sockets before it looks
//! for their owners; the classifier decides the rest once all facts are known.
//! Nothing here reads files. The collector compiles filters to kernel bytecode.

#![warn(clippy::indexing_slicing, clippy::string_slice)]

mod duration;
mod error;
mod host;
mod key;
mod lexer;
mod names;
mod network;
mod operand;
mod parse;
mod ports;
mod sugar;
mod suggest;
mod term;

pub use duration::duration;
pub use error::ParseError;
pub use key::{begins_condition, wants_operand, words};
pub use names::{Names, NoNames};
pub use network::{Network, NetworkError};
pub use parse::parse;
pub use ports::is_ports;
pub use sugar::Sugar;
pub use term::{End, Known, Pattern, Term};

use crate::model::{Namespace, Protocol, StateSet};

/// A condition on sockets.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of these hold. An empty list selects every socket.
    And(Vec<Filter>),
    /// One of these holds. An empty list selects no socket.
    Or(Vec<Filter>),
    Not(Box<Filter>),
    Term(Term),
}

impl Filter {
    /// The filter that every socket passes.
    pub fn everything() -> Filter {
        Filter::And(Vec::new())
    }

    pub fn is_everything(&self) -> bool {
        matches!(self, Filter::And(parts) if parts.is_empty())
    }

    /// Whether the socket is selected; `None` if that depends on an unknown fact.
    pub fn decide(&self, known: &Known<'_>) -> Option<bool> {
        match self {
            Filter::And(parts) => first(parts, known, false).map_or(Some(true), |found| found),
            Filter::Or(parts) => first(parts, known, true).map_or(Some(false), |found| found),
            Filter::Not(part) => part.decide(known).map(|selected| !selected),
            Filter::Term(term) => term.decide(known),
        }
    }

    /// Whether the filter selects no socket of this network namespace.
    pub fn excludes(&self, namespace: &Namespace) -> bool {
        self.within(namespace) == Some(false)
    }

    /// The answer for every socket of a namespace; `None` if it differs between sockets.
    fn within(&self, namespace: &Namespace) -> Option<bool> {
        let all = |parts: &[Filter], deciding: bool| {
            let mut same = Some(!deciding);
            for part in parts {
                match part.within(namespace) {
                    Some(answer) if answer == deciding => return Some(deciding),
                    Some(_) => {}
                    None => same = None,
                }
            }
            same
        };
        match self {
            Filter::And(parts) => all(parts, false),
            Filter::Or(parts) => all(parts, true),
            Filter::Not(part) => part.within(namespace).map(|selected| !selected),
            Filter::Term(Term::Netns(wanted)) => term::is_called(namespace, wanted),
            Filter::Term(_) => None,
        }
    }

    /// The terms about processes. Every selected socket satisfies at least one term of each group, so
    /// sockets of other processes need not be read. Empty if the filter implies no such terms.
    pub fn processes(&self) -> Vec<Vec<&Term>> {
        match self {
            Filter::And(parts) => parts.iter().flat_map(Filter::processes).collect(),
            Filter::Or(parts) => {
                let groups = parts.iter().map(Filter::processes);
                let each: Option<Vec<_>> = groups.map(|all| all.into_iter().next()).collect();
                let one_of = each.unwrap_or_default().concat();
                if one_of.is_empty() {
                    Vec::new()
                } else {
                    vec![one_of]
                }
            }
            Filter::Term(term) if term.names_processes() => vec![vec![term]],
            Filter::Not(_) | Filter::Term(_) => Vec::new(),
        }
    }

    /// The condition on network namespaces that this filter implies: it holds for every namespace in
    /// which the filter may select a socket.
    pub fn of_namespaces(&self) -> Filter {
        self.weakened(true)
    }

    /// With `wanted`, a condition that holds whenever this one does; without it, a condition that holds
    /// only if this one does.
    fn weakened(&self, wanted: bool) -> Filter {
        let parts = |parts: &[Filter]| parts.iter().map(|part| part.weakened(wanted)).collect();
        match self {
            Filter::And(all) => Filter::And(parts(all)),
            Filter::Or(any) => Filter::Or(parts(any)),
            Filter::Not(part) => Filter::Not(Box::new(part.weakened(!wanted))),
            Filter::Term(term @ Term::Netns(_)) => Filter::Term(term.clone()),
            Filter::Term(_) if wanted => Filter::everything(),
            Filter::Term(_) => Filter::Or(Vec::new()),
        }
    }

    /// The terms that ask for one port, program or process, each once.
    pub fn named(&self) -> Vec<&Term> {
        let mut named = Vec::new();
        self.add_named(&mut named);
        named
    }

    fn add_named<'a>(&'a self, named: &mut Vec<&'a Term>) {
        match self {
            Filter::And(parts) | Filter::Or(parts) => {
                for part in parts {
                    part.add_named(named);
                }
            }
            // An excluded port or program need not exist.
            Filter::Not(_) => {}
            Filter::Term(term) if term.named().is_some() && !named.contains(&term) => {
                named.push(term)
            }
            Filter::Term(_) => {}
        }
    }

    /// The filter without its conditions on states.
    pub fn of_any_state(&self) -> Filter {
        let parts = |parts: &[Filter]| parts.iter().map(Filter::of_any_state).collect();
        match self {
            Filter::And(all) => Filter::And(parts(all)),
            Filter::Or(any) => Filter::Or(parts(any)),
            Filter::Not(part) if matches!(**part, Filter::Term(Term::State(_))) => {
                Filter::everything()
            }
            Filter::Not(part) => Filter::Not(Box::new(part.of_any_state())),
            Filter::Term(Term::State(_)) => Filter::everything(),
            Filter::Term(term) => Filter::Term(term.clone()),
        }
    }

    /// The states that selected sockets can have; it may hold more.
    pub fn states(&self) -> StateSet {
        let every = StateSet::ALL.union(StateSet::of(crate::model::State::BoundInactive));
        match self {
            Filter::And(parts) => parts
                .iter()
                .fold(every, |set, part| set.intersection(part.states())),
            Filter::Or(parts) => parts
                .iter()
                .fold(StateSet::NONE, |set, part| set.union(part.states())),
            Filter::Not(part) => match part.as_ref() {
                Filter::Term(Term::State(set)) => every.minus(*set),
                _ => every,
            },
            Filter::Term(Term::State(set)) => *set,
            Filter::Term(_) => every,
        }
    }

    /// The filter for sockets of one protocol: its conditions on protocols are replaced by yes or no.
    pub fn of_protocol(&self, protocol: Protocol) -> Filter {
        let parts = |parts: &[Filter]| {
            parts
                .iter()
                .map(|part| part.of_protocol(protocol))
                .collect()
        };
        match self {
            Filter::And(all) => Filter::And(parts(all)),
            Filter::Or(any) => Filter::Or(parts(any)),
            Filter::Not(part) => Filter::Not(Box::new(part.of_protocol(protocol))),
            Filter::Term(Term::Protocol(one)) if *one == protocol => Filter::everything(),
            Filter::Term(Term::Protocol(_)) => Filter::Or(Vec::new()),
            Filter::Term(term) => Filter::Term(term.clone()),
        }
    }

    /// Whether the filter contains a term for which `wanted` holds.
    pub fn mentions(&self, wanted: impl Fn(&Term) -> bool + Copy) -> bool {
        match self {
            Filter::And(parts) | Filter::Or(parts) => {
                parts.iter().any(|part| part.mentions(wanted))
            }
            Filter::Not(part) => part.mentions(wanted),
            Filter::Term(term) => wanted(term),
        }
    }
}

/// Evaluates the parts of an `And` (`deciding` = false) or an `Or` (`deciding` = true):
/// `Some(Some(deciding))` if one part decides, `Some(None)` if an unknown part might, else `None`.
fn first(parts: &[Filter], known: &Known<'_>, deciding: bool) -> Option<Option<bool>> {
    let mut undecided = None;
    for part in parts {
        match part.decide(known) {
            Some(answer) if answer == deciding => return Some(Some(deciding)),
            Some(_) => {}
            None => undecided = Some(None),
        }
    }
    undecided
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::model::*;

    fn socket(state: State, local: u16, remote: u16) -> Socket {
        let end = |port| Endpoint::new(Ipv4Addr::LOCALHOST, port);
        Socket {
            inode: 1,
            ..Socket::bare(state, end(local), end(remote))
        }
    }

    fn state(state: State) -> Filter {
        Filter::Term(Term::State(StateSet::of(state)))
    }

    fn port(port: u16) -> Filter {
        Filter::Term(Term::Port(End::Either, port..=port))
    }

    #[test]
    fn what_is_not_known_yet_leaves_the_answer_open_only_where_it_matters() {
        let socket = socket(State::CloseWait, 80, 5);
        let known = Known::of(&socket);
        let pid = || Filter::Term(Term::Pid(Pid(1)));
        let both = |a, b| Filter::And(vec![a, b]);
        let either = |a, b| Filter::Or(vec![a, b]);
        assert_eq!(both(port(80), pid()).decide(&known), None);
        assert_eq!(both(port(81), pid()).decide(&known), Some(false));
        assert_eq!(both(pid(), port(81)).decide(&known), Some(false));
        assert_eq!(either(pid(), port(80)).decide(&known), Some(true));
        assert_eq!(either(pid(), port(81)).decide(&known), None);
        assert_eq!(Filter::Not(Box::new(pid())).decide(&known), None);
        assert_eq!(Filter::everything().decide(&known), Some(true));
        assert_eq!(Filter::Or(vec![]).decide(&known), Some(false));
    }

    #[test]
    fn processes_are_named_where_no_other_can_be_meant() {
        let pid = |number| Filter::Term(Term::Pid(Pid(number)));
        let both = |a, b| Filter::And(vec![a, b]);
        let either = |a, b| Filter::Or(vec![a, b]);
        let groups = |filter: Filter| filter.processes().iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(groups(pid(1)), [1]);
        assert_eq!(groups(both(port(80), pid(1))), [1]);
        assert_eq!(groups(both(pid(1), pid(2))), [1, 1]);
        assert_eq!(groups(either(pid(1), pid(2))), [2]);
        assert_eq!(groups(either(both(pid(1), port(80)), pid(2))), [2]);
        assert!(groups(either(pid(1), port(80))).is_empty());
        assert!(groups(Filter::Not(Box::new(pid(1)))).is_empty());
        assert!(groups(Filter::Or(vec![])).is_empty());
    }

    #[test]
    fn of_a_filter_for_namespaces_nothing_is_left_but_them() {
        let read = |text| parse(text, &NoNames).unwrap();
        for (text, left) in [
            (
                "state close-wait sport = :80",
                "( state all ) or sport = :1 or not sport = :1",
            ),
            ("netns = blue and port = 80", "netns = blue"),
            ("netns = blue or port = 80", ""),
            ("not ( netns = blue or port = 80 )", "not netns = blue"),
            ("not ( netns = blue and port = 80 )", ""),
        ] {
            let blue = Namespace {
                label: Some("blue".into()),
                inode: Some(7),
                ..Namespace::UNKNOWN
            };
            let red = Namespace {
                label: Some("red".into()),
                inode: Some(8),
                ..Namespace::UNKNOWN
            };
            let found = read(text).of_namespaces();
            for namespace in [blue, red] {
                assert_eq!(
                    found.excludes(&namespace),
                    read(left).excludes(&namespace),
                    "{text}"
                );
            }
            assert!(
                !found.mentions(|term| !matches!(term, Term::Netns(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn states_bound_what_can_be_selected() {
        let close_wait = StateSet::of(State::CloseWait);
        let filter = Filter::And(vec![state(State::CloseWait), port(80)]);
        assert_eq!(filter.states(), close_wait);
        let filter = Filter::Or(vec![state(State::CloseWait), port(80)]);
        assert!(filter.states().contains(State::Listen));
        let filter = Filter::Not(Box::new(state(State::CloseWait)));
        assert!(!filter.states().contains(State::CloseWait));
        let filter = Filter::Not(Box::new(Filter::And(vec![
            state(State::CloseWait),
            port(1),
        ])));
        assert!(filter.states().contains(State::CloseWait));
    }
}
