//! When a socket counts as lingering, and how many are too many.

use std::time::Duration;

use clap::Args;

use crate::filter::duration;

#[derive(Debug, Clone, Default, Args)]
pub struct Grace {
    /// Ignore younger CLOSE_WAIT sockets [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Judgement")]
    pub grace: Option<Duration>,
}

#[derive(Debug, Clone, Default, Args)]
pub struct Severity {
    /// Change a severity threshold, such as warning=500
    ///
    /// warning and critical are numbers of sockets; fd-warning and fd-critical are percent of the
    /// process's open file limit; queue-warning and queue-critical are percent of the accept
    /// queue's limit.
    #[arg(
        long,
        value_name = "NAME=N",
        value_delimiter = ',',
        help_heading = "Judgement"
    )]
    pub threshold: Vec<String>,
}
