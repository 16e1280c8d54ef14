//! Any arguments: they give a plan or a usage error, and the plan's output for a few sockets is safe for a
//! terminal. Files that they name are not opened.
//!
//! NULs separate the arguments.

#![no_main]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::LazyLock;

use closewait::cli::common::Common;
use closewait::cli::output::Destination;
use closewait::cli::reading::{Host, Recorded};
use closewait::cli::selection::Selection;
use closewait::command::{Command, Plan};
use closewait::env::Terminal;
use closewait::model::{Snapshot, Source, StateSet};
use closewait::renderer::escape;
use closewait_fuzz::{attacks, screen};
use libfuzzer_sys::fuzz_target;

/// One socket in each state.
static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
    let end = |port| closewait::model::Endpoint::new(std::net::Ipv4Addr::LOCALHOST, port);
    let states = closewait::model::State::ALL.into_iter().zip(1000..);
    let sockets =
        states.map(|(state, port)| closewait::model::Socket::bare(state, end(port), end(80)));
    let mut found = closewait::collector::sockets::sock_diag::Dumped::default();
    found.sockets = sockets
        .filter(|socket| StateSet::ALL.contains(socket.state))
        .collect();
    screen::snapshot(found, Source::Netlink)
});

fuzz_target!(|bytes: &[u8]| {
    let words = bytes.split(|byte| *byte == 0).map(OsStr::from_bytes);
    let read = Command::read(std::iter::once(OsStr::new("closewait")).chain(words));
    let mut command = match read {
        Ok(command) => command,
        Err(error) => {
            error.render();
            return;
        }
    };
    without_files(&mut command);
    let (mistake, failure) = (command.mistake(), command.failure());
    let terminal = Terminal {
        width: Some(80),
        ..Terminal::default()
    };
    match Plan::new(command, terminal) {
        Ok(Plan::Inspect(plan)) => screen::page(&SNAPSHOT, &plan),
        Ok(plan) => drop(plan.failure()),
        Err(error) => {
            let outcome = if error.is_mistake() { mistake } else { failure };
            assert_ne!(outcome.code(), 0, "{error}");
            let text = error.to_string();
            assert!(!text.is_empty());
            assert_eq!(attacks::fault(&escape::line(&text), false), None);
        }
    }
});

/// Replaces paths, and turns off the search for owners.
fn without_files(command: &mut Command) {
    let nowhere = || PathBuf::from("/nonexistent");
    let host = |host: &mut Host| {
        host.proc = host.proc.take().map(|_| nowhere());
        host.netns = host.netns.take().map(|_| "nowhere".to_owned());
    };
    let recorded =
        |recorded: &mut Recorded| recorded.from = recorded.from.take().map(|_| nowhere());
    let to = |to: &mut Destination| to.output = to.output.take().map(|_| nowhere());
    let selection = |selection: &mut Selection| selection.pid.clear();
    let common = |common: &mut Common| {
        host(&mut common.host);
        recorded(&mut common.recorded);
        to(&mut common.printed.to);
        selection(&mut common.selection);
    };
    match command {
        Command::Completions { .. } | Command::Man => {}
        Command::Triage(options) => common(&mut options.common),
        Command::List(options) => common(&mut options.common),
        Command::Check(options) => {
            host(&mut options.host);
            recorded(&mut options.recorded);
            selection(&mut options.selection);
        }
        Command::Explain(options) => {
            host(&mut options.host);
            recorded(&mut options.recorded);
            to(&mut options.to);
        }
        Command::Record(options) => {
            host(&mut options.host);
            recorded(&mut options.recorded);
        }
        Command::Watch(options) => {
            host(&mut options.host);
            to(&mut options.printed.to);
            selection(&mut options.selection);
        }
        Command::Diff(options) => {
            host(&mut options.host);
            recorded(&mut options.recorded);
            to(&mut options.printed.to);
            selection(&mut options.selection);
            options.against = options.against.take().map(|_| nowhere());
            for word in options.words.iter_mut().take(2) {
                *word = "/nonexistent".to_owned();
            }
        }
    }
}
