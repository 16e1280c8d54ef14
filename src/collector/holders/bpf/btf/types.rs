//! The types of a BTF file: IDs of structures and functions, offsets of fields.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::collector::holders::bpf::btf::sections::{BtfError, Names, Sections, word};

/// Kinds of types.
pub(super) const ARRAY: u32 = 3;
pub(super) const STRUCT: u32 = 4;
const UNION: u32 = 5;
pub(super) const FUNC: u32 = 12;
/// The depth to which anonymous members are searched.
const DEPTH: u32 = 4;
/// The size of a member, in bytes: its name, type and offset.
const MEMBER: usize = 12;
/// The size of a pointer, in bytes.
const WORD: i16 = 8;

/// `struct btf_type`: a name; the kind, the number of members and a flag; a size or a type.
struct Head {
    name: u32,
    info: u32,
}

impl Head {
    fn read(file: &mut impl Read) -> io::Result<Head> {
        let mut words = [[0; 4]; 3];
        file.read_exact(words.as_flattened_mut())?;
        let [name, info, _] = words.map(u32::from_ne_bytes);
        Ok(Head { name, info })
    }

    fn kind(&self) -> u32 {
        (self.info >> 24) & 31
    }

    /// Whether the offsets of members share their words with the sizes of bit fields.
    fn has_bit_sizes(&self) -> bool {
        self.info >> 31 == 1
    }

    /// How many bytes follow the head; `None` if the kind is unknown.
    fn tail(&self) -> Option<u32> {
        let members = self.info & 0xffff;
        Some(match self.kind() {
            // The encoding of an integer, linkage of a variable, place of a tag.
            1 | 14 | 17 => 4,
            ARRAY => 12,
            // Members, variables of a section, 64-bit constants.
            STRUCT | UNION | 15 | 19 => 12 * members,
            // Constants, parameters.
            6 | 13 => 8 * members,
            // Pointers, forward declarations, typedefs, qualifiers, functions, floats, type tags.
            2 | 7..=FUNC | 16 | 18 => 0,
            _ => return None,
        })
    }
}

/// The types that may be needed.
#[derive(Default)]
pub(super) struct Types {
    /// The ID of the first type with each wanted name, by kind and name.
    ids: FxHashMap<(u32, u32), u32>,
    /// The members of those, and of anonymous structures and unions.
    members: FxHashMap<u32, Members>,
    /// The bytes of all these members.
    bytes: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Members {
    start: usize,
    end: usize,
    has_bit_sizes: bool,
}

impl Types {
    pub(super) fn find(
        file: &mut BufReader<impl Read + Seek>,
        sections: &Sections,
        names: &Names,
    ) -> Result<Types, BtfError> {
        let (start, length) = sections.types;
        file.seek(SeekFrom::Start(start))?;
        let wanted: FxHashSet<u32> = names.all().collect();
        let mut types = Types::default();
        let mut left = length;
        let mut id = 0;
        while left > 0 {
            id += 1;
            let head = Head::read(file)?;
            let tail = head.tail().ok_or(BtfError::Malformed)?;
            left = left
                .checked_sub(12 + u64::from(tail))
                .ok_or(BtfError::Malformed)?;
            let kind = head.kind();
            let is_wanted = matches!(kind, STRUCT | FUNC)
                && wanted.contains(&head.name)
                && !types.ids.contains_key(&(kind, head.name));
            if is_wanted {
                types.ids.insert((kind, head.name), id);
            }
            if matches!(kind, STRUCT | UNION) && (is_wanted || head.name == 0) {
                let start = types.bytes.len();
                let mut members = file.by_ref().take(tail.into());
                if members.read_to_end(&mut types.bytes)? < tail as usize {
                    return Err(BtfError::Malformed);
                }
                let members = Members {
                    start,
                    end: types.bytes.len(),
                    has_bit_sizes: head.has_bit_sizes(),
                };
                types.members.insert(id, members);
            } else {
                file.seek_relative(tail.into())?;
            }
        }
        Ok(types)
    }

    pub(super) fn id(
        &self,
        kind: u32,
        name: Option<u32>,
        missing: &'static str,
    ) -> Result<u32, BtfError> {
        let id = name.and_then(|name| self.ids.get(&(kind, name)));
        id.copied().ok_or(BtfError::Missing(missing))
    }

    /// The offset of a field in a structure, in bytes. An instruction has room for 32,767, and the word
    /// after the field must be within reach too.
    pub(super) fn offset(
        &self,
        structure: Option<u32>,
        field: Option<u32>,
        missing: &'static str,
    ) -> Result<i16, BtfError> {
        let id = self.id(STRUCT, structure, missing)?;
        let mut inside = FxHashSet::default();
        let bits = field.and_then(|field| self.bits(id, field, DEPTH, &mut inside));
        bits.filter(|bits| bits.is_multiple_of(8))
            .and_then(|bits| i16::try_from(bits / 8).ok())
            .filter(|bytes| bytes.checked_add(WORD).is_some())
            .ok_or(BtfError::Missing(missing))
    }

    /// The offset of a field in a structure or union, in bits. The fields of an anonymous member belong to
    /// the structure. `inside` holds the types that were searched already and do not have the field.
    fn bits(&self, id: u32, field: u32, depth: u32, inside: &mut FxHashSet<u32>) -> Option<u32> {
        inside.insert(id).then_some(())?;
        let members = self.members.get(&id)?;
        let bytes = self.bytes.get(members.start..members.end)?;
        let depth = depth.checked_sub(1)?;
        let (bytes, _) = bytes.as_chunks::<MEMBER>();
        bytes.iter().find_map(|member| {
            let (name, of) = (word(member, 0)?, word(member, 4)?);
            let mut offset = word(member, 8)?;
            if members.has_bit_sizes {
                offset &= 0x00ff_ffff;
            }
            match name {
                _ if name == field => Some(offset),
                0 => offset.checked_add(self.bits(of, field, depth, inside)?),
                _ => None,
            }
        })
    }
}
