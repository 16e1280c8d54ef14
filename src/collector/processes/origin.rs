//! When the files of a process, and what runs it, came to be: its executable and what is at that path
//! now, the script of an interpreter, libraries that were replaced after it had loaded them, the package, the service and the
//! container. See proc_pid_exe(5) and proc_pid_maps(5).
//!
//! The files are those of its own root directory, and their file system may not answer.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use procfs::process::Stat;
use rustix::fs::CWD;

use crate::collector::file::{self, Follow, Time, Tree};
use crate::collector::processes::package;
use crate::collector::procfs::{TICK_MS, is_ours, status_numbers};
use crate::collector::watchdog;
use crate::model::{
    Command, Evidence, Executable, Library, Manager, Name, Origin, Package, Pid, ServiceManager,
};

/// What the kernel appends to the path of a file that has been deleted (`fs/d_path.c`).
const DELETED: &str = " (deleted)";
/// The most lines of /proc/PID/maps that are read, and the most libraries that are named.
const MAPS_MAX: usize = 10_000;
const LIBRARIES_MAX: usize = 4;
/// The most different files that are looked at because they are mapped and deleted.
const DELETED_MAX: usize = 64;
/// Where programs unpack libraries that they delete on purpose.
const SCRATCH: [&str; 6] = ["/tmp/", "/var/tmp/", "/dev/", "/run/", "/memfd:", "/SYSV"];
/// How the names of scripts and archives end: of others, an interpreter may add the end.
const SCRIPTS: [&str; 13] = [
    ".cjs", ".jar", ".js", ".lua", ".mjs", ".php", ".pl", ".py", ".pyz", ".rb", ".sh", ".ts",
    ".war",
];
/// The longest path of a script of which nothing was cut off.
const SCRIPT_MAX: usize = 120;
/// The most executables whose package is searched in one run, a few milliseconds each.
const SEARCHES_MAX: usize = 8;
/// The most processes between one and process 1 of its PID namespace.
const ANCESTORS_MAX: usize = 64;
/// The longest name of a unit; see systemd.unit(5).
const SERVICE_NAME_MAX: usize = 255;

/// Reads origins. Workers of one program have the same executable and package, looked up once.
pub(super) struct Origins<'a> {
    proc_root: &'a Path,
    uptime_ms: Option<u64>,
    packages: HashMap<Place, Option<Package>>,
}

/// An executable: its root directory, by device and inode, and its path there.
type Place = (u64, u64, PathBuf);

