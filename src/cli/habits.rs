//! Options of ss, netstat, lsof and other tools that closewait does not have, and what to type instead.

const LETTERS: [(char, &str); 11] = [
    ('s', "`closewait` alone counts sockets by state"),
    ('K', KILL),
    (
        'x',
        "closewait reads TCP and UDP; for UNIX sockets use ss -x",
    ),
    (
        'w',
        "closewait reads TCP and UDP; for raw sockets use ss -w",
    ),
    (
        '0',
        "closewait reads TCP and UDP; for packet sockets use ss -0",
    ),
    ('E', "closewait reads one moment; for events use ss -E"),
    ('O', "every socket is on one line already"),
    ('j', "write --json"),
    ('Z', "closewait shows no SELinux contexts; use ss -Z"),
    ('b', "for the figures of congestion control use -i"),
    (
        'g',
        "closewait reads sockets; for multicast groups use netstat -g",
    ),
];

const REPEAT: &str = "to repeat it, write `closewait watch 2`";
const KILL: &str = "closewait closes nothing; `ss -K FILTER` does";
const AGE: &str = "write --older-than TIME, or compare readings with `closewait diff`";
const FORM: &str = "write --json, --jsonl, --csv or --prometheus";
const END: &str = "write it as a filter: sport = :80, dport = :3306, port = :8080";

const LONG: [(&str, &str); 29] = [
    ("summary", "`closewait` alone counts sockets by state"),
    ("watch", REPEAT),
    ("follow", REPEAT),
    ("interval", REPEAT),
    ("refresh", REPEAT),
    ("kill", KILL),
    ("close", KILL),
    (
        "unix",
        "closewait reads TCP and UDP; for UNIX sockets use ss -x",
    ),
    (
        "raw",
        "closewait reads TCP and UDP; for raw sockets use ss -w",
    ),
    ("events", "closewait reads one moment; for events use ss -E"),
    ("oneline", "every socket is on one line already"),
    (
        "processes",
        "processes are shown by default; --program and --pid select them",
    ),
    ("process", "write --program NAME or --pid PID"),
    ("name", "write --program NAME"),
    ("since", AGE),
    ("age", AGE),
    ("min-age", AGE),
    ("idle", AGE),
    ("top", "write --limit N"),
    (
        "count",
        "`closewait` alone counts sockets by state; see also --by",
    ),
    ("group-by", "write --by"),
    ("format", FORM),
    ("sport", END),
    ("dport", END),
    ("src", "write it as a filter: src 10.0.0.0/8"),
    (
        "dst",
        "write --peer 10.0.0.5, or a filter: dst 10.0.0.5:3306",
    ),
    (
        "host",
        "write --peer 10.0.0.5, or a filter: dst 10.0.0.5:3306",
    ),
    (
        "remote",
        "write --peer 10.0.0.5, or a filter: dst 10.0.0.5:3306",
    ),
    (
        "namespace",
        "write -N NAME, or -A for all network namespaces",
    ),
];

/// What to type in place of an option that does not exist. `flag` is what could not be read, such as
/// `-T` of the word `-iTCP`.
pub(super) fn instead_of<'a>(
    flag: &str,
    mut words: impl Iterator<Item = &'a str>,
) -> Option<String> {
    if let Some(long) = flag.strip_prefix("--") {
        let known = LONG.iter().find(|(name, _)| *name == long);
        return known.map(|(_, hint)| (*hint).to_owned());
    }
    let letter = flag.chars().nth(1)?;
    let has_letter =
        |word: &&str| word.starts_with('-') && !word.starts_with("--") && word.contains(letter);
    let word = words.find(has_letter).unwrap_or(flag);
    let rest = word.get(2..).unwrap_or_default();
    match (word.chars().nth(1)?, rest) {
        ('i', rest)
            if rest.starts_with(|c: char| c.is_ascii_uppercase() || c == ':' || c == '@') =>
        {
            Some(format!(
                "for {word} of lsof, write -t, -u, --port PORT or --peer ADDRESS"
            ))
        }
        ('s', rest) if rest.contains(':') => {
            let state = rest.split(':').nth(1).unwrap_or_default();
            Some(format!("for {word} of lsof, write --state {state}"))
        }
        ('p', pid) if !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(format!("for {word}, write --pid {pid}"))
        }
        ('n' | 'c', number) if number.starts_with(|c: char| c.is_ascii_digit()) => {
            Some(REPEAT.to_owned())
        }
        _ => {
            let known = LETTERS.iter().find(|(known, _)| *known == letter);
            known.map(|(_, hint)| (*hint).to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::command::Command;

    #[test]
    fn what_other_tools_have_is_answered_with_what_to_type() {
        for (line, hint) in [
            ("-s", "counts sockets by state"),
            ("-K", "ss -K FILTER"),
            ("-x", "ss -x"),
            ("-w", "ss -w; or use it with `closewait check`"),
            ("-E", "ss -E"),
            ("-O", "on one line already"),
            ("-j", "--json"),
            ("-iTCP", "for -iTCP of lsof, write -t"),
            ("-i:8080", "for -i:8080 of lsof, write -t"),
            ("-sTCP:CLOSE_WAIT", "--state CLOSE_WAIT"),
            ("-p1234", "--pid 1234"),
            ("-n1", "closewait watch 2"),
            ("--watch", "closewait watch 2"),
            ("--interval 1", "closewait watch 2"),
            ("--processes", "shown by default"),
            ("--kill", "ss -K FILTER"),
            ("--sport 80", "sport = :80"),
            ("--summary", "counts sockets by state"),
            ("--follow", "closewait watch 2"),
            ("--since 1h", "--older-than"),
            ("--top 5", "--limit N"),
            ("--format json", "--json"),
            ("list --kill", "ss -K FILTER"),
            ("list -w", "use it with `closewait check`"),
            ("--staet x", "did you mean --state?"),
            ("list --frobnicate", "`closewait list --help` lists them"),
        ] {
            let words = ["closewait"].into_iter().chain(line.split(' '));
            let error = Command::read(words).expect_err(line).to_string();
            assert!(error.contains(hint), "{line}: {error}");
            assert!(!error.contains("as a value"), "{line}: {error}");
        }
    }
}
