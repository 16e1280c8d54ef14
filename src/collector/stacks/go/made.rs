//! A made-up Go program: its table of functions, its goroutines and their stacks, as bytes at addresses.

#![allow(clippy::indexing_slicing)]

use super::Program;
use super::layout::{ITSELF, Layout, SCHEDULED, STACK, Table};
use crate::collector::stacks::memory::Pieces;

const TEXT: u64 = 0x40_0000;
const TABLE: u64 = 0x50_0000;
const BUILD: u64 = 0x60_0000;
const DATA: u64 = 0x60_1000;
pub(super) const VARIABLES: u64 = 0x60_2000;
const FUNCTION_DATA: u64 = 0x60_3000;
const POLLED: u64 = 0x70_0000;
pub(super) const LIST: u64 = 0xc0_0001_0000;
pub(super) const GOROUTINES: u64 = 0xc0_0002_0000;
const STACKS: u64 = 0xc0_0010_0000;
/// The bytes of the code of a function, of a `g` and of a stack.
const CODE: u64 = 0x100;
pub(super) const G: u64 = 0x200;
const STACK_SIZE: u64 = 0x400;

/// The functions: name, size of the stack frame, and line.
const FUNCTIONS: &[(&str, u32, u32)] = &[
    ("runtime.gopark", 0x20, 402),
    ("runtime.netpollblock", 0x18, 573),
    ("internal/poll.runtime_pollWait", 0x28, 345),
    ("main.queryDB", 0x48, 18),
    ("example.com/shop.handle[go.shape.int]", 0x10, 26),
    ("runtime.goexit", 0, 1650),
    ("runtime.bgsweep", 0x30, 300),
];
/// A function that is inlined in `main.queryDB`; it is in line 19.
const INLINED: &str = "main.(*Rows).next";

/// Statuses of goroutines.
#[cfg(test)]
pub(super) const RUNNABLE: u32 = 1;
#[cfg(test)]
pub(super) const RUNNING: u32 = 2;
pub(super) const WAITING: u32 = 4;
#[cfg(test)]
pub(super) const DEAD: u32 = 6;

/// A goroutine to make: its status, its wait reason, and its functions, the innermost first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    pub(super) status: u32,
    pub(super) reason: u8,
    pub(super) functions: &'static [usize],
    /// The descriptor that it waits for.
    pub(super) descriptor: Option<u32>,
    pub(super) since: u64,
}

/// Waits to read from descriptor 7.
pub(super) const READS: Made = Made {
    status: WAITING,
    reason: 2,
    functions: &[0, 1, 2, 3, 4, 5],
    descriptor: Some(7),
    since: 0,
};
/// Waits to receive.
pub(super) const RECEIVES: Made = Made {
    status: WAITING,
    reason: 14,
    functions: &[0, 4, 5],
    descriptor: None,
    since: 0,
};
/// One of the runtime itself.
pub(super) const SWEEPS: Made = Made {
    functions: &[0, 6, 5],
    ..RECEIVES
};

