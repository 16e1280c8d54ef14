//! An allocator that ends the run in words where the system has no memory left. The standard
//! library would abort: monitoring would see a signal in place of UNKNOWN.
//!
//! The unsafe code hands every call on to the system's allocator as it came.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, getrlimit};

/// The system's allocator.
#[derive(Debug)]
pub struct Memory;

/// What is said, and how the run ends, where there is no more.
#[derive(Debug)]
pub struct Refusal {
    /// A line for stdout; nothing where stdout is not for that.
    pub stdout: Vec<u8>,
    pub code: u8,
}

/// For stderr.
const REASON: &[u8] = b"closewait: not enough memory; try a higher limit (ulimit -v)\n";

/// The line of a check of which not even the labels are known.
const UNKNOWN: &[u8] = b"CLOSE_WAIT UNKNOWN - not enough memory\n";

static REFUSAL: OnceLock<Refusal> = OnceLock::new();
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Says how a run ends that gets no memory; before, it is an error of a run that read nothing.
pub fn refused_as(refusal: Refusal) {
    // Said once: the arguments do not change.
    let _ = REFUSAL.set(refusal);
}

/// As much as the stack of the main thread may need, in bytes. It grows only where the address space
/// has room, and where it cannot the kernel sends a signal.
const STACK: usize = 512 * 1024;

/// Runs with the stack that a run needs. The main thread takes it now, where a lack of it can be told;
/// where `ulimit -s` leaves it too little, another thread runs, whose stack that does not bound.
pub fn with_stack(run: fn() -> ExitCode) -> ExitCode {
    share_arena();
    let limit = getrlimit(Resource::Stack).current;
    if limit.is_some_and(|limit| limit < 4 * STACK as u64) {
        let runs = thread::Builder::new().stack_size(4 * STACK).spawn(run);
        return match runs.map(JoinHandle::join) {
            Ok(Ok(code)) => code,
            // What panics is told by whoever runs.
            Ok(Err(_)) | Err(_) => refuse(),
        };
    }
    // There is room for it now, or there are words.
    drop(black_box(Vec::<u8>::with_capacity(2 * STACK)));
    touch_stack();
    run()
}

/// Has all threads allocate from one arena where the address space is limited. The C library reserves
/// 64 MiB of it for each thread, and aborts a thread for which it then finds no room at all
/// (`__cxa_thread_atexit_impl`).
#[cfg(target_env = "gnu")]
fn share_arena() {
    if getrlimit(Resource::As).current.is_some() {
        // SAFETY: takes two numbers; no other thread is there yet.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    }
}

#[cfg(not(target_env = "gnu"))]
fn share_arena() {}

#[inline(never)]
fn touch_stack() {
    black_box([0_u8; STACK]);
}

/// Ends the process. Nothing here may allocate.
fn refuse() -> ! {
    if REFUSED.swap(true, Ordering::Relaxed) {
        // Another thread is about to end it.
        loop {
            std::thread::yield_now();
        }
    }
    let (line, code) = match REFUSAL.get() {
        Some(refusal) => (refusal.stdout.as_slice(), refusal.code),
        // Before anything else was known.
        None if is_check() => (UNKNOWN, 3),
        None => (&[][..], 1),
    };
    let _ = rustix::io::write(rustix::stdio::stdout(), line);
    let _ = rustix::io::write(rustix::stdio::stderr(), REASON);
    // SAFETY: ends the process, and runs nothing that might want memory before.
    unsafe { libc::_exit(code.into()) }
}

/// Whether the command line has the word.
fn is_check() -> bool {
    let mut words = [0; 4096];
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let length = rustix::fs::open(c"/proc/self/cmdline", flags, Mode::empty())
        .and_then(|file| rustix::io::read(file, &mut words));
    let words = words.get(..length.unwrap_or(0)).unwrap_or_default();
    words.split(|byte| *byte == 0).any(|word| word == b"check")
}

fn given(memory: *mut u8) -> *mut u8 {
    if memory.is_null() {
        refuse();
    }
    memory
}

// SAFETY: every call is the system allocator's, with the arguments that came and with its answer.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for the caller.
        given(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for the caller.
        given(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as for the caller.
        given(unsafe { System.realloc(memory, layout, size) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as for the caller.
        unsafe { System.dealloc(memory, layout) }
    }
}
