//! A malicious recording: every string attacks the terminal, every number is the smallest or the largest. Every
//! command prints it in every format; no byte of the attack reaches stdout or stderr, and nothing overflows.

#![cfg(target_endian = "little")]

mod attacks;
mod recording;
#[path = "../scenario/mod.rs"]
#[allow(dead_code)]
mod scenario;

use std::backtrace::Backtrace;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use closewait::command::{self, Plan};
use closewait::env::Terminal;
use closewait::model::{Charset, Evidence, Part, StackOf};
use serde_json::Value;

use attacks::{NAMES, fault};
use recording::Recording;

/// Every command and form; `FILE` is the recording.
const COMMANDS: [&str; 28] = [
    "--from FILE -v",
    "--from FILE -v --limit 0 --color always",
    "--from FILE --json",
    "--from FILE --prometheus",
    "--from FILE --no-evidence --strict",
    "--from FILE -q state established",
    "--from FILE --by program,user,netns,state -v",
    "--from FILE --by unit,container,port,peer --color always",
    "--from FILE --by program,cause --json",
    "--from FILE --by program,user --csv",
    "--from FILE --by unit,netns --jsonl",
    "list --from FILE -a -v",
    "list --from FILE -aoe --color always",
    "list --from FILE -a --columns +program,user,pid,unit,container,cgroup,netns",
    "list --from FILE -a --json",
    "list --from FILE -aoe --jsonl",
    "list --from FILE -a --csv",
    "list --from FILE -u -a",
    "check --from FILE -v",
    "check --from FILE -v --strict -w 1 -c 2 --fd-share 1,2 --queue 1,2",
    "check --from FILE -v --by port -w 1",
    "explain --from FILE",
    "explain --from FILE --color always",
    "diff FILE FILE -v",
    "diff FILE FILE --by program,user,unit --color always",
    "diff FILE FILE --json",
    "diff FILE FILE --by program --csv",
    "record - --from FILE --redact -v",
];

/// The number of commands that are run where there are many recordings.
const FEW: [&str; 5] = [
    "--from FILE -v --limit 0",
    "--from FILE --json",
    "list --from FILE -aoe",
    "check --from FILE -v --strict -w 1 -c 2 --fd-share 1,2 --queue 1,2",
    "diff FILE FILE",
];

/// Where something panicked, in whatever thread.
static PANICS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn panics() -> MutexGuard<'static, BTreeSet<String>> {
    PANICS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn watch_panics() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        if place.starts_with("tests/") {
            return before(info);
        }
        let said = info.to_string();
        let what = said.lines().nth(1).unwrap_or_default();
        let trace = Backtrace::force_capture().to_string();
        let mut frames = trace.lines().map(str::trim);
        let frame = frames.find(|frame| frame.contains(": closewait::"));
        let frame = frame.unwrap_or_default();
        panics().insert(format!("{place}: {what}: {frame}"));
    }));
}

/// What a command line prints of the recording: stdout and stderr. Nothing where it cannot be
/// carried out.
fn run(command: &str, file: &Path) -> Option<(String, String)> {
    let words = command.split(' ').map(|word| match word {
        "FILE" => file.to_str().unwrap(),
        word => word,
    });
    let said = command::Command::read(std::iter::once("closewait").chain(words))
        .unwrap_or_else(|error| panic!("{command}: {error}"));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    // Where a panic is in this thread, it is among those that are watched for.
    let _ = panic::catch_unwind(AssertUnwindSafe(|| {
        let plan = Plan::new(
            said,
            Terminal {
                // A terminal gets no recording.
                width: (!command.starts_with("record")).then_some(80),
                ..Terminal::default()
            },
        )
        .ok()?;
        closewait::command::run(&plan, Charset::Utf8, &mut out, &mut err).ok()
    }))
    .ok()??;
    if command.starts_with("record") {
        out.clear();
    }
    let text =
        |bytes| String::from_utf8(bytes).unwrap_or_else(|error| panic!("{command}: {error}"));
    Some((text(out), text(err)))
}

/// Shows the recording in every form; faults go into `faults`, one for each command.
fn attack(recording: &Recording, faults: &mut BTreeMap<&str, String>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), recording.bytes()).unwrap();
    for command in COMMANDS {
        let Some((out, err)) = run(command, file.path()) else {
            faults.insert(command, "is not carried out".to_owned());
            continue;
        };
        // Records of CSV end as they must.
        let out = match command.contains("--csv") {
            true => out.replace("\r\n", "\n"),
            false => out,
        };
        let fault = fault(&out, command.contains("always")).or_else(|| fault(&err, false));
        if let Some(fault) = fault {
            faults.insert(command, fault);
        }
    }
}

fn none(faults: &BTreeMap<&str, String>) {
    assert!(faults.is_empty(), "{faults:#?}");
    let panics = panics().clone();
    assert!(panics.is_empty(), "{panics:#?}");
}

