//! The offsets that CPython publishes of itself since 3.13, at the beginning of `_PyRuntime`
//! (`_Py_DebugOffsets` in `Include/internal/pycore_debug_offsets.h`). Each minor version has a list of its
//! own.

use super::layout::{
    Attributes, Awaiting, Code, Coroutine, CoroutineFrame, Frame, FrameKind, Innermost,
    Instructions, Interpreter, Keys, Layout, LineFormat, Stages, Tasks, Text, Thread, Top,
};
use super::version::Version;
use crate::collector::stacks::memory::Memory;
use crate::model::Words;

const COOKIE: &[u8; 8] = b"xdebugpy";
/// The longest list that is known, in bytes.
const SIZE: usize = 104 * 8;
/// The largest structure: `PyInterpreterState` takes 0.4 MB.
const STRUCTURE_MAX: u64 = 4 << 20;
/// The largest frame without its locals.
const FRAME_MAX: u64 = 256;

/// Where each number is in the list, counted in numbers.
#[derive(Debug, Clone, Copy)]
struct Positions {
    runtime: Part,
    interpreter: Part,
    modules: usize,
    system: usize,
    thread: Part,
    thread_handle: usize,
    frame: Part,
    stack: Option<usize>,
    code: Part,
    instructions: usize,
    /// `ob_type`, `tp_name`, `tp_flags`, `ma_keys`, `ma_values`, `lv_tag`, `ob_digit`, `ob_size` and
    /// `ob_sval` of bytes, `state` and `length` of texts.
    objects: [usize; 11],
    ascii: usize,
    coroutine: Option<usize>,
}

/// The position of the size of a structure. The offsets of its fields follow.
type Part = usize;

/// What the positions of `objects` must say. The reader relies on it.
const OBJECTS: [u64; 11] = [8, 24, 168, 32, 40, 16, 24, 16, 32, 32, 16];

const POSITIONS_3_13: Positions = Positions {
    runtime: 3,
    interpreter: 6,
    modules: 11,
    system: 12,
    thread: 19,
    thread_handle: 24,
    frame: 28,
    stack: None,
    code: 34,
    instructions: 43,
    objects: [45, 47, 49, 57, 58, 62, 63, 65, 66, 68, 69],
    ascii: 70,
    coroutine: None,
};

const POSITIONS_3_14: Positions = Positions {
    modules: 12,
    system: 13,
    thread: 22,
    thread_handle: 27,
    frame: 31,
    stack: Some(37),
    code: 39,
    instructions: 48,
    objects: [51, 53, 55, 67, 68, 72, 73, 75, 76, 78, 79],
    ascii: 80,
    coroutine: Some(83),
    ..POSITIONS_3_13
};

const POSITIONS_3_15: Positions = Positions {
    thread_handle: 30,
    frame: 39,
    stack: Some(45),
    code: 47,
    instructions: 56,
    objects: [59, 61, 63, 79, 80, 84, 85, 87, 88, 90, 91],
    ascii: 92,
    coroutine: Some(99),
    ..POSITIONS_3_14
};

/// The layout that the program itself tells.
///
/// `None` if it tells none: it is older than 3.13. An error says why what it tells is of no use.
pub(super) fn layout(
    memory: &impl Memory,
    runtime: u64,
) -> Option<Result<(Layout, Version), Words>> {
    let mut bytes = [0; SIZE];
    let there = memory.read(runtime, &mut bytes);
    let bytes = bytes.get(..there)?;
    if bytes.get(..COOKIE.len())? != COOKIE {
        return None;
    }
    let version = Version::from_hex(number(bytes, 1)?)?;
    Some(read(bytes, version).map(|layout| (layout, version)))
}

fn number(bytes: &[u8], position: usize) -> Option<u64> {
    let (numbers, _) = bytes.as_chunks();
    numbers
        .get(position)
        .map(|number| u64::from_le_bytes(*number))
}

