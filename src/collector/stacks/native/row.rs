//! How one function's caller is found: a row of an unwind table, and its evaluation. A register whose
//! value cannot be told is unknown, and so is all that depends on it.
//!
//! See "Call Frame Information" in DWARF 5, 6.4, and ".eh_frame" in the Linux Standard Base.

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameOffset, Encoding, EndianSlice, EvaluationResult,
    Expression, Format, LittleEndian, Location, RegisterRule, UnwindContext, UnwindExpression,
    UnwindSection, UnwindTableRow, Value, Vendor,
};

use super::machine::{Machine, Registers};
use crate::collector::stacks::memory::Memory;

/// The most bytes of one entry of a table.
const ENTRY_MAX: u32 = 64 << 10;
/// The most bytes of an expression.
const EXPRESSION_MAX: usize = 512;
/// The most steps of an expression.
const STEPS_MAX: u32 = 256;

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// How the caller of a function is found while the function is at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Where the function starts.
    pub(super) function: u64,
    cfa: Cfa,
    rules: Vec<(u16, Rule)>,
    return_address: u16,
    /// Whether the caller was interrupted by a signal, and called nothing.
    pub(super) is_signal: bool,
    /// Where the function first has a frame pointer, if the frame depends on it.
    pub(super) frame_pointer_since: Option<u64>,
}

/// The address that identifies a frame: the stack pointer of the caller, before the call.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cfa {
    From(u16, i64),
    Is(Box<[u8]>),
}

/// What the caller has in a register.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Unknown,
    Same,
    /// It was saved at this distance from the CFA.
    Saved(i64),
    /// It is the CFA and this.
    FromCfa(i64),
    In(u16),
    /// It was saved at the address that an expression computes.
    SavedAt(Box<[u8]>),
    Is(Box<[u8]>),
}

/// What called a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    /// Nothing: it is the first function of its thread.
    None,
    /// Something that cannot be told.
    Unknown,
    At {
        returns_to: u64,
        registers: Box<Registers>,
    },
}

impl Row {
    /// Reads the row for `place` from the entry at `entry` of a table.
    pub(super) fn read(
        memory: &impl Memory,
        machine: Machine,
        entry: u64,
        place: u64,
        context: &mut UnwindContext<usize>,
    ) -> Option<Row> {
        let (bytes, base) = bytes_of(memory, entry)?;
        let mut table = EhFrame::new(&bytes, LittleEndian);
        table.set_address_size(8);
        if machine == Machine::Arm {
            table.set_vendor(Vendor::AArch64);
        }
        let bases = BaseAddresses::default().set_eh_frame(base);
        let offset = EhFrameOffset(usize::try_from(entry.wrapping_sub(base)).ok()?);
        let entry = table.fde_from_offset(&bases, offset, EhFrame::cie_from_offset);
        let entry = entry.ok().filter(|entry| entry.contains(place))?;
        let mut rows = entry.rows(&table, &bases, context).ok()?;
        let mut frame_pointer_since = None;
        loop {
            let row = rows.next_row().ok()??;
            let depends = match row.cfa() {
                CfaRule::RegisterAndOffset { register, .. } => {
                    register.0 == machine.frame_pointer()
                }
                CfaRule::Expression(_) => false,
            };
            if depends && frame_pointer_since.is_none() {
                frame_pointer_since = Some(row.start_address());
            }
            if row.contains(place) {
                return Some(Row {
                    function: entry.initial_address(),
                    cfa: cfa(row.cfa(), &table)?,
                    rules: rules(row, &table),
                    return_address: entry.cie().return_address_register().0,
                    is_signal: entry.is_signal_trampoline(),
                    frame_pointer_since: frame_pointer_since.filter(|_| depends),
                });
            }
        }
    }

    /// The CFA. `None` if it depends on something unknown.
    pub(super) fn cfa(&self, registers: &Registers, memory: &impl Memory) -> Option<u64> {
        match &self.cfa {
            Cfa::From(register, offset) => {
                Some(registers.get(*register)?.wrapping_add_signed(*offset))
            }
            Cfa::Is(expression) => evaluate(expression, registers, memory, None),
        }
    }

    /// What called the function.
    pub(super) fn caller(
        &self,
        machine: Machine,
        registers: &Registers,
        memory: &impl Memory,
    ) -> Caller {
        let Some(cfa) = self.cfa(registers, memory) else {
            return Caller::Unknown;
        };
        let value = |register: u16| -> Option<u64> {
            match self.rule(machine, register) {
                Rule::Unknown => None,
                Rule::Same => registers.get(register),
                Rule::Saved(at) => memory.u64_at(cfa.wrapping_add_signed(*at)),
                Rule::FromCfa(offset) => Some(cfa.wrapping_add_signed(*offset)),
                Rule::In(other) => registers.get(*other),
                Rule::SavedAt(expression) => {
                    memory.u64_at(evaluate(expression, registers, memory, Some(cfa))?)
                }
                Rule::Is(expression) => evaluate(expression, registers, memory, Some(cfa)),
            }
        };
        let is_told = |(register, _): &&(u16, Rule)| *register == self.return_address;
        if let Some((_, Rule::Unknown)) = self.rules.iter().find(is_told) {
            return Caller::None;
        }
        let returns_to = value(self.return_address).map(|address| machine.unsigned(address));
        let Some(returns_to) = returns_to else {
            return Caller::Unknown;
        };
        if returns_to == 0 {
            return Caller::None;
        }
        let mut callers = Registers::none();
        for register in Registers::numbers() {
            callers.set(register, value(register));
        }
        let stack_pointer = machine.stack_pointer();
        if !self
            .rules
            .iter()
            .any(|(register, _)| *register == stack_pointer)
        {
            callers.set(stack_pointer, Some(cfa));
        }
        Caller::At {
            returns_to,
            registers: Box::new(callers),
        }
    }

