//! Lets the command stand anywhere among options and conditions, and names the commands that have
//! an option which this one lacks.

use std::ffi::OsString;
use std::iter;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use super::habits::{self, Instead};
use crate::filter;
use crate::model::{StateSet, nearest};

/// Moves the command to the front, so that `closewait -A check` and
/// `closewait state close-wait check -w 1` work. `words` is the command line, program name first.
pub fn command_first(mut words: Vec<OsString>, program: &Command) -> Vec<OsString> {
    if let Some(before) = command_at(&words, program).and_then(|at| words.get_mut(1..=at)) {
        before.rotate_right(1);
    }
    words
}

/// The words that are neither options nor their values, up to `--`, and the position of each.
pub fn plain_words<'a>(
    words: &'a [OsString],
    program: &Command,
) -> impl Iterator<Item = (usize, &'a str)> {
    let mut numbered = words.iter().enumerate().skip(1);
    iter::from_fn(move || {
        loop {
            let (at, word) = numbered.next()?;
            let word = word.to_str().unwrap_or_default();
            if word == "--" {
                numbered.by_ref().for_each(drop);
            } else if word.len() < 2 || !word.starts_with('-') {
                return Some((at, word));
            } else if takes_next(word, program) {
                numbered.next();
            }
        }
    })
}

