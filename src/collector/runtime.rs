//! What runs a program: by the name of its executable, by the note that Go's linker leaves, or by the
//! library of an interpreter that it has mapped.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use crate::model::Runtime;

/// More of /proc/PID/maps is not read: a program maps its interpreter when it starts.
const MAPS_MAX: u64 = 1 << 20;

pub(super) fn runtime(root: &Path) -> Runtime {
    let exe = fs::read_link(root.join("exe")).unwrap_or_default();
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
    File::open(root.join("maps"))
        .ok()
        .and_then(|maps| of_maps(BufReader::new(maps.take(MAPS_MAX))))
        .unwrap_or(Runtime::Native)
}

/// The interpreter whose library stands in /proc/PID/maps: of uWSGI, Passenger, jsvc and the like.
fn of_maps(maps: impl BufRead) -> Option<Runtime> {
    let libraries = [
        ("libjvm.so", Runtime::Java),
        ("libpython2", Runtime::Python),
        ("libpython3", Runtime::Python),
        ("libpypy", Runtime::Python),
        ("libruby", Runtime::Ruby),
        ("libnode.so", Runtime::Node),
    ];
    let of_line = |line: Vec<u8>| {
        let at = line.iter().rposition(|byte| *byte == b'/')?;
        let file = &line[at + 1..];
        let mut libraries = libraries.iter();
        let known = libraries.find(|(name, _)| file.starts_with(name.as_bytes()))?;
        Some(known.1)
    };
    maps.split(b'\n').map_while(Result::ok).find_map(of_line)
}

/// Whether the executable has the ELF note "Go" with a build id (type 4), which stands in the
/// first page.
fn is_go(root: &Path) -> bool {
    let mut head = Vec::with_capacity(4096);
    let read = File::open(root.join("exe")).and_then(|exe| exe.take(4096).read_to_end(&mut head));
    read.is_ok()
        && head
            .windows(16)
            .any(|note| note[..4] == [4, 0, 0, 0] && &note[8..] == b"\x04\0\0\0Go\0\0")
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
            of_maps(text.as_bytes())
        };
        assert_eq!(maps("libpython3.11.so.1.0"), Some(Runtime::Python));
        assert_eq!(maps("jvm/lib/server/libjvm.so"), Some(Runtime::Java));
        assert_eq!(maps("libruby-3.1.so.3.1"), Some(Runtime::Ruby));
        assert_eq!(maps("libpython-is-not.txt"), None);
        assert_eq!(maps("libc.so.6"), None);
        assert_eq!(of_maps(&b"\xff\xfe/\n\n"[..]), None);
    }
}
