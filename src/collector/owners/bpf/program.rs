//! The program that the kernel runs over every task: what it does, as instructions.
//!
//! In C it would be:
//!
//! ```c
//! if (!task || task->pid != task->tgid) return 0;        // one thread a process
//! if (state->start == 0) reserve()->{pid, first} = {task->tgid, PROCESS};
//! if (!task->files) return 0;
//! fdtable *fdt = task->files->fdt;
//! if (fdt->max_fds > state->most) state->most = fdt->max_fds;
//! end = min(fdt->max_fds, state->start + WINDOW);
//! for (fd = state->start; fd < end; fd += FILES) {
//!     files = fdt->fd[fd .. fd + FILES];
//!     if (all of files are NULL) continue;
//!     block = reserve();
//!     block->{pid, first} = {task->tgid, fd};
//!     inodes = f_inode of each file;
//!     block->operations = f_op of each file;
//!     block->inodes = i_ino of each inode;
//!     again = fdt->fd[fd .. fd + FILES];
//!     where (again != files) block->operations = 0;       // closed meanwhile
//! }
//! ```
//!
//! Files and inodes lie all over memory: one after the other, the processor would wait for each.
//! Those of a block are asked for at once, and nothing branches on what they say: NULL gives 0.
//!
//! It runs within an RCU read section, so that whatever it meets is not freed under it, and it
//! takes no reference and no lock. All it reads is read as the kernel's verifier wants it: a bad
//! address gives 0. It writes into its own two maps and nowhere else.

use super::btf::Layout;

/// How many descriptors of a process one call looks at: a call is not preempted on every kernel,
/// and this many take a few milliseconds.
pub const WINDOW: u32 = 32 * 1024;
/// Blocks in a value of the map that takes them.
pub const CHUNK: u32 = 512;

/// The words of the state, at these offsets.
pub mod state {
    /// The first descriptor to look at; written by the reader.
    pub const START: i16 = 0;
    /// Blocks reserved, those without room included.
    pub const BLOCKS: i16 = 4;
    /// The largest table of descriptors.
    pub const MOST: i16 = 8;
    pub const SIZE: usize = 16;
}

/// What the program says: a process, or some descriptors of one.
pub mod block {
    /// The process, a 32-bit word.
    pub const PID: i16 = 0;
    /// The first descriptor, a 32-bit word.
    pub const FIRST: i16 = 4;
    /// In place of a descriptor: there is a process, and nothing else in the block.
    pub const PROCESS: u32 = u32::MAX;
    /// How many descriptors are looked at together.
    pub const FILES: u8 = 8;
    /// The addresses of the files' operations, 32-bit words: 0 where none is open. They are in the
    /// kernel's image or a module, which lie closer together than the halves that are left out.
    pub const OPERATIONS: i16 = 8;
    /// The inodes, 32-bit words: sockets' have no more (`get_next_ino`).
    pub const INODES: i16 = OPERATIONS + 4 * FILES as i16;
    pub const SIZE: u32 = INODES as u32 + 4 * FILES as u32;
}

/// What a program is made for.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    pub layout: &'a Layout,
    /// The descriptor of the map with the state.
    pub state: i32,
    /// The descriptor of the map that takes blocks, [`CHUNK`] a value.
    pub blocks: i32,
}

