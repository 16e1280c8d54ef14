//! The commands. Each has a file with its options, their meaning and its run; options shared by
//! several commands are groups in `src/cli/`. This file finds the command on the command line.

pub mod check;
pub mod completions;
pub mod diff;
pub mod explain;
pub mod inspection;
pub mod list;
pub mod record;
pub mod triage;
mod usage;
pub mod watch;

use std::ffi::OsString;
use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, CommandFactory, Parser, Subcommand};

use self::inspection::{Inspection, Wanted};
pub use self::usage::UsageError;
use crate::classifier::verdict::Status;
use crate::cli::letters::{Details, Letters};
use crate::cli::reading::Host;
use crate::cli::selection::Selection;
use crate::cli::{abbreviations, help, words};
use crate::env::Terminal;
use crate::exit::Outcome;
use crate::model::Charset;
use crate::renderer::guard::{Form, Guard};
use crate::{manual, renderer};

/// Exit status of every command but `check`; also a section of the manual page.
pub const EXIT_STATUS: &str = "\
Exit status:
  0  success, whether or not there are findings
  1  nothing could be read; with --strict, not everything could be read
  2  usage error
With -q: 0 a socket matches, 1 none does, 2 error or undecided";

/// Show TCP socket states and explain connections stuck in CLOSE_WAIT.
#[derive(Debug, Parser)]
#[command(
    name = "closewait",
    version,
    propagate_version = true,
    about,
    long_about = "Show TCP socket states and explain connections stuck in CLOSE_WAIT: how many \
                  there are, which process holds them, for how long, why, and what to do next.\n\n\
                  Without a command, closewait prints states, groups and findings on one screen \
                  (triage). With netstat options it prints a list, so `closewait -atunlp` works. \
                  Run it as root to see the owners of all sockets.",
    after_help = EXIT_STATUS,
    disable_help_subcommand = true,
    args_override_self = true,
    infer_long_args = true
)]
struct Program {
    #[command(flatten)]
    bare: Bare,
    #[command(subcommand)]
    command: Option<Command>,
}

/// The options that are valid without a command: all those of triage and list.
#[derive(Debug, Args)]
struct Bare {
    #[command(flatten)]
    triage: triage::Options,
    #[command(flatten)]
    details: Details,
}

impl Bare {
    /// The command that is meant: options that only a list has, and the letters of netstat, mean
    /// `list`.
    fn meant(&self) -> &'static str {
        let common = &self.triage.common;
        let is_list = is_of_list(&common.letters, &common.selection, &self.details);
        if is_list && self.triage.counted.by.is_empty() {
            "list"
        } else {
            "triage"
        }
    }
}

/// Whether options were given that only a list has, or letters of netstat.
fn is_of_list(letters: &Letters, selection: &Selection, details: &Details) -> bool {
    letters.any()
        || selection.ipv4
        || selection.ipv6
        || details.any_letter()
        || details.columns.is_some()
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show states, groups and findings on one screen (default)
    Triage(Box<triage::Options>),
    /// List sockets, one per line, like ss and netstat
    List(Box<list::Options>),
    /// Monitoring check: one line, performance data, status 0 to 3
    Check(Box<check::Options>),
    /// Explain a state or a cause; alone, draw the state diagram
    Explain(Box<explain::Options>),
    /// Save everything a run sees, to be read later with --from
    Record(Box<record::Options>),
    /// Compare two readings of a host: sockets still there, new, gone
    Diff(Box<diff::Options>),
    /// Repeat a page and show what changes, in place on a terminal
    Watch(Box<watch::Options>),
    /// Print completions for bash, zsh, fish and other shells
    Completions(completions::Options),
    /// Print the manual page; to read it: closewait man | man -l -
    Man,
}

/// What a run does.
#[derive(Debug)]
pub enum Plan {
    /// Explain a topic.
    Explain(explain::Explained),
    /// Print the names of all columns.
    Columns,
    /// Print completions for a shell.
    Completions(completions::Options),
    /// Print the manual page.
    Man,
    Inspect(Box<Inspection>),
    Check(Box<check::Check>),
    Record(Box<record::Record>),
    Diff(Box<diff::Diff>),
    Watch(Box<watch::Watch>),
}

