//! Lets the command stand anywhere among options and conditions, and names the commands that have
//! an option which this one lacks.

use std::ffi::OsString;
use std::iter;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use crate::filter;

/// Moves the command to the front, so that `closewait -A check` and
/// `closewait state close-wait check -w 1` work. `words` is the command line, program name first.
pub fn command_first(mut words: Vec<OsString>, program: &Command) -> Vec<OsString> {
    if let Some(before) = command_at(&words, program).and_then(|at| words.get_mut(1..=at)) {
        before.rotate_right(1);
    }
    words
}

/// The position of the command.
fn command_at(words: &[OsString], program: &Command) -> Option<usize> {
    let mut is_filter = false;
    let mut wants_operand = false;
    let mut numbered = words.iter().enumerate().skip(1);
    while let Some((at, word)) = numbered.next() {
        let word = word.to_str().unwrap_or_default();
        if word == "--" {
            return None;
        }
        if word.len() > 1 && word.starts_with('-') {
            if takes_next(word, program) {
                numbered.next();
            }
            continue;
        }
        // An operand of a condition may be any word, even `list`.
        if let Some(command) = program.find_subcommand(word)
            && !wants_operand
            && (!is_filter || takes_filter(command))
        {
            return Some(at);
        }
        is_filter = true;
        wants_operand = filter::wants_operand(word);
    }
    None
}

fn takes_filter(command: &Command) -> bool {
    command.get_arguments().any(|arg| arg.get_id() == "filter")
}

/// Whether the next word is the value of this one. If commands disagree about an option, the meaning
/// without a command decides.
fn takes_next(word: &str, program: &Command) -> bool {
    let takes = |arg: &Arg| arg.get_action().takes_values();
    if let Some(long) = word.strip_prefix("--") {
        let named = |is_meant: &dyn Fn(&str) -> bool| {
            arguments(program).find(|arg| arg.get_long().is_some_and(is_meant))
        };
        let meant = named(&|name| name == long).or_else(|| named(&|name| name.starts_with(long)));
        return !long.contains('=') && meant.is_some_and(takes);
    }
    let mut letters = word.chars().skip(1);
    while let Some(letter) = letters.next() {
        if arguments(program)
            .find(|arg| arg.get_short() == Some(letter))
            .is_some_and(takes)
        {
            return letters.next().is_none();
        }
    }
    false
}

/// The arguments of all commands; those valid without a command come first.
fn arguments(program: &Command) -> impl Iterator<Item = &Arg> {
    iter::once(program)
        .chain(program.get_subcommands())
        .flat_map(Command::get_arguments)
}

/// Names the commands that have the option, if the error is about an option of other commands.
pub fn explained(error: clap::Error, words: &[OsString], program: &Command) -> clap::Error {
    let (ErrorKind::UnknownArgument, Some(ContextValue::String(flag))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    else {
        return error;
    };
    let is_flag = |arg: &Arg| {
        arg.get_long()
            .is_some_and(|long| flag.strip_prefix("--") == Some(long))
            || arg
                .get_short()
                .is_some_and(|short| *flag == format!("-{short}"))
    };
    let holders: Vec<String> = program
        .get_subcommands()
        .filter(|command| command.get_arguments().any(is_flag))
        .map(|command| format!("`closewait {}`", command.get_name()))
        .collect();
    let mut program = program.clone();
    program.build();
    let command = words
        .get(1)
        .and_then(|word| program.find_subcommand_mut(word.to_str()?));
    match (command, holders.as_slice()) {
        (Some(command), [_, ..]) => {
            let name = command.get_name().to_owned();
            let holders = holders.join(", ");
            command.error(
                ErrorKind::UnknownArgument,
                format!("`closewait {name}` has no option {flag}: use it with {holders}"),
            )
        }
        _ => error,
    }
}
