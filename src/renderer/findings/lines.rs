//! Lines of evidence, and how informative each is.

/// How informative a line of evidence is: the screen has room for a few.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// It points at the fault.
    Decisive,
    /// The cause rests on it, or it narrows it down.
    Telling,
    /// Good to know.
    Plain,
}

/// Lines of evidence with their ranks.
#[derive(Default)]
pub(super) struct Lines(pub(super) Vec<(Rank, String)>);

impl Lines {
    pub(super) fn add(&mut self, rank: Rank, line: impl Into<String>) {
        self.0.push((rank, line.into()));
    }
}
