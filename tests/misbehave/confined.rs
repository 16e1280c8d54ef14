//! Another program without sock_diag and pidfd_getfd(2), as in a container whose seccomp profile
//! leaves them out.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// Becomes the program, to which the kernel refuses every netlink socket, and the descriptors of
/// other processes. Returns on failure only.
pub fn run(mut words: impl Iterator<Item = String>) -> Result<()> {
    let program = words.next().context("which program?")?;
    let netlink = libc::AF_NETLINK.try_into()?;
    let family = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, netlink)?;
    let rules = [
        (libc::SYS_socket, vec![SeccompRule::new(vec![family])?]),
        (libc::SYS_pidfd_getfd, Vec::new()),
    ];
    let refused = SeccompAction::Errno(libc::EPERM.try_into()?);
    let arch = std::env::consts::ARCH.try_into()?;
    let rules = rules.into_iter().collect();
    let filter: BpfProgram =
        SeccompFilter::new(rules, SeccompAction::Allow, refused, arch)?.try_into()?;
    seccompiler::apply_filter(&filter)?;
    Err(Command::new(program).args(words).exec().into())
}
