//! Where the control groups of a process are in the file system: the mounted hierarchies, and the
//! directories of a group and its ancestors.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::collector::file;
use crate::collector::mountinfo::unescaped;
use crate::collector::procfs::is_ours;
use crate::model::Version;

/// The most bytes of a control group's file.
const FILE_MAX: u64 = 4096;
/// The most ancestors of a group that are read.
const DEPTH_MAX: usize = 64;

/// The mounted hierarchies of control groups.
#[derive(Debug, Default)]
pub(in crate::collector::processes) struct Hierarchies {
    mounts: Vec<Mount>,
}

/// A hierarchy, or the part of one that is mounted.
#[derive(Debug)]
struct Mount {
    version: Version,
    /// In version 1.
    controllers: Vec<Vec<u8>>,
    /// The mounted group: the root of the hierarchy, or that of a container.
    root: Vec<u8>,
    at: PathBuf,
    /// What to put before that path to open it from here.
    prefix: Option<PathBuf>,
}

/// The directory of a control group.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) version: Version,
    /// Its path in the hierarchy.
    pub(super) path: Vec<u8>,
    /// Its path on the host.
    pub(super) directory: PathBuf,
    /// The path to open it from here.
    opened: PathBuf,
}

impl Hierarchies {
    /// Those of this host, or, if the /proc is not ours, those that its first process sees.
    pub(in crate::collector::processes) fn read(proc_root: &Path) -> Hierarchies {
        let (prefix, mountinfo) = if is_ours(proc_root) {
            (None, proc_root.join("self/mountinfo"))
        } else {
            let first = proc_root.join("1");
            (Some(first.join("root")), first.join("mountinfo"))
        };
        let text = file::read(&mountinfo, file::LIST_MAX).unwrap_or_default();
        Hierarchies::of(&text, prefix.as_deref())
    }

    /// Those in the text of proc_pid_mountinfo(5).
    fn of(mountinfo: &[u8], prefix: Option<&Path>) -> Hierarchies {
        let lines = mountinfo.split(|byte| *byte == b'\n');
        Hierarchies {
            mounts: lines.filter_map(|line| mount(line, prefix)).collect(),
        }
    }

    /// The groups of a process that have a controller, in each version of control groups, from the
    /// text of /proc/PID/cgroup. Each group comes with its ancestors, innermost first.
    pub(super) fn groups(&self, text: &[u8], controller: &[u8]) -> Vec<Vec<Group>> {
        let lines = text.split(|byte| *byte == b'\n');
        lines
            .filter_map(|line| {
                let mut fields = line.splitn(3, |byte| *byte == b':');
                let (number, controllers) = (fields.next()?, fields.next()?);
                let path = fields.next().filter(|path| path.starts_with(b"/"))?;
                let version = match (number, controllers) {
                    (b"0", b"") => Version::V2,
                    _ => Version::V1,
                };
                let mut controllers = controllers.split(|byte| *byte == b',');
                let is_meant = version == Version::V2 || controllers.any(|has| has == controller);
                is_meant.then(|| self.line(version, controller, path))
            })
            .filter(|line| !line.is_empty())
            .collect()
    }

    fn line(&self, version: Version, controller: &[u8], path: &[u8]) -> Vec<Group> {
        let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
        let found = self.mounts.iter().find_map(|mount| {
            let has = |known: &Vec<u8>| known.as_slice() == controller;
            let is_meant = mount.version == version
                && (version == Version::V2 || mount.controllers.iter().any(has));
            let below = below(path, &mount.root).filter(|_| is_meant)?;
            Some((mount, below))
        });
        let Some((mount, below)) = found else {
            return Vec::new();
        };
        let below = Path::new(OsStr::from_bytes(below));
        let opened = match &mount.prefix {
            Some(prefix) => prefix.join(mount.at.strip_prefix("/").unwrap_or(&mount.at)),
            None => mount.at.clone(),
        };
        let group = |part: &Path| Group {
            version,
            path: joined(&mount.root, part),
            directory: within(&mount.at, part),
            opened: within(&opened, part),
        };
        below.ancestors().take(DEPTH_MAX).map(group).collect()
    }
}

