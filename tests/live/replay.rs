//! Every view of a recording equals the live view of the host, except for times.

use std::io::Read;
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use regex::Regex;
use serde_json::Value;

use crate::lab::{Lab, Lack, closewait, left_out, once_possible, run};
use crate::placement::Group;

/// The views to compare: everything that a command can show.
const VIEWS: [&str; 34] = [
    "",
    "--json",
    "--limit 0 --sort=-sockets",
    "--grace 0",
    "--threshold warning=2 --threshold critical=3",
    "state close-wait",
    "state established or state listen",
    "-4 --json",
    "-6",
    "-u --by state",
    "-tu --by state,side,port,peer,user,netns --json",
    "--by program,cause,unit,container",
    "--by cause,pid --csv",
    "--by port --jsonl",
    "--prometheus",
    "--prometheus --label-limit 2",
    "explain",
    "list",
    "list -a -W",
    "list -atunlpoeW",
    "list -a --csv --columns +rtt,cwnd,mss,bytes_received,congestion,uid,timer",
    "list -a --json",
    "list -atue --json -i -m",
    "list -a --jsonl",
    "list -a --csv",
    "list -a --columns help",
    "list -ta --columns local,remote,state,inode,cookie,unit,cwnd,mss",
    "list state close-wait recvq > 0 or state fin-wait-2",
    "list state bound-inactive state listen",
    "list --cause never-closed --sort=-local",
    "list user = root and not sport = :22",
    "check -v",
    "check -v -w 1 -c 1000 --by port",
    "check --state established -w 0 --by total",
];

/// Compares the lab in every view, live and recorded.
pub fn is_the_same_replayed(lab: &Lab) {
    agree(lab, &[], &VIEWS);
}

/// Compares only the basic views, if traffic changes the figures of the sockets.
pub fn means_the_same_replayed(lab: &Lab) {
    agree(lab, &[], &["--json", "list", "check -v"]);
}

/// Compares one namespace among all that are recorded.
pub fn is_the_same_replayed_of_all(lab: &Lab, netns: &str) {
    let views = ["--json", "list -a -e", "list -a --csv", "--by netns,state"];
    let views = views.map(|view| format!("{view} netns = {netns}"));
    agree(lab, &["-A"], &views.each_ref().map(String::as_str));
}

/// Bytes of a recording, unpacked.
fn unpacked(file: &str) -> Vec<u8> {
    let bytes = std::fs::read(file).unwrap();
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    let mut all = bytes[..=line].to_vec();
    let mut rest = &bytes[line + 1..];
    while let Some((header, behind)) = rest.split_at_checked(16) {
        let length = u64::from_le_bytes(header[8..].try_into().unwrap());
        let (body, after) = behind.split_at(usize::try_from(length).unwrap());
        all.extend(header);
        if !header.starts_with(b"end") {
            GzDecoder::new(body).read_to_end(&mut all).unwrap();
        }
        rest = after;
    }
    all
}

