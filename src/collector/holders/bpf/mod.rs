//! Every open file of the host, in one walk by the kernel: a BPF iterator over tasks.
//!
//! /proc/*/fd takes a system call per descriptor, and makes a file system node for each. With hundreds of
//! thousands of open files, that costs twenty times as much as reading the descriptor tables directly.
//! Since Linux 6.4 the kernel does so for root, after its verifier has checked that the program only
//! reads.
//!
//! The result is used only if it contains the files that this process holds itself.

pub(crate) mod btf;
mod code;
pub(crate) mod program;
mod seen;
mod syscall;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use crate::collector::holders::bpf::btf::{BtfError, Layout};
use crate::collector::holders::bpf::program::{CHUNK, Parts, WINDOW, block, state};
use crate::collector::holders::bpf::seen::{Blocks, Kinds, Own};
use crate::collector::holders::bpf::syscall::Array;

use crate::collector::file;

pub use crate::collector::holders::bpf::seen::{Other, Seen};

const TYPES: &str = "/sys/kernel/btf/vmlinux";
const OPEN_FILES: &str = "/proc/sys/fs/file-nr";
const PID_NAMESPACE: &str = "/proc/self/ns/pid";
/// The initial PID namespace: only its numbers are those that the walk reads (`PROC_PID_INIT_INO` in
/// `include/linux/proc_ns.h`).
const FIRST_NAMESPACE: &str = "pid:[4026531836]";
/// How often a walk is repeated because there were more blocks than room for them.
const TRIES: u32 = 3;
/// The size of the verifier's log, in bytes.
const LOG: usize = 256 * 1024;