/// Makes a program with goroutines, of the version `go1.MINOR.1`.
pub(super) fn program(minor: u32, goroutines: &[Made]) -> (Program, Pieces) {
    let version = format!("go1.{minor}.1");
    let Ok(layout) = Layout::of(&version) else {
        return Default::default();
    };
    let mut memory = Pieces::default();
    let (table, parts, data) = functions(&layout);
    memory.0.push((TABLE, table));
    memory.0.push((FUNCTION_DATA, data));
    memory.0.push((BUILD, build(&version)));

    let mut module = vec![0; 0x200];
    let count = FUNCTIONS.len() as u64;
    let text = (TEXT, TEXT + count * CODE);
    let variables = (VARIABLES, VARIABLES + 0x100);
    let mut put = |offset: u64, value| put(&mut module, 0x40 + offset, value);
    put(0, TABLE);
    put(8, TABLE + parts[0]);
    put(80, TABLE + parts[3]);
    put(128, TABLE + parts[4]);
    put(136, count + 1);
    put(176, text.0);
    put(184, text.1);
    put(224, variables.0);
    put(232, variables.1);
    put(layout.function_data, FUNCTION_DATA);
    memory.0.push((DATA, module));

    let length = goroutines.len() as u64;
    let mut variables = vec![0; 0x100];
    for (offset, value) in [
        (0x10, LIST),
        (0x40, LIST),
        (0x48, length),
        (0x50, length + 4),
    ] {
        self::put(&mut variables, offset, value);
    }
    memory.0.push((VARIABLES, variables));
    let list = (0..length).flat_map(|nth| (GOROUTINES + nth * G).to_le_bytes());
    memory.0.push((LIST, list.collect()));

    let mut all = Vec::new();
    for (nth, made) in (0..).zip(goroutines) {
        let polled = POLLED + nth * 0x40;
        let (start, end) = (STACKS + nth * STACK_SIZE, STACKS + (nth + 1) * STACK_SIZE);
        let (stack, sp, pc) = stack(made.functions, polled);
        let at = end - stack.len() as u64;
        memory.0.push((at, stack));
        let mut g = vec![0; G as usize];
        let mut field = |offset: usize, value| self::put(&mut g, offset as u64, value);
        field(STACK, start);
        field(STACK + 8, end);
        field(SCHEDULED, at + sp);
        field(SCHEDULED + 8, pc);
        field(ITSELF, GOROUTINES + nth * G);
        field(layout.status, made.status.into());
        field(layout.id, nth + 1);
        field(layout.wait, made.since);
        field(layout.wait + 8, made.reason.into());
        all.extend(g);
        if let Some(descriptor) = made.descriptor {
            let mut words = [0; 6];
            words[1] = descriptor.into();
            words[layout.poll_waiters] = GOROUTINES + nth * G;
            let bytes = words.map(u64::to_le_bytes).concat();
            memory.0.push((polled, bytes));
        }
    }
    memory.0.push((GOROUTINES, all));
    let program = Program {
        build: Some(BUILD),
        functions: Some(TABLE),
        data: std::iter::once(DATA..DATA + 0x200).collect(),
        all: None,
    };
    (program, memory)
}

/// A stack whose functions are each in the middle of their code. Returns where its pointer is in it, and
/// the address at which it goes on.
fn stack(functions: &[usize], polled: u64) -> (Vec<u8>, u64, u64) {
    let middle = |nth: usize| TEXT + nth as u64 * CODE + CODE / 2;
    let mut bytes = Vec::new();
    for pair in functions.windows(2) {
        let size = FUNCTIONS[pair[0]].1;
        let mut frame = vec![0; size as usize];
        if FUNCTIONS[pair[0]].0.starts_with("internal/poll") {
            put(&mut frame, 0x10, polled);
        }
        bytes.extend(frame);
        bytes.extend(middle(pair[1]).to_le_bytes());
    }
    let pc = functions.first().map_or(0, |first| middle(*first));
    bytes.extend([0; 0x20]);
    (bytes, 0, pc)
}

