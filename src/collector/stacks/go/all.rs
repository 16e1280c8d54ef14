//! All goroutines: `runtime.allgs`, the list of every `g` that the runtime ever made
//! (src/runtime/proc.go). A stripped program does not say where it is, so it is searched by what it must be:
//! a slice of pointers to structures that each name themselves, to which `runtime.allgptr` points too.

use std::ops::Range;

use super::layout::{ITSELF, Layout};
use crate::collector::stacks::budget::Limit;
use crate::collector::stacks::memory::Memory;

/// The most bytes of variables that are searched.
pub(super) const SEARCH_MAX: u64 = 32 << 20;
/// How many bytes are read at a time.
const CHUNK: usize = 256 << 10;
/// The most goroutines of a program.
const GOROUTINES_MAX: u64 = 1 << 20;
/// The largest list that is taken for one.
const CAPACITY_MAX: u64 = 1 << 28;
/// How many of its elements prove a list.
const SAMPLE: u64 = 8;

/// The list: its address, and how many elements it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct List {
    address: u64,
    length: u64,
}

/// The addresses of all goroutines, and how many more there are.
///
/// # Errors
/// Why they were not found, in words.
pub(super) fn addresses(
    memory: &impl Memory,
    variables: Range<u64>,
    symbol: Option<u64>,
    layout: &Layout,
    limit: Limit,
) -> Result<(Vec<u64>, u64), &'static str> {
    let named = symbol.and_then(|at| {
        let words = [0, 8, 16].map(|offset| memory.u64_at(at.checked_add(offset)?));
        let [Some(address), Some(length), Some(capacity)] = words else {
            return None;
        };
        list(memory, [address, length, capacity], layout)
    });
    let list = match named {
        Some(list) => list,
        None => search(memory, variables, layout, limit)?,
    };
    let most = list.length.min(GOROUTINES_MAX);
    let mut addresses = Vec::new();
    let mut chunk = vec![0; CHUNK];
    let end = list.address.saturating_add(most.saturating_mul(8));
    let mut at = list.address;
    while at < end {
        let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(CHUNK);
        let Some(part) = chunk.get_mut(..length) else {
            break;
        };
        if limit.is_reached() || memory.exact(at, part).is_none() {
            break;
        }
        let words = part.as_chunks::<8>().0;
        addresses.extend(words.iter().map(|word| u64::from_le_bytes(*word)));
        at = at.saturating_add(length as u64);
    }
    addresses.retain(|address| *address != 0);
    let more = list.length.saturating_sub(addresses.len() as u64);
    Ok((addresses, more))
}

/// Searches the variables for the list.
fn search(
    memory: &impl Memory,
    variables: Range<u64>,
    layout: &Layout,
    limit: Limit,
) -> Result<List, &'static str> {
    if variables.end - variables.start > SEARCH_MAX {
        return Err("it has too many variables to search");
    }
    let words = words(memory, variables);
    let mut found: Vec<List> = Vec::new();
    for (nth, slice) in words.windows(3).enumerate() {
        if nth % 64 == 0 && limit.is_reached() {
            return Err("their list was not found in time");
        }
        if let Some(slice) = slice.first_chunk() {
            found.extend(list(memory, *slice, layout));
        }
    }
    // While the garbage collector runs, it has a slice of its own: of the same list, or of a former one.
    let points = |to: &List| words.iter().filter(|word| **word == to.address).count();
    found.retain(|list| points(list) >= 2);
    found.sort_by_key(|list| std::cmp::Reverse(list.length));
    match found.as_slice() {
        [first, rest @ ..] if rest.iter().all(|list| list.address == first.address) => Ok(*first),
        [] => Err("their list was not found"),
        _ => Err("several lists could be theirs"),
    }
}

/// The words of a range, as far as they are there.
fn words(memory: &impl Memory, range: Range<u64>) -> Vec<u64> {
    let mut words = Vec::new();
    let mut at = range.start.next_multiple_of(8);
    let mut chunk = vec![0; CHUNK];
    while at < range.end {
        let length = usize::try_from(range.end - at)
            .unwrap_or(usize::MAX)
            .min(CHUNK);
        let Some(part) = chunk.get_mut(..length) else {
            break;
        };
        let there = memory.read(at, part);
        let part = part.get(..there).unwrap_or_default().as_chunks::<8>().0;
        words.extend(part.iter().map(|word| u64::from_le_bytes(*word)));
        if there < length {
            break;
        }
        at = at.saturating_add(length as u64);
    }
    words
}

/// A slice with these fields, if it is a list of goroutines. A thread (`runtime.m`) begins with a pointer to
/// a `g` too, but that is no goroutine, and has no number.
fn list(memory: &impl Memory, slice: [u64; 3], layout: &Layout) -> Option<List> {
    let [address, length, capacity] = slice;
    let is_slice = address != 0 && address.is_multiple_of(8) && (1..=capacity).contains(&length);
    if !is_slice || capacity > CAPACITY_MAX {
        return None;
    }
    let mut is_proved = false;
    let sample = length.min(SAMPLE);
    for nth in (0..sample).map(|nth| nth * length / sample) {
        let element = memory.u64_at(address.checked_add(nth * 8)?)?;
        if element == 0 || !element.is_multiple_of(8) {
            return None;
        }
        match memory.u64_at(element.checked_add(ITSELF as u64)?)? {
            // One that is just being made.
            0 => {}
            itself if itself == element => {
                is_proved |= memory.u64_at(element.checked_add(layout.id as u64)?)? != 0;
            }
            _ => return None,
        }
    }
    is_proved.then_some(List { address, length })
}
