//! Every open file of the host, by one walk in the kernel: a BPF iterator of tasks.
//!
//! /proc/*/fd tells of one descriptor a system call, and makes a file system node for each. Where
//! hundreds of thousands are open, that costs twenty times as much as a look into the tables of
//! descriptors where they are. A kernel since 6.4 does that for root, once its verifier has seen
//! that the program only reads.
//!
//! What the program says is taken for true only if it found what this process holds itself.

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
/// The first PID namespace: the only one whose numbers are those of the kernel's tasks
/// (`PROC_PID_INIT_INO` in `include/linux/proc_ns.h`).
const FIRST_NAMESPACE: &str = "pid:[4026531836]";
/// How often the blocks may need more room than was made.
const TRIES: u32 = 3;
/// Room for what the verifier says of a program that it does not take.
const LOG: usize = 256 * 1024;

/// Why there was no walk, or none to be relied upon.
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
    #[error("this is not the host's PID namespace")]
    PidNamespace,
    #[error("open files become more all the time")]
    Growing,
    #[error("it did not find what closewait holds itself")]
    Untrue,
    #[error("not on a machine of big endian")]
    BigEndian,
}

/// All that a walk needs.
#[derive(Debug)]
pub struct Walk {
    layout: Layout,
    own: Own,
    state: Array,
    blocks: Array,
    link: OwnedFd,
    /// How many blocks there is room for.
    room: u32,
}

/// How many files are open on the host; `None` where the kernel does not tell.
pub fn open_files() -> Option<u32> {
    let text = file::text(Path::new(OPEN_FILES)).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

impl Walk {
    /// Makes everything ready, with room for so many open files. Nothing is looked at yet.
    ///
    /// # Errors
    /// When the kernel does not let us, or does not know how.
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
        // Half as much again: a file may be open under several numbers, and a block half empty.
        let full = open_files / u32::from(block::FILES);
        Walk::load(layout, full.saturating_add(full / 2))
    }

    fn load(layout: Layout, room: u32) -> Result<Walk, BpfError> {
        let own = Own::open().map_err(refused("opening files of our own"))?;
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

    /// Walks. Room is made for more, if there is more than there was room for.
    ///
    /// # Errors
    /// When the kernel breaks it off, makes no more room, or did not find what we hold.
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

    /// Goes through all tasks as often as the largest table of descriptors has windows. How many
    /// blocks there are, those that had no room included.
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

    /// Runs the program over every task. It writes nothing into the file: to read it to its end
    /// is to run it.
    fn pass(&self) -> io::Result<()> {
        let mut file = File::from(syscall::iterate(&self.link)?);
        let mut nothing = [0; 64];
        loop {
            match file.read(&mut nothing) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    // After a million tasks, the kernel wants to be asked again.
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
    }

    /// Takes so many blocks, a chunk at a time.
    fn seen(&self, count: u32) -> Result<Seen, BpfError> {
        let chunks = 0..count.div_ceil(CHUNK);
        let mut buffer = vec![0; (CHUNK * block::SIZE) as usize];
        // The youngest processes come last, and this is one.
        let mut kinds = Kinds::default();
        for chunk in chunks.clone().rev() {
            self.own
                .tell(self.chunk(chunk, count, &mut buffer)?, &mut kinds);
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

    /// Those in a chunk, of so many in all.
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

/// Loads the program; if that fails, once more for the verifier's reason.
fn load(instructions: &[u64], function: u32) -> Result<OwnedFd, BpfError> {
    let reason = match syscall::load(instructions, function, &mut []) {
        Ok(program) => return Ok(program),
        Err(reason) => reason,
    };
    let mut log = vec![0; LOG];
    // The reason is in the log, and it is the same.
    let _ = syscall::load(instructions, function, &mut log);
    match last_words(&log) {
        Some(words) => Err(BpfError::Verifier(words)),
        // It was not let so far.
        None => Err(refused("loading a BPF program")(reason)),
    }
}

/// What the verifier said before its figures.
fn last_words(log: &[u8]) -> Option<String> {
    let text = log.split(|byte| *byte == 0).next()?;
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines().filter(|line| !line.starts_with("processed "));
    Some(lines.next_back()?.trim().to_owned()).filter(|line| !line.is_empty())
}

fn refused(what: &'static str) -> impl Fn(io::Error) -> BpfError {
    move |reason| BpfError::Refused { what, reason }
}

/// The words that program and reader share.
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
