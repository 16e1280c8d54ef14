//! Origin: when a process came to be what it is: its start comes with its age, here are its files and
//! what runs it. Every fact is optional; one that could not be read is unknown.

use serde::{Deserialize, Serialize};

use super::Name;

/// The times of what a process runs and of what runs it. Times of files are milliseconds since 1970 by
/// the clock of their file system, which is the host's unless it is a network file system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// The file that it executes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executable: Option<Executable>,
    /// The package that has the file, by the database of dpkg in the process's own file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<Package>,
    /// When the content of the script or archive that it runs was last changed, if it is an
    /// interpreter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script_modified_ms: Option<u64>,
    /// Libraries that it has loaded and that have been replaced since: a few.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub old_libraries: Vec<Library>,
    /// How many more libraries have been replaced.
    #[serde(skip_serializing_if = "is_none")]
    pub more_libraries: u32,
    /// Libraries that it has loaded and whose paths have no file any more: a few.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deleted_libraries: Vec<Name>,
    /// How many more libraries have been deleted.
    #[serde(skip_serializing_if = "is_none")]
    pub more_deleted: u32,
    /// The script or archive that it runs is not at its path any more. `false` also if unknown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub script_deleted: bool,
    /// When its service was started, if systemd runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_at_ms: Option<u64>,
    /// How long ago process 1 of its PID namespace started, if that is another one than the reader's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_age_ms: Option<u64>,
}

fn is_none(count: &u32) -> bool {
    *count == 0
}

/// The file that a process executes, and what is at its path now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Executable {
    /// The same file.
    Current {
        /// When its content was last changed.
        modified_ms: u64,
    },
    /// Another file: it was replaced after the process had started.
    Replaced {
        /// When the other file was put there (ctime: a rename sets it). A later change of its owner or
        /// mode sets it too, so that it may have been there earlier.
        by_ms: u64,
        /// When the content of the other file was last changed, which may be when it was built.
        modified_ms: u64,
    },
    /// It was deleted after the process had started, and nothing is known to be at its path.
    Deleted,
}

/// A package and when it was unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    pub name: Name,
    pub installed_ms: u64,
}

/// A library that was replaced after a process had loaded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Library {
    /// The name of the file, without directories.
    pub name: Name,
    /// When the other file was put there, as for [`Executable::Replaced`].
    pub by_ms: u64,
}

impl Origin {
    /// Whether nothing was read.
    pub fn is_unknown(&self) -> bool {
        *self == Origin::default()
    }
}
