//! Any words as arguments: they are a plan or a mistake, and what a plan shows of a few sockets is
//! fit for a terminal. Nothing that they name is opened.
//!
//! The words stand between NULs.

#![no_main]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::Parser;
use closewait::args::{Cli, Command, Options};
use closewait::model::{Snapshot, Source, StateSet};
use closewait::plan::{Plan, Terminal};
use closewait::renderer::escape;
use closewait_fuzz::{attacks, screen};
use libfuzzer_sys::fuzz_target;

/// Of each state one socket.
static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
    let end = |port| closewait::model::Endpoint::new(std::net::Ipv4Addr::LOCALHOST, port);
    let states = closewait::model::State::ALL.into_iter().zip(1000..);
    let sockets =
        states.map(|(state, port)| closewait::model::Socket::bare(state, end(port), end(80)));
    let found = closewait::collector::sock_diag::Dumped {
        sockets: sockets
            .filter(|socket| StateSet::ALL.contains(socket.state))
            .collect(),
        ..Default::default()
    };
    screen::snapshot(found, Source::Netlink)
});

fuzz_target!(|bytes: &[u8]| {
    let words = bytes.split(|byte| *byte == 0).map(OsStr::from_bytes);
    let cli = Cli::try_parse_from(std::iter::once(OsStr::new("closewait")).chain(words));
    let mut cli = match cli {
        Ok(cli) => cli,
        Err(error) => {
            error.render();
            return;
        }
    };
    without_files(&mut cli);
    let (mistake, failure) = (cli.mistake(), cli.failure());
    match Plan::new(cli, Terminal { width: Some(80) }) {
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

/// Paths lead nowhere, and nobody looks for processes.
fn without_files(cli: &mut Cli) {
    let nowhere = || PathBuf::from("/nonexistent");
    let forget = |options: &mut Options| {
        for path in [&mut options.from, &mut options.proc, &mut options.output] {
            *path = path.take().map(|_| nowhere());
        }
        options.netns = options.netns.take().map(|_| "nowhere".to_owned());
        options.pid.clear();
    };
    forget(&mut cli.selection.options);
    match &mut cli.command {
        None | Some(Command::Completions { .. } | Command::Man) => {}
        Some(Command::Triage(after) | Command::List(after)) => forget(&mut after.options),
        Some(Command::Check(check)) => forget(&mut check.selection.options),
        Some(Command::Explain { options, .. }) => forget(options),
        Some(Command::Record(record)) => forget(&mut record.options),
        Some(Command::Diff(diff)) => {
            forget(&mut diff.options);
            diff.against = diff.against.take().map(|_| nowhere());
            for word in diff.words.iter_mut().take(2) {
                *word = "/nonexistent".to_owned();
            }
        }
        Some(Command::Merge(merge)) => forget(&mut merge.options),
    }
}
