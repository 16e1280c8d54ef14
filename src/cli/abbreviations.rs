//! Options may be abbreviated, but the exact name of another command's option is no abbreviation.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{Arg, Command};

use super::words::explained;

/// The error for an option of another command that clap would read as an abbreviation, such as
/// `record --for`, which is not `--force`. `words` is the command line, the command second.
///
/// # Errors
/// If there is such an option.
pub fn none_of_others(words: &[OsString], program: &Command) -> Result<(), Error> {
    let command = (words.get(1).and_then(|word| word.to_str()))
        .and_then(|name| program.find_subcommand(name));
    let Some(command) = command else {
        return Ok(());
    };
    let has = |command: &Command, long: &str| {
        let is_it = |arg: &Arg| {
            let aliases = arg.get_all_aliases().unwrap_or_default();
            arg.get_long() == Some(long) || aliases.contains(&long)
        };
        command.get_arguments().any(is_it)
    };
    let longs = (words.iter())
        .map_while(|word| word.to_str().filter(|word| *word != "--"))
        .filter_map(|word| word.strip_prefix("--")?.split('=').next());
    let others = || program.get_subcommands();
    let mut of_others =
        longs.filter(|long| !has(command, long) && others().any(|other| has(other, long)));
    match of_others.next() {
        Some(long) => {
            let mut error = Error::new(ErrorKind::UnknownArgument);
            let flag = ContextValue::String(format!("--{long}"));
            error.insert(ContextKind::InvalidArg, flag);
            Err(explained(error, words, program))
        }
        None => Ok(()),
    }
}