fn read(bytes: &[u8], version: Version) -> Result<Layout, Words> {
    let unknown = || {
        Words::from(format!(
            "{version} is not known to this version of closewait"
        ))
    };
    if !version.is_final() {
        return Err(unknown());
    }
    if number(bytes, 2) != Some(0) {
        return Err("free-threaded CPython is not known to this version of closewait".into());
    }
    let positions = positions(version.minor).ok_or_else(unknown)?;
    parts(bytes, &positions, version.minor)
        .ok_or_else(|| format!("the offsets that {version} tells are not valid").into())
}

fn positions(minor: u8) -> Option<Positions> {
    match minor {
        13 => Some(POSITIONS_3_13),
        14 => Some(POSITIONS_3_14),
        15 => Some(POSITIONS_3_15),
        _ => None,
    }
}

fn parts(bytes: &[u8], positions: &Positions, minor: u8) -> Option<Layout> {
    let objects = positions.objects.iter().zip(OBJECTS);
    for (position, expected) in objects {
        if number(bytes, *position)? != expected {
            return None;
        }
    }
    let within = |part: Part, position: usize| {
        let size = number(bytes, part).filter(|size| *size <= STRUCTURE_MAX)?;
        number(bytes, position).filter(|offset| *offset <= size)
    };
    let field = |part: Part, index: usize| within(part, part + index);
    let frame_size = number(bytes, positions.frame).filter(|size| *size <= FRAME_MAX)?;
    let stages = match minor {
        15 => Stages {
            created: 0,
            awaiting: (2, 3),
            executing: 4,
        },
        _ => Stages {
            created: -3,
            awaiting: (-1, -1),
            executing: 0,
        },
    };
    let (frame, state) = match positions.coroutine {
        Some(part) => (field(part, 2)?, field(part, 3)?),
        // PyGenObject of 3.13.
        None => (72, 67),
    };
    Some(Layout {
        minor,
        interpreters: field(positions.runtime, 2)?,
        interpreter: Interpreter {
            next: field(positions.interpreter, 2)?,
            threads: field(positions.interpreter, 3)?,
            modules: within(positions.interpreter, positions.modules)?,
            system: within(positions.interpreter, positions.system)?,
        },
        thread: Thread {
            next: field(positions.thread, 2)?,
            interpreter: field(positions.thread, 3)?,
            frame: Innermost::Here(field(positions.thread, 4)?),
            handle: within(positions.thread, positions.thread_handle)?,
            number: Some(within(positions.thread, positions.thread_handle + 1)?),
        },
        frame: Frame {
            size: usize::try_from(frame_size).ok()?,
            previous: field(positions.frame, 1)?,
            code: field(positions.frame, 2)?,
            place: field(positions.frame, 3)?,
            kind: FrameKind::Internal {
                owner: field(positions.frame, 5)?,
                foreign: 3,
            },
            locals: field(positions.frame, 4)?,
            top: match positions.stack {
                Some(position) => Top::Pointer(within(positions.frame, position)?),
                // _PyInterpreterFrame of 3.13.
                None => Top::Index(64),
            },
        },
        code: Code {
            file: field(positions.code, 1)?,
            name: field(positions.code, 3)?,
            table: field(positions.code, 4)?,
            first_line: field(positions.code, 5)?,
            format: LineFormat::Locations,
            instructions: Instructions::Inline(within(positions.code, positions.instructions)?),
        },
        text: Text {
            ascii: number(bytes, positions.ascii).filter(|size| *size == 40)?,
            compact: 56,
        },
        keys: Keys::Logarithmic,
        attributes: Attributes::Behind {
            keys: if minor == 15 { 888 } else { 880 },
        },
        coroutine: Coroutine {
            frame: CoroutineFrame::Inline {
                frame,
                state,
                stages,
            },
            awaiting: Awaiting::State,
            depth: if minor == 15 { 2 } else { 1 },
        },
        tasks: match minor {
            13 => Tasks::Sets { coroutine: 120 },
            _ => Tasks::Lists,
        },
    })
}

