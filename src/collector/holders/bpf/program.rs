//! The BPF program that the kernel runs over every task. In C:
//!
//! ```c
//! if (!task) return 0;
//! if (task->pid != task->tgid) {                          // threads only with their own tables
//!     if (!task->files || task->files == task->group_leader->files) return 0;
//!     if (task->files == (the thread before it)->files) return 0;
//! }
//! if (state->start == 0) reserve()->{task, first, process} = {task->pid, TASK, task->tgid};
//! if (!task->files) return 0;
//! fdtable *fdt = task->files->fdt;
//! if (fdt->max_fds > state->most) state->most = fdt->max_fds;
//! end = min(fdt->max_fds, state->start + WINDOW);
//! for (fd = state->start; fd < end; fd += FILES) {
//!     files = fdt->fd[fd .. fd + FILES];
//!     if (all of files are NULL) continue;
//!     block = reserve();
//!     block->{task, first} = {task->pid, fd};
//!     inodes = f_inode of each file;
//!     block->operations = f_op of each file;
//!     block->inodes = i_ino of each inode;
//!     again = fdt->fd[fd .. fd + FILES];
//!     where (again != files) block->operations = 0;       // closed meanwhile
//! }
//! ```
//!
//! Files and inodes are spread over memory, and the processor would wait for each. So those of a block are
//! loaded together, and no branch depends on them: loads from NULL give 0.
//!
//! The program runs within an RCU read section, so that nothing it reads is freed meanwhile. It takes no
//! reference and no lock. The verifier ensures that a load from a bad address gives 0. It writes only to its
//! two maps.

use crate::collector::holders::bpf::btf::Layout;
use crate::collector::holders::bpf::code::{
    Code, Is, R0, R1, R2, R3, R6, R7, R8, R9, Register, STACK,
};

/// How many descriptors of a process one call reads. Some kernels do not preempt a call, and this many
/// take a few milliseconds.
pub const WINDOW: u32 = 32 * 1024;
/// Blocks per value of their map.
pub const CHUNK: u32 = 512;

/// The offsets of the 32-bit words of the state.
pub mod state {
    /// The first descriptor to read; written by the reader of the state.
    pub const START: i16 = 0;
    /// The number of blocks, including those without room.
    pub const BLOCKS: i16 = 4;
    /// The size of the largest descriptor table.
    pub const MOST: i16 = 8;
    pub const SIZE: usize = 16;
}

/// The layout of a block: a task, or some descriptors of a task.
pub mod block {
    /// The task, a 32-bit word: the main thread of a process, or a thread with its own descriptor table.
    pub const TASK: i16 = 0;
    /// The first descriptor, a 32-bit word.
    pub const FIRST: i16 = 4;
    /// In place of a descriptor: the block contains only the task and [`PROCESS`].
    pub const NONE: u32 = u32::MAX;
    /// The process of the task, a 32-bit word.
    pub const PROCESS: i16 = 8;
    /// The number of descriptors in a block.
    pub const FILES: u8 = 8;
    /// The low halves of the addresses of the files' operations, 32-bit words; 0 if no file is open. All are
    /// in the kernel image or a module, so their upper halves are the same.
    pub const OPERATIONS: i16 = 8;
    /// The inodes, 32-bit words: those of sockets are no longer (`get_next_ino`).
    pub const INODES: i16 = OPERATIONS + 4 * FILES as i16;
    pub const SIZE: u32 = INODES as u32 + 4 * FILES as u32;
}

/// What a program depends on.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    pub layout: &'a Layout,
    /// The descriptor of the map with the state.
    pub state: i32,
    /// The descriptor of the map for blocks, [`CHUNK`] per value.
    pub blocks: i32,
}

/// The instructions, one per word, for a little-endian machine.
pub fn assemble(parts: &Parts<'_>) -> Vec<u64> {
    let layout = parts.layout;
    let mut code = Code::new();

    code.load64(R7, R1, CONTEXT_TASK);
    code.jump_if(R7, Is::Equal(0), Label::Exit);
    code.load32(R1, R7, layout.task_pid);
    code.load32(R2, R7, layout.task_tgid);
    code.store32(STACK, TASK, R1);
    code.store32(STACK, PROCESS, R2);
    code.jump_if(R1, Is::Same(R2), Label::Task);
    code.load64(R8, R7, layout.task_files);
    code.jump_if(R8, Is::Equal(0), Label::Exit);
    code.load64(R1, R7, layout.task_leader);
    code.load64(R1, R1, layout.task_files);
    code.jump_if(R1, Is::Same(R8), Label::Exit);
    code.load64(R1, R7, layout.task_threads + PREVIOUS);
    code.add(R1, -i32::from(layout.task_threads));
    cast(&mut code, R1, layout.task, layout);
    code.load64(R1, R0, layout.task_files);
    code.jump_if(R1, Is::Same(R8), Label::Exit);

    code.label(Label::Task);
    code.map_value(R9, parts.state);
    code.load32(R1, R9, state::START);
    code.jump_if(R1, Is::Not(0), Label::Table);
    reserve(&mut code, parts.blocks, Label::Table);
    code.load32(R1, STACK, TASK);
    code.store32(R0, block::TASK, R1);
    code.store32_constant(R0, block::FIRST, block::NONE.cast_signed());
    code.load32(R1, STACK, PROCESS);
    code.store32(R0, block::PROCESS, R1);

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
    fill_block(&mut code, parts);
    code.jump(Label::Loop);

    code.label(Label::Done);
    code.stack_address(R1, ITERATOR);
    code.kernel_function(layout.num_destroy);
    code.label(Label::Exit);
    code.set(R0, 0);
    code.exit();
    code.finish()
}

