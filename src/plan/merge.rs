//! What is summed, and every rule across the flags of that.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diff::{COUNTING, counting};
use super::{Inspection, Terminal, UsageError, asked, given};
use crate::args::Selection;
use crate::collector::recording::Recording;
use crate::renderer::tally::By;

/// Recordings of many hosts to be summed.
#[derive(Debug, Clone)]
pub struct Merge {
    pub files: Vec<PathBuf>,
    /// How each is looked at; names in the filter mean what they mean in each.
    said: Selection,
    terminal: Terminal,
}

impl Merge {
    pub(super) fn new(
        files: Vec<PathBuf>,
        said: Selection,
        terminal: Terminal,
    ) -> Result<Merge, UsageError> {
        let known: Vec<&str> = COUNTING
            .into_iter()
            .filter(|flag| *flag != "--from")
            .collect();
        given::allow(&said.options, &known, "`closewait merge`")?;
        Ok(Merge {
            files,
            said,
            terminal,
        })
    }

    /// Opens a file, and says how it is looked at.
    pub fn open(&self, file: &Path) -> Result<(Arc<Recording>, Inspection, By), UsageError> {
        let mut said = self.said.clone();
        said.options.from = Some(file.to_owned());
        let (inspection, by) = counting(said, self.terminal)?;
        let recording = match &inspection.request.from {
            Some(recording) => recording.clone(),
            None => asked::open(file)?,
        };
        Ok((recording, inspection, by))
    }
}
