//! Objects of Python in the memory of the interpreter: what type they are, and the value of texts, bytes
//! and small numbers. Each is read only if its type is the expected one, so a wrong offset or a change
//! meanwhile gives nothing instead of nonsense.

use rustc_hash::FxHashMap;

use super::layout::Layout;
use crate::collector::stacks::budget::Limit;
use crate::collector::stacks::memory::Memory;

/// `ob_type` in `PyObject`.
const TYPE: u64 = 8;
/// `ob_size` in `PyVarObject`.
pub(super) const SIZE: u64 = 16;
/// In `PyTypeObject`.
const TYPE_NAME: u64 = 24;
pub(super) const TYPE_BASIC_SIZE: u64 = 32;
pub(super) const TYPE_FLAGS: u64 = 168;
const TYPE_BASE: u64 = 256;
pub(super) const TYPE_DICTIONARY: u64 = 288;
/// `ob_sval` in `PyBytesObject`.
const BYTES: u64 = 32;
/// `length` and `state` in `PyASCIIObject`.
const TEXT_LENGTH: usize = 16;
const TEXT_STATE: usize = 32;
/// The first digit in `PyLongObject`. Digits have 30 bits.
const DIGIT: u64 = 24;
/// The most bytes of an object of the type `bytes`: the line table of a long function.
const BYTES_MAX: u64 = 1 << 20;
/// The most types whose kind is kept.
const TYPES_MAX: usize = 10_000;
/// The most base classes.
const BASES_MAX: usize = 16;
/// The longest name of a type.
const TYPE_NAME_MAX: usize = 128;

/// The types that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Code,
    Frame,
    Text,
    Bytes,
    Number,
    Dictionary,
    Set,
    Module,
    Coroutine,
    Generator,
    AsyncGenerator,
    /// What `await` makes of a coroutine for code in C.
    CoroutineWrapper,
    /// What `async for` and `asend` await.
    AsyncGeneratorStep,
    /// What awaits a future or a task.
    FutureIterator,
    Task,
    Socket,
    Other,
}

impl Kind {
    fn named(name: &[u8]) -> Kind {
        match name {
            b"code" => Kind::Code,
            b"frame" => Kind::Frame,
            b"str" => Kind::Text,
            b"bytes" => Kind::Bytes,
            b"int" => Kind::Number,
            b"dict" => Kind::Dictionary,
            b"set" => Kind::Set,
            b"module" => Kind::Module,
            b"coroutine" => Kind::Coroutine,
            b"generator" => Kind::Generator,
            b"async_generator" => Kind::AsyncGenerator,
            b"coroutine_wrapper" => Kind::CoroutineWrapper,
            b"async_generator_asend" | b"async_generator_athrow" => Kind::AsyncGeneratorStep,
            b"_asyncio.FutureIter" | b"FutureIter" => Kind::FutureIterator,
            b"_asyncio.Task" => Kind::Task,
            b"_socket.socket" => Kind::Socket,
            _ => Kind::Other,
        }
    }
}

/// Reads the objects of one process.
pub(super) struct Objects<'a, M> {
    pub(super) memory: &'a M,
    pub(super) layout: &'a Layout,
    pub(super) limit: Limit,
    types: FxHashMap<u64, Kind>,
}

