//! Judges the output of a run on a host with a leak. It must report the whole leak, or that something could
//! not be seen, but never that all is well.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::inject::Ended;
use crate::lab::closewait;

/// The form of a command's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Json,
    Text,
    Rows,
    Quiet,
    Check,
    /// A recording, in a file.
    Recording,
    Difference,
    /// Metrics, in a file.
    Metrics,
}

/// The leak that must be found.
#[derive(Debug, Clone)]
pub struct Leak {
    pub name: String,
    pub pid: u32,
    pub port: u16,
    pub sockets: usize,
}

/// A command, and the file that it may write.
#[derive(Debug, Clone)]
pub struct Run {
    pub form: Form,
    pub args: Vec<String>,
    pub file: PathBuf,
    /// Whether the output contains owners and causes.
    pub owners: bool,
}

/// What a run reported: whether the whole leak, and which gaps.
#[derive(Debug, Clone, Default)]
pub struct Said {
    pub leak: bool,
    pub unseen: BTreeSet<String>,
}

/// The outcome of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The whole leak was reported.
    Whole,
    /// Part of the leak was reported, and that something could not be seen.
    Partial,
    /// An error message, or a check with status UNKNOWN.
    Refused,
}

/// Judges a run. Gaps that the same command has on this host without a fault do not count.
///
/// # Errors
/// What the run did wrong.
pub fn judge(asked: &Run, leak: &Leak, ended: &Ended, clean: &Said) -> Result<Outcome, String> {
    let code = ended.code();
    if ended.hung {
        return Err("it does not end".into());
    }
    if !(0..=3).contains(&code) || ended.stderr.contains("panicked") {
        return Err(format!("it broke: {code}"));
    }
    let errors: Vec<&str> = ended
        .stderr
        .lines()
        .filter(|line| !line.contains("not seen: ") && !line.contains("not read (use -A)"))
        .filter(|line| !line.contains("while both were read") && !line.contains("have no name yet"))
        .collect();
    if let Some(line) = errors.iter().find(|line| !line.starts_with("closewait: ")) {
        return Err(format!("a line that is not ours: {line}"));
    }
    let is_error = match asked.form {
        Form::Quiet => code == 2,
        Form::Check => code == 3,
        _ => code != 0,
    };
    match asked.form {
        Form::Quiet if code == 1 => return Err("-q says that there is none".into()),
        Form::Check if code < 2 => return Err(format!("all clear: {}", ended.stdout.trim())),
        Form::Check | Form::Quiet if !is_error => return Ok(Outcome::Whole),
        Form::Check if !ended.stdout.contains(" UNKNOWN - ") && !ended.stdout.is_empty() => {
            return Err(format!("no line of a check: {}", ended.stdout));
        }
        Form::Check => return Ok(Outcome::Refused),
        _ => {}
    }
    if is_error {
        if errors.len() > 1 {
            return Err(format!("{} lines of error: {errors:?}", errors.len()));
        }
        let strict = asked.args.iter().any(|arg| arg == "--strict");
        if ended.stderr.is_empty() && !strict {
            return Err("an error without a word".into());
        }
        // The recording is complete if only the message about it could not be written.
        let is_recorded = asked.form == Form::Recording && asked.file.exists();
        if is_recorded && !said(asked, leak, ended)?.leak {
            return Err("an error, and half a recording all the same".into());
        }
        return Ok(Outcome::Refused);
    }
    let said = said(asked, leak, ended)?;
    let new: Vec<&String> = said.unseen.difference(&clean.unseen).collect();
    if !said.leak && new.is_empty() {
        return Err("the leak is not reported, and nothing is said to be unseen".into());
    }
    Ok(if new.is_empty() {
        Outcome::Whole
    } else {
        Outcome::Partial
    })
}

