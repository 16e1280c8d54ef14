//! Turns the selecting options and the filter into one condition.

use super::{Ask, Wanted};
use crate::cli::habits;
use crate::command::UsageError;
use crate::filter::{self, Filter, Names, ParseError, Term};
use crate::model::{Families, Family, Pid, Protocol, Protocols, State, StateSet, nearest};

pub(super) fn families(ask: &Ask) -> Families {
    match (ask.selection.ipv4, ask.selection.ipv6) {
        (true, false) => Families::One(Family::Inet),
        (false, true) => Families::One(Family::Inet6),
        _ => Families::Both,
    }
}

/// The condition: different options must all match; an option given more than once matches any of
/// its values.
pub(super) fn filter(ask: &Ask, command: &Wanted, words: &Words) -> Filter {
    let mut parts: Vec<Filter> = of_states(ask, command, words).into_iter().collect();
    let mut one_of = |terms: Vec<Term>| match terms.len() {
        0 => {}
        1 => parts.extend(terms.into_iter().map(Filter::Term)),
        _ => parts.push(Filter::Or(terms.into_iter().map(Filter::Term).collect())),
    };
    // The collector also reads the other ends of selected sockets, of any family.
    one_of(match families(ask) {
        Families::Both => Vec::new(),
        Families::One(family) => vec![Term::Family(family)],
    });
    one_of(
        ask.selection
            .pid
            .iter()
            .map(|pid| Term::Pid(Pid(*pid)))
            .collect(),
    );
    one_of(
        ask.selection
            .program
            .iter()
            .map(|name| Term::Program(name.clone().into_bytes()))
            .collect(),
    );
    one_of(
        ask.selection
            .cause
            .iter()
            .map(|cause| Term::Cause(*cause))
            .collect(),
    );
    one_of(
        ask.selection
            .older_than
            .map(|age| Term::Idle(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)..=u64::MAX))
            .into_iter()
            .collect(),
    );
    if !words.filter.is_everything() {
        parts.push(words.filter.clone());
    }
    Filter::And(parts)
}

/// The conditions that may contain names of the host: the filter given as words, and options such as
/// --port.
pub(in crate::command) struct Words {
    pub(in crate::command) filter: Filter,
    /// The words alone.
    text: String,
}

impl Words {
    pub(super) fn read(ask: &Ask, names: &dyn Names) -> Result<Words, UsageError> {
        let text = ask.words.filter.join(" ");
        let mut filter = filter::parse(&text, names)
            .map_err(|error| meant_for_a_command(meant_as_value(error, ask)))?;
        for (sugar, values) in ask.selection.named() {
            let one = |value: &String| {
                sugar
                    .condition(value, names)
                    .map_err(|reason| UsageError::Value {
                        flag: sugar.flag(),
                        reason,
                    })
            };
            let mut any: Vec<Filter> = values.iter().map(one).collect::<Result<_, _>>()?;
            let selected = match any.len() {
                0 => continue,
                1 => any.swap_remove(0),
                _ => Filter::Or(any),
            };
            filter = match filter {
                Filter::And(parts) if parts.is_empty() => selected,
                other => Filter::And(vec![other, selected]),
            };
        }
        Ok(Words { filter, text })
    }

    /// The states that can be selected, if the filter mentions states.
    fn states(&self) -> Option<StateSet> {
        let bound = StateSet::of(State::BoundInactive);
        let names = |state: fn(StateSet) -> bool| {
            self.filter
                .mentions(|term| matches!(term, Term::State(set) if state(*set)))
        };
        let names_bound = names(|set| set.contains(State::BoundInactive));
        names(|_| true).then(|| {
            if names_bound {
                StateSet::ALL.union(bound)
            } else {
                StateSet::ALL
            }
        })
    }
}

/// Adds a hint if the first word was probably meant as another value of an option: `--port 80 443`.
fn meant_as_value(error: ParseError, ask: &Ask) -> ParseError {
    let Some((word, true)) = error.unknown() else {
        return error;
    };
    let given = &ask.selection;
    let names = given.state.iter().flat_map(|set| set.iter());
    let states: Vec<String> = names.map(|state| state.name().replace('_', "-")).collect();
    let states = states.join(",").to_lowercase();
    let pids: Vec<String> = given.pid.iter().map(u32::to_string).collect();
    let whole = format!("{states}-{word}").to_lowercase();
    let is_state = |text: &str| text.parse::<StateSet>().is_ok();
    let hint = if !states.is_empty() && is_state(&whole) {
        format!("write `--state {whole}`")
    } else if !states.is_empty() && is_state(word) {
        format!("write `--state {states},{word}`")
    } else if !given.port.is_empty() && filter::is_ports(word) {
        format!("write `--port {},{word}`", given.port.join(","))
    } else if !pids.is_empty() && word.parse::<u32>().is_ok() {
        format!("write `--pid {},{word}`", pids.join(","))
    } else if !given.program.is_empty() && !error.has_hint() && habits::of_unknown(word).is_none() {
        format!("write `--program {},{word}`", given.program.join(","))
    } else {
        return error;
    };
    error.with_hint(hint)
}

