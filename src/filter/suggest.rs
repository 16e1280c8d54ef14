//! Hints for a word that begins no condition.

use std::net::Ipv6Addr;

use super::error::Problem;
use super::key::KEYS;
use super::lexer::Word;
use super::network::Network;
use super::ports::is_ports;
use crate::model::{Cause, StateSet, nearest};

/// The error for a word that begins no condition, with a hint where one is likely to help.
pub(super) fn unknown(word: &Word) -> Problem {
    let text = &word.text;
    let words = KEYS
        .iter()
        .map(|(name, _)| *name)
        .chain(["state", "exclude", "and", "or", "not"]);
    let problem = Problem {
        is_unknown: true,
        ..Problem::new(format!("unknown condition {text:?}"))
    };
    // Word processors make one dash of two hyphens.
    if let Some(option) = text.strip_prefix(['–', '—', '−']) {
        let hyphens = if option.chars().count() > 1 {
            "--"
        } else {
            "-"
        };
        let option = option.trim_start_matches('-');
        return problem.hint(format!("write hyphens: {hyphens}{option}"));
    }
    if let Some(condition) = condition(text) {
        return problem.hint(format!("write `{condition}`"));
    }
    let spaced = spaced(text);
    if let [key, operator @ ("=" | "!="), value] = *spaced.split(' ').collect::<Vec<_>>()
        && let Some(key) = key_of(key)
        && let Some(hint) = several(key, operator == "!=", value)
    {
        return problem.hint(hint);
    }
    let begins = |name: &str| KEYS.iter().any(|(key, _)| *key == name) || name == "state";
    let mut apart = spaced
        .split(' ')
        .skip_while(|part| matches!(*part, "(" | "!"));
    if spaced != *text && apart.next().is_some_and(begins) {
        return problem.hint(format!("write `{spaced}`, with spaces"));
    }
    if text.parse::<StateSet>().is_ok() {
        return problem.hint(format!("write `state {text}`"));
    }
    match nearest(text, words) {
        Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
        None => problem,
    }
}

/// The condition that these words were probably meant as, if key, operator or value are spelled as
/// elsewhere, or stick together: `name=nginx`, `age gte 5m`, `state not listen`. The caller makes sure
/// that it is one.
pub(super) fn meant(words: &[Word]) -> Option<String> {
    let texts: Vec<&str> = words.iter().take(4).map(|word| &*word.text).collect();
    let text = texts.join(" ");
    let is_end = |c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_';
    let (name, rest) = text.split_at_checked(text.find(is_end)?)?;
    let (operator, rest) = operator_of(rest)?;
    let is_value =
        |value: &&str| !value.is_empty() && !value.starts_with(['=', '<', '>', '!', '~']);
    let value = rest.split(' ').next().filter(is_value)?;
    let key = match key_of(name) {
        Some(key) => key,
        // Without an operator, it may be a name.
        None if operator.is_empty() => return None,
        None => nearest(name, KEYS.iter().map(|(name, _)| *name).chain(["state"]))?,
    };
    let condition = match (key, operator) {
        ("state", "" | "=") => format!("state {value}"),
        ("state", "!=") => format!("exclude {value}"),
        ("src" | "dst", "" | "=") => format!("{key} {value}"),
        ("src" | "dst", "!=") => format!("not {key} {value}"),
        // "At least", which needs no quotes in a shell.
        ("age", "" | "=") => format!("age {value}"),
        ("sport" | "dport", "" | "=") => format!("{key} = :{}", value.trim_start_matches(':')),
        (_, "") => format!("{key} = {value}"),
        _ => format!("{key} {operator} {value}"),
    };
    (condition != text).then_some(condition)
}

/// The condition meant by a key, a word that was taken as its value, and a word that begins no
/// condition: `program like nginx`, or `program ~ nginx`, where the shell replaced ~ by a directory.
pub(super) fn meant_by([key, between, value]: [&Word; 3]) -> Option<String> {
    let is_key = KEYS.iter().any(|(name, _)| *name == key.text);
    let is_home = between.text.starts_with('/')
        && matches!(key.text.as_str(), "program" | "unit" | "container");
    let operator = match operator_of(&format!(" {} ", between.text)) {
        Some((operator, "")) if !operator.is_empty() => operator,
        _ if is_home => "~",
        _ => return None,
    };
    is_key.then(|| format!("{} {operator} {}", key.text, value.text))
}

