//! Names of compiled code that is in no file: the text that Node (`--perf-basic-prof`), .NET
//! (`DOTNET_PerfMapEnabled`) and CPython (`-X perf`) write for perf(1), `/tmp/perf-PID.map`
//! (`tools/perf/Documentation/jit-interface.txt`).
//!
//! It is used only while the process has it open for writing, so it is current and its own. What was
//! written once, as by `jcmd PID Compiler.perfmap`, may name code that has moved since.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::collector::file;
use crate::collector::procfs::numbers_in;
use crate::model::{Frame, Name};

/// The most bytes of a map. Of a longer one nothing is used: later lines replace earlier ones.
const SIZE_MAX: u64 = 8 << 20;
/// The highest descriptor that is looked at. A runtime opens the file as it starts.
const DESCRIPTORS: u32 = 256;
/// The longest name that is kept, in bytes.
const NAME_MAX: usize = 256;

/// Where code is, and its names.
#[derive(Debug, Default)]
pub struct PerfMap {
    text: Vec<u8>,
    /// In the order of the lines: the first and the last address, and where the name is in the text.
    entries: Vec<(u64, u64, std::ops::Range<usize>)>,
}

impl PerfMap {
    /// The map that a process writes, by its directory in /proc. `None` if it writes none, or that is too
    /// large.
    pub(super) fn read(root: &Path) -> Option<PerfMap> {
        let descriptors = root.join("fd");
        let (mut numbers, _) = numbers_in(rustix::fs::CWD, &descriptors);
        numbers.sort_unstable();
        let writes = |fd: &u32| {
            let link = file::link(&descriptors.join(fd.to_string()));
            link.is_ok_and(|link| is_map(link.as_os_str().as_bytes()))
        };
        let fd = numbers
            .into_iter()
            .take_while(|fd| *fd <= DESCRIPTORS)
            .find(writes)?;
        let text = file::read(&descriptors.join(fd.to_string()), SIZE_MAX).ok()?;
        Some(PerfMap::of(text))
    }

    /// From the text of a map. Lines that are not understood are left out.
    pub fn of(text: Vec<u8>) -> PerfMap {
        let mut entries = Vec::new();
        let mut start = 0usize;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let end = start.saturating_add(line.len());
            entries.extend(entry(line, start));
            start = end;
        }
        PerfMap { text, entries }
    }

    /// The code at an address, by the last line about it, because code replaces older code.
    pub fn frame(&self, address: u64) -> Option<Frame> {
        let mut latest = self.entries.iter().rev();
        let (.., name) = latest.find(|(first, last, _)| (*first..=*last).contains(&address))?;
        Some(frame(self.text.get(name.clone())?))
    }
}

/// Function, file and line of a name: `JS:~query /srv/app.js:3:23` of V8, where a sign tells how the code
/// was compiled, or `py::query:/srv/app.py` of CPython. Of another form, all of it is the function.
fn frame(name: &[u8]) -> Frame {
    let text = |bytes: &[u8]| (!bytes.is_empty()).then(|| Name::new(bytes));
    let of_v8 = || {
        let kinds: [&[u8]; 5] = [b"JS:", b"LazyCompile:", b"Function:", b"Eval:", b"Script:"];
        let rest = kinds.iter().find_map(|kind| name.strip_prefix(*kind))?;
        let rest = match rest.split_first() {
            Some((b'~' | b'^' | b'+' | b'*', rest)) => rest,
            _ => rest,
        };
        let blank = rest.iter().position(|byte| *byte == b' ')?;
        let (function, place) = rest.split_at(blank);
        let place = place.strip_prefix(b" ")?;
        // The column, the line, and the file, which may contain colons.
        let mut parts = place.rsplitn(3, |byte| *byte == b':').skip(1);
        let line = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
        Some(Frame {
            function: text(function),
            file: text(parts.next()?),
            line: Some(line),
            ..Frame::default()
        })
    };
    let of_python = || {
        let rest = name.strip_prefix(b"py::")?;
        let (function, file) = rest.split_at(rest.iter().position(|byte| *byte == b':')?);
        Some(Frame {
            function: text(function),
            file: text(file.strip_prefix(b":")?),
            ..Frame::default()
        })
    };
    of_v8().or_else(of_python).unwrap_or_else(|| Frame {
        function: text(name),
        ..Frame::default()
    })
}

