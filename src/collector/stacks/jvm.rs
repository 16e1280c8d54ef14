//! What a Java virtual machine says of itself in its performance counters: its version and main class. They
//! are what `jstat` and `jcmd` show, in memory that HotSpot maps from `/tmp/hsperfdata_USER/PID` (unless
//! `-XX:-UsePerfData` or `-XX:+PerfDisableSharedMem` is given). Nothing attaches to the machine.
//!
//! Their form: `PerfDataPrologue` and `PerfDataEntry` of `src/hotspot/share/runtime/perfMemory.hpp`, in
//! version 2.0 since JDK 5.

use super::group::Stack;
use super::maps::{Mapping, Mappings};
use super::memory::Memory;
use crate::model::Name;

/// The most bytes of the counters: 32 KiB unless `-XX:PerfDataMemorySize` says otherwise.
const SIZE_MAX: u64 = 256 << 10;
/// The most counters. JDK 17 has about 250.
const ENTRIES_MAX: usize = 4096;
const MAGIC: [u8; 4] = [0xca, 0xfe, 0xc0, 0xc0];
const LITTLE_ENDIAN: u8 = 1;
/// The type of an entry that is a text: bytes.
const TEXT: u8 = b'B';
/// The longest version or main class that is kept, in bytes.
const TEXT_MAX: usize = 128;

/// `OpenJDK 17.0.15, main class com.shop.Main`. `None` if the process has no counters, or they are not
/// complete yet.
pub(super) fn version(mappings: &Mappings, memory: &impl Memory) -> Option<Name> {
    let mapping = mappings.iter().find(|mapping| has_counters(mapping))?;
    let length = (mapping.end.checked_sub(mapping.start)?).min(SIZE_MAX);
    let bytes = memory.bytes(mapping.start, usize::try_from(length).ok()?)?;
    said(&bytes)
}

/// Removes the addresses of locks. Whatever a thread of HotSpot waits for, it waits on a condition variable
/// of its own (`ParkEvent` and `Parker` of `src/hotspot/share/runtime/park.hpp`), so its address tells
/// nothing, and would keep threads apart that wait for the same monitor.
pub(super) fn forget_locks(stacks: &mut [Stack]) {
    for stack in stacks {
        stack.lock = None;
    }
}

/// Whether a mapping is of a file such as `/tmp/hsperfdata_root/4711`.
fn has_counters(mapping: &Mapping) -> bool {
    let path = mapping.path.as_ref().map_or(&b""[..], Name::bytes);
    let mut parts = path.rsplit(|byte| *byte == b'/');
    let is_number = |name: &[u8]| !name.is_empty() && name.iter().all(|byte| byte.is_ascii_digit());
    mapping.readable
        && mapping.offset == 0
        && parts.next().is_some_and(is_number)
        && parts
            .next()
            .is_some_and(|dir| dir.starts_with(b"hsperfdata_"))
}

/// The version and the main class in the counters.
pub(crate) fn said(counters: &[u8]) -> Option<Name> {
    let (mut version, mut machine, mut command) = (None, None, None);
    for (name, value) in texts(counters)? {
        let wanted = match name {
            b"java.property.java.version" => &mut version,
            b"java.property.java.vm.name" => &mut machine,
            b"sun.rt.javaCommand" => &mut command,
            _ => continue,
        };
        *wanted = Some(value);
    }
    let version = word(version?)?;
    let machine = match machine {
        Some(name) if name.starts_with(b"OpenJDK") => "OpenJDK",
        Some(name) if name.starts_with(b"Java HotSpot") => "HotSpot",
        _ => "Java",
    };
    let main = command.and_then(main).unwrap_or_default();
    Some(format!("{machine} {version}{main}").into())
}

/// What runs, of a command such as `com.shop.Main --password x`: its first word, and nothing else.
fn main(command: &[u8]) -> Option<String> {
    let mut words = command.split(|byte| *byte == b' ');
    let first = words.next()?;
    // `java Shop.java` compiles first.
    let is_source = first.ends_with(b"com.sun.tools.javac.launcher.Main");
    let source = words
        .next()
        .filter(|word| is_source && word.ends_with(b".java"));
    if let Some(file) = source.or((first.ends_with(b".jar")).then_some(first)) {
        let name = file.rsplit(|byte| *byte == b'/').next()?;
        return Some(format!(", {}", word(name)?));
    }
    Some(format!(", main class {}", word(first)?))
}

/// A word without anything that could be more than a name.
fn word(text: &[u8]) -> Option<&str> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._$/+-".contains(byte);
    let is_word = (1..=TEXT_MAX).contains(&text.len()) && text.iter().all(is_plain);
    std::str::from_utf8(text).ok().filter(|_| is_word)
}

