//! Things by number, in the order in which they were met: a socket then costs no allocation.

use rustc_hash::FxHashMap;

/// Things by number, in the order in which they were met.
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

    /// The same, without making a copy of what is known.
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
