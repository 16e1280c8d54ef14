//! `closewait list`: one line per socket, streamed.

use clap::Args;

use super::UsageError;
use super::inspection::{Ask, Asked, Inspection, Wanted};
use crate::cli::common::Common;
use crate::cli::letters::Details;
use crate::env::Terminal;

#[derive(Debug, Clone, Args)]
pub struct Options {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub details: Details,
}

impl Options {
    /// Whether the user wants only the names of the columns.
    pub(super) fn asks_for_columns(&self) -> bool {
        self.details.columns.as_deref() == Some("help")
    }

    pub(super) fn plan(self, terminal: Terminal) -> Result<Inspection, UsageError> {
        Asked::read(self.ask())?.inspection(Wanted::List, terminal)
    }

    pub(super) fn ask(self) -> Ask {
        Ask {
            details: self.details,
            ..self.common.into()
        }
    }
}