/// The names and values of the counters that are texts.
fn texts(counters: &[u8]) -> Option<impl Iterator<Item = (&[u8], &[u8])>> {
    let [a, b, c, d, order, major, _, accessible] = *counters.first_chunk::<8>()?;
    // No virtual machine of this host writes them in another byte order.
    if [a, b, c, d] != MAGIC || order != LITTLE_ENDIAN || major != 2 || accessible == 0 {
        return None;
    }
    let mut at = number(counters, 24)?;
    let entries = number(counters, 28)?.min(ENTRIES_MAX);
    let each = (0..entries).map_while(move |_| {
        let length = number(counters, at)?;
        let end = at.checked_add(length)?;
        let entry = counters.get(at..end)?;
        at = end;
        Some(entry)
    });
    Some(each.filter_map(text))
}

/// The name and the value of an entry, if that is a text.
fn text(entry: &[u8]) -> Option<(&[u8], &[u8])> {
    let until_zero = |bytes: &'_ [u8]| bytes.iter().position(|byte| *byte == 0);
    let name = entry.get(number(entry, 4)?..)?;
    let name = name.get(..until_zero(name)?)?;
    let (length, start) = (number(entry, 8)?, number(entry, 16)?);
    let value = entry.get(start..start.checked_add(length)?)?;
    let value = value.get(..until_zero(value)?)?;
    (*entry.get(12)? == TEXT).then_some((name, value))
}

/// A number of the head of the counters or of an entry: a C `int` that is not negative.
fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    usize::try_from(i32::from_le_bytes(*bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::stacks::memory::Pieces;

    /// Counters as the machine writes them.
    fn counters(entries: &[(&str, u8, &[u8])]) -> Vec<u8> {
        let mut all = vec![0xca, 0xfe, 0xc0, 0xc0, 1, 2, 0, 1];
        all.extend([0; 16]);
        all.extend(32i32.to_le_bytes());
        all.extend((entries.len() as i32).to_le_bytes());
        for (name, kind, value) in entries {
            let data = (20 + name.len() + 1).next_multiple_of(8);
            let length = (data + value.len()).next_multiple_of(8);
            let start = all.len();
            for number in [length, 20, value.len()] {
                all.extend((number as i32).to_le_bytes());
            }
            all.extend([*kind, 0, 5, 1]);
            all.extend((data as i32).to_le_bytes());
            all.extend(name.as_bytes());
            all.resize(start + data, 0);
            all.extend(*value);
            all.resize(start + length, 0);
        }
        all
    }

    fn of(command: &str) -> Option<String> {
        let command = format!("{command}\0");
        let counters = counters(&[
            ("sun.gc.cause", TEXT, b"No GC\0"),
            ("java.threads.live", b'J', &[9, 0, 0, 0, 0, 0, 0, 0]),
            ("java.property.java.version", TEXT, b"17.0.15\0"),
            (
                "java.property.java.vm.name",
                TEXT,
                b"OpenJDK 64-Bit Server VM\0",
            ),
            ("sun.rt.javaCommand", TEXT, command.as_bytes()),
        ]);
        said(&counters).map(|said| said.to_string())
    }

    #[test]
    fn a_machine_says_its_version_and_main_class_and_no_argument() {
        for (command, main) in [
            (
                "com.shop.Main --password secret",
                ", main class com.shop.Main",
            ),
            ("/srv/app.jar secret", ", app.jar"),
            ("shop/com.shop.Main", ", main class shop/com.shop.Main"),
            (
                "jdk.compiler/com.sun.tools.javac.launcher.Main /a/Shop.java secret",
                ", Shop.java",
            ),
            ("jdbc:x://secret@host", ""),
            ("", ""),
        ] {
            let expected = format!("OpenJDK 17.0.15{main}");
            assert_eq!(of(command).unwrap(), expected, "{command}");
        }
    }

    #[test]
    fn counters_that_are_cut_off_or_lie_say_nothing_wrong() {
        let whole = counters(&[("java.property.java.version", TEXT, b"21\0")]);
        assert_eq!(said(&whole).unwrap().bytes(), b"Java 21");
        for end in 0..whole.len() {
            let said = said(&whole[..end]);
            assert!(said.is_none(), "{end}: {said:?}");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut altered = whole.clone();
                altered[at] = value;
                if let Some(said) = said(&altered) {
                    assert!(said.bytes().starts_with(b"Java "), "{said}");
                }
            }
        }
    }

    #[test]
    fn the_counters_are_found_by_the_file_that_the_machine_maps() {
        let counters = counters(&[("java.property.java.version", TEXT, b"21\0")]);
        let mappings = |path: &str| {
            let text = format!("1000-9000 rw-s 00000000 fe:01 7 {path}\n");
            Mappings::parse(text.as_bytes()).unwrap()
        };
        let mut memory = counters.clone();
        memory.resize(0x8000, 0);
        let memory = Pieces(vec![(0x1000, memory)]);
        for path in ["/tmp/hsperfdata_root/4711", "/var/tmp/hsperfdata_a b/1"] {
            let found = version(&mappings(path), &memory);
            assert_eq!(found.unwrap().bytes(), b"Java 21", "{path}");
            assert!(version(&mappings(path), &Pieces::default()).is_none());
        }
        for path in ["/tmp/hsperfdata_root/libjvm.so", "/tmp/4711", ""] {
            assert!(version(&mappings(path), &memory).is_none(), "{path}");
        }
    }
}
