//! Bytes to a recording that somebody has changed: a base, and edits of it, with the checksum that
//! belongs to the result. Nothing is compressed, so that it costs next to nothing.

use std::io::Read;
use std::ops::Range;

use flate2::Crc;
use flate2::read::GzDecoder;

/// What a value of JSON, a field of a text or a part of one is replaced by.
const VALUES: [&str; 40] = [
    "0",
    "1",
    "-1",
    "255",
    "65535",
    "65536",
    "4294967294",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551614",
    "18446744073709551615",
    "1.5",
    "-0.0",
    "1e308",
    "1e-320",
    "3.5e38",
    "null",
    "true",
    "false",
    "[]",
    "{}",
    "\"\"",
    "\"0\"",
    "\"\\u001b[2J\\nFORGED\"",
    "\"\\u202ecod\\u200b\\u009b\\u3000\"",
    "[255,27,10,194,133]",
    "\"<`$(x)`|\\t,\\\"'\"",
    "\"proc-tcp\"",
    "\"proc-udp6\"",
    "\"mptcp\"",
    "\"tcp-bound\"",
    "\"netlink\"",
    "FFFFFFFF:FFFFFFFF",
    "00000000:0000",
    "FFFFFFFF",
    "sl",
    "\n",
    "08",
];
/// What a number of four bytes is replaced by.
const WORDS: [u32; 8] = [
    0,
    1,
    u32::MAX,
    u32::MAX - 1,
    i32::MAX as u32,
    1 << 31,
    0xffff,
    0x0101_0101,
];
/// How many bytes an edit has: what, which section, where in two bytes, by what in two.
pub const EDIT: usize = 6;
/// More of them leave nothing that is understood.
const EDITS_MAX: usize = 16;

pub struct Base {
    line: Vec<u8>,
    sections: Vec<Section>,
}

#[derive(Clone)]
struct Section {
    tag: Vec<u8>,
    content: Vec<u8>,
    /// Where the values of its JSON stand, or the fields of its text.
    values: Vec<Range<usize>>,
}

impl Base {
    pub fn new(bytes: &[u8]) -> Base {
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
            let mut content = Vec::new();
            GzDecoder::new(body).read_to_end(&mut content).unwrap();
            let values = if tag.starts_with(b"dump") {
                fields(&content)
            } else {
                values(&content)
            };
            sections.push(Section {
                tag: tag.to_vec(),
                content,
                values,
            });
            rest = after;
        }
        Base {
            line: line.to_vec(),
            sections,
        }
    }

    /// The recording with these edits.
    pub fn edited(&self, edits: &[u8]) -> Vec<u8> {
        let mut sections: Vec<Edited> = self.sections.iter().map(Edited::new).collect();
        let mut framing = Vec::new();
        for edit in edits.chunks_exact(EDIT).take(EDITS_MAX) {
            let &[what, which, a, b, c, d] = edit else {
                unreachable!()
            };
            let place = usize::from(u16::from_le_bytes([a, b]));
            let count = sections.len();
            let at = usize::from(which) % count.max(1);
            match what % 32 {
                // Sections that are missing, there twice, or in another order.
                29 if count > 0 => drop(sections.remove(at)),
                30 if count > 0 && count < 40 => sections.push(sections[at].clone()),
                31 if count > 0 => sections.swap(at, usize::from(c) % count),
                28 => framing.push((place, c, d)),
                what if count > 0 => {
                    let other = &self.sections[usize::from(d) % self.sections.len()];
                    sections[at].edit(what, place, c, d, other);
                }
                _ => {}
            }
        }
        let mut bytes = self.line.clone();
        for section in &sections {
            let body = stored(&section.content());
            bytes.extend(&section.base.tag);
            bytes.extend((body.len() as u64).to_le_bytes());
            bytes.extend(body);
        }
        for (place, mask, value) in framing {
            let place = place * 7 % bytes.len();
            bytes[place] = bytes[place] & mask ^ value;
        }
        let mut crc = Crc::new();
        crc.update(&bytes);
        bytes.extend(b"end     ");
        bytes.extend(4u64.to_le_bytes());
        bytes.extend(crc.sum().to_le_bytes());
        bytes
    }
}

/// A text with these edits.
pub fn text(text: &[u8], edits: &[u8]) -> Vec<u8> {
    let section = Section {
        tag: b"dump".to_vec(),
        content: text.to_vec(),
        values: fields(text),
    };
    let mut edited = Edited::new(&section);
    for edit in edits.chunks_exact(EDIT).take(EDITS_MAX) {
        let &[what, _, a, b, c, d] = edit else {
            unreachable!()
        };
        let place = usize::from(u16::from_le_bytes([a, b]));
        edited.edit(what % 28, place, c, d, &section);
    }
    edited.content()
}

/// A section, and what is to be put where; places are those of the base.
#[derive(Clone)]
struct Edited<'a> {
    base: &'a Section,
    changes: Vec<(Range<usize>, Vec<u8>)>,
}

