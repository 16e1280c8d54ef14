//! The filter language: ss's grammar, and conditions that ss lacks.
//!
//! ```text
//! filter    = [ states [ "and" ] ] terms
//! terms     = { term [ "and" | "or" ] }         read from left to right
//! term      = "(" filter ")" | "not" term | condition
//! condition = states | key [ operator ] value | "autobound"
//! states    = { ( "state" | "exclude" ) [ "=" ] NAME }
//! ```
//!
//! As in ss, words are separated by blanks, two terms in a row must both hold, and "and" and "or"
//! have the same precedence: `a or b and c` is `( a or b ) and c`. ss's manual says
//! otherwise, but its grammar (`misc/ssfilter.y`, `exprlist`) and every ss since 4.19 work this way.
//! As in ss, states at the start apply to everything that follows: `state close-wait a or b` is
//! `state close-wait and ( a or b )`. They are also allowed wherever a condition is.

use std::ops::Range;

use super::error::{ParseError, Problem};
use super::key::{self, KEYS, Key, Operator};
use super::lexer::{self, Word};
use super::suggest::{self, several, unknown};
use super::{Filter, Names, Term, operand};
use crate::model::StateSet;

/// The most levels of a filter: evaluating and compiling recurse.
const DEPTH: usize = 200;

/// Reads a filter; an empty one selects everything.
///
/// # Errors
/// The wrong word, its position, and what was probably meant.
pub fn parse(text: &str, names: &dyn Names) -> Result<Filter, ParseError> {
    let words = lexer::words(text)?;
    let mut parser = Parser {
        text,
        words: &words,
        at: 0,
        open: 0,
        names,
    };
    if words.is_empty() {
        return Ok(Filter::everything());
    }
    let (filter, _) = parser.list()?;
    match parser.next() {
        Some(word) => Err(Problem::new("unmatched )").at(text, word.at.clone())),
        None => Ok(filter),
    }
}

/// The words that join or group conditions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Joint {
    Open,
    Close,
    And,
    Or,
    Not,
}

fn joint(word: &Word) -> Option<Joint> {
    if word.quoted {
        return None;
    }
    Some(match word.text.as_str() {
        "(" => Joint::Open,
        ")" => Joint::Close,
        "and" | "&" | "&&" => Joint::And,
        "or" | "|" | "||" => Joint::Or,
        "not" | "!" => Joint::Not,
        _ => return None,
    })
}

struct Parser<'a> {
    text: &'a str,
    words: &'a [Word],
    at: usize,
    /// How many parentheses and negations are open.
    open: usize,
    names: &'a dyn Names,
}