/// The table of functions, the offsets of its parts, and the data of the functions.
fn functions(layout: &Layout) -> (Vec<u8>, [u64; 5], Vec<u8>) {
    let mut names = vec![0];
    let mut name = |text: &str| {
        let offset = names.len() as u32;
        names.extend(text.bytes().chain([0]));
        offset
    };
    let mut values = vec![0];
    // Values, and for how many bytes of code each holds.
    let mut value = |pairs: &[(i32, u32)]| {
        let offset = values.len() as u32;
        let mut before = -1;
        for (value, length) in pairs {
            let difference = value - before;
            before = *value;
            for number in [((difference << 1) ^ (difference >> 31)) as u32, *length] {
                values.extend([number as u8 | 0x80, (number >> 7) as u8]);
            }
        }
        values.push(0);
        offset
    };
    let inlined = name(INLINED);
    let (pairs, mut described) = ((FUNCTIONS.len() + 1) * 8, Vec::new());
    let mut index = Vec::new();
    for (nth, (text, size, line)) in (0_u32..).zip(FUNCTIONS) {
        index.extend([nth * CODE as u32, (pairs + described.len()) as u32]);
        let is_outer = text.ends_with("queryDB");
        let all = |value| [(value, CODE as u32)];
        // Behind the inlined call is the place where it stands for.
        let two = |value, last| [(value, CODE as u32 - 8), (last, 8)];
        let mut words = vec![nth * CODE as u32, name(text), 0, 0];
        words.extend([value(&all(*size as i32)), value(&all(0))]);
        words.push(value(&two(
            *line as i32 + i32::from(is_outer),
            *line as i32,
        )));
        words.extend([3, 1]);
        words.extend((layout.table == Table::Go120).then_some(*line));
        // The last of four bytes is how many data follow.
        words.push(4 << 24);
        words.extend([0, 0, if is_outer { value(&two(0, -1)) } else { 0 }]);
        words.extend([
            u32::MAX,
            u32::MAX,
            u32::MAX,
            if is_outer { 8 } else { u32::MAX },
        ]);
        described.extend(words.into_iter().flat_map(u32::to_le_bytes));
    }
    index.extend([FUNCTIONS.len() as u32 * CODE as u32, 0]);
    let functions: Vec<u8> = index
        .into_iter()
        .flat_map(u32::to_le_bytes)
        .chain(described)
        .collect();
    // The second entry of the unit is the file.
    let units = [9, 0].map(u32::to_le_bytes).concat();
    let files = b"/src/shop/main.go\0".to_vec();

    let (size, name, place) = layout.table.inlined();
    let mut data = vec![0; 8 + size as usize];
    data[8 + name as usize..][..4].copy_from_slice(&inlined.to_le_bytes());
    data[8 + place as usize..][..4].copy_from_slice(&(CODE as u32 - 1).to_le_bytes());

    let mut table = layout.table.magic().to_le_bytes().to_vec();
    table.extend([0, 0, 1, 8]);
    table.resize(72, 0);
    put(&mut table, 8, FUNCTIONS.len() as u64);
    let mut parts = [0; 5];
    for (nth, part) in [names, units, files, values, functions]
        .into_iter()
        .enumerate()
    {
        parts[nth] = table.len() as u64;
        put(&mut table, 32 + nth as u64 * 8, parts[nth]);
        table.extend(part);
        table.resize(table.len().next_multiple_of(8), 0);
    }
    (table, parts, data)
}

/// The section `.go.buildinfo` of a program.
fn build(version: &str) -> Vec<u8> {
    let modules = "0123456789abcdefpath\tshop\nmod\texample.com/shop\tv1.4.0\t\nfedcba9876543210";
    let mut bytes = b"\xff Go buildinf:\x08\x02".to_vec();
    bytes.resize(32, 0);
    for text in [version, modules] {
        bytes.push(text.len() as u8);
        bytes.extend(text.as_bytes());
    }
    bytes
}

fn put(bytes: &mut [u8], offset: u64, value: u64) {
    bytes[offset as usize..][..8].copy_from_slice(&value.to_le_bytes());
}

/// Changes words of a program's memory, each given by the number of a piece, an offset in it and a value, and
/// reads its goroutines. Returns how many stacks there are, if they could be read.
pub fn edited(minor: u32, edits: &[(u8, u16, u64)]) -> Option<usize> {
    use crate::collector::stacks::budget::Limit;
    let goroutines = [READS, RECEIVES, SWEEPS, READS];
    let (program, mut memory) = program(minor, &goroutines);
    for (piece, offset, value) in edits {
        let nth = usize::from(*piece) % memory.0.len().max(1);
        let Some((_, bytes)) = memory.0.get_mut(nth) else {
            continue;
        };
        let words = bytes.len().saturating_sub(7).max(1);
        let offset = usize::from(*offset) % words;
        for (byte, value) in bytes.iter_mut().skip(offset).zip(value.to_le_bytes()) {
            *byte = value;
        }
    }
    let found = super::read(&memory, &program, Some(u64::MAX), Limit::none()).ok()?;
    assert!(found.stacks.len() <= goroutines.len());
    assert!(
        found
            .stacks
            .iter()
            .all(|stack| stack.frames.len() <= 64 * 32)
    );
    Some(found.stacks.len())
}
