//! Keys, the words that conditions begin with, and the operators that each key accepts.

use std::ops::RangeInclusive;

use super::End;
use super::error::Problem;
use super::lexer::Word;

/// What a condition is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Address(End),
    Port(End),
    Interface,
    Mark,
    Cgroup,
    Autobound,
    Pid,
    Program,
    User,
    Inode,
    Cause,
    Age,
    RecvQ,
    SendQ,
    Side,
    Netns,
    Unit,
    Container,
}

/// Every key by its word; those that ss has come first.
pub(super) const KEYS: [(&str, Key); 23] = [
    ("src", Key::Address(End::Local)),
    ("dst", Key::Address(End::Remote)),
    ("sport", Key::Port(End::Local)),
    ("dport", Key::Port(End::Remote)),
    ("dev", Key::Interface),
    ("fwmark", Key::Mark),
    ("cgroup", Key::Cgroup),
    ("autobound", Key::Autobound),
    ("port", Key::Port(End::Either)),
    ("pid", Key::Pid),
    ("program", Key::Program),
    ("user", Key::User),
    ("inode", Key::Inode),
    ("cause", Key::Cause),
    ("age", Key::Age),
    ("idle", Key::Age),
    ("older-than", Key::Age),
    ("recvq", Key::RecvQ),
    ("sendq", Key::SendQ),
    ("side", Key::Side),
    ("netns", Key::Netns),
    ("unit", Key::Unit),
    ("container", Key::Container),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Like,
    NotLike,
}

/// The operator that a word stands for.
pub(super) fn operator(word: &Word) -> Option<Operator> {
    (!word.quoted).then(|| operator_of(&word.text))?
}

fn operator_of(text: &str) -> Option<Operator> {
    Some(match text {
        "=" | "==" | "eq" => Operator::Equal,
        "!=" | "ne" | "neq" => Operator::NotEqual,
        "<" | "lt" => Operator::Less,
        "<=" | "le" | "leq" => Operator::LessOrEqual,
        ">" | "gt" => Operator::Greater,
        ">=" | "ge" | "geq" => Operator::GreaterOrEqual,
        "~" => Operator::Like,
        "!~" => Operator::NotLike,
        _ => return None,
    })
}

impl Operator {
    pub(super) fn is_negative(self) -> bool {
        matches!(self, Operator::NotEqual | Operator::NotLike)
    }

    pub(super) fn is_order(self) -> bool {
        use Operator::{Greater, GreaterOrEqual, Less, LessOrEqual};
        matches!(self, Less | LessOrEqual | Greater | GreaterOrEqual)
    }

    /// The numbers from 0 to `most` for which `number OPERATOR value` holds; for a negated operator,
    /// those for which it does not. `None` if there are none.
    pub(super) fn range(self, value: u64, most: u64) -> Option<RangeInclusive<u64>> {
        let range = match self {
            Operator::Less => 0..=value.checked_sub(1)?,
            Operator::LessOrEqual => 0..=value,
            Operator::Greater => value.checked_add(1)?..=most,
            Operator::GreaterOrEqual => value..=most,
            _ => value..=value,
        };
        (range.start() <= range.end()).then_some(range)
    }
}

impl Key {
    /// Whether ss has this key.
    pub(super) fn is_of_ss(self) -> bool {
        matches!(
            self,
            Key::Address(_)
                | Key::Port(End::Local | End::Remote)
                | Key::Interface
                | Key::Mark
                | Key::Cgroup
                | Key::Autobound
        )
    }

    pub(super) fn takes(self, operator: Operator) -> bool {
        match self {
            // As in ss.
            Key::Address(_) => operator == Operator::Equal,
            Key::Port(_) | Key::RecvQ | Key::SendQ => {
                !matches!(operator, Operator::Like | Operator::NotLike)
            }
            Key::Age => operator.is_order(),
            Key::Program | Key::Unit | Key::Container => !operator.is_order(),
            _ => matches!(operator, Operator::Equal | Operator::NotEqual),
        }
    }

    /// The operator if none is written: >= for ages, which are never exact.
    pub(super) fn implied(self) -> Operator {
        match self {
            Key::Age => Operator::GreaterOrEqual,
            _ => Operator::Equal,
        }
    }

    /// The error for an operator that the key does not accept.
    pub(super) fn refusal(self, operator: &str) -> Problem {
        let hint = match self {
            Key::Address(End::Local) => "write `src HOST` or `not src HOST`",
            Key::Address(_) => "write `dst HOST` or `not dst HOST`",
            Key::Port(_) | Key::RecvQ | Key::SendQ => "use = != < <= > or >=",
            Key::Age => "ages are never exact: use < <= > or >=",
            Key::Program | Key::Unit | Key::Container => "use = != ~ or !~",
            _ => "use = or !=",
        };
        Problem::new(format!("{operator} is not allowed here")).hint(hint)
    }

    /// What the key is compared to, with an article.
    pub(super) fn wants(self) -> &'static str {
        match self {
            Key::Address(_) => "an address",
            Key::Port(_) => "a port",
            Key::Interface => "an interface",
            Key::Mark => "a mark",
            Key::Cgroup => "the path of a cgroup",
            Key::Program => "a program's name",
            Key::User => "a user",
            Key::Cause => "a cause",
            Key::Age => "a duration",
            Key::Side => "server or client",
            Key::Netns => "a network namespace",
            Key::Unit => "a unit",
            Key::Container => "a container",
            _ => "a number",
        }
    }
}

/// The words that conditions begin with, each once, and those that join conditions.
pub fn words() -> impl Iterator<Item = &'static str> {
    let is_alias = |name: &str| matches!(name, "idle" | "older-than");
    let keys = KEYS.iter().map(|(name, _)| *name);
    ["state", "exclude"]
        .into_iter()
        .chain(keys.filter(move |name| !is_alias(name)))
        .chain(["and", "or", "not"])
}

/// Whether a condition can begin with this word, or a filter.
pub fn begins_condition(word: &str) -> bool {
    matches!(word, "state" | "exclude" | "not" | "!" | "(")
        || KEYS.iter().any(|(name, _)| *name == word)
}

/// Whether the next word of a command line is an operand: this one is an operator, or a key that has
/// one.
pub fn wants_operand(word: &str) -> bool {
    let last = word.split_whitespace().next_back().unwrap_or_default();
    let begins = |(name, key): &(&str, Key)| *name == last && *key != Key::Autobound;
    matches!(last, "state" | "exclude") || operator_of(last).is_some() || KEYS.iter().any(begins)
}