/// Adds a hint if an unknown word was probably meant as a command.
fn meant_for_a_command(error: ParseError) -> ParseError {
    const COMMANDS: [&str; 7] = [
        "triage", "list", "check", "explain", "record", "diff", "watch",
    ];
    let hint = match error.unknown() {
        Some((word @ ("help" | "version"), _)) => format!("write `closewait --{word}`"),
        Some((word, _)) if COMMANDS.contains(&word) => {
            format!("put the command first: closewait {word} …")
        }
        Some((word, true)) if let Some(hint) = habits::of_unknown(word) => hint.to_owned(),
        // A state or a value alone has a hint of its own.
        Some((word, true)) if error.has_hint() && nearest(word, COMMANDS) != Some(word) => {
            return error;
        }
        // Neither a name nor a command.
        Some((word, true)) if word.contains(['=', '<', '>', '!', '~']) => return error,
        Some((word, true)) => match nearest(word, COMMANDS) {
            Some(command) => format!("did you mean `closewait {command}`?"),
            None => format!(
                "for a program, write `program = {word}`; the commands are {}",
                COMMANDS.join(", ")
            ),
        },
        _ => return error,
    };
    error.with_hint(hint)
}

/// The protocols selected by -t and -u.
pub(super) fn protocols(ask: &Ask) -> Protocols {
    match (ask.letters.tcp, ask.letters.udp) {
        (true, true) => Protocols::Both,
        (false, true) => Protocols::One(Protocol::Udp),
        (_, false) => Protocols::One(Protocol::Tcp),
    }
}

/// The condition on states, for each protocol.
fn of_states(ask: &Ask, command: &Wanted, words: &Words) -> Option<Filter> {
    let tcp = states(ask, command, words).map(|set| Filter::Term(Term::State(set)));
    let udp = || {
        let of_udp = Filter::Term(Term::Protocol(Protocol::Udp));
        let set = udp_states(ask, command, words);
        Filter::And(vec![of_udp, Filter::Term(Term::State(set))])
    };
    match protocols(ask) {
        Protocols::One(Protocol::Udp) => Some(udp()),
        Protocols::One(_) => tcp,
        Protocols::Both => {
            let of_tcp = Filter::Term(Term::Protocol(Protocol::Tcp));
            let tcp = Filter::And(std::iter::once(of_tcp).chain(tcp).collect());
            Some(Filter::Or(vec![tcp, udp()]))
        }
    }
}

/// The selected states of UDP. As in ss and netstat, a list shows sockets with a peer, and with -l
/// those without.
fn udp_states(ask: &Ask, command: &Wanted, words: &Words) -> StateSet {
    let named = named(ask);
    match command {
        _ if !named.is_empty() => named,
        _ if words.states().is_some() => StateSet::ALL,
        _ if ask.letters.all => StateSet::ALL,
        _ if ask.letters.listening => StateSet::of(State::Close),
        Wanted::List => StateSet::of(State::Established),
        Wanted::Triage | Wanted::Check | Wanted::Explain(_) => StateSet::ALL,
    }
}

/// The states given by --state.
fn named(ask: &Ask) -> StateSet {
    ask.selection
        .state
        .iter()
        .fold(StateSet::NONE, |all, set| all.union(*set))
}

/// The selected TCP states: those of --state, or else those of -a and -l. As in netstat, a list shows
/// all but LISTEN by default.
fn states(ask: &Ask, command: &Wanted, words: &Words) -> Option<StateSet> {
    let listen = StateSet::of(State::Listen);
    let named = named(ask);
    match command {
        _ if !named.is_empty() => Some(named),
        // As in ss, states in the filter override -a and -l.
        _ if words.states().is_some() => words.states(),
        _ if ask.letters.all => Some(StateSet::ALL),
        _ if ask.letters.listening => Some(listen),
        Wanted::List => Some(StateSet::ALL.minus(listen)),
        Wanted::Triage | Wanted::Check | Wanted::Explain(_) => Some(StateSet::ALL),
    }
}

/// The selection in words, if it is less than everything.
pub(super) fn selection(ask: &Ask, command: &Wanted, words: &Words) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(set) = states(ask, command, words)
        && set != StateSet::ALL
        && (!ask.selection.state.is_empty() || (ask.letters.listening && words.states().is_none()))
    {
        let names: Vec<&str> = set.iter().map(State::name).collect();
        parts.push(format!("state {}", names.join(" or ")));
    }
    let mut add = |name: &str, values: Vec<String>| {
        if !values.is_empty() {
            parts.push(format!("{name} {}", values.join(" or ")));
        }
    };
    add("port", ask.selection.port.clone());
    add(
        "pid",
        ask.selection.pid.iter().map(u32::to_string).collect(),
    );
    add("program", ask.selection.program.clone());
    add("peer", ask.selection.peer.clone());
    add("user", ask.selection.user.clone());
    add("unit", ask.selection.unit.clone());
    add("container", ask.selection.container.clone());
    add(
        "cause",
        ask.selection
            .cause
            .iter()
            .map(ToString::to_string)
            .collect(),
    );
    add(
        "age ≥",
        ask.selection
            .older_than
            .iter()
            .map(|age| format!("{}s", age.as_secs_f64()))
            .collect(),
    );
    match protocols(ask) {
        Protocols::One(Protocol::Udp) => parts.push("UDP".to_owned()),
        Protocols::One(_) => {}
        Protocols::Both => parts.push("TCP and UDP".to_owned()),
    }
    match families(ask) {
        Families::Both => {}
        Families::One(family) => parts.push(family.name().to_owned()),
    }
    if !words.text.trim().is_empty() {
        parts.push(words.text.clone());
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}