/// The key that a name of other tools stands for, and a key itself.
fn key_of(name: &str) -> Option<&'static str> {
    Some(match name {
        "name" | "process" | "proc" | "prog" | "command" | "comm" | "exe" | "app" | "owner" => {
            "program"
        }
        "uid" | "username" => "user",
        "status" | "state" => "state",
        "peer" | "host" | "remote" | "foreign" | "raddr" => "dst",
        "local" | "laddr" => "src",
        "rport" | "remote-port" | "remote_port" | "peer-port" | "peer_port" => "dport",
        "lport" | "local-port" | "local_port" => "sport",
        "service" => "unit",
        "namespace" | "ns" => "netns",
        "interface" | "iface" => "dev",
        "mark" => "fwmark",
        "recv-q" | "recv_q" | "rq" => "recvq",
        "send-q" | "send_q" | "sq" => "sendq",
        "older" | "idle_ms" | "min-age" | "since" => "age",
        _ => {
            return KEYS
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(key, _)| *key);
        }
    })
}

/// The operator at the start of a text, spelled so that it needs no quotes in a shell if there is such
/// a spelling, and the text after it. It is empty if there is none.
fn operator_of(text: &str) -> Option<(&'static str, &str)> {
    // Longer ones come first.
    const MARKS: [(&str, &str); 15] = [
        ("=~", "~"),
        ("!~", "!~"),
        ("<>", "!="),
        ("!=", "!="),
        ("=>", "ge"),
        (">=", "ge"),
        ("=<", "le"),
        ("<=", "le"),
        ("==", "="),
        ("=", "="),
        (":", "="),
        (">", "gt"),
        ("<", "lt"),
        ("~", "~"),
        ("!", "!="),
    ];
    const WORDS: [(&str, &str); 18] = [
        ("is not ", "!="),
        ("is ", "="),
        ("not ", "!="),
        ("equals ", "="),
        ("eq ", "="),
        ("ne ", "!="),
        ("neq ", "!="),
        ("gte ", "ge"),
        ("ge ", "ge"),
        ("geq ", "ge"),
        ("lte ", "le"),
        ("le ", "le"),
        ("leq ", "le"),
        ("gt ", "gt"),
        ("lt ", "lt"),
        ("like ", "~"),
        ("matches ", "~"),
        ("contains ", "~"),
    ];
    let is_apart = text.starts_with(' ');
    let text = text.trim_start();
    let mut all = MARKS.iter().chain(&WORDS);
    // `port :8080` has no operator.
    let begins = |(mark, _): &&(&str, &str)| text.starts_with(mark) && !(is_apart && *mark == ":");
    match all.find(begins) {
        Some((mark, operator)) => Some((*operator, text.strip_prefix(mark)?.trim_start())),
        None => is_apart.then_some(("", text)),
    }
}

/// The condition as it is typed in a shell, which would replace an unquoted ~ by a directory.
pub(super) fn typed(condition: &str) -> String {
    condition.replace(" ~ ", " '~' ").replace(" !~ ", " '!~' ")
}

