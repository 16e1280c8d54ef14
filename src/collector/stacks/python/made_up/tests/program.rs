//! A made-up Python program: the structures of an interpreter, laid into empty memory.

use std::collections::BTreeMap;

use super::super::memory::{ASYNCIO, SIZE, START};
use crate::collector::stacks::python::debug_offsets;
use crate::collector::stacks::python::layout::{
    Attributes, CoroutineFrame, FrameKind, Innermost, Instructions, Keys, Layout, LineFormat,
    Tasks, Top,
};

/// Where objects begin, behind the state of the interpreter.
const OBJECTS: u64 = START + 0x1000;

/// Writes a program into memory.
pub(super) struct Program {
    pub(super) layout: Layout,
    /// What is in its memory, as [`super::told`] reads it.
    pub(super) written: Vec<u8>,
    next: u64,
    types: BTreeMap<&'static str, u64>,
    pub(super) interpreter: u64,
    modules: Vec<(&'static str, u64)>,
    /// The frame objects of coroutines.
    frame_of: BTreeMap<u64, u64>,
}

/// Where a task of a program since 3.14 has its coroutine and its place in a list.
const COROUTINE: u64 = 136;
const NODE: u64 = 160;

/// An instruction of a function that waits: where it is, in bytes.
pub(super) const CALL: u64 = 6;

impl Program {
    pub(super) fn new(layout: Layout) -> Program {
        let mut program = Program {
            layout,
            written: vec![layout.minor],
            next: OBJECTS,
            types: BTreeMap::new(),
            interpreter: 0,
            modules: Vec::new(),
            frame_of: BTreeMap::new(),
        };
        if layout.minor >= 13 {
            program.write(START, &debug_offsets::published(layout.minor));
        }
        program.interpreter = program.space(1024 + layout.interpreter.system as usize);
        program.word(START + layout.interpreters, program.interpreter);
        program
    }

    pub(super) fn space(&mut self, size: usize) -> u64 {
        let address = self.next;
        self.next += (size as u64).next_multiple_of(16);
        assert!(self.next <= START + SIZE as u64);
        address
    }

    pub(super) fn write(&mut self, address: u64, bytes: &[u8]) {
        for (part, address) in bytes.chunks(255).zip((address..).step_by(255)) {
            let offset = u16::try_from(address - START).unwrap();
            self.written.extend(offset.to_le_bytes());
            self.written.push(part.len() as u8);
            self.written.extend(part);
        }
    }

    pub(super) fn word(&mut self, address: u64, value: u64) {
        self.write(address, &value.to_le_bytes());
    }

    fn half(&mut self, address: u64, value: u32) {
        self.write(address, &value.to_le_bytes());
    }

    pub(super) fn class(&mut self, name: &'static str) -> u64 {
        if let Some(class) = self.types.get(name) {
            return *class;
        }
        // From `tp_name` to the table of keys of its instances.
        let class = self.space(896);
        let text = self.space(name.len() + 1);
        self.write(text, name.as_bytes());
        self.word(class + 24, text);
        self.types.insert(name, class);
        class
    }

    pub(super) fn object(&mut self, class: &'static str, size: usize) -> u64 {
        let class = self.class(class);
        let object = self.space(size);
        self.word(object + 8, class);
        object
    }

    pub(super) fn text(&mut self, text: &str) -> u64 {
        let start = self.layout.text.ascii;
        let object = self.object("str", start as usize + text.len() + 1);
        self.word(object + 16, text.len() as u64);
        // Compact, ASCII, one byte each.
        self.word(object + 32, 1 << 2 | 1 << 5 | 1 << 6);
        self.write(object + start, text.as_bytes());
        object
    }

    fn bytes(&mut self, bytes: &[u8]) -> u64 {
        let object = self.object("bytes", 33 + bytes.len());
        self.word(object + 16, bytes.len() as u64);
        self.write(object + 32, bytes);
        object
    }

    fn number(&mut self, number: u32) -> u64 {
        let object = self.object("int", 32);
        let shift = if self.layout.minor < 12 { 0 } else { 3 };
        self.word(object + 16, 1 << shift);
        self.half(object + 24, number);
        object
    }

