//! The executable and the libraries of a process: ELF files that are read in parts and never mapped,
//! because a file that is cut off meanwhile would end this process. See elf(5).

use std::io::{Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use object::elf::{self, FileHeader64, SectionHeader64, Sym64};
use object::endian::LittleEndian;
use object::read::elf::{
    FileHeader, ProgramHeader, SectionHeader, SectionTable, Sym, SymbolTable as Symbols,
};
use object::read::{ReadCache, ReadRef, SectionIndex};

use super::maps::{Mapping, Mappings};
use super::memory::Memory;
use crate::collector::file::{self, Opened};
use crate::model::{Name, Words};

/// The most bytes of one part of a file, such as a section.
const PART_MAX: u64 = 96 << 20;
/// The bytes at the beginning of a file by which it is recognized: its headers, and mostly its build ID.
const HEAD: usize = 4096;
/// Pages are at least this large.
const PAGE: u64 = 4096;

/// Why a file is not read that is no longer what the process began to run.
pub(super) const CHANGED: &str = "was changed after the program had started";
/// How much later a file must have been changed: the times of processes and files differ a little.
const TOLERANCE: Duration = Duration::from_secs(1);

/// Anything that an ELF file can be read from.
trait Source: Read + Seek {}
impl<T: Read + Seek> Source for T {}

type Header = FileHeader64<LittleEndian>;

/// A mapped ELF file of 64 bits.
pub struct Elf {
    cache: ReadCache<Box<dyn Source>>,
    /// What must be added to an address of the file, to give that in the process. It wraps around.
    pub(super) bias: u64,
}

/// Reads no part that is too large.
#[derive(Clone, Copy)]
pub(super) struct Capped<'a>(&'a ReadCache<Box<dyn Source>>);

impl<'a> ReadRef<'a> for Capped<'a> {
    fn len(self) -> Result<u64, ()> {
        self.0.len()
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        if size > PART_MAX {
            return Err(());
        }
        self.0.read_bytes_at(offset, size)
    }

    fn read_bytes_at_until(self, range: std::ops::Range<u64>, end: u8) -> Result<&'a [u8], ()> {
        self.0.read_bytes_at_until(range, end)
    }
}

impl Elf {
    /// Opens the file of a mapping, if it is still the file that was mapped.
    ///
    /// # Errors
    /// Why it cannot be read, in words that follow the name of the file.
    pub(super) fn open(
        root: &Path,
        mappings: &Mappings,
        mapping: &Mapping,
        memory: &impl Memory,
    ) -> Result<Elf, Words> {
        let path = mapping.path.clone().ok_or("is no file")?;
        let first = mappings.of_file(mapping).find(|first| first.offset == 0);
        let head = first.and_then(|first| memory.bytes(first.start, HEAD));
        let mut found: Result<Opened, Words> = Err("cannot be opened".into());
        for candidate in candidates(root, mapping, &path) {
            let Ok(file) = file::open(&candidate) else {
                continue;
            };
            if is_mapped(&file, mapping, head.as_deref()) {
                found = Ok(file);
                break;
            }
            found = Err("has been replaced".into());
        }
        let file = found?;
        if mappings
            .started
            .is_some_and(|started| is_changed_since(&file, root, started))
        {
            return Err(CHANGED.into());
        }
        Elf::of_source(Box::new(file), |elf| elf.bias_of(mapping))
            .ok_or_else(|| "is no ELF file that can be read".into())
    }

    /// An ELF file from its bytes, as if it were mapped with this bias.
    #[cfg(any(test, fuzzing))]
    pub fn of_bytes(bytes: Vec<u8>, bias: u64) -> Option<Elf> {
        Elf::of_source(Box::new(std::io::Cursor::new(bytes)), |_| Some(bias))
    }

    fn of_source(source: Box<dyn Source>, bias: impl FnOnce(&Elf) -> Option<u64>) -> Option<Elf> {
        let mut elf = Elf {
            cache: ReadCache::new(source),
            bias: 0,
        };
        elf.header()?;
        elf.bias = bias(&elf)?;
        Some(elf)
    }