/// Whether a path ends in `/perf-NUMBER.map`.
fn is_map(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let number = name
        .strip_prefix(b"perf-")
        .and_then(|rest| rest.strip_suffix(b".map"));
    number.is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

/// `7f084f7c5b80 11c JS:^hot /srv/app.js:1:13`: the address, the size and the name of code. `start` is
/// where the line is in the text. The last line may be incomplete.
fn entry(line: &[u8], start: usize) -> Option<(u64, u64, std::ops::Range<usize>)> {
    let text = line.strip_suffix(b"\n")?;
    let mut words = text.splitn(3, |byte| *byte == b' ');
    let mut number = || {
        let word = std::str::from_utf8(words.next()?).ok()?;
        let digits = word.strip_prefix("0x").unwrap_or(word);
        u64::from_str_radix(digits, 16).ok()
    };
    let (first, size) = (number()?, number()?);
    let last = first.checked_add(size.checked_sub(1)?)?;
    let name = words.next()?;
    let begin = start.checked_add(text.len().checked_sub(name.len())?)?;
    let end = begin.checked_add(name.len().min(NAME_MAX))?;
    Some((first, last, begin..end))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    const MAP: &[u8] = b"7f084f7c5b80 11c JS:^hot /srv/app.js:1:13\n\
        0x1000 0x10 void Main::run()\n\
        not a line\n\
        1008 8 newer\n\
        ffffffffffffffff 2 beyond\n\
        3000 0 empty\n\
        2000 10 cut o";

    #[test]
    fn code_is_named_by_the_last_line_about_its_address() {
        let map = PerfMap::of(MAP.to_vec());
        let name = |address| map.frame(address)?.function.map(|name| name.to_string());
        assert_eq!(name(0x7f084f7c5c9b).unwrap(), "hot");
        assert_eq!(name(0x7f084f7c5c9c), None);
        assert_eq!(name(0x1007).unwrap(), "void Main::run()");
        assert_eq!(name(0x1008).unwrap(), "newer");
        for unknown in [0, 0x1010, 0x2000, 0x3000, u64::MAX] {
            assert_eq!(name(unknown), None, "{unknown:x}");
        }
    }

    #[test]
    fn a_name_may_tell_the_file_and_the_line() {
        for (name, function, file, line) in [
            (
                "JS:~query /srv/a b:c.js:3:23",
                Some("query"),
                Some("/srv/a b:c.js"),
                Some(3),
            ),
            (
                "LazyCompile:*get app.js:7:1",
                Some("get"),
                Some("app.js"),
                Some(7),
            ),
            ("JS:^ /srv/app.js:3:23", None, Some("/srv/app.js"), Some(3)),
            (
                "py::query:/srv/app.py",
                Some("query"),
                Some("/srv/app.py"),
                None,
            ),
            (
                "BytecodeHandler:Call",
                Some("BytecodeHandler:Call"),
                None,
                None,
            ),
            ("JS:~odd", Some("JS:~odd"), None, None),
            ("JS:~odd /a:x:y", Some("JS:~odd /a:x:y"), None, None),
        ] {
            let expected = Frame {
                function: function.map(Name::from),
                file: file.map(Name::from),
                line,
                ..Frame::default()
            };
            assert_eq!(frame(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn only_a_map_that_the_process_has_open_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("perf-4711.map");
        std::fs::write(&path, MAP).unwrap();
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("fd")).unwrap();
        assert!(PerfMap::read(root.path()).is_none());
        std::os::unix::fs::symlink(&path, root.path().join("fd/19")).unwrap();
        let map = PerfMap::read(root.path()).unwrap();
        assert!(map.frame(0x1000).is_some());
        let long = File::options().write(true).open(&path).unwrap();
        long.set_len(SIZE_MAX + 1).unwrap();
        assert!(PerfMap::read(root.path()).is_none());
        assert!(is_map(b"/tmp/perf-1.map"));
        for other in [
            &b"/tmp/perf-.map"[..],
            b"/tmp/perf-1x.map",
            b"/tmp/perf-1.map (deleted)",
        ] {
            assert!(!is_map(other));
        }
    }
}
