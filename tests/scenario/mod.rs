//! Scenario files: their keys, their syntax, and how they are run.

pub mod build;
pub mod file;
pub mod halt;
pub mod judge;
pub mod lines;
mod origin;
pub mod stacks;
pub mod syntax;

use std::fs;
use std::path::PathBuf;

pub use file::Scenario;

/// Where the scenarios lie.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/scenarios")
}

/// Every scenario with its file's name, ordered by it.
pub fn all() -> Vec<(String, Result<Scenario, String>)> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect();
    files.sort();
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    files
        .iter()
        .map(|path| (name(path), read(&fs::read_to_string(path).unwrap())))
        .collect()
}

/// Reads a scenario.
///
/// # Errors
/// What is wrong with the text, and where.
pub fn read(text: &str) -> Result<Scenario, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}
