//! The functions that a thread of Python is in, innermost first.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::code::{Code, Codes};
use super::layout::{FrameKind, Innermost};
use super::object::{Kind, Objects};
use crate::collector::stacks::memory::Memory;
use crate::model::{Frame, Name};

/// The most frames of a stack.
pub(super) const FRAMES_MAX: usize = 128;
/// The most calls of the interpreter between two frames, which have no code.
const FOREIGN_MAX: usize = 1024;
/// Before 3.14 pointers in frames are plain; since then their last two bits are flags (`_PyStackRef`).
const FLAGS: u64 = 3;

/// A frame as it lies in memory.
#[derive(Debug, Clone)]
pub(super) struct Raw {
    pub(super) address: u64,
    /// The frame that called it, or 0.
    previous: u64,
    /// `None` for a call of the interpreter by C.
    pub(super) call: Option<Call>,
}

/// A function in progress.
#[derive(Debug, Clone)]
pub(super) struct Call {
    frame: u64,
    code_address: u64,
    pub(super) code: Arc<Code>,
    /// The offset of its instruction, in bytes.
    pub(super) offset: i64,
}

/// Reads frames.
pub(super) struct Frames<'a, M> {
    pub(super) objects: Objects<'a, M>,
    codes: Codes,
    /// Stacks in words, by the functions and the offsets of their instructions.
    told: FxHashMap<Vec<(u64, i64)>, Arc<[Frame]>>,
}

/// The functions that a thread is in, innermost first.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Calls {
    pub(super) calls: Vec<Call>,
    /// Whether they reach the first one.
    pub(super) complete: bool,
}

impl<'a, M: Memory> Frames<'a, M> {
    pub(super) fn new(objects: Objects<'a, M>) -> Frames<'a, M> {
        Frames {
            objects,
            codes: Codes::default(),
            told: FxHashMap::default(),
        }
    }

    /// The frames of a thread (`PyThreadState`). `None` if they make no sense: they are of another
    /// version, or changed meanwhile.
    pub(super) fn of_thread(&mut self, thread: u64) -> Option<Calls> {
        let objects = &self.objects;
        let innermost = match objects.layout.thread.frame {
            Innermost::Here(offset) => thread.checked_add(offset)?,
            Innermost::Through(pointer, offset) => {
                objects.pointer(thread, pointer)?.checked_add(offset)?
            }
        };
        let mut next = objects.memory.u64_at(innermost)?;
        let mut calls = Calls::default();
        let mut foreign = 0;
        while next != 0 {
            if calls.calls.len() == FRAMES_MAX || self.objects.limit.is_reached() {
                return Some(calls);
            }
            let frame = self.read(next)?;
            match frame.call {
                Some(call) => calls.calls.push(call),
                None if foreign == FOREIGN_MAX => return None,
                None => foreign += 1,
            }
            next = frame.previous;
        }
        calls.complete = true;
        Some(calls)
    }

    /// Reads the frame at an address.
    pub(super) fn read(&mut self, address: u64) -> Option<Raw> {
        let layout = self.objects.layout.frame;
        let mut bytes = [0; 256];
        let bytes = bytes.get_mut(..layout.size)?;
        self.objects.memory.exact(address, bytes)?;
        let bytes = &*bytes;
        let word = |offset: u64| {
            let rest = bytes.get(usize::try_from(offset).ok()?..)?;
            Some(u64::from_le_bytes(*rest.first_chunk()?))
        };
        let previous = word(layout.previous)?;
        let call = match layout.kind {
            FrameKind::Object(unit) => {
                self.objects.expect(address, Kind::Frame)?;
                let [index, _] = halves(word(layout.place)?);
                let code_address = word(layout.code)?;
                let code = self.codes.at(&mut self.objects, code_address)?;
                Some(Call {
                    frame: address,
                    code_address,
                    code,
                    offset: i64::from(index.cast_signed()) * unit,
                })
            }
            FrameKind::Internal { owner, foreign } => {
                match bytes.get(usize::try_from(owner).ok()?)? {
                    owner if *owner >= foreign && *owner <= 4 => None,
                    owner if *owner > 4 => return None,
                    _ => {
                        let code_address = word(layout.code)? & !FLAGS;
                        let code = self.codes.at(&mut self.objects, code_address)?;
                        let offset = word(layout.place)?.wrapping_sub(code.start);
                        Some(Call {
                            frame: address,
                            code_address,
                            code,
                            offset: offset.cast_signed(),
                        })
                    }
                }
            }
        };
        Some(Raw {
            address,
            previous,
            call,
        })
    }

    /// Functions, files and lines. `None` if a function has no such instruction.
    pub(super) fn tell(&mut self, calls: &[Call]) -> Option<Arc<[Frame]>> {
        let key: Vec<(u64, i64)> = calls.iter().map(Call::place).collect();
        if let Some(frames) = self.told.get(&key) {
            return Some(frames.clone());
        }
        let frames: Option<Arc<[Frame]>> = calls.iter().map(Call::frame).collect();
        self.told.insert(key, frames.clone()?);
        frames
    }

    /// The value of a local variable of a frame by its number: the arguments come first.
    pub(super) fn local(&self, frame: u64, number: u64) -> Option<u64> {
        let offset = self.objects.layout.frame.locals.checked_add(number * 8)?;
        let value = self.objects.pointer(frame, offset)? & !FLAGS;
        (value != 0).then_some(value)
    }
}

impl PartialEq for Call {
    fn eq(&self, other: &Call) -> bool {
        (self.frame, self.place()) == (other.frame, other.place())
    }
}

impl Call {
    pub(super) fn place(&self) -> (u64, i64) {
        (self.code_address, self.offset)
    }

    fn frame(&self) -> Option<Frame> {
        Some(Frame {
            function: Some(self.code.function.clone()),
            module: package(&self.code.file),
            offset: None,
            file: Some(self.code.file.clone()),
            line: self.code.line(self.offset)?,
            own: false,
        })
    }
}

fn halves(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

/// The package that a file was installed with. The standard library and the program itself have none.
fn package(file: &Name) -> Option<Name> {
    let mut parts = file.bytes().split(|byte| *byte == b'/');
    parts.find(|part| matches!(*part, b"site-packages" | b"dist-packages"))?;
    let package = parts.next()?;
    Some(Name::new(package.strip_suffix(b".py").unwrap_or(package)))
}