/// The position of the command.
pub fn command_at(words: &[OsString], program: &Command) -> Option<usize> {
    let mut is_filter = false;
    let mut wants_operand = false;
    for (at, word) in plain_words(words, program) {
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
    option_before(word, || arguments(program)).is_some()
}

/// The option whose value the word after this one is. `all` are the options there are.
pub fn option_before<'a, All>(word: &str, all: impl Fn() -> All) -> Option<&'a Arg>
where
    All: Iterator<Item = &'a Arg>,
{
    let takes = |arg: &&Arg| arg.get_action().takes_values();
    if let Some(long) = word.strip_prefix("--") {
        let is_alias = |arg: &Arg| arg.get_all_aliases().is_some_and(|all| all.contains(&long));
        let mut named = all().filter(|arg| arg.get_long() == Some(long) || is_alias(arg));
        let begins = |arg: &&Arg| arg.get_long().is_some_and(|name| name.starts_with(long));
        let meant = named.next().or_else(|| all().find(begins));
        return meant.filter(|_| !long.contains('=')).filter(takes);
    }
    let mut letters = word.strip_prefix('-')?.chars();
    while let Some(letter) = letters.next() {
        let meant = all().find(|arg| arg.get_short() == Some(letter));
        if let Some(option) = meant.filter(takes) {
            return letters.next().is_none().then_some(option);
        }
    }
    None
}

/// The arguments of all commands; those valid without a command come first.
fn arguments(program: &Command) -> impl Iterator<Item = &Arg> {
    iter::once(program)
        .chain(program.get_subcommands())
        .flat_map(Command::get_arguments)
}

/// Names the commands that have the option, if the error is about an option of other commands.
pub fn explained(error: clap::Error, words: &[OsString], program: &Command) -> clap::Error {
    if let Some(message) = of_invalid_value(&error, words) {
        return refusal(message);
    }
    let (ErrorKind::UnknownArgument, Some(ContextValue::String(flag))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    else {
        return error;
    };
    let is_word = !flag.starts_with('-');
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
    let words = || words.iter().skip(1).filter_map(|word| word.to_str());
    let first = words().next().unwrap_or_default();
    let (name, command) = match program.find_subcommand(first) {
        Some(command) => (format!("closewait {first}"), command.clone()),
        None => ("closewait".to_owned(), program),
    };
    if is_word {
        let message = format!("`{name}` does not take {flag:?}: see `{name} --help`");
        return refusal(message);
    }
    let longs = || command.get_arguments().filter_map(Arg::get_long);
    let likeness = || nearest(flag.strip_prefix("--")?, longs());
    let held = (!holders.is_empty()).then(|| format!("use it with {}", holders.join(", ")));
    let all: Vec<&str> = words().collect();
    if command.get_name() == "check"
        && let Some(message) = habits::of_plugin(flag, &all)
    {
        return refusal(message);
    }
    let habit = match habits::instead_of(flag, &all) {
        Some(Instead::Word(message)) => {
            return refusal(message);
        }
        Some(Instead::Option(hint)) => Some(hint),
        None => None,
    };
    if flag
        .chars()
        .nth(1)
        .is_some_and(|digit| digit.is_ascii_digit())
        && habit.is_none()
    {
        let word = words().find(|word| word.starts_with(flag)).unwrap_or(flag);
        return refusal(format!("no option takes {word}: values are not negative"));
    }
    let is_command = name.contains(' ');
    let hint = match (habit, held) {
        (Some(habit), Some(held)) if !is_command => format!("{habit}; or {held}"),
        (_, Some(held)) => held,
        (Some(habit), None) => habit,
        (None, None) => match likeness() {
            Some(long) => format!("did you mean --{long}?"),
            None => format!("`{name} --help` lists them"),
        },
    };
    let message = format!("`{name}` has no option {flag}: {hint}");
    refusal(message)
}

/// The message for a value that its option does not accept, if it is clear what was meant.
fn of_invalid_value(error: &clap::Error, words: &[OsString]) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let option = text(ContextKind::InvalidArg)?;
    let value = text(ContextKind::InvalidValue)?;
    let is_state = |text: &str| text.parse::<StateSet>().is_ok();
    if option.starts_with("--state ") {
        if let Some(state) = value
            .strip_prefix(['!', '^'])
            .filter(|state| is_state(state))
        {
            return Some(format!("--state takes no {value}: write `exclude {state}`"));
        }
        let at = words.iter().position(|word| word == value)?;
        let next = words.get(at + 1)?.to_str()?;
        let whole = format!("{value}-{next}").to_lowercase();
        return is_state(&whole).then(|| format!("--state is one word: write `--state {whole}`"));
    }
    let number = value.strip_suffix('%')?;
    let is_range = option.starts_with("--warning ") || option.starts_with("--critical ");
    is_range.then(|| format!("{option} counts sockets: write {number} without %"))
}

/// The error for a value that other tools take after one of our options, such as `-A tcp`.
///
/// # Errors
/// If there is such a value. It is neither a command nor the beginning of a filter.
pub fn no_value_of_other_tools(words: &[OsString], program: &Command) -> Result<(), clap::Error> {
    let is_command = |word: &str| program.find_subcommand(word).is_some();
    let first = plain_words(words, program).find(|(_, word)| !is_command(word));
    let word_at = |at: usize| words.get(at)?.to_str();
    let command = command_at(words, program)
        .and_then(word_at)
        .and_then(|name| program.find_subcommand(name));
    let of_value = first.and_then(|(at, word)| {
        let before = word_at(at.checked_sub(1)?)?;
        // `check -c 5`: elsewhere the same letter takes no value.
        let takes = |arg: &Arg| {
            arg.get_short() == before.chars().next_back() && arg.get_action().takes_values()
        };
        let is_value = command.is_some_and(|command| command.get_arguments().any(takes));
        let is_none = is_value || filter::begins_condition(word);
        let all: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
        habits::of_value(before, word, &all).filter(|_| !is_none)
    });
    let mut options = words
        .iter()
        .map_while(|word| word.to_str().filter(|word| *word != "--"));
    let hint = of_value
        .or_else(|| options.find_map(habits::of_tables))
        .or_else(|| one_dash(words, program));
    match hint {
        Some(hint) => Err(refusal(hint)),
        None => Ok(()),
    }
}

/// What to type in place of a long option with one dash. The letters after the dash may all be valid.
fn one_dash(words: &[OsString], program: &Command) -> Option<String> {
    let mut words = words.iter().skip(1).map(|word| word.to_str()).peekable();
    while let Some(Some(word)) = words.next().filter(|word| *word != Some("--")) {
        let next = words.peek().copied().flatten();
        let name = word.strip_prefix('-').unwrap_or_default();
        if !name.starts_with('-') && name.len() > 1 {
            let name = name.split('=').next();
            let option = arguments(program).find(|arg| arg.get_long() == name);
            let value =
                next.filter(|next| !next.starts_with('-') && !filter::begins_condition(next));
            let hint = habits::of_one_dash(word, option, value);
            if hint.is_some() {
                return hint;
            }
        }
        if takes_next(word, program) {
            words.next();
        }
    }
    None
}

/// A usage error of one line.
pub(super) fn refusal(message: String) -> clap::Error {
    clap::Error::raw(ErrorKind::UnknownArgument, message + "\n")
}
