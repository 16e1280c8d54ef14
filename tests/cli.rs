//! Help, usage errors and exit codes.

use std::process::{Command, Output};

/// Runs the command with its output in a pipe, 80 columns wide.
fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_closewait"))
        .env("LC_ALL", "C.UTF-8")
        .args(arguments)
        .env("COLUMNS", "80")
        .env_remove("CLICOLOR_FORCE")
        .output()
        .unwrap()
}

/// The exit code, and what went to stdout and stderr.
fn shown(arguments: &[&str]) -> String {
    let output = run(arguments);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let code = output.status.code().unwrap();
    let mut shown = format!("$ closewait {}\nexit code {code}\n", arguments.join(" "));
    for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        if !bytes.is_empty() {
            shown.push_str(&format!("--- {name}\n{}", text(bytes)));
        }
    }
    shown
}

fn snapshot(name: &str, arguments: &[&str]) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path("snapshots/cli");
    settings.bind(|| insta::assert_snapshot!(name, shown(arguments)));
}

#[test]
fn a_topic_is_explained_before_anything_is_read() {
    let output = run(&["explain", "TIME_WAIT"]);
    assert_eq!(output.status.code(), Some(0));
    let shown = String::from_utf8(output.stdout).unwrap();
    let (text, figures) = shown
        .split_once("\nNow, in this network namespace\n")
        .unwrap();
    assert!(
        text.starts_with("TIME_WAIT  ") && text.contains("\nKernel facts\n"),
        "{text}"
    );
    assert!(figures.contains(" in TIME_WAIT"), "{figures}");
}

#[test]
fn the_long_help_tells_every_flag() {
    snapshot("help", &["--help"]);
}

#[test]
fn the_short_help_fits_a_screen() {
    snapshot("help-short", &["-h"]);
}

#[test]
fn the_help_of_list_tells_the_same_flags() {
    snapshot("help-list", &["list", "--help"]);
}

#[test]
fn an_unknown_state_is_answered_with_the_one_that_was_meant() {
    snapshot("state-slip", &["--state", "CLOSE_WIAT"]);
    snapshot("state-unknown", &["--state", "banana"]);
}

#[test]
fn values_that_cannot_be_are_usage_errors_that_say_what_can() {
    snapshot("port", &["--port", "70000"]);
    snapshot("peer", &["--peer", "10.0.0"]);
    snapshot("cause", &["--cause", "banana"]);
    snapshot("older-than", &["--older-than", "soon"]);
    snapshot("sort", &["--sort", "nonsense"]);
}

#[test]
fn a_command_that_is_none_is_a_usage_error() {
    snapshot("command", &["frobnicate"]);
    snapshot("command-slip", &["lsit"]);
    snapshot("option-slip", &["list", "--jsn", "state", "listen"]);
}

#[test]
fn a_filter_that_is_none_shows_where_and_what_was_meant() {
    snapshot(
        "filter-state",
        &["list", "sport = :80 and", "state", "CLOSE_WIAT"],
    );
    snapshot("filter-port", &["sport", "=", ":nosuchservice"]);
    snapshot("filter-blanks", &["list", "(sport=:80)"]);
    snapshot("filter-end", &["list", "not", "("]);
    snapshot("filter-unit", &["list", "unit", ">", "nginx.service"]);
    snapshot("by-slip", &["--by", "state,prgram"]);
    snapshot("by-columns", &["--by", "state", "--columns", "peer"]);
    snapshot("by-list", &["list", "--by", "state"]);
    snapshot("by-sort", &["--by", "peer", "--sort", "recvq"]);
    snapshot("all-netns-dev", &["-A", "dev", "lo"]);
    snapshot("filter-owners", &["list", "--no-owners", "pid", "=", "1"]);
    snapshot("filter-explain", &["state", "listen", "explain"]);
}

