//! Which version of Go built a program, and which version of which module the program is: what
//! `go version -m` prints (src/debug/buildinfo/buildinfo.go).

use super::cursor::Cursor;
use crate::collector::stacks::memory::Memory;
use crate::model::Name;

const MAGIC: &[u8] = b"\xff Go buildinf:";
/// A flag: the texts follow the header. Up to Go 1.17 there are pointers to them.
const INLINE: u8 = 2;
/// Where the texts begin that follow the header, in bytes.
const TEXTS: u64 = 32;
/// The most bytes of a version.
const VERSION_MAX: u64 = 256;
/// The most bytes that are read of the list of modules. The main module is its second line.
const MODULES_MAX: u64 = 2048;
/// What encloses the list of modules, in bytes.
const MARK: u64 = 16;

/// How a program was built.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Build {
    /// As in `go1.22.1`.
    pub(super) version: String,
    /// The main module and its version, as in `example.com/shop v1.4.0`.
    module: Option<String>,
}

impl Build {
    /// Reads it from the address of the section `.go.buildinfo` in memory.
    pub(super) fn read(memory: &impl Memory, address: u64) -> Option<Build> {
        let header: [u8; TEXTS as usize] = memory.array(address)?;
        let rest = header.strip_prefix(MAGIC)?;
        let (version, modules) = match *rest.first_chunk::<2>()? {
            [_, flags] if flags & INLINE != 0 => {
                let mut at = Cursor::new(memory, address.checked_add(TEXTS)?);
                let version = at.varint()?;
                let version = (at.address(), version);
                let mut after = Cursor::new(memory, version.0.checked_add(version.1)?);
                let modules = after.varint()?;
                (version, (after.address(), modules))
            }
            // Only little-endian machines with pointers of 8 bytes are read.
            [8, 0] => {
                let text = |at: u64| {
                    let header = memory.u64_at(address.checked_add(at)?)?;
                    let length = memory.u64_at(header.checked_add(8)?)?;
                    Some((memory.u64_at(header)?, length))
                };
                (text(16)?, text(24).unwrap_or_default())
            }
            _ => return None,
        };
        Some(Build {
            version: text(memory, version, VERSION_MAX)?,
            module: module(memory, modules),
        })
    }

    /// Whether a package is of the main module.
    pub(super) fn owns(&self, package: &[u8]) -> bool {
        let module = self
            .module
            .as_ref()
            .and_then(|module| module.split(' ').next());
        let below = module.and_then(|module| package.strip_prefix(module.as_bytes()));
        below.is_some_and(|below| below.is_empty() || below.starts_with(b"/"))
    }

    /// As in `go1.22.1, example.com/shop v1.4.0`.
    pub(super) fn name(&self) -> Name {
        match &self.module {
            Some(module) => format!("{}, {module}", self.version).into(),
            None => self.version.clone().into(),
        }
    }
}

fn text(memory: &impl Memory, (address, length): (u64, u64), most: u64) -> Option<String> {
    let bytes = memory.bytes(address, usize::try_from(length.min(most)).ok()?)?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The main module from the list of modules, or else the path of the main package.
fn module(memory: &impl Memory, (address, length): (u64, u64)) -> Option<String> {
    let length = length.checked_sub(2 * MARK)?;
    let list = text(memory, (address.checked_add(MARK)?, length), MODULES_MAX)?;
    let after = |word: &str| {
        let mut lines = list.lines();
        lines.find_map(|line| line.strip_prefix(word)?.strip_prefix('\t'))
    };
    let module = after("mod").map(|line| {
        let mut columns = line.split('\t').filter(|column| !column.is_empty());
        let (path, version) = (columns.next(), columns.next());
        let words = [path.unwrap_or_default(), version.unwrap_or_default()];
        words.join(" ").trim_end().to_owned()
    });
    module.or_else(|| after("path").map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::stacks::memory::Pieces;

    const MODULES: &str = "0123456789abcdefpath\texample.com/shop/cmd\n\
        mod\texample.com/shop\tv1.4.0\t\n\
        dep\texample.com/db\tv1.0.0\th1:abc=\nfedcba9876543210";

    fn inline(version: &str, modules: &str) -> Vec<u8> {
        let mut bytes = [MAGIC, &[8, INLINE], &[0; 16]].concat();
        for text in [version, modules] {
            let length = text.len();
            bytes.extend([(length & 0x7f) as u8 | 0x80, (length >> 7) as u8]);
            bytes.extend(text.as_bytes());
        }
        bytes
    }

    fn read(bytes: Vec<u8>) -> Option<Build> {
        Build::read(&Pieces(vec![(0x1000, bytes)]), 0x1000)
    }

    #[test]
    fn the_version_and_the_main_module_are_read() {
        let build = read(inline("go1.22.1", MODULES)).unwrap();
        assert_eq!(build.version, "go1.22.1");
        assert_eq!(build.name(), *"go1.22.1, example.com/shop v1.4.0");
        for own in ["example.com/shop", "example.com/shop/db"] {
            assert!(build.owns(own.as_bytes()), "{own}");
        }
        for other in ["example.com/shopping", "example.com", "net", ""] {
            assert!(!build.owns(other.as_bytes()), "{other}");
        }
        let build = read(inline("go1.22.1", &MODULES.replace("mod\t", "mad\t"))).unwrap();
        assert_eq!(build.name(), *"go1.22.1, example.com/shop/cmd");
        let build = read(inline("go1.22.1", "")).unwrap();
        assert_eq!(build.name(), *"go1.22.1");
    }

    #[test]
    fn the_texts_of_an_older_version_are_behind_pointers() {
        let mut header = [MAGIC, &[8, 0]].concat();
        header.extend([0x2000_u64, 0x2010].map(u64::to_le_bytes).concat());
        let pointers = [0x3000_u64, 9, 0x4000, MODULES.len() as u64];
        let memory = Pieces(vec![
            (0x1000, header),
            (0x2000, pointers.map(u64::to_le_bytes).concat()),
            (0x3000, b"go1.17.13".to_vec()),
            (0x4000, MODULES.as_bytes().to_vec()),
        ]);
        let build = Build::read(&memory, 0x1000).unwrap();
        assert_eq!(build.name(), *"go1.17.13, example.com/shop v1.4.0");
    }

    #[test]
    fn what_is_cut_off_or_of_another_kind_is_none() {
        let whole = inline("go1.22.1", MODULES);
        for length in 0..40 {
            assert_eq!(read(whole[..length].to_vec()), None, "{length}");
        }
        let mut other = whole;
        other[1] = b'x';
        assert_eq!(read(other), None);
    }
}