/// A filter and its number of levels.
type Read = Result<(Filter, usize), ParseError>;

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Word> {
        self.words.get(self.at)
    }

    fn next(&mut self) -> Option<&'a Word> {
        let word = self.peek()?;
        self.at += 1;
        Some(word)
    }

    /// The error for something missing before the next word, or at the end.
    fn missing(&self, what: &str) -> ParseError {
        let end = self.text.trim_end().len();
        match self.peek() {
            Some(word) => {
                let found = self.text.get(word.at.clone()).unwrap_or_default();
                Problem::new(format!("expected {what} before {found:?}"))
                    .at(self.text, word.at.clone())
            }
            None => Problem::new(format!("expected {what} at the end")).at(self.text, end..end),
        }
    }

    /// Everything up to the end or a closing parenthesis.
    fn list(&mut self) -> Read {
        let start = self.at;
        if self.peek().is_some_and(is_state_word) {
            let states = self.states()?;
            match self.peek().map(joint) {
                // One condition among others.
                None | Some(Some(Joint::Or | Joint::Close)) => self.at = start,
                Some(found) => {
                    self.at += usize::from(found == Some(Joint::And));
                    let (rest, depth) = self.terms()?;
                    let depth = self.bounded(depth + 1, start)?;
                    return Ok((Filter::And(vec![states, rest]), depth));
                }
            }
        }
        self.terms()
    }

    /// Terms up to the end or a closing parenthesis.
    fn terms(&mut self) -> Read {
        let (mut left, mut depth) = self.term()?;
        loop {
            let start = self.at;
            let joint = match self.peek().map(joint) {
                None | Some(Some(Joint::Close)) => return Ok((left, depth)),
                Some(Some(joint @ (Joint::And | Joint::Or))) => {
                    self.at += 1;
                    joint
                }
                Some(_) => Joint::And,
            };
            let (right, right_depth) = self.term()?;
            let grown = match (&mut left, joint) {
                (Filter::Or(parts), Joint::Or) | (Filter::And(parts), Joint::And) => {
                    parts.push(right);
                    depth.max(right_depth + 1)
                }
                _ => {
                    let parts = vec![std::mem::replace(&mut left, Filter::everything()), right];
                    left = match joint {
                        Joint::Or => Filter::Or(parts),
                        _ => Filter::And(parts),
                    };
                    depth.max(right_depth) + 1
                }
            };
            depth = self.bounded(grown, start)?;
        }
    }

    fn bounded(&self, depth: usize, at: usize) -> Result<usize, ParseError> {
        let place = self.words.get(at).map_or(0..0, |word| word.at.clone());
        if depth > DEPTH {
            return Err(
                Problem::new(format!("the filter has more than {DEPTH} levels"))
                    .hint("`a or b or c` is one level, `a or b and c or d` is three")
                    .at(self.text, place),
            );
        }
        Ok(depth)
    }

    fn term(&mut self) -> Read {
        let start = self.at;
        let Some(word) = self.peek() else {
            return Err(self.missing("a condition"));
        };
        match joint(word) {
            Some(Joint::Open) => {
                self.at += 1;
                self.open += 1;
                self.bounded(self.open, start)?;
                let inner = self.list()?;
                match self.next() {
                    Some(_) => {}
                    None => {
                        return Err(Problem::new("unclosed (").at(self.text, word.at.clone()));
                    }
                }
                self.open -= 1;
                Ok(inner)
            }
            Some(Joint::Not) => {
                self.at += 1;
                self.open += 1;
                self.bounded(self.open, start)?;
                let (inner, depth) = self.term()?;
                self.open -= 1;
                let depth = self.bounded(depth + 1, start)?;
                Ok((Filter::Not(Box::new(inner)), depth))
            }
            Some(_) => Err(self.missing("a condition")),
            None => {
                // A condition can expand to three levels: Not, Or, And.
                let depth = 3;
                Ok((self.condition(word)?, depth))
            }
        }
    }

    fn condition(&mut self, word: &'a Word) -> Result<Filter, ParseError> {
        if is_state_word(word) {
            return self.states();
        }
        let key = KEYS
            .iter()
            .find(|(name, _)| !word.quoted && *name == word.text)
            .map(|(_, key)| *key);
        let Some(key) = key else {
            let problem = self.with_meant(unknown(word), self.at);
            return Err(problem.at(self.text, word.at.clone()));
        };
        let start = self.at;
        self.at += 1;
        let of_key = |problem: Problem| problem.at(self.text, word.at.clone());
        if key == Key::Autobound {
            return operand::autobound(self.names).map_err(of_key);
        }
        let operator = self
            .peek()
            .and_then(|word| Some((word, key::operator(word)?)));
        if operator.is_some() {
            self.at += 1;
        }
        let value = self.value(key).map_err(|error| match self.meant(start) {
            Some(hint) => error.with_hint(hint),
            None => error,
        })?;
        if let Some((word, operator)) = operator
            && !key.takes(operator)
        {
            let problem = self.with_meant(key.refusal(&word.text), start);
            return Err(problem.at(self.text, word.at.clone()));
        }
        let operator = operator.map_or(key.implied(), |(_, operator)| operator);
        let several =
            || several(&word.text, operator.is_negative(), &value.text).filter(|_| !value.quoted);
        let is_name = matches!(key, Key::Program | Key::Unit | Key::Container)
            && matches!(operator, Operator::Equal | Operator::NotEqual);
        if is_name
            && value.text.contains(',')
            && let Some(hint) = several()
        {
            let problem = Problem::new("one name is expected here").hint(hint);
            return Err(problem.at(self.text, value.at.clone()));
        }
        operand::condition(key, operator, value, self.names).map_err(|problem| {
            let problem = match several() {
                Some(hint) => problem.hint(hint),
                None => self.with_meant(problem, start),
            };
            problem.at(self.text, value.at.clone())
        })
    }

    /// What to write instead of the words from here on.
    fn meant(&self, at: usize) -> Option<String> {
        let rest = self.words.get(at..)?;
        let before = || match self.words.get(at.checked_sub(2)?..=at)? {
            [key, between, value] => suggest::meant_by([key, between, value]),
            _ => None,
        };
        let condition = suggest::meant(rest).or_else(before)?;
        parse(&condition, self.names).ok()?;
        Some(format!("write `{}`", suggest::typed(&condition)))
    }

    fn with_meant(&self, problem: Problem, at: usize) -> Problem {
        match self.meant(at) {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }

    /// The word that a key is compared to.
    fn value(&mut self, key: Key) -> Result<&'a Word, ParseError> {
        let is_value = |word: &Word| {
            word.quoted
                || (joint(word).is_none()
                    && key::operator(word).is_none()
                    && !KEYS
                        .iter()
                        .any(|(name, key)| *name == word.text && key.is_of_ss()))
        };
        match self.peek() {
            Some(word) if is_value(word) => {
                self.at += 1;
                Ok(word)
            }
            // Unquoted, > and < are redirections: the shell takes them and the value away.
            None if key.takes(Operator::Greater) => Err(self
                .missing(key.wants())
                .with_hint("quote > and < from the shell, or write gt and lt".to_owned())),
            _ => Err(self.missing(key.wants())),
        }
    }

    /// A run of `state NAME` and `exclude NAME`, as in ss: if the first is `state`, the set starts
    /// empty, if it is `exclude`, full; each word then adds or removes states.
    fn states(&mut self) -> Result<Filter, ParseError> {
        let mut states: Option<StateSet> = None;
        while let Some(word) = self.peek().filter(|word| is_state_word(word)) {
            let start = self.at;
            self.at += 1;
            // ss has no operator here; who writes one means it.
            let is_equal = |word: &&Word| key::operator(word) == Some(Operator::Equal);
            self.at += usize::from(self.peek().filter(is_equal).is_some());
            let Some(name) = self.next() else {
                return Err(self.missing("a state"));
            };
            let named: StateSet = name.text.parse().map_err(|_| {
                let found = self.text.get(name.at.clone()).unwrap_or_default();
                let error = self.unknown_state(&name.text, found, name.at.clone());
                match self.meant(start) {
                    Some(hint) => error.with_hint(hint),
                    None => error,
                }
            })?;
            states = Some(if word.text == "state" {
                states.unwrap_or(StateSet::NONE).union(named)
            } else {
                states.unwrap_or(StateSet::ALL).minus(named)
            });
        }
        Ok(Filter::Term(Term::State(states.unwrap_or(StateSet::ALL))))
    }

    fn unknown_state(&self, name: &str, found: &str, at: Range<usize>) -> ParseError {
        let hint = match name.parse::<StateSet>().map_err(|error| error.suggestion) {
            _ if name.contains(',') => format!("write `state {}`", name.replace(',', " state ")),
            Err(Some(meant)) => format!("did you mean {meant}?"),
            _ => "try CLOSE_WAIT, ESTABLISHED, LISTEN, TIME_WAIT, connected, all, …".to_owned(),
        };
        Problem::new(format!("unknown state {found:?}"))
            .hint(hint)
            .at(self.text, at)
    }
}

