//! The system calls that threads wait in, by number on x86_64 and aarch64
//! (`arch/x86/entry/syscalls/syscall_64.tbl`, `include/uapi/asm-generic/unistd.h`), and the text of
//! proc_pid_syscall(5).

use crate::model::WaitKind::{self, Child, Descriptor, Events, Lock, Other, Sleep};

/// A system call that can block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    pub name: &'static str,
    pub kind: WaitKind,
    pub takes: Takes,
}

/// How the arguments of a call name its descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    /// One descriptor, the first argument.
    One,
    /// poll(2): the first argument is the address of an array, the second its length.
    Array,
    /// select(2): the first argument is the number of bits, the others the addresses of the sets to
    /// read and to write.
    Sets,
    /// epoll_wait(2): the first argument is the epoll set.
    Epoll,
}

/// Name, kind, number on x86_64, number on aarch64; `NONE` if the architecture lacks the call.
const CALLS: &[(&str, WaitKind, u64, u64)] = &[
    ("read", Descriptor, 0, 63),
    ("write", Descriptor, 1, 64),
    ("pread64", Descriptor, 17, 67),
    ("pwrite64", Descriptor, 18, 68),
    ("readv", Descriptor, 19, 65),
    ("writev", Descriptor, 20, 66),
    ("connect", Descriptor, 42, 203),
    ("accept", Descriptor, 43, 202),
    ("accept4", Descriptor, 288, 242),
    ("sendto", Descriptor, 44, 206),
    ("recvfrom", Descriptor, 45, 207),
    ("sendmsg", Descriptor, 46, 211),
    ("recvmsg", Descriptor, 47, 212),
    ("recvmmsg", Descriptor, 299, 243),
    ("sendmmsg", Descriptor, 307, 269),
    ("flock", Descriptor, 73, 32),
    ("fsync", Descriptor, 74, 82),
    ("fdatasync", Descriptor, 75, 83),
    ("fcntl", Descriptor, 72, 25),
    ("poll", Events, 7, NONE),
    ("ppoll", Events, 271, 73),
    ("select", Events, 23, NONE),
    ("pselect6", Events, 270, 72),
    ("epoll_wait", Events, 232, NONE),
    ("epoll_pwait", Events, 281, 22),
    ("epoll_pwait2", Events, 441, 441),
    ("io_uring_enter", Events, 426, 426),
    ("io_getevents", Events, 208, 4),
    ("futex", Lock, 202, 98),
    ("futex_waitv", Lock, 449, 449),
    ("futex_wait", Lock, 455, 455),
    ("semop", Lock, 65, 193),
    ("semtimedop", Lock, 220, 192),
    ("nanosleep", Sleep, 35, 101),
    ("clock_nanosleep", Sleep, 230, 115),
    ("pause", Sleep, 34, NONE),
    ("rt_sigsuspend", Sleep, 130, 133),
    ("rt_sigtimedwait", Sleep, 128, 137),
    ("wait4", Child, 61, 260),
    ("waitid", Child, 247, 95),
    ("vfork", Other, 58, NONE),
    ("clone", Other, 56, 220),
    ("clone3", Other, 435, 435),
    // The arguments of the interrupted call are lost.
    ("restart_syscall", Other, 219, 128),
    ("openat", Other, 257, 56),
    ("newfstatat", Other, 262, 79),
    ("statx", Other, 332, 291),
    ("getdents64", Other, 217, 61),
    ("unlinkat", Other, 263, 35),
    ("renameat2", Other, 316, 276),
];

const NONE: u64 = u64::MAX;

/// The call with this number on the architecture of this program.
pub fn call(number: u64) -> Option<Call> {
    CALLS
        .iter()
        .find(|(_, _, x86_64, aarch64)| {
            let here = if cfg!(target_arch = "x86_64") {
                *x86_64
            } else if cfg!(target_arch = "aarch64") {
                *aarch64
            } else {
                NONE
            };
            here == number && here != NONE
        })
        .map(|(name, kind, ..)| Call {
            name,
            kind: *kind,
            takes: match *name {
                _ if *kind == Descriptor => Takes::One,
                "poll" | "ppoll" => Takes::Array,
                "select" | "pselect6" => Takes::Sets,
                "epoll_wait" | "epoll_pwait" | "epoll_pwait2" => Takes::Epoll,
                _ => Takes::Nothing,
            },
        })
}

/// The number and the first three arguments of the system call that a thread is in, from the text of
/// its `syscall`. `None` if it runs, or is blocked outside a system call.
pub(super) fn parse(text: &str) -> Option<(u64, [u64; 3])> {
    let mut words = text.split_ascii_whitespace();
    let number = words.next()?.parse().ok()?;
    let mut arguments = [0; 3];
    for argument in &mut arguments {
        *argument = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    }
    Some((number, arguments))
}

/// The descriptor that a thread's system call is on, from the text of its `syscall`. `None` also if
/// the call takes no descriptor, or several.
pub(super) fn descriptor(text: &str) -> Option<u32> {
    let (number, [first, ..]) = parse(text)?;
    let is_on_one = call(number)?.takes == Takes::One;
    is_on_one.then_some(low(first))
}

/// A C `int` in a register.
pub(super) fn low(argument: u64) -> u32 {
    (argument & u64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_threads_call_and_arguments_are_read() {
        let text = "45 0x9 0x7f00 0x2000 0x0 0x0 0x0 0x7ffd 0x7f24\n";
        assert_eq!(parse(text), Some((45, [9, 0x7f00, 0x2000])));
        assert_eq!(parse("running\n"), None);
        assert_eq!(parse("-1 0x7ffd 0x7f24\n"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn no_number_stands_for_two_calls() {
        for column in [
            |call: &(_, _, u64, u64)| call.2,
            |call: &(_, _, u64, u64)| call.3,
        ] {
            let mut numbers: Vec<u64> = CALLS
                .iter()
                .map(column)
                .filter(|number| *number != NONE)
                .collect();
            let all = numbers.len();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), all);
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_calls_of_this_architecture_are_found() {
        assert_eq!(call(45).map(|call| call.name), Some("recvfrom"));
        assert_eq!(call(7).map(|call| call.takes), Some(Takes::Array));
        assert_eq!(call(NONE), None);
    }
}