    fn data(&self) -> Capped<'_> {
        Capped(&self.cache)
    }

    fn header(&self) -> Option<&Header> {
        let header = Header::parse(self.data()).ok()?;
        header.endian().ok().map(|_| header)
    }

    fn bias_of(&self, mapping: &Mapping) -> Option<u64> {
        let headers = self.header()?.program_headers(LittleEndian, self.data());
        let mut loaded = headers.ok()?.iter().filter_map(|segment| {
            let is_loaded = segment.p_type(LittleEndian) == elf::PT_LOAD;
            let offset = segment.p_offset(LittleEndian);
            let end = offset.checked_add(segment.p_filesz(LittleEndian))?;
            let contains = (offset & !(PAGE - 1)..end).contains(&mapping.offset);
            let is_code = segment.p_flags(LittleEndian) & elf::PF_X != 0;
            // Two segments may share a page of the file.
            let is_it = is_loaded && contains && is_code == mapping.executable;
            is_it.then(|| {
                let address = segment.p_vaddr(LittleEndian).wrapping_sub(offset);
                mapping
                    .start
                    .wrapping_sub(address.wrapping_add(mapping.offset))
            })
        });
        loaded.next()
    }

    fn sections(&self) -> Option<SectionTable<'_, Header, Capped<'_>>> {
        self.header()?.sections(LittleEndian, self.data()).ok()
    }

    fn header_of(&self, name: &str) -> Option<&SectionHeader64<LittleEndian>> {
        let sections = self.sections()?;
        let (_, section) = sections.section_by_name(LittleEndian, name.as_bytes())?;
        Some(section)
    }

    /// The bytes of a section. `None` also if it is compressed, or too large.
    pub(super) fn section(&self, name: &str) -> Option<&[u8]> {
        let section = self.header_of(name)?;
        if section.sh_flags(LittleEndian) & u64::from(elf::SHF_COMPRESSED) != 0 {
            return None;
        }
        section.data(LittleEndian, self.data()).ok()
    }

    /// The addresses of a section in the file, whatever it contains: `.bss` has no bytes there.
    pub(super) fn range(&self, name: &str) -> Option<std::ops::Range<u64>> {
        let section = self.header_of(name)?;
        let start = section.sh_addr(LittleEndian);
        Some(start..start.checked_add(section.sh_size(LittleEndian))?)
    }

    /// The symbols of `.symtab`, or if that was stripped, of `.dynsym`.
    pub(super) fn symbols(&self) -> Option<Symbols<'_, Header, Capped<'_>>> {
        let sections = self.sections()?;
        let table = |kind| {
            let symbols = sections.symbols(LittleEndian, self.data(), kind).ok()?;
            (!symbols.is_empty()).then_some(symbols)
        };
        table(elf::SHT_SYMTAB).or_else(|| table(elf::SHT_DYNSYM))
    }

    /// The separate file with the symbols that were stripped from this one, where a package of the
    /// distribution has put it in the process's file system (gdb, "Separate Debug Files").
    pub(super) fn debug_file(&self, root: &Path) -> Option<Elf> {
        let id = self.build_id()?;
        let (first, rest) = id.split_first()?;
        let hex = |bytes: &[u8]| {
            bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        let name = format!("{:02x}/{}.debug", first, hex(rest));
        let path = root.join("root/usr/lib/debug/.build-id").join(name);
        let file = file::open(&path).ok()?;
        let elf = Elf::of_source(Box::new(file), |_| Some(self.bias))?;
        (elf.build_id()? == id).then_some(elf)
    }

    /// What identifies the build of a file.
    fn build_id(&self) -> Option<&[u8]> {
        /// The sizes of name and content, the type, and the name `GNU`.
        const HEADER: usize = 16;
        /// As SHA-1 has.
        const SIZE: usize = 20;
        let note = self.section(".note.gnu.build-id")?;
        note.get(HEADER..HEADER + SIZE)
    }

    /// The names of symbols, each of which ends with a zero byte.
    pub(super) fn strings<'a>(
        &'a self,
        symbols: &Symbols<'a, Header, Capped<'a>>,
    ) -> Option<&'a [u8]> {
        let sections = self.sections()?;
        let section = sections.section(symbols.string_section()).ok()?;
        section.data(LittleEndian, self.data()).ok()
    }

    /// Whether an address of the file is in the section of a symbol.
    pub(super) fn is_in_section_of(&self, symbol: &Sym64<LittleEndian>, address: u64) -> bool {
        let number = SectionIndex(symbol.st_shndx(LittleEndian).into());
        let sections = self.sections();
        let section = sections.and_then(|sections| sections.section(number).ok());
        section.is_some_and(|section| {
            let start = section.sh_addr(LittleEndian);
            let offset = address.checked_sub(start);
            offset.is_some_and(|offset| offset < section.sh_size(LittleEndian))
        })
    }

    /// The address of a symbol in the process.
    pub(super) fn symbol(&self, name: &str) -> Option<u64> {
        let symbols = self.symbols()?;
        // At once, because each access to a part of the file reads it.
        let strings = self.strings(&symbols)?;
        let is_it = |symbol: &&Sym64<LittleEndian>| {
            let is_defined = symbol.st_shndx(LittleEndian) != elf::SHN_UNDEF;
            let start = symbol.st_name(LittleEndian) as usize;
            let rest = strings.get(start..).unwrap_or_default();
            let is_named = rest.strip_prefix(name.as_bytes());
            is_defined && is_named.is_some_and(|rest| rest.first() == Some(&0))
        };
        let symbol = symbols.iter().find(is_it)?;
        Some(symbol.st_value(LittleEndian).wrapping_add(self.bias))
    }
}

