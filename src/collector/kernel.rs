//! What the kernel says of itself: uname(2) and sysinfo(2), which a seccomp profile may refuse. The
//! crate rustix takes them for calls that cannot fail.

#![allow(unsafe_code)]

use std::ffi::CStr;
use std::mem::zeroed;
use std::path::Path;

use super::file;

/// The name of the host, and the release of the kernel.
pub(super) fn names() -> Option<(String, String)> {
    // SAFETY: arrays of bytes, which may all be 0.
    let mut names: libc::utsname = unsafe { zeroed() };
    // SAFETY: it writes the structure that it is given, which is alive.
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

/// How many threads it has, whoever they belong to.
pub(super) fn threads() -> Option<u64> {
    // SAFETY: numbers, which may all be 0.
    let mut info: libc::sysinfo = unsafe { zeroed() };
    // SAFETY: it writes the structure that it is given, which is alive.
    if unsafe { libc::sysinfo(&raw mut info) } == 0 {
        return Some(info.procs.into());
    }
    // Such as `0.10 0.08 0.09 1/234 5678`.
    let text = file::text(Path::new("/proc/loadavg")).ok()?;
    let (_, threads) = text.split_ascii_whitespace().nth(3)?.split_once('/')?;
    threads.parse().ok()
}
