//! Groups of options. A command flattens the groups that apply to it, and no others; what the
//! options do is decided in `src/command/`.

pub mod abbreviations;
pub mod common;
pub mod habits;
pub mod help;
pub mod judgement;
pub mod letters;
pub mod output;
pub mod reading;
pub mod selection;
pub mod words;