/// Where the file of a mapping may be opened: at its path in the process's mount namespace, or without a
/// path, which needs CAP_CHECKPOINT_RESTORE (proc_pid_map_files(5)). The path of a file on a mount that
/// this program sees too is that seen from here, even if the process is in a chroot.
fn candidates(root: &Path, mapping: &Mapping, path: &Name) -> [PathBuf; 4] {
    let path = Path::new(std::ffi::OsStr::from_bytes(path.bytes()));
    let below = path.strip_prefix("/").unwrap_or(path);
    let range = format!("map_files/{:x}-{:x}", mapping.start, mapping.end);
    [
        root.join("root").join(below),
        root.join(range),
        root.join("exe"),
        path.to_owned(),
    ]
}

/// Whether this is the mapped file. On some file systems (overlayfs, btrfs) the numbers of the mapping
/// are not those of stat(2): there the beginning must be equal.
fn is_mapped(file: &Opened, mapping: &Mapping, head: Option<&[u8]>) -> bool {
    let is_same = file.metadata().is_ok_and(|found| {
        let device = (
            rustix::fs::major(found.dev()),
            rustix::fs::minor(found.dev()),
        );
        (device, found.ino()) == (mapping.device, mapping.inode)
    });
    is_same || {
        let mut beginning = [0; HEAD];
        head.is_some_and(|head| {
            let read = file.read_some_at(&mut beginning, 0);
            read.is_ok_and(|read| read == HEAD && head == beginning)
        })
    }
}

/// Whether the content of a file may have been changed after the process started (inode(7)). Its pages are
/// shared with the process, so that they do not show it.
///
/// A copy may keep the time of modification of its source, so the time of the last status change counts,
/// too. But another name that is removed or added also sets that; and the content of the executable cannot
/// change, but it may be moved aside.
fn is_changed_since(file: &Opened, root: &Path, started: SystemTime) -> bool {
    let Ok(found) = file.metadata() else {
        return false;
    };
    let limit = started.checked_add(TOLERANCE);
    let limit = limit.and_then(|limit| limit.duration_since(UNIX_EPOCH).ok());
    let Some(limit) = limit.and_then(|limit| i64::try_from(limit.as_secs()).ok()) else {
        return false;
    };
    let is_executable = || {
        file::metadata(&root.join("exe"))
            .is_ok_and(|exe| (exe.dev(), exe.ino()) == (found.dev(), found.ino()))
    };
    found.mtime() > limit || (found.ctime() > limit && found.nlink() == 1 && !is_executable())
}

