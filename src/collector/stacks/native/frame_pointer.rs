//! Frames that are found by the frame pointer, which the kernel does not tell.
//!
//! Code that keeps one (`-fno-omit-frame-pointer`, `-O0`, Rust's standard library) describes its frames by
//! it. There the frame is searched on the stack, and taken only with a proof: its return address follows
//! a call of this very function.

use super::code::Code;
use super::machine::{Call, Machine, Registers};
use super::row::{Caller, Row};
use crate::collector::stacks::memory::Memory;

/// The most bytes of a frame that is searched.
const FRAME_MAX: u64 = 64 << 10;
/// The size of a register, in bytes.
const WORD: u64 = 8;

/// How certain a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    Certain,
    /// If what follows leads to the first function of the thread. Otherwise it may be a remainder of
    /// earlier calls.
    IfComplete,
}

/// The caller by the frame pointer, where no table tells: code made at run time, or assembly.
/// Returns where it continues, and its registers.
pub(super) fn chained(
    code: &Code<'_, impl Memory>,
    stack: &impl Memory,
    registers: &Registers,
) -> Option<(u64, Box<Registers>)> {
    let machine = code.machine;
    let stack_pointer = registers.get(machine.stack_pointer())?;
    let frame = registers.get(machine.frame_pointer())?;
    let stack_end = code.mappings.find(stack_pointer)?.end;
    if frame < stack_pointer || frame >= stack_end || !frame.is_multiple_of(WORD) {
        return None;
    }
    let returns_to = machine.unsigned(stack.u64_at(frame.checked_add(WORD)?)?);
    code.mapping(returns_to)?;
    machine.call_before(&code.memory, returns_to)?;
    let mut callers = Registers::none();
    callers.set(machine.stack_pointer(), frame.checked_add(2 * WORD));
    callers.set(machine.frame_pointer(), stack.u64_at(frame));
    Some((returns_to, Box::new(callers)))
}

/// The caller of a function whose frame depends on an unknown frame pointer.
pub(super) fn recovered(
    code: &Code<'_, impl Memory>,
    stack: &impl Memory,
    row: &Row,
    registers: &Registers,
) -> Option<(Caller, Proof)> {
    let machine = code.machine;
    let since = row.frame_pointer_since?;
    if registers.get(machine.frame_pointer()).is_some() {
        return None;
    }
    let stack_pointer = registers.get(machine.stack_pointer())?;
    let (pushed, is_whole) = match machine {
        Machine::X86 => x86_pushed(&code.memory, since),
        Machine::Arm => arm_pushed(&code.memory, since),
    };
    let least = stack_pointer.checked_add(pushed)?;
    let end = code.mappings.find(stack_pointer)?.end;
    let end = end.min(least.saturating_add(FRAME_MAX));
    let mut proven: Option<Candidate> = None;
    let mut plain: Option<Candidate> = None;
    let mut frame = least.next_multiple_of(WORD);
    while frame < end {
        if let Some((caller, call)) = candidate(code, stack, row, registers, frame) {
            let candidate = Candidate { frame, caller };
            let is_of_this = call == Call::To(row.function);
            if frame == least && is_whole {
                // The function reserved as much, and there is a return address of a call.
                if is_of_this {
                    return Some((candidate.caller, Proof::Certain));
                }
                plain = Some(candidate);
            } else if is_of_this {
                // A function that calls itself has several, and each leads to the next.
                match &proven {
                    None => proven = Some(candidate),
                    Some(first) if first.leads_to(code, frame) => break,
                    Some(_) => return None,
                }
            }
        }
        frame = frame.checked_add(WORD)?;
    }
    let found = plain.or(proven)?;
    Some((found.caller, Proof::IfComplete))
}

/// A possible frame.
struct Candidate {
    frame: u64,
    caller: Caller,
}

impl Candidate {
    /// Whether the caller's frame pointer is this one.
    fn leads_to(&self, code: &Code<'_, impl Memory>, frame: u64) -> bool {
        let Caller::At { registers, .. } = &self.caller else {
            return false;
        };
        self.frame < frame && registers.get(code.machine.frame_pointer()) == Some(frame)
    }
}

/// The caller if the frame pointer is `frame`, and the call that it made.
fn candidate(
    code: &Code<'_, impl Memory>,
    stack: &impl Memory,
    row: &Row,
    registers: &Registers,
    frame: u64,
) -> Option<(Caller, Call)> {
    let machine = code.machine;
    let mut registers = *registers;
    registers.set(machine.frame_pointer(), Some(frame));
    let caller = row.caller(machine, &registers, stack);
    let Caller::At { returns_to, .. } = caller else {
        return None;
    };
    code.mapping(returns_to)?;
    let call = match machine.call_before(&code.memory, returns_to)? {
        Call::To(target) => Call::To(machine.through_stub(&code.memory, target)),
        Call::Unknown => Call::Unknown,
    };
    Some((caller, call))
}

/// How many bytes a function puts on the stack right after it has set its frame pointer, at least, and
/// whether that is known to include a reservation of its own.
fn x86_pushed(memory: &impl Memory, since: u64) -> (u64, bool) {
    let mut bytes = [0; 32];
    let there = memory.read(since, &mut bytes);
    let mut rest = bytes.get(..there).unwrap_or_default();
    let mut pushed = 0;
    loop {
        match rest {
            // push, of a register that is preserved
            [0x50..=0x57, more @ ..] | [0x41, 0x50..=0x57, more @ ..] => {
                pushed += WORD;
                rest = more;
            }
            // sub $n,%rsp
            [0x48, 0x83, 0xec, size, ..] => return (pushed + u64::from(*size & 0x7f), true),
            [0x48, 0x81, 0xec, a, b, c, d, ..] => {
                let size = u32::from_le_bytes([*a, *b, *c, *d]);
                return (pushed + u64::from(size & 0x7fff_ffff), true);
            }
            _ => return (pushed, pushed > 0),
        }
    }
}

/// The same by `add x29, sp, #n`, which sets the frame pointer.
fn arm_pushed(memory: &impl Memory, since: u64) -> (u64, bool) {
    let code = since.checked_sub(4).and_then(|at| memory.u32_at(at));
    match code {
        Some(code) if code & 0xffc0_03ff == 0x9100_03fd => (u64::from(code >> 10 & 0xfff), true),
        _ => (0, false),
    }
}
