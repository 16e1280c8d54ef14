//! What may hide the holders of sockets from this process: missing capabilities, options of the /proc
//! mount, namespaces.

use std::path::Path;

use rustix::thread::CapabilitySet;

use crate::collector::access::{hiding, is_capable, is_of_first_user_namespace, is_of_the_host};
use crate::model::{BlindSpot, Name};

/// The missing capabilities, by name, that would permit reading /proc/PID/fd of other users. See
/// ptrace(2), "Ptrace access mode checking", and proc_pid_fd(5).
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

/// Whether the capabilities permit reading every process.
pub(super) fn is_privileged() -> bool {
    missing().is_empty()
}

/// Whether the capabilities permit loading a BPF program that walks over all tasks; see bpf(2).
pub(super) fn may_walk() -> bool {
    is_capable(CapabilitySet::SYS_ADMIN) || is_capable(CapabilitySet::BPF | CapabilitySet::PERFMON)
}

/// Everything that may hide a holder. `unread`: how many of the listed processes could not be read.
pub(super) fn blind_spots(proc_root: &Path, unread: u32) -> Vec<BlindSpot> {
    let mut blind_spots = Vec::new();
    let missing = missing();
    let hidden = hiding(proc_root);
    let is_of_the_host = is_of_the_host(proc_root, hidden.is_some());
    if !missing.is_empty() && (unread > 0 || hidden.is_some()) {
        blind_spots.push(BlindSpot::Capabilities(
            missing.into_iter().map(Name::from).collect(),
        ));
    }
    blind_spots.extend(hidden.map(|option| BlindSpot::Hidepid(option.into())));
    if unread > 0 && is_of_first_user_namespace(proc_root) == Some(false) {
        blind_spots.push(BlindSpot::UserNamespace);
    }
    if !is_of_the_host {
        blind_spots.push(BlindSpot::PidNamespace);
    }
    if unread == 0 && blind_spots.is_empty() {
        blind_spots.push(BlindSpot::Kernel);
    }
    blind_spots
}
