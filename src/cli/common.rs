//! Options that `triage` and `list` share.

use clap::Args;

use super::judgement::{Grace, Severity};
use super::letters::{Letters, Repeat};
use super::output::{Form, Order, Printed, Quiet, Resolved};
use super::reading::{Evidence, Host, OF_THIS_HOST, Owners, Recorded, Report, Twice};
use super::selection::{Selection, Words};

#[derive(Debug, Clone, Default, Args)]
#[command(mut_arg("from", |from| from.conflicts_with_all(OF_THIS_HOST).conflicts_with("sample")))]
pub struct Common {
    #[command(flatten)]
    pub selection: Selection,
    #[command(flatten)]
    pub form: Form,
    #[command(flatten)]
    pub order: Order,
    #[command(flatten)]
    pub printed: Printed,
    #[command(flatten)]
    pub quiet: Quiet,
    #[command(flatten)]
    pub resolved: Resolved,
    #[command(flatten)]
    pub letters: Letters,
    #[command(flatten)]
    pub repeat: Repeat,
    #[command(flatten)]
    pub recorded: Recorded,
    #[command(flatten)]
    pub twice: Twice,
    #[command(flatten)]
    pub host: Host,
    #[command(flatten)]
    pub report: Report,
    #[command(flatten)]
    pub owners: Owners,
    #[command(flatten)]
    pub evidence: Evidence,
    #[command(flatten)]
    pub grace: Grace,
    #[command(flatten)]
    pub severity: Severity,
    #[command(flatten)]
    pub words: Words,
}
