//! What can follow the beginning of a command line.

use std::ffi::OsString;
use std::path::Path;

use clap::{Arg, Command};

use super::values::{self, Values};
use crate::cli::words;
use crate::command::program;
use crate::filter;

/// What can stand at the end of a line: words, each with a description, or names of files.
pub(super) enum Offer {
    Words(Vec<(String, String)>),
    Files,
}

/// What can replace the last word of a line, which may be empty.
pub(super) fn offers(line: &str) -> Offer {
    let mut words: Vec<&str> = line.split_ascii_whitespace().collect();
    if line.ends_with(|c: char| c.is_ascii_whitespace()) {
        words.push("");
    }
    // `sudo closewait`, and what comes before.
    let is_this = |word: &&str| {
        Path::new(word)
            .file_name()
            .is_some_and(|name| name == "closewait")
    };
    let start = words.iter().position(is_this).unwrap_or_default();
    words.drain(..start);
    let Some((typed, before)) = words.split_last().filter(|(_, before)| !before.is_empty()) else {
        return Offer::Words(Vec::new());
    };
    let mut all = Vec::new();
    let found = match found(typed, before) {
        Values::Files => return Offer::Files,
        Values::Words(words) => words,
    };
    for (word, about) in found {
        // What is offered twice, as an option that several groups have, is shown once.
        if word.starts_with(typed) && !all.iter().any(|(other, _)| *other == word) {
            all.push((word, about));
        }
    }
    Offer::Words(all)
}

/// Everything that can stand in place of `typed`, whatever its beginning.
fn found(typed: &str, before: &[&str]) -> Values {
    let mut program = program();
    program.build();
    let line: Vec<OsString> = before.iter().map(OsString::from).collect();
    let at = words::command_at(&line, &program);
    let command = at
        .and_then(|at| program.find_subcommand(before.get(at)?))
        .unwrap_or(&program);
    let last = before.last().copied().unwrap_or_default();
    if before.len() > 1
        && let Some(option) = words::option_before(last, || command.get_arguments())
    {
        return values::of(option, command, "", typed);
    }
    if let Some((name, value)) = typed.split_once('=').filter(|_| typed.starts_with("--")) {
        let is_it = |arg: &&Arg| arg.get_long() == name.strip_prefix("--");
        return match command.get_arguments().find(is_it) {
            Some(option) => values::of(option, command, &format!("{name}="), value),
            None => Values::Words(Vec::new()),
        };
    }
    if typed.starts_with('-') {
        return Values::Words(options(command));
    }
    let plain: Vec<&str> = words::plain_words(&line, &program)
        .filter(|(position, _)| Some(*position) != at)
        .map(|(_, word)| word)
        .collect();
    positional(typed, command, &plain, at.is_none())
}

/// What can stand where no option does. `plain` are the words before, without options and the command.
fn positional(typed: &str, command: &Command, plain: &[&str], is_bare: bool) -> Values {
    let mut words = Vec::new();
    if is_bare && plain == ["help"] {
        let pages = ["columns", "filters", "options", "states"];
        words.extend(commands(command));
        words.extend(pages.map(|page| (page.to_owned(), String::new())));
        words.extend(values::topics(typed));
        return Values::Words(words);
    }
    let is_number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    if command.get_name() == "watch" && plain.iter().all(is_number) {
        words.extend(
            [
                ("triage", "the screen of closewait alone"),
                ("list", "one line per socket"),
            ]
            .map(|(page, about)| (page.to_owned(), about.to_owned())),
        );
    }
    if is_bare && plain.is_empty() {
        words.extend(commands(command));
        if typed.is_empty() {
            return Values::Words(words);
        }
    }
    let Some(first) = command.get_positionals().find(|arg| !arg.is_hide_set()) else {
        return Values::Words(words);
    };
    if first.get_id() != "filter" {
        return match plain.is_empty() || first.get_num_args().is_some_and(|n| n.max_values() > 1) {
            true => values::of(first, command, "", typed),
            false => Values::Words(words),
        };
    }
    let is_operator = |word: &str| filter::wants_operand(word) && !filter::begins_condition(word);
    let (last, key) = match plain {
        [.., key, last] if is_operator(last) => (*last, *key),
        [.., last] => (*last, *last),
        [] => ("", ""),
    };
    if filter::wants_operand(last) {
        return values::of_key(key, typed);
    }
    let keys = filter::words().map(|word| (word.to_owned(), String::new()));
    words.extend(keys);
    Values::Words(words)
}

/// The commands of the program.
fn commands(program: &Command) -> impl Iterator<Item = (String, String)> {
    let names = program.get_subcommands().filter(|one| !one.is_hide_set());
    names.map(|one| (one.get_name().to_owned(), about(one.get_about())))
}

/// The options of a command, long ones first.
fn options(command: &Command) -> Vec<(String, String)> {
    let all = || command.get_arguments().filter(|arg| !arg.is_hide_set());
    let long = |arg: &Arg| Some((format!("--{}", arg.get_long()?), about(arg.get_help())));
    let short = |arg: &Arg| Some((format!("-{}", arg.get_short()?), about(arg.get_help())));
    all()
        .filter_map(long)
        .chain(all().filter_map(short))
        .collect()
}

fn about(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default()
}