impl<'a> Origins<'a> {
    pub(super) fn new(proc_root: &'a Path, uptime_ms: Option<u64>) -> Origins<'a> {
        Origins {
            proc_root,
            uptime_ms,
            packages: HashMap::new(),
        }
    }

    /// The origin of a process, of which the rest was read.
    pub(super) fn of(&mut self, evidence: &Evidence) -> Origin {
        let root = self.proc_root.join(evidence.pid.to_string());
        let inside = &evidence.inside;
        let service_at_ms = match &inside.manager {
            Some(Manager::Service { name, of }) => self.service(&root, name, *of),
            Some(Manager::Container(_)) | None => None,
        };
        let files = self.files(&root, evidence.command.as_ref());
        Origin {
            service_at_ms,
            container_age_ms: inside.pid.and_then(|_| self.container_age_ms(evidence.pid)),
            ..files.unwrap_or_default()
        }
    }

    /// What its executable, package and libraries tell; `None` if their file system does not answer.
    fn files(&mut self, root: &Path, command: Option<&Command>) -> Option<Origin> {
        // A process that waits for a disk may wait for these files, and holds up who reads its maps.
        let stat: Stat = file::parsed_at(CWD, &root.join("stat"))?;
        if stat.state == 'D' {
            return None;
        }
        let known = self.packages.clone();
        let root = root.to_owned();
        let script = command.map(|command| command.runs.bytes().to_vec());
        let may_search = known.len() < SEARCHES_MAX;
        let (origin, place) =
            watchdog::with_timeout(move || files(&root, script.as_deref(), &known, may_search))
                .ok()?;
        if let Some(place) = place {
            self.packages.insert(place, origin.package.clone());
        }
        Some(origin)
    }

    /// When a service was started: systemd makes this link whenever it starts one
    /// (`src/core/unit.c`, `unit_export_invocation_id`).
    fn service(&self, process: &Path, name: &Name, of: ServiceManager) -> Option<u64> {
        let name = String::from_utf8(name.bytes().to_vec()).ok()?;
        if name.contains('/') || name.len() > SERVICE_NAME_MAX {
            return None;
        }
        let link = match of {
            ServiceManager::System | ServiceManager::Container => {
                format!("/run/systemd/units/invocation:{name}")
            }
            ServiceManager::User(user) => {
                format!("/run/user/{user}/systemd/units/invocation:{name}")
            }
        };
        let init = self.proc_root.join("1");
        let trees = match of {
            ServiceManager::Container => vec![process.to_owned()],
            // Not every user may enter the root directory of process 1, which is usually ours too.
            _ if is_ours(self.proc_root) => vec![init, PathBuf::from("/proc/self")],
            _ => vec![init],
        };
        watchdog::with_timeout(move || {
            let mut trees = trees.iter().filter_map(|tree| Tree::of(tree).ok());
            Ok(trees.find_map(|tree| {
                let link = tree.metadata(Path::new(&link), Follow::No).ok()?;
                Time::Modified.of(&link)
            }))
        })
        .ok()?
    }

    /// How long ago process 1 of the PID namespace of a process started: the nearest ancestor in that
    /// namespace which has the number 1 there.
    fn container_age_ms(&self, pid: Pid) -> Option<u64> {
        let mut pid = pid.0;
        let mut depth = None;
        for _ in 0..ANCESTORS_MAX {
            let root = self.proc_root.join(pid.to_string());
            let status = file::text(&root.join("status")).ok()?;
            let numbers = status_numbers(&status, "NSpid:")?;
            if *depth.get_or_insert(numbers.len()) != numbers.len() {
                return None;
            }
            let stat: Stat = file::parsed_at(CWD, &root.join("stat"))?;
            if numbers.last() == Some(&1) {
                let started_ms = stat.starttime.saturating_mul(TICK_MS);
                return self.uptime_ms?.checked_sub(started_ms);
            }
            pid = u32::try_from(stat.ppid).ok().filter(|parent| *parent > 0)?;
        }
        None
    }
}

/// What the files of a process tell, by its directory in /proc; and its executable, if its package was
/// searched.
fn files(
    root: &Path,
    script: Option<&[u8]>,
    known: &HashMap<Place, Option<Package>>,
    may_search: bool,
) -> io::Result<(Origin, Option<Place>)> {
    let tree = Tree::of(root)?;
    let Some((executable, path)) = executable(root, &tree) else {
        return Ok((Origin::default(), None));
    };
    let libraries = libraries(root, &tree);
    let mut searched = None;
    let package = path.and_then(|path| {
        let root = tree.metadata(Path::new("/"), Follow::Yes).ok()?;
        let place = (root.dev(), root.ino(), path);
        match known.get(&place) {
            Some(package) => package.clone(),
            None if may_search => {
                let package = package::of(&tree, &place.2);
                searched = Some(place);
                package
            }
            None => None,
        }
    });
    let origin = Origin {
        executable: Some(executable),
        package,
        script_modified_ms: script.and_then(|script| script_modified_ms(root, &tree, script)),
        script_deleted: script.is_some_and(|script| is_gone(&tree, script)),
        ..libraries
    };
    Ok((origin, searched))
}

/// The executable, and its path if there is a file.
fn executable(root: &Path, tree: &Tree) -> Option<(Executable, Option<PathBuf>)> {
    let exe = root.join("exe");
    let link = file::link(&exe).ok()?;
    let file = file::metadata(&exe).ok().filter(Metadata::is_file)?;
    let is_it = |there: &Metadata| (there.dev(), there.ino()) == (file.dev(), file.ino());
    let at = |path: &Path| tree.metadata(path, Follow::Yes);
    let path = link.as_os_str().as_bytes().strip_suffix(DELETED.as_bytes());
    // A name may end like that.
    let Some(path) = path.filter(|_| !at(&link).is_ok_and(|there| is_it(&there))) else {
        let modified_ms = Time::Modified.of(&file)?;
        return Some((Executable::Current { modified_ms }, Some(link)));
    };
    let path = Path::new(OsStr::from_bytes(path));
    let other = at(path)
        .ok()
        .filter(|there| there.is_file() && !is_it(there));
    let times = other.and_then(|other| {
        let by_ms = Time::Status.of(&other)?;
        let modified_ms = Time::Modified.of(&other)?;
        Some((by_ms, modified_ms))
    });
    Some(match times {
        Some((by_ms, modified_ms)) => (
            Executable::Replaced { by_ms, modified_ms },
            Some(path.to_owned()),
        ),
        None => (Executable::Deleted, None),
    })
}

/// When a script was last changed, if what an interpreter runs is a file: a module or a class is none. A
/// relative path counts from where the process is now, which is where most were started.
fn script_modified_ms(root: &Path, tree: &Tree, script: &[u8]) -> Option<u64> {
    let place = file::link(&root.join("cwd")).ok()?;
    let script = place.join(OsStr::from_bytes(script));
    let script = tree.metadata(&script, Follow::Yes).ok();
    Time::Modified.of(&script.filter(Metadata::is_file)?)
}

/// Whether a script that was named by its whole path is not there, although its directory is.
fn is_gone(tree: &Tree, script: &[u8]) -> bool {
    let Ok(path) = std::str::from_utf8(script) else {
        return false;
    };
    let is_file = path.len() <= SCRIPT_MAX && SCRIPTS.iter().any(|end| path.ends_with(end));
    path.starts_with('/') && is_file && is_missing(tree, path)
}

/// Whether nothing is at a path, although its directory is there.
fn is_missing(tree: &Tree, path: &str) -> bool {
    let there = tree.metadata(Path::new(path), Follow::No);
    let place = Path::new(path).parent();
    there.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        && place.is_some_and(|place| {
            let place = tree.metadata(place, Follow::Yes);
            place.is_ok_and(|place| place.is_dir())
        })
}

/// Of the libraries that are mapped and deleted, those that have another file at their path, the last
/// replaced first, and those whose path has nothing. Some delete their own on purpose: the JVM's
/// unpack theirs into /tmp.
fn libraries(root: &Path, tree: &Tree) -> Origin {
    let Ok(lines) = file::lines(&root.join("maps")) else {
        return Origin::default();
    };
    let mut deleted: Vec<String> = Vec::new();
    for line in lines.take(MAPS_MAX).map_while(Result::ok) {
        if let Some(path) = deleted_library(&line)
            && !deleted.iter().any(|known| known == path)
            && deleted.len() < DELETED_MAX
        {
            deleted.push(path.to_owned());
        }
    }
    let name = |path: &str| {
        let (_, name) = path.rsplit_once('/')?;
        Some(Name::new(name.as_bytes()))
    };
    let mut old: Vec<Library> = deleted
        .iter()
        .filter_map(|path| {
            let other = tree.metadata(Path::new(path), Follow::Yes).ok();
            let other = other.filter(Metadata::is_file)?;
            Some(Library {
                name: name(path)?,
                by_ms: Time::Status.of(&other)?,
            })
        })
        .collect();
    old.sort_by(|one, other| (other.by_ms, one.name.bytes()).cmp(&(one.by_ms, other.name.bytes())));
    let is_own = |path: &str| SCRATCH.iter().any(|place| path.starts_with(place));
    let mut gone: Vec<Name> = deleted
        .iter()
        .filter(|path| !is_own(path) && is_missing(tree, path))
        .filter_map(|path| name(path))
        .collect();
    gone.sort_unstable();
    gone.dedup();
    Origin {
        more_libraries: beyond(old.len()),
        more_deleted: beyond(gone.len()),
        old_libraries: old.into_iter().take(LIBRARIES_MAX).collect(),
        deleted_libraries: gone.into_iter().take(LIBRARIES_MAX).collect(),
        ..Origin::default()
    }
}

/// How many are more than are named.
fn beyond(count: usize) -> u32 {
    u32::try_from(count.saturating_sub(LIBRARIES_MAX)).unwrap_or(u32::MAX)
}

/// The path in a line of proc_pid_maps(5), if code is mapped from a deleted library.
fn deleted_library(line: &str) -> Option<&str> {
    let (range_and_flags, _) = line.split_at_checked(line.find('/')?)?;
    let is_code = range_and_flags.split(' ').nth(1)?.contains('x');
    let path = line.get(range_and_flags.len()..)?.strip_suffix(DELETED)?;
    let (_, name) = path.rsplit_once('/')?;
    // The kernel escapes line feeds, and bytes that are not UTF-8 were replaced: another path.
    let is_whole = !path.contains(['\\', char::REPLACEMENT_CHARACTER]);
    (is_code && is_whole && name.contains(".so") && !path.starts_with("/memfd:")).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_a_deleted_library_is_told_by_its_line() {
        let line = |flags: &str, path: &str| {
            let line = format!("7f00-7f10 {flags} 00000000 08:01 77 {path}");
            deleted_library(&line).map(str::to_owned)
        };
        let ssl = "/usr/lib/libssl.so.3";
        let of = |flags: &str| line(flags, &format!("{ssl} (deleted)"));
        assert_eq!(of("r-xp").as_deref(), Some(ssl));
        assert_eq!(of("r--p"), None);
        assert_eq!(line("r-xp", ssl), None);
        assert_eq!(line("r-xp", "/memfd:x.so (deleted)"), None);
        assert_eq!(line("r-xp", "/tmp/a\\012.so (deleted)"), None);
        assert_eq!(line("r-xp", "/usr/bin/app (deleted)"), None);
        for odd in ["", "/", "7f00 /x.so (deleted)", "[vdso]", " (deleted)"] {
            assert_eq!(deleted_library(odd), None, "{odd}");
        }
    }

    #[test]
    fn deleted_libraries_are_named_unless_they_were_unpacked_for_a_while() {
        let dir = tempfile::tempdir().unwrap();
        for place in ["root/usr/lib", "root/tmp"] {
            std::fs::create_dir_all(dir.path().join(place)).unwrap();
        }
        std::fs::write(dir.path().join("root/usr/lib/libnew.so"), "").unwrap();
        let paths = [
            "/usr/lib/libb.so (deleted)",
            "/usr/lib/libb.so (deleted)",
            "/usr/lib/libnew.so (deleted)",
            "/usr/lib/libc.so.6",
            "/tmp/libjni.so (deleted)",
            "/elsewhere/liba.so (deleted)",
        ];
        let line = |path| format!("7f00-7f10 r-xp 00000000 08:01 77 {path}\n");
        let maps: String = paths.into_iter().map(line).collect();
        std::fs::write(dir.path().join("maps"), maps).unwrap();
        let found = libraries(dir.path(), &Tree::of(dir.path()).unwrap());
        assert_eq!(found.deleted_libraries, [Name::from("libb.so")]);
        assert_eq!(found.old_libraries.len(), 1);
        assert_eq!((found.more_libraries, found.more_deleted), (0, 0));
    }

    #[test]
    fn a_script_is_gone_if_its_whole_path_has_nothing_in_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("root/srv")).unwrap();
        std::fs::write(dir.path().join("root/srv/there.py"), "").unwrap();
        let tree = Tree::of(dir.path()).unwrap();
        let gone = |path: &str| is_gone(&tree, path.as_bytes());
        assert!(gone("/srv/app.py"));
        for path in [
            "/srv/there.py",
            "app.py",
            "/srv/app",
            "/no/app.py",
            "-m http",
        ] {
            assert!(!gone(path), "{path}");
        }
    }

    #[test]
    fn this_process_runs_the_file_at_its_path() {
        let (origin, _) = files(Path::new("/proc/self"), None, &HashMap::new(), true).unwrap();
        let exe = std::fs::metadata(std::env::current_exe().unwrap()).unwrap();
        let modified_ms = Time::Modified.of(&exe).unwrap();
        assert_eq!(origin.executable, Some(Executable::Current { modified_ms }));
    }

    /// A process whose executable is a link of this kind, in a tree with these files.
    fn of(link: &str, there: &[&str]) -> Option<Executable> {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("bin")).unwrap();
        for path in there {
            std::fs::write(root.join(path), "").unwrap();
        }
        let target = dir.path().join("running");
        std::fs::write(&target, "").unwrap();
        let exe = dir.path().join("exe");
        std::os::unix::fs::symlink(dir.path().join(link), &exe).unwrap();
        std::fs::hard_link(&target, dir.path().join(link)).ok();
        let tree = Tree::of(dir.path()).unwrap();
        executable(dir.path(), &tree).map(|(executable, _)| executable)
    }

    #[test]
    fn a_link_to_nothing_is_no_executable() {
        assert_eq!(of("missing/file", &[]), None);
        assert!(matches!(of("file", &[]), Some(Executable::Current { .. })));
        // The directories of the link do not exist in the tree.
        assert_eq!(of("file (deleted)", &[]), Some(Executable::Deleted));
    }

    /// A directory like a procfs, with what each process reports of itself: number, parent, start in
    /// hundredths of a second, and numbers in PID namespaces.
    fn procfs(processes: &[(u32, u32, u64, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (pid, parent, start, numbers) in processes {
            let place = dir.path().join(pid.to_string());
            std::fs::create_dir_all(place.join("root")).unwrap();
            let fields = format!("{pid} (x) S {parent} {} {start}", ["0"; 17].join(" "));
            let stat = format!("{fields} {}", ["0"; 30].join(" "));
            std::fs::write(place.join("stat"), stat).unwrap();
            std::fs::write(place.join("status"), format!("NSpid:\t{numbers}\n")).unwrap();
        }
        dir
    }

    #[test]
    fn the_start_of_a_container_is_that_of_the_ancestor_with_number_one() {
        let procfs = procfs(&[
            (1, 0, 0, "1"),
            (50, 1, 100, "50"),
            (60, 50, 200, "60 1"),
            (70, 60, 300, "70 7"),
            (80, 70, 400, "80 8"),
            // Entered from outside.
            (90, 50, 500, "90 9"),
            // Its parents go in a circle.
            (95, 96, 500, "95 5"),
            (96, 95, 500, "96 6"),
        ]);
        let origins = Origins::new(procfs.path(), Some(10_000));
        let of = |pid| origins.container_age_ms(Pid(pid));
        assert_eq!(of(80), Some(8_000));
        assert_eq!(of(60), Some(8_000));
        for pid in [90, 95, 97] {
            assert_eq!(of(pid), None, "{pid}");
        }
    }

    #[test]
    fn the_start_of_a_service_is_when_systemd_made_its_link() {
        let procfs = procfs(&[(1, 0, 0, "1"), (60, 1, 200, "60 1")]);
        let place = |pid: &str, units: &str, name: &str| {
            let units = procfs.path().join(pid).join("root").join(units);
            std::fs::create_dir_all(&units).unwrap();
            let link = units.join(format!("invocation:{name}"));
            std::os::unix::fs::symlink("4f9a2c6e8b1d3f5a7c9e0b2d4f6a8c0e", &link).unwrap();
            Time::Modified.of(&std::fs::symlink_metadata(link).unwrap())
        };
        let origins = Origins::new(procfs.path(), None);
        let process = procfs.path().join("60");
        let of = |name: &str, of| origins.service(&process, &Name::new(name.as_bytes()), of);
        let made = place("1", "run/systemd/units", "web.service");
        assert!(made.is_some());
        assert_eq!(of("web.service", ServiceManager::System), made);
        assert_eq!(of("web.service", ServiceManager::Container), None);
        assert_eq!(of("web.service", ServiceManager::User(7)), None);
        assert_eq!(of("../web.service", ServiceManager::System), None);
        let made = place("1", "run/user/7/systemd/units", "web.service");
        assert_eq!(of("web.service", ServiceManager::User(7)), made);
        let made = place("60", "run/systemd/units", "php.service");
        assert_eq!(of("php.service", ServiceManager::Container), made);
    }
}
