//! The pages that people read.

pub mod diagram;
pub mod diff;
pub mod figures;
pub mod list;
pub mod tally;
pub mod triage;
