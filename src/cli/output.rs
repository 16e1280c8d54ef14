//! In which form, and where to.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::filter::duration;

/// A form for programs; a table for people where none is given.
#[derive(Debug, Clone, Default, Args)]
pub struct Form {
    /// One JSON document
    #[arg(long, help_heading = "Output", group = "form")]
    pub json: bool,
    /// One JSON object per line: a socket of a list, a row of --by
    #[arg(long, help_heading = "Output", group = "form")]
    pub jsonl: bool,
    /// Comma-separated values, RFC 4180: sockets of a list, rows of --by
    #[arg(long, help_heading = "Output", group = "form")]
    pub csv: bool,
}

/// How rows are printed, and where to.
#[derive(Debug, Clone, Default, Args)]
pub struct Printed {
    /// At most this many rows or groups; 0 for all
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub limit: Option<usize>,
    /// No heading
    #[arg(short = 'H', long, help_heading = "Output")]
    pub no_header: bool,
    #[command(flatten)]
    pub to: Destination,
}

#[derive(Debug, Clone, Default, Args)]
pub struct Destination {
    /// Write to this file, whole or not at all; it takes the place of an older one, with its mode and
    /// owner. `-` is stdout
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Colours; NO_COLOR, CLICOLOR_FORCE and TERM=dumb are honoured
    #[arg(long, value_name = "WHEN", value_enum, help_heading = "Output")]
    pub color: Option<ColorChoice>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal
    Auto,
    Always,
    Never,
}

/// Counts in place of groups and findings.
#[derive(Debug, Clone, Default, Args)]
pub struct Counted {
    /// Count by these, in place of groups and findings: protocol, state, side, port, peer, program, pid, user, unit, container, netns, cause
    #[arg(
        long,
        value_name = "A,B",
        value_delimiter = ',',
        help_heading = "Output"
    )]
    pub by: Vec<String>,
}

#[derive(Debug, Clone, Default, Args)]
pub struct Order {
    /// Order by a column, reversed by a leading `-`: --sort=-recvq
    #[arg(
        long,
        value_name = "KEY",
        allow_hyphen_values = true,
        help_heading = "Output"
    )]
    pub sort: Option<String>,
}

/// Names in place of numbers.
#[derive(Debug, Clone, Default, Args)]
pub struct Resolved {
    /// Names in place of addresses and ports: /etc/services, /etc/hosts, and DNS by the servers
    /// of /etc/resolv.conf; no other module of nsswitch.conf
    #[arg(short = 'r', long, help_heading = "Output")]
    pub resolve: bool,
    /// How long to wait for all names together [default: 2s]
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Output")]
    pub resolve_timeout: Option<Duration>,
}

#[derive(Debug, Clone, Default, Args)]
pub struct Metrics {
    /// OpenMetrics text, for Prometheus
    #[arg(long, help_heading = "Output", group = "form")]
    pub prometheus: bool,
    /// With --prometheus: at most this many series of ports, programs or queues; the rest is
    /// summed [default: 100]
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub label_limit: Option<usize>,
}

#[derive(Debug, Clone, Default, Args)]
pub struct Quiet {
    /// Print nothing; exit 0 if a socket matched, 1 if none
    #[arg(short = 'q', long, help_heading = "Output")]
    pub quiet: bool,
}
