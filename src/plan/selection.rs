//! Which sockets the flags and the words of a filter select.

use crate::args::{Options, Wanted};
use crate::collector::sock_diag::wire::Families;
use crate::filter::{self, End, Filter, Names, ParseError, Term};
use crate::model::{Family, Pid, Protocol, Protocols, State, StateSet};

pub(super) fn families(options: &Options) -> Families {
    match (options.ipv4, options.ipv6) {
        (true, false) => Families::One(Family::Inet),
        (false, true) => Families::One(Family::Inet6),
        _ => Families::Both,
    }
}

/// The condition that the flags make up: different flags must all hold, of the same flag one.
pub(super) fn filter(options: &Options, command: &Wanted, words: &Words) -> Filter {
    let mut parts: Vec<Filter> = of_states(options, command, words).into_iter().collect();
    let mut one_of = |terms: Vec<Term>| match terms.len() {
        0 => {}
        1 => parts.extend(terms.into_iter().map(Filter::Term)),
        _ => parts.push(Filter::Or(terms.into_iter().map(Filter::Term).collect())),
    };
    // The collector reads the other ends of what is selected too, whatever their family.
    one_of(match families(options) {
        Families::Both => Vec::new(),
        Families::One(family) => vec![Term::Family(family)],
    });
    one_of(
        options
            .port
            .iter()
            .map(|port| Term::Port(End::Either, *port..=*port))
            .collect(),
    );
    one_of(options.pid.iter().map(|pid| Term::Pid(Pid(*pid))).collect());
    one_of(
        options
            .program
            .iter()
            .map(|name| Term::Program(name.clone().into_bytes()))
            .collect(),
    );
    one_of(
        options
            .peer
            .iter()
            .map(|peer| Term::Host(End::Remote, *peer))
            .collect(),
    );
    one_of(
        options
            .cause
            .iter()
            .map(|cause| Term::Cause(*cause))
            .collect(),
    );
    one_of(
        options
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

/// The filter that was typed as words.
pub(super) struct Words {
    pub(super) filter: Filter,
    text: String,
}

impl Words {
    pub(super) fn read(words: &[String], names: &dyn Names) -> Result<Words, ParseError> {
        let text = words.join(" ");
        let filter = filter::parse(&text, names)?;
        Ok(Words { filter, text })
    }

    /// The states outside of which nothing is selected, where the words say anything of states.
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

/// A word that begins no condition may have been meant for a command.
pub(super) fn meant_for_a_command(error: ParseError, is_bare: bool) -> ParseError {
    const COMMANDS: [&str; 6] = ["triage", "list", "check", "explain", "record", "diff"];
    let hint = match error.unknown() {
        Some((word, false)) if COMMANDS.contains(&word) => {
            format!("the command stands first: closewait {word} …")
        }
        Some((word, true)) if is_bare => match filter::nearest(word, COMMANDS) {
            Some(command) => format!("did you mean the command `{command}`?"),
            None if error.has_hint() => return error,
            None => format!(
                "the commands are {}; a filter begins as `state close-wait`",
                COMMANDS.join(", ")
            ),
        },
        _ => return error,
    };
    error.with_hint(hint)
}

/// The protocols that the letters ask for.
pub(super) fn protocols(options: &Options) -> Protocols {
    match (options.tcp, options.udp) {
        (true, true) => Protocols::Both,
        (false, true) => Protocols::One(Protocol::Udp),
        (_, false) => Protocols::One(Protocol::Tcp),
    }
}

/// The states that are selected of each protocol.
fn of_states(options: &Options, command: &Wanted, words: &Words) -> Option<Filter> {
    let tcp = states(options, command, words).map(|set| Filter::Term(Term::State(set)));
    let udp = || {
        let of_udp = Filter::Term(Term::Protocol(Protocol::Udp));
        let set = udp_states(options, command, words);
        Filter::And(vec![of_udp, Filter::Term(Term::State(set))])
    };
    match protocols(options) {
        Protocols::One(Protocol::Udp) => Some(udp()),
        Protocols::One(_) => tcp,
        Protocols::Both => {
            let of_tcp = Filter::Term(Term::Protocol(Protocol::Tcp));
            let tcp = Filter::And(std::iter::once(of_tcp).chain(tcp).collect());
            Some(Filter::Or(vec![tcp, udp()]))
        }
    }
}

/// The states of UDP that are selected: a list shows sockets with a peer, and with -l those
/// without, as in ss and netstat.
fn udp_states(options: &Options, command: &Wanted, words: &Words) -> StateSet {
    let named = named(options);
    match command {
        _ if !named.is_empty() => named,
        _ if words.states().is_some() => StateSet::ALL,
        _ if options.all => StateSet::ALL,
        _ if options.listening => StateSet::of(State::Close),
        Wanted::List => StateSet::of(State::Established),
        Wanted::Triage | Wanted::Check | Wanted::Explain => StateSet::ALL,
    }
}

/// The states that --state names.
fn named(options: &Options) -> StateSet {
    options
        .state
        .iter()
        .fold(StateSet::NONE, |all, set| all.union(*set))
}

/// The states that are selected: those that are named, else those that the letters mean. A list
/// shows all but LISTEN, as netstat's does.
fn states(options: &Options, command: &Wanted, words: &Words) -> Option<StateSet> {
    let listen = StateSet::of(State::Listen);
    let named = named(options);
    match command {
        _ if !named.is_empty() => Some(named),
        // As in ss, states in words outweigh -a and -l.
        _ if words.states().is_some() => words.states(),
        _ if options.all => Some(StateSet::ALL),
        _ if options.listening => Some(listen),
        Wanted::List => Some(StateSet::ALL.minus(listen)),
        Wanted::Triage | Wanted::Check | Wanted::Explain => Some(StateSet::ALL),
    }
}

/// What was selected, in words, where it is less than everything.
pub(super) fn selection(options: &Options, command: &Wanted, words: &Words) -> Option<String> {
    let mut said = Vec::new();
    if let Some(set) = states(options, command, words)
        && set != StateSet::ALL
        && (!options.state.is_empty() || (options.listening && words.states().is_none()))
    {
        let names: Vec<&str> = set.iter().map(State::name).collect();
        said.push(format!("state {}", names.join(" or ")));
    }
    let mut add = |name: &str, values: Vec<String>| {
        if !values.is_empty() {
            said.push(format!("{name} {}", values.join(" or ")));
        }
    };
    add("port", options.port.iter().map(u16::to_string).collect());
    add("pid", options.pid.iter().map(u32::to_string).collect());
    add("program", options.program.clone());
    add(
        "peer",
        options.peer.iter().map(ToString::to_string).collect(),
    );
    add(
        "cause",
        options.cause.iter().map(ToString::to_string).collect(),
    );
    add(
        "idle ≥",
        options
            .older_than
            .iter()
            .map(|age| format!("{}s", age.as_secs_f64()))
            .collect(),
    );
    match protocols(options) {
        Protocols::One(Protocol::Udp) => said.push("UDP".to_owned()),
        Protocols::One(_) => {}
        Protocols::Both => said.push("TCP and UDP".to_owned()),
    }
    match families(options) {
        Families::Both => {}
        Families::One(family) => said.push(family.name().to_owned()),
    }
    if !words.text.trim().is_empty() {
        said.push(words.text.clone());
    }
    (!said.is_empty()).then(|| said.join(", "))
}
