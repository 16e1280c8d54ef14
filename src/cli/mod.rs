//! Groups of options. A command flattens the groups that apply to it, and no others; what the
//! options do is decided in `src/command/`.

pub mod common;
mod habits;
pub mod judgement;
pub mod letters;
pub mod output;
pub mod reading;
pub mod selection;
pub mod words;
