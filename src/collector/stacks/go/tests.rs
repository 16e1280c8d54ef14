//! Made-up programs: what is read of them, and what is not when something in them does not fit.

use super::build::Build;
use super::made::{self, DEAD, Made, READS, RECEIVES, RUNNABLE, RUNNING, SWEEPS};
use super::*;
use crate::collector::stacks::memory::Pieces;

const SECOND: u64 = 1_000_000_000;

fn read_made(minor: u32, goroutines: &[Made]) -> Result<Found, Words> {
    let (program, memory) = made::program(minor, goroutines);
    read(&memory, &program, Some(100 * SECOND), Limit::none())
}

fn names(stack: &Stack) -> Vec<String> {
    let name = |frame: &Frame| frame.function.as_ref().unwrap().lossy().into_owned();
    stack.frames.iter().map(name).collect()
}

#[test]
fn a_goroutine_is_found_with_its_functions_and_its_descriptor_in_every_version() {
    for minor in 18..=27 {
        let since = 40 * SECOND;
        let found = read_made(minor, &[Made { since, ..READS }]).unwrap();
        let [stack] = &found.stacks[..] else {
            panic!("1.{minor}: {found:?}");
        };
        assert_eq!(
            names(stack),
            [
                "runtime.gopark",
                "runtime.netpollblock",
                "internal/poll.runtime_pollWait",
                "main.(*Rows).next",
                "main.queryDB",
                "example.com/shop.handle[...]",
            ],
            "1.{minor}"
        );
        assert!(stack.complete && matches!(stack.waits_on, WaitsOn::Descriptor(7)));
        assert_eq!(stack.state, Some("IO wait".into()));
        assert_eq!((stack.id, stack.waited_ms), (1, Some(60_000)));
        let lines: Vec<_> = stack
            .frames
            .iter()
            .map(|frame| frame.line.unwrap())
            .collect();
        assert_eq!(lines, [402, 573, 345, 19, 18, 26], "1.{minor}");
        let last = stack.frames.last().unwrap();
        assert_eq!(last.file, Some("/src/shop/main.go".into()));
        assert_eq!(last.module, Some("example.com/shop".into()));
        let version = format!("go1.{minor}.1, example.com/shop v1.4.0");
        assert_eq!(found.version, Some(version.into()));
    }
}

#[test]
fn those_that_run_are_counted_and_those_of_the_runtime_and_the_ended_are_left_out() {
    let of = |status| Made { status, ..RECEIVES };
    let made = [
        RECEIVES,
        of(RUNNING),
        SWEEPS,
        of(DEAD),
        of(RUNNABLE),
        RECEIVES,
    ];
    let found = read_made(22, &made).unwrap();
    let ids: Vec<u64> = found.stacks.iter().map(|stack| stack.id).collect();
    assert_eq!((ids, found.moved, found.left_out), (vec![1, 5, 6], 1, 0));
    let states: Vec<_> = found
        .stacks
        .iter()
        .map(|stack| stack.state.clone().unwrap())
        .collect();
    assert_eq!(
        states,
        ["chan receive", "runnable", "chan receive"].map(Name::from)
    );
    // Equal stacks are decoded once.
    let [first, _, last] = &found.stacks[..] else {
        panic!("{found:?}");
    };
    assert!(Arc::ptr_eq(&first.frames, &last.frames));
}

#[test]
fn a_descriptor_is_of_the_goroutine_that_waits_for_it_or_unknown() {
    let (program, mut memory) = made::program(22, &[READS, READS]);
    // The second polls what the first waits for.
    let polled = memory
        .0
        .iter()
        .position(|(at, _)| *at == 0x70_0040)
        .unwrap();
    let first = memory
        .0
        .iter()
        .find(|(at, _)| *at == 0x70_0000)
        .unwrap()
        .1
        .clone();
    memory.0[polled].1 = first;
    let found = read(&memory, &program, None, Limit::none()).unwrap();
    let [first, second] = &found.stacks[..] else {
        panic!("{found:?}");
    };
    assert!(matches!(first.waits_on, WaitsOn::Descriptor(7)));
    assert!(matches!(second.waits_on, WaitsOn::Unknown));
    assert_eq!((first.waited_ms, names(first)), (None, names(second)));
}

/// Memory in which goroutines change whenever they are read.
struct Moving(Pieces, std::cell::Cell<u8>);

impl Memory for Moving {
    fn read(&self, address: u64, into: &mut [u8]) -> usize {
        let read = self.0.read(address, into);
        // How often the first one has run.
        let sequence = Layout::of("go1.22.1").unwrap().sequence;
        if address == made::GOROUTINES && read > sequence {
            self.1.set(self.1.get() + 1);
            into[sequence] = self.1.get();
        }
        read
    }
}

#[test]
fn a_goroutine_that_ran_meanwhile_is_counted_and_not_shown() {
    let (program, memory) = made::program(22, &[RECEIVES, RECEIVES]);
    let memory = Moving(memory, Default::default());
    let found = read(&memory, &program, None, Limit::none()).unwrap();
    assert_eq!((found.stacks.len(), found.moved), (1, 1));
    assert_eq!(found.stacks[0].id, 2);
}

