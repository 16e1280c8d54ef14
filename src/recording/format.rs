//! The bytes of a recording: a line that identifies it, sections, and a checksum.
//! docs/recording.md describes them.

use std::io::{self, Read, Write};

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compression, Crc};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::RecordingError;
use super::content::unpacked_max;

/// The version that is written, and the newest that can be read.
const VERSION: u32 = 1;
const MAGIC: &[u8] = b"closewait recording ";
/// The longest first line.
pub(super) const LINE: usize = 64;
const TAG: usize = 8;
/// A tag and a length.
const HEADER: usize = TAG + 8;
/// The most bytes that a section of JSON may unpack to.
const JSON_MAX: u64 = 256 << 20;

/// What a section contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    Facts,
    Dump,
    Owners,
    Cgroups,
    Evidence,
    End,
}

impl Tag {
    const ALL: [Tag; 6] = [
        Tag::Facts,
        Tag::Dump,
        Tag::Owners,
        Tag::Cgroups,
        Tag::Evidence,
        Tag::End,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Tag::Facts => "facts",
            Tag::Dump => "dump",
            Tag::Owners => "owners",
            Tag::Cgroups => "cgroups",
            Tag::Evidence => "evidence",
            Tag::End => "end",
        }
    }

    /// The name, padded with spaces.
    fn bytes(self) -> [u8; TAG] {
        let mut bytes = [b' '; TAG];
        for (to, from) in bytes.iter_mut().zip(self.name().bytes()) {
            *to = from;
        }
        bytes
    }
}

/// Writes sections, and computes their checksum.
pub(super) struct Writer<W> {
    out: W,
    crc: Crc,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W) -> io::Result<Writer<W>> {
        let mut writer = Writer {
            out,
            crc: Crc::new(),
        };
        writer.put(MAGIC)?;
        writer.put(format!("{VERSION}\n").as_bytes())?;
        Ok(writer)
    }

    /// A section of JSON.
    pub(super) fn json(&mut self, tag: Tag, value: &impl Serialize) -> io::Result<()> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        serde_json::to_writer(&mut encoder, value)?;
        self.section(tag, &encoder.finish()?)
    }

    /// A section of bytes in gzip form.
    pub(super) fn section(&mut self, tag: Tag, body: &[u8]) -> io::Result<()> {
        self.put(&tag.bytes())?;
        self.put(&(body.len() as u64).to_le_bytes())?;
        self.put(body)
    }

    /// The last section, with the checksum of all before it.
    pub(super) fn end(mut self) -> io::Result<()> {
        let sum = self.crc.sum().to_le_bytes();
        self.section(Tag::End, &sum)?;
        self.out.flush()
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc.update(bytes);
        self.out.write_all(bytes)
    }
}

/// The sections of a recording in order, after a check of its end.
pub(super) fn sections(bytes: &[u8]) -> Result<Vec<(Tag, &[u8])>, RecordingError> {
    let mut rest = after_line(bytes)?;
    let mut sections = Vec::new();
    loop {
        let before = bytes.len().saturating_sub(rest.len());
        let (header, body) = rest
            .split_at_checked(HEADER)
            .ok_or(RecordingError::Truncated)?;
        let (tag, length) = header.split_at(TAG);
        let tag = Tag::ALL
            .into_iter()
            .find(|known| known.bytes() == tag)
            .ok_or(RecordingError::Altered("a section has no known name"))?;
        let length = length.try_into().map_or(u64::MAX, u64::from_le_bytes);
        let (body, after) = usize::try_from(length)
            .ok()
            .and_then(|length| body.split_at_checked(length))
            .ok_or(RecordingError::Truncated)?;
        if tag != Tag::End {
            sections.push((tag, body));
            rest = after;
            continue;
        }
        let mut crc = Crc::new();
        crc.update(bytes.get(..before).unwrap_or_default());
        if body != crc.sum().to_le_bytes() {
            return Err(RecordingError::Altered("its checksum is wrong"));
        }
        return match after {
            [] => Ok(sections),
            _ => Err(RecordingError::Altered("something follows its end")),
        };
    }
}

/// What follows the first line.
pub(super) fn after_line(bytes: &[u8]) -> Result<&[u8], RecordingError> {
    let start = bytes.get(..bytes.len().min(LINE)).unwrap_or_default();
    let Some(rest) = start.strip_prefix(MAGIC) else {
        // Cut off within the word.
        return Err(if !bytes.is_empty() && MAGIC.starts_with(bytes) {
            RecordingError::Truncated
        } else {
            RecordingError::Foreign
        });
    };
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
        return Err(if bytes.len() < LINE {
            RecordingError::Truncated
        } else {
            RecordingError::Foreign
        });
    };
    let digits = rest.get(..end).unwrap_or_default();
    let version: u32 = std::str::from_utf8(digits)
        .ok()
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .ok_or(RecordingError::Foreign)?;
    match version {
        VERSION => {
            let line = MAGIC.len().saturating_add(end).saturating_add(1);
            Ok(bytes.get(line..).unwrap_or_default())
        }
        0 => Err(RecordingError::Foreign),
        newer => Err(RecordingError::Newer {
            version: newer,
            known: VERSION,
        }),
    }
}

/// Reads a section of JSON.
pub(super) fn json<T: DeserializeOwned>(tag: Tag, body: &[u8]) -> Result<T, RecordingError> {
    let most = unpacked_max(body).min(JSON_MAX);
    let mut text = io::BufReader::new(GzDecoder::new(body).take(most));
    serde_json::from_reader(&mut text).map_err(|error| match text.get_ref().limit() {
        0 => RecordingError::TooLarge,
        _ => RecordingError::Section {
            name: tag.name(),
            reason: error.to_string(),
        },
    })
}
