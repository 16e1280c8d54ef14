//! An assembler for the BPF instructions that [`crate::collector::holders::bpf::program`] needs: 64 bits
//! each, for a little-endian machine, with jumps to labels. See the kernel's
//! `Documentation/bpf/standardization/instruction-set.rst`.

/// A register. A call overwrites R0 to R5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register(u8);

pub const R0: Register = Register(0);
pub const R1: Register = Register(1);
pub const R2: Register = Register(2);
pub const R3: Register = Register(3);
pub const R6: Register = Register(6);
pub const R7: Register = Register(7);
pub const R8: Register = Register(8);
pub const R9: Register = Register(9);
/// The end of the stack frame.
pub const STACK: Register = Register(10);

/// When a jump is taken.
#[derive(Debug, Clone, Copy)]
pub enum Is {
    Equal(i32),
    Not(i32),
    Same(Register),
    AtLeast(Register),
}

/// A program under construction.
pub struct Code<Label> {
    instructions: Vec<u64>,
    labels: Vec<(Label, usize)>,
    jumps: Vec<(usize, Label)>,
}

impl<Label: Copy + PartialEq> Code<Label> {
    pub fn new() -> Code<Label> {
        Code {
            instructions: Vec::new(),
            labels: Vec::new(),
            jumps: Vec::new(),
        }
    }

    fn push(&mut self, code: u8, to: Register, from: Register, offset: i16, immediate: i32) {
        let immediate = u64::from(immediate.cast_unsigned());
        let offset = u64::from(offset.cast_unsigned());
        let registers = u64::from(to.0 | from.0 << 4);
        let word = immediate << 32 | offset << 16 | registers << 8 | u64::from(code);
        self.instructions.push(word);
    }

    pub fn load32(&mut self, to: Register, from: Register, offset: i16) {
        self.push(0x61, to, from, offset, 0);
    }

    pub fn load64(&mut self, to: Register, from: Register, offset: i16) {
        self.push(0x79, to, from, offset, 0);
    }

    pub fn store32(&mut self, to: Register, offset: i16, from: Register) {
        self.push(0x63, to, from, offset, 0);
    }

    pub fn store64(&mut self, to: Register, offset: i16, from: Register) {
        self.push(0x7b, to, from, offset, 0);
    }

    pub fn store32_constant(&mut self, to: Register, offset: i16, value: i32) {
        self.push(0x62, to, R0, offset, value);
    }

    pub fn copy(&mut self, to: Register, from: Register) {
        self.push(0xbf, to, from, 0, 0);
    }

    pub fn set(&mut self, to: Register, value: i32) {
        self.push(0xb7, to, R0, 0, value);
    }

    pub fn add(&mut self, to: Register, value: i32) {
        self.push(0x07, to, R0, 0, value);
    }

    pub fn add_register(&mut self, to: Register, from: Register) {
        self.push(0x0f, to, from, 0, 0);
    }

    pub fn or(&mut self, to: Register, from: Register) {
        self.push(0x4f, to, from, 0, 0);
    }

    pub fn and(&mut self, to: Register, from: Register) {
        self.push(0x5f, to, from, 0, 0);
    }

    pub fn and_constant(&mut self, to: Register, value: i32) {
        self.push(0x57, to, R0, 0, value);
    }

    pub fn xor(&mut self, to: Register, from: Register) {
        self.push(0xaf, to, from, 0, 0);
    }

    pub fn negate(&mut self, to: Register) {
        self.push(0x87, to, R0, 0, 0);
    }

    pub fn multiply(&mut self, to: Register, value: i32) {
        self.push(0x27, to, R0, 0, value);
    }

    pub fn shift_left(&mut self, to: Register, bits: i32) {
        self.push(0x67, to, R0, 0, bits);
    }

    pub fn shift_right(&mut self, to: Register, bits: i32) {
        self.push(0x77, to, R0, 0, bits);
    }

    pub fn stack_address(&mut self, to: Register, offset: i16) {
        self.copy(to, STACK);
        self.add(to, offset.into());
    }

    /// Loads the address of an array map, by its descriptor.
    pub fn map(&mut self, to: Register, map: i32) {
        self.push(0x18, to, Register(1), 0, map);
        self.push(0, R0, R0, 0, 0);
    }

    /// Loads the address of the only value of an array map.
    pub fn map_value(&mut self, to: Register, map: i32) {
        self.push(0x18, to, Register(2), 0, map);
        self.push(0, R0, R0, 0, 0);
    }

    /// Calls a function of the kernel, by its BTF ID; the result is in R0.
    pub fn kernel_function(&mut self, id: u32) {
        self.push(0x85, R0, Register(2), 0, id.cast_signed());
    }

    /// Calls a helper, by its number; the result is in R0.
    pub fn helper(&mut self, number: i32) {
        self.push(0x85, R0, R0, 0, number);
    }

    pub fn jump(&mut self, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.push(0x05, R0, R0, 0, 0);
    }

    pub fn jump_if(&mut self, register: Register, is: Is, to: Label) {
        let (code, other, value) = match is {
            Is::Equal(value) => (0x15, R0, value),
            Is::Not(value) => (0x55, R0, value),
            Is::Same(other) => (0x1d, other, 0),
            Is::AtLeast(other) => (0x3d, other, 0),
        };
        self.jumps.push((self.instructions.len(), to));
        self.push(code, register, other, 0, value);
    }

    pub fn exit(&mut self) {
        self.push(0x95, R0, R0, 0, 0);
    }

    pub fn label(&mut self, label: Label) {
        self.labels.push((label, self.instructions.len()));
    }

    /// Fills in the distances of the jumps, which count from the instruction after each.
    pub fn finish(mut self) -> Vec<u64> {
        for (at, label) in &self.jumps {
            let target = self.labels.iter().find(|(other, _)| other == label);
            let target = target.map_or(self.instructions.len(), |(_, place)| *place);
            let distance = target as i64 - *at as i64 - 1;
            if let Some(instruction) = self.instructions.get_mut(*at) {
                *instruction |= u64::from((distance as i16).cast_unsigned()) << 16;
            }
        }
        self.instructions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_as_the_kernel_reads_them_and_jumps_count_from_the_next_one() {
        let mut code = Code::new();
        code.label("start");
        code.load64(R6, R1, -8);
        code.jump_if(R6, Is::Equal(7), "end");
        code.jump("start");
        code.label("end");
        code.set(R0, -1);
        code.exit();
        let bytes: Vec<[u8; 8]> = code
            .finish()
            .iter()
            .map(|word| word.to_le_bytes())
            .collect();
        let expected = [
            [0x79, 0x16, 0xf8, 0xff, 0, 0, 0, 0],
            [0x15, 0x06, 1, 0, 7, 0, 0, 0],
            [0x05, 0x00, 0xfd, 0xff, 0, 0, 0, 0],
            [0xb7, 0x00, 0, 0, 0xff, 0xff, 0xff, 0xff],
            [0x95, 0x00, 0, 0, 0, 0, 0, 0],
        ];
        assert_eq!(bytes, expected);
    }
}
