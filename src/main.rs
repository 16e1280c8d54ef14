//! The program: arguments in, exit code out. It handles stderr, closed pipes and running out of
//! memory, and nothing else.

#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::print_stdout,
    clippy::print_stderr
)]

use std::ffi::OsString;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::process::{self, ExitCode};
use std::sync::mpsc::{self, SendError};
use std::thread;
use std::time::{Duration, Instant};

use anstream::AutoStream;
use closewait::classifier::verdict::Status;
use closewait::collector::watchdog;
use closewait::command::{Command, Plan, UsageError};
use closewait::env::{self, Terminal};
use closewait::exit::Outcome;
use closewait::memory::{self, Memory, Refusal};
use closewait::model::{State, StateSet};
use closewait::panics;
use closewait::renderer::escape;
use closewait::renderer::format::plugin;
use closewait::rights;
use closewait::stdout::Stdout;

/// How long a file system may take to answer.
const HANGS: Duration = Duration::from_secs(30);

#[global_allocator]
static MEMORY: Memory = Memory;

fn main() -> ExitCode {
    memory::refused_as(without_memory());
    memory::with_stack(watched)
}

/// Runs, and always ends with an exit code, even after a panic.
fn watched() -> ExitCode {
    panics::report_with(report);
    std::panic::catch_unwind(run).unwrap_or_else(|_| {
        let outcome = Command::mistake_of(std::env::args_os());
        print_status_line(Some("a fault in closewait itself"), outcome);
        match outcome {
            Outcome::Checked(_) => outcome.into(),
            // The exit code of any Rust program that panics.
            _ => ExitCode::from(101),
        }
    })
}

fn run() -> ExitCode {
    let command = match Command::read(std::env::args_os()) {
        Ok(command) => command,
        Err(error) => return usage(&error),
    };
    let (mistake, failure) = (command.mistake(), command.failure());
    // A procfs named by the caller may contain links to anything.
    if command.names_proc()
        && let Err(error) = rights::give_up()
    {
        let error = anyhow::Error::new(error).context("could not go on with the caller's rights");
        return fail(&error, failure);
    }
    // A check has its own deadline.
    if command.timeout().is_none() {
        watchdog::watch(HANGS, move |path| {
            let path = path.display();
            let seconds = HANGS.as_secs();
            let reason =
                format!("{path} has not answered for {seconds} s; is its file system there?");
            fail(&anyhow::Error::msg(reason), failure);
            process::exit(failure.code().into());
        });
    }
    let plan = match planned(command) {
        Ok(plan) => plan,
        Err(error) if error.is_mistake() => return fail(&error.into(), mistake),
        Err(error) => return fail(&error.into(), failure),
    };
    let mut out = BufWriter::with_capacity(64 * 1024, Stdout);
    match closewait::command::run(&plan, env::charset(), &mut out, &mut io::stderr()) {
        Ok(outcome) => outcome.into(),
        // `closewait list | head`: the reader has enough.
        Err(error) if is_closed_pipe(&error) && !plan.must_be_whole() => Outcome::Done.into(),
        Err(error) => fail(&error, plan.failure()),
    }
}

/// Turns the arguments into a plan. A recording that cannot be read in time must not delay a check.
fn planned(command: Command) -> Result<Plan, UsageError> {
    // A timeout of 0 is a usage error that the plan reports.
    let Some(timeout) = command.timeout().filter(|timeout| !timeout.is_zero()) else {
        return Plan::new(command, Terminal::of_stdout());
    };
    let start = Instant::now();
    let (answer, answers) = mpsc::channel();
    // Not joined: if it hangs, the process ends without it. The command is sent to it once it runs.
    let (give, given) = mpsc::channel();
    let plan = |command| Plan::new(command, Terminal::of_stdout());
    let planning = thread::Builder::new()
        .spawn(move || given.recv().map(|command| answer.send(plan(command))));
    if planning.is_err() {
        // If no thread can be started, there is no deadline.
        return plan(command);
    }
    if let Err(SendError(command)) = give.send(command) {
        return plan(command);
    }
    match answers.recv_timeout(timeout) {
        Ok(plan) => plan.map(|plan| plan.later(start.elapsed())),
        Err(_) => Err(UsageError::NoAnswer { timeout }),
    }
}

/// Prints help and the version to stdout, and usage errors like all other errors.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let text = error.render();
        let text = match AutoStream::choice(&io::stdout()) {
            anstream::ColorChoice::Never => text.to_string(),
            _ => text.ansi().to_string(),
        };
        let text = env::charset().text(&text);
        return match Stdout
            .write_all(text.as_bytes())
            .and_then(|()| Stdout.flush())
        {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                let error = anyhow::Error::new(error).context("could not write the output");
                // Monitoring must not read this as WARNING.
                let outcome = match Command::mistake_of(std::env::args_os()) {
                    Outcome::Usage => Outcome::Unread,
                    outcome => outcome,
                };
                fail(&error, outcome)
            }
            _ => Outcome::Done.into(),
        };
    }
    // Clap repeats the arguments unescaped.
    let words = std::env::args_os().map(|word| escape::text(word.as_encoded_bytes()));
    let of_line = Command::read(words).err();
    let is_plain = |word: OsString| word.to_str().is_some_and(|word| escape::line(word) == word);
    let error = of_line
        .as_ref()
        .filter(|_| !std::env::args_os().all(is_plain))
        .unwrap_or(error);
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let lines: Vec<String> = text.lines().map(escape::line).collect();
    let outcome = Command::mistake_of(std::env::args_os());
    print_status_line(lines.first(), outcome);
    report(&lines.join("\n"));
    outcome.into()
}

/// Prints an error in one line: what failed, why, and what to try. A filter error also shows the
/// filter and the place.
fn fail(error: &anyhow::Error, outcome: Outcome) -> ExitCode {
    let text = format!("{error:#}");
    let text = match error.downcast_ref() {
        Some(UsageError::Filter(_)) => {
            let lines: Vec<String> = text.lines().map(escape::line).collect();
            lines.join("\n")
        }
        _ => escape::line(&text),
    };
    print_status_line(text.lines().next(), outcome);
    report(&text);
    outcome.into()
}

/// Prints an error that is escaped already.
fn report(text: &str) {
    let text = env::charset().text(text);
    // A write error on stderr cannot be reported.
    let _ = writeln!(io::stderr(), "closewait: {text}");
}

/// Prints the status line for monitoring, which reads only stdout.
fn print_status_line(reason: Option<impl AsRef<str>>, outcome: Outcome) {
    if let (Some(reason), Outcome::Checked(_)) = (reason, outcome) {
        let _ = Stdout.write_all(&unknown(reason.as_ref()));
    }
}

/// The status line of a check without a verdict.
fn unknown(reason: &str) -> Vec<u8> {
    let mut line = Vec::new();
    let states = StateSet::of(State::CloseWait);
    // Writing to memory cannot fail.
    let _ = plugin::unknown(states, reason, &mut line);
    line
}

/// How the run ends if memory runs out; decided before the arguments are parsed.
fn without_memory() -> Refusal {
    let is_check = std::env::args_os().any(|word| word == "check");
    let (outcome, stdout) = if is_check {
        let status = Outcome::Checked(Status::Unknown);
        (status, unknown("not enough memory"))
    } else {
        (Outcome::Unread, Vec::new())
    };
    let code = outcome.code();
    Refusal { stdout, code }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == ErrorKind::BrokenPipe)
}