impl<'a, M: Memory> Objects<'a, M> {
    pub(super) fn new(memory: &'a M, layout: &'a Layout, limit: Limit) -> Objects<'a, M> {
        Objects {
            memory,
            layout,
            limit,
            types: FxHashMap::default(),
        }
    }

    /// The pointer at an offset of a structure; `None` if it is null.
    pub(super) fn pointer(&self, structure: u64, offset: u64) -> Option<u64> {
        let address = structure.checked_add(offset)?;
        self.memory.u64_at(address).filter(|pointer| *pointer != 0)
    }

    /// The type of an object, as its address.
    pub(super) fn type_of(&self, object: u64) -> Option<u64> {
        self.pointer(object, TYPE)
    }

    pub(super) fn kind(&mut self, object: u64) -> Option<Kind> {
        let found = self.type_of(object)?;
        self.kind_of_type(found)
    }

    /// The kind of a type. Classes are of the kind of their base class in C.
    fn kind_of_type(&mut self, of: u64) -> Option<Kind> {
        if let Some(kind) = self.types.get(&of) {
            return Some(*kind);
        }
        let mut kind = Kind::Other;
        let mut class = Some(of);
        for _ in 0..BASES_MAX {
            let Some(address) = class else { break };
            let name = self.pointer(address, TYPE_NAME)?;
            kind = Kind::named(&self.memory.c_string(name, TYPE_NAME_MAX)?);
            // Values of derived classes may lie elsewhere, except those of these two.
            if kind != Kind::Other {
                break;
            }
            class = self.pointer(address, TYPE_BASE);
        }
        if class != Some(of) && !matches!(kind, Kind::Task | Kind::Socket) {
            kind = Kind::Other;
        }
        if self.types.len() < TYPES_MAX {
            self.types.insert(of, kind);
        }
        Some(kind)
    }

    /// The object, if it is of this kind.
    pub(super) fn expect(&mut self, object: u64, kind: Kind) -> Option<u64> {
        (self.kind(object)? == kind).then_some(object)
    }

    /// A text in UTF-8. `None` if it is longer than `most` characters.
    pub(super) fn text(&mut self, object: u64, most: usize) -> Option<String> {
        let (length, width, start) = self.text_shape(object)?;
        let length = usize::try_from(length).ok().filter(|it| *it <= most)?;
        let start = object.checked_add(start)?;
        let bytes = self.memory.bytes(start, length.checked_mul(width)?)?;
        let replaced = |code: u32| match char::from_u32(code) {
            None | Some('\0') => char::REPLACEMENT_CHARACTER,
            Some(char) => char,
        };
        Some(match width {
            1 => bytes.iter().map(|byte| replaced((*byte).into())).collect(),
            2 => {
                let (units, _) = bytes.as_chunks();
                let units = units.iter().map(|unit| u16::from_le_bytes(*unit));
                units.map(|unit| replaced(unit.into())).collect()
            }
            _ => {
                let (units, _) = bytes.as_chunks();
                let units = units.iter().map(|unit| u32::from_le_bytes(*unit));
                units.map(replaced).collect()
            }
        })
    }

    /// Whether an object is this text, which is ASCII.
    pub(super) fn is_text(&mut self, object: u64, text: &str) -> Option<bool> {
        let (length, width, start) = self.text_shape(object)?;
        if (length, width) != (text.len() as u64, 1) {
            return Some(false);
        }
        let start = object.checked_add(start)?;
        Some(self.memory.bytes(start, text.len())? == text.as_bytes())
    }

    /// The number of characters of a text, the bytes that each takes, and where they start.
    fn text_shape(&mut self, object: u64) -> Option<(u64, usize, u64)> {
        let mut head = [0; 40];
        self.memory.exact(object, &mut head)?;
        let word = |at: usize| {
            let bytes = head.get(at..)?.first_chunk()?;
            Some(u64::from_le_bytes(*bytes))
        };
        if self.kind_of_type(word(8)?)? != Kind::Text {
            return None;
        }
        let state = word(TEXT_STATE)?;
        let (kind, is_compact, is_ascii) = (state >> 2 & 7, state >> 5 & 1, state >> 6 & 1);
        let start = match (is_compact, is_ascii) {
            (1, 1) if kind == 1 => self.layout.text.ascii,
            (1, 0) => self.layout.text.compact,
            _ => return None,
        };
        let width = match kind {
            1 | 2 | 4 => usize::try_from(kind).ok()?,
            _ => return None,
        };
        Some((word(TEXT_LENGTH)?, width, start))
    }

    /// The address and the number of the bytes of an object of the type `bytes`.
    pub(super) fn bytes_range(&mut self, object: u64) -> Option<(u64, u64)> {
        self.expect(object, Kind::Bytes)?;
        let length = self.memory.u64_at(object.checked_add(SIZE)?)?;
        let start = object.checked_add(BYTES)?;
        (length <= BYTES_MAX).then_some((start, length))
    }

    pub(super) fn bytes(&mut self, object: u64) -> Option<Vec<u8>> {
        let (start, length) = self.bytes_range(object)?;
        self.memory.bytes(start, usize::try_from(length).ok()?)
    }

    /// A number from 0 to 2³⁰ - 1.
    pub(super) fn number(&mut self, object: u64) -> Option<u32> {
        self.expect(object, Kind::Number)?;
        let size = self.memory.u64_at(object.checked_add(SIZE)?)?;
        // Since 3.12 the last three bits tell the sign and whether it is shared.
        let (digits, is_positive) = match self.layout.minor {
            ..12 => (size, true),
            _ => (size >> 3, size & 3 == 0),
        };
        match digits {
            0 => Some(0),
            1 if is_positive => self.memory.u32_at(object.checked_add(DIGIT)?),
            _ => None,
        }
    }
}