/// The definition of every command and option, for help, completions and the manual page.
pub fn program() -> clap::Command {
    Program::command()
}

impl Command {
    /// Reads a command line, the program's name first.
    ///
    /// # Errors
    /// If the command line is invalid, or asks for help or the version; the error is what to print.
    pub fn read<W: Into<OsString>>(
        words: impl IntoIterator<Item = W>,
    ) -> Result<Command, clap::Error> {
        let program = program();
        let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
        let words = help::spelled_out(words, &program)?;
        words::no_value_of_other_tools(&words, &program)?;
        let mut words = words::command_first(words, &program);
        abbreviations::none_of_others(&words, &program)?;
        let parse = |words: &[OsString]| {
            Program::try_parse_from(words).map_err(|error| words::explained(error, words, &program))
        };
        let Program { bare, command } = parse(&words)?;
        if let Some(command) = command {
            return Ok(command);
        }
        words.insert(words.len().min(1), bare.meant().into());
        // A command was just inserted, so there is one.
        parse(&words)?
            .command
            .ok_or_else(|| clap::Error::new(clap::error::ErrorKind::MissingSubcommand))
    }

    /// The outcome of a usage error: for monitoring it is UNKNOWN.
    pub fn mistake(&self) -> Outcome {
        match self {
            Command::Check(_) => Outcome::Checked(Status::Unknown),
            _ => Outcome::Usage,
        }
    }

    /// The outcome of a usage error in a command line that could not be parsed.
    pub fn mistake_of(words: impl IntoIterator<Item = OsString>) -> Outcome {
        let program = program();
        let words = words::command_first(words.into_iter().collect(), &program);
        let first = words.get(1).and_then(|word| word.to_str());
        let is_check = match first.and_then(|word| program.find_subcommand(word)) {
            Some(command) => command.get_name() == "check",
            // No command was found: the word `check` was probably meant as one.
            None => words.iter().any(|word| word == "check"),
        };
        if is_check {
            Outcome::Checked(Status::Unknown)
        } else {
            Outcome::Usage
        }
    }

    /// The time within which a check must answer; `None` for other commands.
    pub fn timeout(&self) -> Option<Duration> {
        match self {
            Command::Check(check) => Some(check.timeout()),
            _ => None,
        }
    }

    /// Whether --proc names a procfs.
    pub fn names_proc(&self) -> bool {
        let host: &Host = match self {
            Command::Triage(options) => &options.common.host,
            Command::List(options) => &options.common.host,
            Command::Check(options) => &options.host,
            Command::Explain(options) => &options.host,
            Command::Record(options) => &options.host,
            Command::Diff(options) => &options.host,
            Command::Watch(options) => &options.host,
            Command::Completions(_) | Command::Man => return false,
        };
        host.proc.is_some()
    }

    /// The outcome if the recording cannot be read.
    pub fn failure(&self) -> Outcome {
        let is_quiet = match self {
            Command::Check(_) => return Outcome::Checked(Status::Unknown),
            Command::Triage(options) => options.common.quiet.quiet,
            Command::List(options) => options.common.quiet.quiet,
            _ => false,
        };
        if is_quiet {
            Outcome::Undecided
        } else {
            Outcome::Unread
        }
    }
}

