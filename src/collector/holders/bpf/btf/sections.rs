//! The sections of a BTF file, and the offsets of the wanted names.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

use rustc_hash::{FxHashMap, FxHashSet};

pub(super) const MAGIC: u16 = 0xeb9f;

/// Why the types cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    #[error("the kernel's types (BTF) could not be read: {0}")]
    Read(io::Error),
    #[error("the kernel's types (BTF) have an unknown format")]
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

/// Every name that a layout needs.
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

/// Where types and names are in the file: start and length, in bytes.
pub(super) struct Sections {
    pub(super) types: (u64, u64),
    names: (u64, u64),
}

impl Sections {
    pub(super) fn read(file: &mut impl Read) -> Result<Sections, BtfError> {
        let mut header = [0; 24];
        file.read_exact(&mut header)?;
        if header.first_chunk().copied().map(u16::from_ne_bytes) != Some(MAGIC) {
            return Err(BtfError::Malformed);
        }
        let word = |at| word(&header, at).map(u64::from).ok_or(BtfError::Malformed);
        // Both offsets count from the end of the header, which newer kernels may extend.
        let end = word(4)?;
        Ok(Sections {
            types: (end.saturating_add(word(8)?), word(12)?),
            names: (end.saturating_add(word(16)?), word(20)?),
        })
    }
}

/// The offsets of the wanted names, by which types refer to their names.
pub(super) struct Names(FxHashMap<&'static [u8], u32>);

impl Names {
    pub(super) fn find(
        file: &mut (impl BufRead + Seek),
        sections: &Sections,
    ) -> Result<Names, BtfError> {
        let (start, length) = sections.names;
        file.seek(SeekFrom::Start(start))?;
        let mut section = file.take(length);
        let wanted: FxHashSet<&[u8]> = WANTED.iter().map(|name| name.as_bytes()).collect();
        // A bit for the length of each wanted name, by its first byte: few other names pass this.
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

    /// The offsets of all names that were found.
    pub(super) fn all(&self) -> impl Iterator<Item = u32> {
        self.0.values().copied()
    }

    /// The offset of a name. `None` if the kernel lacks it, or it is not in [`WANTED`].
    pub(super) fn of(&self, name: &str) -> Option<u32> {
        self.0.get(name.as_bytes()).copied()
    }
}

pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}
