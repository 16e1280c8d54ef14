//! What differs between instruction sets: how unwind tables number the registers, and what a call looks
//! like. See "DWARF Register Number Mapping" in the psABI of x86-64, and "DWARF for the Arm 64-bit
//! Architecture".

use crate::collector::stacks::memory::Memory;

/// The most registers of a machine that are followed, the return address among them.
const REGISTERS: usize = 33;
/// User addresses have at most this many bits; a signed return address has a signature above them.
const ADDRESS_BITS: u64 = (1 << 48) - 1;

/// An instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    X86,
    Arm,
}

impl Machine {
    /// The one that this program runs on, and everything that it examines.
    pub(super) const fn native() -> Machine {
        if cfg!(target_arch = "aarch64") {
            Machine::Arm
        } else {
            Machine::X86
        }
    }

    pub(super) fn stack_pointer(self) -> u16 {
        match self {
            Machine::X86 => 7,
            Machine::Arm => 31,
        }
    }

    pub(super) fn frame_pointer(self) -> u16 {
        match self {
            Machine::X86 => 6,
            Machine::Arm => 29,
        }
    }

    /// Whether a function gives this register back to its caller as it was.
    pub(super) fn is_preserved(self, register: u16) -> bool {
        match self {
            Machine::X86 => matches!(register, 3 | 6 | 12..=15),
            // The return address is in register 30 until the function saves it.
            Machine::Arm => matches!(register, 19..=30),
        }
    }

    /// A return address without its signature.
    pub(super) fn unsigned(self, address: u64) -> u64 {
        match self {
            Machine::X86 => address,
            Machine::Arm => address & ADDRESS_BITS,
        }
    }
}

/// The registers of a function that has not returned; `None` where the value is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Registers([Option<u64>; REGISTERS]);

impl Registers {
    pub(super) fn none() -> Registers {
        Registers([None; REGISTERS])
    }

    pub(super) fn get(&self, register: u16) -> Option<u64> {
        self.0.get(usize::from(register)).copied().flatten()
    }

    pub(super) fn set(&mut self, register: u16, value: Option<u64>) {
        if let Some(place) = self.0.get_mut(usize::from(register)) {
            *place = value;
        }
    }

    /// All of them, with their numbers.
    pub(super) fn numbers() -> std::ops::Range<u16> {
        0..REGISTERS as u16
    }
}

/// The call before a return address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// It calls what starts here.
    To(u64),
    /// It calls an address from a register or a table.
    Unknown,
}

impl Machine {
    /// The call that returns to an address; `None` if there is none.
    pub(super) fn call_before(self, memory: &impl Memory, returns_to: u64) -> Option<Call> {
        match self {
            Machine::X86 => x86_call(memory, returns_to),
            Machine::Arm => arm_call(memory, returns_to),
        }
    }

    /// Where a stub of the procedure linkage table leads, or the function itself if it is no stub.
    pub(super) fn through_stub(self, memory: &impl Memory, function: u64) -> u64 {
        let target = match self {
            Machine::X86 => x86_stub(memory, function),
            Machine::Arm => arm_stub(memory, function),
        };
        target.unwrap_or(function)
    }
}

/// See "CALL" in the Intel 64 manual, volume 2.
fn x86_call(memory: &impl Memory, returns_to: u64) -> Option<Call> {
    let before: [u8; 7] = memory.array(returns_to.checked_sub(7)?)?;
    let [b7, b6, b5, b4, b3, b2, b1] = before;
    let relative = i64::from(i32::from_le_bytes([b4, b3, b2, b1]));
    let near = returns_to.wrapping_add_signed(relative);
    if b5 == 0xe8 {
        return Some(Call::To(near));
    }
    if (b6, b5) == (0xff, 0x15) {
        return Some(memory.u64_at(near).map_or(Call::Unknown, Call::To));
    }
    // The second byte says where the address comes from: a register, or memory by one or two registers.
    let by = |mode: u8, low: std::ops::RangeInclusive<u8>| {
        move |byte: u8| byte & 0xf8 == (mode | 0x10) && low.contains(&(byte & 7))
    };
    let (register, plain, short, long) = (
        by(0xc0, 0..=7),
        by(0, 0..=7),
        by(0x40, 0..=7),
        by(0x80, 0..=7),
    );
    let is_call = (b2 == 0xff && (register(b1) || (plain(b1) && b1 & 7 != 4 && b1 & 7 != 5)))
        || (b3 == 0xff && ((short(b2) && b2 & 7 != 4) || b2 == 0x14))
        || (b4 == 0xff && b3 == 0x54)
        || (b6 == 0xff && long(b5) && b5 & 7 != 4)
        || (b7 == 0xff && (b6 == 0x94 || b6 == 0x14));
    is_call.then_some(Call::Unknown)
}

/// `endbr64`, `bnd` and `jmp *slot(%rip)`.
fn x86_stub(memory: &impl Memory, at: u64) -> Option<u64> {
    let code: [u8; 16] = memory.array(at)?;
    let after =
        |code: &'_ [u8], prefix: &[u8]| code.strip_prefix(prefix).map_or(0, |_| prefix.len());
    let mut start = after(&code, &[0xf3, 0x0f, 0x1e, 0xfa]);
    start += after(code.get(start..)?, &[0xf2]);
    let [0xff, 0x25, relative @ ..] = code.get(start..start + 6)? else {
        return None;
    };
    let relative = i64::from(i32::from_le_bytes(relative.try_into().ok()?));
    let next = at.wrapping_add(start as u64 + 6);
    memory.u64_at(next.wrapping_add_signed(relative))
}

