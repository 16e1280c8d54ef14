//! A network namespace of its own: exact counts, and nothing of the host is disturbed.

use anyhow::{Context, Result, bail};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Whose loopback the sockets live on.
#[derive(Debug)]
pub enum Isolation {
    /// A new network namespace: the workload is all there is.
    Own,
    /// The network we were started in, with its own sockets beside the workload's; and why.
    Shared(String),
}

/// Start this program again in a new network namespace, unless that has been done (`inside`) or
/// cannot be. Returns only in the process that is to do the work.
pub fn enter(inside: bool) -> Result<Isolation> {
    if inside {
        raise_loopback()?;
        return Ok(Isolation::Own);
    }
    if !rustix::process::geteuid().is_root() {
        return Ok(Isolation::Shared("not root".into()));
    }
    // Root may still lack CAP_SYS_ADMIN (a container); ask before handing the process over.
    match Command::new("unshare").args(["--net", "true"]).output() {
        Ok(probe) if probe.status.success() => {}
        Ok(probe) => {
            let reason = String::from_utf8_lossy(&probe.stderr).trim().to_owned();
            return Ok(Isolation::Shared(reason));
        }
        Err(error) => return Ok(Isolation::Shared(format!("unshare: {error}"))),
    }
    let this = std::env::current_exe().context("could not find this program")?;
    // exec, not spawn: with no process left outside there is none to outlive.
    let error = Command::new("unshare")
        .args(["--net", "--"])
        .arg(this)
        .arg("--inside")
        .args(std::env::args_os().skip(1))
        .exec();
    Err(error).context("could not start again under unshare --net")
}

/// A new namespace's loopback is down.
fn raise_loopback() -> Result<()> {
    let output = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .output()
        .context("could not run `ip link set lo up` (package iproute2)")?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        bail!("ip link set lo up: {}", reason.trim());
    }
    Ok(())
}