    /// A table of keys, with values or without.
    fn keys(&mut self, entries: &[(&'static str, u64)], has_values: bool) -> u64 {
        let count = entries.len() as u64;
        let slots = (count + 1).next_power_of_two().max(8);
        let keys = self.space(48 + slots as usize + entries.len() * 24);
        let (start, has_hashes) = match self.layout.keys {
            Keys::Sized => {
                self.word(keys + 8, slots);
                self.word(keys + 32, count);
                (40, true)
            }
            Keys::Logarithmic => {
                self.write(keys + 8, &[slots.ilog2() as u8, slots.ilog2() as u8, 1]);
                self.word(keys + 24, count);
                (32, false)
            }
        };
        let mut entry = keys + start + slots;
        for (name, value) in entries {
            let name = self.text(name);
            let at = if has_hashes { entry + 8 } else { entry };
            self.word(at, name);
            if has_values {
                self.word(at + 8, *value);
            }
            entry = at + 16;
        }
        keys
    }

    pub(super) fn dictionary(&mut self, entries: &[(&'static str, u64)]) -> u64 {
        let keys = self.keys(entries, true);
        let dictionary = self.object("dict", 48);
        self.word(dictionary + 32, keys);
        dictionary
    }

    pub(super) fn module(&mut self, name: &'static str, entries: &[(&'static str, u64)]) {
        let dictionary = self.dictionary(entries);
        let module = self.object("module", 56);
        self.word(module + 16, dictionary);
        self.modules.push((name, module));
    }

    /// An instance with attributes, where its version keeps them.
    pub(super) fn instance(
        &mut self,
        class: &'static str,
        attributes: &[(&'static str, u64)],
    ) -> u64 {
        let address = self.class(class);
        // What lies before it.
        self.space(32);
        let object = self.object(class, 32);
        let class = address;
        let values: Vec<u64> = attributes.iter().map(|(_, value)| *value).collect();
        let array = |program: &mut Program, header: u64| {
            let array = program.space(header as usize + values.len() * 8);
            for (value, index) in values.iter().zip(0..) {
                program.word(array + header + index * 8, *value);
            }
            array
        };
        match self.layout.attributes {
            Attributes::Dictionary => {
                let dictionary = self.dictionary(attributes);
                self.word(class + 288, 16);
                self.word(object + 16, dictionary);
            }
            Attributes::Array { keys } => {
                let (table, values) = (self.keys(attributes, false), array(self, 0));
                self.word(class + 168, 1 << 4);
                self.word(class + keys, table);
                self.word(object - 32, values);
            }
            Attributes::Tagged { keys } => {
                let (table, values) = (self.keys(attributes, false), array(self, 0));
                self.word(class + 168, 1 << 4);
                self.word(class + keys, table);
                self.word(object - 24, values - 1);
            }
            Attributes::Behind { keys } => {
                let table = self.keys(attributes, false);
                self.word(class + 168, 1 << 4 | 1 << 2);
                self.word(class + keys, table);
                let values = array(self, 8);
                self.word(class + 32, values - object);
                self.write(values + 3, &[1]);
            }
        }
        object
    }

    pub(super) fn set(&mut self, elements: &[u64]) -> u64 {
        let slots = (elements.len() as u64 + 1).next_power_of_two().max(8);
        let table = self.space(slots as usize * 16);
        for (element, index) in elements.iter().zip(0..) {
            self.word(table + index * 16, *element);
        }
        let set = self.object("set", 200);
        self.word(set + 32, slots - 1);
        self.word(set + 40, table);
        set
    }

    /// A function whose instruction at [`CALL`] is on the line after its first one.
    pub(super) fn code(&mut self, function: &str, file: &str, first_line: u32) -> u64 {
        let layout = self.layout.code;
        let table: &[u8] = match layout.format {
            LineFormat::Increments => &[4, 1, 4, 1],
            LineFormat::Ranges => &[4, 0, 4, 1, 8, 1],
            // Two instructions each, without columns.
            LineFormat::Locations => &[0xe9, 0, 0xe9, 2, 0xeb, 2],
        };
        let (function, file, table) = (self.text(function), self.text(file), self.bytes(table));
        let code = self.object("code", 256);
        self.word(code + layout.name, function);
        self.word(code + layout.file, file);
        self.word(code + layout.table, table);
        self.half(code + layout.first_line, first_line);
        match layout.instructions {
            Instructions::Object(offset) => {
                // YIELD_FROM behind the call.
                let mut instructions = [0; 16];
                instructions[CALL as usize + 2] = 72;
                let instructions = self.bytes(&instructions);
                self.word(code + offset, instructions);
            }
            Instructions::Inline(offset) => {
                self.word(code + 16, 8);
                // RESUME behind the call, after an await.
                self.write(code + offset + CALL + 2, &[151, 3]);
            }
        }
        code
    }

    /// A frame of a function at an offset of its instructions, called by another frame.
    pub(super) fn frame(&mut self, code: u64, offset: u64, previous: u64) -> u64 {
        let size = 512;
        let frame = match self.layout.frame.kind {
            FrameKind::Object(_) => self.object("frame", size),
            FrameKind::Internal { .. } => self.space(size),
        };
        self.fill_frame(frame, code, offset, previous);
        frame
    }

    /// Writes a frame.
    pub(super) fn fill_frame(&mut self, frame: u64, code: u64, offset: u64, previous: u64) {
        let layout = self.layout.frame;
        self.word(frame + layout.previous, previous);
        self.word(frame + layout.code, code);
        match (layout.kind, self.layout.code.instructions) {
            (FrameKind::Object(unit), _) => {
                self.half(frame + layout.place, (offset / unit as u64) as u32);
            }
            (_, Instructions::Inline(start)) => {
                self.word(frame + layout.place, code + start + offset);
            }
            _ => panic!("no such layout"),
        }
    }

    /// A thread in this frame.
    pub(super) fn thread(&mut self, frame: u64, number: u32, next: u64) -> u64 {
        let layout = self.layout.thread;
        let thread = self.space(320);
        self.word(thread + layout.interpreter, self.interpreter);
        self.word(thread + layout.next, next);
        match layout.frame {
            Innermost::Here(offset) => self.word(thread + offset, frame),
            Innermost::Through(pointer, offset) => {
                let between = self.space(24);
                self.word(thread + pointer, between);
                self.word(between + offset, frame);
            }
        }
        let handle = self.space(1024);
        self.half(handle + 720, number);
        self.word(thread + layout.handle, handle);
        if let Some(offset) = layout.number {
            self.word(thread + offset, number.into());
        }
        self.word(self.interpreter + self.layout.interpreter.threads, thread);
        thread
    }

    /// A coroutine that is suspended, and awaits an object.
    pub(super) fn coroutine(&mut self, code: u64, awaits: u64) -> u64 {
        let layout = self.layout.coroutine;
        let coroutine = self.object("coroutine", 512);
        let frame = match layout.frame {
            CoroutineFrame::Pointer(offset) => {
                let frame = self.frame(code, CALL, 0);
                self.word(coroutine + offset, frame);
                self.frame_of.insert(coroutine, frame);
                frame
            }
            CoroutineFrame::Inline {
                frame,
                state,
                stages,
            } => {
                self.write(coroutine + state, &[stages.awaiting.0.cast_unsigned()]);
                self.fill_frame(coroutine + frame, code, CALL, 0);
                coroutine + frame
            }
        };
        self.await_in(frame, awaits);
        coroutine
    }

    /// Lets a coroutine await another object.
    pub(super) fn awaits(&mut self, coroutine: u64, awaits: u64) {
        let frame = match self.layout.coroutine.frame {
            CoroutineFrame::Pointer(_) => *self.frame_of.get(&coroutine).unwrap(),
            CoroutineFrame::Inline { frame, .. } => coroutine + frame,
        };
        self.await_in(frame, awaits);
    }

    fn await_in(&mut self, frame: u64, awaits: u64) {
        let depth = self.layout.coroutine.depth;
        let locals = frame + self.layout.frame.locals;
        // One local, then the stack.
        let top = locals + 8 + depth * 8;
        self.word(locals + 8, awaits);
        match self.layout.frame.top {
            Top::Pointer(offset) => self.word(frame + offset, top),
            Top::Depth(bottom, values) => {
                self.word(frame + bottom, locals + 8);
                self.half(frame + values, depth as u32);
            }
            Top::Index(offset) => self.half(frame + offset, 1 + depth as u32),
        }
    }

    /// A task of asyncio.
    pub(super) fn task(&mut self, coroutine: u64) -> u64 {
        let task = self.object("_asyncio.Task", 192);
        let offset = match self.layout.tasks {
            Tasks::Sets { coroutine } => coroutine,
            Tasks::Lists | Tasks::Hidden => COROUTINE,
        };
        self.word(task + offset, coroutine);
        task
    }

    /// Writes what the program says of all its tasks.
    pub(super) fn register(&mut self, tasks: &[u64]) {
        if matches!(self.layout.tasks, Tasks::Lists) {
            // Sizes and fields of a task, an interpreter, and a thread.
            let numbers = [
                192, 0, 0, 0, 0, COROUTINE, NODE, 0x400, 0x200, 0x140, 0, 0, 0x120,
            ];
            let numbers: Vec<u8> = numbers.into_iter().flat_map(u64::to_le_bytes).collect();
            self.write(START + ASYNCIO, &numbers);
            let mut last = self.interpreter + 0x200;
            for task in tasks {
                self.word(last, task + NODE);
                last = task + NODE;
            }
            self.word(last, self.interpreter + 0x200);
            return;
        }
        let mut references = Vec::new();
        for task in tasks {
            let reference = self.object("weakref", 64);
            self.word(reference + 16, *task);
            references.push(reference);
        }
        let set = self.set(&references);
        let weak = self.instance("WeakSet", &[("_pending_removals", 0), ("data", set)]);
        let sets = [("wait", weak), ("_all_tasks", weak)];
        self.module("asyncio.tasks", &sets);
    }

    /// Writes what the program says of itself.
    pub(super) fn finish(&mut self, minor: u8) {
        let version = 3 << 24 | u32::from(minor) << 16 | 0x02f0;
        let version = self.number(version);
        let version = [("maxsize", version), ("hexversion", version)];
        let system = self.dictionary(&version);
        self.word(self.interpreter + self.layout.interpreter.system, system);
        let modules = self.modules.clone();
        let modules = self.dictionary(&modules);
        self.word(self.interpreter + self.layout.interpreter.modules, modules);
    }
}
