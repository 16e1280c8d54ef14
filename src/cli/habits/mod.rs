//! Options and words of ss, netstat, lsof and other tools that closewait does not have, and what to type
//! instead. That stands in backquotes: options, filters and commands of closewait, or a command of another
//! tool. `tests/habits.rs` runs them.

mod tables;

use clap::Arg;

use self::tables::{FORM, LETTERS, LONG, UNIX, WORDS};
use crate::filter;
use crate::model::{Cause, StateSet};

/// The hint in a row with this word.
fn among<const N: usize>(rows: &[(&str, &'static str); N], word: &str) -> Option<&'static str> {
    let row = rows
        .iter()
        .find(|(words, _)| words.split(' ').any(|known| known == word))?;
    Some(row.1)
}

/// What to type in place of an option that does not exist. `flag` is what could not be read: of the
/// word `-iTCP` it is `-T`.
pub(super) enum Instead {
    /// Of the option.
    Option(String),
    /// Of a whole word, such as `-iTCP`; the text names it.
    Word(String),
}

pub(super) fn instead_of(flag: &str, words: &[&str]) -> Option<Instead> {
    if let Some(long) = flag.strip_prefix("--") {
        let value = words.iter().enumerate().find_map(|(at, word)| {
            let rest = word.strip_prefix(flag)?;
            match rest.strip_prefix('=') {
                Some(value) => Some(value),
                None if rest.is_empty() => words.get(at + 1).copied(),
                None => None,
            }
        });
        let value = value.filter(|value| !value.is_empty() && !value.starts_with('-'));
        return value
            .and_then(|value| of_long_with(long, value, words))
            .or_else(|| of_long(long))
            .map(Instead::Option);
    }
    let letter = flag.chars().nth(1)?;
    let has_letter =
        |word: &&str| word.starts_with('-') && !word.starts_with("--") && word.contains(letter);
    let mut rest = words.iter().copied();
    let word = rest.find(has_letter).unwrap_or(flag);
    let next = rest.next().unwrap_or_default();
    if let Some(instead) = of_whole(word, next, words) {
        return Some(Instead::Word(instead));
    }
    let row = LETTERS.iter().find(|(letters, _)| letters.contains(letter));
    row.map(|(_, hint)| Instead::Option((*hint).to_owned()))
}

/// How to repeat a reading after this many seconds.
fn repeat(seconds: &str, words: &[&str]) -> String {
    let is_time = seconds
        .parse()
        .is_ok_and(|seconds: f64| (0.1..=86400.0).contains(&seconds));
    let seconds = if is_time { seconds } else { "2" };
    let page = if words.contains(&"list") { " list" } else { "" };
    format!("to repeat it, write `closewait watch {seconds}{page}`")
}

/// What to type in place of an option of monitoring plugins.
pub(super) fn of_plugin(flag: &str, words: &[&str]) -> Option<String> {
    let at = words.iter().position(|word| word.starts_with(flag))?;
    let value = match words.get(at)?.strip_prefix(flag)? {
        "" => words.get(at + 1).copied().unwrap_or_default(),
        stuck => stuck,
    };
    let is_state = value.parse::<StateSet>().is_ok();
    match flag {
        "-H" if !value.is_empty() && !value.starts_with('-') => {
            Some("check reads this host; leave out -H".to_owned())
        }
        "-s" if is_state => Some(format!("for -s {value} write `--state {value}`")),
        "-p" | "-C" if value.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            Some(format!("for {flag} {value} write `--program {value}`"))
        }
        _ => None,
    }
}

/// What to type in place of a long option with this value.
fn of_long_with(long: &str, value: &str, words: &[&str]) -> Option<String> {
    let is_time = filter::duration(value).is_ok();
    let ports = filter::is_ports(value);
    Some(match long {
        "colour" => format!("write `--color {value}`"),
        "watch" | "interval" | "refresh" | "repeat" | "delay" | "loop" => repeat(value, words),
        "top" | "head" | "tail" | "lines" | "max" if is_number(value) => {
            format!("write `--limit {value}`")
        }
        "since" | "until" if is_time => {
            format!("write `--older-than {value}`, or `age lt {value}` for younger sockets")
        }
        "newer-than" | "younger-than" | "max-age" if is_time => format!("write `age lt {value}`"),
        "sport" | "lport" | "local-port" if is_number(value) && ports => {
            format!("write a filter: `sport = :{value}`")
        }
        "dport" | "rport" | "remote-port" if is_number(value) && ports => {
            format!("write a filter: `dport = :{value}`")
        }
        "dst" | "host" | "remote" | "foreign" | "ip" | "address" => {
            format!("write `--peer {value}`")
        }
        "src" | "local" => format!("write a filter: `src {value}`"),
        "process" | "proc-name" | "prog" | "name" | "command" | "comm" | "app" => {
            let option = if is_number(value) { "pid" } else { "program" };
            format!("write `--{option} {value}`")
        }
        "uid" => format!("write `--user {value}`"),
        "exclude" | "not" if value.parse::<StateSet>().is_ok() => {
            format!("write a filter: `exclude {value}`")
        }
        _ => return None,
    })
}

/// The name of a state or a cause as an option, or an option of another tool.
fn of_long(long: &str) -> Option<String> {
    if let Some(hint) = among(&LONG, long) {
        return Some(hint.to_owned());
    }
    if long.parse::<Cause>().is_ok() {
        return Some(format!("write `--cause {long}`"));
    }
    let is_state = long.parse::<StateSet>().is_ok();
    is_state.then(|| format!("write `--state {long}`"))
}

/// An option with its value, as other tools have it: `-iTCP:8080`, `-n1`, `-f inet`.
fn of_whole(word: &str, next: &str, words: &[&str]) -> Option<String> {
    if let Some((letters, port)) = word.split_once("i:")
        && letters != "-"
        && filter::is_ports(port)
    {
        return Some(format!("for {word} write `--port {port}`"));
    }
    let (option, rest) = word.split_at_checked(2)?;
    let value = if rest.is_empty() { next } else { rest };
    let starts = |of: fn(char) -> bool| rest.starts_with(of);
    let instead = match option {
        "-i" if let Some(instead) = of_lsof(rest) => instead,
        "-s" if let Some((_, state)) = rest.split_once(':') => match state.strip_prefix('^') {
            Some(state) => format!("`exclude {state}`"),
            None => format!("`--state {state}`"),
        },
        "-p" if is_number(rest) => format!("`--pid {rest}`"),
        "-o" if is_form(rest) => return Some(format!("{word}: {FORM}")),
        "-n" | "-c" | "-d" if starts(|c| c.is_ascii_digit()) => {
            return Some(format!("{word}: {}", repeat(rest, words)));
        }
        "-d" if is_number(next) => return Some(format!("{word} {next}: {}", repeat(next, words))),
        "-f" => match value {
            "unix" => return Some(UNIX.to_owned()),
            "inet" => "`-4`".to_owned(),
            "inet6" => "`-6`".to_owned(),
            _ => return None,
        },
        _ => return None,
    };
    Some(format!("for {option} {value} write {instead}"))
}

/// The options for `TCP`, `4TCP:8080`, `:8080` and `@10.0.0.5` of lsof's -i.
fn of_lsof(value: &str) -> Option<String> {
    let family = match value.chars().next()? {
        '4' => " -4",
        '6' => " -6",
        _ => "",
    };
    let rest = value.trim_start_matches(['4', '6']);
    let end = rest.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let protocol = match rest.strip_suffix(end)?.to_ascii_lowercase().as_str() {
        "udp" => "-u",
        "tcp" => "-t",
        "" if !end.is_empty() => "-t",
        _ => return None,
    };
    let (host, port) = match (end.strip_prefix('@'), end.strip_prefix(':')) {
        (Some(host), _) => (format!(" --peer {host}"), String::new()),
        (_, Some(port)) => (String::new(), format!(" --port {port}")),
        _ if end.is_empty() => (String::new(), String::new()),
        _ => return None,
    };
    Some(format!("`{protocol}{family}{port}{host}`"))
}

/// What to type in place of a word with one dash that could also be read as several letters, such as
/// `-itcp`, or `-port` before its value. `option` is the option of this name.
pub(super) fn of_one_dash(word: &str, option: Option<&Arg>, next: Option<&str>) -> Option<String> {
    if let Some(instead) = word.strip_prefix("-i").and_then(of_lsof) {
        return Some(format!("for {word} write {instead}"));
    }
    let (name, value) = match word.strip_prefix('-')?.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word.strip_prefix('-')?, None),
    };
    let is_state = || name.parse::<StateSet>().is_ok();
    let instead = match option {
        Some(option) if option.get_action().takes_values() => {
            format!("--{name} {}", value.or(next)?)
        }
        Some(_) => format!("--{name}"),
        None if matches!(name, "help" | "version") => format!("--{name}"),
        None if is_state() => format!("--state {name}"),
        None => return None,
    };
    Some(format!("for {word} write `{instead}`, with two dashes"))
}