/// Reads the output of a run.
///
/// # Errors
/// If the output does not have the expected form.
pub fn said(asked: &Run, leak: &Leak, ended: &Ended) -> Result<Said, String> {
    match asked.form {
        Form::Json => of_document(&ended.stdout, asked, leak),
        Form::Recording => {
            let mut command = Command::new(closewait());
            command.args(["--json", "--from"]).arg(&asked.file);
            let reported = command.output().map_err(|error| error.to_string())?;
            let error = String::from_utf8_lossy(&reported.stderr).into_owned();
            of_document(&String::from_utf8_lossy(&reported.stdout), asked, leak)
                .map_err(|reason| format!("{reason}: {error}"))
        }
        Form::Text => {
            let name = format!(
                "{} CLOSE_WAIT sockets of {}[{}] on :{}",
                leak.sockets, leak.name, leak.pid, leak.port
            );
            let (_, unseen) = ended.stdout.split_once("Not seen").unwrap_or_default();
            Ok(Said {
                leak: ended.stdout.contains(&name) && ended.stdout.contains("never-closed"),
                unseen: lines(
                    unseen.lines().chain(
                        ended
                            .stdout
                            .lines()
                            .filter(|line| line.contains("not read (use -A)")),
                    ),
                ),
            })
        }
        Form::Rows => {
            let port = format!(":{}", leak.port);
            let rows = ended.stdout.lines().filter(|line| {
                let is_held = !asked.owners
                    || line.contains(&format!("[{}]", leak.pid)) && line.contains("never-closed");
                line.contains("CLOSE_WAIT")
                    && line
                        .split_ascii_whitespace()
                        .any(|word| word.ends_with(&port))
                    && is_held
            });
            Ok(Said {
                leak: rows.count() == leak.sockets,
                unseen: lines(ended.stderr.lines()),
            })
        }
        Form::Difference => {
            let document: Value = serde_json::from_str(&ended.stdout).map_err(|_| "no JSON")?;
            let unseen = unseen(&document);
            let total = &document["total"];
            let leak =
                total["still"] == leak.sockets && document["rows"][0]["cause"] == "never-closed";
            if !leak && document["complete"] == true {
                return Err("complete, but without the leak".into());
            }
            Ok(Said { leak, unseen })
        }
        Form::Metrics => {
            let text = std::fs::read_to_string(&asked.file).map_err(|error| error.to_string())?;
            if !text.ends_with("# EOF\n") {
                return Err("metrics without an end".into());
            }
            let count = format!(
                "closewait_sockets{{state=\"CLOSE_WAIT\",side=\"server\",port=\"{}\",program=\"{}\"}} {}\n",
                leak.port, leak.name, leak.sockets
            );
            let cause = format!("{{cause=\"never-closed\"}} {}\n", leak.sockets);
            let is_said = |line: &&str| {
                line.starts_with("closewait_gaps{")
                    || line.ends_with("complete 0")
                    || line.ends_with("known 0")
            };
            Ok(Said {
                leak: text.contains(&count) && text.contains(&cause),
                unseen: lines(text.lines().filter(is_said)),
            })
        }
        Form::Quiet | Form::Check => Ok(Said::default()),
    }
}

fn of_document(text: &str, asked: &Run, leak: &Leak) -> Result<Said, String> {
    let document: Value =
        serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
    let port = u64::from(leak.port);
    // Another run may briefly duplicate one of the sockets, to find its namespace.
    let is_held = |owners: &Value| {
        let owners = owners.as_array().into_iter().flatten();
        !asked.owners || owners.into_iter().any(|owner| owner["pid"] == leak.pid)
    };
    let sum = |name: &str, is_meant: &dyn Fn(&Value) -> bool| -> u64 {
        let all = document[name].as_array().into_iter().flatten();
        let of_port = all.filter(|row| row["local_port"] == port && is_held(&row["owners"]));
        let meant = of_port.filter(|row| is_meant(row));
        meant.filter_map(|row| row["sockets"].as_u64()).sum()
    };
    let grouped = sum("groups", &|group| {
        let is_reported = group["causes"]["never-closed"] == group["sockets"];
        group["state"] == "CLOSE_WAIT" && (is_reported || !asked.owners)
    });
    let found = sum("findings", &|finding| finding["cause"] == "never-closed");
    let leak = [grouped, found] == [leak.sockets as u64; 2];
    if !leak && document["complete"] == true {
        return Err("complete, but without the leak".into());
    }
    let unseen = unseen(&document);
    Ok(Said { leak, unseen })
}

fn unseen(document: &Value) -> BTreeSet<String> {
    let gaps = [document, &document["after"]].map(|part| part["gaps"].as_array());
    let gaps = gaps.into_iter().flatten().flatten();
    let mut reported: BTreeSet<String> = lines(gaps.filter_map(|gap| gap["detail"].as_str()));
    for others in [
        &document["other_namespaces"],
        &document["after"]["other_namespaces"],
    ] {
        reported.extend(others["doubt"].as_str().map(str::to_owned));
        if others["unknown"].as_u64() > Some(0) {
            reported.insert("unknown".into());
        }
    }
    reported
}

/// A text without numbers, which differ from run to run.
fn lines<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let numberless = |line: &str| {
        line.replace(|c: char| c.is_ascii_digit(), "")
            .trim()
            .to_owned()
    };
    lines
        .map(numberless)
        .filter(|line| !line.is_empty())
        .collect()
}
