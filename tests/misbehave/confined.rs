//! Executes another program without some system calls, such as sock_diag and pidfd_getfd(2), as in a container
//! with a seccomp profile.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// Executes the program without netlink sockets and access to descriptors of other processes. Returns only on
/// failure.
pub fn run(words: impl Iterator<Item = String>) -> Result<()> {
    let netlink = libc::AF_NETLINK.try_into()?;
    let family = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, netlink)?;
    let rules = [
        (libc::SYS_socket, vec![SeccompRule::new(vec![family])?]),
        (libc::SYS_pidfd_getfd, Vec::new()),
    ];
    become_program(words, rules.into_iter().collect(), libc::EPERM)
}

/// Executes the program with empty results of every receive. Returns only on failure.
pub fn empty(words: impl Iterator<Item = String>) -> Result<()> {
    let rules = [(libc::SYS_recvfrom, Vec::new())];
    become_program(words, rules.into_iter().collect(), 0)
}

/// Executes the program without support for files without a name. Returns only on failure.
pub fn named(words: impl Iterator<Item = String>) -> Result<()> {
    // `__O_TMPFILE`; the rest of O_TMPFILE is O_DIRECTORY.
    let flag = u64::from(libc::O_TMPFILE.cast_unsigned() & !libc::O_DIRECTORY.cast_unsigned());
    let compared = SeccompCmpOp::MaskedEq(flag);
    let unnamed = SeccompCondition::new(2, SeccompCmpArgLen::Dword, compared, flag)?;
    let rules = [(libc::SYS_openat, vec![SeccompRule::new(vec![unnamed])?])];
    become_program(words, rules.into_iter().collect(), libc::EOPNOTSUPP)
}

/// Executes the program without threads. Returns only on failure.
pub fn alone(words: impl Iterator<Item = String>) -> Result<()> {
    let rules = [
        (libc::SYS_clone, Vec::new()),
        (libc::SYS_clone3, Vec::new()),
    ];
    become_program(words, rules.into_iter().collect(), libc::EAGAIN)
}

/// Executes the program with the given calls failing; with errno 0 they do nothing but succeed.
fn become_program(
    mut words: impl Iterator<Item = String>,
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    errno: i32,
) -> Result<()> {
    let program = words.next().context("which program?")?;
    let refused = SeccompAction::Errno(errno.try_into()?);
    let arch = std::env::consts::ARCH.try_into()?;
    let filter: BpfProgram =
        SeccompFilter::new(rules, SeccompAction::Allow, refused, arch)?.try_into()?;
    seccompiler::apply_filter(&filter)?;
    Err(Command::new(program).args(words).exec().into())
}
