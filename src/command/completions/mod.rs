//! `closewait completions`: prints a script for a shell. The scripts for bash, zsh and fish ask the program
//! what can follow each time, as `closewait completions SHELL -- LINE`.

mod line;
mod values;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::Args;
use clap_complete::Shell;

use self::line::Offer;
use crate::manual;

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The shell
    pub shell: Shell,
    /// The command line up to the cursor; prints what can follow
    #[arg(last = true, hide = true)]
    pub line: Option<OsString>,
}

/// Prints the script, or what can follow the line.
///
/// # Errors
/// If `out` cannot be written.
pub(super) fn run(options: &Options, out: &mut impl Write) -> io::Result<()> {
    let script = match (&options.line, options.shell) {
        (Some(line), shell) => return offers(&line.to_string_lossy(), shell, out),
        (None, Shell::Bash) => include_str!("closewait.bash"),
        (None, Shell::Zsh) => include_str!("closewait.zsh"),
        (None, Shell::Fish) => include_str!("closewait.fish"),
        (None, shell) => return manual::completions(shell, out),
    };
    out.write_all(script.as_bytes())
}

/// One offer a line: for bash the text; for zsh and fish with its description. `:files` asks the shell
/// for names of files.
fn offers(line: &str, shell: Shell, out: &mut impl Write) -> io::Result<()> {
    match line::offers(line) {
        Offer::Files => writeln!(out, ":files"),
        Offer::Words(words) => words.iter().try_for_each(|(text, about)| match shell {
            Shell::Zsh => writeln!(out, "{}:{about}", text.replace(':', "\\:")),
            Shell::Fish => writeln!(out, "{text}\t{about}"),
            _ => writeln!(out, "{text}"),
        }),
    }
}
