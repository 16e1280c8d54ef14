//! The forms that programs read.

pub mod csv;
pub mod json;
pub mod openmetrics;
pub mod plugin;