    fn rule(&self, machine: Machine, register: u16) -> &Rule {
        let found = self.rules.iter().find(|(of, _)| *of == register);
        match found {
            Some((_, rule)) => rule,
            // A signal may interrupt anything.
            None if machine.is_preserved(register) && !self.is_signal => &Rule::Same,
            None => &Rule::Unknown,
        }
    }
}

/// The bytes of an entry, behind those that it shares with others, and the address of the first.
/// A table may be large, so only these are copied.
fn bytes_of(memory: &impl Memory, entry: u64) -> Option<(Vec<u8>, u64)> {
    const POINTER: usize = 4;
    let part = |at: u64| {
        // 0 ends a table, and all ones announce a length of 64 bits.
        let length = memory
            .u32_at(at)
            .filter(|length| (4..=ENTRY_MAX).contains(length))?;
        memory.bytes(at, length as usize + POINTER)
    };
    let mut own = part(entry)?;
    let pointer_at = entry.checked_add(POINTER as u64)?;
    let distance = memory
        .u32_at(pointer_at)
        .filter(|distance| *distance != 0)?;
    let mut bytes = part(pointer_at.checked_sub(distance.into())?)?;
    // The distance to the shared part is now another.
    let distance = u32::try_from(bytes.len() + POINTER).ok()?;
    own.get_mut(POINTER..2 * POINTER)?
        .copy_from_slice(&distance.to_le_bytes());
    let base = entry.wrapping_sub(bytes.len() as u64);
    bytes.extend(own);
    Some((bytes, base))
}

fn cfa(rule: &CfaRule<usize>, table: &EhFrame<Bytes<'_>>) -> Option<Cfa> {
    Some(match rule {
        CfaRule::RegisterAndOffset { register, offset } => Cfa::From(register.0, *offset),
        CfaRule::Expression(expression) => Cfa::Is(expression_of(expression, table)?),
    })
}

fn rules(row: &UnwindTableRow<usize>, table: &EhFrame<Bytes<'_>>) -> Vec<(u16, Rule)> {
    let of = |expression: &UnwindExpression<usize>, rule: fn(Box<[u8]>) -> Rule| {
        expression_of(expression, table).map_or(Rule::Unknown, rule)
    };
    let rule = |rule: &RegisterRule<usize>| match rule {
        RegisterRule::SameValue => Rule::Same,
        RegisterRule::Offset(at) => Rule::Saved(*at),
        RegisterRule::ValOffset(offset) => Rule::FromCfa(*offset),
        RegisterRule::Register(register) => Rule::In(register.0),
        RegisterRule::Expression(expression) => of(expression, Rule::SavedAt),
        RegisterRule::ValExpression(expression) => of(expression, Rule::Is),
        _ => Rule::Unknown,
    };
    let rules = row.registers();
    rules
        .map(|(register, of_it)| (register.0, rule(of_it)))
        .collect()
}

fn expression_of(
    expression: &UnwindExpression<usize>,
    table: &EhFrame<Bytes<'_>>,
) -> Option<Box<[u8]>> {
    let bytes = expression.get(table).ok()?.0.slice();
    (bytes.len() <= EXPRESSION_MAX).then(|| bytes.into())
}

/// The value that an expression computes. `None` if it depends on something unknown.
fn evaluate(
    expression: &[u8],
    registers: &Registers,
    memory: &impl Memory,
    first: Option<u64>,
) -> Option<u64> {
    let encoding = Encoding {
        address_size: 8,
        format: Format::Dwarf32,
        version: 5,
    };
    let expression = Expression(EndianSlice::new(expression, LittleEndian));
    let mut evaluation = expression.evaluation(encoding);
    evaluation.set_max_iterations(STEPS_MAX);
    if let Some(first) = first {
        evaluation.set_initial_value(first);
    }
    let mut result = evaluation.evaluate().ok()?;
    for _ in 0..STEPS_MAX {
        result = match result {
            EvaluationResult::Complete => break,
            EvaluationResult::RequiresRegister { register, .. } => {
                let value = Value::Generic(registers.get(register.0)?);
                evaluation.resume_with_register(value).ok()?
            }
            EvaluationResult::RequiresMemory {
                address, size: 8, ..
            } => {
                let value = Value::Generic(memory.u64_at(address)?);
                evaluation.resume_with_memory(value).ok()?
            }
            EvaluationResult::RequiresMemory {
                address, size: 4, ..
            } => {
                let value = Value::Generic(memory.u32_at(address)?.into());
                evaluation.resume_with_memory(value).ok()?
            }
            _ => return None,
        };
    }
    match evaluation.result().first().map(|piece| &piece.location) {
        Some(Location::Address { address }) => Some(*address),
        Some(Location::Value { value }) => value.to_u64(u64::MAX).ok(),
        Some(Location::Register { register }) => registers.get(register.0),
        _ => None,
    }
}
