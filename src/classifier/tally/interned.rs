//! Interning: values by number, so that a socket costs no allocation.

use rustc_hash::FxHashMap;

/// Values by number, in order of first use.
pub(super) struct Interned<T> {
    numbers: FxHashMap<T, u32>,
    pub(super) things: Vec<T>,
}

impl<T> Default for Interned<T> {
    fn default() -> Interned<T> {
        Interned {
            numbers: FxHashMap::default(),
            things: Vec::new(),
        }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Interned<T> {
    pub(super) fn number(&mut self, thing: T) -> u32 {
        if let Some(number) = self.numbers.get(&thing) {
            return *number;
        }
        let number = u32::try_from(self.things.len()).unwrap_or(u32::MAX);
        self.numbers.insert(thing.clone(), number);
        self.things.push(thing);
        number
    }

    /// The number of a value; clones it only if it is new.
    pub(super) fn number_of(&mut self, thing: &T) -> u32 {
        match self.numbers.get(thing) {
            Some(number) => *number,
            None => self.number(thing.clone()),
        }
    }

    pub(super) fn thing(&self, number: u32) -> Option<&T> {
        self.things.get(usize::try_from(number).ok()?)
    }
}