#[test]
fn goroutines_of_another_layout_are_an_error() {
    // Between 1.22 and 1.23 the status moved.
    let (mut program, mut memory) = made::program(22, &[RECEIVES; 4]);
    let (other, build) = made::program(23, &[RECEIVES; 4]);
    program.build = Some(other.build.unwrap() + 0x100_0000);
    let build = build
        .0
        .into_iter()
        .find(|(at, _)| Some(*at) == other.build)
        .unwrap();
    memory.0.push((build.0 + 0x100_0000, build.1));
    let error = read(&memory, &program, None, Limit::none()).unwrap_err();
    assert!(
        error.raw().starts_with("its goroutines were not "),
        "{error}"
    );
}

#[test]
fn what_is_missing_is_said() {
    let (program, memory) = made::program(22, &[RECEIVES]);
    let all = |program: &Program| read(&memory, program, None, Limit::none());
    assert!(all(&program).is_ok());
    for (without, word) in [
        (
            Program {
                build: None,
                ..program.clone()
            },
            "which Go built it",
        ),
        (
            Program {
                functions: None,
                ..program.clone()
            },
            "no table of functions",
        ),
        (
            Program {
                data: vec![],
                ..program.clone()
            },
            "its runtime",
        ),
    ] {
        let error = all(&without).unwrap_err();
        assert!(error.raw().contains(word), "{error}");
    }
    let (program, memory) = made::program(22, &[]);
    let error = read(&memory, &program, None, Limit::none()).unwrap_err();
    assert!(error.raw().contains("not found"), "{error}");
}

#[test]
fn two_lists_that_could_be_all_goroutines_are_none() {
    let (program, mut memory) = made::program(22, &[RECEIVES, RECEIVES]);
    let variables = memory
        .0
        .iter()
        .position(|(at, _)| *at == made::VARIABLES)
        .unwrap();
    let copy = made::LIST + 8;
    let bytes = &mut memory.0[variables].1;
    for (offset, value) in [(0x80, copy), (0x90, copy), (0x98, 1), (0xa0, 1)] {
        bytes[offset..][..8].copy_from_slice(&u64::to_le_bytes(value));
    }
    let error = read(&memory, &program, None, Limit::none()).unwrap_err();
    assert!(error.raw().contains("several lists"), "{error}");
    // The name of the list decides.
    let program = Program {
        all: Some(made::VARIABLES + 0x40),
        ..program
    };
    assert_eq!(
        read(&memory, &program, None, Limit::none())
            .unwrap()
            .stacks
            .len(),
        2
    );
}

#[test]
fn what_is_not_read_in_time_is_counted_or_said() {
    let (program, memory) = made::program(22, &[RECEIVES; 300]);
    let error = read(&memory, &program, None, Limit::reached()).unwrap_err();
    assert!(error.raw().contains("in time"), "{error}");

    let mut reader = reader(&memory, &program);
    let addresses: Vec<u64> = (0..300)
        .map(|nth| made::GOROUTINES + nth * made::G)
        .collect();
    reader.read_all(&addresses, Limit::reached());
    assert_eq!((reader.found.stacks.len(), reader.found.left_out), (0, 300));
    reader.read_all(&addresses, Limit::none());
    assert_eq!(
        (reader.found.stacks.len(), reader.found.left_out),
        (300, 300)
    );
}

fn reader<'m>(memory: &'m Pieces, program: &Program) -> Reader<'m, Pieces> {
    let layout = Layout::of("go1.22.1").unwrap();
    let header = Header::read(memory, program.functions.unwrap(), layout.table).unwrap();
    let module = module::find(memory, &program.data, &header, &layout, Limit::none()).unwrap();
    let functions = Functions::new(memory, header, module, Build::default(), layout.table);
    Reader::new(memory, layout, functions, None)
}

#[test]
fn memory_that_does_not_fit_is_an_error_or_fewer_stacks_and_never_a_panic() {
    let mut state = 1_u64;
    let mut random = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        state >> 20
    };
    let (mut whole, mut less, mut none) = (0, 0, 0);
    for nth in 0..2_000 {
        let count = 1 + nth % 3;
        let edits: Vec<(u8, u16, u64)> = (0..count)
            .map(|_| {
                // Small numbers, addresses of the program, and anything.
                let value = match random() % 4 {
                    0 => random() % 16,
                    1 => 0x50_0000 + random() % 0x1000,
                    2 => 0xc0_0002_0000 + random() % 0x1000,
                    _ => random() << 20 | random(),
                };
                ((random() % 256) as u8, (random() % 65536) as u16, value)
            })
            .collect();
        match made::edited(18 + (nth as u32) % 10, &edits) {
            Some(3) => whole += 1,
            Some(_) => less += 1,
            None => none += 1,
        }
    }
    assert!(whole > 0 && less > 0 && none > 0, "{whole} {less} {none}");
}
