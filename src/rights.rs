//! Files that the caller names, opened by the caller's own rights: a binary with file capabilities
//! or a set-user-ID bit may read sockets that its caller may not, but is no way to that user's files.
//!
//! The kernel keeps rights for each thread. A thread gives up what it has beyond the caller's, opens
//! and ends, so that nothing is asked first and opened later.

use std::io;
use std::panic::resume_unwind;
use std::thread;

use rustix::process::{getegid, geteuid, getgid, getuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_thread_res_gid,
    set_thread_res_uid,
};

use crate::start;

/// Whether the process has more rights than whoever started it. Capabilities that the caller had
/// before (ambient ones, those of a container) are the caller's.
fn has_more() -> bool {
    let others = getuid() != geteuid() || getgid() != getegid();
    let capable = || capabilities(None).is_ok_and(|sets| !sets.permitted.is_empty());
    start::is_secure() && (others || (!getuid().is_root() && capable()))
}

/// Leaves the calling thread, and those that it will start, no more rights than the caller has.
///
/// # Errors
/// When the kernel does not take them.
pub fn give_up() -> io::Result<()> {
    if !has_more() {
        return Ok(());
    }
    let (user, group) = (getuid(), getgid());
    // The group first: a user without privileges may not change it.
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
/// Those of `work`, or when no thread can be had for it.
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