#[test]
fn a_redacted_recording_has_no_address_or_name_of_the_host_in_its_bytes() {
    let lab = Lab::new();
    if !lab.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    const ADDRESSES: [&str; 3] = ["10.214.77.93", "203.0.113.177", "2a0b:c0de:77::5d"];
    for addr in ADDRESSES {
        let flags = ["addr", "add", addr, "dev", "lo"];
        let added = run(Command::new("ip")
            .args(flags)
            .args(["nodad"].iter().filter(|_| addr.contains(':'))));
        assert_eq!(added.code, 0, "{addr}: {}", added.stderr);
    }
    let mut kept = Vec::new();
    for addr in ADDRESSES {
        let addr: IpAddr = addr.parse().unwrap();
        let listener = once_possible(|| TcpListener::bind((addr, 0)));
        let end = listener.local_addr().unwrap();
        let client = once_possible(|| TcpStream::connect(end));
        let (server, _) = listener.accept().unwrap();
        let udp = once_possible(|| UdpSocket::bind((addr, 0)));
        once_possible(|| udp.connect((addr, 9)));
        drop(client);
        kept.push((listener, server, udp));
    }
    let mapped = TcpListener::bind("[::]:0").unwrap();
    let port = mapped.local_addr().unwrap().port();
    let client = TcpStream::connect((ADDRESSES[0], port)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let comm = std::fs::read_to_string("/proc/self/comm").unwrap();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let cgroup = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let cgroup = cgroup.trim().rsplit(':').next().unwrap();
    let mut secrets: Vec<Vec<u8>> = [comm.trim(), "daemon", "nobody", "www-data"]
        .map(|name| name.as_bytes().to_vec())
        .to_vec();
    let service = format!("closewait-masked-{}.service", std::process::id());
    let group = Group::new(&service);
    let leak = lab.start("leak", &["connections=2"]);
    if let Some(group) = &group {
        group.add(leak.pid());
        secrets.push(service.into_bytes());
    }
    if cgroup.len() > 1 {
        secrets.push(cgroup.as_bytes().to_vec());
    }
    if host.trim().len() > 3 {
        secrets.push(host.trim().as_bytes().to_vec());
    }
    for addr in ADDRESSES {
        secrets.push(addr.as_bytes().to_vec());
        let octets = match addr.parse().unwrap() {
            IpAddr::V4(addr) => addr.octets().to_vec(),
            IpAddr::V6(addr) => addr.octets().to_vec(),
        };
        let hexadecimal = |octets: Vec<u8>| {
            octets
                .iter()
                .map(|octet| format!("{octet:02X}"))
                .collect::<String>()
        };
        // As in /proc: words in the host's byte order.
        let words = octets.chunks(4).flat_map(|word| word.iter().rev().copied());
        secrets.push(hexadecimal(words.collect()).into_bytes());
        secrets.push(hexadecimal(octets.clone()).into_bytes());
        secrets.push(octets);
    }
    for source in ["netlink", "procfs"] {
        let plain = dir.path().join(format!("{source}.cw"));
        let masked = dir.path().join(format!("{source}-masked.cw"));
        let (plain, masked) = (plain.to_str().unwrap(), masked.to_str().unwrap());
        let recorded = lab.closewait(&["record", plain, "--source", source, "-v"]);
        assert_eq!(recorded.code, 0, "{}", recorded.stderr);
        let recorded = lab.closewait(&["record", masked, "--redact", "--from", plain]);
        assert_eq!(recorded.code, 0, "{}", recorded.stderr);
        let (before, after) = (unpacked(plain), unpacked(masked));
        let has =
            |bytes: &[u8], secret: &[u8]| bytes.windows(secret.len()).any(|part| part == secret);
        // The search finds the address.
        let found = secrets.iter().filter(|secret| has(&before, secret)).count();
        assert!(found >= 5, "{source}: {found}");
        for secret in &secrets {
            let text = String::from_utf8_lossy(secret);
            assert!(!has(&after, secret), "{source}: {text}");
        }
        // Other files have the same text.
        let said = |file: &str| {
            let document = lab.json(&["--from", file, "-tu"]);
            let groups = document["groups"].as_array().unwrap();
            let causes: Vec<String> = groups
                .iter()
                .map(|group| {
                    format!(
                        "{} {} {}",
                        group["state"], group["sockets"], group["causes"]
                    )
                })
                .collect();
            (document["states"].clone(), causes)
        };
        assert_eq!(said(plain), said(masked));
    }
    drop((kept, mapped, client, leak));
}

#[test]
fn a_diff_with_now_tells_the_same_sockets_from_others_of_the_same_number() {
    let lab = Lab::new();
    let stays = lab.start("leak", &["connections=6"]);
    let goes = lab.start("leak", &["connections=9"]);
    let dir = tempfile::tempdir().unwrap();
    for source in ["netlink", "procfs"] {
        let file = dir.path().join(source);
        let file = file.to_str().unwrap();
        let recorded = lab.closewait(&["record", file, "--source", source]);
        assert_eq!(recorded.code, 0, "{}", recorded.stderr);
    }
    let (stays_at, goes_at) = (stays.port().to_string(), goes.port().to_string());
    let diff = |source: &str, port: &str| {
        let file = dir.path().join(source);
        let file = file.to_str().unwrap();
        let words = ["sport", "=", &format!(":{port}")].map(str::to_owned);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let diff = lab.json(&[&["diff", "--from", file, "--against", "now"], &words[..]].concat());
        let told_by = if source == "netlink" {
            "cookie"
        } else {
            "ends"
        };
        // Without earlier sockets, no cookie is missing.
        assert!(
            diff["told_by"] == told_by || diff["total"]["before"] == 0,
            "{diff}"
        );
        ["still", "new", "gone"].map(|name| diff["total"][name].as_u64().unwrap())
    };
    for source in ["netlink", "procfs"] {
        assert_eq!(diff(source, &stays_at), [6, 0, 0], "{source}");
        assert_eq!(diff(source, &goes_at), [9, 0, 0], "{source}");
    }
    drop(goes);
    let comes = lab.start("leak", &["connections=9"]);
    for source in ["netlink", "procfs"] {
        assert_eq!(diff(source, &stays_at), [6, 0, 0], "{source}");
        assert_eq!(diff(source, &goes_at), [0, 0, 9], "{source}");
        assert_eq!(
            diff(source, &comes.port().to_string()),
            [0, 9, 0],
            "{source}"
        );
    }
    drop(stays);
}

/// How often live and recorded views are compared before a difference counts: active streams, and ages that
/// cross a bound, change the text in between.
const TRIES: usize = 5;

fn agree(lab: &Lab, flags: &[&str], views: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lab.cw");
    let file = file.to_str().unwrap();
    let mut left: Vec<(&str, String)> = views.iter().map(|view| (*view, String::new())).collect();
    for _ in 0..TRIES {
        let record = ["record", file, "--force", "--sample", "0"];
        let recorded = lab.closewait(&[&record[..], flags].concat());
        assert_eq!(recorded.code, 0, "{}", recorded.stderr);
        left = left
            .into_iter()
            .filter_map(|(view, _)| Some((view, compared(lab, view, file).err()?)))
            .collect();
    }
    assert!(left.is_empty(), "{left:#?}");
}

/// Compares one view live and recorded, and returns the difference.
fn compared(lab: &Lab, view: &str, file: &str) -> Result<(), String> {
    let words: Vec<&str> = view.split(' ').filter(|word| !word.is_empty()).collect();
    // The diagram reads no process.
    let sample: &[&str] = match view {
        "explain" => &[],
        _ => &["--sample", "0"],
    };
    // How many stacks there is time for differs from run to run: tests/live/stacks compares them.
    // `-4` and `-6` list, as they do in ss.
    let other_pages = ["explain", "list", "check", "-4", "-6"];
    let is_triage = !words.iter().any(|word| other_pages.contains(word));
    let stacks: &[&str] = if is_triage { &["--no-stacks"] } else { &[] };
    let words = [words.as_slice(), stacks].concat();
    let live = lab.closewait(&[sample, words.as_slice()].concat());
    let replayed = lab.closewait(&[&["--from", file], words.as_slice()].concat());
    assert!(!live.stdout.is_empty(), "{view}: {}", live.stderr);
    if live.code != replayed.code {
        return Err(format!(
            "{} and {}: {}",
            live.code, replayed.code, replayed.stderr
        ));
    }
    // A recording is read elsewhere, where this path means nothing.
    let path = closewait().to_string_lossy();
    let stdout = live.stdout.replace(path.as_ref(), "closewait");
    [
        (&stdout, &replayed.stdout),
        (&live.stderr, &replayed.stderr),
    ]
    .into_iter()
    .find_map(|(live, replayed)| difference(&timeless(live), &timeless(replayed)))
    .map_or(Ok(()), Err)
}

/// The first difference between two texts.
fn difference(live: &[String], replayed: &[String]) -> Option<String> {
    let (live, replayed) = (live.join("\n"), replayed.join("\n"));
    let mut same = live.bytes().zip(replayed.bytes());
    let at = match same.position(|(one, other)| one != other) {
        Some(at) => at,
        None if live.len() == replayed.len() => return None,
        None => live.len().min(replayed.len()),
    };
    let around = |text: &str| {
        let text = text.as_bytes();
        let part = &text[at.saturating_sub(200)..text.len().min(at + 100)];
        String::from_utf8_lossy(part).into_owned()
    };
    Some(format!(
        "live:\n{}\nreplayed:\n{}",
        around(&live),
        around(&replayed)
    ))
}

static DURATION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(?:\d+(?:\.\d+)? ?(?:ms|[smhd]))+\b").unwrap());
static MOMENT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\d{4}-\d\d-\d\d[ T][\d:.]+(?: UTC|Z)?").unwrap());
/// Other tests create and remove namespaces and processes meanwhile.
static ELSEWHERE: LazyLock<Regex> = LazyLock::new(|| {
    let others = r"\d+ other network namespaces? \(\d+ process(?:es)?\)";
    Regex::new(&format!(r"{others}|\d+ of \d+ processes read")).unwrap()
});
static BLANKS: LazyLock<Regex> = LazyLock::new(|| Regex::new(" +").unwrap());

/// A text without times, and without the marks of a recording.
fn timeless(text: &str) -> Vec<String> {
    if text.starts_with("netns,") {
        return timeless_csv(text);
    }
    let line = |line: &str| {
        if let Ok(value) = serde_json::from_str::<Value>(line)
            && value.is_object()
        {
            return timeless_json(value).to_string();
        }
        let line = line.replace("a recording · ", "");
        let passes = ["_seconds", "closewait_other_namespace", "closewait_listen_"];
        if line.starts_with("closewait_") && passes.iter().any(|part| line.contains(part)) {
            let (metric, _) = line.rsplit_once(' ').unwrap();
            return metric.to_owned();
        }
        let line = MOMENT.replace_all(&line, "WHEN");
        let line = DURATION.replace_all(&line, "LONG");
        let line = ELSEWHERE.replace_all(&line, "OTHERS");
        // Two bounds print the same for part of each second.
        let line = line.replace("LONG–LONG", "≈LONG");
        // So do the least and the median age.
        let line = line.replace("half of them for", "for");
        BLANKS.replace_all(&line, " ").into_owned()
    };
    let evidence = |line: &str| line.contains(" · ") && is_of_the_tests(line);
    let lines = text.lines().filter(|line| {
        let passes = evidence(line) || saves_evidence(line) || depends_on_rounding(line);
        line.starts_with('{') || !passes
    });
    lines.map(line).collect()
}

/// Whether a text is the step that records, which a recording lacks.
fn saves_evidence(text: &str) -> bool {
    text.contains("closewait record /tmp/incident-")
}

/// Whether a line is there or not depends on whether two ages print alike.
fn depends_on_rounding(text: &str) -> bool {
    text.contains("the oldest has been in ")
}

/// Whether a text is about this process, which runs other tests meanwhile.
fn is_of_the_tests(text: &str) -> bool {
    text.contains(&format!("[{}]", std::process::id()))
}

/// The rows without the columns of times.
fn timeless_csv(text: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let heading = reader.headers().unwrap().clone();
    let row = |row: csv::StringRecord| {
        let fields = heading.iter().zip(&row);
        let fields = fields.filter(|(name, _)| !name.ends_with("_ms"));
        fields
            .map(|(name, field)| format!("{name}={field} "))
            .collect()
    };
    reader
        .records()
        .map(|record| row(record.unwrap()))
        .collect()
}

fn timeless_json(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| {
                let passes = key.ends_with("_ms")
                    || matches!(key.as_str(), "taken_at" | "source" | "age" | "idle")
                    || matches!(
                        key.as_str(),
                        "other_namespaces" | "listen_drops" | "listen_overflows"
                    )
                    || matches!(
                        key.as_str(),
                        "busy_us" | "rwnd_limited_us" | "sndbuf_limited_us" | "drops"
                    );
                let value = if passes {
                    Value::Null
                } else {
                    timeless_json(value)
                };
                (key, value)
            })
            .collect(),
        Value::Array(values) => {
            let passes = |value: &Value| match value {
                Value::String(text) => {
                    is_of_the_tests(text) || saves_evidence(text) || depends_on_rounding(text)
                }
                other if other["command"].as_str().is_some_and(saves_evidence) => true,
                other => !other["threads"].is_null() && other["pid"] == std::process::id(),
            };
            let stay = values.into_iter().filter(|value| !passes(value));
            stay.map(timeless_json).collect()
        }
        Value::String(text) => Value::String(timeless_text(&text)),
        other => other,
    }
}

fn timeless_text(text: &str) -> String {
    DURATION.replace_all(text, "LONG").into_owned()
}
