//! What stands between this process and the holders of sockets: capabilities, the way in which
//! /proc is mounted, namespaces.

use std::fs;
use std::path::Path;

use rustix::thread::CapabilitySet;

use crate::collector::namespaces::doubt::{hiding, is_capable, is_of_the_host};
use crate::model::Barrier;

/// The first user namespace (`PROC_USER_INIT_INO` in `include/linux/proc_ns.h`).
const FIRST_USER: &str = "user:[4026531837]";

/// What is missing for looking into the processes of others, by name. Their /proc/PID/fd is asked
/// for by ptrace's rules, and its mode is one for its owner alone: see ptrace(2), "Ptrace access
/// mode checking", and proc_pid_fd(5).
fn missing() -> Vec<String> {
    let mut missing = Vec::new();
    if !is_capable(CapabilitySet::SYS_PTRACE) {
        missing.push("CAP_SYS_PTRACE".to_owned());
    }
    let reads = [CapabilitySet::DAC_READ_SEARCH, CapabilitySet::DAC_OVERRIDE];
    if !reads.into_iter().any(is_capable) {
        missing.push("CAP_DAC_READ_SEARCH".to_owned());
    }
    missing
}

/// Whether every process may be looked into, as far as capabilities go.
pub(super) fn is_privileged() -> bool {
    missing().is_empty()
}

/// Whether the kernel lets us load a program that walks over all tasks: see bpf(2).
pub(super) fn may_walk() -> bool {
    is_capable(CapabilitySet::SYS_ADMIN) || is_capable(CapabilitySet::BPF | CapabilitySet::PERFMON)
}

/// Everything that a holder may be behind; `unread` of the processes that were listed were not
/// read.
pub(super) fn barriers(proc_root: &Path, unread: u32) -> Vec<Barrier> {
    let mut barriers = Vec::new();
    let missing = missing();
    let hidden = hiding(proc_root);
    // The processes that tell it may be hidden.
    let is_of_the_host = is_of_the_host(proc_root).unwrap_or(hidden.is_some());
    if !missing.is_empty() && (unread > 0 || hidden.is_some()) {
        barriers.push(Barrier::Capabilities(missing));
    }
    barriers.extend(hidden.map(Barrier::Hidepid));
    let own = fs::read_link(proc_root.join("self/ns/user"));
    if unread > 0 && own.is_ok_and(|own| own.as_os_str() != FIRST_USER) {
        barriers.push(Barrier::UserNamespace);
    }
    if !is_of_the_host {
        barriers.push(Barrier::PidNamespace);
    }
    if unread == 0 && barriers.is_empty() {
        barriers.push(Barrier::Kernel);
    }
    barriers
}