/// Why there is no reliable walk.
#[derive(Debug, thiserror::Error)]
pub enum BpfError {
    #[error("{path}: {reason}")]
    Read {
        path: &'static str,
        reason: io::Error,
    },
    #[error(transparent)]
    Types(#[from] BtfError),
    #[error("{what}: {reason}")]
    Refused {
        what: &'static str,
        reason: io::Error,
    },
    #[error("the kernel's verifier: {0}")]
    Verifier(String),
    #[error("this is not the initial PID namespace")]
    PidNamespace,
    #[error("the number of open files grows too fast")]
    Growing,
    #[error("it did not find the files of closewait itself")]
    Untrue,
    #[error("not available on big-endian machines")]
    BigEndian,
}

/// A prepared walk.
#[derive(Debug)]
pub struct Walk {
    layout: Layout,
    own: Own,
    state: Array,
    blocks: Array,
    link: OwnedFd,
    /// The number of blocks that there is room for.
    room: u32,
}

/// The number of open files on the host; `None` if unknown.
pub fn open_files() -> Option<u32> {
    let text = file::text(Path::new(OPEN_FILES)).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

impl Walk {
    /// Prepares a walk with room for this many open files.
    ///
    /// # Errors
    /// If permission is denied, or the kernel does not support it.
    pub fn prepare(open_files: u32) -> Result<Walk, BpfError> {
        if cfg!(target_endian = "big") {
            return Err(BpfError::BigEndian);
        }
        let read = |path| move |reason| BpfError::Read { path, reason };
        let namespace = file::link(Path::new(PID_NAMESPACE)).map_err(read(PID_NAMESPACE))?;
        if namespace.as_os_str() != FIRST_NAMESPACE {
            return Err(BpfError::PidNamespace);
        }
        let layout = Layout::read(file::open(Path::new(TYPES)).map_err(read(TYPES))?)?;
        // Half as much again: a file may have several descriptors, and a block may be half empty.
        let full = open_files / u32::from(block::FILES);
        Walk::load(layout, full.saturating_add(full / 2))
    }

    fn load(layout: Layout, room: u32) -> Result<Walk, BpfError> {
        let own = Own::open().map_err(refused("opening test files"))?;
        let chunks = room / CHUNK + 1;
        let map = |size, entries| Array::new(size, entries).map_err(refused("making a BPF map"));
        let state = map(state::SIZE as u32, 1)?;
        let blocks = map(CHUNK * block::SIZE, chunks)?;
        let parts = Parts {
            layout: &layout,
            state: state.number(),
            blocks: blocks.number(),
        };
        let program = load(&program::assemble(&parts), layout.iter_task)?;
        let link = syscall::link(&program).map_err(refused("making a BPF iterator"))?;
        Ok(Walk {
            layout,
            own,
            state,
            blocks,
            link,
            room: chunks.saturating_mul(CHUNK),
        })
    }

    /// Walks over all tasks, again with more room if there was not enough.
    ///
    /// # Errors
    /// If the kernel fails, has no more room, or did not find the files of this process.
    pub fn walk(&mut self) -> Result<Seen, BpfError> {
        for _ in 0..TRIES {
            let needed = self.pass_windows()?;
            if needed <= self.room {
                return self.seen(needed);
            }
            *self = Walk::load(self.layout, needed.saturating_add(needed / 4))?;
        }
        Err(BpfError::Growing)
    }

    /// Walks once for each window of the largest descriptor table. Returns the number of blocks, including
    /// those without room.
    fn pass_windows(&self) -> Result<u32, BpfError> {
        let mut state = State::default();
        loop {
            self.state
                .write(0, &state.bytes())
                .map_err(refused("writing a BPF map"))?;
            self.pass().map_err(refused("running a BPF iterator"))?;
            let mut bytes = [0; state::SIZE];
            self.state
                .read(0, &mut bytes)
                .map_err(refused("reading a BPF map"))?;
            state = State::of(&bytes);
            match state.start.checked_add(WINDOW) {
                Some(next) if next < state.most => state.start = next,
                _ => return Ok(state.blocks),
            }
        }
    }

    /// Runs the program over every task, by reading the iterator to its end. The program outputs nothing.
    fn pass(&self) -> io::Result<()> {
        let mut file = File::from(syscall::iterate(&self.link)?);
        let mut nothing = [0; 64];
        loop {
            match file.read(&mut nothing) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    // The kernel stops after a million tasks and continues with the next read.
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
    }

    /// Reads this many blocks, one chunk at a time.
    fn seen(&self, count: u32) -> Result<Seen, BpfError> {
        let chunks = 0..count.div_ceil(CHUNK);
        let mut buffer = vec![0; (CHUNK * block::SIZE) as usize];
        // This process is young, and the youngest come last.
        let mut kinds = Kinds::default();
        for chunk in chunks.clone().rev() {
            self.own
                .find_kinds(self.chunk(chunk, count, &mut buffer)?, &mut kinds);
            if kinds.are_known() {
                break;
            }
        }
        if !kinds.are_known() {
            return Err(BpfError::Untrue);
        }
        let mut seen = Seen::with_room_for(count);
        for chunk in chunks {
            seen.add(self.chunk(chunk, count, &mut buffer)?, &kinds);
        }
        seen.finish();
        Ok(seen)
    }

    /// The blocks in a chunk; `count` is the number of blocks in all.
    fn chunk<'a>(
        &self,
        chunk: u32,
        count: u32,
        buffer: &'a mut [u8],
    ) -> Result<Blocks<'a>, BpfError> {
        self.blocks
            .read(chunk, buffer)
            .map_err(refused("reading a BPF map"))?;
        Ok(Blocks::of(buffer, count.saturating_sub(chunk * CHUNK)))
    }
}

/// Loads the program. If that fails, tries again for the verifier's log.
fn load(instructions: &[u64], function: u32) -> Result<OwnedFd, BpfError> {
    let reason = match syscall::load(instructions, function, &mut []) {
        Ok(program) => return Ok(program),
        Err(reason) => reason,
    };
    let mut log = vec![0; LOG];
    // This fails for the same reason, which is in the log.
    let _ = syscall::load(instructions, function, &mut log);
    match last_message(&log) {
        Some(message) => Err(BpfError::Verifier(message)),
        // The verifier did not run.
        None => Err(refused("loading a BPF program")(reason)),
    }
}

/// The verifier's last message before its statistics.
fn last_message(log: &[u8]) -> Option<String> {
    let text = log.split(|byte| *byte == 0).next()?;
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines().filter(|line| !line.starts_with("processed "));
    Some(lines.next_back()?.trim().to_owned()).filter(|line| !line.is_empty())
}

fn refused(what: &'static str) -> impl Fn(io::Error) -> BpfError {
    move |reason| BpfError::Refused { what, reason }
}

/// The state that the program and its reader share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct State {
    start: u32,
    blocks: u32,
    most: u32,
}

impl State {
    fn bytes(&self) -> [u8; state::SIZE] {
        let mut bytes = [0; state::SIZE];
        let words = [self.start, self.blocks, self.most];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    fn of(bytes: &[u8; state::SIZE]) -> State {
        let (words, _) = bytes.as_chunks();
        let word = |at| words.get(at).copied().map_or(0, u32::from_ne_bytes);
        State {
            start: word(0),
            blocks: word(1),
            most: word(2),
        }
    }
}
