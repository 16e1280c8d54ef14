//! Validates live output against docs/schema.json, on sockets that the test creates on loopback.
//!
//! The published schema allows new fields. Here it is made strict, so that a field that is printed but not
//! documented fails the test.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::process::Command;

use jsonschema::Validator;
use serde_json::{Value, json};

/// Connections in several states to one port: two are in CLOSE_WAIT, one of them not accepted.
struct Loopback {
    port: u16,
    _listener: TcpListener,
    _kept: Vec<TcpStream>,
}

impl Loopback {
    fn new(addr: impl Into<std::net::IpAddr>) -> Loopback {
        let listener = TcpListener::bind((addr.into(), 0)).unwrap();
        let to = listener.local_addr().unwrap();
        let connect = || TcpStream::connect(to).unwrap();
        let stays = connect();
        let (accepted, _) = listener.accept().unwrap();
        let mut leaves = connect();
        let (mut left, _) = listener.accept().unwrap();
        leaves.write_all(b"request").unwrap();
        left.read_exact(&mut [0; 7]).unwrap();
        drop(leaves);
        // Once the end-of-file can be seen, the socket is in CLOSE_WAIT.
        assert_eq!(left.peek(&mut [0]).unwrap(), 0);
        let queued = connect();
        drop(queued);
        await_close_waits(to.port(), 2);
        Loopback {
            port: to.port(),
            _listener: listener,
            _kept: vec![stays, accepted, left],
        }
    }

    fn port(&self) -> String {
        self.port.to_string()
    }
}

