//! `closewait`: states, groups and findings on one screen; counts with `--by`.

use clap::Args;

use super::UsageError;
use super::inspection::{Ask, Asked, Inspection, Wanted};
use crate::cli::common::Common;
use crate::cli::output::{Counted, Findings, Metrics};
use crate::cli::reading::{Peek, Stacks};
use crate::env::Terminal;

#[derive(Debug, Clone, Default, Args)]
#[command(mut_arg("peek", |peek| peek.conflicts_with_all(["by", "continuous", "no_owners", "prometheus", "quiet"])))]
pub struct Options {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub counted: Counted,
    #[command(flatten)]
    pub metrics: Metrics,
    #[command(flatten)]
    pub findings: Findings,
    #[command(flatten)]
    pub stacks: Stacks,
    #[command(flatten)]
    pub peek: Peek,
}

impl Options {
    pub(super) fn plan(self, terminal: Terminal) -> Result<Inspection, UsageError> {
        Asked::read(self.ask())?.inspection(Wanted::Triage, terminal)
    }

    pub(super) fn ask(self) -> Ask {
        Ask {
            counted: self.counted,
            metrics: self.metrics,
            findings: self.findings,
            stacks: self.stacks,
            peek: self.peek,
            ..self.common.into()
        }
    }
}
