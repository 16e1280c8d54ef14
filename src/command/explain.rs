//! `closewait explain`: explains a state or a cause; alone, draws the state diagram with live counts.

use clap::Args;

use super::UsageError;
use super::inspection::{Ask, Asked, Inspection, Wanted};
use crate::cli::output::{Destination, Printed};
use crate::cli::reading::{Host, OF_THIS_HOST, Recorded, Report};
use crate::env::Terminal;
use crate::explain::{Language, Topic};

#[derive(Debug, Clone, Args)]
#[command(
    mut_arg("topic", |topic| topic.conflicts_with_all(OF_THIS_HOST)
        .conflicts_with_all(["from", "strict", "verbose", "output", "color"])),
    mut_arg("from", |from| from.conflicts_with_all(OF_THIS_HOST))
)]
pub struct Options {
    /// A state such as CLOSE_WAIT, or a cause such as never-closed
    pub topic: Option<Topic>,
    /// Language of the text: en or zh [default: by the locale]
    ///
    /// LC_ALL, LC_MESSAGES and LANG choose it, as in zh_CN.UTF-8. Everything else that closewait
    /// prints is English.
    #[arg(
        long,
        value_name = "LANG",
        value_enum,
        hide_possible_values = true,
        requires = "topic"
    )]
    pub lang: Option<Language>,
    #[command(flatten)]
    pub host: Host,
    #[command(flatten)]
    pub recorded: Recorded,
    #[command(flatten)]
    pub report: Report,
    #[command(flatten)]
    pub to: Destination,
}

impl Options {
    pub(super) fn plan(self, terminal: Terminal) -> Result<Inspection, UsageError> {
        let ask = Ask {
            host: self.host,
            recorded: self.recorded,
            report: self.report,
            printed: Printed {
                to: self.to,
                ..Printed::default()
            },
            ..Ask::default()
        };
        Asked::read(ask)?.inspection(Wanted::Explain, terminal)
    }
}
