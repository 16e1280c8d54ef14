//! From when on sockets count, and how many are too many.

use std::time::Duration;

use clap::Args;

use crate::filter::duration;

#[derive(Debug, Clone, Default, Args)]
pub struct Grace {
    /// How long a CLOSE_WAIT may last before it counts [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Judgement")]
    pub grace: Option<Duration>,
}

#[derive(Debug, Clone, Default, Args)]
pub struct Severity {
    /// Another threshold of severity: warning=N, critical=N (sockets), fd-warning=N, fd-critical=N, queue-warning=N, queue-critical=N (percent)
    #[arg(long, value_name = "NAME=N", help_heading = "Judgement")]
    pub threshold: Vec<String>,
}
