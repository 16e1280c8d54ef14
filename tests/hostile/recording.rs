//! Recordings as somebody may have changed them: any string, any number, and a checksum that fits.

use std::collections::BTreeSet;
use std::io::{Read, Write};

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compression, Crc};
use serde_json::{Value, json};

use super::scenario;

/// A recording, taken apart.
#[derive(Clone)]
pub struct Recording {
    line: Vec<u8>,
    sections: Vec<(Vec<u8>, Body)>,
}

#[derive(Clone)]
enum Body {
    Json(Value),
    /// Messages of the kernel, or a file of /proc.
    Dump(Vec<u8>),
}

/// Where a value stands: the section, then keys and positions.
pub type Place = (usize, Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    Key(String),
    At(usize),
}

impl Recording {
    pub fn open(name: &str) -> Recording {
        let path = format!("{}/fixtures/recordings/{name}", env!("CARGO_MANIFEST_DIR"));
        Recording::taken_apart(&std::fs::read(path).unwrap())
    }

    pub fn taken_apart(bytes: &[u8]) -> Recording {
        let end = 1 + bytes.iter().position(|byte| *byte == b'\n').unwrap();
        let (line, mut rest) = bytes.split_at(end);
        let mut sections = Vec::new();
        loop {
            let (tag, after) = rest.split_at(8);
            let (length, after) = after.split_at(8);
            let length = u64::from_le_bytes(length.try_into().unwrap());
            let (body, after) = after.split_at(usize::try_from(length).unwrap());
            if tag.starts_with(b"end") {
                break;
            }
            let mut unpacked = Vec::new();
            GzDecoder::new(body).read_to_end(&mut unpacked).unwrap();
            let body = if tag.starts_with(b"dump") {
                Body::Dump(unpacked)
            } else {
                Body::Json(serde_json::from_slice(&unpacked).unwrap())
            };
            sections.push((tag.to_vec(), body));
            rest = after;
        }
        Recording {
            line: line.to_vec(),
            sections,
        }
    }

    /// The same with everything that a recording can tell besides: gaps, other namespaces, units and
    /// containers, and what processes say in these scenarios.
    pub fn fuller(name: &str) -> Vec<Recording> {
        let mut plain = Recording::open(name);
        let facts = plain.json("facts");
        facts["gaps"] = json!([
            { "kind": "owners-hidden", "count": 3, "detail": "3 sockets", "hint": "run as root" },
            { "kind": "evidence-missing", "count": 2, "detail": "2 processes", "hint": "wait" },
        ]);
        facts["others"] =
            json!({ "namespaces": 3, "processes": 4, "unknown": 5, "doubt": "some are hidden" });
        facts["reading_ms"] = json!(12);
        facts["namespaces"][0]["asked"] = json!("/run/netns/blue");
        facts["namespaces"][0]["settings"]["devices"] = json!([[0, "lo"], [1, "eth0"]]);
        for process in plain.json("cgroups")["processes"].as_array_mut().unwrap() {
            process[1]["unit"] = json!("web.service");
            process[1]["container"] = json!("4f5e");
        }
        let said = said();
        let told = plain.json("evidence").as_array().map_or(0, Vec::len);
        if told == 0 {
            return vec![plain];
        }
        let with = |said: &[Value]| {
            let mut fuller = plain.clone();
            let all_facts = fuller.json("evidence").as_array_mut().unwrap();
            for (facts, said) in all_facts.iter_mut().zip(said) {
                let pid = facts["evidence"]["pid"].clone();
                facts["evidence"] = said.clone();
                facts["evidence"]["pid"] = pid;
            }
            fuller
        };
        said.chunks(told).map(with).collect()
    }

    fn json(&mut self, tag: &str) -> &mut Value {
        let found = self
            .sections
            .iter_mut()
            .find(|(known, _)| known.starts_with(tag.as_bytes()));
        match &mut found.unwrap().1 {
            Body::Json(value) => value,
            Body::Dump(_) => panic!("{tag} is a dump"),
        }
    }

    /// All strings of a section.
    pub fn strings(&mut self, tag: &str) -> BTreeSet<String> {
        fn add(value: &Value, found: &mut BTreeSet<String>) {
            match value {
                Value::String(text) => {
                    found.insert(text.clone());
                }
                Value::Array(list) => list.iter().for_each(|value| add(value, found)),
                Value::Object(map) => map.values().for_each(|value| add(value, found)),
                _ => {}
            }
        }
        let mut found = BTreeSet::new();
        add(self.json(tag), &mut found);
        found
    }

    /// The evidence of its processes.
    pub fn evidence(&mut self) -> Vec<closewait::model::Evidence> {
        let all = self.json("evidence").as_array().unwrap();
        let evidence = |facts: &Value| serde_json::from_value(facts["evidence"].clone()).unwrap();
        all.iter().map(evidence).collect()
    }