/// Waits until the kernel shows so many sockets of a local port in CLOSE_WAIT.
fn await_close_waits(port: u16, count: usize) {
    let end = format!(":{port:04X}");
    let waits = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        fields[1].ends_with(&end) && fields[3] == "08"
    };
    for _ in 0..500 {
        let found: usize = ["/proc/net/tcp", "/proc/net/tcp6"]
            .iter()
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .map(|text| text.lines().skip(1).filter(|line| waits(line)).count())
            .sum();
        if found == count {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("no {count} sockets in CLOSE_WAIT on port {port}");
}

fn output(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_closewait"))
        .env("LC_ALL", "C.UTF-8")
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("JSON is UTF-8")
}

fn schema() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schema.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The schema, without room for fields that it does not name.
fn strict(mut schema: Value) -> Value {
    fn close(schema: &mut Value) {
        match schema {
            Value::Object(keys) => {
                keys.values_mut().for_each(close);
                // A condition on an object names properties too, and requires none.
                let whole = keys.contains_key("required") && keys.contains_key("properties");
                if whole && !keys.contains_key("additionalProperties") {
                    keys.insert("additionalProperties".to_owned(), json!(false));
                }
            }
            Value::Array(items) => items.iter_mut().for_each(close),
            _ => {}
        }
    }
    close(&mut schema);
    // What groups and findings share is a part of each, and not the whole of one.
    schema["$defs"]["service"]
        .as_object_mut()
        .unwrap()
        .remove("additionalProperties");
    schema
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .unwrap()
}

/// The validator of one line of --jsonl.
fn line_validator() -> Validator {
    let mut schema = strict(schema());
    let definitions = schema["$defs"].take();
    validator(&json!({
        "$schema": schema["$schema"],
        "$ref": "#/$defs/socket",
        "$defs": definitions,
    }))
}

fn check(validator: &Validator, value: &Value) {
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{value:#}");
}

/// Runs the command, validates its document strictly, and gives it back.
fn document(arguments: &[&str]) -> Value {
    let text = output(arguments);
    assert_eq!(text.lines().count(), 1, "one document, one line");
    let document: Value = serde_json::from_str(&text).unwrap();
    check(&validator(&strict(schema())), &document);
    assert_eq!(
        document["complete"],
        json!(document["gaps"].as_array().unwrap().is_empty())
    );
    document
}

#[test]
fn the_schema_is_a_schema() {
    jsonschema::draft202012::meta::validate(&schema()).unwrap();
}

#[test]
fn every_field_is_described() {
    fn walk(path: &str, schema: &Value, plain: &mut Vec<String>) {
        let Some(properties) = schema["properties"].as_object() else {
            return;
        };
        for (name, property) in properties {
            let path = format!("{path}.{name}");
            let described = property["description"].is_string()
                || property["$ref"].is_string()
                || property == &json!(true);
            if !described {
                plain.push(path.clone());
            }
            walk(&path, property, plain);
        }
    }
    let schema = schema();
    let mut plain = Vec::new();
    walk("", &schema, &mut plain);
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        assert!(definition["description"].is_string(), "{name}");
        walk(name, definition, &mut plain);
    }
    assert!(plain.is_empty(), "{plain:?}");
}

#[test]
fn the_strict_schema_finds_a_field_that_is_not_documented() {
    let loopback = Loopback::new(Ipv4Addr::LOCALHOST);
    let mut document = document(&["list", "--json", "-a", "--port", &loopback.port()]);
    let strict = validator(&strict(schema()));
    let published = validator(&schema());
    for path in [
        "",
        "/tool",
        "/groups/0",
        "/groups/0/recv_q",
        "/sockets/0",
        "/sockets/0/local",
    ] {
        let mut changed = document.clone();
        changed.pointer_mut(path).unwrap()["new"] = json!(1);
        assert!(!strict.is_valid(&changed), "{path:?}");
        assert!(published.is_valid(&changed), "{path:?}");
    }
    document["sockets"][0]["state"] = json!("close-wait");
    assert!(!published.is_valid(&document));
}

#[test]
fn triage_writes_a_document_by_the_schema() {
    let loopback = Loopback::new(Ipv4Addr::LOCALHOST);
    let whole = document(&["--json"]);
    assert_eq!(whole["selection"], Value::Null);
    assert_eq!(whole["source"], "netlink");
    assert!(whole["sockets"].is_null());

    let port = document(&["--json", "--port", &loopback.port()]);
    assert_eq!(port["selection"], format!("port {}", loopback.port()));
    assert_eq!(port["states"]["CLOSE_WAIT"], 2);
    assert_eq!(port["states"]["LISTEN"], 1);
    let kinds: Vec<&Value> = port["groups"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|group| group["state"] == "CLOSE_WAIT")
        .map(|group| &group["owner_kind"])
        .collect();
    assert_eq!(kinds.len(), 2);
    assert!(kinds.contains(&&json!("process")) && kinds.contains(&&json!("listener")));
}

#[test]
fn a_finding_with_evidence_from_its_process_is_by_the_schema() {
    let loopback = Loopback::new(Ipv4Addr::LOCALHOST);
    let port = loopback.port();
    // Sockets younger than the grace period are normal teardown, and no process is examined for them.
    let arguments = [
        "--json", "--grace", "0", "--sample", "20ms", "--port", &port,
    ];
    for _ in 0..200 {
        let document = document(&arguments);
        let findings = document["findings"].as_array().unwrap();
        assert!(!findings.is_empty());
        let asked = |finding: &Value| {
            finding["owner_kind"] == "process" && finding["processes"][0]["open_fds"].is_u64()
        };
        if findings.iter().any(asked) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("no finding with evidence");
}

#[test]
fn a_finding_with_unread_bytes_is_by_the_schema() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let to = listener.local_addr().unwrap();
    let mut client = TcpStream::connect(to).unwrap();
    let (server, _) = listener.accept().unwrap();
    client.write_all(b"GET /a?b HTTP/1.1\r\n\r\n").unwrap();
    drop(client);
    await_close_waits(to.port(), 1);
    let port = to.port().to_string();
    let arguments = [
        "--json", "--grace", "0", "--sample", "0", "--peek", "--port", &port,
    ];
    for _ in 0..200 {
        let document = document(&arguments);
        if let Some(peeked) = document["findings"][0].get("peeked") {
            assert_eq!(peeked["unread"][0]["path"], "/a");
            return drop(server);
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("no finding with unread bytes");
}

#[test]
fn a_list_writes_a_document_with_sockets_by_the_schema() {
    let loopback = Loopback::new(Ipv6Addr::LOCALHOST);
    let list = document(&["list", "-a", "--json", "--port", &loopback.port()]);
    let sockets = list["sockets"].as_array().unwrap();
    let waiting: Vec<&Value> = sockets
        .iter()
        .filter(|socket| socket["state"] == "CLOSE_WAIT")
        .collect();
    assert_eq!(waiting.len(), 2);
    for socket in waiting {
        assert_eq!(socket["local"]["addr"], "::1");
        assert_eq!(socket["side"], "server");
        assert_eq!(
            socket["accepted"].as_bool().unwrap(),
            !socket["inode"].is_null()
        );
        assert!(!socket["idle_ms"].is_null());
    }
}

#[test]
fn each_line_of_jsonl_is_a_socket_by_the_schema() {
    let loopback = Loopback::new(Ipv4Addr::LOCALHOST);
    let validator = line_validator();
    for arguments in [
        &["list", "--jsonl", "-a"][..],
        &["list", "--jsonl", "--port", &loopback.port()],
        &["list", "--jsonl", "--no-owners", "--port", &loopback.port()],
        &["list", "--jsonl", "-a", "--source", "procfs"],
        &["list", "--jsonl", "-a", "-i", "-m"],
        &["list", "--jsonl", "-a", "-im", "--source", "procfs"],
        &[
            "list",
            "--jsonl",
            "-a",
            "--columns",
            "+rtt,sndbuf,state,tos",
        ],
    ] {
        let text = output(arguments);
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert!(lines.len() >= 4, "{arguments:?}: {text}");
        for line in lines {
            check(&validator, &line);
        }
    }
}

#[test]
fn every_column_alone_is_by_the_schema() {
    let loopback = Loopback::new(Ipv4Addr::LOCALHOST);
    let port = loopback.port();
    let help = output(&["list", "--columns", "help"]);
    let (_, lines) = help.split_once("\n\n").unwrap();
    let names: Vec<&str> = lines
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert!(names.len() > 100);
    let all = names.join(",");
    let document = document(&["list", "-a", "--json", "--port", &port, "--columns", &all]);
    for socket in document["sockets"].as_array().unwrap() {
        assert_eq!(socket.as_object().unwrap().len(), names.len());
    }
    let mut schema = strict(schema());
    let definitions = schema["$defs"].take();
    let row = validator(&json!({
        "$schema": schema["$schema"],
        "$ref": "#/$defs/row",
        "$defs": definitions,
    }));
    for line in output(&["list", "-a", "--jsonl", "--port", &port, "--columns", &all]).lines() {
        check(&row, &serde_json::from_str(line).unwrap());
    }
}

#[test]
fn owners_that_were_not_read_are_null_and_not_nobody() {
    let loopback = Loopback::new(Ipv4Addr::LOCALHOST);
    for command in ["triage", "list"] {
        let document = document(&[command, "--json", "--no-owners", "--port", &loopback.port()]);
        for field in ["groups", "sockets"] {
            for part in document[field].as_array().into_iter().flatten() {
                assert_eq!(part["owner_kind"], Value::Null);
                assert_eq!(part["owners"], json!([]));
            }
        }
    }
}

#[test]
fn the_text_of_proc_gives_no_ages_and_no_cookies_and_says_so() {
    let loopback = Loopback::new(Ipv4Addr::LOCALHOST);
    let port = loopback.port();
    let list = document(&["list", "--json", "--source", "procfs", "--port", &port]);
    assert_eq!(list["source"], "procfs");
    assert_eq!(list["gaps"][0]["kind"], "proc-source");
    let sockets = list["sockets"].as_array().unwrap();
    assert!(sockets.len() >= 4);
    for socket in sockets {
        assert_eq!(socket["idle_ms"], Value::Null);
        assert_eq!(socket["cookie"], Value::Null);
    }
    let triage = document(&["--json", "--source", "procfs", "--port", &port]);
    assert_eq!(triage["states"]["CLOSE_WAIT"], 2);
}

#[test]
fn an_empty_selection_is_a_document_with_zeros() {
    // Nothing can be on port 0.
    for command in ["triage", "list"] {
        let document = document(&[
            command,
            "-a",
            "--json",
            "--port",
            "0",
            "--state",
            "connected",
        ]);
        assert_eq!(document["groups"], json!([]));
        assert_eq!(document["states"]["CLOSE_WAIT"], 0);
        assert_eq!(document["states"]["LISTEN"], Value::Null);
    }
    assert_eq!(
        output(&["list", "--jsonl", "--port", "0", "--state", "connected"]),
        ""
    );
}

#[test]
fn a_state_that_was_not_looked_for_is_null_and_not_0() {
    let document = document(&["--json", "--state", "CLOSE_WAIT"]);
    assert!(document["states"]["CLOSE_WAIT"].is_u64());
    assert_eq!(document["states"]["ESTABLISHED"], Value::Null);
    assert_eq!(document["states"]["BOUND_INACTIVE"], Value::Null);
}

#[test]
fn counts_by_dimensions_are_as_the_schema_has_them() {
    let loopback = Loopback::new(Ipv4Addr::LOCALHOST);
    let every = "state,side,port,peer,program,pid,user,unit,container,netns,cause";
    let port = loopback.port();
    let document = document(&["--by", every, "--port", &port, "--json"]);
    let rows = document["by"]["rows"].as_array().unwrap();
    assert!(rows.len() > 1);
    let waits: u64 = rows
        .iter()
        .map(|row| row["close_wait"].as_u64().unwrap())
        .sum();
    assert_eq!(waits, 2);
    let mut schema = strict(schema());
    let definitions = schema["$defs"].take();
    let line = validator(&json!({
        "$schema": schema["$schema"],
        "$ref": "#/$defs/tally",
        "$defs": definitions,
    }));
    for text in output(&["--by", every, "--port", &port, "--jsonl"]).lines() {
        check(&line, &serde_json::from_str(text).unwrap());
    }
}

#[test]
fn two_readings_are_by_the_schema() {
    let loopback = Loopback::new(Ipv4Addr::LOCALHOST);
    let port = loopback.port();
    let twice = |more: &[&str]| {
        let words = [&["--for", "1s", "--json", "--port", &port], more].concat();
        document(&words)
    };
    let triage = twice(&[]);
    assert!(triage["growth"]["between_ms"].as_u64() >= Some(1_000));
    let groups = triage["groups"].as_array().unwrap().iter();
    let waits: Vec<&Value> = groups
        .filter(|group| group["state"] == "CLOSE_WAIT")
        .collect();
    assert!(!waits.is_empty());
    for group in waits {
        assert_eq!(group["growth"]["new"], 0, "{group:#}");
    }
    let list = twice(&["-a"]);
    let sockets = list["sockets"].as_array().unwrap();
    let waits = |socket: &&Value| socket["state"] == "CLOSE_WAIT";
    let changes: Vec<&Value> = sockets
        .iter()
        .filter(waits)
        .map(|of| &of["change"])
        .collect();
    assert_eq!(changes, ["still", "still"]);
    let by = twice(&["--by", "state,port,program"]);
    assert_eq!(by["by"]["gone"], json!([]));
    assert!(by["by"]["rows"][0]["growth"]["still"].as_u64() > Some(0));
}
