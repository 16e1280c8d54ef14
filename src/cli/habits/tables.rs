//! What other tools call what closewait has: letters, long options and words, and the answer to each.

/// How to repeat a reading.
const REPEAT: &str = "to repeat it, write `closewait watch 2`";
const SUMMARY: &str = "`closewait` alone counts sockets by state";
const KILL: &str = "closewait closes no sockets; `ss -K` with a filter does";
pub(super) const UNIX: &str = "closewait reads TCP and UDP; for UNIX sockets use `ss -x`";
const RAW: &str = "closewait reads TCP and UDP; for raw sockets use `ss -w`";
const EVENTS: &str = "closewait reads one moment; for events use `ss -E`";
const WHOLE: &str = "every socket is on one line; `-W` keeps all columns";
const FAMILY: &str = "write `-4` for IPv4, `-6` for IPv6";
const TABLES: &str = "write `-t` for TCP, `-u` for UDP, `-tu` for both";
pub(super) const FORM: &str = "write `--json`, `--jsonl`, `--csv` or `--prometheus`";
const GROWTH: &str = "two readings show what grows: `closewait --for 10s`";
const COMPARE: &str = "write `closewait diff EARLIER LATER`";
const LIST: &str = "write `closewait list`";

/// Letters, and what to type instead of each.
pub(super) const LETTERS: [(&str, &str); 17] = [
    ("s", SUMMARY),
    ("K", KILL),
    ("x", UNIX),
    ("w", RAW),
    (
        "0",
        "closewait reads TCP and UDP; for packet sockets use `ss -0`",
    ),
    (
        "S",
        "closewait reads TCP and UDP; for SCTP sockets use `ss -S`",
    ),
    ("M", "MPTCP connections are among those of `-t`"),
    ("E", EVENTS),
    ("O", WHOLE),
    ("jJ", FORM),
    ("zZ", "closewait shows no SELinux contexts; use `ss -Z`"),
    (
        "b",
        "the figures of congestion control are among those of `-i`",
    ),
    (
        "g",
        "closewait reads sockets; for multicast groups use `netstat -g`",
    ),
    (
        "f",
        "write `-4` or `-6` for a family; to repeat a reading `closewait watch 2`",
    ),
    ("F", "write the filter itself: `closewait state close-wait`"),
    ("P", "ports are numbers by default; `-r` shows names"),
    ("?", "write `--help`"),
];

/// Long options, and what to type instead of each.
pub(super) const LONG: [(&str, &str); 39] = [
    ("summary stats statistics", SUMMARY),
    (
        "count",
        "`closewait` alone counts by state, `--by peer` by peer",
    ),
    ("watch follow interval refresh repeat delay loop", REPEAT),
    ("kill close force", KILL),
    ("unix", UNIX),
    ("raw", RAW),
    ("events", EVENTS),
    ("oneline no-trunc full", WHOLE),
    (
        "processes",
        "processes are shown by default; `--program nginx` and `--pid 1234` select them",
    ),
    (
        "process proc-name prog name command comm app",
        "write `--program nginx` or `--pid 1234`",
    ),
    (
        "since until",
        "write `--older-than 1h`, or `age lt 1h` for younger sockets",
    ),
    ("newer-than younger-than max-age", "write `age lt 1h`"),
    ("top head tail lines max", "write `--limit 10`"),
    ("group group-by", "write `--by peer`"),
    ("format form", FORM),
    ("yaml", "closewait prints no YAML; write `--json`"),
    ("sport lport local-port", "write a filter: `sport = :80`"),
    ("dport rport remote-port", "write a filter: `dport = :3306`"),
    ("src local", "write a filter: `src 10.0.0.0/8`"),
    (
        "dst host remote foreign ip address",
        "write `--peer 10.0.0.5` or `--peer 10.0.0.5:3306`",
    ),
    (
        "filter",
        "write the filter itself: `closewait state close-wait`",
    ),
    ("interface iface dev", "write a filter: `dev lo`"),
    ("exclude not", "write a filter: `exclude listen`"),
    ("growth rate delta trend", GROWTH),
    ("diff compare", COMPARE),
    ("family", FAMILY),
    ("query socket sockets protocol", TABLES),
    ("namespace", "write `-N NAME`, or `-A` for all of them"),
    ("all-namespaces", "write `-A`"),
    (
        "service",
        "write `--unit nginx.service`, or `--port http` for a port",
    ),
    ("uid", "write `--user 1000`"),
    (
        "no-pager",
        "output never goes through a pager; leave it out",
    ),
    (
        "numeric-ports numeric-hosts no-resolve no-dns",
        "numbers are the default; leave it out",
    ),
    ("once", "closewait reads once; leave it out"),
    ("no-color nocolor", "write `--color never`"),
    ("colour", "write `--color auto`"),
    ("debug", "write `-v`"),
    (
        "file input",
        "write `--from FILE` to read a recording, `--output FILE` to write a file",
    ),
    (
        "context contexts",
        "closewait shows no SELinux contexts; use `ss -Z`",
    ),
];

/// Words that stand where a command or a filter is expected.
pub(super) const WORDS: [(&str, &str); 19] = [
    ("json jsonl csv prometheus", FORM),
    ("yaml", "closewait prints no YAML; write `--json`"),
    ("wide", "write `-W`"),
    ("top monitor live follow loop repeat", REPEAT),
    ("summary stats statistics count", SUMMARY),
    (
        "ls ps show get netstat ss sockets connections conns print",
        LIST,
    ),
    ("status health test nagios", "write `closewait check`"),
    ("kill close", KILL),
    (
        "save dump capture snapshot export",
        "write `closewait record FILE`",
    ),
    (
        "why describe info doc docs man manual",
        "write `closewait explain never-closed`, or `closewait man` for the manual page",
    ),
    ("compare", COMPARE),
    ("grow growth growing rate trend", GROWTH),
    (
        "leak leaks findings problems",
        "`closewait` alone shows findings",
    ),
    ("completion", "write `closewait completions bash`"),
    ("group groups", "write `--by peer`"),
    ("states", "write `--by state`"),
    ("ports", "write `--by port`"),
    ("processes programs apps", "write `--by program`"),
    ("peers clients hosts", "write `--by peer`"),
];