/// Fills a block with the descriptors from R6 on, from the table at R8.
fn fill_block(code: &mut Code<Label>, parts: &Parts<'_>) {
    let layout = parts.layout;
    let all = || (0..i16::from(block::FILES)).map(|at| 8 * at);
    read_slots(code, FILES);
    code.set(R1, 0);
    for at in all() {
        code.load64(R2, STACK, FILES + at);
        code.or(R1, R2);
    }
    code.jump_if(R1, Is::Equal(0), Label::Loop);

    reserve(code, parts.blocks, Label::Loop);
    code.copy(R7, R0);
    code.load32(R1, STACK, TASK);
    code.store32(R7, block::TASK, R1);
    code.store32(R7, block::FIRST, R6);
    for at in all() {
        code.load64(R1, STACK, FILES + at);
        cast(code, R1, layout.file, layout);
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
    read_slots(code, AGAIN);
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

/// Casts an address to a read-only pointer to a structure with this BTF ID. The result is in R0.
fn cast(code: &mut Code<Label>, address: Register, structure: u32, layout: &Layout) {
    code.copy(R1, address);
    code.set(R2, structure.cast_signed());
    code.kernel_function(layout.rdonly_cast);
}

/// Copies the slots of the descriptors from R6 on, from the table at R8, into the stack frame.
fn read_slots(code: &mut Code<Label>, into: i16) {
    code.stack_address(R1, into);
    code.set(R2, 8 * i32::from(block::FILES));
    code.copy(R3, R6);
    code.shift_left(R3, 3);
    code.add_register(R3, R8);
    code.helper(PROBE_READ_KERNEL);
}

/// Reserves a block and puts its address into R0. R9 is the state.
fn reserve(code: &mut Code<Label>, blocks: i32, no_room: Label) {
    code.load32(R1, R9, state::BLOCKS);
    code.copy(R2, R1);
    code.shift_right(R2, CHUNK.ilog2().cast_signed());
    code.store32(STACK, KEY, R2);
    code.add(R1, 1);
    code.store32(R9, state::BLOCKS, R1);
    code.map(R1, blocks);
    code.stack_address(R2, KEY);
    code.helper(MAP_LOOKUP_ELEM);
    code.jump_if(R0, Is::Equal(0), no_room);
    code.load32(R1, R9, state::BLOCKS);
    code.add(R1, -1);
    code.and_constant(R1, (CHUNK - 1).cast_signed());
    code.multiply(R1, block::SIZE.cast_signed());
    code.add_register(R0, R1);
}

/// The offset of the task in the context (`struct bpf_iter__task`).
const CONTEXT_TASK: i16 = 8;
/// The offset of the previous entry in a `struct list_head`.
const PREVIOUS: i16 = 8;

// Offsets from the end of the stack frame. The last three have a word for each descriptor of a block.
const ITERATOR: i16 = -8;
const TASK: i16 = -12;
const KEY: i16 = -16;
const PROCESS: i16 = -20;
const FILES: i16 = -88;
const INODES: i16 = -152;
const AGAIN: i16 = -216;

/// Helpers, by their numbers in `include/uapi/linux/bpf.h`.
const MAP_LOOKUP_ELEM: i32 = 1;
const PROBE_READ_KERNEL: i32 = 113;

/// A jump target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    Task,
    Table,
    Start,
    Range,
    Loop,
    Done,
    Exit,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout {
        task_pid: 1264,
        task_tgid: 1268,
        task_files: 1824,
        task_leader: 1328,
        task_threads: 1600,
        files_fdt: 32,
        fdt_max: 0,
        fdt_fd: 8,
        file_inode: 32,
        file_operations: 16,
        inode_number: 64,
        task: 7,
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
            // Jumps, without calls and exits.
            if code(*instruction) & 7 == 5 && !matches!(code(*instruction), 0x85 | 0x95) {
                let distance = (instruction >> 16) as i16;
                let target = at as i64 + 1 + i64::from(distance);
                assert!(target >= 0 && target < program.len() as i64, "{at}");
                // The second half of a wide instruction has code 0.
                assert_ne!(code(program[target as usize]), 0, "{at}");
                jumps += 1;
            }
        }
        assert_eq!(jumps, 16);
    }

    #[test]
    fn tables_and_windows_end_where_blocks_do() {
        let files = u32::from(block::FILES);
        assert!(64 % files == 0 && WINDOW.is_multiple_of(files) && files.is_power_of_two());
        assert!(CHUNK.is_power_of_two() && block::SIZE.is_multiple_of(8));
    }
}
