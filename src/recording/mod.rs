//! A recording: everything that one run read, for later inspection, also on other hosts.
//!
//! It contains the raw dumps of the kernel, which every command parses like live ones, and the facts
//! that were read with them.

// The bytes, lengths and counts of a file that anyone may have made.
#![warn(clippy::indexing_slicing, clippy::string_slice)]
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod content;
mod error;
mod format;
mod names;
mod owners;
mod redact;
mod replay;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::collector::processes::ProcessFacts;
use crate::collector::sockets::capture::{Capture, Dump, Form};
use crate::model::{Gap, Host, Namespace, OtherNamespaces, Scan, Snapshot};
pub use crate::recording::error::RecordingError;
use crate::recording::format::{Tag, Writer};
pub use crate::recording::names::RecordedNames;
use crate::recording::owners::{Groups, Owners};
pub use crate::recording::redact::Functions;

/// The most bytes that all dumps of a recording may unpack to: two million sockets.
const DUMPS_MAX: u64 = 1 << 30;

/// Everything that one run read.
#[derive(Debug, Clone)]
pub struct Recording {
    pub facts: Facts,
    owners: Owners,
    cgroups: Groups,
    evidence: Vec<ProcessFacts>,
    dumps: Vec<Dump>,
}

/// Facts about a reading and its host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Facts {
    /// The version of the closewait that recorded.
    pub tool: String,
    pub byte_order: ByteOrder,
    /// When the dump began, in nanoseconds since the Unix epoch.
    pub taken_at_ns: i64,
    /// How long the dump took; not in older recordings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading_ms: Option<u64>,
    /// Addresses and names are masked.
    pub redacted: bool,
    /// All network namespaces of the host were to be read.
    pub all_namespaces: bool,
    pub host: Host,
    pub namespaces: Vec<Namespace>,
    /// The namespaces that were not read; missing in older recordings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<OtherNamespaces>,
    pub gaps: Vec<Gap>,
    pub scan: Scan,
    /// The namespace and form of each dump, in order.
    dumps: Vec<DumpFacts>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct DumpFacts {
    netns: u16,
    form: Form,
}

/// The byte order of the numbers in the kernel's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    const NATIVE: ByteOrder = if cfg!(target_endian = "little") {
        ByteOrder::Little
    } else {
        ByteOrder::Big
    };
}

/// How much is read before the first check.
const PIECE: usize = 64 * 1024;

impl Recording {
    /// From a reading, and the facts about the suspects.
    pub fn new(
        snapshot: &Snapshot,
        capture: Capture,
        evidence: Vec<ProcessFacts>,
        all_namespaces: bool,
    ) -> Recording {
        let dumps = capture.into_dumps();
        Recording {
            facts: Facts {
                tool: env!("CARGO_PKG_VERSION").to_owned(),
                byte_order: ByteOrder::NATIVE,
                reading_ms: snapshot.reading_ms,
                taken_at_ns: i64::try_from(snapshot.taken_at_ns).unwrap_or(i64::MAX),
                redacted: false,
                all_namespaces,
                host: snapshot.host.clone(),
                namespaces: snapshot.namespaces.clone(),
                others: snapshot.others.clone(),
                gaps: snapshot.gaps.clone(),
                scan: snapshot.scan.clone(),
                dumps: facts_of(&dumps),
            },
            owners: Owners::of(snapshot),
            cgroups: Groups::of(snapshot.cgroups.as_ref()),
            evidence,
            dumps,
        }
    }

    /// Reads a recording from a file.
    ///
    /// # Errors
    /// When it cannot be read, is not a recording, or was altered.
    #[allow(clippy::disallowed_methods, reason = "it may be a pipe")]
    pub fn open(path: &Path) -> Result<Recording, RecordingError> {
        Recording::read_from(File::open(path).map_err(RecordingError::Unread)?)
    }

    /// Reads a recording to the end of `source`.
    ///
    /// # Errors
    /// When it cannot be read, is not a recording, or was altered.
    pub fn read_from(source: impl Read) -> Result<Recording, RecordingError> {
        let mut bytes = Vec::new();
        let mut source = source.take(DUMPS_MAX);
        let read = source
            .by_ref()
            .take(format::LINE as u64)
            .read_to_end(&mut bytes);
        read.map_err(RecordingError::Unread)?;
        // A file that is not a recording may be endless.
        format::after_line(&bytes)?;
        loop {
            let before = bytes.len();
            let more = before.max(PIECE) as u64;
            let read = source.by_ref().take(more).read_to_end(&mut bytes);
            read.map_err(RecordingError::Unread)?;
            if bytes.len() == before {
                return Recording::read(&bytes);
            }
            match format::sections(&bytes) {
                Ok(_) | Err(RecordingError::Truncated) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads a recording from its bytes.
    ///
    /// # Errors
    /// When they are not a recording, or were altered.
    pub fn read(bytes: &[u8]) -> Result<Recording, RecordingError> {
        let sections = format::sections(bytes)?;
        let one = |wanted: Tag| {
            let mut found = sections.iter().filter(|(tag, _)| *tag == wanted);
            match (found.next(), found.next()) {
                (Some((_, body)), None) => Ok(*body),
                _ => Err(RecordingError::Altered(
                    "a section is missing or duplicated",
                )),
            }
        };
        let facts: Facts = format::json(Tag::Facts, one(Tag::Facts)?)?;
        if facts.byte_order != ByteOrder::NATIVE {
            return Err(RecordingError::ByteOrder);
        }
        let bodies = sections.iter().filter(|(tag, _)| *tag == Tag::Dump);
        let dumps: Vec<Dump> = bodies
            .zip(&facts.dumps)
            .map(|((_, body), DumpFacts { netns, form })| Dump {
                netns: *netns,
                form: *form,
                stored: body.to_vec(),
            })
            .collect();
        let unmatched = |dump: &Dump| usize::from(dump.netns) >= facts.namespaces.len();
        if sections.len() != dumps.len().saturating_add(4) || dumps.len() != facts.dumps.len() {
            return Err(RecordingError::Altered(
                "its dumps are not those that it lists",
            ));
        }
        if dumps.iter().any(unmatched) {
            return Err(RecordingError::Altered("a dump is of an unknown namespace"));
        }
        Ok(Recording {
            owners: format::json(Tag::Owners, one(Tag::Owners)?)?,
            cgroups: format::json(Tag::Cgroups, one(Tag::Cgroups)?)?,
            evidence: format::json(Tag::Evidence, one(Tag::Evidence)?)?,
            facts,
            dumps,
        })
    }

    /// Writes it.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let mut writer = Writer::new(out)?;
        writer.json(Tag::Facts, &self.facts)?;
        for dump in &self.dumps {
            writer.section(Tag::Dump, &dump.stored)?;
        }
        writer.json(Tag::Owners, &self.owners)?;
        writer.json(Tag::Cgroups, &self.cgroups)?;
        writer.json(Tag::Evidence, &self.evidence)?;
        writer.end()
    }
}

fn facts_of(dumps: &[Dump]) -> Vec<DumpFacts> {
    let facts = |dump: &Dump| DumpFacts {
        netns: dump.netns,
        form: dump.form,
    };
    dumps.iter().map(facts).collect()
}

#[cfg(test)]
mod tests;
