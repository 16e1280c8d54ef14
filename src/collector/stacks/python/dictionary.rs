//! Values by their name: in dictionaries, such as that of a module, and in the attributes of an object
//! (CPython's `Objects/dictobject.c`).

use super::layout::{Attributes, Keys};
use super::object::{Kind, Objects, TYPE_BASIC_SIZE, TYPE_DICTIONARY, TYPE_FLAGS};
use crate::collector::stacks::memory::Memory;

/// `ma_keys` and `ma_values` in `PyDictObject`.
const KEYS: u64 = 32;
const VALUES: u64 = 40;
/// The most entries that are searched. Large programs have imported some thousand modules.
const ENTRIES_MAX: u64 = 20_000;
/// `Py_TPFLAGS_MANAGED_DICT` and `Py_TPFLAGS_INLINE_VALUES`.
const IS_MANAGED: u64 = 1 << 4;
const HAS_VALUES_BEHIND: u64 = 1 << 2;

/// The entries of a table of keys.
struct Entries {
    address: u64,
    count: u64,
    /// The bytes of one.
    size: u64,
    /// Where in an entry the key is. The value follows it.
    key: u64,
}

/// Where an object keeps its attributes.
enum Place {
    Dictionary(u64),
    /// The table of keys, and an array of the values in its order.
    Array(u64, u64),
}

impl<M: Memory> Objects<'_, M> {
    /// The value of a name, which is ASCII, in a dictionary.
    pub(super) fn lookup(&mut self, dictionary: u64, name: &str) -> Option<u64> {
        self.expect(dictionary, Kind::Dictionary)?;
        let keys = self.pointer(dictionary, KEYS)?;
        let values = self.memory.u64_at(dictionary.checked_add(VALUES)?)?;
        let values = match (values, self.layout.attributes) {
            (0, _) => None,
            // Since 3.13 the array begins with its size.
            (values, Attributes::Behind { .. }) => Some(values.checked_add(8)?),
            (values, _) => Some(values),
        };
        self.value(keys, values, name)
    }

    /// The value of an attribute of a module.
    pub(super) fn of_module(&mut self, module: u64, name: &str) -> Option<u64> {
        let module = self.expect(module, Kind::Module)?;
        let dictionary = self.pointer(module, 16)?;
        self.lookup(dictionary, name)
    }

    /// The value of an attribute that an object itself has.
    pub(super) fn attribute(&mut self, object: u64, name: &str) -> Option<u64> {
        match self.attributes(object)? {
            Place::Dictionary(dictionary) => self.lookup(dictionary, name),
            Place::Array(keys, values) => self.value(keys, Some(values), name),
        }
    }

    fn attributes(&mut self, object: u64) -> Option<Place> {
        let class = self.type_of(object)?;
        let flags = self.memory.u64_at(class.checked_add(TYPE_FLAGS)?)?;
        let before = |words: u64| {
            let address = object.checked_sub(words * 8)?;
            self.memory.u64_at(address)
        };
        let keys = |offset| self.pointer(class, offset);
        match self.layout.attributes {
            Attributes::Array { keys: offset } if flags & IS_MANAGED != 0 => match before(4)? {
                0 => Some(Place::Dictionary(before(3)?)),
                values => Some(Place::Array(keys(offset)?, values)),
            },
            Attributes::Tagged { keys: offset } if flags & IS_MANAGED != 0 => match before(3)? {
                tagged if tagged & 1 == 1 => {
                    Some(Place::Array(keys(offset)?, tagged.checked_add(1)?))
                }
                dictionary => Some(Place::Dictionary(dictionary)),
            },
            Attributes::Behind { keys: offset } if flags & IS_MANAGED != 0 => match before(3)? {
                0 if flags & HAS_VALUES_BEHIND != 0 => {
                    let size = self.memory.u64_at(class.checked_add(TYPE_BASIC_SIZE)?)?;
                    let values = object.checked_add(size)?;
                    // Its fourth byte says whether the array is in use.
                    let is_used = self.memory.u8_at(values.checked_add(3)?)? == 1;
                    is_used.then_some(Place::Array(keys(offset)?, values.checked_add(8)?))
                }
                0 => None,
                dictionary => Some(Place::Dictionary(dictionary)),
            },
            _ => {
                let offset = self.memory.u64_at(class.checked_add(TYPE_DICTIONARY)?)?;
                // A negative one counts from the end of an object of variable size.
                let offset = (1..1 << 16).contains(&offset).then_some(offset)?;
                Some(Place::Dictionary(self.pointer(object, offset)?))
            }
        }
    }

    fn value(&mut self, keys: u64, values: Option<u64>, name: &str) -> Option<u64> {
        let entries = self.entries(keys)?;
        let length = entries.count.checked_mul(entries.size)?;
        let bytes = self
            .memory
            .bytes(entries.address, usize::try_from(length).ok()?)?;
        let size = usize::try_from(entries.size).ok()?;
        let key = usize::try_from(entries.key).ok()?;
        for (index, entry) in (0..).zip(bytes.chunks_exact(size)) {
            if self.limit.is_reached() {
                return None;
            }
            let pointer = |at: usize| {
                let bytes = entry.get(at..)?.first_chunk()?;
                Some(u64::from_le_bytes(*bytes))
            };
            let found = pointer(key).filter(|key| *key != 0);
            // Keys may be of any type.
            let is_it = found.and_then(|key| self.is_text(key, name));
            if is_it == Some(true) {
                let value = match values {
                    Some(values) => self.pointer(values, index * 8)?,
                    None => pointer(key + 8)?,
                };
                return Some(value).filter(|value| *value != 0);
            }
        }
        None
    }

    fn entries(&self, keys: u64) -> Option<Entries> {
        let at = |offset| keys.checked_add(offset);
        let (index_size, start, count, has_hashes) = match self.layout.keys {
            Keys::Sized => {
                let size = self.memory.u64_at(at(8)?)?;
                // The index has as few bytes for each slot as the size needs.
                let width = match size {
                    0..=0xff => 1,
                    0x100..=0xffff => 2,
                    0x1_0000..=0xffff_ffff => 4,
                    _ => return None,
                };
                (size * width, 40, self.memory.u64_at(at(32)?)?, true)
            }
            Keys::Logarithmic => {
                let size = self.memory.u8_at(at(9)?)?;
                let kind = self.memory.u8_at(at(10)?)?;
                if size > 32 || kind > 2 {
                    return None;
                }
                (1 << size, 32, self.memory.u64_at(at(24)?)?, kind == 0)
            }
        };
        Some(Entries {
            address: at(start)?.checked_add(index_size)?,
            count: Some(count).filter(|count| *count <= ENTRIES_MAX)?,
            size: if has_hashes { 24 } else { 16 },
            key: if has_hashes { 8 } else { 0 },
        })
    }
}
