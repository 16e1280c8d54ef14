//! Where the running kernel keeps the fields that the walk reads, from its BTF.
//!
//! `/sys/kernel/btf/vmlinux` has the format of the kernel's `Documentation/bpf/btf.rst`: a header, types
//! (the n-th has ID n), and their names. Of its several megabytes a few hundred bytes are needed, so it is
//! streamed: allocating memory for all of it takes longer than reading it. No file is opened here.

mod sections;
mod types;

use std::io::{BufReader, Read, Seek};

pub use crate::collector::holders::bpf::btf::sections::BtfError;
use crate::collector::holders::bpf::btf::sections::{Names, Sections};
use crate::collector::holders::bpf::btf::types::{FUNC, STRUCT, Types};

/// The size of the read buffer, in bytes.
const BUFFER: usize = 64 * 1024;

/// Where the running kernel keeps what the walk reads: offsets in bytes, and BTF IDs.
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
    /// The IDs of structures.
    pub task: u32,
    pub file: u32,
    /// The IDs of functions.
    pub iter_task: u32,
    pub rdonly_cast: u32,
    pub num_new: u32,
    pub num_next: u32,
    pub num_destroy: u32,
}

impl Layout {
    /// # Errors
    /// If the file cannot be read, is no BTF of this machine's byte order, or lacks something.
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

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use rustc_hash::FxHashMap;

    use super::*;
    use crate::collector::holders::bpf::btf::sections::MAGIC;
    use crate::collector::holders::bpf::btf::types::ARRAY;

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

    /// The types of a kernel, with the fields of tasks in an anonymous structure.
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
        // A second type with the same name, which is ignored.
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
        // 20,000 members of the same type: without a limit, the search would never end.
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