/// The instructions, one a word, for a machine of little endian.
pub fn assemble(parts: &Parts<'_>) -> Vec<u64> {
    let layout = parts.layout;
    let mut code = Code::default();

    code.load64(R7, R1, CONTEXT_TASK);
    code.jump_if(R7, Is::Equal(0), Label::Exit);
    code.load32(R1, R7, layout.task_pid);
    code.load32(R2, R7, layout.task_tgid);
    code.jump_if(R1, Is::Other(R2), Label::Exit);
    code.store32(STACK, TGID, R1);

    code.map_value(R9, parts.state);
    code.load32(R1, R9, state::START);
    code.jump_if(R1, Is::Not(0), Label::Table);
    code.reserve(parts.blocks, Label::Table);
    code.load32(R1, STACK, TGID);
    code.store32(R0, block::PID, R1);
    code.store32_constant(R0, block::FIRST, block::PROCESS.cast_signed());

    code.label(Label::Table);
    code.load64(R8, R7, layout.task_files);
    code.jump_if(R8, Is::Equal(0), Label::Exit);
    code.load64(R8, R8, layout.files_fdt);
    code.jump_if(R8, Is::Equal(0), Label::Exit);
    code.load32(R3, R8, layout.fdt_max);
    code.load64(R8, R8, layout.fdt_fd);
    code.load32(R1, R9, state::MOST);
    code.jump_if(R1, Is::AtLeast(R3), Label::Start);
    code.store32(R9, state::MOST, R3);

    // The blocks from R2 up to R3. A table has a multiple of 64 slots (`alloc_fdtable`).
    code.label(Label::Start);
    code.load32(R2, R9, state::START);
    code.jump_if(R2, Is::AtLeast(R3), Label::Exit);
    code.copy(R1, R2);
    code.add(R1, WINDOW.cast_signed());
    code.jump_if(R1, Is::AtLeast(R3), Label::Range);
    code.copy(R3, R1);
    code.label(Label::Range);
    code.shift_right(R2, block::FILES.ilog2().cast_signed());
    code.shift_right(R3, block::FILES.ilog2().cast_signed());
    code.stack_address(R1, ITERATOR);
    code.kernel_function(layout.num_new);

    code.label(Label::Loop);
    code.stack_address(R1, ITERATOR);
    code.kernel_function(layout.num_next);
    code.jump_if(R0, Is::Equal(0), Label::Done);
    code.load32(R6, R0, 0);
    code.shift_left(R6, block::FILES.ilog2().cast_signed());
    look(&mut code, parts);
    code.jump(Label::Loop);

    code.label(Label::Done);
    code.stack_address(R1, ITERATOR);
    code.kernel_function(layout.num_destroy);
    code.label(Label::Exit);
    code.set(R0, 0);
    code.exit();
    code.finish()
}

/// Fills a block with the descriptors from R6 on, of the table at R8.
fn look(code: &mut Code, parts: &Parts<'_>) {
    let layout = parts.layout;
    let all = || (0..i16::from(block::FILES)).map(|at| 8 * at);
    code.read_slots(FILES);
    code.set(R1, 0);
    for at in all() {
        code.load64(R2, STACK, FILES + at);
        code.or(R1, R2);
    }
    code.jump_if(R1, Is::Equal(0), Label::Loop);

    code.reserve(parts.blocks, Label::Loop);
    code.copy(R7, R0);
    code.load32(R1, STACK, TGID);
    code.store32(R7, block::PID, R1);
    code.store32(R7, block::FIRST, R6);
    for at in all() {
        code.load64(R1, STACK, FILES + at);
        code.cast(R1, layout.file, layout);
        code.load64(R1, R0, layout.file_inode);
        code.store64(STACK, INODES + at, R1);
        code.load64(R1, R0, layout.file_operations);
        code.store32(R7, block::OPERATIONS + at / 2, R1);
    }
    for at in all() {
        code.load64(R1, STACK, INODES + at);
        code.load64(R1, R1, layout.inode_number);
        code.store32(R7, block::INODES + at / 2, R1);
    }
    code.read_slots(AGAIN);
    for at in all() {
        // R1 becomes 0 if the slot has changed, and all ones if it has not.
        code.load64(R1, STACK, FILES + at);
        code.load64(R2, STACK, AGAIN + at);
        code.xor(R1, R2);
        code.copy(R2, R1);
        code.negate(R2);
        code.or(R1, R2);
        code.shift_right(R1, 63);
        code.add(R1, -1);
        code.load32(R2, R7, block::OPERATIONS + at / 2);
        code.and(R2, R1);
        code.store32(R7, block::OPERATIONS + at / 2, R2);
    }
}

/// Where the walk of tasks passes the task (`struct bpf_iter__task`).
const CONTEXT_TASK: i16 = 8;

// The frame: offsets from its end. The last three have a word for each descriptor of a block.
const ITERATOR: i16 = -8;
const TGID: i16 = -12;
const KEY: i16 = -16;
const FILES: i16 = -80;
const INODES: i16 = -144;
const AGAIN: i16 = -208;

/// Helpers, in the order of `include/uapi/linux/bpf.h`.
const MAP_LOOKUP_ELEM: i32 = 1;
const PROBE_READ_KERNEL: i32 = 113;

/// A register. Those up to R5 are lost with every call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Register(u8);

