//! Which functions the places in a module are in, by its symbol table. See "Symbol Table" in elf(5).

use std::collections::BTreeMap;

use object::elf::{self, Sym64};
use object::endian::LittleEndian;
use object::read::elf::Sym;

use super::names;
use crate::collector::stacks::budget::Limit;
use crate::collector::stacks::elf::Elf;
use crate::model::Name;

/// The most symbols of a module that are looked at: Chromium has a million.
const SYMBOLS_MAX: usize = 2_000_000;
/// The most bytes of a name.
const NAME_MAX: usize = 4096;
/// After so many symbols the time is checked.
const BATCH: usize = 1024;

/// The symbol that fits a place best so far.
#[derive(Debug, Clone, Copy)]
struct Best<'a> {
    symbol: &'a Sym64<LittleEndian>,
    /// Whether the symbol's size tells that the place is in it.
    is_within: bool,
}

/// The functions of these places, which are addresses of the file in ascending order. In one pass, because
/// there may be far more symbols than places.
pub(super) fn functions(elf: &Elf, places: &[u64], limit: Limit) -> BTreeMap<u64, Name> {
    let mut functions = BTreeMap::new();
    let Some(symbols) = elf.symbols() else {
        return functions;
    };
    let strings = elf.strings(&symbols).unwrap_or_default();
    // A table of exported symbols lacks most functions, so there the next symbol limits nothing.
    let is_complete = elf.range(".symtab").is_some();
    let mut best: Vec<Option<Best<'_>>> = vec![None; places.len()];
    for batch in symbols.symbols().chunks(BATCH).take(SYMBOLS_MAX / BATCH) {
        if limit.is_reached() {
            return functions;
        }
        for symbol in batch {
            consider(symbol, places, is_complete, &mut best, strings);
        }
    }
    for (place, best) in places.iter().zip(best) {
        if limit.is_reached() {
            break;
        }
        // Assembly often has no sizes: there a function ends where the next one or its section does.
        let has_no_size = |best: &Best<'_>| best.symbol.st_size(LittleEndian) == 0;
        let within = |best: &Best<'_>| {
            best.is_within || has_no_size(best) && elf.is_in_section_of(best.symbol, *place)
        };
        let name = best
            .filter(within)
            .and_then(|best| name(best.symbol, strings));
        if let Some(name) = name {
            functions.insert(*place, names::demangled(name));
        }
    }
    functions
}

fn consider<'a>(
    symbol: &'a Sym64<LittleEndian>,
    places: &[u64],
    is_complete: bool,
    best: &mut [Option<Best<'a>>],
    strings: &[u8],
) {
    let start = symbol.st_value(LittleEndian);
    let is_function = symbol.st_type() == elf::STT_FUNC;
    if !is_function || start == 0 || symbol.st_shndx(LittleEndian) == elf::SHN_UNDEF {
        return;
    }
    let size = symbol.st_size(LittleEndian);
    let first = places.partition_point(|place| *place < start);
    for (place, best) in places.iter().zip(best).skip(first) {
        let is_within = *place - start < size;
        if !is_within && !is_complete {
            break;
        }
        let candidate = Best { symbol, is_within };
        if best.is_none_or(|known| is_better(candidate, known, strings)) {
            *best = Some(candidate);
        } else if !is_within {
            // A symbol that is nearer to this place is nearer to those behind it.
            break;
        }
    }
}

/// Whether a symbol fits better than another: it contains the place, it begins nearer to it, or it has the
/// name by which the function is known.
fn is_better(new: Best<'_>, known: Best<'_>, strings: &[u8]) -> bool {
    let rank = |best: Best<'_>| {
        let start = best.symbol.st_value(LittleEndian);
        (best.is_within, start)
    };
    match rank(new).cmp(&rank(known)) {
        std::cmp::Ordering::Equal => {
            preference(new.symbol, strings) < preference(known.symbol, strings)
        }
        order => order.is_gt(),
    }
}

/// A low value for the name that people call a function by: `recv` and not `__libc_recv`.
fn preference<'a>(
    symbol: &Sym64<LittleEndian>,
    strings: &'a [u8],
) -> (bool, usize, bool, usize, &'a [u8]) {
    let name = name(symbol, strings).unwrap_or_default();
    let underscores = name.iter().take_while(|byte| **byte == b'_').count();
    let is_mangled = name.starts_with(b"_Z") || name.starts_with(b"_R");
    (
        symbol.st_bind() == elf::STB_LOCAL,
        if is_mangled { 0 } else { underscores },
        symbol.st_bind() == elf::STB_WEAK,
        name.len(),
        name,
    )
}

/// The name of a symbol, without the version that some have.
fn name<'a>(symbol: &Sym64<LittleEndian>, strings: &'a [u8]) -> Option<&'a [u8]> {
    let start = symbol.st_name(LittleEndian) as usize;
    let rest = strings.get(start..)?;
    let rest = rest.get(..NAME_MAX).unwrap_or(rest);
    let name = rest.get(..rest.iter().position(|byte| *byte == 0)?)?;
    let end = name.iter().position(|byte| *byte == b'@');
    let name = name.get(..end.unwrap_or(name.len()))?;
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_by_their_places_in_this_program_and_in_a_stripped_one() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        let elf = Elf::of_bytes(bytes, 0).unwrap();
        let main = elf.symbol("main").unwrap();
        let places = [main, main + 1, u64::MAX];
        let found = functions(&elf, &places, Limit::none());
        assert_eq!(found.get(&main).unwrap().bytes(), b"main");
        assert_eq!(found.get(&(main + 1)).unwrap().bytes(), b"main");
        assert_eq!(found.len(), 2, "{found:?}");
        // A stripped program, whose table has only what it exports.
        let bytes = std::fs::read("/bin/true").unwrap();
        let elf = Elf::of_bytes(bytes, 0).unwrap();
        let code = elf.range(".text").unwrap();
        let places: Vec<u64> = code.step_by(64).collect();
        assert_eq!(functions(&elf, &places, Limit::none()), BTreeMap::new());
    }
}
