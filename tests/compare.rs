//! `diff` and `merge` on recordings: what they say, in every form, and what they refuse.

#![cfg(target_endian = "little")]

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/recordings");
    path.join(name).to_str().unwrap().to_owned()
}

fn closewait(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_closewait"))
        .args(args)
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn document(args: &[&str]) -> Value {
    let (code, stdout, stderr) = closewait(args);
    assert_eq!((code, stderr.as_str()), (0, ""), "{args:?}");
    serde_json::from_str(&stdout).unwrap()
}

/// A recording of `leak.cw` as of another host.
fn of_another_host(dir: &Path, name: &str) -> String {
    use closewait::collector::recording::Recording;
    let mut recording = Recording::open(Path::new(&file("leak.cw"))).unwrap();
    recording.facts.host.name = "other".to_owned();
    recording.facts.host.boot_id = Some("another".to_owned());
    let path = dir.join(name);
    recording
        .write(std::fs::File::create(&path).unwrap())
        .unwrap();
    path.to_str().unwrap().to_owned()
}

/// The published schema lets fields be added; here none may be that it does not name.
fn strict(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.contains_key("properties") {
                fields.insert("additionalProperties".to_owned(), json!(false));
            }
            fields.values_mut().for_each(strict);
        }
        Value::Array(items) => items.iter_mut().for_each(strict),
        _ => {}
    }
}

fn validated(name: &str, document: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(name);
    let mut schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    strict(&mut schema);
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn a_diff_tells_what_is_still_there_from_what_is_new_and_gone() {
    let (before, after) = (file("leak.cw"), file("later.cw"));
    let diff = document(&["diff", &before, &after, "--json"]);
    validated("diff.schema.json", &diff);
    assert_eq!(diff["told_by"], "cookie");
    assert_eq!(diff["between_ms"], 7236);
    let counts = |line: &Value| {
        ["before", "after", "still", "new", "gone"].map(|name| line[name].as_u64().unwrap())
    };
    assert_eq!(counts(&diff["total"]), [28, 26, 23, 3, 5]);
    let rows = diff["rows"].as_array().unwrap();
    let ports: Vec<(u64, [u64; 5])> = rows
        .iter()
        .map(|row| (row["port"].as_u64().unwrap(), counts(row)))
        .collect();
    assert_eq!(
        ports,
        [
            (55487, [0, 3, 0, 3, 0]),
            (47475, [12, 12, 12, 0, 0]),
            (60901, [6, 6, 6, 0, 0]),
            (38487, [5, 5, 5, 0, 0]),
            (39105, [5, 0, 0, 0, 5]),
        ]
    );
    let rate = rows[0]["growth_per_min"].as_f64().unwrap();
    assert!((rate - 3.0 * 60_000.0 / 7_236.0).abs() < 1e-9, "{rate}");
    for row in rows {
        let [before, after, still, new, gone] = counts(row);
        assert_eq!((before, after), (still + gone, still + new), "{row}");
    }
}

#[test]
fn every_form_of_a_diff_says_the_same() {
    let (before, after) = (file("leak.cw"), file("later.cw"));
    let (code, table, _) = closewait(&["diff", &before, &after, "--by", "port"]);
    assert_eq!(code, 0);
    insta::with_settings!({snapshot_path => "snapshots/compare", prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("diff", table);
    });
    let lines = closewait(&["diff", &before, &after, "--by", "port", "--jsonl"]).1;
    let rows: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let whole = document(&["diff", &before, &after, "--by", "port", "--json"]);
    assert_eq!(Value::Array(rows.clone()), whole["rows"]);
    let csv = closewait(&["diff", &before, &after, "--by", "port", "--csv"]).1;
    let mut records = csv::Reader::from_reader(csv.as_bytes());
    for (record, row) in records.records().zip(&rows) {
        let record = record.unwrap();
        assert_eq!(record[0], row["port"].to_string());
        assert_eq!(record[3], row["still"].to_string());
    }
    let first = closewait(&["diff", &before, &after, "--limit", "1"]).1;
    assert!(first.contains("… 4 more: --limit 0"), "{first}");
    // The words of a filter stand behind the files, or alone.
    let port = ["sport", "=", ":55487"];
    let args = [&["diff", &before, &after, "--json"][..], &port].concat();
    assert_eq!(document(&args)["total"]["new"], 3);
    let args = [
        &["diff", "--from", &before, "--against", &after, "--json"][..],
        &port,
    ]
    .concat();
    assert_eq!(document(&args)["total"]["new"], 3);
}

#[test]
fn what_cannot_be_compared_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let (before, after) = (file("leak.cw"), file("later.cw"));
    let other = of_another_host(dir.path(), "other.cw");
    for (args, code, words) in [
        (&["diff"][..], 2, "two readings"),
        (&["diff", &before], 2, "two readings"),
        (&["diff", "--against", "now"], 2, "two readings"),
        (&["diff", &after, &before], 1, "the earlier one first"),
        (&["diff", &before, &other], 1, "different hosts"),
        (&["diff", &before, "now"], 1, "different"),
        (&["diff", &before, "/nowhere"], 1, "/nowhere"),
        (&["diff", &before, &after, "-N", "blue"], 2, "-N"),
        (&["diff", &before, &after, "--sort", "port"], 2, "--sort"),
        (&["diff", &before, &after, "frobnicate"], 2, "frobnicate"),
        (&["merge", &before, &after], 1, "count twice"),
        (&["merge", "/nowhere", "/etc/passwd"], 1, "/nowhere"),
        (&["merge", &before, "--from", &after], 2, "--from"),
        (&["merge"], 2, "FILES"),
    ] {
        let (got, stdout, stderr) = closewait(args);
        assert_eq!((got, stdout.as_str()), (code, ""), "{args:?}: {stderr}");
        assert!(stderr.contains(words), "{args:?}: {stderr}");
    }
}

