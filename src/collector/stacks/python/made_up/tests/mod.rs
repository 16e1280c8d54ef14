//! What is read of programs of every version, sound and damaged.

mod program;

use self::program::{CALL, Program};
use super::super::layout::{self, Layout};
use super::super::{debug_offsets, frames, image};
use super::memory::{Image, START};
use super::told;
use crate::collector::stacks::budget::Limit;
use crate::collector::stacks::memory::Pieces;
use crate::model::{Frame, Name};

const FILE: &str = "/srv/shop.py";

/// The layouts of all versions.
fn layouts() -> Vec<Layout> {
    let newer = (13..16).map(|minor| {
        let bytes = debug_offsets::published(minor);
        let memory = Pieces(vec![(START, bytes)]);
        debug_offsets::layout(&memory, START).unwrap().unwrap().0
    });
    let table = layout::TABLE.into_iter().chain([layout::LAYOUT_3_6]);
    table.chain(newer).collect()
}

/// A program in the making.
struct Shop {
    program: Program,
    query: u64,
    handle: u64,
    /// The innermost frames of its two threads.
    frames: Vec<u64>,
    threads: Vec<u64>,
    coroutine: u64,
    task: u64,
}

/// `query_db ← handle_checkout` in two threads, and a task that reads in a coroutine of another.
fn shop(layout: Layout) -> Shop {
    let mut program = Program::new(layout);
    let query = program.code("query_db", FILE, 10);
    let handle = program.code("handle_checkout", FILE, 20);
    let (mut frames, mut threads) = (Vec::new(), vec![0]);
    for number in [3, 4] {
        let outer = program.frame(handle, CALL, 0);
        frames.push(program.frame(query, CALL, outer));
        threads.push(program.thread(frames[frames.len() - 1], number, threads[threads.len() - 1]));
    }
    let future = program.object("FutureIter", 32);
    let read = program.code("read", FILE, 30);
    let main = program.code("main", FILE, 40);
    let inner = program.coroutine(read, future);
    let coroutine = program.coroutine(main, inner);
    let task = program.task(coroutine);
    program.register(&[task]);
    program.finish(layout.minor);
    Shop {
        program,
        query,
        handle,
        frames,
        threads,
        coroutine,
        task,
    }
}

fn words(program: &Program) -> Vec<String> {
    let word = |frame: &Frame| {
        assert_eq!(frame.file, Some(Name::from(FILE)));
        format!(
            "{}:{}",
            frame.function.clone().unwrap(),
            frame.line.unwrap()
        )
    };
    let stacks = told(&program.written).unwrap_or_default();
    let stacks = stacks.iter();
    stacks
        .map(|frames| frames.iter().map(word).collect::<Vec<_>>().join(" < "))
        .collect()
}

const THREAD: &str = "query_db:11 < handle_checkout:21";
const TASK: &str = "read:31 < main:41";

/// The stacks of these threads, and of the task in versions whose tasks are found.
fn with_task<'a>(layout: &Layout, threads: &[&'a str]) -> Vec<&'a str> {
    let task = (layout.minor > 6).then_some(TASK);
    threads.iter().copied().chain(task).collect()
}

#[test]
fn functions_and_lines_of_threads_and_tasks_are_read_in_every_version() {
    for layout in layouts() {
        let shop = shop(layout);
        let expected = with_task(&layout, &[THREAD, THREAD]);
        assert_eq!(words(&shop.program), expected, "3.{}", layout.minor);
    }
}

#[test]
fn a_frame_that_makes_no_sense_hides_its_thread_alone() {
    for layout in layouts() {
        let innermost = |change: &dyn Fn(&mut Shop)| {
            let mut shop = shop(layout);
            change(&mut shop);
            words(&shop.program)
        };
        let expected = with_task(&layout, &[THREAD]);
        let beyond = innermost(&|shop| {
            // Its last instruction is at 14.
            shop.program.fill_frame(shop.frames[1], shop.query, 16, 0);
        });
        assert_eq!(beyond, expected, "3.{}", layout.minor);
        let of_no_function = innermost(&|shop| {
            let text = shop.program.text("query_db");
            shop.program.fill_frame(shop.frames[1], text, CALL, 0);
        });
        assert_eq!(of_no_function, expected, "3.{}", layout.minor);
        let of_another_type = innermost(&|shop| {
            let class = shop.program.class("list");
            shop.program.word(shop.query + 8, class);
            shop.program.word(shop.handle + 8, class);
        });
        assert_eq!(
            of_another_type,
            with_task(&layout, &[]),
            "3.{}",
            layout.minor
        );
    }
}

#[test]
fn lists_that_have_no_end_are_cut() {
    for layout in layouts() {
        let mut shop = shop(layout);
        let [_, last, first] = shop.threads[..] else {
            panic!("{:?}", shop.threads);
        };
        // The last thread is before the first again, and frames call themselves.
        shop.program.word(last + layout.thread.next, first);
        for frame in shop.frames {
            shop.program.fill_frame(frame, shop.handle, CALL, frame);
        }
        shop.program
            .word(shop.program.interpreter, shop.program.interpreter);
        let words = words(&shop.program);
        let long = vec!["handle_checkout:21"; frames::FRAMES_MAX].join(" < ");
        let expected = with_task(&layout, &[&*long, &*long]);
        assert_eq!(words, expected, "3.{}", layout.minor);
    }
}

#[test]
fn a_task_that_awaits_itself_is_left_out() {
    for layout in layouts() {
        let mut shop = shop(layout);
        let awaits = shop.program.coroutine(shop.query, shop.coroutine);
        let task = shop.program.task(awaits);
        shop.program.awaits(shop.coroutine, awaits);
        shop.program.register(&[task, shop.task]);
        assert_eq!(words(&shop.program), [THREAD; 2], "3.{}", layout.minor);
    }
}

#[test]
fn a_version_that_it_does_not_say_itself_is_not_assumed() {
    for layout in layouts().into_iter().filter(|layout| layout.minor < 13) {
        let mut shop = shop(layout);
        assert!(told(&shop.program.written).is_some());
        shop.program.finish(layout.minor + 10);
        assert_eq!(told(&shop.program.written), None, "3.{}", layout.minor);
    }
}

#[test]
fn the_interpreter_of_3_6_is_found_among_its_variables() {
    let shop = shop(layout::LAYOUT_3_6);
    let mut memory = Image::of(&shop.program.written[1..]);
    let found = |memory: &Image| image::searched(memory, START, 0x100, Limit::none());
    assert_eq!(found(&memory), Some(START));
    // Another variable points to something else.
    let frame = shop.frames[0].to_le_bytes();
    memory.write(0, &frame).unwrap();
    assert_eq!(found(&memory), None);
    let interpreter = shop.program.interpreter.to_le_bytes();
    memory.write(0x40, &interpreter).unwrap();
    assert_eq!(found(&memory), Some(START + 0x40));
}
