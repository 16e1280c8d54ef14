//! What a run may say of a leak that is there: all of it, or that something was not seen. Never that
//! all is well.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::inject::Ended;
use crate::lab::closewait;

/// What a command prints, and so how it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Json,
    Text,
    Rows,
    Quiet,
    Check,
    /// Writes a recording.
    Recording,
    Difference,
    /// Writes metrics.
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
pub struct Asked {
    pub form: Form,
    pub args: Vec<String>,
    pub file: PathBuf,
    /// Owners and causes are of what it tells.
    pub owners: bool,
}

/// What it said: whether the whole leak, and what it did not see.
#[derive(Debug, Clone, Default)]
pub struct Said {
    pub leak: bool,
    pub unseen: BTreeSet<String>,
}

/// What came of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All of the leak was told.
    Whole,
    /// And that something was not seen.
    Partial,
    /// Nothing was told, or a check is UNKNOWN, in words.
    Refused,
}

/// Judges a run; by a run of the same without a fault, what is never seen on this host is no news.
///
/// # Errors
/// What it must not have said or done.
pub fn judge(asked: &Asked, leak: &Leak, ended: &Ended, clean: &Said) -> Result<Outcome, String> {
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
        .filter(|line| !line.contains("not seen: ") && !line.contains("not looked at"))
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
        // It is whole, where only the line that says so could not be written.
        let is_recorded = asked.form == Form::Recording && asked.file.exists();
        if is_recorded && !said(asked, leak, ended)?.leak {
            return Err("an error, and half a recording all the same".into());
        }
        return Ok(Outcome::Refused);
    }
    let said = said(asked, leak, ended)?;
    let new: Vec<&String> = said.unseen.difference(&clean.unseen).collect();
    if !said.leak && new.is_empty() {
        return Err("the leak is not told, and nothing is said to be unseen".into());
    }
    Ok(if new.is_empty() {
        Outcome::Whole
    } else {
        Outcome::Partial
    })
}

/// Reads what a run has printed or written.
///
/// # Errors
/// Where it is not of its form.
pub fn said(asked: &Asked, leak: &Leak, ended: &Ended) -> Result<Said, String> {
    match asked.form {
        Form::Json => of_document(&ended.stdout, asked, leak),
        Form::Recording => {
            let mut command = Command::new(closewait());
            command.args(["--json", "--from"]).arg(&asked.file);
            let told = command.output().map_err(|error| error.to_string())?;
            let error = String::from_utf8_lossy(&told.stderr).into_owned();
            of_document(&String::from_utf8_lossy(&told.stdout), asked, leak)
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
                            .filter(|line| line.contains("not looked at")),
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

fn of_document(text: &str, asked: &Asked, leak: &Leak) -> Result<Said, String> {
    let document: Value =
        serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
    let port = u64::from(leak.port);
    // Another run may share one of them for a moment, to ask where it lives.
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
        let is_told = group["causes"]["never-closed"] == group["sockets"];
        group["state"] == "CLOSE_WAIT" && (is_told || !asked.owners)
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
    let mut told: BTreeSet<String> = lines(gaps.filter_map(|gap| gap["detail"].as_str()));
    for others in [
        &document["other_namespaces"],
        &document["after"]["other_namespaces"],
    ] {
        told.extend(others["doubt"].as_str().map(str::to_owned));
        if others["unknown"].as_u64() > Some(0) {
            told.insert("unknown".into());
        }
    }
    told
}

/// Without numbers, which differ from run to run.
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
