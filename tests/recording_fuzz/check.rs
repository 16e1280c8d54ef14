//! What must hold of any recording in every command and form. The fuzz target and the test share it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use closewait::command::inspection::{Inspection, Source};
use closewait::command::{self, Plan};
use closewait::env::Terminal;
use closewait::exit::Outcome;
use closewait::model::Charset;
use closewait::recording::Recording;
use serde_json::Value;

use super::edits::Base;
use super::forms;

/// Every command and form.
const COMMANDS: [&str; 37] = [
    "--from FILE -v",
    "--from FILE -v --limit 0 --color always",
    "--from FILE --json",
    "--from FILE --json --strict",
    "--from FILE --prometheus",
    "--from FILE --no-evidence --strict",
    "--from FILE --grace 1s",
    "--from FILE -q state established",
    "--from FILE -q state close-wait idle > 5m and program ~ a",
    "--from FILE -q not ( user = 0 or cause = never-closed or recvq > 0 )",
    "--from FILE --by program,user,netns,state -v",
    "--from FILE --by unit,container,port,peer --color always",
    "--from FILE --by program,cause --json",
    "--from FILE --by program,user --csv",
    "--from FILE --by unit,netns --jsonl",
    "list --from FILE -a -v",
    "list --from FILE -aoeim --color always",
    "list --from FILE -a --columns +program,user,pid,unit,container,cgroup,netns",
    "list --from FILE -aeim --json",
    "list --from FILE -aoeim --jsonl",
    "list --from FILE -aoeim --csv",
    "list --from FILE -u -a",
    "list --from FILE -a --sort recv-q --limit 3",
    "list --from FILE -a idle > 1s and sport = :8080",
    "check --from FILE -v",
    "check --from FILE -v --strict -w 1 -c 2 --fd-share 1,2 --queue 1,2",
    "check --from FILE -v --by port -w 1",
    "check --from FILE --by owner -w 1 -c 1000000",
    "check --from FILE --state established -w 5",
    "explain --from FILE",
    "explain --from FILE --color always",
    "diff FILE FILE -v",
    "diff FILE FILE --by program,user,unit --color always",
    "diff FILE FILE --json",
    "diff FILE FILE -a --by program --csv",
    "record - --from FILE --redact -v",
    "record - --from FILE --redact --strict",
];

/// A file without a name, for commands that open what they are given.
static FILE: LazyLock<Mutex<File>> = LazyLock::new(|| {
    let name = c"recording";
    let fd = rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::empty()).unwrap();
    Mutex::new(fd.into())
});

struct Command {
    words: &'static str,
    plan: Mutex<Plan>,
}

static BASES: LazyLock<Vec<Base>> = LazyLock::new(|| {
    [
        &include_bytes!("../../fixtures/recordings/leak.cw")[..],
        include_bytes!("../../fixtures/recordings/udp.cw"),
        include_bytes!("../../fixtures/recordings/udp-procfs.cw"),
        include_bytes!("bases/full-0.cw"),
        include_bytes!("bases/full-1.cw"),
        include_bytes!("bases/full-2.cw"),
        include_bytes!("bases/full-3.cw"),
        include_bytes!("bases/full-4.cw"),
        include_bytes!("bases/full-5.cw"),
    ]
    .map(Base::new)
    .into()
});

/// What the arguments mean does not depend on the recording, so they are read once.
static PLANS: LazyLock<Vec<Command>> = LazyLock::new(|| {
    write(&BASES[0].edited(&[]));
    let plan = |words: &'static str| Command {
        words,
        plan: Mutex::new(planned(words)),
    };
    COMMANDS.into_iter().map(plan).collect()
});

fn planned(words: &str) -> Plan {
    let path = format!("/proc/self/fd/{}", lock(&FILE).as_raw_fd());
    // A terminal escapes more than OpenMetrics allows, and gets no recording.
    let is_piped = words.contains("--prometheus") || words.starts_with("record");
    let words = words.split(' ').map(|word| match word {
        "FILE" => &path,
        word => word,
    });
    let said = command::Command::read(std::iter::once("closewait").chain(words)).unwrap();
    let terminal = Terminal {
        width: (!is_piped).then_some(80),
        ..Terminal::default()
    };
    Plan::new(said, terminal).unwrap()
}

fn write(bytes: &[u8]) {
    let file = lock(&FILE);
    file.set_len(0).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&*file, bytes, 0).unwrap();
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first byte chooses a base, the next two commands; the rest are edits.
pub fn check(bytes: &[u8]) {
    let &[base, first, second, ref edits @ ..] = bytes else {
        return;
    };
    let base = &BASES[usize::from(base) % BASES.len()];
    let bytes = base.edited(edits);
    let Ok(recording) = Recording::read(&bytes) else {
        return;
    };
    let recording = Arc::new(recording);
    for command in [first, second] {
        let command = &PLANS[usize::from(command) % PLANS.len()];
        carry_out(command, &recording);
    }
}

fn carry_out(command: &Command, recording: &Arc<Recording>) {
    let words = command.words;
    let mut plan = lock(&command.plan);
    let of = |inspection: &mut Inspection| inspection.source = Source::Recording(recording.clone());
    match &mut *plan {
        Plan::Inspect(inspection) => of(inspection),
        Plan::Check(check) => of(&mut check.inspection),
        Plan::Record(record) => record.source = Source::Recording(recording.clone()),
        Plan::Diff(diff) => [&mut diff.before, &mut diff.after].into_iter().for_each(of),
        _ => {}
    }
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = command::run(&plan, Charset::Utf8, &mut out, &mut err);
    forms::judge(words, outcome.is_ok(), &out, &err);
    // An error is told by `main`, which escapes it.
    let Ok(outcome) = outcome else { return };
    agrees(words, outcome, &out);
}

/// Whether the exit code says what the text says.
fn agrees(words: &str, outcome: Outcome, out: &[u8]) {
    if !words.ends_with("--json --strict") {
        return;
    }
    let json: Value = serde_json::from_slice(out).unwrap();
    let gaps = json["gaps"].as_array().unwrap();
    match outcome {
        Outcome::Done => assert!(gaps.is_empty(), "{gaps:?}"),
        Outcome::Partial => {}
        other => panic!("{other:?}"),
    }
}
