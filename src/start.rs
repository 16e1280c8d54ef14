//! Runs before `main`: records which standard descriptors were closed, and whether the kernel gave
//! the process more rights than its caller has.
//!
//! The standard library opens /dev/null in place of closed standard descriptors before it calls
//! `main`, so writes to a closed stdout would be lost without an error. Afterwards that cannot be told
//! from a /dev/null that the caller wanted.
//!
//! The standard library also gives each thread a second stack for its report of a stack overflow, and
//! aborts if there is no memory for it. It does so only while SIGSEGV and SIGBUS have their default
//! action, so both are set to be ignored here. A fault still ends the process, because a signal for a
//! fault cannot be ignored (signal(7)).
//!
//! The unsafe code is a function in `.init_array`, which the C library calls before `main`, and calls
//! to the C library that take no pointer.

#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU8, Ordering};

/// One bit for each of the descriptors 0 to 2 that was closed.
static CLOSED: AtomicU8 = AtomicU8::new(0);

extern "C" fn look() {
    for fd in 0..3 {
        // SAFETY: F_GETFD changes nothing; for a closed descriptor it returns -1.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
            CLOSED.fetch_or(1 << fd, Ordering::Relaxed);
        }
    }
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: SIG_IGN installs no handler.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

// SAFETY: the section holds addresses of C functions, which are called once each in one thread. This
// one needs nothing that is initialized later.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

/// Whether the process was started with stdout closed.
pub fn is_mute() -> bool {
    CLOSED.load(Ordering::Relaxed) & 1 << libc::STDOUT_FILENO != 0
}

/// Whether the kernel set `AT_SECURE`: execve(2) changed the user or group, or added capabilities.
pub fn is_secure() -> bool {
    // SAFETY: reads a number from the auxiliary vector.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}
