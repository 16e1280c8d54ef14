//! The stack of a goroutine that does not run: from where it goes on, frame by frame by the sizes in the
//! table of functions, to its first function.

use std::cell::RefCell;

use rustc_hash::FxHashMap;

use super::functions::{Function, Functions};
use super::goroutine::Goroutine;
use crate::collector::stacks::memory::Memory;
use crate::model::Frame;

/// The most functions of a stack, without those that were inlined.
const FRAMES_MAX: usize = 64;
/// The most places in code that are remembered.
const PLACES_MAX: usize = 1 << 16;
/// How many bytes of a stack are copied at first, and how many more at a time.
const FIRST: u64 = 1 << 10;
const MORE: u64 = 8 << 10;
/// The most bytes of a stack that are copied.
const COPY_MAX: u64 = 256 << 10;

/// A place in the code.
#[derive(Debug, Clone, Copy)]
struct Place {
    function: Function,
    /// The bytes on the stack up to the address that the function returns to.
    size: Option<u64>,
    kind: Kind,
}

/// What a function is for the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It waits for a descriptor, or is called for that.
    Poll,
    /// The runtime called it where no call is in the code.
    Interruption,
    /// It is the first one of every goroutine.
    First,
    Other,
}

/// The functions of a goroutine that have not returned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Trace {
    /// Where each goes on, the innermost first.
    pub(super) places: Vec<u64>,
    /// Whether the last is the first function of the goroutine.
    pub(super) complete: bool,
}

/// Walks stacks, and remembers what it has found about places in the code.
pub(super) struct Walker<'m, M> {
    memory: &'m M,
    functions: Functions<'m, M>,
    places: RefCell<FxHashMap<u64, Option<Place>>>,
}

impl<'m, M: Memory> Walker<'m, M> {
    pub(super) fn new(memory: &'m M, functions: Functions<'m, M>) -> Walker<'m, M> {
        Walker {
            memory,
            functions,
            places: RefCell::default(),
        }
    }

    /// Walks a stack. Returns the words of it too that belong to functions that wait for a descriptor.
    pub(super) fn walk(&self, goroutine: &Goroutine) -> (Trace, Vec<u64>) {
        let mut stack = Copy {
            memory: self.memory,
            start: goroutine.sp,
            end: goroutine.stack.end,
            words: Vec::new(),
        };
        let mut trace = Trace::default();
        let (mut pc, mut sp) = (goroutine.pc, goroutine.sp);
        let mut poll_end = sp;
        while let Some(place) = self.place(pc) {
            if place.kind == Kind::First {
                trace.complete = true;
                break;
            }
            if trace.places.len() == FRAMES_MAX {
                break;
            }
            trace.places.push(pc);
            let returns = place.size.and_then(|size| sp.checked_add(size));
            let Some(returns) = returns.filter(|at| *at < goroutine.stack.end) else {
                break;
            };
            let Some(next) = stack.word(returns) else {
                break;
            };
            sp = returns.saturating_add(8);
            if place.kind == Kind::Poll {
                poll_end = sp;
            }
            pc = next;
        }
        let poll = usize::try_from((poll_end - goroutine.sp) / 8).unwrap_or(usize::MAX);
        stack.words.truncate(poll);
        (trace, stack.words)
    }

    fn place(&self, pc: u64) -> Option<Place> {
        let known = self.places.borrow().get(&pc).copied();
        known.unwrap_or_else(|| {
            let place = self.look_up(pc);
            let mut places = self.places.borrow_mut();
            if places.len() >= PLACES_MAX {
                places.clear();
            }
            places.insert(pc, place);
            place
        })
    }

    fn look_up(&self, pc: u64) -> Option<Place> {
        let function = self.functions.find(pc)?;
        let name = self.functions.name(function);
        let kind = match name.as_ref().map_or(&b""[..], |name| name.bytes()) {
            b"runtime.goexit" => Kind::First,
            b"runtime.asyncPreempt" | b"runtime.sigpanic" => Kind::Interruption,
            b"runtime.gopark" | b"runtime.netpollblock" => Kind::Poll,
            name if name.starts_with(b"internal/poll.") => Kind::Poll,
            _ => Kind::Other,
        };
        Some(Place {
            function,
            size: self.functions.frame_size(function, pc),
            kind,
        })
    }

    /// The functions of a stack by name, with those that were inlined.
    pub(super) fn frames(&self, places: &[u64]) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut is_exact = false;
        for pc in places {
            let Some(place) = self.place(*pc) else {
                continue;
            };
            // Where a call returns to may belong to the next line already.
            let is_first = *pc == place.function.entry;
            let at = if is_exact || is_first { *pc } else { *pc - 1 };
            frames.extend(self.functions.frames(place.function, at));
            is_exact = place.kind == Kind::Interruption;
        }
        frames
    }
}

/// A copy of the top of a stack. It grows as the walk goes on.
struct Copy<'m, M> {
    memory: &'m M,
    start: u64,
    end: u64,
    words: Vec<u64>,
}

impl<M: Memory> Copy<'_, M> {
    fn word(&mut self, address: u64) -> Option<u64> {
        let offset = address.checked_sub(self.start)?;
        let nth = usize::try_from(offset / 8).ok()?;
        if nth >= self.words.len() {
            self.grow(offset.checked_add(8)?)?;
        }
        self.words.get(nth).copied()
    }

    /// Copies as many bytes as are needed, and some more.
    fn grow(&mut self, needed: u64) -> Option<()> {
        let has = self.words.len() as u64 * 8;
        let more = if has == 0 { FIRST } else { MORE };
        let length = needed.max(has + more).min(self.end - self.start);
        if needed > length || length > COPY_MAX {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(length.checked_sub(has)?).ok()?];
        self.memory
            .exact(self.start.checked_add(has)?, &mut bytes)?;
        let words = bytes.as_chunks::<8>().0;
        self.words
            .extend(words.iter().map(|word| u64::from_le_bytes(*word)));
        Some(())
    }
}
