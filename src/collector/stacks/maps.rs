//! The mappings of a process (proc_pid_maps(5)).

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use procfs::FromBufRead;
use procfs::process::{MMPermissions, MMapPath, MemoryMap, MemoryMaps, Stat};
use rustix::fs::CWD;

use crate::collector::file;
use crate::collector::procfs::TICK_MS;
use crate::model::Name;
use crate::panics;

/// The most bytes of the text: 65,530 mappings (`vm.max_map_count`) with a path of 150 bytes each.
const TEXT_MAX: u64 = 16 << 20;
/// What the kernel appends to the path of a file that was deleted or replaced.
const DELETED: &[u8] = b" (deleted)";

/// A part of an address space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Where in the file it starts, in bytes.
    pub(super) offset: u64,
    pub(super) readable: bool,
    pub(super) executable: bool,
    /// Major and minor number; 0 and 0 if no file is mapped.
    pub(super) device: (u32, u32),
    pub(super) inode: u64,
    /// The file, in the mount namespace of the process.
    pub(super) path: Option<Name>,
    pub(super) deleted: bool,
}

impl Mapping {
    /// Whether reading it has no effect: it is no device, such as the registers of a network card.
    pub(super) fn is_memory(&self) -> bool {
        let path = self.path.as_ref().map_or(&b""[..], Name::bytes);
        let is_shared = [&b"/dev/shm/"[..], b"/dev/zero", b"/dev/hugepages/"];
        let is_device =
            path.starts_with(b"/dev/") && !is_shared.iter().any(|dir| path.starts_with(dir));
        self.readable && !is_device
    }
}

/// The mappings of a process, in the order of their addresses.
#[derive(Debug, Clone, Default)]
pub(super) struct Mappings {
    all: Vec<Mapping>,
    /// When the process started. A file that was changed later may not be what was mapped.
    pub(super) started: Option<SystemTime>,
}

impl Mappings {
    /// Reads them from the directory of a process. `None` if that is not permitted.
    pub(super) fn read(root: &Path) -> Option<Mappings> {
        let mut mappings = Mappings::parse(&file::read(&root.join("maps"), TEXT_MAX).ok()?)?;
        mappings.started = started(root);
        Some(mappings)
    }

    pub(super) fn parse(text: &[u8]) -> Option<Mappings> {
        let maps = panics::caught(|| MemoryMaps::from_buf_read(text))?.ok()?;
        let mut all: Vec<Mapping> = maps.into_iter().map(mapping).collect();
        all.sort_by_key(|mapping| mapping.start);
        Some(Mappings { all, started: None })
    }

    /// The mapping that contains an address.
    pub(super) fn find(&self, address: u64) -> Option<&Mapping> {
        let after = self.all.partition_point(|mapping| mapping.start <= address);
        let found = self.all.get(after.checked_sub(1)?)?;
        (address < found.end).then_some(found)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Mapping> {
        self.all.iter()
    }

    /// The mappings of the file of this one.
    pub(super) fn of_file<'a>(&'a self, one: &'a Mapping) -> impl Iterator<Item = &'a Mapping> {
        let of_it = |other: &&Mapping| {
            (other.device, other.inode, &other.path) == (one.device, one.inode, &one.path)
        };
        self.all.iter().filter(of_it)
    }
}

/// When a process started, by the clock of the host: `starttime` in proc_pid_stat(5) counts from the boot.
fn started(root: &Path) -> Option<SystemTime> {
    let stat: Stat = file::parsed_at(CWD, &root.join("stat"))?;
    let uptime = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let uptime = Duration::try_from(uptime).ok()?;
    let start = Duration::from_millis(stat.starttime.checked_mul(TICK_MS)?);
    SystemTime::now().checked_sub(uptime.checked_sub(start)?)
}

fn mapping(map: MemoryMap) -> Mapping {
    let (path, deleted) = match &map.pathname {
        MMapPath::Path(path) => match path.as_os_str().as_bytes() {
            path if path.ends_with(DELETED) => (path.strip_suffix(DELETED), true),
            path => (Some(path), false),
        },
        _ => (None, false),
    };
    Mapping {
        start: map.address.0,
        end: map.address.1,
        offset: map.offset,
        readable: map.perms.contains(MMPermissions::READ),
        executable: map.perms.contains(MMPermissions::EXECUTE),
        device: (map.dev.0.cast_unsigned(), map.dev.1.cast_unsigned()),
        inode: map.inode,
        path: path.map(Name::new),
        deleted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
55d0c7a00000-55d0c7a01000 r--p 00000000 fe:01 1234                       /usr/bin/a b (deleted)
55d0c7a01000-55d0c7a02000 r-xp 00001000 fe:01 1234                       /usr/bin/a b (deleted)
7f0000000000-7f0000001000 rw-s 00000000 00:05 9                          /dev/mem
7f0000001000-7f0000002000 rw-p 00000000 00:00 0 \x20
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
";

    #[test]
    fn mappings_are_found_by_address() {
        let mappings = Mappings::parse(TEXT.as_bytes()).unwrap();
        let code = mappings.find(0x55d0c7a01fff).unwrap();
        assert_eq!(code.path.as_ref().unwrap().bytes(), b"/usr/bin/a b");
        assert!(code.deleted && code.executable && code.is_memory());
        assert_eq!(
            (code.offset, code.device, code.inode),
            (0x1000, (0xfe, 1), 1234)
        );
        assert_eq!(mappings.of_file(code).count(), 2);
        assert!(!mappings.find(0x7f0000000000).unwrap().is_memory());
        assert!(mappings.find(0x7f0000001000).unwrap().is_memory());
        assert!(mappings.find(0x7ffc00000000).unwrap().is_memory());
        for beyond in [0, 0x55d0c79fffff, 0x55d0c7a02000, u64::MAX] {
            assert_eq!(mappings.find(beyond), None, "{beyond:x}");
        }
    }

    #[test]
    fn what_is_no_list_of_mappings_is_unknown() {
        assert!(Mappings::parse(b"x-y r--p").is_none());
        assert!(
            Mappings::read(Path::new("/proc/self"))
                .unwrap()
                .iter()
                .count()
                > 3
        );
    }
}
