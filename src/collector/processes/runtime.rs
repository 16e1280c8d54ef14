//! The runtime of a program, recognized by the name of its executable, the note that Go's linker
//! leaves, or the mapped library of an interpreter.

use std::io;
use std::path::Path;

use crate::collector::{file, watchdog};
use crate::model::Runtime;

/// The most lines of /proc/PID/maps that are read: a program maps its interpreter at start.
const MAPS_MAX: usize = 10_000;

pub(super) fn runtime(root: &Path) -> Runtime {
    let exe = file::link(&root.join("exe")).unwrap_or_default();
    let name = exe.file_name().map(|name| name.to_string_lossy());
    let named = [
        ("java", Runtime::Java),
        ("python", Runtime::Python),
        ("pypy", Runtime::Python),
        ("node", Runtime::Node),
        ("ruby", Runtime::Ruby),
        ("php", Runtime::Php),
        ("nginx", Runtime::Nginx),
    ];
    let name = name.unwrap_or_default();
    if let Some((_, runtime)) = named.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        return *runtime;
    }
    if is_go(root) {
        return Runtime::Go;
    }
    file::lines(&root.join("maps"))
        .ok()
        .and_then(|lines| of_maps(lines.take(MAPS_MAX)))
        .unwrap_or(Runtime::Native)
}

/// The interpreter whose library is in /proc/PID/maps, as for uWSGI, Passenger or jsvc.
fn of_maps(lines: impl Iterator<Item = io::Result<String>>) -> Option<Runtime> {
    let libraries = [
        ("libjvm.so", Runtime::Java),
        ("libpython2", Runtime::Python),
        ("libpython3", Runtime::Python),
        ("libpypy", Runtime::Python),
        ("libruby", Runtime::Ruby),
        ("libnode.so", Runtime::Node),
    ];
    let of_line = |line: String| {
        let (_, file) = line.rsplit_once('/')?;
        let mut libraries = libraries.iter();
        let known = libraries.find(|(name, _)| file.starts_with(name))?;
        Some(known.1)
    };
    lines.map_while(Result::ok).find_map(of_line)
}

/// Whether the first page of the executable has the ELF note "Go" with a build ID (type 4).
fn is_go(root: &Path) -> bool {
    let is_note =
        |note: &[u8]| note.starts_with(&[4, 0, 0, 0]) && note.ends_with(b"\x04\0\0\0Go\0\0");
    let exe = root.join("exe");
    let head = watchdog::with_timeout(move || file::head(&exe, 4096));
    head.is_ok_and(|head| head.windows(16).any(is_note))
}

/// Whether the executable is a 32-bit ELF file.
pub(super) fn is_32_bit(root: &Path) -> bool {
    const CLASS: usize = 4;
    const CLASS_32: u8 = 1;
    let exe = root.join("exe");
    let head = watchdog::with_timeout(move || file::head(&exe, CLASS as u64 + 1));
    head.is_ok_and(|head| head.get(CLASS) == Some(&CLASS_32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_is_told_by_its_library() {
        let maps = |file: &str| {
            let text = format!(
                "55d0-55e0 r-xp 00000000 08:01 9 /usr/bin/uwsgi-core\n\
                 7f00-7f10 rw-p 00000000 00:00 0 \n\
                 7f10-7f20 r-xp 00000000 08:01 7 /usr/lib/{file}\n"
            );
            of_maps(text.lines().map(|line| Ok(line.to_owned())))
        };
        assert_eq!(maps("libpython3.11.so.1.0"), Some(Runtime::Python));
        assert_eq!(maps("jvm/lib/server/libjvm.so"), Some(Runtime::Java));
        assert_eq!(maps("libruby-3.1.so.3.1"), Some(Runtime::Ruby));
        assert_eq!(maps("libpython-is-not.txt"), None);
        assert_eq!(maps("libc.so.6"), None);
        let odd = ["\u{fffd}/", ""].map(|line| Ok(line.to_owned()));
        assert_eq!(of_maps(odd.into_iter()), None);
    }
}
