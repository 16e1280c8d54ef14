//! An earlier reading, as far as growth depends on it.

use rustc_hash::FxHashMap;

use super::key::Key;

/// An earlier reading, as far as growth depends on it.
#[derive(Debug, Clone, Default)]
pub struct Earlier {
    pub(super) counted: u64,
    pub(super) counts: FxHashMap<(u64, Key), u64>,
    /// Why its view did not suffice.
    pub(super) unseen: Vec<String>,
}