/// `bl` and `blr`; see the Arm Architecture Reference Manual, C6.2.
fn arm_call(memory: &impl Memory, returns_to: u64) -> Option<Call> {
    let at = returns_to.checked_sub(4)?;
    let code = memory.u32_at(at)?;
    if code >> 26 == 0b10_0101 {
        // 26 bits with a sign, in units of four bytes.
        let words = (code << 6).cast_signed() >> 6;
        return Some(Call::To(at.wrapping_add_signed(i64::from(words) * 4)));
    }
    // The variants that check a signature differ in the other bits.
    (code & 0xfefff000 == 0xd63f_0000).then_some(Call::Unknown)
}

/// `bti`, `adrp`, `ldr`, and later `br`.
fn arm_stub(memory: &impl Memory, at: u64) -> Option<u64> {
    const BTI: u32 = 0xd503_245f;
    let at = if memory.u32_at(at)? == BTI {
        at.checked_add(4)?
    } else {
        at
    };
    let (page, load) = (memory.u32_at(at)?, memory.u32_at(at.checked_add(4)?)?);
    if page & 0x9f00_001f != 0x9000_0010 || load & 0xffc0_03ff != 0xf940_0211 {
        return None;
    }
    let high = (page << 8).cast_signed() >> 13 & !3;
    let pages = i64::from(high) | i64::from(page >> 29 & 3);
    let slot = (at & !0xfff).wrapping_add_signed(pages << 12);
    memory.u64_at(slot.wrapping_add(u64::from(load >> 10 & 0xfff) * 8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::stacks::memory::Pieces;

    fn before(machine: Machine, code: &[u8]) -> Option<Call> {
        let mut bytes = vec![0; 16];
        bytes.extend(code);
        let memory = Pieces(vec![
            (0x1000 - bytes.len() as u64, bytes),
            (0x1000, vec![0; 16]),
            (0x2000, 0x1234_5678u64.to_le_bytes().to_vec()),
        ]);
        machine.call_before(&memory, 0x1000)
    }

    #[test]
    fn the_call_before_a_return_address_is_decoded() {
        let x86 = |code: &[u8]| before(Machine::X86, code);
        assert_eq!(x86(&[0xe8, 0xfb, 0xff, 0xff, 0xff]), Some(Call::To(0xffb)));
        // Through a slot at 0x2000.
        let slot = [0xff, 0x15, 0x00, 0x10, 0x00, 0x00];
        assert_eq!(x86(&slot), Some(Call::To(0x1234_5678)));
        let unknown: [&[u8]; 8] = [
            &[0xff, 0xd0],                               // *%rax
            &[0x41, 0xff, 0xd4],                         // *%r12
            &[0xff, 0x10],                               // *(%rax)
            &[0xff, 0x50, 0x18],                         // *0x18(%rax)
            &[0xff, 0x54, 0x24, 0x08],                   // *8(%rsp)
            &[0xff, 0x90, 0x18, 0x01, 0x00, 0x00],       // *0x118(%rax)
            &[0xff, 0x94, 0xc3, 0x18, 0x01, 0x00, 0x00], // *0x118(%rbx,%rax,8)
            &[0xff, 0x14, 0xc3],                         // *(%rbx,%rax,8)
        ];
        for code in unknown {
            assert_eq!(x86(code), Some(Call::Unknown), "{code:x?}");
        }
        for code in [&[0x90, 0x90][..], &[0xff, 0xe0], &[0xc3], &[0xff, 0x15]] {
            assert_eq!(x86(code), None, "{code:x?}");
        }
        let arm = |code: u32| before(Machine::Arm, &code.to_le_bytes());
        assert_eq!(arm(0x97ff_ffff), Some(Call::To(0xff8))); // bl .-4
        assert_eq!(arm(0x9400_0002), Some(Call::To(0x1004))); // bl .+8
        assert_eq!(arm(0xd63f_0100), Some(Call::Unknown)); // blr x8
        assert_eq!(arm(0xd73f_0909), Some(Call::Unknown)); // blraa x8, x9
        assert_eq!(arm(0xd61f_0100), None); // br x8
    }

    #[test]
    fn stubs_lead_to_what_their_slot_names() {
        let target = |machine: Machine, code: Vec<u8>| {
            let slot = 0x1234_5678u64.to_le_bytes().to_vec();
            let memory = Pieces(vec![(0x1000, code), (0x3010, slot)]);
            machine.through_stub(&memory, 0x1000)
        };
        let jump = [0xff, 0x25, 0x0a, 0x20, 0x00, 0x00, 0x90, 0x90];
        let plain = [&jump[..], &[0x90; 8]].concat();
        assert_eq!(target(Machine::X86, plain), 0x1234_5678);
        let jump = [0xf2, 0xff, 0x25, 0x05, 0x20, 0x00, 0x00];
        let marked = [&[0xf3, 0x0f, 0x1e, 0xfa][..], &jump, &[0x90; 5]].concat();
        assert_eq!(target(Machine::X86, marked), 0x1234_5678);
        assert_eq!(target(Machine::X86, vec![0x55; 16]), 0x1000);
        // adrp x16, .+0x2000; ldr x17, [x16, #16]; add x16, x16, #16; br x17
        let words = [0xd000_0010u32, 0xf940_0a11, 0x9100_4210, 0xd61f_0220];
        let code = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(target(Machine::Arm, code), 0x1234_5678);
    }

    #[test]
    fn a_register_that_no_machine_has_is_unknown() {
        let mut registers = Registers::none();
        registers.set(7, Some(1));
        registers.set(u16::MAX, Some(2));
        assert_eq!((registers.get(7), registers.get(8)), (Some(1), None));
        assert_eq!(registers.get(u16::MAX), None);
    }
}
