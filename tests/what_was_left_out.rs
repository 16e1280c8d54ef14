//! Runs last, by its name: repeats what the other tests left out.

mod left_out;

use std::fmt::Write;
use std::fs;
use std::process::Command;

use left_out::{Lack, left_out, notes_of, say};

/// The notes that the tests of a run have made, ordered by reason; they are taken away.
fn take_notes(starter: u32) -> String {
    let notes = notes_of(starter);
    let text = fs::read_to_string(&notes).unwrap_or_default();
    let _ = fs::remove_file(notes);
    let mut lines: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .collect();
    lines.sort_unstable();
    lines.dedup();
    let mut told = String::new();
    for of_reason in lines.chunk_by(|(one, _), (other, _)| one == other) {
        writeln!(told, "  {} ({})", of_reason[0].0, of_reason.len()).unwrap();
        for (_, test) in of_reason {
            writeln!(told, "    {test}").unwrap();
        }
    }
    told
}

#[test]
fn what_was_left_out_is_said_at_the_end() {
    let starter = std::os::unix::process::parent_id();
    let told = take_notes(starter);
    if !told.is_empty() {
        say(&format!("\nleft out:\n{told}"));
    }
    // Runs that were broken off never came here.
    for entry in fs::read_dir(env!("CARGO_TARGET_TMPDIR")).unwrap().flatten() {
        let name = entry.file_name();
        let run = name
            .to_str()
            .and_then(|name| name.strip_prefix("left-out."));
        if run.is_some_and(|run| !fs::exists(format!("/proc/{run}")).unwrap()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[test]
#[ignore = "the next test runs it"]
fn lacks_something() {
    match std::env::var("LACKS").unwrap().as_str() {
        "root" => left_out(Lack::Root),
        "netns" => left_out(Lack::Namespace),
        "ss" => left_out(Lack::Program("ss")),
        other => left_out(Lack::Kernel(other)),
    }
}

#[test]
fn what_is_left_out_is_seen_though_the_test_passes_and_fails_where_it_must_run() {
    let run = |lacks: &str, everything: &str| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "lacks_something"])
            .envs([("LACKS", lacks), ("NOTHING_LEFT_OUT", everything)])
            .output()
            .unwrap()
    };
    for (lacks, words, may_lack) in [
        ("root", "not root", false),
        (
            "netns",
            "no network namespace of its own (root makes them)",
            false,
        ),
        ("ss", "ss is not installed", false),
        ("no MPTCP", "no MPTCP", true),
    ] {
        let passes = run(lacks, "");
        let told = String::from_utf8(passes.stderr).unwrap();
        assert!(passes.status.success(), "{lacks}: {told}");
        assert!(told.starts_with("left out: what_was_left_out"), "{told}");
        assert!(told.ends_with(&format!(": {words}\n")), "{told}");
        let noted = take_notes(std::process::id());
        assert!(
            noted.starts_with(&format!("  {words} (1)\n    ")),
            "{noted}"
        );
        assert_eq!(run(lacks, "1").status.success(), may_lack, "{lacks}");
        take_notes(std::process::id());
    }
}
