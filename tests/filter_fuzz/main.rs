//! Random texts that look like filters: none crashes the parser, and a program for the kernel
//! accepts every socket that its filter selects.
//!
//! `PROPTEST_CASES=1000000 cargo test --release --test filter_fuzz` tries a million texts.

mod check;
mod compile;

use proptest::prelude::*;

/// Words of the language, and some other words.
const WORDS: &[&str] = &[
    "(",
    ")",
    "and",
    "or",
    "not",
    "!",
    "&",
    "||",
    "state",
    "exclude",
    "src",
    "dst",
    "sport",
    "dport",
    "port",
    "dev",
    "fwmark",
    "cgroup",
    "autobound",
    "pid",
    "program",
    "user",
    "inode",
    "cause",
    "idle",
    "recvq",
    "sendq",
    "side",
    "netns",
    "unit",
    "=",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "~",
    "!~",
    "eq",
    "geq",
    "close-wait",
    "connected",
    "listening",
    "all",
    "bound-inactive",
    "10.1.0.1",
    "10.0.0.0/8",
    "0/0",
    "10/8:443",
    "[::1]:80",
    "::/0",
    "::ffff:0:0/96",
    "2001:db8::/32",
    "inet:*",
    "inet6:*",
    "vm",
    "*",
    ":80",
    "*:443",
    ":http",
    ":0",
    ":65535",
    ":32768",
    "0x50",
    "0",
    "1",
    "80",
    "5/0x4",
    "0x1/0x1",
    "/a",
    "lo",
    "root",
    "never-closed",
    "5m",
    "64k",
    "server",
    "client",
    "java",
    "\"^java\"",
    "'a b'",
    "\\(",
    "\"",
    "\\",
    "[",
    "]:80",
    "é",
    "\u{202e}",
    "",
];

fn texts() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        20 => prop::sample::select(WORDS).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    prop::collection::vec(word, 0..16).prop_map(|words| words.join(" "))
}

/// Valid filters, by the grammar.
fn filters() -> impl Strategy<Value = String> {
    let word = |words: &'static [&'static str]| prop::sample::select(words);
    let operator = || {
        word(&[
            "=", "==", "eq", "!=", "ne", "<", "lt", "<=", ">", "gt", ">=", "",
        ])
    };
    let host = word(&[
        "10.1.0.1",
        "10.0.0.0/8",
        "0/0",
        "10/8:443",
        "[::1]",
        "[::1]:80",
        "::/0",
        "::ffff:0:0/96",
        "[::ffff:10.1.0.1]:443",
        "127.0.0.1:http",
        "*:80",
        "inet:10.1.0.1",
        "inet6:*",
        "vm",
        ":1",
    ]);
    let port = word(&[
        ":80",
        "443",
        ":http",
        ":0",
        ":1",
        ":65535",
        "0x1f90",
        "inet6::80",
    ]);
    let condition = prop_oneof![
        (word(&["src", "dst"]), host).prop_map(|(key, host)| format!("{key} {host}")),
        (word(&["sport", "dport", "port"]), operator(), port)
            .prop_map(|(key, operator, port)| format!("{key} {operator} {port}")),
        word(&[
            "state close-wait",
            "exclude listening",
            "state connected exclude established",
            "dev lo",
            "dev != 2",
            "fwmark 1/1",
            "fwmark != 5",
            "cgroup = /a",
            "cgroup != /a",
            "autobound",
            "inode = 1",
            "user = root",
            "recvq > 0",
            "sendq <= 64k",
            "pid = 1",
            "side = server",
            "program ~ ^j",
            "cause = unclear",
            "idle > 5m",
        ])
        .prop_map(str::to_owned),
    ];
    condition.prop_recursive(5, 40, 4, |inner| {
        let join = prop::sample::select(&["and", "or", "&&", "|", ""][..]);
        let all = prop::collection::vec((inner.clone(), join), 1..4).prop_map(|parts| {
            let mut text = String::new();
            for (at, (part, join)) in parts.into_iter().enumerate() {
                if at > 0 {
                    text.push_str(&format!(" {join} "));
                }
                text.push_str(&part);
            }
            format!("( {text} )")
        });
        prop_oneof![all, inner.prop_map(|part| format!("not ( {part} )"))]
    })
}

proptest! {
    #[test]
    fn no_text_breaks_the_parser_or_the_compiler(
        seed in any::<[u8; 12]>(),
        text in texts(),
    ) {
        check::check(&[&seed[..], text.as_bytes()].concat());
    }

    #[test]
    fn what_is_a_filter_is_read_and_pushed_down_soundly(
        seed in any::<[u8; 12]>(),
        text in filters(),
    ) {
        let read = closewait::filter::parse(&text, &check::Host);
        prop_assert!(read.is_ok(), "{}", read.unwrap_err());
        check::check(&[&seed[..], text.as_bytes()].concat());
    }
}
