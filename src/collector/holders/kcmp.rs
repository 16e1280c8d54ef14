//! kcmp(2): whether two threads share a descriptor table.
//!
//! Unsafe, because no library in use makes this system call. It takes only numbers: the kernel
//! accesses none of our memory through it.

#![allow(unsafe_code)]

use std::io;

use crate::model::Pid;

/// `KCMP_FILES` in `include/uapi/linux/kcmp.h`.
const FILES: libc::c_int = 2;

/// Whether two threads, numbered in our own PID namespace, share a descriptor table.
///
/// # Errors
/// If the kernel was built without kcmp(2), or permission is denied.
pub(super) fn shares_files(one: Pid, other: Pid) -> io::Result<bool> {
    let nothing: libc::c_ulong = 0;
    // SAFETY: every argument is a number; the kernel uses none as an address.
    match unsafe { libc::syscall(libc::SYS_kcmp, one.0, other.0, FILES, nothing, nothing) } {
        0 => Ok(true),
        1.. => Ok(false),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_shares_its_files_with_itself_and_with_no_other() {
        let own = Pid(std::process::id());
        match shares_files(own, own) {
            Ok(same) => assert!(same),
            Err(error) => return eprintln!("left out: kcmp: {error}"),
        }
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let shares = shares_files(own, Pid(child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!shares.unwrap());
    }
}
