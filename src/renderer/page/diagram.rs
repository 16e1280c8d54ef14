//! The TCP state diagram, with the host's live counts on it.

use std::io::{self, Write};

use crate::classifier::StateCounts;
use crate::model::State;
use crate::renderer::style::{Look, Role};
use crate::renderer::units;

/// `<STATE   >` is replaced by the state and its count in the same width.
const DIAGRAM: &str = "
                                 (no socket)
                 listen()             │            connect(): SYN out
            ┌─────────────────────────┴─────────────────────────┐
            ▼                                                   ▼
    <LISTEN            >                              <SYN_SENT           >
            │ SYN in, SYN+ACK out                               │
            ▼                                                   │
    <SYN_RECV          >                                        │
            │ ACK in                      SYN+ACK in, ACK out   │
            └────────────► <ESTABLISHED           > ◄───────────┘
                                      │
         this side closes first       │       the peer closes first
            ┌─────────────────────────┴─────────────────────────┐
            │ FIN out                                           │ FIN in
            ▼               FIN in                              ▼
    <FIN_WAIT1         > ────────► <CLOSING         >  <CLOSE_WAIT             >
            │ ACK in                  │ ACK in                  │ close()
            ▼                         │                         ▼
    <FIN_WAIT2         >              │                <LAST_ACK               >
            │ FIN in, ACK out         │                         │ ACK in
            ▼                         │                         ▼
    <TIME_WAIT         > ◄────────────┘                    (no socket)
            │ 60 s
            ▼
       (no socket)
";

/// Writes the diagram. A count that was not looked for is `?`.
pub fn diagram(states: &StateCounts, look: Look, out: &mut impl Write) -> io::Result<()> {
    for line in DIAGRAM.lines().skip(1) {
        let mut rest = line;
        let mut shown = String::new();
        while let Some((before, (token, after))) = rest
            .split_once('<')
            .and_then(|(before, rest)| Some((before, rest.split_once('>')?)))
        {
            shown.push_str(before);
            shown.push_str(&cell(token, states, look));
            rest = after;
        }
        shown.push_str(rest);
        writeln!(out, "{}", shown.trim_end())?;
    }
    writeln!(
        out,
        "\nNo timer ends CLOSE_WAIT: it stays until the program closes the socket or exits.\n\
         See closewait explain CLOSE_WAIT, or any other state or cause."
    )
}

/// The state and its count, as wide as the token and its brackets.
fn cell(token: &str, states: &StateCounts, look: Look) -> String {
    let width = token.chars().count() + 2;
    let name = token.trim_end();
    let state = State::ALL.into_iter().find(|state| state.name() == name);
    let count = state.and_then(|state| states.of(state));
    let shown = count.map_or("?".to_owned(), units::count);
    let mark = if state == Some(State::CloseWait) && count != Some(0) {
        "! "
    } else {
        ""
    };
    let text = format!("{mark}{name} {shown}");
    let padded = format!("{text:<width$}");
    match (state, count) {
        (Some(State::CloseWait), Some(1..)) => look.paint(Role::CloseWait, padded),
        (_, Some(1..)) => look.paint(Role::Heading, padded),
        _ => padded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::StateSet;

    #[test]
    fn every_state_of_a_connection_stands_on_the_diagram_once() {
        for state in State::ALL {
            let wanted = match state {
                State::Close | State::BoundInactive => 0,
                _ => 1,
            };
            let found = DIAGRAM.matches(&format!("<{} ", state.name())).count();
            assert_eq!(found, wanted, "{state}");
        }
    }

    #[test]
    fn it_fits_80_columns_with_its_counts() {
        let states = StateCounts::none_of(StateSet::ALL);
        let mut out = Vec::new();
        diagram(&states, Look::default(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("CLOSE_WAIT 0"));
        assert!(text.lines().all(|line| line.chars().count() <= 80));
    }
}
