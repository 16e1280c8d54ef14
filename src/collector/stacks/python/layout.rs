//! Where CPython keeps what is read: offsets into its structures, in bytes, on 64-bit systems.
//!
//! Up to 3.12 they are in a table, by minor version: within one, they have not changed. Its numbers are
//! those of the compiler for the headers in CPython's `Include/` and for `Modules/_asynciomodule.c`. Since
//! 3.13 the interpreter itself tells most of them: see `debug_offsets.rs`. A version that is not here is
//! not read.

use super::version::Version;

/// The structures of one minor version.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// The minor version.
    pub(super) minor: u8,
    /// In `_PyRuntimeState`: the first `PyInterpreterState`.
    pub(super) interpreters: u64,
    pub(super) interpreter: Interpreter,
    pub(super) thread: Thread,
    pub(super) frame: Frame,
    pub(super) code: Code,
    pub(super) text: Text,
    pub(super) keys: Keys,
    pub(super) attributes: Attributes,
    pub(super) coroutine: Coroutine,
    pub(super) tasks: Tasks,
}

/// `PyInterpreterState`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interpreter {
    pub(super) next: u64,
    /// The first `PyThreadState`.
    pub(super) threads: u64,
    /// The dictionary `sys.modules`.
    pub(super) modules: u64,
    /// The dictionary of the module `sys`.
    pub(super) system: u64,
}

/// `PyThreadState`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thread {
    pub(super) next: u64,
    pub(super) interpreter: u64,
    pub(super) frame: Innermost,
    /// The `pthread_t`.
    pub(super) handle: u64,
    /// The number of the thread, which is recorded since 3.11.
    pub(super) number: Option<u64>,
}

/// Where a thread keeps its innermost frame.
#[derive(Debug, Clone, Copy)]
pub(super) enum Innermost {
    Here(u64),
    /// In the structure at the first offset, at the second.
    Through(u64, u64),
}

/// `PyFrameObject` until 3.10, `_PyInterpreterFrame` since.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// The bytes that are read of it.
    pub(super) size: usize,
    pub(super) previous: u64,
    pub(super) code: u64,
    /// The instruction that runs.
    pub(super) place: u64,
    pub(super) kind: FrameKind,
    pub(super) locals: u64,
    pub(super) top: Top,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    /// An object of the type `frame`. Its place is a 32-bit index, each this many bytes.
    Object(i64),
    /// Its place is a pointer. The byte at `owner` says who has the memory: from `foreign` on it belongs to
    /// a call of the interpreter by C and has no code.
    Internal { owner: u64, foreign: u8 },
}

/// Where a frame that is suspended keeps the top of its stack.
#[derive(Debug, Clone, Copy)]
pub(super) enum Top {
    /// A pointer behind it.
    Pointer(u64),
    /// The bottom of the stack, and the number of values in it (32 bits).
    Depth(u64, u64),
    /// The index behind it, counted from the first local (32 bits).
    Index(u64),
}

/// `PyCodeObject`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Code {
    pub(super) first_line: u64,
    pub(super) file: u64,
    /// The qualified name where there is one, else the name.
    pub(super) name: u64,
    pub(super) table: u64,
    pub(super) format: LineFormat,
    pub(super) instructions: Instructions,
}

/// The format of the table of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineFormat {
    /// `co_lnotab` (`Objects/lnotab_notes.txt` until 3.9).
    Increments,
    /// `co_linetable` of 3.10 (PEP 626).
    Ranges,
    /// `co_linetable` since 3.11 (`InternalDocs/code_objects.md`).
    Locations,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Instructions {
    /// An object of the type `bytes`.
    Object(u64),
    /// In the code object itself, whose size counts them, two bytes each.
    Inline(u64),
}

/// `str`: where the characters of the two compact forms are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text {
    pub(super) ascii: u64,
    pub(super) compact: u64,
}

/// `PyDictKeysObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    /// Until 3.10 it tells the size of its index.
    Sized,
    /// Since then, the logarithms of that, and whether the hashes are left out.
    Logarithmic,
}

