//! Opens files that the caller names with the caller's own rights. A binary with file capabilities or
//! a set-user-ID bit may read sockets for its caller, but must not open files that the caller cannot.
//!
//! The kernel keeps credentials per thread: a thread drops its extra rights, opens the file and ends.
//! There is no separate check before the open, so there is no race between them.

use std::io;
use std::panic::resume_unwind;
use std::thread;

use rustix::process::{getegid, geteuid, getgid, getuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_thread_res_gid,
    set_thread_res_uid,
};

use crate::start;

/// Whether the process has more rights than its caller. Capabilities that the caller already had
/// (ambient ones, those of a container) do not count.
fn has_more() -> bool {
    let others = getuid() != geteuid() || getgid() != getegid();
    let capable = || capabilities(None).is_ok_and(|sets| !sets.permitted.is_empty());
    start::is_secure() && (others || (!getuid().is_root() && capable()))
}

/// Drops all rights of the calling thread, and of threads it starts, that the caller does not have.
///
/// # Errors
/// If the kernel refuses.
pub fn give_up() -> io::Result<()> {
    if !has_more() {
        return Ok(());
    }
    let (user, group) = (getuid(), getgid());
    // The group first: an unprivileged user may not change it.
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    if !user.is_root() {
        let none = CapabilitySets {
            effective: CapabilitySet::empty(),
            permitted: CapabilitySet::empty(),
            inheritable: CapabilitySet::empty(),
        };
        set_capabilities(None, none)?;
    }
    Ok(())
}

/// Does `work` with the caller's rights.
///
/// # Errors
/// Those of `work`, or if no thread can be started.
pub fn as_caller<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    if !has_more() {
        return work();
    }
    thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, || {
            give_up()?;
            work()
        })?;
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}
