//! The values that an option or a condition can have.

use clap::{Arg, Command};

use crate::classifier::rules::Thresholds;
use crate::classifier::tally::Dimension;
use crate::collector::namespaces;
use crate::explain::{self, Topic};
use crate::model::{Cause, State};
use crate::renderer::columns::Column;
use crate::renderer::order;

/// What can stand in one place.
pub(super) enum Values {
    /// Words, each with a description.
    Words(Vec<(String, String)>),
    Files,
}

type Named = (String, String);

/// The values of an option or of the first argument of a command. `prefix` stands before the value in
/// the same word, as `--state=` does.
pub(super) fn of(arg: &Arg, command: &Command, prefix: &str, typed: &str) -> Values {
    let id = arg.get_id().as_str();
    let names = match id {
        "state" => states(typed),
        "topic" => topics(typed),
        "cause" => causes(Cause::ALL.into_iter()),
        "by" if command.get_name() == "check" => plain(["total", "owner", "port", "listener"]),
        "by" => plain(Dimension::ALL.map(Dimension::name)),
        "columns" => columns()
            .chain([("help".to_owned(), "list all of them".to_owned())])
            .collect(),
        "sort" if command.get_name() == "list" => columns().collect(),
        "sort" => {
            let groups = order::GROUPS_BY.map(|column| named(column.name(), column.about()));
            [named("sockets", "number of sockets")]
                .into_iter()
                .chain(groups)
                .collect()
        }
        "netns" => plain(namespaces::names()),
        "findings" => plain(["all"]),
        "threshold" => plain(Thresholds::names().map(|name| format!("{name}="))),
        "from" | "against" | "output" | "proc" | "file" | "words" => return Values::Files,
        _ => possible(arg),
    };
    // Of a list, the names before the last comma stay.
    let is_list = id == "columns" || arg.get_value_delimiter() == Some(',');
    let given = match typed.rfind(',').filter(|_| is_list) {
        Some(comma) => typed.get(..=comma).unwrap_or_default(),
        // + adds columns, - reverses the order.
        None if id == "columns" && typed.starts_with('+') => "+",
        None if id == "sort" && typed.starts_with('-') => "-",
        None => "",
    };
    // States have several spellings.
    let plain = |name: &str| name.to_ascii_lowercase().replace('_', "-");
    let is_given = |name: &str| {
        given
            .trim_start_matches('+')
            .split(',')
            .any(|one| plain(one) == plain(name))
    };
    let names = names.into_iter().filter(|(name, _)| !is_given(name));
    Values::Words(
        names
            .map(|(name, about)| (format!("{prefix}{given}{name}"), about))
            .collect(),
    )
}

/// The values that a key of the filter language is compared to.
pub(super) fn of_key(key: &str, typed: &str) -> Values {
    Values::Words(match key {
        "state" | "exclude" => states(typed),
        "cause" => causes(Cause::ALL.into_iter()),
        "side" => plain(["server", "client"]),
        "netns" => plain(namespaces::names()),
        _ => Vec::new(),
    })
}

/// What `closewait explain` explains: states and causes.
pub(super) fn topics(typed: &str) -> Vec<Named> {
    let causes = causes(Topic::causes());
    single_states(typed).chain(causes).collect()
}

/// States, then the groups of ss.
fn states(typed: &str) -> Vec<Named> {
    let groups = [
        named("connected", "all but LISTEN and CLOSE"),
        named("synchronized", "connected, without SYN_SENT"),
        named("bucket", "TIME_WAIT and SYN_RECV"),
        named("big", "all but bucket"),
        named("all", "every state"),
    ];
    single_states(typed).chain(groups).collect()
}

/// States as ss spells them, or in capitals if that is how a word begins.
fn single_states(typed: &str) -> impl Iterator<Item = Named> {
    let last = typed.rsplit(',').next().unwrap_or_default();
    let is_upper = last.starts_with(|c: char| c.is_ascii_uppercase());
    let spelled = move |state: State| match is_upper {
        true => state.name().to_owned(),
        false => state.name().to_ascii_lowercase().replace('_', "-"),
    };
    let of = move |state| {
        (
            spelled(state),
            explain::summary(Topic::State(state)).to_owned(),
        )
    };
    State::ALL.into_iter().map(of)
}

fn causes(all: impl Iterator<Item = Cause>) -> Vec<Named> {
    let of = |cause: Cause| named(cause.name(), explain::summary(Topic::Cause(cause)));
    all.map(of).collect()
}

fn columns() -> impl Iterator<Item = Named> {
    Column::all().map(|column| named(column.name(), column.about()))
}

/// The values that the definition of the option lists.
fn possible(arg: &Arg) -> Vec<Named> {
    let all = arg.get_possible_values();
    let about = |one: &clap::builder::PossibleValue| one.get_help().map(ToString::to_string);
    let of = |one: clap::builder::PossibleValue| {
        (one.get_name().to_owned(), about(&one).unwrap_or_default())
    };
    all.into_iter()
        .filter(|one| !one.is_hide_set())
        .map(of)
        .collect()
}

fn plain<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Vec<Named> {
    names
        .into_iter()
        .map(|name| (name.into(), String::new()))
        .collect()
}

fn named(name: &str, about: &str) -> Named {
    (name.to_owned(), about.to_owned())
}