impl Plan {
    /// Turns a command line into a plan. Opens the recordings it names and looks up names in filters.
    ///
    /// # Errors
    /// If arguments cannot be combined, or a file they name cannot be read.
    pub fn new(command: Command, terminal: Terminal) -> Result<Plan, UsageError> {
        Ok(match command {
            Command::List(options) if options.asks_for_columns() => Plan::Columns,
            Command::Triage(options) if options.common.repeat.continuous => {
                let ask = options.ask();
                Plan::Watch(Box::new(watch::Watch::every_second(
                    ask,
                    Wanted::Triage,
                    terminal,
                )?))
            }
            Command::List(options) if options.common.repeat.continuous => {
                let ask = options.ask();
                Plan::Watch(Box::new(watch::Watch::every_second(
                    ask,
                    Wanted::List,
                    terminal,
                )?))
            }
            Command::Triage(options) => Plan::Inspect(Box::new(options.plan(terminal)?)),
            Command::List(options) => Plan::Inspect(Box::new(options.plan(terminal)?)),
            Command::Explain(options) => match options.topic {
                Some(topic) => Plan::Explain(options.explained(topic, terminal)),
                None => Plan::Inspect(Box::new(options.plan(terminal)?)),
            },
            Command::Check(options) => Plan::Check(Box::new(options.plan(terminal)?)),
            Command::Record(options) => Plan::Record(Box::new(options.plan(terminal)?)),
            Command::Diff(options) => Plan::Diff(Box::new(options.plan(terminal)?)),
            Command::Watch(options) => Plan::Watch(Box::new(options.plan(terminal)?)),
            Command::Completions(options) => Plan::Completions(options),
            Command::Man => Plan::Man,
        })
    }

    /// Whether truncated output must be an error.
    pub fn must_be_whole(&self) -> bool {
        matches!(self, Plan::Record(_))
    }

    /// Subtracts time already spent.
    pub fn later(mut self, spent: Duration) -> Plan {
        if let Plan::Check(check) = &mut self {
            check.spent = spent;
        }
        self
    }

    /// The outcome if carrying out the plan fails.
    pub fn failure(&self) -> Outcome {
        match self {
            Plan::Check(_) => Outcome::Checked(Status::Unknown),
            Plan::Inspect(inspection) if inspection.quiet => Outcome::Undecided,
            _ => Outcome::Unread,
        }
    }
}

