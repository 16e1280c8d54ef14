//! Threads that sleep until a child that uses their memory executes a program or ends (vfork(2),
//! `CLONE_VFORK` of clone(2)).

use std::path::Path;

use crate::collector::file;
use crate::collector::processes::TICK_MS;
use crate::collector::processes::halt::hierarchy::bounded;
use crate::collector::processes::halt::name;
use crate::collector::processes::threads::directory;
use crate::collector::processes::waits::parse_syscall;
use crate::collector::syscalls;
use crate::model::{Name, Pid, Vfork};

/// `include/uapi/linux/sched.h`.
const CLONE_VFORK: u64 = 0x4000;
/// The first of a process's threads in uninterruptible sleep that are asked.
const THREADS_MAX: usize = 64;
/// The numbers of a thread's children that are read.
const CHILDREN_MAX: u64 = 64 * 1024;
/// A line of /proc/PID/stat or of /proc/PID/syscall.
const LINE_MAX: u64 = 4096;

/// The thread of these that waits so, and for whom.
pub(super) fn of(
    proc_root: &Path,
    root: &Path,
    threads: &[Pid],
    uptime_ms: Option<u64>,
) -> Option<Vfork> {
    let mut asked = threads.iter().take(THREADS_MAX);
    let thread = *asked.find(|thread| is_vforking(root, **thread) == Some(true))?;
    let children = bounded(&directory(root, thread).join("children"), CHILDREN_MAX);
    let children = String::from_utf8(children.unwrap_or_default()).unwrap_or_default();
    // It can have made no other since.
    let child = children
        .split_ascii_whitespace()
        .filter_map(|child| child.parse().ok().map(Pid))
        .filter_map(|child| Some((started_ms(proc_root, child)?, child)))
        .max();
    Some(Vfork {
        thread,
        child: child.map(|(_, child)| child),
        name: child.and_then(|(_, child)| name(proc_root, child)),
        age_ms: child
            .zip(uptime_ms)
            .and_then(|((started, _), uptime)| uptime.checked_sub(started)),
        call: child.and_then(|(_, child)| call(&proc_root.join(child.to_string()))),
    })
}

/// `None` where the thread may not be asked.
fn is_vforking(root: &Path, thread: Pid) -> Option<bool> {
    let text = line(&directory(root, thread).join("syscall"))?;
    let Some((number, arguments)) = parse_syscall(&text) else {
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

/// When a process was made, in milliseconds since the host was.
fn started_ms(proc_root: &Path, pid: Pid) -> Option<u64> {
    let text = line(&proc_root.join(pid.to_string()).join("stat"))?;
    // The name, in parentheses, may hold anything.
    let (_, rest) = text.rsplit_once(')')?;
    let ticks: u64 = rest.split_ascii_whitespace().nth(19)?.parse().ok()?;
    ticks.checked_mul(TICK_MS)
}

fn call(root: &Path) -> Option<Name> {
    let (number, _) = parse_syscall(&line(&root.join("syscall"))?)?;
    syscalls::call(number).map(|call| call.name.into())
}

fn line(path: &Path) -> Option<String> {
    let text = bounded(path, LINE_MAX)?;
    Some(String::from_utf8_lossy(&text).into_owned())
}
