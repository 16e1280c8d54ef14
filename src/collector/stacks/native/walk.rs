//! From the innermost function of a thread to its first one.

use super::code::Code;
use super::frame_pointer::{self, Proof};
use super::machine::Registers;
use super::row::Caller;
use crate::collector::stacks::memory::Memory;

/// The most functions of a stack that are kept.
const FRAMES_MAX: usize = 128;
/// The most signal handlers on a stack.
const SIGNALS_MAX: u32 = 8;

/// The functions of a stack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Trace {
    /// A place in each function, the innermost first: where it is, or inside the call that it made.
    pub(super) places: Vec<u64>,
    /// Whether the last one is the thread's first function.
    pub(super) complete: bool,
}

/// Where a thread is.
struct Position {
    /// The next instruction.
    next: u64,
    registers: Box<Registers>,
    /// Whether it got here by a call, and `next` is where that returns to.
    has_called: bool,
}

/// The stack of a thread that has this stack pointer and program counter.
pub(super) fn walk(
    code: &mut Code<'_, impl Memory>,
    stack: &impl Memory,
    (stack_pointer, program_counter): (u64, u64),
) -> Trace {
    let mut registers = Registers::none();
    registers.set(code.machine.stack_pointer(), Some(stack_pointer));
    let mut position = Position {
        next: program_counter,
        registers: Box::new(registers),
        has_called: false,
    };
    let mut trace = Trace::default();
    // How many functions are beyond doubt, once one is in doubt.
    let mut certain = None;
    let mut signals = 0;
    while trace.places.len() < FRAMES_MAX && !code.limit.is_reached() {
        let place = position.next.wrapping_sub(u64::from(position.has_called));
        if code.mapping(place).is_none() {
            break;
        }
        trace.places.push(place);
        let Some(step) = step(code, stack, &position, place) else {
            break;
        };
        match step {
            Step::End => {
                trace.complete = true;
                break;
            }
            Step::To(next, proof) => {
                if proof == Proof::IfComplete {
                    certain.get_or_insert(trace.places.len());
                }
                signals += u32::from(!next.has_called);
                if signals > SIGNALS_MAX {
                    break;
                }
                position = next;
            }
        }
    }
    if let Some(certain) = certain.filter(|_| !trace.complete) {
        trace.places.truncate(certain);
    }
    trace
}

enum Step {
    /// Nothing called the function.
    End,
    To(Position, Proof),
}

/// The step to the caller. `None` if it cannot be told.
fn step(
    code: &mut Code<'_, impl Memory>,
    stack: &impl Memory,
    position: &Position,
    place: u64,
) -> Option<Step> {
    let (machine, registers) = (code.machine, &position.registers);
    let stack_pointer = registers.get(machine.stack_pointer())?;
    let Some(row) = code.row(place) else {
        let caller = frame_pointer::chained(code, stack, registers)?;
        return Some(to(caller, Proof::Certain));
    };
    let (caller, proof) = match row.caller(machine, registers, stack) {
        Caller::Unknown => frame_pointer::recovered(code, stack, &row, registers)?,
        told => (told, Proof::Certain),
    };
    let Caller::At {
        returns_to,
        registers,
    } = caller
    else {
        return Some(Step::End);
    };
    let callers = registers.get(machine.stack_pointer())?;
    // The stack of a caller is above; a function that has none of its own can only be the innermost. A
    // signal may have come while the thread was on another stack.
    let is_above = callers > stack_pointer || (callers == stack_pointer && !position.has_called);
    if !row.is_signal && !is_above {
        return None;
    }
    code.mapping(returns_to)?;
    let next = Position {
        next: returns_to,
        registers,
        has_called: !row.is_signal,
    };
    Some(Step::To(next, proof))
}

fn to((returns_to, registers): (u64, Box<Registers>), proof: Proof) -> Step {
    let next = Position {
        next: returns_to,
        registers,
        has_called: true,
    };
    Step::To(next, proof)
}
