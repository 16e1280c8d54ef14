//! Threads of this very program, and made-up code.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::super::maps::Mappings;
use super::super::memory::{Pieces, ProcessMemory};
use super::machine::Machine;
use super::*;
use crate::model::Pid;

/// A thread of this program that waits in `read` until the other end is dropped.
fn waiting_thread() -> (UnixStream, std::thread::JoinHandle<usize>, Waiting) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let (send, thread) = std::sync::mpsc::channel();
    let reads = move || {
        send.send(rustix::thread::gettid().as_raw_pid()).unwrap();
        wait_for_the_other_end(&mut theirs)
    };
    let handle = std::thread::Builder::new().spawn(reads).unwrap();
    let thread = thread.recv().unwrap().cast_unsigned();
    let path = format!("/proc/self/task/{thread}/syscall");
    let text = loop {
        let text = std::fs::read_to_string(&path).unwrap();
        // read or recvfrom, whichever the standard library uses.
        let number = text.split(' ').next().unwrap();
        if ["0", "45", "63", "207"].contains(&number) {
            break text;
        }
        std::thread::yield_now();
    };
    let waiting = Waiting {
        thread: Pid(thread),
        name: None,
        call: Name::new(*b"read"),
        kind: WaitKind::Descriptor,
        target: None,
        arguments: [0; 3],
        text,
    };
    (ours, handle, waiting)
}

#[inline(never)]
fn wait_for_the_other_end(end: &mut UnixStream) -> usize {
    let read = end.read(&mut [0; 16]).unwrap_or(0);
    std::hint::black_box(read)
}

fn stacks_of(waiting: &[Waiting]) -> Found {
    let root = Path::new("/proc/self");
    let mappings = Mappings::read(root).unwrap();
    let memory = ProcessMemory::open(root, &mappings).unwrap();
    let process = Process {
        root,
        mappings: &mappings,
        memory: &memory,
        waiting,
        limit: Limit::none(),
    };
    stacks(&process).unwrap()
}

#[test]
fn a_thread_of_this_program_is_followed_to_its_first_function() {
    let (ours, handle, waiting) = waiting_thread();
    let found = stacks_of(std::slice::from_ref(&waiting));
    drop(ours);
    handle.join().unwrap();
    let [stack] = &found.stacks[..] else {
        panic!("{found:?}");
    };
    let functions: Vec<String> = stack
        .frames
        .iter()
        .map(|frame| {
            frame
                .function
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default()
        })
        .collect();
    let is_ours = |name: &String| name.ends_with("native::tests::wait_for_the_other_end");
    assert!(functions.iter().any(is_ours), "{functions:#?}");
    assert!(stack.complete, "{functions:#?}");
    assert!(stack.frames.iter().all(|frame| frame.offset.is_some()));
}

#[test]
fn a_thread_that_has_gone_on_is_counted_and_has_no_stack() {
    let (ours, handle, waiting) = waiting_thread();
    drop(ours);
    handle.join().unwrap();
    let found = stacks_of(&[waiting]);
    assert_eq!((found.stacks.len(), found.moved), (0, 1));
}

/// Made-up code lies here, and a stack there.
const CODE: u64 = 0x10000;
const STACK: u64 = 0x7000_0000;
/// Where the index of the unwind table is in the file, and where its entries are.
const INDEX: usize = 0x100;
const TABLE: usize = 0x200;
/// The functions of the file: this large, from here on.
const SIZE: usize = 0x100;
const FUNCTIONS: usize = 0x1000;

/// Instructions of unwind tables (DWARF 5, 6.4.2).
const CALLED_BY_NOTHING: &[u8] = &[0x07, 16];
const WITH_32_BYTES: &[u8] = &[0x0e, 32];
const WITH_FRAME_POINTER: &[u8] = &[0x44, 0x0e, 16, 0x86, 2, 0x0d, 6];

/// A file whose functions have these entries in its unwind table.
struct File {
    bytes: Vec<u8>,
}