/// The recording with each string that may be any replaced by what `attack` makes of it.
fn altered(recording: &Recording, attack: &dyn Fn(usize, &str) -> String) -> (Recording, usize) {
    let mut altered = recording.clone();
    let mut replaced = 0;
    // Which are names, and which are words of the format, shows where one of a kind is replaced.
    let mut kinds: BTreeMap<String, bool> = BTreeMap::new();
    for (at, place) in recording.places(Value::is_string).iter().enumerate() {
        let before = altered.at(place).clone();
        let text = before.as_str().unwrap();
        *altered.at(place) = Value::String(attack(at, text));
        let kind = recording::kind(place);
        if *kinds.entry(kind).or_insert_with(|| altered.is_one()) {
            replaced += 1;
        } else {
            *altered.at(place) = before;
        }
    }
    (altered, replaced)
}

#[test]
fn no_string_of_a_recording_reaches_a_terminal() {
    watch_panics();
    let mut faults = BTreeMap::new();
    let all = NAMES.concat();
    for name in ["leak.cw", "udp.cw"] {
        for (at, recording) in Recording::fuller(name).iter().enumerate() {
            let made = |_: usize, before: &str| match at % 2 {
                0 => all.clone(),
                _ => format!("{before}{all}"),
            };
            let (altered, replaced) = altered(recording, &made);
            assert!(replaced > 20, "{name}: {replaced} strings");
            attack(&altered, &mut faults);
        }
    }
    none(&faults);
}

#[test]
fn each_name_attacks_in_vain() {
    watch_panics();
    let mut faults = BTreeMap::new();
    let recording = Recording::fuller("leak.cw").swap_remove(0);
    for round in (0..NAMES.len()).step_by(16) {
        let name = |at: usize, _: &str| NAMES[(at + round) % NAMES.len()].to_owned();
        attack(&altered(&recording, &name).0, &mut faults);
    }
    none(&faults);
}

#[test]
fn errors_about_a_recording_tell_a_terminal_nothing() {
    let all = NAMES.concat();
    let recording = Recording::fuller("leak.cw").swap_remove(0);
    let (altered, _) = altered(&recording, &|_, _| all.clone());
    let folder = tempfile::tempdir().unwrap();
    // A name has at most 255 bytes.
    for names in NAMES.chunks(12) {
        let name = names.concat().replace('/', "");
        let (file, cut) = (
            folder.path().join(&name),
            folder.path().join(format!("{name}x")),
        );
        std::fs::write(&file, altered.bytes()).unwrap();
        std::fs::write(&cut, &altered.bytes()[..400]).unwrap();
        tell_errors(
            file.to_str().unwrap(),
            cut.to_str().unwrap(),
            &names.concat(),
        );
    }
    let mut garbled = 0;
    for place in recording.places(Value::is_string) {
        let mut altered = recording.clone();
        *altered.at(&place) = all.clone().into();
        let file = folder.path().join("altered");
        std::fs::write(&file, altered.bytes()).unwrap();
        let read = closewait::recording::Recording::open(&file);
        // Of words that cannot be understood a few are enough.
        if read.is_ok() || garbled > 9 {
            continue;
        }
        garbled += 1;
        tell(&["--from", file.to_str().unwrap()]);
    }
    assert!(garbled > 3);
}

/// What stacks have of a program: its functions if `functions`, and the paths and packages that they are in.
fn of_program(evidence: &Evidence, functions: bool) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let groups = evidence.stacks.iter().flat_map(|stacks| &stacks.groups);
    for group in groups {
        for frame in &group.frames {
            let part = frame.part(group.of, evidence.runtime, group.state.as_ref());
            let is_shared = matches!(part, Part::System | Part::Runtime);
            let function = frame.function.as_ref().filter(|_| functions && !is_shared);
            let is_std = group.of == StackOf::Goroutines && (is_shared || part == Part::Own);
            let module = frame.module.as_ref().filter(|_| !is_std);
            let names = [function, module, frame.file.as_ref()];
            found.extend(
                names
                    .into_iter()
                    .flatten()
                    .map(|name| name.lossy().into_owned()),
            );
        }
    }
    // Every program has one.
    found.remove("main");
    found
}

#[test]
fn no_path_and_no_function_of_a_program_is_in_a_redacted_recording() {
    let mut seen = 0;
    for recording in Recording::fuller("leak.cw") {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), recording.bytes()).unwrap();
        for (flag, functions) in [("--redact", false), ("--redact-functions", true)] {
            let output = Command::new(env!("CARGO_BIN_EXE_closewait"))
                .args(["record", "-", flag, "--from", file.path().to_str().unwrap()])
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            let mut masked = Recording::taken_apart(&output.stdout);
            let masked: BTreeSet<String> = masked.strings("evidence");
            for evidence in recording.clone().evidence() {
                let secret = of_program(&evidence, functions);
                let left: Vec<&String> = secret.intersection(&masked).collect();
                assert!(left.is_empty(), "{flag}: {left:?}");
                seen += secret.len();
            }
        }
    }
    assert!(seen > 20, "{seen}");
}

