//! The package that has a file, and when it was unpacked: by the database of dpkg, whose list of the
//! files of a package is rewritten whenever the package is installed or upgraded.
//!
//! There may be thousands of packages, so only the lists are read whose name resembles the file's. A
//! package that is found has the file; one that is not found may exist.

use std::ffi::OsStr;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::RawDir;

use crate::collector::file::{self, Time, Tree};
use crate::collector::procfs::DIRENTS;
use crate::model::{Name, Package};

/// The lists of files, `NAME.list` or `NAME:ARCHITECTURE.list`; see dpkg(1).
const LISTS: &str = "/var/lib/dpkg/info";
/// The most names of files there that are looked at: a package has five.
const NAMES_MAX: usize = 50_000;
/// The most lists that are read for one file, and the most bytes of one.
const READ_MAX: usize = 24;
const LIST_MAX: u64 = 1 << 20;
/// Names resemble each other if they begin with the same letters, at least so many.
const LIKE: usize = 4;
/// Directories that say nothing of the package.
const COMMON: [&str; 10] = [
    "usr", "bin", "sbin", "lib", "lib64", "libexec", "local", "opt", "share", "jvm",
];

/// The package that has the file at a path; `None` if none was found.
pub(super) fn of(tree: &Tree, path: &Path) -> Option<Package> {
    let lists = tree.directory(Path::new(LISTS)).ok()?;
    let wanted = spellings(path);
    candidates(names(&lists), path)
        .into_iter()
        .take(READ_MAX)
        .find_map(|name| {
            let list = file::open_at(&lists, OsStr::from_bytes(&name)).ok()?;
            let installed_ms = Time::Modified.of(&list.metadata().ok()?)?;
            has(list, &wanted).then(|| Package {
                name: Name::new(package(&name)),
                installed_ms,
            })
        })
}

/// The path, and the one it has if /bin, /lib and /sbin are links into /usr: packages may still use it.
fn spellings(path: &Path) -> Vec<&[u8]> {
    let path = path.as_os_str().as_bytes();
    let short = path
        .strip_prefix(b"/usr")
        .filter(|rest| rest.starts_with(b"/"));
    std::iter::once(path).chain(short).collect()
}

fn names(lists: &OwnedFd) -> Vec<Vec<u8>> {
    let mut buffer = vec![MaybeUninit::uninit(); DIRENTS];
    let mut entries = RawDir::new(lists.as_fd(), &mut buffer);
    let mut names = Vec::new();
    for _ in 0..NAMES_MAX {
        match entries.next() {
            Some(Ok(entry)) => {
                let name = entry.file_name().to_bytes();
                if name.ends_with(b".list") {
                    names.push(name.to_vec());
                }
            }
            _ => break,
        }
    }
    names
}

/// The lists whose name resembles that of the file or of a directory above it, the most alike first,
/// and of those the shortest.
fn candidates(names: Vec<Vec<u8>>, path: &Path) -> Vec<Vec<u8>> {
    let parts: Vec<&[u8]> = path
        .iter()
        .map(OsStrExt::as_bytes)
        .flat_map(|part| part.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'.'))
        .filter(|part| !part.is_empty() && !COMMON.iter().any(|common| common.as_bytes() == *part))
        .collect();
    let mut alike: Vec<(usize, Vec<u8>)> = names
        .into_iter()
        .filter_map(|name| {
            let most = parts
                .iter()
                .map(|part| likeness(part, package(&name)))
                .max();
            most.filter(|most| *most > 0).map(|most| (most, name))
        })
        .collect();
    alike.sort_by(|(one_like, one), (other_like, other)| {
        (other_like, one.len(), one).cmp(&(one_like, other.len(), other))
    });
    alike.into_iter().map(|(_, name)| name).collect()
}

/// How many letters two names begin with in common; 0 for a few, unless one of them ends there.
fn likeness(part: &[u8], package: &[u8]) -> usize {
    let same = part
        .iter()
        .zip(package)
        .take_while(|(one, other)| one == other);
    let same = same.count();
    match same >= LIKE || (same > 1 && same == part.len()) {
        true => same,
        false => 0,
    }
}

/// `nginx-core` of `nginx-core.list`, `libc6` of `libc6:amd64.list`.
fn package(list: &[u8]) -> &[u8] {
    let name = list.strip_suffix(b".list").unwrap_or(list);
    name.split(|byte| *byte == b':').next().unwrap_or(name)
}

/// Whether a list has a line that is one of these.
fn has(list: impl Read, wanted: &[&[u8]]) -> bool {
    let mut text = Vec::new();
    if list.take(LIST_MAX).read_to_end(&mut text).is_err() {
        return false;
    }
    text.split(|byte| *byte == b'\n')
        .any(|line| wanted.contains(&line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(path: &str, names: &[&str]) -> Vec<String> {
        let names = names.iter().map(|name| format!("{name}.list").into_bytes());
        let chosen = candidates(names.collect(), Path::new(path));
        let text = |name: &Vec<u8>| String::from_utf8_lossy(package(name)).into_owned();
        chosen.iter().map(text).collect()
    }

    #[test]
    fn lists_are_read_whose_names_resemble_the_file() {
        let all = [
            "nginx-core",
            "libnginx-mod-stream",
            "python3.11-minimal",
            "python3-yaml",
            "openjdk-17-jre-headless:amd64",
            "postgresql-15",
            "nodejs",
            "apache2-bin",
            "util-linux",
        ];
        for (path, first) in [
            ("/usr/sbin/nginx", "nginx-core"),
            ("/usr/bin/python3.11", "python3.11-minimal"),
            (
                "/usr/lib/jvm/java-17-openjdk-amd64/bin/java",
                "openjdk-17-jre-headless",
            ),
            ("/usr/lib/postgresql/15/bin/postgres", "postgresql-15"),
            ("/usr/bin/node", "nodejs"),
            ("/usr/sbin/apache2", "apache2-bin"),
        ] {
            let chosen = chosen(path, &all);
            assert_eq!(chosen.first().map(String::as_str), Some(first), "{path}");
        }
        assert!(chosen("/usr/local/bin/app", &all).is_empty());
        assert!(chosen("/", &all).is_empty());
    }

    #[test]
    fn a_package_is_named_only_if_it_has_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let lists = dir.path().join("root/var/lib/dpkg/info");
        std::fs::create_dir_all(&lists).unwrap();
        let write = |name: &str, text: &str| std::fs::write(lists.join(name), text).unwrap();
        write("server.list", "/.\n/usr\n/usr/sbin/server-old\n");
        write("server-core:amd64.list", "/.\n/sbin\n/sbin/server\n");
        write("server-core:amd64.md5sums", "/usr/sbin/server\n");
        std::fs::create_dir(lists.join("server-dir.list")).unwrap();
        let tree = Tree::of(dir.path()).unwrap();
        let found = |path: &str| of(&tree, Path::new(path)).map(|package| package.name.to_string());
        assert_eq!(found("/usr/sbin/server").as_deref(), Some("server-core"));
        assert_eq!(found("/sbin/server").as_deref(), Some("server-core"));
        assert_eq!(found("/usr/sbin/serve"), None);
        assert_eq!(found("/usr/sbin/other"), None);
    }
}
