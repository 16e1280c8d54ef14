//! Hints for a word that begins no condition.

use std::net::Ipv6Addr;

use super::error::Problem;
use super::key::KEYS;
use super::lexer::Word;
use super::network::Network;
use crate::model::{StateSet, nearest};

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
    if let Some(condition) = condition(text) {
        return problem.hint(format!("write `{condition}`"));
    }
    let spaced = spaced(text);
    if spaced != *text {
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
pub(super) fn several(key: &str, value: &str) -> Option<String> {
    if value.contains(',') {
        let each: Vec<String> = value
            .split(',')
            .map(|one| format!("{key} = {one}"))
            .collect();
        return Some(format!("write `{}`", each.join(" or ")));
    }
    let (first, last) = value.split_once('-').filter(|_| key.ends_with("port"))?;
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let is_range = is_port(first) && is_port(last);
    let range = || match key {
        "port" => format!("write `--port {value}`"),
        _ => format!("write `{key} ge {first} {key} le {last}`"),
    };
    is_range.then(range)
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