#[cfg(test)]
mod tests {
    use super::super::memory::ProcessMemory;
    use super::*;

    fn ours() -> (Mappings, Mapping) {
        let mappings = Mappings::read(Path::new("/proc/self")).unwrap();
        let code = mappings.find(ours as *const () as u64).unwrap().clone();
        (mappings, code)
    }

    #[test]
    fn our_own_executable_is_found_with_its_functions() {
        let root = Path::new("/proc/self");
        let (mappings, code) = ours();
        let memory = ProcessMemory::open(root, &mappings).unwrap();
        let elf = Elf::open(root, &mappings, &code, &memory).unwrap();
        assert!(elf.symbol("main").is_some());
        let frames = elf.section(".eh_frame").unwrap();
        let address = elf.range(".eh_frame").unwrap().start;
        let there = memory.bytes(address.wrapping_add(elf.bias), 64);
        assert_eq!(there.as_deref(), frames.get(..64));
        assert!(elf.symbol("closewait has no such function").is_none());
    }

    #[test]
    fn a_file_that_took_the_place_of_the_mapped_one_is_not_read() {
        let root = Path::new("/proc/self");
        let (mappings, mut code) = ours();
        let memory = ProcessMemory::open(root, &mappings).unwrap();
        code.path = Some(Name::new(*b"/bin of this test/sh"));
        code.inode += 1;
        code.start += 1;
        let dir = tempfile::tempdir().unwrap();
        let error = Elf::open(dir.path(), &mappings, &code, &memory).err();
        assert_eq!(error.unwrap().raw(), "cannot be opened");
        std::fs::create_dir_all(dir.path().join("root/bin of this test")).unwrap();
        std::fs::write(dir.path().join("root/bin of this test/sh"), b"\x7fELF").unwrap();
        let error = Elf::open(dir.path(), &mappings, &code, &memory).err();
        assert_eq!(error.unwrap().raw(), "has been replaced");
    }

    #[test]
    fn a_file_that_was_changed_after_the_start_is_not_read() {
        let root = Path::new("/proc/self");
        let (mapped, code) = ours();
        let memory = ProcessMemory::open(root, &mapped).unwrap();
        let mut mappings = mapped.clone();
        let of_file = file::metadata(Path::new("/proc/self/exe")).unwrap();
        let modified = of_file.modified().unwrap();
        assert!(mappings.started.unwrap() <= SystemTime::now());
        // As if this program had been built while it ran.
        mappings.started = modified.checked_sub(TOLERANCE * 3);
        let error = Elf::open(root, &mappings, &code, &memory).err();
        assert_eq!(error.unwrap().raw(), CHANGED);
        mappings.started = modified.checked_add(TOLERANCE * 3);
        assert!(Elf::open(root, &mappings, &code, &memory).is_ok());
    }

    #[test]
    fn a_copy_that_keeps_its_time_and_a_file_without_a_name_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lib.so");
        std::fs::write(&path, b"new").unwrap();
        let old = SystemTime::now() - Duration::from_secs(1000);
        let started = SystemTime::now() - Duration::from_secs(100);
        std::fs::File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_modified(old))
            .unwrap();
        let file = file::open(&path).unwrap();
        let is_changed = || is_changed_since(&file, dir.path(), started);
        assert!(is_changed());
        // It is the executable, perhaps moved aside.
        std::os::unix::fs::symlink(&path, dir.path().join("exe")).unwrap();
        assert!(!is_changed());
        std::fs::remove_file(dir.path().join("exe")).unwrap();
        // A package took its place.
        std::fs::remove_file(&path).unwrap();
        assert!(!is_changed());
    }

    #[test]
    fn what_is_no_elf_file_is_none() {
        let whole = std::fs::read("/proc/self/exe").unwrap();
        for length in [0, 4, 16, 63] {
            assert!(Elf::of_bytes(whole[..length].to_vec(), 0).is_none());
        }
        // Cut off behind its header.
        let elf = Elf::of_bytes(whole[..4096].to_vec(), 0).unwrap();
        assert!(elf.section(".text").is_none() && elf.symbol("main").is_none());
    }
}
