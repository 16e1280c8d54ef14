//! Where in the kernel threads are in uninterruptible sleep: the function that waits
//! (`/proc/TID/wchan`), or its caller if the whole stack can be read (`/proc/TID/stack`, root).

use std::collections::BTreeMap;
use std::path::Path;

use crate::collector::processes::threads::directory;
use crate::collector::{file, syscalls};
use crate::model::{Name, Pid, Stuck};

/// The most threads that are read.
const THREADS_MAX: usize = 256;
/// 64 frames.
const STACK_MAX: u64 = 8192;
const LINE_MAX: u64 = 512;
/// The first letters of functions that only wait; their callers show for what.
const WAIT_FUNCTIONS: [&str; 22] = [
    "schedule",
    "__schedule",
    "io_schedule",
    "preempt_schedule",
    "mutex_",
    "__mutex_",
    "rt_mutex_",
    "rwsem_",
    "down_",
    "__down",
    "percpu_",
    "__percpu_",
    "wait_for_",
    "__wait_for_",
    "wait_on_bit",
    "__wait_on_bit",
    "out_of_line_wait_",
    "bit_wait",
    "folio_wait_bit",
    "wait_on_page_bit",
    "wait_woken",
    "__lock_",
];

/// The places where threads wait, in descending order of their number.
pub(super) fn of<'a>(root: &Path, threads: impl Iterator<Item = &'a Pid>) -> Vec<Stuck> {
    let mut counts: BTreeMap<(Option<Name>, Option<Name>), u32> = BTreeMap::new();
    for thread in threads.take(THREADS_MAX) {
        let task = directory(root, *thread);
        let text = |name, most| {
            let text = file::head(&task.join(name), most).ok()?;
            String::from_utf8(text).ok()
        };
        let place = text("stack", STACK_MAX)
            .and_then(|stack| waiter(&stack).map(str::to_owned))
            .or_else(|| text("wchan", LINE_MAX).filter(|name| is_function(name)))
            .map(Name::from);
        let call = text("syscall", LINE_MAX).and_then(|text| {
            let (number, _) = syscalls::parse(&text)?;
            syscalls::call(number).map(|call| call.name.into())
        });
        *counts.entry((place, call)).or_default() += 1;
    }
    let stuck = |((place, call), threads)| Stuck {
        place,
        call,
        threads,
    };
    let mut all: Vec<Stuck> = counts.into_iter().map(stuck).collect();
    all.sort_by_key(|stuck| std::cmp::Reverse(stuck.threads));
    all
}

/// The innermost function of a stack that is not a [`WAIT_FUNCTIONS`] one: `[<0>] mnt_want_write+0x44/0xb0`.
fn waiter(stack: &str) -> Option<&str> {
    let functions = stack.lines().filter_map(|line| {
        let (_, frame) = line.split_once("] ")?;
        frame
            .split(['+', ' '])
            .next()
            .filter(|name| is_function(name))
    });
    let only_waits = |name: &str| WAIT_FUNCTIONS.iter().any(|start| name.starts_with(start));
    let mut functions = functions.skip_while(|name| only_waits(name));
    functions
        .next()
        .filter(|name| !name.starts_with("__do_sys_") && *name != "do_syscall_64")
}

/// Whether it is a function's name: wchan is `0` if the thread does not wait or cannot be read.
fn is_function(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_that_waits_is_found_behind_those_that_only_wait() {
        let stack = "[<0>] percpu_rwsem_wait+0x116/0x140\n[<0>] __percpu_down_read+0x5e/0x80\n\
                     [<0>] mnt_want_write+0x8a/0xa0\n[<0>] path_openat+0x1/0x2\n";
        assert_eq!(waiter(stack), Some("mnt_want_write"));
        let module =
            "[<0>] rpc_wait_bit_killable+0x11/0x70 [sunrpc]\n[<0>] __wait_on_bit+0x1/0x2\n";
        assert_eq!(waiter(module), Some("rpc_wait_bit_killable"));
        for odd in [
            "",
            "[<0>] ",
            "[<0>] 0xffffffff\n",
            "x",
            "[<0>] \u{1b}[31m+0x1/0x2\n",
        ] {
            assert_eq!(waiter(odd), None, "{odd:?}");
        }
        assert!(!is_function("0") && !is_function(""));
    }
}