    /// Its bytes, with the checksum of a file that nobody changed.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.line.clone();
        for (tag, body) in &self.sections {
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            match body {
                Body::Json(value) => serde_json::to_writer(&mut packed, value).unwrap(),
                Body::Dump(dump) => packed.write_all(dump).unwrap(),
            }
            let packed = packed.finish().unwrap();
            bytes.extend(tag);
            bytes.extend((packed.len() as u64).to_le_bytes());
            bytes.extend(packed);
        }
        let mut crc = Crc::new();
        crc.update(&bytes);
        bytes.extend(b"end     ");
        bytes.extend(4u64.to_le_bytes());
        bytes.extend(crc.sum().to_le_bytes());
        bytes
    }

    /// Whether it can be understood.
    pub fn is_one(&self) -> bool {
        closewait::recording::Recording::read(&self.bytes()).is_ok()
    }

    /// Where the values stand that are `wanted`.
    pub fn places(&self, wanted: fn(&Value) -> bool) -> Vec<Place> {
        let mut places = Vec::new();
        for (at, (_, body)) in self.sections.iter().enumerate() {
            if let Body::Json(value) = body {
                let mut steps = Vec::new();
                collect(value, wanted, &mut steps, &mut |steps| {
                    places.push((at, steps.to_vec()));
                });
            }
        }
        places
    }

    pub fn at(&mut self, (section, steps): &Place) -> &mut Value {
        let Body::Json(value) = &mut self.sections[*section].1 else {
            panic!("a dump has no places");
        };
        steps.iter().fold(value, |value, step| match step {
            Step::Key(key) => &mut value[key.as_str()],
            Step::At(at) => &mut value[*at],
        })
    }

    /// How many numbers of four bytes the longest messages of its dumps have behind their headers.
    pub fn words(&self) -> usize {
        let dumps = self.sections.iter().filter_map(|(_, body)| match body {
            Body::Dump(dump) => Some(messages(dump)),
            Body::Json(_) => None,
        });
        let lengths = dumps.flatten().map(|message| (message.len() - HEADER) / 4);
        lengths.max().unwrap_or(0)
    }

    /// The same with the number at one place in every message replaced, but for lengths and kinds.
    pub fn with_word(&self, at: usize, word: u32) -> Recording {
        let mut altered = self.clone();
        for (_, body) in &mut altered.sections {
            let Body::Dump(dump) = body else { continue };
            for message in messages(dump) {
                let place = message.start + HEADER + at * 4;
                if place + 4 <= message.end && !attributes(dump, &message).contains(&place) {
                    dump[place..place + 4].copy_from_slice(&word.to_ne_bytes());
                }
            }
        }
        altered
    }
}

/// A netlink header, and the beginning of `inet_diag_msg`: family, state, timer and ports.
const HEADER: usize = 16 + 8;
/// `inet_diag_msg` with the netlink header: attributes follow.
const ATTRIBUTES: usize = 16 + 72;

/// Where the messages of a dump lie; none of a file of /proc.
fn messages(dump: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(length) = dump.get(at..at + 4) {
        let length = u32::from_ne_bytes(length.try_into().unwrap()) as usize;
        if length < ATTRIBUTES || at + length > dump.len() {
            break;
        }
        found.push(at..at + length);
        at += length.next_multiple_of(4);
    }
    found
}

/// Where the headers of a message's attributes lie.
fn attributes(dump: &[u8], message: &std::ops::Range<usize>) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = message.start + ATTRIBUTES;
    while at + 4 <= message.end {
        found.push(at);
        let length = usize::from(u16::from_ne_bytes([dump[at], dump[at + 1]]));
        at += length.max(4).next_multiple_of(4);
    }
    found
}

fn collect(
    value: &Value,
    wanted: fn(&Value) -> bool,
    steps: &mut Vec<Step>,
    found: &mut impl FnMut(&[Step]),
) {
    let inner: Vec<(Step, &Value)> = match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (Step::Key(key.clone()), value))
            .collect(),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .map(|(at, value)| (Step::At(at), value))
            .collect(),
        _ if wanted(value) => return found(steps),
        _ => return,
    };
    for (step, value) in inner {
        steps.push(step);
        collect(value, wanted, steps, found);
        steps.pop();
    }
}

/// The place without positions: the same number of another process has the same.
pub fn kind((section, steps): &Place) -> String {
    let keys = steps.iter().map(|step| match step {
        Step::Key(key) => format!(".{key}"),
        // The parts of a short list differ, as inode, process and descriptor do.
        Step::At(at) if *at < 3 => format!("[{at}]"),
        Step::At(_) => "[]".to_owned(),
    });
    format!("{section}{}", keys.collect::<String>())
}

/// What the processes of the scenarios say: as many of them as it takes to have every field.
fn said() -> Vec<Value> {
    let mut fields = std::collections::BTreeSet::new();
    let mut said = Vec::new();
    for (_, scenario) in scenario::all() {
        for process in &scenario.unwrap().process {
            let pid = closewait::model::Pid(process.pid);
            let evidence = scenario::build::evidence(process, pid).unwrap();
            let value = serde_json::to_value(evidence).unwrap();
            let mut is_new = false;
            collect(&value, |_| true, &mut Vec::new(), &mut |steps| {
                let keys = steps.iter().filter(|step| matches!(step, Step::Key(_)));
                is_new |= fields.insert(keys.cloned().collect::<Vec<Step>>());
            });
            if is_new {
                said.push(value);
            }
        }
    }
    said
}
