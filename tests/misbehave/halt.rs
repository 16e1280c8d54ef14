//! Servers that cannot run, and processes that stop them.

use std::fs::File;
use std::io::Write;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{FlockOperation, flock};
use serde_json::json;

use crate::settings::Settings;
use crate::{Ready, wire};

/// How many threads of a server wait for a lock: more than half.
const LOCKED: usize = 4;

/// Never reads what its clients have sent, because (`way=`)
/// - `vfork`: a thread waits for a vfork child
/// - `lock`: threads wait for a lock on the file `path=`
pub fn halt(settings: &mut Settings) -> Result<Ready> {
    let connections = settings.take("connections", 1)?;
    let way = settings.take("way", String::new())?;
    let path = settings.take("path", String::new())?;
    let listener = wire::listen(wire::ROOMY)?;
    let mut kept = Vec::new();
    for _ in 0..connections {
        let (mut client, server) = wire::pair(&listener)?;
        client.write_all(wire::REQUEST)?;
        kept.push(server);
    }
    match way.as_str() {
        "vfork" => {
            thread::spawn(wait_for_a_child);
        }
        "lock" => {
            for _ in 0..LOCKED {
                let file = File::open(&path)?;
                thread::spawn(move || flock(file, FlockOperation::LockExclusive));
            }
        }
        _ => bail!("no way {way:?}"),
    }
    let facts = json!({ "port": wire::port(&listener)?, "connections": connections });
    Ok(Ready::new(facts, (listener, kept)))
}

/// Like vfork(2), with a child that waits until the parent has ended.
#[allow(unsafe_code)]
fn wait_for_a_child() {
    extern "C" fn child(parent: *mut libc::c_void) -> libc::c_int {
        // SAFETY: the child calls only functions that are safe after fork.
        while unsafe { libc::getppid() } as usize == parent as usize {
            unsafe { libc::usleep(20_000) };
        }
        0
    }
    const STACK: usize = 64 * 1024;
    let mut stack = vec![0u128; STACK / size_of::<u128>()];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the child has its own stack, which outlives it: this thread waits for its end.
    unsafe {
        let parent = std::process::id() as usize as *mut libc::c_void;
        libc::clone(child, stack.as_mut_ptr_range().end.cast(), flags, parent);
    }
}

/// Holds the lock on the file `path=`.
pub fn held_by(settings: &mut Settings) -> Result<Ready> {
    let path: String = settings.take("path", String::new())?;
    let file = File::open(path)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(Ready::new(json!({}), file))
}

/// Traces and stops every thread of the process `pid=`.
#[allow(unsafe_code)]
pub fn tracer(settings: &mut Settings) -> Result<Ready> {
    let pid: i32 = settings.take("pid", 0)?;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let name = task?.file_name();
        let thread: i32 = name.to_str().context("a thread")?.parse()?;
        let nothing = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: neither request accesses our memory.
        let stopped = unsafe {
            libc::ptrace(libc::PTRACE_SEIZE, thread, nothing, nothing) == 0
                && libc::ptrace(libc::PTRACE_INTERRUPT, thread, nothing, nothing) == 0
        };
        ensure!(stopped, "ptrace: {}", std::io::Error::last_os_error());
    }
    // The thread stops when it next returns from the kernel.
    thread::sleep(Duration::from_millis(100));
    Ok(Ready::new(json!({}), ()))
}
