//! The manual page, read by groff.

mod left_out;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use left_out::{Lack, left_out};

/// The output of the command.
fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_closewait"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a tool on a text; `None`, and a note, if it is not installed.
fn fed(tool: &str, arguments: &[&str], text: &str) -> Option<Output> {
    let started = Command::new(tool)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        left_out(Lack::Program(tool));
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let text = text.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join();
    Some(output)
}

#[test]
fn groff_formats_the_page_without_a_warning() {
    let page = printed(&["man"]);
    // -c -b -u: plain text, without overstriking or colours.
    let arguments = ["-man", "-ww", "-Tutf8", "-Wbreak", "-P-cbu"];
    let Some(output) = fed("groff", &arguments, &page) else {
        return;
    };
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.is_empty(), "{said}");
    let text = String::from_utf8_lossy(&output.stdout);
    for wanted in ["EXIT STATUS", "closewait explain", "list --state close"] {
        assert!(text.contains(wanted), "{wanted} is not in {text}");
    }
}