/// Where an object keeps its attributes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Attributes {
    /// In a dictionary, at the offset that its type tells.
    Dictionary,
    /// In a dictionary before the object, or in an array before that.
    Array { keys: u64 },
    /// In an array or a dictionary before the object; the last bit tells which.
    Tagged { keys: u64 },
    /// In a dictionary before the object, or in an array behind it.
    Behind { keys: u64 },
}

/// `PyCoroObject`, `PyGenObject` and `PyAsyncGenObject`, which begin alike.
#[derive(Debug, Clone, Copy)]
pub(super) struct Coroutine {
    pub(super) frame: CoroutineFrame,
    pub(super) awaiting: Awaiting,
    /// How far below the top of the stack the object is that it awaits.
    pub(super) depth: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum CoroutineFrame {
    /// A frame object.
    Pointer(u64),
    /// It is part of the coroutine, and so is its state (8 bits).
    Inline {
        frame: u64,
        state: u64,
        stages: Stages,
    },
}

/// How it is told whether a suspended coroutine awaits another. A generator may also yield a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Awaiting {
    /// Its next instruction is YIELD_FROM.
    YieldFrom,
    /// Its next instruction resumes after YIELD_FROM or await.
    Resume,
    /// By the state of its frame.
    State,
}

/// The values of the state of a frame (`_framestate` in `Include/internal/pycore_frame.h`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Stages {
    pub(super) created: i8,
    /// The first and the last with which it may await something.
    pub(super) awaiting: (i8, i8),
    pub(super) executing: i8,
}

/// Where the tasks of asyncio are found.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tasks {
    /// Nowhere that could be found: 3.6 has them in a variable of its C module.
    Hidden,
    /// In sets of the module `asyncio.tasks`; the offset is that of `TaskObj.task_coro`.
    Sets { coroutine: u64 },
    /// In lists of the threads and interpreters, whose offsets are in the section `.AsyncioDebug`.
    Lists,
}

const OBJECT_FRAME: Frame = Frame {
    size: 112,
    previous: 24,
    code: 32,
    place: 104,
    kind: FrameKind::Object(1),
    locals: 360,
    top: Top::Pointer(72),
};

/// Those of 3.11 and 3.12.
const STAGES: Stages = Stages {
    created: -2,
    awaiting: (-1, -1),
    executing: 0,
};

/// The layouts that are in no program itself, the newest first.
pub(super) const TABLE: [Layout; 6] = [
    LAYOUT_3_12,
    LAYOUT_3_11,
    LAYOUT_3_10,
    LAYOUT_3_9,
    LAYOUT_3_8,
    LAYOUT_3_7,
];

/// Whether the layout of a version is in the table.
pub(super) fn is_known(version: Version) -> bool {
    let is_it = |layout: &Layout| layout.minor == version.minor;
    version.is_final() && TABLE.iter().any(is_it)
}

/// The layout of 3.6, which has no `_PyRuntimeState`: `interpreters` counts from the variable
/// `interp_head` (`Python/pystate.c`).
pub(super) const LAYOUT_3_6: Layout = Layout {
    minor: 6,
    interpreters: 0,
    interpreter: Interpreter {
        next: 0,
        threads: 8,
        modules: 16,
        system: 32,
    },
    thread: Thread {
        handle: 152,
        ..LAYOUT_3_7.thread
    },
    frame: Frame {
        size: 128,
        place: 120,
        locals: 376,
        ..OBJECT_FRAME
    },
    tasks: Tasks::Hidden,
    ..LAYOUT_3_7
};

const LAYOUT_3_7: Layout = Layout {
    minor: 7,
    interpreters: 24,
    interpreter: Interpreter {
        next: 0,
        threads: 8,
        modules: 40,
        system: 56,
    },
    thread: Thread {
        next: 8,
        interpreter: 16,
        frame: Innermost::Here(24),
        handle: 176,
        number: None,
    },
    frame: OBJECT_FRAME,
    code: Code {
        first_line: 36,
        file: 96,
        name: 104,
        table: 112,
        format: LineFormat::Increments,
        instructions: Instructions::Object(40),
    },
    text: Text {
        ascii: 48,
        compact: 72,
    },
    keys: Keys::Sized,
    attributes: Attributes::Dictionary,
    coroutine: Coroutine {
        frame: CoroutineFrame::Pointer(16),
        awaiting: Awaiting::YieldFrom,
        depth: 1,
    },
    tasks: Tasks::Sets { coroutine: 112 },
};

