//! A recording: everything that one run saw, to be looked at later and elsewhere.
//!
//! It holds the dumps as they came from the kernel, so that every command reads them as it reads
//! the kernel's own, and the facts that were read beside them.

// The bytes, lengths and counts of a file that anyone may have made.
#![warn(clippy::indexing_slicing, clippy::string_slice)]
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod format;
mod redact;
mod replay;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::collector::processes::ProcessFacts;
use crate::collector::sockets::capture;
use crate::collector::sockets::capture::{Capture, Dump, Form};
use crate::model::{
    Cgroup, Cgroups, FdLimit, Gap, Holder, Holders, Host, Namespace, OtherNamespaces, Pid, Process,
    Scan, Scanned, Snapshot, Socket,
};
use crate::recording::format::{Tag, Writer};
pub use crate::recording::replay::RecordedNames;

/// The most that all dumps of a recording together may come to: two million sockets.
const DUMPS_MAX: u64 = 1 << 30;

/// Why a recording cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("could not read it: {0}")]
    Unread(io::Error),
    #[error("it is no recording: those begin with the words `closewait recording`")]
    Foreign,
    #[error(
        "it has format {version}, and this closewait knows none above {known}: use the one that \
         made it, or a newer one"
    )]
    Newer { version: u32, known: u32 },
    #[error("it is cut off: copy it again, or record anew")]
    Truncated,
    #[error("it was altered: {0}")]
    Altered(&'static str),
    #[error("it was altered: its {name} cannot be understood: {reason}")]
    Section { name: &'static str, reason: String },
    #[error(
        "it is too large: it comes to more than {} MiB, or to {} times itself",
        DUMPS_MAX >> 20,
        capture::RATIO_MAX
    )]
    TooLarge,
    #[error("it was made on a machine of the other byte order")]
    ByteOrder,
}

impl From<io::Error> for RecordingError {
    fn from(error: io::Error) -> RecordingError {
        match error.kind() {
            io::ErrorKind::FileTooLarge => RecordingError::TooLarge,
            io::ErrorKind::UnexpectedEof => RecordingError::Altered("a dump ends too early"),
            io::ErrorKind::InvalidData => {
                RecordingError::Altered("a table is empty, without even a heading")
            }
            _ => RecordingError::Altered("a dump cannot be unpacked"),
        }
    }
}

/// Everything that one run saw.
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
    /// Addresses and names stand for others.
    pub redacted: bool,
    /// Every network namespace was asked for.
    pub all_namespaces: bool,
    pub host: Host,
    pub namespaces: Vec<Namespace>,
    /// Those beside them; older recordings say nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<OtherNamespaces>,
    pub gaps: Vec<Gap>,
    pub scan: Scan,
    /// What each section of a dump is, in their order.
    dumps: Vec<DumpFacts>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct DumpFacts {
    netns: u16,
    form: Form,
}

/// How the numbers in the kernel's messages are written.
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

/// Who holds which socket.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Owners {
    /// Inode, process and descriptor.
    holders: Vec<(u32, u32, u32)>,
    processes: Vec<Process>,
    /// How many files a process has open.
    open_files: Vec<(Pid, u64)>,
    /// How many it may have open; older recordings have it of suspects only, among the evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fd_limits: Vec<(Pid, FdLimit)>,
    /// The inodes of sockets that were closed while holders were looked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    closed: Vec<u32>,
}

/// Which process and which number stands for which control group.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Groups {
    processes: Vec<(Pid, Cgroup)>,
    numbers: Vec<(u64, Cgroup)>,
}

/// How much is read, at first, before it is looked at.
const PIECE: usize = 64 * 1024;

impl Recording {
    /// What was seen, and what the suspects said.
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
    /// When it cannot be read, is none, or is not as it was written.
    #[allow(clippy::disallowed_methods, reason = "it may well be a pipe")]
    pub fn open(path: &Path) -> Result<Recording, RecordingError> {
        Recording::read_from(File::open(path).map_err(RecordingError::Unread)?)
    }

    /// Reads a recording to the end of `source`.
    ///
    /// # Errors
    /// When it cannot be read, is none, or is not as it was written.
    pub fn read_from(source: impl Read) -> Result<Recording, RecordingError> {
        let mut bytes = Vec::new();
        let mut source = source.take(DUMPS_MAX);
        let read = source
            .by_ref()
            .take(format::LINE as u64)
            .read_to_end(&mut bytes);
        read.map_err(RecordingError::Unread)?;
        // What is none may have no end.
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
    /// When they are none, or not as they were written.
    pub fn read(bytes: &[u8]) -> Result<Recording, RecordingError> {
        let sections = format::sections(bytes)?;
        let one = |wanted: Tag| {
            let mut found = sections.iter().filter(|(tag, _)| *tag == wanted);
            match (found.next(), found.next()) {
                (Some((_, body)), None) => Ok(*body),
                _ => Err(RecordingError::Altered(
                    "a section is missing or there twice",
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
                "it has not the dumps that it names",
            ));
        }
        if dumps.iter().any(unmatched) {
            return Err(RecordingError::Altered("a dump is of no namespace"));
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

impl Owners {
    fn of(snapshot: &Snapshot) -> Owners {
        let Some(holders) = &snapshot.holders else {
            return Owners::default();
        };
        let numbers = |holder: &Holder| (holder.inode, holder.pid.0, holder.fd);
        let files = |scanned: &Scanned| (scanned.pid, scanned.fds);
        let limit = |scanned: &Scanned| Some((scanned.pid, scanned.fd_limit?));
        Owners {
            holders: holders.all().iter().map(numbers).collect(),
            processes: holders.processes().to_vec(),
            open_files: snapshot.scanned.iter().map(files).collect(),
            fd_limits: snapshot.scanned.iter().filter_map(limit).collect(),
            closed: holders.closed().to_vec(),
        }
    }

    fn holders(&self) -> Holders {
        let holder = |(inode, pid, fd): &(u32, u32, u32)| Holder {
            inode: *inode,
            pid: Pid(*pid),
            fd: *fd,
        };
        let holders = self.holders.iter().map(holder).collect();
        Holders::new(holders, self.processes.clone()).with_closed(self.closed.clone())
    }
}

impl Groups {
    fn of(cgroups: Option<&Cgroups>) -> Groups {
        let Some(cgroups) = cgroups else {
            return Groups::default();
        };
        let mut groups = Groups {
            processes: cgroups.of_process.clone().into_iter().collect(),
            numbers: cgroups.by_id.clone().into_iter().collect(),
        };
        groups.processes.sort_unstable();
        groups.numbers.sort_unstable();
        groups
    }

    fn cgroups(&self) -> Cgroups {
        Cgroups {
            of_process: self.processes.iter().cloned().collect(),
            by_id: self.numbers.iter().cloned().collect(),
        }
    }
}

/// What tells one socket from another of a namespace and protocol, where the kernel said it.
fn cookie(socket: &Socket) -> Option<u64> {
    socket.cookie.map(u64::from)
}

#[cfg(test)]
mod tests;