impl Group {
    /// The text of one of the files of the group.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let text = file::head(&self.opened.join(name), FILE_MAX).ok()?;
        String::from_utf8(text).ok()
    }
}

/// A line of mountinfo: `36 35 0:4 ROOT AT OPTIONS [TAGS…] - TYPE SOURCE OPTIONS`.
fn mount(line: &[u8], prefix: Option<&Path>) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let root = unescaped(fields.nth(3)?);
    let at = unescaped(fields.next()?);
    let mut behind = fields.skip_while(|field| *field != b"-").skip(1);
    let (kind, options) = (behind.next()?, behind.nth(1)?);
    let version = match kind {
        b"cgroup2" => Version::V2,
        b"cgroup" => Version::V1,
        _ => return None,
    };
    Some(Mount {
        version,
        controllers: options
            .split(|byte| *byte == b',')
            .map(<[u8]>::to_vec)
            .collect(),
        root,
        at: PathBuf::from(OsStr::from_bytes(&at)),
        prefix: prefix.map(Path::to_owned),
    })
}

/// The part of a path below a root. `None` if it is elsewhere and cannot be read from here.
fn below<'a>(path: &'a [u8], root: &[u8]) -> Option<&'a [u8]> {
    let root = root.strip_suffix(b"/").unwrap_or(root);
    let rest = path.strip_prefix(root)?;
    if rest.is_empty() {
        return Some(rest);
    }
    let below = rest.strip_prefix(b"/")?;
    let leads_out = below.split(|byte| *byte == b'/').any(|part| part == b"..");
    (!leads_out).then_some(below)
}

fn joined(root: &[u8], part: &Path) -> Vec<u8> {
    let path = within(Path::new(OsStr::from_bytes(root)), part);
    path.into_os_string().into_vec()
}

fn within(directory: &Path, part: &Path) -> PathBuf {
    if part.as_os_str().is_empty() {
        directory.to_owned()
    } else {
        directory.join(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer
41 31 0:38 /docker/a\\040b /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
bad
";

    fn directories(mounts: &[u8], prefix: Option<&Path>, text: &str, of: &[u8]) -> Vec<String> {
        let found = Hierarchies::of(mounts, prefix);
        let groups = found.groups(text.as_bytes(), of).into_iter().flatten();
        groups
            .map(|group| group.directory.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn the_groups_of_a_process_are_found_in_each_hierarchy_that_has_the_controller() {
        let text = "6:freezer:/app/web\n1:cpuacct,cpu:/\n0::/docker/a b/c\nbad\n";
        assert_eq!(
            directories(MOUNTS, None, text, b"freezer"),
            [
                "/sys/fs/cgroup/freezer/app/web",
                "/sys/fs/cgroup/freezer/app",
                "/sys/fs/cgroup/freezer",
                "/sys/fs/cgroup/unified/c",
                "/sys/fs/cgroup/unified",
            ]
        );
        let text = "1:cpuacct,cpu:/app (deleted)\n";
        assert_eq!(
            directories(MOUNTS, None, text, b"cpu"),
            [
                "/sys/fs/cgroup/cpu,cpuacct/app",
                "/sys/fs/cgroup/cpu,cpuacct"
            ]
        );
    }

    #[test]
    fn what_lies_out_of_sight_is_not_looked_for() {
        for text in [
            "0::/docker/other",
            "0::/docker/a bc",
            "0::/../x",
            "0::/docker/a b/../../x",
            "6:freezer:",
            "",
        ] {
            let found = directories(MOUNTS, None, text, b"freezer");
            assert!(found.is_empty(), "{text}: {found:?}");
        }
        assert!(directories(b"", None, "0::/a", b"cpu").is_empty());
    }

    #[test]
    fn another_hosts_groups_are_opened_below_its_first_process() {
        let prefix = Path::new("/host/proc/1/root");
        let found = Hierarchies::of(MOUNTS, Some(prefix));
        let groups = found.groups(b"6:freezer:/app", b"freezer");
        let group = &groups[0][0];
        assert_eq!(group.directory, Path::new("/sys/fs/cgroup/freezer/app"));
        assert_eq!(
            group.opened,
            Path::new("/host/proc/1/root/sys/fs/cgroup/freezer/app")
        );
        assert_eq!(group.path, b"/app");
    }
}
