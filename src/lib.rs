//! closewait: TCP socket states, and why connections pile up in CLOSE_WAIT.
//!
//! ```text
//! words ─ command ─┬─► collector ── Snapshot ──► classifier ── Report ──► renderer ──► bytes
//!                  │   all I/O                   pure judgement           words
//!                  └─► exit code
//! ```
//!
//! Each command (`command/`) owns its options, what they mean and its run. Only the collector (and
//! `main`) touches the system. Everything between is a function of its arguments.

#![deny(unsafe_code)]

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
