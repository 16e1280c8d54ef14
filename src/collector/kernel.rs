//! Facts about the kernel: uname(2) and sysinfo(2). A seccomp profile may refuse them, but the crate rustix
//! assumes that they cannot fail.

#![allow(unsafe_code)]

use std::ffi::CStr;
use std::mem::zeroed;
use std::path::Path;

use super::file;

/// The name of the host, and the release of the kernel.
pub(super) fn names() -> Option<(String, String)> {
    // SAFETY: all-zero byte arrays are valid.
    let mut names: libc::utsname = unsafe { zeroed() };
    // SAFETY: the kernel writes only to this structure.
    if unsafe { libc::uname(&raw mut names) } != 0 {
        return None;
    }
    let text = |field: &[libc::c_char]| {
        let bytes: Vec<u8> = field.iter().map(|byte| byte.cast_unsigned()).collect();
        let text = CStr::from_bytes_until_nul(&bytes).unwrap_or_default();
        text.to_string_lossy().into_owned()
    };
    Some((text(&names.nodename), text(&names.release)))
}

/// The number of threads on the host.
pub(super) fn threads() -> Option<u64> {
    // SAFETY: all-zero numbers are valid.
    let mut info: libc::sysinfo = unsafe { zeroed() };
    // SAFETY: the kernel writes only to this structure.
    if unsafe { libc::sysinfo(&raw mut info) } == 0 {
        return Some(info.procs.into());
    }
    // A line such as `0.10 0.08 0.09 1/234 5678`.
    let text = file::text(Path::new("/proc/loadavg")).ok()?;
    let (_, threads) = text.split_ascii_whitespace().nth(3)?.split_once('/')?;
    threads.parse().ok()
}