#[test]
fn a_merge_sums_hosts_and_keeps_each() {
    let dir = tempfile::tempdir().unwrap();
    let (later, other) = (file("later.cw"), of_another_host(dir.path(), "other.cw"));
    let merged = document(&["merge", &later, &other, "--json"]);
    validated("merge.schema.json", &merged);
    assert_eq!(merged["sockets"], 26 + 28);
    let rows = merged["rows"].as_array().unwrap();
    assert_eq!(rows[0]["port"], 47475);
    assert_eq!(rows[0]["sockets"], 24);
    let hosts = rows[0]["hosts"].as_array().unwrap();
    assert_eq!(hosts.len(), 2);
    let sums = rows.iter().map(|row| row["sockets"].as_u64().unwrap());
    assert_eq!(sums.sum::<u64>(), 54);
    for row in rows {
        let hosts = row["hosts"].as_array().unwrap().iter();
        let sum: u64 = hosts.map(|host| host["sockets"].as_u64().unwrap()).sum();
        assert_eq!(row["sockets"], sum, "{row}");
    }
    let (code, table, _) = closewait(&["merge", &later, &other, "--by", "cause"]);
    assert_eq!(code, 0);
    insta::with_settings!({snapshot_path => "snapshots/compare", prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("merge", table);
    });
}

#[test]
fn a_file_that_cannot_be_read_costs_no_other_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let broken = dir.path().join("broken.cw");
    let whole = std::fs::read(file("leak.cw")).unwrap();
    std::fs::write(&broken, &whole[..whole.len() - 1]).unwrap();
    let broken = broken.to_str().unwrap();
    let args = ["merge", &file("leak.cw"), broken, "--json"];
    let (code, stdout, _) = closewait(&args);
    assert_eq!(code, 1);
    let merged: Value = serde_json::from_str(&stdout).unwrap();
    validated("merge.schema.json", &merged);
    assert_eq!(merged["complete"], false);
    assert_eq!(merged["unread"][0]["file"], broken);
    assert_eq!(merged["sockets"], 28);
}

#[test]
fn hosts_of_one_name_are_kept_apart() {
    let dir = tempfile::tempdir().unwrap();
    let one = of_another_host(dir.path(), "one.cw");
    let two = dir.path().join("two.cw");
    let mut recording = closewait::collector::recording::Recording::open(Path::new(&one)).unwrap();
    recording.facts.host.boot_id = Some("a third".to_owned());
    recording
        .write(std::fs::File::create(&two).unwrap())
        .unwrap();
    let two = two.to_str().unwrap();
    let merged = document(&["merge", &one, two, "--json"]);
    assert_eq!(merged["hosts"][0]["host"], "other");
    assert_eq!(merged["hosts"][1]["host"], format!("other ({two})"));
}