const LAYOUT_3_8: Layout = Layout {
    minor: 8,
    interpreters: 32,
    interpreter: Interpreter {
        modules: 56,
        system: 72,
        ..LAYOUT_3_7.interpreter
    },
    code: Code {
        first_line: 40,
        file: 104,
        name: 112,
        table: 120,
        instructions: Instructions::Object(48),
        ..LAYOUT_3_7.code
    },
    attributes: Attributes::Dictionary,
    tasks: Tasks::Sets { coroutine: 112 },
    ..LAYOUT_3_7
};

const LAYOUT_3_9: Layout = Layout {
    minor: 9,
    interpreter: Interpreter {
        modules: 856,
        system: 872,
        ..LAYOUT_3_7.interpreter
    },
    attributes: Attributes::Dictionary,
    tasks: Tasks::Sets { coroutine: 152 },
    ..LAYOUT_3_8
};

const LAYOUT_3_10: Layout = Layout {
    minor: 10,
    frame: Frame {
        place: 96,
        kind: FrameKind::Object(2),
        locals: 352,
        top: Top::Depth(64, 80),
        ..OBJECT_FRAME
    },
    code: Code {
        format: LineFormat::Ranges,
        ..LAYOUT_3_8.code
    },
    attributes: Attributes::Dictionary,
    tasks: Tasks::Sets { coroutine: 160 },
    ..LAYOUT_3_9
};

const LAYOUT_3_11: Layout = Layout {
    minor: 11,
    interpreters: 40,
    interpreter: Interpreter {
        next: 0,
        threads: 16,
        modules: 888,
        system: 904,
    },
    thread: Thread {
        next: 8,
        interpreter: 16,
        frame: Innermost::Through(56, 8),
        handle: 152,
        number: Some(160),
    },
    frame: Frame {
        size: 72,
        previous: 48,
        code: 32,
        place: 56,
        kind: FrameKind::Internal {
            owner: 69,
            foreign: 3,
        },
        locals: 72,
        top: Top::Index(64),
    },
    code: Code {
        first_line: 72,
        file: 112,
        name: 128,
        table: 136,
        format: LineFormat::Locations,
        instructions: Instructions::Inline(184),
    },
    text: LAYOUT_3_7.text,
    keys: Keys::Logarithmic,
    attributes: Attributes::Array { keys: 872 },
    coroutine: Coroutine {
        frame: CoroutineFrame::Inline {
            frame: 80,
            state: 75,
            stages: STAGES,
        },
        awaiting: Awaiting::Resume,
        depth: 1,
    },
    tasks: Tasks::Sets { coroutine: 136 },
};

const LAYOUT_3_12: Layout = Layout {
    minor: 12,
    interpreter: Interpreter {
        next: 0,
        threads: 72,
        modules: 944,
        system: 352,
    },
    thread: Thread {
        frame: Innermost::Through(56, 0),
        handle: 136,
        number: Some(144),
        ..LAYOUT_3_11.thread
    },
    frame: Frame {
        previous: 8,
        code: 0,
        kind: FrameKind::Internal {
            owner: 70,
            foreign: 3,
        },
        ..LAYOUT_3_11.frame
    },
    code: Code {
        first_line: 68,
        instructions: Instructions::Inline(192),
        ..LAYOUT_3_11.code
    },
    text: Text {
        ascii: 40,
        compact: 56,
    },
    attributes: Attributes::Tagged { keys: 880 },
    coroutine: Coroutine {
        frame: CoroutineFrame::Inline {
            frame: 72,
            state: 67,
            stages: STAGES,
        },
        ..LAYOUT_3_11.coroutine
    },
    ..LAYOUT_3_11
};
