//! `diff` on recordings: its output in every format, and what it refuses.

#![cfg(target_endian = "little")]

mod left_out;

use std::path::Path;
use std::process::Command;

use left_out::{Lack, left_out};
use serde_json::{Value, json};

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/recordings");
    path.join(name).to_str().unwrap().to_owned()
}

fn closewait(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_closewait"))
        .env("LC_ALL", "C.UTF-8")
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
    use closewait::recording::Recording;
    let mut recording = Recording::open(Path::new(&file("leak.cw"))).unwrap();
    recording.facts.host.name = "other".into();
    recording.facts.host.boot_id = Some("another".into());
    let path = dir.join(name);
    recording
        .write(std::fs::File::create(&path).unwrap())
        .unwrap();
    path.to_str().unwrap().to_owned()
}

/// The published schema allows new fields; here every field must be documented.
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
    assert!(
        first.contains("… 4 more lines; --limit 0 shows all"),
        "{first}"
    );
    // A filter follows the files, or is given alone.
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
    ] {
        let (got, stdout, stderr) = closewait(args);
        assert_eq!((got, stdout.as_str()), (code, ""), "{args:?}: {stderr}");
        assert!(stderr.contains(words), "{args:?}: {stderr}");
    }
}

/// The script of docs/fleet.md that adds up recordings, verbatim.
fn script_that_sums() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fleet.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut blocks = text.split("```sh\n").skip(1);
    let block = blocks.find(|block| block.starts_with("for file in *.cw"));
    block.unwrap().split("```").next().unwrap().to_owned()
}

#[test]
fn recordings_of_many_hosts_are_summed_by_the_script_in_the_documents() {
    if Command::new("jq").arg("--version").output().is_err() {
        return left_out(Lack::Program("jq"));
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(file("leak.cw"), dir.path().join("one.cw")).unwrap();
    of_another_host(dir.path(), "two.cw");
    std::fs::write(dir.path().join("silent.cw"), "").unwrap();
    let binaries = Path::new(env!("CARGO_BIN_EXE_closewait")).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-c", &script_that_sums()])
        .current_dir(dir.path())
        .env("PATH", path)
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("not counted: silent.cw"), "{stderr}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<&str>> = stdout
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    assert_eq!(rows.len(), 4, "{stdout}{stderr}");
    assert_eq!(rows[0][..4], ["24", "program-1", "47475", "never-closed"]);
    let hosts: Vec<&str> = rows[0][4].split(' ').collect();
    assert_eq!(hosts.len(), 2, "{stdout}");
    assert!(hosts.contains(&"other=12"), "{stdout}");
    let sums = rows.iter().map(|row| row[0].parse::<u64>().unwrap());
    assert_eq!(sums.sum::<u64>(), 2 * 28);
}
