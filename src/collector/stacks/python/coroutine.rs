//! What a suspended coroutine awaits: the chain of coroutines from that of a task down to the future that
//! all of them wait for (`_PyGen_yf` in CPython's `Objects/genobject.c`).

use super::frames::{Frames, Raw};
use super::layout::{Awaiting, CoroutineFrame, Top};
use super::object::Kind;
use crate::collector::stacks::memory::Memory;

/// The most coroutines of a chain.
const CHAIN_MAX: usize = 128;
/// In `PyCoroWrapper`, `PyAsyncGenASend` and `PyAsyncGenAThrow`: the coroutine or generator.
const WRAPPED: u64 = 16;
/// The operation codes that tell that a coroutine awaits, and resumes.
const YIELD_FROM: u8 = 72;
/// RESUME of 3.11 and 3.12, RESUME_QUICK of 3.11, and INSTRUMENTED_RESUME of 3.12.
const RESUME: [u8; 3] = [151, 150, 240];
/// From this argument on, RESUME follows an await (1 follows `yield`).
const AFTER_AWAIT: u8 = 2;

/// How far a coroutine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    NotStarted,
    /// It yielded a value, and awaits nothing.
    Yielded,
    /// It may await something.
    Suspended,
    Running,
    Finished,
}

/// A coroutine and what it awaits, the outermost first.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    pub(super) frames: Vec<Raw>,
    pub(super) progress: Progress,
    /// Whether it ends at a future or a task.
    pub(super) has_future: bool,
}

impl Chain {
    /// Whether nothing has moved between two readings.
    pub(super) fn is_equal(&self, other: &Chain) -> bool {
        let calls = |frames: &[Raw]| -> Vec<_> {
            let calls = frames.iter().map(|frame| frame.call.clone());
            calls.collect()
        };
        (self.progress, self.has_future) == (other.progress, other.has_future)
            && calls(&self.frames) == calls(&other.frames)
    }
}

/// The chain from a coroutine on. `None` if it makes no sense.
pub(super) fn chain<M: Memory>(frames: &mut Frames<'_, M>, coroutine: u64) -> Option<Chain> {
    let mut chain = Chain {
        frames: Vec::new(),
        progress: Progress::Finished,
        has_future: false,
    };
    let mut next = Some(coroutine);
    while let Some(object) = next {
        if chain.frames.len() == CHAIN_MAX || frames.objects.limit.is_reached() {
            return None;
        }
        let object = match frames.objects.kind(object)? {
            Kind::Coroutine | Kind::Generator | Kind::AsyncGenerator => object,
            Kind::CoroutineWrapper | Kind::AsyncGeneratorStep => {
                frames.objects.pointer(object, WRAPPED)?
            }
            Kind::FutureIterator => {
                chain.has_future = true;
                break;
            }
            _ => break,
        };
        let (progress, frame) = progress(frames, object)?;
        if chain.frames.is_empty() {
            chain.progress = progress;
        }
        let Some(frame) = frame else { break };
        next = match progress {
            Progress::Suspended => awaited(frames, &frame),
            _ => None,
        };
        chain.frames.push(frame);
    }
    Some(chain)
}

/// How far a coroutine is, and its frame unless it has finished.
fn progress<M: Memory>(
    frames: &mut Frames<'_, M>,
    coroutine: u64,
) -> Option<(Progress, Option<Raw>)> {
    let kind = frames.objects.kind(coroutine)?;
    if !matches!(
        kind,
        Kind::Coroutine | Kind::Generator | Kind::AsyncGenerator
    ) {
        return None;
    }
    match frames.objects.layout.coroutine.frame {
        CoroutineFrame::Pointer(offset) => {
            let address = frames
                .objects
                .memory
                .u64_at(coroutine.checked_add(offset)?)?;
            if address == 0 {
                return Some((Progress::Finished, None));
            }
            let frame = frames.read(address)?;
            let progress = match (frame.call.as_ref()?.offset, top(frames, address)) {
                // Until 3.9 it has a stack already, but no instruction.
                (..0, _) => Progress::NotStarted,
                (_, None) => Progress::Running,
                (_, Some(_)) => Progress::Suspended,
            };
            Some((progress, Some(frame)))
        }
        CoroutineFrame::Inline {
            frame,
            state,
            stages,
        } => {
            let state = frames.objects.memory.u8_at(coroutine.checked_add(state)?)?;
            let progress = match state.cast_signed() {
                state if state > stages.executing => return Some((Progress::Finished, None)),
                state if state == stages.executing => Progress::Running,
                state if state == stages.created => Progress::NotStarted,
                state if state < stages.created => return None,
                state if (stages.awaiting.0..=stages.awaiting.1).contains(&state) => {
                    Progress::Suspended
                }
                _ => Progress::Yielded,
            };
            let frame = frames.read(coroutine.checked_add(frame)?)?;
            frame.call.as_ref()?;
            Some((progress, Some(frame)))
        }
    }
}

/// The object that a suspended coroutine awaits.
fn awaited<M: Memory>(frames: &mut Frames<'_, M>, frame: &Raw) -> Option<u64> {
    let call = frame.call.as_ref()?;
    let memory = frames.objects.memory;
    let after = call.offset.checked_add(2)?;
    let next = call.code.start.checked_add_signed(after)?;
    let is_awaiting = match frames.objects.layout.coroutine.awaiting {
        Awaiting::YieldFrom => memory.u8_at(next)? == YIELD_FROM,
        Awaiting::Resume => {
            let [operation, argument] = memory.array(next)?;
            RESUME.contains(&operation) && argument >= AFTER_AWAIT
        }
        Awaiting::State => true,
    };
    if !is_awaiting {
        return None;
    }
    let depth = frames.objects.layout.coroutine.depth;
    let slot = top(frames, frame.address)?.checked_sub(depth * 8)?;
    let value = frames.objects.pointer(slot, 0)? & !3;
    (value != 0).then_some(value)
}

/// The address behind the top of the stack of a frame; `None` while it runs.
fn top<M: Memory>(frames: &Frames<'_, M>, frame: u64) -> Option<u64> {
    let objects = &frames.objects;
    let index = |offset: u64| {
        let index = objects.memory.i32_at(frame.checked_add(offset)?)?;
        // Stacks are short.
        (1..1 << 20)
            .contains(&index)
            .then_some(index.cast_unsigned())
    };
    match objects.layout.frame.top {
        Top::Pointer(offset) => objects.pointer(frame, offset),
        Top::Depth(bottom, depth) => {
            let bottom = objects.pointer(frame, bottom)?;
            bottom.checked_add(u64::from(index(depth)?) * 8)
        }
        Top::Index(offset) => {
            let locals = frame.checked_add(objects.layout.frame.locals)?;
            locals.checked_add(u64::from(index(offset)?) * 8)
        }
    }
}