/// Carries out a plan. Diagnostics go to `err`, in this charset.
///
/// # Errors
/// If nothing could be read, or `out` could not be written.
pub fn run(
    plan: &Plan,
    charset: Charset,
    out: &mut impl Write,
    err: &mut impl Write,
) -> anyhow::Result<Outcome> {
    let form = Form::Text {
        colour: false,
        charset,
    };
    let err = &mut Guard::new(err, form);
    let text = match plan {
        Plan::Inspect(inspection) => return inspection::run(inspection, out, err),
        Plan::Check(check) => return Ok(check::run(check, out, err)),
        Plan::Record(record) => return record::run(record, out, err),
        Plan::Diff(diff) => return diff::run(diff, out, err),
        Plan::Watch(watch) => return watch::run(watch, out),
        Plan::Explain(explained) => return explain::run(explained, out, err),
        Plan::Columns => renderer::columns::help::help(&mut Guard::new(&mut *out, form)),
        Plan::Completions(options) => completions::run(options, out),
        Plan::Man => manual::page(out),
    };
    text.and_then(|()| out.flush())
        .context("could not write the output")?;
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::common::Common;
    use crate::explain::Language;

    fn read(line: &str) -> Result<Command, clap::Error> {
        Command::read(line.split(' '))
    }

    /// The options of triage or list, and whether the command is list.
    fn said(line: &str) -> (bool, Common) {
        match read(line) {
            Ok(Command::List(options)) => (true, options.common),
            Ok(Command::Triage(options)) => (false, options.common),
            other => panic!("{line}: {other:?}"),
        }
    }

    fn refusal(line: &str) -> String {
        read(line).map(|_| line).expect_err(line).to_string()
    }

    #[test]
    fn the_definitions_are_consistent() {
        program().debug_assert();
    }

    #[test]
    fn netstat_letters_bundle_before_and_after_the_command() {
        for line in [
            "closewait -atunlp",
            "closewait list -atp",
            "closewait -atp list",
            "closewait -a list -tp",
        ] {
            let (is_list, common) = said(line);
            let letters = common.letters;
            assert!(
                is_list && letters.all && letters.tcp && letters.programs,
                "{line}"
            );
        }
        assert!(!said("closewait -t --by port").0);
        assert!(said("closewait --columns age").0);
    }

    #[test]
    fn the_command_may_stand_anywhere() {
        let line = "closewait --state listen --limit 1 list --state close-wait --limit 2 -a -a";
        let (is_list, common) = said(line);
        assert!(is_list);
        assert_eq!(common.selection.state.len(), 2);
        assert_eq!(common.printed.limit, Some(2));
        for line in [
            "closewait state close-wait check -w 1",
            "closewait -w 1 state close-wait check",
            "closewait -A check -w 1",
            "closewait -t 5 check",
            "closewait --from x --port 80 check",
            "closewait --pee 10.0.0.1 check",
        ] {
            assert!(matches!(read(line), Ok(Command::Check(_))), "{line}");
        }
        for line in [
            "closewait program = check",
            "closewait --program check",
            "closewait -N check",
            "closewait -- check",
        ] {
            assert!(matches!(read(line), Ok(Command::Triage(_))), "{line}");
        }
        let line = "closewait list program check";
        assert_eq!(said(line).1.words.filter, ["program", "check"]);
    }

    #[test]
    fn the_words_of_a_filter_may_stand_between_flags() {
        for line in [
            "closewait list -a sport = :80 --json ( dst 10.0.0.1 )",
            "closewait -a sport = :80 ( dst 10.0.0.1 ) --json",
            "closewait triage --json sport = :80 -a ( dst 10.0.0.1 )",
        ] {
            let (_, common) = said(line);
            let words = common.words.filter.join(" ");
            assert_eq!(words, "sport = :80 ( dst 10.0.0.1 )", "{line}");
            assert!(common.letters.all && common.form.json, "{line}");
        }
        assert!(read("closewait list sport = :80 --jsn").is_err());
    }

    #[test]
    fn a_flag_that_means_nothing_to_a_command_is_refused() {
        for flag in [
            "-H",
            "-o",
            "-e",
            "-i",
            "-m",
            "-W",
            "-n",
            "-p",
            "-q",
            "-u",
            "-a",
            "-l",
            "-r",
            "--color=never",
            "--resolve-timeout=1",
            "--label-limit=1",
            "--json",
            "--jsonl",
            "--csv",
            "--prometheus",
            "--output=x",
            "--columns=age",
            "--sort=age",
            "--limit=1",
        ] {
            let name = flag.split('=').next().unwrap_or_default();
            for line in [
                format!("closewait check {flag}"),
                format!("closewait {flag} check"),
            ] {
                let said = refusal(&line);
                let reason = format!("`closewait check` has no option {name}: use it with");
                assert!(said.contains(&reason), "{line}: {said}");
            }
        }
        for (line, reason) in [
            ("closewait --csv list --json", "cannot be used with"),
            ("closewait --json list --csv", "cannot be used with"),
            (
                "closewait explain never-closed --from /nonexistent",
                "cannot be used with",
            ),
            (
                "closewait explain never-closed --strict",
                "cannot be used with",
            ),
            (
                "closewait explain --columns x",
                "use it with `closewait list`",
            ),
            (
                "closewait list --prometheus",
                "use it with `closewait triage`",
            ),
            ("closewait list --by port", "use it with"),
            ("closewait triage -o", "use it with `closewait list`"),
            (
                "closewait record --for 10s x",
                "`closewait record` has no option --for: use it with `closewait triage`, \
                 `closewait list`, `closewait check`",
            ),
            (
                "closewait record x --json",
                "`closewait record` has no option",
            ),
            (
                "closewait record x --from y --redact --sample 1",
                "cannot be used with",
            ),
            (
                "closewait record x --from y --redact --peek",
                "cannot be used with",
            ),
            ("closewait check --peek", "`closewait check` has no option"),
            ("closewait list --peek", "`closewait list` has no option"),
            ("closewait watch --peek", "`closewait watch` has no option"),
            ("closewait --prometheus --peek", "cannot be used with"),
            ("closewait --no-evidence --peek", "cannot be used with"),
            ("closewait --from x --peek", "cannot be used with"),
            (
                "closewait diff a b --columns age",
                "use it with `closewait list`",
            ),
            ("closewait man --json", "`closewait man` has no option"),
            ("closewait -A -N x", "cannot be used with"),
            ("closewait --from x -A", "cannot be used with"),
            (
                "closewait check --strict --allow-partial",
                "cannot be used with",
            ),
        ] {
            let said = refusal(line);
            assert!(said.contains(reason), "{line}: {said}");
        }
    }

    #[test]
    fn a_language_is_named_in_any_case_and_without_a_topic() {
        for line in [
            "--lang zh",
            "--lang ZH",
            "time-wait --lang zh-CN",
            "--lang zh_CN",
        ] {
            match read(&format!("closewait explain {line}")) {
                Ok(Command::Explain(options)) => {
                    assert_eq!(options.lang, Some(Language::Chinese), "{line}");
                }
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    /// Whether a command line reads the memory of processes.
    fn takes_stacks(line: &str) -> bool {
        let terminal = Terminal::default();
        match Plan::new(read(line).unwrap(), terminal).unwrap() {
            Plan::Inspect(plan) => plan.request.stacks,
            Plan::Check(plan) => plan.inspection.request.stacks,
            Plan::Record(plan) => plan.request.stacks,
            Plan::Watch(plan) => plan.inspection.request.stacks,
            Plan::Explain(_) | Plan::Diff(_) | Plan::Columns | Plan::Completions(_) | Plan::Man => {
                false
            }
        }
    }

    #[test]
    fn only_a_triage_for_people_and_a_recording_read_the_memory_of_processes() {
        for line in [
            "closewait",
            "closewait triage --json",
            "closewait --for 1s",
            "closewait -v",
            "closewait --stacks",
            "closewait record x",
            "closewait watch --stacks",
            "closewait -c --stacks",
        ] {
            assert!(takes_stacks(line), "{line}");
        }
        for line in [
            "closewait --no-stacks",
            "closewait --no-evidence",
            "closewait -q",
            "closewait --by port",
            "closewait --by port --json",
            "closewait --prometheus",
            "closewait list",
            "closewait list --json",
            "closewait -tn",
            "closewait check",
            "closewait check -v",
            "closewait explain",
            "closewait watch",
            "closewait watch list",
            "closewait watch --jsonl",
            "closewait -c",
            "closewait record x --no-stacks",
            "closewait record x --no-evidence",
        ] {
            assert!(!takes_stacks(line), "{line}");
        }
    }

    #[test]
    fn asking_for_stacks_where_none_are_shown_is_a_mistake() {
        for line in ["--by port", "--prometheus"] {
            let command = read(&format!("closewait --stacks {line}")).unwrap();
            let error = Plan::new(command, Terminal::default()).unwrap_err();
            assert!(
                error.to_string().contains("--stacks is for findings"),
                "{line}: {error}"
            );
        }
        for (line, reason) in [
            ("closewait --stacks --no-stacks", "cannot be used with"),
            ("closewait --stacks --no-evidence", "cannot be used with"),
            (
                "closewait check --stacks",
                "`closewait check` has no option --stacks",
            ),
            (
                "closewait list --stacks",
                "`closewait list` has no option --stacks",
            ),
            (
                "closewait record x --stacks",
                "`closewait record` has no option --stacks",
            ),
        ] {
            let said = refusal(line);
            assert!(said.contains(reason), "{line}: {said}");
        }
    }

    #[test]
    fn every_command_that_an_explanation_prints_is_valid_today() {
        use crate::explain::{Topic, text};
        use crate::model::State;

        let states = State::ALL.map(Topic::State).into_iter();
        let mut seen = 0;
        for topic in states.chain(Topic::causes().map(Topic::Cause)) {
            for line in text(topic, Language::English).lines().map(str::trim) {
                let line = line.strip_prefix("sudo ").unwrap_or(line);
                let command = line.split("  ").next().unwrap_or_default();
                if !command.starts_with("closewait ") {
                    continue;
                }
                let words = command
                    .split(' ')
                    .map(|word| if word == "PID" { "1" } else { word });
                let parsed = Command::read(words);
                assert!(parsed.is_ok(), "{command}: {:?}", parsed.err());
                seen += 1;
            }
        }
        assert!(seen > 20, "{seen}");
    }
}
