//! Completions, asked of bash, zsh and fish themselves.

#[path = "../left_out/mod.rs"]
mod left_out;

use std::path::Path;
use std::process::{Command, Output};

use left_out::{Lack, left_out};

/// A line, and what every shell offers for its last word.
const LINES: [(&str, &[&str]); 33] = [
    ("closewait li", &["list"]),
    ("closewait zz", &[]),
    ("closewait list --js", &["--json", "--jsonl"]),
    ("closewait list --color ", &["auto", "always", "never"]),
    ("closewait --state clo", &["close-wait", "closing", "close"]),
    ("closewait --state CLOSE_", &["CLOSE_WAIT"]),
    ("closewait --state conn", &["connected"]),
    (
        "closewait --state close-wait,estab",
        &["close-wait,established"],
    ),
    ("closewait --state=close-w", &["--state=close-wait"]),
    (
        "closewait --state=listen,close-w",
        &["--state=listen,close-wait"],
    ),
    ("closewait --cause never", &["never-closed"]),
    ("closewait --by sta", &["state"]),
    ("closewait --by state,prog", &["state,program"]),
    ("closewait check --by lis", &["listener"]),
    ("closewait list --columns recv", &["recv_q"]),
    ("closewait list --columns +cau", &["+cause"]),
    ("closewait list --columns age,cau", &["age,cause"]),
    ("closewait list --sort=-recv", &["--sort=-recv_q"]),
    ("closewait --threshold crit", &["critical="]),
    (
        "closewait --threshold warning=5,fd-w",
        &["warning=5,fd-warning="],
    ),
    ("closewait explain never", &["never-closed"]),
    ("closewait explain conn", &[]),
    ("closewait help rec", &["record"]),
    ("closewait help never", &["never-closed"]),
    ("closewait help col", &["columns"]),
    ("closewait watch li", &["list"]),
    ("closewait watch 2 tri", &["triage"]),
    ("closewait watch 2 list caus", &["cause"]),
    ("closewait watch list tri", &[]),
    ("closewait --state CLOSE_WAIT,close-", &[]),
    ("closewait list state last", &["last-ack"]),
    ("closewait state close-wait and sid", &["side"]),
    ("closewait list cause = never", &["never-closed"]),
];

fn shell(name: &'static str, arguments: &[&str]) -> Option<Output> {
    let program = Path::new(env!("CARGO_BIN_EXE_closewait"));
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", program.parent().unwrap().display());
    let output = Command::new("timeout")
        .args(["60", name])
        .args(arguments)
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    // timeout(1) did not find it.
    if output.status.code() == Some(127) {
        left_out(Lack::Program(name));
        return None;
    }
    Some(output)
}

/// The lines that a shell prints.
fn printed(name: &'static str, arguments: &[&str]) -> Option<Vec<String>> {
    let output = shell(name, arguments)?;
    assert!(output.stderr.is_empty(), "{arguments:?}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty());
    Some(lines.map(str::to_owned).collect())
}

/// Compares what a shell offers for each line with what is expected, in any order: zsh and fish have their own.
fn compare(offers: impl Fn(&str) -> Option<Vec<String>>) {
    for (line, expected) in LINES {
        let Some(mut found) = offers(line) else {
            return;
        };
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{line}");
    }
}

#[test]
fn bash_offers_values() {
    compare(|line| {
        let word = line.rsplit(' ').next().unwrap();
        // Readline replaces only what follows the last = ; the rest stays.
        let kept = word.rfind('=').map_or("", |at| &word[..=at]);
        let script = format!(
            "source <(closewait completions bash); COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; \
             _closewait; for one in \"${{COMPREPLY[@]}}\"; do echo '{kept}'\"$one\"; done"
        );
        printed("bash", &["--norc", "--noprofile", "-c", &script])
    });
}

#[test]
fn fish_offers_values() {
    compare(|line| {
        let script = format!("closewait completions fish | source; complete -C '{line}'");
        let offers = printed("fish", &["--no-config", "-c", &script])?;
        let text = |offer: &String| offer.split('\t').next().unwrap_or_default().to_owned();
        Some(offers.iter().map(text).collect())
    });
}

#[test]
fn zsh_offers_values() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/completions/zsh.zsh");
    compare(|line| printed("zsh", &["-f", script, line]));
}

#[test]
fn a_file_is_left_to_the_shell_and_a_description_goes_with_each_offer() {
    let asked = |shell, line| {
        let output = Command::new(env!("CARGO_BIN_EXE_closewait"))
            .args(["completions", shell, "--", line])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(asked("bash", "closewait --from "), ":files\n");
    assert_eq!(
        asked("bash", "sudo -E /usr/bin/closewait record "),
        ":files\n"
    );
    assert_eq!(asked("bash", ""), "");
    assert_eq!(asked("bash", "closewait"), "");
    let cause = "end-of-file was read; close() never came";
    let line = "closewait explain never";
    assert_eq!(asked("fish", line), format!("never-closed\t{cause}\n"));
    assert_eq!(asked("zsh", line), format!("never-closed:{cause}\n"));
    assert!(asked("bash", "closewait ").starts_with("triage\nlist\ncheck\n"));
    assert!(asked("elvish", "closewait li").contains("list"));
}

#[test]
fn the_other_shells_get_options_and_a_shell_that_is_none_is_a_usage_error() {
    for (shell, code) in [("elvish", 0), ("powershell", 0), ("tcsh", 2)] {
        let output = Command::new(env!("CARGO_BIN_EXE_closewait"))
            .args(["completions", shell])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{shell}");
    }
}
