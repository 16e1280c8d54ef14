//! What the running kernel says of its own types, and where in them the walk's fields are.
//!
//! `/sys/kernel/btf/vmlinux` in the format of the kernel's `Documentation/bpf/btf.rst`: a header,
//! types of which the n-th has the id n, and their names. It is several megabytes, of which a few
//! hundred bytes are wanted, so it streams by: memory for all of it would take longer to get than
//! it takes to read. No file is opened here.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use rustc_hash::{FxHashMap, FxHashSet};

/// Why the types could not be used.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    #[error("the kernel's types (BTF) could not be read: {0}")]
    Read(io::Error),
    #[error("the kernel's types (BTF) are not in a form that is known here")]
    Malformed,
    #[error("the kernel has no {0}")]
    Missing(&'static str),
}

impl From<io::Error> for BtfError {
    fn from(error: io::Error) -> BtfError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => BtfError::Malformed,
            _ => BtfError::Read(error),
        }
    }
}

/// Where the kernel keeps what the walk reads: offsets in bytes, and BTF ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    pub task_pid: i16,
    pub task_tgid: i16,
    pub task_files: i16,
    pub task_leader: i16,
    /// A `struct list_head`: the thread after this one, and the one before.
    pub task_threads: i16,
    pub files_fdt: i16,
    pub fdt_max: i16,
    pub fdt_fd: i16,
    pub file_inode: i16,
    pub file_operations: i16,
    pub inode_number: i16,
    /// The ids of structures.
    pub task: u32,
    pub file: u32,
    /// The ids of functions.
    pub iter_task: u32,
    pub rdonly_cast: u32,
    pub num_new: u32,
    pub num_next: u32,
    pub num_destroy: u32,
}

impl Layout {
    /// # Errors
    /// When it cannot be read, is no BTF of this machine's byte order, or lacks something.
    pub fn read(file: impl Read + Seek) -> Result<Layout, BtfError> {
        let mut file = BufReader::with_capacity(BUFFER, file);
        let sections = Sections::read(&mut file)?;
        let names = Names::find(&mut file, &sections)?;
        let types = Types::find(&mut file, &sections, &names)?;
        let offset = |of, field| types.offset(names.of(of), names.of(field), field);
        let structure = |name| types.id(STRUCT, names.of(name), name);
        let function = |name| types.id(FUNC, names.of(name), name);
        Ok(Layout {
            task_pid: offset("task_struct", "pid")?,
            task_tgid: offset("task_struct", "tgid")?,
            task_files: offset("task_struct", "files")?,
            task_leader: offset("task_struct", "group_leader")?,
            task_threads: offset("task_struct", "thread_node")?,
            files_fdt: offset("files_struct", "fdt")?,
            fdt_max: offset("fdtable", "max_fds")?,
            fdt_fd: offset("fdtable", "fd")?,
            file_inode: offset("file", "f_inode")?,
            file_operations: offset("file", "f_op")?,
            inode_number: offset("inode", "i_ino")?,
            task: structure("task_struct")?,
            file: structure("file")?,
            iter_task: function("bpf_iter_task")?,
            rdonly_cast: function("bpf_rdonly_cast")?,
            num_new: function("bpf_iter_num_new")?,
            num_next: function("bpf_iter_num_next")?,
            num_destroy: function("bpf_iter_num_destroy")?,
        })
    }
}

/// Every name that [`Layout::read`] asks for.
const WANTED: [&str; 21] = [
    "task_struct",
    "files_struct",
    "fdtable",
    "file",
    "inode",
    "pid",
    "tgid",
    "files",
    "group_leader",
    "thread_node",
    "fdt",
    "max_fds",
    "fd",
    "f_inode",
    "f_op",
    "i_ino",
    "bpf_iter_task",
    "bpf_rdonly_cast",
    "bpf_iter_num_new",
    "bpf_iter_num_next",
    "bpf_iter_num_destroy",
];

const MAGIC: u16 = 0xeb9f;
const BUFFER: usize = 64 * 1024;
/// Kinds of types.
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const FUNC: u32 = 12;
/// Members of members of members: as deep as a nameless one is looked into.
const DEPTH: u32 = 4;
/// Name, type and offset of a member.
const MEMBER: usize = 12;
/// Bytes of a pointer.
const WORD: i16 = 8;

/// Where types and names are in the file, and how long they are, in bytes.
struct Sections {
    types: (u64, u64),
    names: (u64, u64),
}

impl Sections {
    fn read(file: &mut impl Read) -> Result<Sections, BtfError> {
        let mut header = [0; 24];
        file.read_exact(&mut header)?;
        if header.first_chunk().copied().map(u16::from_ne_bytes) != Some(MAGIC) {
            return Err(BtfError::Malformed);
        }
        let word = |at| word(&header, at).map(u64::from).ok_or(BtfError::Malformed);
        // Both are counted from the end of the header, which may have grown.
        let end = word(4)?;
        Ok(Sections {
            types: (end + word(8)?, word(12)?),
            names: (end + word(16)?, word(20)?),
        })
    }
}

