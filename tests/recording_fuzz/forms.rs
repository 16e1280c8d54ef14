//! Whether what a command printed is of its form, and none of its characters is hidden.

use closewait::recording::{Functions, Recording};
use serde_json::Value;

use super::attacks::fault;
use super::openmetrics;

/// What the command with these words printed; of one that failed only what it said beside it.
pub fn judge(words: &str, is_done: bool, out: &[u8], err: &[u8]) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let err = text(err);
    assert_eq!(fault(&err, false), None, "{words}: {err}");
    if !is_done {
        return;
    }
    if words.starts_with("record") {
        let read = Recording::read(out).unwrap_or_else(|error| panic!("{words}: {error}"));
        read.redacted(Functions::Masked).unwrap();
        return;
    }
    printed(words, &text(out));
}

fn printed(words: &str, out: &str) {
    let has = |flag: &str| words.split(' ').any(|word| word == flag);
    if has("--csv") {
        let mut reader = csv::ReaderBuilder::new().from_reader(out.as_bytes());
        // All records have as many fields.
        for record in reader.records() {
            record.unwrap_or_else(|error| panic!("{words}: {error}: {out}"));
        }
        return assert_eq!(fault(&out.replace("\r\n", "\n"), false), None, "{words}");
    }
    if has("--prometheus") {
        let faults = openmetrics::faults(out);
        assert!(faults.is_empty(), "{words}: {faults:?}");
    } else {
        assert_eq!(fault(out, has("always")), None, "{words}: {out}");
    }
    let texts: Vec<&str> = match (has("--json"), has("--jsonl")) {
        (true, _) => vec![out],
        (_, true) => out.lines().collect(),
        _ => return,
    };
    for text in texts {
        let read = serde_json::from_str::<Value>(text);
        read.unwrap_or_else(|error| panic!("{words}: {error}: {text}"));
    }
}