fn is_state_word(word: &Word) -> bool {
    !word.quoted && matches!(word.text.as_str(), "state" | "exclude" | "excl")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{End, NoNames};
    use crate::model::State;

    fn read(text: &str) -> Filter {
        parse(text, &NoNames).unwrap_or_else(|error| panic!("{error}"))
    }

    fn refused(text: &str) -> String {
        parse(text, &NoNames).unwrap_err().to_string()
    }

    fn port(end: End, port: u16) -> Filter {
        Filter::Term(Term::Port(end, port..=port))
    }

    #[test]
    fn and_and_or_are_read_from_left_to_right() {
        let [a, b, c] = [1, 2, 3].map(|number| port(End::Local, number));
        let or = |parts: [&Filter; 2]| Filter::Or(parts.map(Filter::clone).to_vec());
        let and = |parts: [&Filter; 2]| Filter::And(parts.map(Filter::clone).to_vec());
        assert_eq!(
            read("sport = :1 or sport = :2 and sport = :3"),
            and([&or([&a, &b]), &c])
        );
        assert_eq!(
            read("sport = :1 sport = :2 | sport = :3"),
            or([&and([&a, &b]), &c])
        );
        assert_eq!(
            read("sport = :1 || ( sport = :2 && ! sport = :3 )"),
            or([&a, &and([&b, &Filter::Not(Box::new(c.clone()))])])
        );
    }

    #[test]
    fn states_at_a_beginning_hold_for_all_that_follows() {
        let filter = read("state close-wait sport = :1 or sport = :2");
        assert_eq!(filter.states(), StateSet::of(State::CloseWait));
        assert_eq!(
            filter,
            read("state close-wait and sport = :1 or sport = :2")
        );
        let one_of = read("state close-wait or sport = :1");
        assert!(one_of.states().contains(State::Established));
        assert_eq!(
            read("state connected exclude established").states(),
            StateSet::CONNECTED.minus(StateSet::of(State::Established))
        );
    }

    #[test]
    fn an_empty_filter_selects_everything() {
        assert!(read("").is_everything());
        assert!(read(" \t ").is_everything());
    }

    #[test]
    fn a_mistake_names_the_word_and_what_was_meant() {
        assert_eq!(
            refused("state CLOSE_WIAT"),
            "unknown state \"CLOSE_WIAT\": did you mean CLOSE_WAIT?\n  state CLOSE_WIAT\n        ^^^^^^^^^^"
        );
        assert!(refused("close-wait").contains("write `state close-wait`"));
        assert!(refused("sport=:80").contains("write `sport = :80`"));
        assert!(refused("(sport = :80)").contains("write `( sport`"));
        assert!(refused("sprt = :80").contains("write `sport = :80`"));
        assert!(refused("( sport = :80").contains("unclosed ("));
        assert!(refused("sport = :80 )").contains("unmatched )"));
        assert!(refused("sport = :80 or").contains("expected a condition at the end"));
        assert!(refused("age").contains("quote > and < from the shell, or write gt and lt"));
        assert!(refused("sport = and").contains("expected a port before \"and\""));
        assert!(refused(&format!("age {}", "=".repeat(100_000))).contains("not a duration"));
        assert!(refused("dst != 10.0.0.1").contains("`not dst 10.0.0.1`"));
        assert!(refused("program ~ \"(\"").contains("invalid regular expression"));
        assert_eq!(
            read("netns = blue"),
            Filter::Term(Term::Netns("blue".to_owned()))
        );
    }

    #[test]
    fn our_own_conditions_compare_as_their_kind_allows() {
        let milliseconds = |range| Filter::Term(Term::Idle(range));
        assert_eq!(read("age > 5m"), milliseconds(300_001..=u64::MAX));
        assert_eq!(read("age <= 1s"), milliseconds(0..=1000));
        assert_eq!(read("age 5m"), read("age >= 5m"));
        assert_eq!(read("age 5m"), read("idle ge 5m"));
        assert_eq!(read("age 5m"), read("older-than 5m"));
        assert_eq!(
            read("recvq >= 1k"),
            Filter::Term(Term::RecvQ(1024..=u32::MAX))
        );
        assert_eq!(read("recvq < 0"), Filter::Or(Vec::new()));
        assert_eq!(
            read("program != java"),
            Filter::Not(Box::new(Filter::Term(Term::Program(b"java".to_vec()))))
        );
        assert_eq!(read(r#"program ~ "^java\d""#), read(r"program ~ ^java\d"),);
    }

    #[test]
    fn a_filter_of_any_length_is_read_and_one_of_any_depth_is_refused() {
        let many = vec!["sport = :1"; 20_000].join(" or ");
        assert!(parse(&many, &NoNames).is_ok());
        let deep = [vec!["("; 20_000], vec!["sport = :1"]].concat().join(" ");
        assert!(refused(&deep).contains("more than 200 levels"));
        assert!(refused(&"not ".repeat(20_000)).contains("more than 200 levels"));
        let mixed = vec!["sport = :1 or sport = :2"; 20_000].join(" and ");
        assert!(refused(&mixed).contains("more than 200 levels"));
    }
}