/// Where the wanted names are; every type says its own in this way.
struct Names(FxHashMap<&'static [u8], u32>);

impl Names {
    fn find(file: &mut (impl BufRead + Seek), sections: &Sections) -> Result<Names, BtfError> {
        let (start, length) = sections.names;
        file.seek(SeekFrom::Start(start))?;
        let mut section = file.take(length);
        let wanted: FxHashSet<&[u8]> = WANTED.iter().map(|name| name.as_bytes()).collect();
        // The lengths of the wanted names that begin with a byte: few others have one of them.
        let mut lengths = [0u32; 256];
        for name in &wanted {
            let first = name.first().copied().unwrap_or_default();
            if let Some(lengths) = lengths.get_mut(usize::from(first)) {
                *lengths |= 1 << name.len();
            }
        }
        let mut found = FxHashMap::default();
        let mut name = Vec::new();
        let mut at = 0;
        loop {
            name.clear();
            let read = section.read_until(0, &mut name)?;
            if read == 0 {
                return Ok(Names(found));
            }
            let bytes = name.strip_suffix(&[0]).ok_or(BtfError::Malformed)?;
            let length = 1u32.checked_shl(bytes.len() as u32).unwrap_or(0);
            if let [first, ..] = bytes
                && let Some(lengths) = lengths.get(usize::from(*first))
                && lengths & length != 0
                && let Some(wanted) = wanted.get(bytes)
            {
                found.insert(*wanted, at);
            }
            at = u32::try_from(read)
                .ok()
                .and_then(|read| at.checked_add(read))
                .ok_or(BtfError::Malformed)?;
        }
    }

    /// `None` for one that the kernel does not have, or that nobody said is wanted.
    fn of(&self, name: &str) -> Option<u32> {
        self.0.get(name.as_bytes()).copied()
    }
}

/// `struct btf_type`: a name; kind, number of members and a flag; a size or a type.
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

    /// Offsets of members share their word with the sizes of bit fields.
    fn has_bit_sizes(&self) -> bool {
        self.info >> 31 == 1
    }

    /// How many bytes follow it; `None` for a kind that is not known.
    fn tail(&self) -> Option<u32> {
        let members = self.info & 0xffff;
        Some(match self.kind() {
            // An integer's encoding, a variable's linkage, a tag's place.
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

/// The types that may matter.
#[derive(Default)]
struct Types {
    /// The first one of each wanted name, by kind.
    ids: FxHashMap<(u32, u32), u32>,
    /// The members of those, and of nameless structures and unions.
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
    fn find(
        file: &mut BufReader<impl Read + Seek>,
        sections: &Sections,
        names: &Names,
    ) -> Result<Types, BtfError> {
        let (start, length) = sections.types;
        file.seek(SeekFrom::Start(start))?;
        let wanted: FxHashSet<u32> = names.0.values().copied().collect();
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

    fn id(&self, kind: u32, name: Option<u32>, missing: &'static str) -> Result<u32, BtfError> {
        let id = name.and_then(|name| self.ids.get(&(kind, name)));
        id.copied().ok_or(BtfError::Missing(missing))
    }

    /// Where a field is in a structure, in bytes. An instruction has room for 32,767, and the
    /// field's second word is read too.
    fn offset(
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

    /// Where a field begins in a structure or union, in bits. The fields of a nameless member are
    /// the structure's own; one that was looked `inside` of does not have it.
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

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A BTF file while it is written.
    #[derive(Default)]
    struct Writer {
        types: Vec<u8>,
        names: Vec<u8>,
        count: u32,
        /// Each name is there once.
        places: FxHashMap<String, u32>,
    }

    impl Writer {
        fn name(&mut self, name: &str) -> u32 {
            if self.names.is_empty() {
                self.names.push(0);
            }
            if name.is_empty() {
                return 0;
            }
            let end = self.names.len() as u32;
            let at = *self.places.entry(name.to_owned()).or_insert(end);
            if at == end {
                self.names.extend(name.as_bytes());
                self.names.push(0);
            }
            at
        }

        fn words(&mut self, words: &[u32]) {
            for word in words {
                self.types.extend(word.to_ne_bytes());
            }
        }

        fn head(&mut self, name: &str, kind: u32, members: u32, flag: u32) -> u32 {
            let name = self.name(name);
            self.words(&[name, flag << 31 | kind << 24 | members, 0]);
            self.count += 1;
            self.count
        }

        /// Members are a name, a type and an offset in bits.
        fn structure(&mut self, name: &str, flag: u32, members: &[(&str, u32, u32)]) -> u32 {
            let id = self.head(name, STRUCT, members.len() as u32, flag);
            for (name, of, bits) in members {
                let name = self.name(name);
                self.words(&[name, *of, *bits]);
            }
            id
        }

        fn file(&self) -> Vec<u8> {
            let mut file = Vec::new();
            file.extend(MAGIC.to_ne_bytes());
            file.extend([1, 0]);
            let types = self.types.len() as u32;
            for word in [24, 0, types, types, self.names.len() as u32] {
                file.extend(u32::to_ne_bytes(word));
            }
            [file, self.types.clone(), self.names.clone()].concat()
        }
    }

    /// What a kernel would say, with the fields of tasks in a nameless structure of their own.
    fn kernel() -> Writer {
        let mut btf = Writer::default();
        // An integer, an array, an enumeration: each with a tail that must be stepped over.
        btf.head("int", 1, 0, 0);
        btf.words(&[32]);
        btf.head("", ARRAY, 0, 0);
        btf.words(&[1, 1, 3]);
        btf.head("colours", 6, 2, 0);
        btf.words(&[0, 1, 0, 2]);
        let inner = btf.structure("", 0, &[("pid", 1, 32), ("tgid", 1, 64)]);
        let fields = [
            ("", inner, 640),
            ("files", 1, 960),
            ("group_leader", 1, 1024),
            ("thread_node", 1, 1088),
        ];
        btf.structure("task_struct", 0, &fields);
        btf.structure("files_struct", 0, &[("fdt", 1, 256)]);
        // With the sizes of bit fields in the upper byte.
        btf.structure("fdtable", 1, &[("max_fds", 1, 0), ("fd", 1, 64 | 3 << 24)]);
        btf.structure("file", 0, &[("f_op", 1, 128), ("f_inode", 1, 256)]);
        btf.structure("inode", 0, &[("i_ino", 1, 512)]);
        // A second bearer of a name, which does not count.
        btf.structure("inode", 0, &[("i_ino", 1, 0)]);
        for function in ["task", "num_new", "num_next", "num_destroy"] {
            btf.head(&format!("bpf_iter_{function}"), FUNC, 0, 0);
        }
        btf.head("bpf_rdonly_cast", FUNC, 0, 0);
        btf
    }

    #[test]
    fn fields_are_found_also_in_nameless_members() {
        let layout = Layout::read(Cursor::new(kernel().file())).unwrap();
        let expected = Layout {
            task_pid: 84,
            task_tgid: 88,
            task_files: 120,
            task_leader: 128,
            task_threads: 136,
            files_fdt: 32,
            fdt_max: 0,
            fdt_fd: 8,
            file_inode: 32,
            file_operations: 16,
            inode_number: 64,
            task: 5,
            file: 8,
            iter_task: 11,
            num_new: 12,
            num_next: 13,
            num_destroy: 14,
            rdonly_cast: 15,
        };
        assert_eq!(layout, expected);
    }

    #[test]
    fn what_a_kernel_lacks_is_named() {
        let mut btf = Writer::default();
        btf.structure("task_struct", 0, &[("pid", 1, 0)]);
        let missing = Layout::read(Cursor::new(btf.file())).unwrap_err();
        assert_eq!(missing.to_string(), "the kernel has no tgid");
        // Too far away for an instruction, and not at a byte.
        for bits in [8 * 40_000, 8 * 32_760, 3] {
            let mut btf = Writer::default();
            btf.structure("task_struct", 0, &[("pid", 1, bits)]);
            let error = Layout::read(Cursor::new(btf.file())).unwrap_err();
            assert!(matches!(error, BtfError::Missing("pid")));
        }
    }

    #[test]
    fn a_nameless_member_is_looked_into_once() {
        let mut btf = Writer::default();
        btf.head("pid", 2, 0, 0);
        btf.structure("task_struct", 0, &[("", 3, 0)]);
        // Of the same structure, 20,000 times: to the power of the depth it would take for ever.
        btf.structure("", 0, &[("", 3, 0); 20_000]);
        let error = Layout::read(Cursor::new(btf.file())).unwrap_err();
        assert!(matches!(error, BtfError::Missing("pid")));
    }

    #[test]
    fn a_file_that_was_cut_or_changed_is_an_error_or_another_answer_but_no_panic() {
        let whole = kernel().file();
        for length in 0..whole.len() {
            let error = Layout::read(Cursor::new(&whole[..length])).unwrap_err();
            assert!(
                matches!(error, BtfError::Malformed | BtfError::Missing(_)),
                "{length}"
            );
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = whole.clone();
                changed[at] = value;
                let _ = Layout::read(Cursor::new(changed));
            }
        }
    }
}