const R0: Register = Register(0);
const R1: Register = Register(1);
const R2: Register = Register(2);
const R3: Register = Register(3);
const R6: Register = Register(6);
const R7: Register = Register(7);
const R8: Register = Register(8);
const R9: Register = Register(9);
const STACK: Register = Register(10);

/// A place to jump to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    Table,
    Start,
    Range,
    Loop,
    Done,
    Exit,
}

/// When a jump is taken.
#[derive(Debug, Clone, Copy)]
enum Is {
    Equal(i32),
    Not(i32),
    Other(Register),
    AtLeast(Register),
}

/// Instructions while they are written; see the kernel's
/// `Documentation/bpf/standardization/instruction-set.rst`.
#[derive(Default)]
struct Code {
    instructions: Vec<u64>,
    labels: Vec<(Label, usize)>,
    jumps: Vec<(usize, Label)>,
}

impl Code {
    fn push(&mut self, code: u8, to: Register, from: Register, offset: i16, immediate: i32) {
        let immediate = u64::from(immediate.cast_unsigned());
        let offset = u64::from(offset.cast_unsigned());
        let registers = u64::from(to.0 | from.0 << 4);
        let word = immediate << 32 | offset << 16 | registers << 8 | u64::from(code);
        self.instructions.push(word);
    }

    fn load32(&mut self, to: Register, from: Register, offset: i16) {
        self.push(0x61, to, from, offset, 0);
    }

    fn load64(&mut self, to: Register, from: Register, offset: i16) {
        self.push(0x79, to, from, offset, 0);
    }

    fn store32(&mut self, to: Register, offset: i16, from: Register) {
        self.push(0x63, to, from, offset, 0);
    }

    fn store64(&mut self, to: Register, offset: i16, from: Register) {
        self.push(0x7b, to, from, offset, 0);
    }

    fn store32_constant(&mut self, to: Register, offset: i16, value: i32) {
        self.push(0x62, to, R0, offset, value);
    }

    fn copy(&mut self, to: Register, from: Register) {
        self.push(0xbf, to, from, 0, 0);
    }

    fn set(&mut self, to: Register, value: i32) {
        self.push(0xb7, to, R0, 0, value);
    }

    fn add(&mut self, to: Register, value: i32) {
        self.push(0x07, to, R0, 0, value);
    }

    fn add_register(&mut self, to: Register, from: Register) {
        self.push(0x0f, to, from, 0, 0);
    }

    fn or(&mut self, to: Register, from: Register) {
        self.push(0x4f, to, from, 0, 0);
    }

    fn and(&mut self, to: Register, from: Register) {
        self.push(0x5f, to, from, 0, 0);
    }

    fn and_constant(&mut self, to: Register, value: i32) {
        self.push(0x57, to, R0, 0, value);
    }

    fn xor(&mut self, to: Register, from: Register) {
        self.push(0xaf, to, from, 0, 0);
    }

    fn negate(&mut self, to: Register) {
        self.push(0x87, to, R0, 0, 0);
    }

    fn multiply(&mut self, to: Register, value: i32) {
        self.push(0x27, to, R0, 0, value);
    }

    fn shift_left(&mut self, to: Register, bits: i32) {
        self.push(0x67, to, R0, 0, bits);
    }

    fn shift_right(&mut self, to: Register, bits: i32) {
        self.push(0x77, to, R0, 0, bits);
    }

    fn stack_address(&mut self, to: Register, offset: i16) {
        self.copy(to, STACK);
        self.add(to, offset.into());
    }

    /// An array map, by its descriptor.
    fn map(&mut self, to: Register, map: i32) {
        self.push(0x18, to, Register(1), 0, map);
        self.push(0, R0, R0, 0, 0);
    }

    /// The address of an array map's only value.
    fn map_value(&mut self, to: Register, map: i32) {
        self.push(0x18, to, Register(2), 0, map);
        self.push(0, R0, R0, 0, 0);
    }

    /// A function of the kernel, by its BTF id; the result is in R0.
    fn kernel_function(&mut self, id: u32) {
        self.push(0x85, R0, Register(2), 0, id.cast_signed());
    }

    /// Takes an address for that of a structure, by its BTF id, to be read only. In R0.
    fn cast(&mut self, address: Register, structure: u32, layout: &Layout) {
        self.copy(R1, address);
        self.set(R2, structure.cast_signed());
        self.kernel_function(layout.rdonly_cast);
    }