#[test]
fn a_filter_is_part_of_the_selection_that_json_tells() {
    let output = run(&["--json", "--port", "1", "state", "close-wait", "sport = :1"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["selection"], "port 1, state close-wait sport = :1");
}

#[test]
fn a_namespace_that_does_not_exist_says_where_it_was_looked_for() {
    snapshot("netns", &["-N", "closewait-no-such-namespace"]);
    snapshot("netns-pid", &["-N", "4294967295"]);
    // net:[1] is not PID 1.
    snapshot("netns-number", &["-N", "net:[1]"]);
    snapshot("netns-path", &["-N", "/nonexistent/ns"]);
}

#[test]
fn a_file_that_is_no_namespace_is_not_a_matter_of_privilege() {
    let output = run(&["-N", "/proc/self/status"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("is that a network namespace?"), "{said}");
    assert!(!said.contains("root"), "{said}");
}

#[test]
fn an_error_is_one_line_that_tells_a_terminal_nothing() {
    let hostile = "/nonexistent/\u{1b}[31m\n\u{202e}x";
    for arguments in [
        &["-N", hostile][..],
        &["--source", "procfs", "--proc", hostile],
        &["--state", hostile],
    ] {
        let output = run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        let first = said.lines().next().unwrap();
        assert!(
            !said.contains(['\u{1b}', '\u{202e}']) && !said.contains("\n\u{202e}"),
            "{said:?}"
        );
        if arguments[0] != "--state" {
            assert_eq!(said.lines().count(), 1, "{said:?}");
        }
        assert!(first.starts_with("closewait: "), "{said:?}");
    }
}

#[test]
fn a_directory_without_a_process_is_no_procfs() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let output = run(&["list", "-l", "--port", &port, "--proc", "/usr"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("no process in /usr: no owner is known"),
        "{said}"
    );
}

#[test]
fn a_disk_that_is_full_is_an_error_for_every_output() {
    for arguments in [&["--help"][..], &["--version"], &["explain"], &["list"]] {
        let full = std::fs::File::create("/dev/full").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_closewait"))
            .env("LC_ALL", "C.UTF-8")
            .args(arguments)
            .stdout(full)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(
            said.contains("could not write the output"),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn colour_is_forced_by_any_value_but_0() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    for (value, no_color, coloured) in [
        ("1", None, true),
        ("0", None, false),
        ("", None, false),
        ("1", Some("1"), false),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_closewait"));
        command
            .args(["-l", "--port", &port])
            .env("CLICOLOR_FORCE", value)
            .env_remove("NO_COLOR")
            .envs(no_color.map(|value| ("NO_COLOR", value)));
        let output = command.output().unwrap();
        assert_eq!(output.stdout.contains(&0x1b), coloured, "{value:?}");
    }
}

#[test]
fn an_answer_that_cannot_be_given_quietly_says_why() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let output = run(&[
        "-q",
        "-l",
        "--port",
        &port,
        "--pid",
        "1",
        "--proc",
        "/nonexistent",
    ]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty());
    assert!(
        said.contains("could not list the processes of /nonexistent"),
        "{said}"
    );
}

#[test]
fn a_form_of_sockets_needs_a_list() {
    snapshot("jsonl", &["--jsonl"]);
    snapshot("csv", &["--csv"]);
}

#[test]
fn two_forms_at_once_are_a_usage_error() {
    snapshot("two-forms", &["list", "--json", "--csv"]);
}

#[test]
fn a_second_reading_needs_a_host_a_sensible_time_and_a_place_for_what_grew() {
    snapshot("for-short", &["--for", "10ms"]);
    snapshot("for-long", &["list", "--for", "2h"]);
    snapshot("for-quiet", &["--for", "1s", "-q"]);
    snapshot("for-prometheus", &["--for", "1s", "--prometheus"]);
    snapshot("for-repeat", &["--for", "1s", "-c"]);
    let recording = "fixtures/recordings/leak.cw";
    snapshot("for-recording", &["--for", "1s", "--from", recording]);
}

#[test]
fn selecting_by_owner_needs_owners() {
    snapshot("no-owners-pid", &["--no-owners", "--pid", "1"]);
    snapshot("no-owners-program", &["--no-owners", "--program", "java"]);
}

#[test]
fn a_proc_that_is_none_cannot_be_read() {
    let arguments = ["--source", "procfs", "--proc", "/nonexistent"];
    snapshot("proc", &arguments);
}

#[test]
fn exit_codes_are_those_of_the_contract() {
    let codes = [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["list", "--port", "0"], 0),
        (&["--state", "CLOSE_WIAT"], 2),
        (&["--port", "70000"], 2),
        (&["sport", "=", ":70000"], 2),
        (&["-q", "sport", "=", ":70000"], 2),
        (&["-q", "dport", "=", ":0", "state", "connected"], 1),
        (&["--sort", "nonsense"], 2),
        (&["--jsonl"], 2),
        (&["--no-owners", "--pid", "1"], 2),
        (&["-N", "closewait-no-such-namespace"], 1),
        (&["--source", "procfs", "--proc", "/nonexistent"], 1),
        // A source without ages is a partial view.
        (&["--source", "procfs"], 0),
        (&["--source", "procfs", "--strict"], 1),
        // Quiet: only the remote end of a listener has port 0.
        (&["-q", "--port", "0", "--state", "connected"], 1),
        (&["-q", "--port", "70000"], 2),
        (&["-q", "-N", "closewait-no-such-namespace"], 2),
        (&["-q", "--source", "procfs", "--proc", "/nonexistent"], 2),
    ];
    for (arguments, code) in codes {
        let output = run(arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {output:?}"
        );
    }
}

#[test]
fn quiet_prints_nothing_and_finds_a_listener() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let output = run(&["-q", "-l", "--port", &port]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        output.stdout.is_empty() && output.stderr.is_empty(),
        "{output:?}"
    );
}

#[test]
fn the_version_is_the_packages() {
    let output = run(&["--version"]);
    let expected = format!("closewait {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

/// What is printed of a recording in a locale, which is set by nothing but these variables.
fn in_locale(variables: &[(&str, &str)], arguments: &[&str]) -> String {
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/incident.cw");
    let output = Command::new(env!("CARGO_BIN_EXE_closewait"))
        .env_clear()
        .envs(variables.iter().copied())
        .args(arguments)
        .args(["--from", recording])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[test]
fn text_is_utf_8_only_in_a_locale_that_is() {
    let utf8: [&[(&str, &str)]; 3] = [
        &[("LC_ALL", "C.UTF-8"), ("LANG", "C")],
        &[("LC_ALL", ""), ("LC_CTYPE", "UTF-8"), ("LANG", "C")],
        &[("LANG", "de_CH.utf8"), ("LC_MESSAGES", "C")],
    ];
    let ascii: [&[(&str, &str)]; 4] = [
        &[],
        &[("LANG", "C")],
        &[("LC_ALL", "POSIX"), ("LC_CTYPE", "C.UTF-8")],
        &[("LANG", "en_US.ISO-8859-1")],
    ];
    for command in [&["list"][..], &[], &["--by", "program"], &["explain"]] {
        let ages = command.first() != Some(&"explain") && command.first() != Some(&"--by");
        for locale in utf8 {
            let text = in_locale(locale, command);
            assert!(!text.is_ascii(), "{command:?} {locale:?}");
            assert!(!ages || text.contains('≥') || text.contains('≈'), "{text}");
        }
        for locale in ascii {
            let text = in_locale(locale, command);
            assert!(text.is_ascii(), "{command:?} {locale:?}: {text}");
        }
    }
    let chinese = run(&["explain", "CLOSE_WAIT", "--lang", "zh"]);
    let plain = Command::new(env!("CARGO_BIN_EXE_closewait"))
        .args(["explain", "CLOSE_WAIT", "--lang", "zh"])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    assert_eq!(plain.stdout, chinese.stdout);
    for arguments in [
        &["list", "--json"][..],
        &["list", "--csv"],
        &["--prometheus"],
    ] {
        let without_time = |text: String| {
            let lines = text.lines().map(str::to_owned);
            let lines =
                lines.filter(|line| !line.contains("elapsed") && !line.contains("duration"));
            lines.collect::<Vec<_>>()
        };
        let [utf8, ascii] =
            [utf8[0], ascii[0]].map(|locale| without_time(in_locale(locale, arguments)));
        assert_eq!(utf8, ascii, "{arguments:?}");
    }
}
