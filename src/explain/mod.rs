//! What a state or a cause means and what to do about it: built-in text, one file per topic.

use std::str::FromStr;

use crate::model::cause::causes;
use crate::model::{Cause, State, StateSet};

/// Something that can be explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    State(State),
    Cause(Cause),
}

impl Topic {
    /// All causes, including those that only findings have.
    pub fn causes() -> impl Iterator<Item = Cause> {
        Cause::ALL.into_iter().chain(Cause::OF_FINDINGS)
    }
}

/// A word that is neither a state nor a cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is neither a state nor a cause{hint}\n  states: {states}\n  causes: {causes}",
    hint = meant(.0),
    states = State::ALL.map(State::name).join(", "),
    causes = Topic::causes().map(Cause::name).collect::<Vec<_>>().join(", ")
)]
pub struct UnknownTopic(pub String);

impl FromStr for Topic {
    type Err = UnknownTopic;

    /// A state in any spelling, or a cause.
    fn from_str(word: &str) -> Result<Topic, UnknownTopic> {
        let plain = word.replace('_', "-").to_ascii_lowercase();
        let mut causes = Topic::causes();
        if let Some(cause) = causes.find(|cause| cause.name() == plain) {
            return Ok(Topic::Cause(cause));
        }
        let mut states = word
            .parse::<StateSet>()
            .into_iter()
            .flat_map(StateSet::iter);
        match (states.next(), states.next()) {
            (Some(state), None) => Ok(Topic::State(state)),
            _ => Err(UnknownTopic(word.to_owned())),
        }
    }
}

/// ": did you mean CLOSE_WAIT?", if the name of a state is close.
fn meant(word: &str) -> String {
    let error = word.parse::<StateSet>().err();
    error
        .and_then(|error| error.suggestion)
        .map(|name| format!(": did you mean {name}?"))
        .unwrap_or_default()
}

/// The topic in one line, without its name.
pub fn summary(topic: Topic) -> &'static str {
    let first = text(topic).lines().next().unwrap_or_default();
    first.split_once("  ").map_or(first, |(_, summary)| summary)
}

/// The text of a topic, in lines of at most 78 columns.
pub fn text(topic: Topic) -> &'static str {
    match topic {
        Topic::State(state) => state_text(state),
        Topic::Cause(cause) => cause_text(cause),
    }
}

fn state_text(state: State) -> &'static str {
    match state {
        State::Established => include_str!("text/states/ESTABLISHED.txt"),
        State::SynSent => include_str!("text/states/SYN_SENT.txt"),
        State::SynRecv => include_str!("text/states/SYN_RECV.txt"),
        State::FinWait1 => include_str!("text/states/FIN_WAIT1.txt"),
        State::FinWait2 => include_str!("text/states/FIN_WAIT2.txt"),
        State::TimeWait => include_str!("text/states/TIME_WAIT.txt"),
        State::Close => include_str!("text/states/CLOSE.txt"),
        State::CloseWait => include_str!("text/states/CLOSE_WAIT.txt"),
        State::LastAck => include_str!("text/states/LAST_ACK.txt"),
        State::Listen => include_str!("text/states/LISTEN.txt"),
        State::Closing => include_str!("text/states/CLOSING.txt"),
        State::BoundInactive => include_str!("text/states/BOUND_INACTIVE.txt"),
    }
}

/// One text for each cause, by its name.
macro_rules! texts {
    (
        of_sockets { $($cause:ident $name:literal $_fault:literal,)* }
        of_findings { $($other:ident $other_name:literal $_other_fault:literal,)* }
    ) => {
        fn cause_text(cause: Cause) -> &'static str {
            match cause {
                $(Cause::$cause => include_str!(concat!("text/causes/", $name, ".txt")),)*
                $(Cause::$other => include_str!(concat!("text/causes/", $other_name, ".txt")),)*
            }
        }
    };
}
causes!(texts);

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> impl Iterator<Item = (Topic, &'static str)> {
        let states = State::ALL.map(|state| (Topic::State(state), state.name()));
        let causes = Topic::causes().map(|cause| (Topic::Cause(cause), cause.name()));
        states.into_iter().chain(causes)
    }

    #[test]
    fn every_state_and_cause_is_found_by_its_name_and_has_a_text_that_fits() {
        for (topic, name) in topics() {
            assert_eq!(name.parse(), Ok(topic));
            let text = text(topic);
            assert!(text.starts_with(name), "{name}");
            assert!(text.contains("\nWhat it is\n"), "{name}");
            assert!(text.contains("\nKernel facts\n"), "{name}");
            assert!(
                text.lines().all(|line| line.chars().count() <= 78),
                "{name}"
            );
        }
    }

    #[test]
    fn a_group_of_states_is_no_topic_and_a_slip_is_answered() {
        assert!("connected".parse::<Topic>().is_err());
        let error = "CLOSE_WIAT".parse::<Topic>().unwrap_err().to_string();
        assert!(error.contains("did you mean CLOSE_WAIT?"), "{error}");
        assert!(error.contains("never-closed"));
    }
}
