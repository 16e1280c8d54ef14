//! What shows of the process's beginning: which of the standard descriptors were closed, and whether
//! the kernel gave it more rights than its caller has. The standard library opens /dev/null in their place before it calls `main`, so that no file takes it,
//! and whatever is written there is lost without an error. Others are started with a /dev/null that
//! looks the same, and mean it.
//!
//! The standard library also gives each thread another stack, on which to say that its own has
//! overflowed, and where the system has no memory for that it aborts. It does so only where nobody else
//! cares for SIGSEGV and SIGBUS. They end the process all the same: what a fault of its own sends cannot be ignored (signal(7)).
//!
//! The unsafe code is a function in the list that the C library goes through before it calls
//! anything else, and calls of it that take no address.

#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU8, Ordering};

/// A bit for each of the descriptors 0 to 2 that was closed.
static CLOSED: AtomicU8 = AtomicU8::new(0);

extern "C" fn look() {
    for fd in 0..3 {
        // SAFETY: F_GETFD only asks; of a descriptor that is none the answer is -1.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
            CLOSED.fetch_or(1 << fd, Ordering::Relaxed);
        }
    }
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: no handler is set, so none runs.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

// SAFETY: what the section holds are addresses of functions of the C ABI, which are called once
// each, in one thread. This one needs nothing that is not there yet.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

/// Whether the process was started without its stdout.
pub fn is_mute() -> bool {
    CLOSED.load(Ordering::Relaxed) & 1 << libc::STDOUT_FILENO != 0
}

/// Whether the kernel has told the C library not to trust the environment (`AT_SECURE`): execve(2)
/// gave other users or more capabilities.
pub fn is_secure() -> bool {
    // SAFETY: reads a number that the kernel has put beside the arguments.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}
