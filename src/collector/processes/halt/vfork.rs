//! Threads suspended by vfork(2) or `CLONE_VFORK` of clone(2): they sleep until the child, which uses
//! their memory, executes a program or ends.

use std::path::Path;

use crate::collector::processes::threads::directory;
use crate::collector::procfs::{TICK_MS, comm};
use crate::collector::{file, syscalls};
use crate::model::{Name, Pid, Vfork};

/// `include/uapi/linux/sched.h`.
const CLONE_VFORK: u64 = 0x4000;
/// The most threads of a process that are read.
const THREADS_MAX: usize = 64;
/// The most bytes of a thread's list of children.
const CHILDREN_MAX: u64 = 64 * 1024;
/// The most bytes of /proc/PID/stat or /proc/PID/syscall.
const LINE_MAX: u64 = 4096;

/// The first of these threads that is suspended, and the child it waits for.
pub(super) fn of(
    proc_root: &Path,
    root: &Path,
    threads: &[Pid],
    uptime_ms: Option<u64>,
) -> Option<Vfork> {
    let mut threads = threads.iter().take(THREADS_MAX);
    let thread = *threads.find(|thread| is_vforking(root, **thread) == Some(true))?;
    let children = file::head(&directory(root, thread).join("children"), CHILDREN_MAX);
    let children = String::from_utf8(children.unwrap_or_default()).unwrap_or_default();
    // The suspended thread can have made no child after it.
    let child = children
        .split_ascii_whitespace()
        .filter_map(|child| child.parse().ok().map(Pid))
        .filter_map(|child| Some((started_ms(proc_root, child)?, child)))
        .max();
    Some(Vfork {
        thread,
        child: child.map(|(_, child)| child),
        name: child.and_then(|(_, child)| comm(&proc_root.join(child.to_string()))),
        age_ms: child
            .zip(uptime_ms)
            .and_then(|((started, _), uptime)| uptime.checked_sub(started)),
        call: child.and_then(|(_, child)| call(&proc_root.join(child.to_string()))),
    })
}

/// `None` if the thread could not be read.
fn is_vforking(root: &Path, thread: Pid) -> Option<bool> {
    let text = line(&directory(root, thread).join("syscall"))?;
    let Some((number, arguments)) = syscalls::parse(&text) else {
        return Some(false);
    };
    let flags = match syscalls::call(number)?.name {
        "vfork" => return Some(true),
        "clone" => arguments[0],
        // `struct clone_args` begins with the flags.
        "clone3" => {
            let mut flags = [0; 8];
            let memory = file::open(&root.join("mem")).ok()?;
            memory.read_at(&mut flags, arguments[0]).ok()?;
            u64::from_ne_bytes(flags)
        }
        _ => return Some(false),
    };
    Some(flags & CLONE_VFORK != 0)
}

/// When a process started, in milliseconds since boot.
fn started_ms(proc_root: &Path, pid: Pid) -> Option<u64> {
    let text = line(&proc_root.join(pid.to_string()).join("stat"))?;
    // The name, in parentheses, may hold anything.
    let (_, rest) = text.rsplit_once(')')?;
    let ticks: u64 = rest.split_ascii_whitespace().nth(19)?.parse().ok()?;
    ticks.checked_mul(TICK_MS)
}

fn call(root: &Path) -> Option<Name> {
    let (number, _) = syscalls::parse(&line(&root.join("syscall"))?)?;
    syscalls::call(number).map(|call| call.name.into())
}

fn line(path: &Path) -> Option<String> {
    let text = file::head(path, LINE_MAX).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}
