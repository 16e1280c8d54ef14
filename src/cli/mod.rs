//! Options that several commands take, in groups: a command flattens those that mean something to
//! it, and no others. What they mean is the commands' (`src/command/`).

pub mod common;
pub mod judgement;
pub mod letters;
pub mod output;
pub mod reading;
pub mod selection;
pub mod words;