    /// Reads the slots of the descriptors from R6 on, of the table at R8, into the frame.
    fn read_slots(&mut self, into: i16) {
        self.stack_address(R1, into);
        self.set(R2, 8 * i32::from(block::FILES));
        self.copy(R3, R6);
        self.shift_left(R3, 3);
        self.add_register(R3, R8);
        self.helper(PROBE_READ_KERNEL);
    }

    /// A function for all programs, by its number; the result is in R0.
    fn helper(&mut self, number: i32) {
        self.push(0x85, R0, R0, 0, number);
    }

    fn jump(&mut self, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.push(0x05, R0, R0, 0, 0);
    }

    fn jump_if(&mut self, register: Register, is: Is, to: Label) {
        let (code, other, value) = match is {
            Is::Equal(value) => (0x15, R0, value),
            Is::Not(value) => (0x55, R0, value),
            Is::Other(other) => (0x5d, other, 0),
            Is::AtLeast(other) => (0x3d, other, 0),
        };
        self.jumps.push((self.instructions.len(), to));
        self.push(code, register, other, 0, value);
    }

    /// Counts a block, and puts its address into R0. R9 is the state.
    fn reserve(&mut self, blocks: i32, no_room: Label) {
        self.load32(R1, R9, state::BLOCKS);
        self.copy(R2, R1);
        self.shift_right(R2, CHUNK.ilog2().cast_signed());
        self.store32(STACK, KEY, R2);
        self.add(R1, 1);
        self.store32(R9, state::BLOCKS, R1);
        self.map(R1, blocks);
        self.stack_address(R2, KEY);
        self.helper(MAP_LOOKUP_ELEM);
        self.jump_if(R0, Is::Equal(0), no_room);
        self.load32(R1, R9, state::BLOCKS);
        self.add(R1, -1);
        self.and_constant(R1, (CHUNK - 1).cast_signed());
        self.multiply(R1, block::SIZE.cast_signed());
        self.add_register(R0, R1);
    }

    fn exit(&mut self) {
        self.push(0x95, R0, R0, 0, 0);
    }

    fn label(&mut self, label: Label) {
        self.labels.push((label, self.instructions.len()));
    }

    /// Fills in how far each jump goes: counted from the instruction after it.
    fn finish(mut self) -> Vec<u64> {
        for (at, label) in &self.jumps {
            let target = self.labels.iter().find(|(other, _)| other == label);
            let target = target.map_or(self.instructions.len(), |(_, place)| *place);
            let distance = target as i64 - *at as i64 - 1;
            self.instructions[*at] |= u64::from((distance as i16).cast_unsigned()) << 16;
        }
        self.instructions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout {
        task_pid: 1264,
        task_tgid: 1268,
        task_files: 1824,
        files_fdt: 32,
        fdt_max: 0,
        fdt_fd: 8,
        file_inode: 32,
        file_operations: 16,
        inode_number: 64,
        file: 1,
        iter_task: 2,
        rdonly_cast: 3,
        num_new: 4,
        num_next: 5,
        num_destroy: 6,
    };

    fn code(instruction: u64) -> u8 {
        instruction as u8
    }

    #[test]
    fn every_jump_ends_at_an_instruction_and_the_last_one_is_the_end() {
        let program = assemble(&Parts {
            layout: &LAYOUT,
            state: 3,
            blocks: 4,
        });
        assert_eq!(code(*program.last().unwrap()), 0x95);
        let mut jumps = 0;
        for (at, instruction) in program.iter().enumerate() {
            // Jumps that are neither calls nor the end.
            if code(*instruction) & 7 == 5 && !matches!(code(*instruction), 0x85 | 0x95) {
                let distance = (instruction >> 16) as i16;
                let target = at as i64 + 1 + i64::from(distance);
                assert!(target >= 0 && target < program.len() as i64, "{at}");
                // The second half of a wide instruction is none.
                assert_ne!(code(program[target as usize]), 0, "{at}");
                jumps += 1;
            }
        }
        assert_eq!(jumps, 13);
    }

    #[test]
    fn tables_and_windows_end_where_blocks_do() {
        let files = u32::from(block::FILES);
        assert!(64 % files == 0 && WINDOW.is_multiple_of(files) && files.is_power_of_two());
        assert!(CHUNK.is_power_of_two() && block::SIZE.is_multiple_of(8));
    }
}