/// The condition that a value alone, or a word of other tools, was probably meant as.
fn condition(text: &str) -> Option<String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.strip_prefix(':').unwrap_or_default();
    let (host, end) = text.rsplit_once(':').unwrap_or((text, "0"));
    let is_host = host.parse::<Network>().is_ok() && end.parse::<u16>().is_ok();
    Some(match text {
        _ if is_number && text.parse::<u16>().is_ok() => {
            format!("port = {text}` or `pid = {text}")
        }
        _ if is_number => format!("pid = {text}"),
        _ if is_ports(text) => format!("--port {text}"),
        _ if text.starts_with("*:") && is_ports(text.trim_start_matches("*:")) => {
            format!("--port {}", text.trim_start_matches("*:"))
        }
        _ if text.parse::<Cause>().is_ok() => format!("cause = {text}"),
        _ if text.ends_with(".cw") => format!("--from {text}"),
        _ if port.parse::<u16>().is_ok() => format!("port = {text}"),
        // In ss, the part after the last colon would be a port.
        _ if text.parse::<Ipv6Addr>().is_ok() => format!("--peer {text}"),
        _ if text.ends_with(".service") => format!("unit = {text}"),
        _ if text.starts_with("net:[") => format!("-N {text}"),
        _ if host == "localhost" && end.parse::<u16>().is_ok() => format!("dst {text}"),
        _ if is_host || text.parse::<Network>().is_ok() => format!("dst {text}"),
        "peer" | "host" | "remote" => "dst HOST".to_owned(),
        "local" => "src HOST".to_owned(),
        // Without an operator it means "at least", and needs no quotes in a shell.
        "older" | "idle_ms" | "min-age" => "age 5m".to_owned(),
        "younger" | "since" => "age lt 5m".to_owned(),
        "process" | "name" | "command" | "comm" | "owner" => "program = NAME".to_owned(),
        "service" => "unit = NAME` or `port = NAME".to_owned(),
        "uid" => "user = NAME".to_owned(),
        "ip" | "addr" | "address" => "src HOST` or `dst HOST".to_owned(),
        "tcp" | "tcp6" => "-t".to_owned(),
        "udp" | "udp6" => "-u".to_owned(),
        "inet" | "ipv4" => "-4".to_owned(),
        "inet6" | "ipv6" => "-6".to_owned(),
        "listen" | "listening" | "listeners" => "-l` or `state listen".to_owned(),
        _ => return None,
    })
}

/// What to write in place of `port 80,443` and `port 8000-8099`, which options take.
pub(super) fn several(key: &str, is_negative: bool, value: &str) -> Option<String> {
    if value.contains(',') {
        let (operator, joint) = if is_negative {
            ("!=", " and ")
        } else {
            ("=", " or ")
        };
        let each: Vec<String> = value
            .split(',')
            .filter(|one| !one.is_empty())
            .map(|one| format!("{key} {operator} {one}"))
            .collect();
        return Some(format!("write `{}`", each.join(joint)));
    }
    let bare = value.strip_prefix(':').unwrap_or(value);
    let (first, last) = bare.split_once('-').filter(|_| key.ends_with("port"))?;
    let last = last.strip_prefix(':').unwrap_or(last);
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let option = format!("--port {first}-{last}");
    let range = || match key {
        "port" => format!("write `{option}`"),
        _ => {
            format!("write `{key} ge :{first} and {key} le :{last}`, or for either end `{option}`")
        }
    };
    (is_port(first) && is_port(last)).then(range)
}

/// The text with spaces around parentheses and operators.
fn spaced(text: &str) -> String {
    let is_mark = |c: char| matches!(c, '=' | '<' | '>' | '!' | '~' | '&' | '|');
    let mut spaced = String::new();
    let mut before = ' ';
    for c in text.chars() {
        let apart = matches!(c, '(' | ')') || matches!(before, '(' | ')');
        if before != ' ' && (apart || is_mark(before) != is_mark(c)) {
            spaced.push(' ');
        }
        spaced.push(c);
        before = c;
    }
    spaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_alone_is_shown_as_a_condition() {
        for (word, condition) in [
            ("8080", "port = 8080` or `pid = 8080"),
            (":8080", "port = :8080"),
            ("70000", "pid = 70000"),
            ("10.0.0.5", "dst 10.0.0.5"),
            ("10.0.0.5:8443", "dst 10.0.0.5:8443"),
            ("10.0.0.0/8", "dst 10.0.0.0/8"),
            ("[::1]:80", "dst [::1]:80"),
            ("peer", "dst HOST"),
            ("older", "age 5m"),
            ("idle_ms", "age 5m"),
            ("listen", "-l` or `state listen"),
        ] {
            let error = crate::filter::parse(word, &crate::filter::NoNames).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(&format!("write `{condition}`")), "{text}");
        }
    }

    #[test]
    fn words_that_stick_together_are_shown_apart() {
        assert_eq!(spaced("sport=:80"), "sport = :80");
        assert_eq!(spaced("((sport>=:80)"), "( ( sport >= :80 )");
        assert_eq!(spaced("sport"), "sport");
    }
}
