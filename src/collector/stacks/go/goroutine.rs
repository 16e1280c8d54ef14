//! A goroutine as the runtime describes it (`runtime.g`, src/runtime/runtime2.go).

use std::ops::Range;

use super::layout::{ITSELF, Layout, SCHEDULED, STACK};

/// The most bytes of a stack: the runtime ends a program whose stack grows beyond 1 GB.
const STACK_MAX: u64 = 1 << 30;
/// The flag of a status that the garbage collector sets while it reads the stack.
const SCANNED: u32 = 0x1000;

/// What a goroutine does, as in "_Grunnable".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// It waits for a processor.
    Runnable,
    SystemCall,
    /// It waits for a reason with this number.
    Waiting(u8),
    Preempted,
}

/// A goroutine that does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Goroutine {
    pub(super) address: u64,
    pub(super) id: u64,
    pub(super) status: Status,
    /// The addresses of its stack.
    pub(super) stack: Range<u64>,
    /// Where it goes on: the stack pointer, and the instruction.
    pub(super) sp: u64,
    pub(super) pc: u64,
    /// How often it stopped to run, modulo 256.
    sequence: u8,
    /// Since when the garbage collector has seen it wait, in nanoseconds of CLOCK_MONOTONIC; 0 if it has
    /// not run since.
    pub(super) since: u64,
}

/// What an entry of `runtime.allgs` holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Still(Goroutine),
    /// It runs on a processor, or its stack is being moved.
    Running,
    /// Ended: the runtime keeps it for the next goroutine.
    Unused,
    /// It cannot be what the layout says.
    Odd,
}

impl Entry {
    /// Reads the bytes of a `g`.
    pub(super) fn parse(address: u64, bytes: &[u8], layout: &Layout) -> Entry {
        Entry::fields(address, bytes, layout).unwrap_or(Entry::Odd)
    }

    fn fields(address: u64, bytes: &[u8], layout: &Layout) -> Option<Entry> {
        let word = |offset: usize| {
            let word = bytes.get(offset..)?.first_chunk()?;
            Some(u64::from_le_bytes(*word))
        };
        let status = u32::from_le_bytes(*bytes.get(layout.status..)?.first_chunk()?);
        let reason = *bytes.get(layout.wait + 8)?;
        let status = match status & !SCANNED {
            1 => Status::Runnable,
            3 => Status::SystemCall,
            // "_Gleaked" waits for what nobody can send any more.
            4 | 10 => Status::Waiting(reason),
            9 => Status::Preempted,
            // "_Gidle", "_Gdead" and "_Gdeadextra".
            0 | 6 | 11 => return Some(Entry::Unused),
            // "_Grunning" and "_Gcopystack".
            2 | 8 => return Some(Entry::Running),
            _ => return None,
        };
        let registers = match status {
            Status::SystemCall => layout.system_call,
            _ => SCHEDULED,
        };
        let goroutine = Goroutine {
            address,
            id: word(layout.id)?,
            status,
            stack: word(STACK)?..word(STACK + 8)?,
            sp: word(registers)?,
            pc: word(registers + 8)?,
            sequence: *bytes.get(layout.sequence)?,
            since: word(layout.wait)?,
        };
        // Between its states it has none.
        if status == Status::SystemCall && goroutine.sp == 0 {
            return Some(Entry::Running);
        }
        let is_itself = word(ITSELF)? == address;
        (is_itself && goroutine.is_plausible(layout)).then_some(Entry::Still(goroutine))
    }
}

impl Goroutine {
    fn is_plausible(&self, layout: &Layout) -> bool {
        let Range { start, end } = self.stack;
        let has_stack = start < end && end - start <= STACK_MAX && end.is_multiple_of(8);
        let is_on_it = self.sp.is_multiple_of(8) && start < self.sp && self.sp < end;
        let has_reason = match self.status {
            Status::Waiting(reason) => layout.reasons.text(reason).is_some(),
            _ => true,
        };
        has_stack && is_on_it && has_reason && self.id > 0 && self.id < 1 << 56 && self.pc != 0
    }

    /// Whether it has not run between two readings. The garbage collector may note that it waits.
    pub(super) fn is_still(&self, later: &Entry) -> bool {
        let since = match later {
            Entry::Still(later) => later.since,
            _ => return false,
        };
        let before = Goroutine {
            since,
            ..self.clone()
        };
        Entry::Still(before) == *later
    }

    /// Its state or wait reason, as in the runtime's own traces.
    pub(super) fn state(&self, layout: &Layout) -> &'static str {
        match self.status {
            Status::Runnable => "runnable",
            Status::SystemCall => "syscall",
            Status::Preempted => "preempted",
            Status::Waiting(reason) => match layout.reasons.text(reason) {
                Some("") | None => "waiting",
                Some(text) => text,
            },
        }
    }
}
