//! No number crashes a run: every option of every command gets the smallest, the largest and other
//! numbers, alone and combined, up to the plan, and with a recording up to the end of the output.

#![cfg(target_endian = "little")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use clap::ArgAction;

use closewait::command::{self, Plan};
use closewait::env::Terminal;
use proptest::prelude::*;

/// The commands; the first one stands for no command.
const COMMANDS: [&str; 7] = ["", "triage", "list", "check", "explain", "record", "diff"];
/// The operands of these options are files.
const FILES: [&str; 4] = ["output", "from", "proc", "against"];
/// Numbers of every kind, at and beyond the limits of every width.
const NUMBERS: [&str; 40] = [
    "0",
    "-0",
    "1",
    "-1",
    "0.5",
    "1.5",
    ".5",
    "1e3",
    "1e309",
    "NaN",
    "inf",
    "",
    "255",
    "256",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "4294967294",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551614",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211455",
    "0s",
    "1ns",
    "1.5s",
    "18446744073709551ms",
    "18446744073709551615s",
    "175307616h",
    "9999999999y",
    "~:18446744073709551615",
    "@18446744073709551614:18446744073709551615",
    "18446744073709551615,18446744073709551615",
    "9223372036854775807/min",
    "warning=18446744073709551615",
    "fd-critical=18446744073709551615",
];

/// The commands that also run on a recording.
const ENDS: [&str; 6] = [
    "0",
    "1ns",
    "4294967295",
    "18446744073709551615",
    "18446744073709551ms",
    "18446744073709551615,18446744073709551615",
];

fn recording() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/recordings/leak.cw");
    path.to_str().unwrap().to_owned()
}

/// Every option of a command that takes a value.
fn options(command: &str) -> Vec<String> {
    let mut cli = command::program();
    cli.build();
    let found = match command {
        "" => &cli,
        name => cli.find_subcommand(name).unwrap(),
    };
    let takes = |arg: &&clap::Arg| !FILES.contains(&arg.get_id().as_str());
    let values = found
        .get_arguments()
        .filter(takes)
        .filter(|arg| matches!(arg.get_action(), ArgAction::Set | ArgAction::Append))
        .filter_map(|arg| arg.get_long());
    values.map(|name| format!("--{name}")).collect()
}

/// The arguments of a command, with the recording if it reads one.
fn words(command: &str, recorded: bool, given: &[String]) -> Vec<String> {
    let file = recording();
    let reads: &[&str] = match (command, recorded) {
        ("diff", _) => &[&file, &file],
        ("record", _) => &["/dev/null"],
        (_, true) => &["--from", &file],
        (_, false) => &[],
    };
    let command = Some(command).filter(|command| !command.is_empty());
    ["closewait"]
        .into_iter()
        .chain(command)
        .chain(reads.iter().copied())
        .map(str::to_owned)
        .chain(given.iter().cloned())
        .collect()
}

/// Plans a command line, and runs it if it only reads recordings.
fn run(command: &str, recorded: bool, given: &[String]) {
    let Ok(said) = command::Command::read(words(command, recorded, given)) else {
        return;
    };
    let plan = match Plan::new(
        said,
        Terminal {
            // A terminal gets no recording.
            width: (!command.starts_with("record")).then_some(80),
            ..Terminal::default()
        },
    ) {
        Ok(plan) => plan,
        Err(error) => {
            let said = error.to_string();
            assert!(said.len() > 10 && !said.contains("overflow"), "{said}");
            return;
        }
    };
    // `record` reads the host, and sleeps for as long as its options say if it finds suspects.
    let reads_host = matches!(plan, Plan::Record(_));
    if !reads_host && (recorded || matches!(plan, Plan::Diff(_))) {
        // The results do not matter, only that the run ends.
        let _ = closewait::command::run(
            &plan,
            closewait::model::Charset::Utf8,
            &mut Vec::new(),
            &mut Vec::new(),
        );
    }
}

#[test]
fn every_option_takes_any_number_or_refuses_it() {
    let mut tried = BTreeSet::new();
    for command in COMMANDS {
        for option in options(command) {
            for number in NUMBERS {
                let mut given = vec![format!("{option}={number}")];
                if option == "--for" {
                    given.push("--growth=1".to_owned());
                }
                run(command, false, &given);
                if ENDS.contains(&number) {
                    run(command, true, &given);
                }
            }
            tried.insert(option);
        }
    }
    assert!(tried.contains("--for") && tried.contains("--resolve-timeout"));
    assert!(tried.len() > 25, "{tried:?}");
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => proptest::sample::select(NUMBERS.as_slice()).prop_map(str::to_owned),
        1 => any::<u64>().prop_map(|number| number.to_string()),
        1 => any::<u64>().prop_map(|number| format!("{number}ms")),
        1 => any::<f64>().prop_map(|number| number.to_string()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn several_options_with_any_numbers_are_a_plan_or_a_mistake(
        command in proptest::sample::select(COMMANDS.as_slice()),
        recorded: bool,
        picked in proptest::collection::vec((any::<prop::sample::Index>(), number()), 1..5),
    ) {
        let options = options(command);
        let given: Vec<String> = picked
            .iter()
            .map(|(option, number)| format!("{}={number}", option.get(&options)))
            .collect();
        run(command, recorded, &given);
    }
}

/// The exit code, stdout and stderr.
fn closewait(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_closewait"))
        .env("LC_ALL", "C.UTF-8")
        .args(args)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}

#[test]
fn a_time_that_never_comes_is_a_mistake_or_no_limit() {
    const MOST: &str = "18446744073709551615";
    for (args, words) in [
        (
            &["--growth", "10", "--for", MOST][..],
            "leaves no time before",
        ),
        (
            &["--growth", "10", "--for", MOST, "-t", MOST],
            "leaves no time before",
        ),
        (&["-t", "0"], "--timeout 0 leaves no time"),
        (
            &["-t", "0s", "--from", &recording()],
            "--timeout 0 leaves no time",
        ),
    ] {
        let (code, stdout, stderr) = closewait(&[&["check"], args].concat());
        assert_eq!(code, 3, "{args:?}: {stderr}");
        for said in [&stdout, &stderr] {
            assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
            assert!(said.contains(words), "{args:?}: {said}");
        }
    }
    let many = ["-v"; 200];
    let args = [&many[..], &["list", "--port", "1"], &many].concat();
    let (code, _, stderr) = closewait(&args);
    assert_eq!(code, 0, "{stderr}");
    let (code, _, stderr) = closewait(&["check", "-t", MOST, "--from", &recording()]);
    assert!(code <= 2, "{stderr}");
    let args = ["list", "-r", "--resolve-timeout", MOST, "--port", "1"];
    let (code, _, stderr) = closewait(&args);
    assert_eq!(code, 0, "{stderr}");
}
