//! What grew since an earlier reading: what pages and formats are given of it.

use crate::classifier::Report;
use crate::classifier::growth::Growth;

/// What grew since an earlier reading, and that reading.
#[derive(Clone, Copy)]
pub struct Since<'a> {
    pub growth: &'a Growth,
    pub before: &'a Report<'a>,
    /// Of several readings, what grew since the one before.
    pub latest: Option<Latest<'a>>,
}

/// What grew since the reading before, and that reading.
#[derive(Clone, Copy)]
pub struct Latest<'a> {
    pub growth: &'a Growth,
    pub before: &'a Report<'a>,
}