/// Commands that fail because of a file, of one that is cut off, or of a word.
fn tell_errors(file: &str, cut: &str, word: &str) {
    for words in [
        &["diff", file, cut][..],
        &["--from", cut],
        &["check", "--from", cut],
        &["check", "--from", file, "--pid", "4294967295"],
        &["--from", file, "-N", word],
        &["--from", file, "dev", "=", word],
        &["--from", file, "--program", word],
        &["--from", file, "program", "=", word],
        &["explain", word],
        &["list", "--state", word],
        &["list", &format!("--limit={word}")],
        &["record", file, "--from", file, "--redact"],
        &["record", &format!("{file}x"), "--from", file, "--redact"],
        &["--from", file, "-o", &format!("{file}/none")],
        &[&format!("x{word}")],
    ] {
        tell(words);
    }
}

fn tell(words: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_closewait"))
        .env("LC_ALL", "C.UTF-8")
        .args(words)
        .output()
        .unwrap();
    for text in [output.stdout, output.stderr] {
        let text = String::from_utf8(text).unwrap();
        assert_eq!(fault(&text, false), None, "{words:?}\n{text}");
    }
}

/// The greatest of each width, and those beside them.
const NUMBERS: [u64; 11] = [
    0,
    u64::MAX,
    u64::MAX - 1,
    i64::MAX as u64,
    i64::MAX as u64 - 1,
    u32::MAX as u64,
    u32::MAX as u64 - 1,
    u16::MAX as u64,
    u16::MAX as u64 - 1,
    u8::MAX as u64,
    u8::MAX as u64 - 1,
];

#[test]
fn no_number_of_a_recording_ends_a_run() {
    watch_panics();
    let mut tried = 0;
    for name in ["leak.cw", "udp.cw"] {
        let mut met = BTreeSet::new();
        for recording in Recording::fuller(name) {
            let mut kinds: BTreeMap<String, Vec<recording::Place>> = BTreeMap::new();
            for place in recording.places(Value::is_number) {
                kinds
                    .entry(recording::kind(&place))
                    .or_default()
                    .push(place);
            }
            for (kind, places) in kinds {
                if !met.insert(kind) {
                    continue;
                }
                // Only the greatest that it can hold, and the one beside it.
                let mut held = 0;
                for number in NUMBERS {
                    // All of a kind, and one that differs from the rest.
                    for places in [places.as_slice(), &places[..1]] {
                        let mut altered = recording.clone();
                        for place in places {
                            *altered.at(place) = number.into();
                        }
                        if held >= 6 || !altered.is_one() {
                            continue;
                        }
                        held += 1;
                        tried += 1;
                        show(&altered);
                    }
                }
            }
        }
    }
    assert!(tried > 300, "{tried}");
    let panics = panics().clone();
    assert!(panics.is_empty(), "{panics:#?}");
}

#[test]
fn numbers_that_are_changed_together_end_no_run() {
    watch_panics();
    for recording in Recording::fuller("leak.cw") {
        let mut greatest: BTreeMap<String, u64> = BTreeMap::new();
        let places = recording.places(Value::is_number);
        for place in &places {
            greatest.entry(recording::kind(place)).or_insert_with(|| {
                let holds = |number: &&u64| {
                    let mut altered = recording.clone();
                    *altered.at(place) = (**number).into();
                    altered.is_one()
                };
                NUMBERS[1..].iter().find(holds).copied().unwrap_or(0)
            });
        }
        for round in 0..6 {
            let mut altered = recording.clone();
            for place in &places {
                let greatest = greatest[&recording::kind(place)];
                let mut hasher = DefaultHasher::new();
                (place, round).hash(&mut hasher);
                *altered.at(place) = match hasher.finish() % 8 {
                    0 => 0.into(),
                    1 => greatest.into(),
                    2 => greatest.saturating_sub(1).into(),
                    3 => (greatest / 2).into(),
                    _ => continue,
                };
            }
            if altered.is_one() {
                show(&altered);
            }
        }
    }
    let panics = panics().clone();
    assert!(panics.is_empty(), "{panics:#?}");
}

#[test]
fn no_number_of_the_kernel_ends_a_run() {
    watch_panics();
    for name in ["leak.cw", "udp.cw"] {
        let recording = Recording::fuller(name).swap_remove(0);
        for at in 0..recording.words() {
            for word in [0, u32::MAX, u32::MAX - 1, i32::MAX as u32] {
                show(&recording.with_word(at, word));
            }
        }
    }
    let panics = panics().clone();
    assert!(panics.is_empty(), "{panics:#?}");
}

fn show(recording: &Recording) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), recording.bytes()).unwrap();
    for command in FEW {
        // What is found is not the matter; that it ends is.
        let _ = run(command, file.path());
    }
}

/// Writes what fuzzing starts from, to be run when the format gains something.
#[test]
#[ignore = "writes files"]
fn write_the_bases_of_fuzzing() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recording_fuzz/bases");
    for (at, recording) in Recording::fuller("leak.cw").iter().enumerate() {
        std::fs::write(format!("{folder}/full-{at}.cw"), recording.bytes()).unwrap();
    }
}