/// What a made-up program of a version says.
#[cfg(test)]
pub(super) fn published(minor: u8) -> Vec<u8> {
    let positions = positions(minor).unwrap();
    let mut numbers = vec![0; SIZE / 8];
    numbers[0] = u64::from_le_bytes(*COOKIE);
    numbers[1] = 0x0300_01f0 | u64::from(minor) << 16;
    let mut fill = |position: usize, values: &[u64]| {
        numbers[position..][..values.len()].copy_from_slice(values);
    };
    // Each structure's size, then its fields.
    fill(positions.runtime, &[0x1000, 0, 0x500]);
    fill(positions.interpreter, &[0x400, 0, 8, 16]);
    fill(positions.modules, &[24]);
    fill(positions.system, &[32]);
    fill(positions.thread, &[0x140, 0, 8, 16, 72]);
    fill(positions.thread_handle, &[152, 160]);
    fill(positions.frame, &[88, 8, 0, 56, 80, 74]);
    if let Some(position) = positions.stack {
        fill(position, &[64]);
    }
    fill(positions.code, &[216, 112, 120, 128, 136, 68]);
    fill(positions.instructions, &[208]);
    for (position, value) in positions.objects.iter().zip(OBJECTS) {
        fill(*position, &[value]);
    }
    fill(positions.ascii, &[40]);
    if let Some(position) = positions.coroutine {
        fill(position, &[200, 0, 72, 67]);
    }
    numbers.into_iter().flat_map(u64::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::stacks::memory::Pieces;

    fn told(bytes: Vec<u8>) -> Option<Result<String, String>> {
        let memory = Pieces(vec![(64, bytes)]);
        let found = layout(&memory, 64)?;
        let words = |(_, version): (Layout, Version)| version.to_string();
        Some(found.map(words).map_err(|why| why.raw().to_owned()))
    }

    /// With one number changed.
    fn changed(minor: u8, position: usize, value: u64) -> Option<Result<String, String>> {
        let mut bytes = published(minor);
        bytes[position * 8..][..8].copy_from_slice(&value.to_le_bytes());
        told(bytes)
    }

    #[test]
    fn versions_since_3_13_tell_their_layout() {
        for minor in 13..16 {
            assert_eq!(told(published(minor)), Some(Ok(format!("3.{minor}.1"))));
        }
        let unknown = "3.16.0 is not known to this version of closewait";
        assert_eq!(changed(15, 1, 0x0310_00f0), Some(Err(unknown.into())));
        let unknown = "3.14.0b3 is not known to this version of closewait";
        assert_eq!(changed(14, 1, 0x030e_00b3), Some(Err(unknown.into())));
        assert!(
            changed(14, 2, 1)
                .unwrap()
                .unwrap_err()
                .starts_with("free-threaded")
        );
        // No cookie, no version, nothing there.
        assert_eq!(changed(13, 0, 0), None);
        assert_eq!(changed(13, 1, 0), None);
        assert_eq!(told(Vec::new()), None);
    }

    #[test]
    fn offsets_that_cannot_be_are_refused() {
        for minor in 13..16 {
            let positions = positions(minor).unwrap();
            let mut odd = vec![
                // Beyond the structure; a structure or a frame that is too large.
                (positions.runtime + 2, 0x1001),
                (positions.thread, STRUCTURE_MAX + 1),
                (positions.frame, FRAME_MAX + 1),
                (positions.ascii, 48),
            ];
            odd.extend(positions.objects.iter().map(|position| (*position, 1)));
            for (position, value) in odd {
                let found = changed(minor, position, value);
                let why = format!("the offsets that 3.{minor}.1 tells are not valid");
                assert_eq!(found, Some(Err(why)), "{position}");
            }
            let mut short = published(minor);
            short.truncate(positions.ascii * 8);
            assert!(told(short).unwrap().is_err());
        }
    }
}
