//! closewait: shows TCP socket states and explains connections stuck in CLOSE_WAIT.
//!
//! ```text
//! arguments ─ command ─┬─► collector ── Snapshot ──► classifier ── Report ──► renderer ──► bytes
//!                      │   all I/O                   pure judgement       text, JSON
//!                      └─► exit code
//! ```
//!
//! Each command (`command/`) defines its options, their meaning and its run. Only the collector and
//! `main` touch the system. Everything between is a pure function.

#![deny(unsafe_code)]
// Nothing panics on purpose, and output goes through `stdout` alone. Unit tests may: see clippy.toml.
#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::todo,
    clippy::unimplemented,
    clippy::unreachable,
    clippy::dbg_macro,
    clippy::print_stdout,
    clippy::print_stderr
)]

pub mod classifier;
pub mod cli;
pub mod collector;
pub mod command;
pub mod env;
pub mod exit;
pub mod explain;
pub mod filter;
#[cfg(fuzzing)]
pub mod fuzz;
mod interrupt;
pub mod manual;
pub mod memory;
pub mod model;
mod output;
pub mod panics;
pub mod progress;
pub mod recording;
pub mod renderer;
pub mod rights;
mod start;
pub mod stdout;