/// What to type in place of `-Atcp` of ss, which could also be read as four letters.
pub(super) fn of_tables(word: &str) -> Option<String> {
    tables(word.strip_prefix("-A")?)
}

/// What to type in place of an option and a word that other tools take as its value.
pub(super) fn of_value(option: &str, word: &str, words: &[&str]) -> Option<String> {
    let letters = option.strip_prefix('-')?;
    if letters.starts_with('-') {
        return None;
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_@".contains(c);
    match letters.chars().next_back()? {
        'A' => tables(word).map(|hint| format!("-A reads every network namespace; {hint}")),
        'o' if is_form(word) => Some(format!("{option} {word}: {FORM}")),
        'n' | 'c' if word.parse::<f64>().is_ok() => {
            Some(format!("{option} {word}: {}", repeat(word, words)))
        }
        'p' if filter::is_ports(word) && is_number(word) => Some(format!(
            "-p takes no value; write `--pid {word}`, or `--port {word}` for a port"
        )),
        'p' if is_number(word) => Some(format!("-p takes no value; write `--pid {word}`")),
        'i' if is_number(word) || word.starts_with(':') => Some(format!(
            "-i takes no value; write `--port {}`",
            word.trim_start_matches(':')
        )),
        'i' => of_lsof(word).map(|instead| format!("for {option} {word} write {instead}")),
        'u' if word.contains('.') => Some(format!("-u selects UDP; write `--unit {word}`")),
        'u' if word.chars().all(is_name) && !is_number(word) => Some(format!(
            "-u selects UDP; write `--user {word}`, or `--unit {word}` for a unit"
        )),
        _ => None,
    }
}

/// What to type in place of a word that begins no condition and is no command.
pub fn of_unknown(word: &str) -> Option<&'static str> {
    among(&WORDS, word)
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_form(word: &str) -> bool {
    let word = word.trim_start_matches('=');
    ["json", "yaml", "wide", "name", "csv"].contains(&word)
}

/// The options for the socket tables of ss's -A, such as `tcp,udp`.
fn tables(list: &str) -> Option<String> {
    const OTHERS: &str = "raw unix unix_dgram unix_stream unix_seqpacket packet packet_raw packet_dgram \
                          dccp sctp vsock vsock_stream vsock_dgram netlink tipc xdp";
    let list = list.trim_start_matches('=');
    let other = |one: &&str| OTHERS.split(' ').any(|known| known == *one);
    let (mut tcp, mut udp) = (false, false);
    for one in list.split(',') {
        match one {
            "tcp" | "mptcp" => tcp = true,
            "udp" => udp = true,
            "all" | "inet" => (tcp, udp) = (true, true),
            one if other(&one) => {}
            _ => return None,
        }
    }
    let letters = match (tcp, udp) {
        (true, true) => "-tu",
        (true, false) => "-t",
        (false, true) => "-u",
        (false, false) => {
            return Some(format!(
                "closewait reads TCP and UDP; for other sockets use `ss -A {list}`"
            ));
        }
    };
    Some(format!("for -A {list} of ss write `{letters}`"))
}
