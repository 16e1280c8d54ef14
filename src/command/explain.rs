//! `closewait explain`: explains a state or a cause, with what the host has of it now; alone, draws the
//! state diagram with live counts.

use std::io::Write;

use anyhow::Context;
use clap::Args;

use super::UsageError;
use super::inspection::{self, Ask, Asked, Inspection, Wanted};
use crate::cli::output::{Destination, Printed};
use crate::cli::reading::{Host, OF_THIS_HOST, Recorded, Report};
use crate::env::Terminal;
use crate::exit::Outcome;
use crate::explain::{self, Language, Topic};
use crate::model::Charset;

#[derive(Debug, Clone, Args)]
#[command(
    mut_arg("topic", |topic| topic.conflicts_with_all(OF_THIS_HOST)
        .conflicts_with_all(["from", "strict", "verbose", "output", "color"])),
    mut_arg("from", |from| from.conflicts_with_all(OF_THIS_HOST))
)]
pub struct Options {
    /// A state such as CLOSE_WAIT, or a cause such as never-closed
    ///
    /// The last part of the text is what this network namespace has of it now.
    pub topic: Option<Topic>,
    /// Language of the text: en or zh [default: by the locale]
    ///
    /// LC_ALL, LC_MESSAGES and LANG choose it, as in zh_CN.UTF-8. Everything else that closewait
    /// prints is English.
    #[arg(
        long,
        value_name = "LANG",
        value_enum,
        ignore_case = true,
        hide_possible_values = true
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

/// A topic to be explained, and how to read its figures.
#[derive(Debug)]
pub struct Explained {
    topic: Topic,
    language: Language,
    /// What reads and prints the figures.
    pub figures: Result<Box<Inspection>, UsageError>,
}

impl Options {
    pub(super) fn plan(self, terminal: Terminal) -> Result<Inspection, UsageError> {
        self.inspection(None, terminal)
    }

    pub(super) fn explained(self, topic: Topic, terminal: Terminal) -> Explained {
        let language = self.lang.unwrap_or(terminal.language);
        // Their text is in UTF-8 as well.
        let terminal = match language {
            Language::English => terminal,
            Language::Chinese => Terminal {
                charset: Charset::Utf8,
                ..terminal
            },
        };
        let figures = self.inspection(Some((topic, language)), terminal);
        Explained {
            topic,
            language,
            figures: figures.map(Box::new),
        }
    }

    fn inspection(
        self,
        topic: Option<(Topic, Language)>,
        terminal: Terminal,
    ) -> Result<Inspection, UsageError> {
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
        Asked::read(ask)?.inspection(Wanted::Explain(topic), terminal)
    }
}

/// Prints the text, then the figures of this host. Without figures the text is complete.
///
/// # Errors
/// If `out` could not be written.
pub(super) fn run(
    explained: &Explained,
    out: &mut impl Write,
    err: &mut impl Write,
) -> anyhow::Result<Outcome> {
    let text = explain::text(explained.topic, explained.language);
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context(UNWRITTEN)?;
    let mut figures = Vec::new();
    let read = match &explained.figures {
        Ok(inspection) => {
            inspection::run(inspection, &mut figures, err).map_err(|error| format!("{error:#}"))
        }
        Err(error) => Err(error.to_string()),
    };
    match read {
        Ok(_) => out
            .write_all(&figures)
            .and_then(|()| out.flush())
            .context(UNWRITTEN)?,
        Err(reason) => writeln!(err, "closewait: no figures of this host: {reason}")?,
    }
    Ok(Outcome::Done)
}

const UNWRITTEN: &str = "could not write the output";
