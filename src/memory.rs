//! An allocator that ends the run with a message when memory runs out. The standard library would
//! abort, and monitoring would see a signal instead of UNKNOWN.
//!
//! The unsafe code passes every call on to the system's allocator unchanged.

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

/// What is printed, and the exit code, when memory runs out.
#[derive(Debug)]
pub struct Refusal {
    /// A line for stdout; empty except for a check.
    pub stdout: Vec<u8>,
    pub code: u8,
}

/// For stderr.
const REASON: &[u8] = b"closewait: not enough memory; try a higher limit (ulimit -v)\n";

/// The status line of a check before its labels are known.
const UNKNOWN: &[u8] = b"CLOSE_WAIT UNKNOWN - not enough memory\n";

static REFUSAL: OnceLock<Refusal> = OnceLock::new();
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Sets how a run without memory ends. Until then it ends with the code for a failed reading.
pub fn refused_as(refusal: Refusal) {
    // Set once: the arguments do not change.
    let _ = REFUSAL.set(refusal);
}

/// The stack that the main thread may need, in bytes. It grows only while the address space has room;
/// after that the kernel sends a signal.
const STACK: usize = 512 * 1024;

/// Runs with enough stack. The main thread touches its stack now, while a lack of memory can still be
/// reported. If `ulimit -s` is too small, another thread runs, whose stack has no such limit.
pub fn with_stack(run: fn() -> ExitCode) -> ExitCode {
    share_arena();
    let limit = getrlimit(Resource::Stack).current;
    if limit.is_some_and(|limit| limit < 4 * STACK as u64) {
        let runs = thread::Builder::new().stack_size(4 * STACK).spawn(run);
        return match runs.map(JoinHandle::join) {
            Ok(Ok(code)) => code,
            // `run` reports its own panics.
            Ok(Err(_)) | Err(_) => refuse(),
        };
    }
    // Either there is room for it now, or this reports the lack.
    drop(black_box(Vec::<u8>::with_capacity(2 * STACK)));
    touch_stack();
    run()
}

/// Makes all threads allocate from one arena if the address space is limited. The C library reserves
/// 64 MiB for each thread, and aborts if there is then no room for its own data
/// (`__cxa_thread_atexit_impl`).
#[cfg(target_env = "gnu")]
fn share_arena() {
    if getrlimit(Resource::As).current.is_some() {
        // SAFETY: takes two numbers; no other thread runs yet.
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
        // Another thread is already ending it.
        loop {
            std::thread::yield_now();
        }
    }
    let (line, code) = match REFUSAL.get() {
        Some(refusal) => (refusal.stdout.as_slice(), refusal.code),
        // The arguments have not been looked at yet.
        None if is_check() => (UNKNOWN, 3),
        None => (&[][..], 1),
    };
    let _ = rustix::io::write(rustix::stdio::stdout(), line);
    let _ = rustix::io::write(rustix::stdio::stderr(), REASON);
    // SAFETY: ends the process without running anything that might allocate.
    unsafe { libc::_exit(code.into()) }
}

/// Whether `check` is on the command line.
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

// SAFETY: every call goes to the system allocator with the same arguments, and returns its result.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's guarantees are passed on.
        given(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's guarantees are passed on.
        given(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's guarantees are passed on.
        given(unsafe { System.realloc(memory, layout, size) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's guarantees are passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}