impl File {
    fn of(augmentation: &[u8], entries: &[&[u8]]) -> File {
        let mut file = File {
            bytes: b"\x7fELF\x02\x01\x01".to_vec(),
        };
        file.bytes.resize(0x2000, 0x90);
        file.put(7, &[0; 0x200 - 7]);
        file.put(16, &[3, 0, 62, 0, 1]);
        file.put(32, &[64]);
        file.put(52, &[64, 0, 56, 0, 2, 0, 64]);
        for (at, kind, offset, size) in [(64, 1u32, 0, 0x2000u64), (120, 0x6474_e550, INDEX, 64)] {
            file.put(at, &kind.to_le_bytes());
            file.put(at + 4, &[5]);
            for field in [8, 16] {
                file.put(at + field, &(offset as u64).to_le_bytes());
            }
            file.put(at + 32, &size.to_le_bytes());
        }
        file.put(INDEX, &[1, 0x1b, 3, 0x3b]);
        file.put(INDEX + 8, &(entries.len() as u32).to_le_bytes());
        // What the entries share: CFA = rsp + 8, return address at CFA - 8.
        let factors = [1, 0x78, 16, 1, 0x1b, 0x0c, 7, 8, 0x90, 1];
        let shared = [&[0, 0, 0, 0, 1], augmentation, &[0], &factors[..]].concat();
        let mut at = file.entry(TABLE, &shared);
        for (nth, instructions) in entries.iter().enumerate() {
            let function = FUNCTIONS + nth * SIZE;
            let place = INDEX + 12 + nth * 8;
            file.put(place, &((function - INDEX) as u32).to_le_bytes());
            file.put(place + 4, &((at - INDEX) as u32).to_le_bytes());
            let mut entry = ((at + 4 - TABLE) as u32).to_le_bytes().to_vec();
            entry.extend(((function - at - 8) as u32).to_le_bytes());
            entry.extend((SIZE as u32).to_le_bytes());
            entry.push(0);
            entry.extend(*instructions);
            at = file.entry(at, &entry);
        }
        file
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Writes an entry with its length, and returns where the next one starts.
    fn entry(&mut self, at: usize, bytes: &[u8]) -> usize {
        let length = bytes.len().next_multiple_of(4);
        self.put(at, &(length as u32).to_le_bytes());
        self.put(at + 4, &vec![0; length]);
        self.put(at + 4, bytes);
        at + 4 + length
    }

    /// Writes a call at a place in a function, and returns where it returns to.
    fn call(&mut self, from: (usize, usize), to: usize) -> u64 {
        let next = FUNCTIONS + from.0 * SIZE + from.1 + 5;
        let target = FUNCTIONS + to * SIZE;
        self.put(next - 5, &[0xe8]);
        self.put(next - 4, &(target as i32 - next as i32).to_le_bytes());
        CODE + next as u64
    }

    /// A place in a function.
    fn at(function: usize, offset: u64) -> u64 {
        CODE + (FUNCTIONS + function * SIZE) as u64 + offset
    }

    /// The stack of a thread that is at a place, with the stack pointer at the first of these words.
    fn walk(&self, place: u64, stack: &[u64]) -> Trace {
        let text = "00010000-00012000 r-xp 00000000 fe:01 12 /app\n\
                    70000000-70001000 rw-p 00000000 00:00 0 \n";
        let mappings = Mappings::parse(text.as_bytes()).unwrap();
        let bytes = stack.iter().flat_map(|word| word.to_le_bytes()).collect();
        let memory = Pieces(vec![(CODE, self.bytes.clone()), (STACK, bytes)]);
        let nowhere = Path::new("/proc/0");
        let mut code = Code::new(nowhere, &mappings, &memory, Limit::none());
        code.machine = Machine::X86;
        walk(&mut code, &memory, (STACK, place))
    }
}

fn trace(places: &[u64], complete: bool) -> Trace {
    Trace {
        places: places.to_vec(),
        complete,
    }
}

#[test]
fn a_stack_is_followed_by_the_table_and_ends_where_nothing_called() {
    let file = File::of(b"zR", &[CALLED_BY_NOTHING, WITH_32_BYTES, WITH_32_BYTES]);
    let (first, inner, outer) = (File::at(0, 9), File::at(1, 8), File::at(2, 16));
    let stack = [0, 0, 0, outer, 0, 0, 0, first];
    let whole = trace(&[inner, outer - 1, first - 1], true);
    assert_eq!(file.walk(inner, &stack), whole);
    // A return address outside of the code, and a stack that ends.
    let broken = [0, 0, 0, outer, 0, 0, 0, STACK];
    let part = trace(&[inner, outer - 1], false);
    assert_eq!(file.walk(inner, &broken), part);
    assert_eq!(file.walk(inner, &stack[..5]), part);
    assert_eq!(file.walk(STACK, &stack), trace(&[], false));
    // No function is here.
    let behind = File::at(3, 8);
    assert_eq!(file.walk(behind, &stack), trace(&[behind], false));
}

#[test]
fn what_a_signal_interrupted_is_where_it_was_and_on_any_stack() {
    // CFA = *(rsp + 8), return address at rsp + 16.
    let signal: &[u8] = &[0x0f, 3, 0x77, 8, 0x06, 0x10, 16, 2, 0x77, 16];
    let file = File::of(b"zRS", &[CALLED_BY_NOTHING, signal]);
    let first = File::at(0, 9);
    let handler = File::at(1, 8);
    let whole = trace(&[handler, first], true);
    assert_eq!(file.walk(handler, &[0, STACK - 4096, first]), whole);
    let endless = trace(&[handler; 9], false);
    assert_eq!(file.walk(handler, &[0, STACK, handler]), endless);
}

#[test]
fn a_stack_that_leads_into_itself_ends() {
    // CFA = *rsp.
    let round: &[u8] = &[0x0f, 2, 0x77, 0, 0x10, 16, 2, 0x77, 8];
    let file = File::of(b"zR", &[round]);
    let place = File::at(0, 9);
    // Without the dereference, CFA = rsp: no progress.
    let found = file.walk(place, &[STACK, place, 0]);
    assert!(!found.complete);
    assert!(found.places.len() <= 2, "{found:x?}");
    let deep: Vec<u64> = (0..4000).map(|_| File::at(1, 9)).collect();
    let file = File::of(b"zR", &[round, &[]]);
    assert_eq!(file.walk(File::at(1, 9), &deep).places.len(), 128);
}

/// A function with a frame pointer, called by the first function of the thread.
fn with_frame_pointer(prologue: &[u8]) -> (File, u64, u64) {
    let mut file = File::of(b"zR", &[CALLED_BY_NOTHING, WITH_FRAME_POINTER]);
    file.put(FUNCTIONS + SIZE, prologue);
    let returns_to = file.call((0, 16), 1);
    (file, File::at(1, 64), returns_to)
}

/// push %rbp; mov %rsp,%rbp; push %rbx; sub $24,%rsp
const RESERVES_32: &[u8] = &[0x55, 0x48, 0x89, 0xe5, 0x53, 0x48, 0x83, 0xec, 24];

#[test]
fn an_unknown_frame_pointer_is_found_by_the_call_of_the_function() {
    let (file, place, returns_to) = with_frame_pointer(RESERVES_32);
    let whole = trace(&[place, returns_to - 1], true);
    let stack = [1, 2, 3, 4, STACK + 0x100, returns_to, 0, 0];
    assert_eq!(file.walk(place, &stack), whole);
    // What it reserved holds a remainder of an earlier call, which is not taken.
    let stack = [0, returns_to, 3, 4, STACK + 0x100, returns_to, 0, 0];
    assert_eq!(file.walk(place, &stack), whole);
    let stack = [0, returns_to, 3, 4, STACK + 0x100, 5, 0, 0];
    assert_eq!(file.walk(place, &stack), trace(&[place], false));
    // Its prologue is not understood: the only one counts, and of two none.
    let (file, place, returns_to) = with_frame_pointer(&[0x90]);
    let stack = [1, 2, 3, 4, STACK + 0x100, returns_to, 0, 0];
    assert_eq!(
        file.walk(place, &stack),
        trace(&[place, returns_to - 1], true)
    );
    let stack = [0, returns_to, 3, 4, STACK + 0x100, returns_to, 0, 0];
    assert_eq!(file.walk(place, &stack), trace(&[place], false));
}

#[test]
fn a_call_by_a_register_proves_a_frame_only_in_its_place_and_with_a_first_function() {
    let (mut file, place, _) = with_frame_pointer(RESERVES_32);
    // call *%rax
    file.put(FUNCTIONS + 32, &[0xff, 0xd0]);
    let returns_to = File::at(0, 34);
    let stack = [1, 2, 3, 4, STACK + 0x100, returns_to, 0, 0];
    assert_eq!(
        file.walk(place, &stack),
        trace(&[place, returns_to - 1], true)
    );
    let stack = [1, 2, STACK + 0x100, returns_to, 5, 6, 7];
    assert_eq!(file.walk(place, &stack), trace(&[place], false));
    // The caller is another function, and what called that is unknown.
    let (mut file, place, _) = with_frame_pointer(RESERVES_32);
    file.put(FUNCTIONS + SIZE + 32, &[0xff, 0xd0]);
    let stack = [1, 2, 3, 4, STACK + 0x100, File::at(1, 34), 0, 0];
    assert_eq!(file.walk(place, &stack), trace(&[place], false));
}

#[test]
fn where_no_table_tells_the_frame_pointer_is_followed_if_it_is_known() {
    let (mut file, place, _) = with_frame_pointer(RESERVES_32);
    // Behind the functions of the table is code without one, which called function 1.
    let jit = file.call((2, 16), 1);
    let first = file.call((0, 16), 2);
    let frame = |nth: u64| STACK + nth * 8;
    let stack = [1, 2, 3, 4, frame(8), jit, 0, 0, frame(20), first, 0];
    let whole = trace(&[place, jit - 1, first - 1], true);
    assert_eq!(file.walk(place, &stack), whole);
    for odd in [frame(0), frame(8) + 4, STACK + 0x1000, 0] {
        let stack = [1, 2, 3, 4, odd, jit, 0, 0, frame(20), first, 0];
        assert_eq!(
            file.walk(place, &stack),
            trace(&[place, jit - 1], false),
            "{odd:x}"
        );
    }
    // The kernel tells no frame pointer, so such code cannot be the innermost.
    assert_eq!(file.walk(jit, &stack), trace(&[jit], false));
}
