//! Faults with their expected outcomes: some for each command, and every one that once went wrong.

use crate::inject::When::{self, All, Nth};
use crate::judge::Outcome::{self, Partial, Refused, Whole};

/// A command of `COMMANDS`, a call and an error of `CALLS`, which of the calls fail, and the outcome.
pub type Row = (&'static str, &'static str, &'static str, When, Outcome);

const TRIAGE: &str = "--color never";
const JSON: &str = "--json";
const PROCFS: &str = "--json --source procfs --no-evidence";
const STRICT: &str = "--json --strict";
const LIST: &str = "list --columns state,local,owner,cause,unit,container";
const QUIET: &str = "-q --state close-wait";
const QUIET_OWNER: &str = "-q --cause never-closed --program misbehave";
const CHECK: &str = "check -c 2 --port PORT";
const RECORD: &str = "record FILE";
const DIFF: &str = "diff --from RECORDING --against now --json";
const METRICS: &str = "--prometheus --output FILE";
const FROM: &str = "--json --from RECORDING";
const ALL_JSON: &str = "-A --json --no-evidence";
const ALL_QUIET: &str = "-A -q --state close-wait --port PORT";
const ALL_CHECK: &str = "-A check -c 2 --port PORT";
const PID_QUIET: &str = "-q --pid PID --state close-wait";
const PID_JSON: &str = "--json --pid PID --no-evidence";
const OTHER: &str = "--json -N PID --no-evidence";
const BESIDE_JSON: &str = "--json -A --no-evidence";
const BESIDE_QUIET: &str = "-q -A --state close-wait --port PORT";
const BESIDE_CHECK: &str = "check -A -c 2 --port PORT";

pub const ROWS: &[Row] = &[
    // No memory for the stack of a thread, or for another allocation.
    (TRIAGE, "mmap", "ENOMEM", Nth(2), Whole),
    (TRIAGE, "mmap", "ENOMEM", Nth(3), Whole),
    (TRIAGE, "mprotect", "ENOMEM", Nth(1), Whole),
    (TRIAGE, "mprotect", "ENOMEM", All, Whole),
    (CHECK, "mmap", "ENOMEM", All, Whole),
    (TRIAGE, "clone3", "EAGAIN", All, Whole),
    (TRIAGE, "openat", "EMFILE", All, Partial),
    (TRIAGE, "read", "EIO", All, Partial),
    (JSON, "socket", "EPERM", All, Partial),
    (JSON, "socket", "EMFILE", Nth(1), Partial),
    (JSON, "bind", "EPERM", All, Partial),
    (JSON, "sendto", "ENOBUFS", Nth(1), Partial),
    (JSON, "recvfrom", "ENOBUFS", Nth(1), Partial),
    (JSON, "recvfrom", "EINTR", Nth(1), Whole),
    (JSON, "setsockopt", "EPERM", All, Partial),
    (JSON, "readlinkat", "EACCES", All, Partial),
    (JSON, "getdents64", "EIO", Nth(2), Partial),
    (JSON, "openat", "ENOENT", All, Partial),
    (JSON, "read", "EINTR", Nth(3), Whole),
    (JSON, "capget", "EPERM", All, Whole),
    (PROCFS, "openat", "EACCES", All, Refused),
    (PROCFS, "read", "EIO", All, Refused),
    (STRICT, "readlinkat", "EACCES", All, Refused),
    (LIST, "recvfrom", "ENOMEM", All, Partial),
    (LIST, "write", "ENOSPC", Nth(1), Refused),
    (LIST, "write", "EINTR", Nth(1), Whole),
    (QUIET, "socket", "EPERM", All, Whole),
    (QUIET, "recvfrom", "ENOMEM", All, Whole),
    (QUIET, "openat", "EMFILE", All, Whole),
    (QUIET_OWNER, "readlinkat", "EACCES", All, Refused),
    (QUIET_OWNER, "getdents64", "EIO", All, Refused),
    // No process name can be read.
    (QUIET_OWNER, "read", "EIO", All, Refused),
    (QUIET_OWNER, "read", "ESRCH", All, Refused),
    (CHECK, "socket", "EPERM", All, Whole),
    (CHECK, "recvfrom", "ENOBUFS", All, Whole),
    (CHECK, "readlinkat", "EACCES", All, Whole),
    (CHECK, "write", "ENOSPC", All, Whole),
    (RECORD, "write", "ENOSPC", Nth(1), Refused),
    (RECORD, "write", "EINTR", Nth(1), Whole),
    (RECORD, "fsync", "EIO", All, Refused),
    (RECORD, "recvfrom", "ENOBUFS", All, Partial),
    (DIFF, "recvfrom", "ENOBUFS", All, Partial),
    (DIFF, "openat", "EMFILE", All, Refused),
    (METRICS, "write", "ENOSPC", Nth(1), Refused),
    (METRICS, "readlinkat", "EACCES", All, Partial),
    (FROM, "read", "EIO", All, Refused),
    (TRIAGE, "uname", "EPERM", All, Whole),
    (ALL_JSON, "sysinfo", "EPERM", All, Whole),
    (ALL_QUIET, "sysinfo", "EPERM", All, Whole),
    (ALL_JSON, "setns", "EPERM", All, Partial),
    (ALL_JSON, "clone3", "EAGAIN", All, Partial),
    (ALL_JSON, "openat", "EMFILE", All, Partial),
    // A process has not ended only because its files are missing.
    (ALL_QUIET, "readlinkat", "ENOENT", All, Refused),
    (ALL_QUIET, "readlinkat", "ESRCH", All, Refused),
    (ALL_CHECK, "readlinkat", "ENOENT", All, Refused),
    (PID_QUIET, "openat", "EMFILE", All, Refused),
    (PID_JSON, "setns", "EPERM", All, Partial),
    (OTHER, "setns", "EPERM", All, Partial),
    // The namespace can be reached only through descriptors of a process elsewhere.
    (BESIDE_JSON, "pidfd_open", "ENOSYS", All, Partial),
    (BESIDE_JSON, "pidfd_open", "EMFILE", All, Partial),
    (BESIDE_JSON, "pidfd_getfd", "EMFILE", All, Partial),
    (BESIDE_JSON, "getsockopt", "EPERM", All, Partial),
    (BESIDE_QUIET, "pidfd_open", "ENOSYS", All, Refused),
    (BESIDE_QUIET, "pidfd_getfd", "EPERM", All, Refused),
    (BESIDE_QUIET, "pidfd_getfd", "EMFILE", All, Refused),
    (BESIDE_QUIET, "ioctl", "EPERM", All, Refused),
    (BESIDE_QUIET, "readlinkat", "ENOMEM", All, Refused),
    (BESIDE_CHECK, "pidfd_open", "ESRCH", All, Refused),
    (BESIDE_CHECK, "getdents64", "EIO", All, Refused),
];
