//! What a terminal of 80 columns and 24 rows shows of triage, and what `grep` finds in a pipe.

mod left_out;

use std::path::{Path, PathBuf};
use std::process::Command;

use left_out::{Lack, left_out};

const BINARY: &str = env!("CARGO_BIN_EXE_closewait");
/// The rows above the prompt.
const SEEN: usize = 23;

/// A recording with several findings.
fn recording() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/recordings/leak.cw")
}

/// The lines that a terminal shows; `None` if `script` is not installed.
fn on_terminal(options: &str) -> Option<Vec<String>> {
    let command = format!(
        "stty cols 80 rows 24; '{BINARY}' --from '{}' {options}",
        recording().display()
    );
    let output = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("TERM", "xterm")
        .env("LC_ALL", "C.UTF-8")
        .env("NO_COLOR", "1")
        .output();
    let Ok(output) = output else {
        left_out(Lack::Program("script"));
        return None;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.replace('\r', "");
    Some(lines.lines().map(str::to_owned).collect())
}

fn in_pipe(options: &[&str]) -> String {
    let output = Command::new(BINARY)
        .arg("--from")
        .arg(recording())
        .args(options)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_worst_finding_is_what_a_terminal_shows_above_the_prompt() {
    let Some(lines) = on_terminal("") else {
        return;
    };
    let seen = &lines[lines.len().saturating_sub(SEEN)..];
    let seen = seen.join("\n");
    assert!(seen.contains("CRITICAL not-accepted: "), "{seen}");
    // What it means, every step, and how many others there are.
    assert!(seen.contains("accept()"), "{seen}");
    assert!(seen.contains("closewait explain not-accepted"), "{seen}");
    assert!(seen.contains("findings in short"), "{seen}");
    for line in lines.iter().filter(|line| line.contains("INFO ")) {
        assert!(line.ends_with('s'), "an age ends the line: {line}");
    }
    let Some(all) = on_terminal("--findings all") else {
        return;
    };
    let steps = |lines: &[String], cause: &str| {
        let step = format!("closewait explain {cause}");
        lines.iter().any(|line| line.contains(&step))
    };
    assert!(!steps(&lines, "slow-handler") && steps(&all, "slow-handler"));
}

#[test]
fn the_first_lines_name_the_worst_finding() {
    let text = in_pipe(&[]);
    let first: Vec<&str> = text.lines().take(4).collect();
    assert!(
        first
            .iter()
            .any(|line| line.contains("CRITICAL not-accepted")),
        "{first:?}"
    );
}

#[test]
fn grep_finds_every_line_about_a_port_and_a_process() {
    let text = in_pipe(&[]);
    let document: serde_json::Value = serde_json::from_str(&in_pipe(&["--json"])).unwrap();
    for finding in document["findings"].as_array().unwrap() {
        let Some(port) = finding["local_port"].as_u64() else {
            continue;
        };
        let (port, pid) = (format!(":{port}"), finding["owners"][0]["pid"].to_string());
        let found = |wanted: &str| -> Vec<&str> {
            let lines = text.lines();
            lines.filter(|line| line.contains(wanted)).collect()
        };
        let parts = ["evidence", "next_steps"].map(|part| finding[part].as_array().unwrap());
        let parts = parts.into_iter().flatten();
        let words = [&finding["summary"], &finding["meaning"]];
        for part in words.into_iter().chain(parts) {
            let part = part.as_str().unwrap();
            for wanted in [&port, &format!("[{pid}]")] {
                let found = found(wanted);
                assert!(
                    found.iter().any(|line| line.contains(part)),
                    "{wanted}, {part}: {found:#?}"
                );
            }
        }
        // The groups.
        assert!(found(&port).iter().any(|line| line.contains(" LISTEN ")));
    }
}