impl<'a> Edited<'a> {
    fn new(base: &'a Section) -> Edited<'a> {
        Edited {
            base,
            changes: Vec::new(),
        }
    }

    fn edit(&mut self, what: u8, place: usize, c: u8, d: u8, other: &Section) {
        let base = self.base;
        let text = |range: &Range<usize>| base.content[range.clone()].to_vec();
        let length = base.content.len();
        let range = base.values.get(place % base.values.len().max(1)).cloned();
        let value = VALUES[usize::from(c) % VALUES.len()].as_bytes().to_vec();
        let raw = place % (length + 1);
        match (what, range) {
            (0..=9, Some(range)) => self.changes.push((range, value)),
            (10..=12, Some(range)) if !other.values.is_empty() => {
                let from = &other.values[usize::from(c) % other.values.len()];
                self.changes
                    .push((range, other.content[from.clone()].to_vec()));
            }
            // One more of it, or as many more.
            (13 | 14, Some(range)) => {
                let mut more = text(&range);
                for _ in 0..=c % 8 {
                    more.push(if base.is_dump() { b' ' } else { b',' });
                    more.extend(text(&range));
                }
                self.changes.push((range, more));
            }
            // Without it, and the comma beside it.
            (15, Some(range)) => {
                let after = base.content.get(range.end) == Some(&b',');
                let end = range.end + usize::from(after);
                self.changes.push((range.start..end, Vec::new()));
            }
            // All that look alike.
            (16, Some(range)) => {
                let alike = text(&range);
                let ranges = base.values.iter().filter(|range| text(range) == alike);
                let changes = ranges.map(|range| (range.clone(), value.clone()));
                self.changes.extend(changes);
            }
            (17..=22, _) if base.is_dump() => {
                let at = place * 4 % length.max(1);
                let word = WORDS[usize::from(c) % WORDS.len()].to_ne_bytes();
                self.changes.push((at..(at + 4).min(length), word.to_vec()));
            }
            // Raw bytes.
            (17..=23, _) => self.changes.push((raw..(raw + 2).min(length), vec![c, d])),
            (24, _) => self.changes.push((raw..raw, vec![c, d])),
            (25, _) => self.changes.push((raw..length, Vec::new())),
            (26, _) => {
                let end = (raw + usize::from(c) * 4).min(length);
                self.changes.push((raw..end, Vec::new()));
            }
            // A piece again.
            (27, _) => {
                let end = (raw + usize::from(c) * 4).min(length);
                self.changes.push((raw..raw, text(&(raw..end))));
            }
            _ => {}
        }
    }

    /// Of changes that meet the first is made.
    fn content(&self) -> Vec<u8> {
        let mut changes: Vec<&(Range<usize>, Vec<u8>)> = self.changes.iter().collect();
        changes.sort_by_key(|(range, _)| range.start);
        let mut content = Vec::with_capacity(self.base.content.len() + 64);
        let mut done = 0;
        for (range, new) in changes {
            if range.start < done {
                continue;
            }
            content.extend(&self.base.content[done..range.start]);
            content.extend(new);
            done = range.end;
        }
        content.extend(&self.base.content[done..]);
        content
    }
}

impl Section {
    fn is_dump(&self) -> bool {
        self.tag.starts_with(b"dump")
    }
}

/// Where the values of a text of JSON stand, the inner ones too.
fn values(json: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut open = Vec::new();
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        let start = at;
        at += 1;
        match byte {
            b'{' | b'[' => open.push(start),
            b'}' | b']' => found.extend(open.pop().map(|start| start..at)),
            b'"' => {
                while let Some(byte) = json.get(at).filter(|byte| **byte != b'"') {
                    at += 1 + usize::from(*byte == b'\\');
                }
                at += 1;
                found.push(start..at);
            }
            b',' | b':' => {}
            _ => {
                while json.get(at).is_some_and(|byte| !b",]}:".contains(byte)) {
                    at += 1;
                }
                found.push(start..at);
            }
        }
    }
    found
}

/// Where the fields of a text of the kernel stand; of bytes that are none, anything.
fn fields(text: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    for field in text.split(u8::is_ascii_whitespace) {
        if !field.is_empty() {
            found.push(at..at + field.len());
        }
        at += field.len() + 1;
    }
    found
}

/// In gzip form, uncompressed.
fn stored(content: &[u8]) -> Vec<u8> {
    let mut body = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = content.chunks(0xffff).peekable();
    if content.is_empty() {
        body.extend([1, 0, 0, 0xff, 0xff]);
    }
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        body.push(u8::from(blocks.peek().is_none()));
        body.extend(length.to_le_bytes());
        body.extend((!length).to_le_bytes());
        body.extend(block);
    }
    let mut crc = Crc::new();
    crc.update(content);
    body.extend(crc.sum().to_le_bytes());
    body.extend((content.len() as u32).to_le_bytes());
    body
}
