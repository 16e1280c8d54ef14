//! Output format and destination.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::filter::duration;

/// A machine-readable format; without one, a table for people is printed.
#[derive(Debug, Clone, Default, Args)]
pub struct Form {
    /// Print one JSON document
    #[arg(long, help_heading = "Output", group = "form")]
    pub json: bool,
    /// Print one JSON object per socket or row of --by
    #[arg(long, help_heading = "Output", group = "form")]
    pub jsonl: bool,
    /// Print CSV (RFC 4180): sockets, or rows of --by
    #[arg(long, help_heading = "Output", group = "form")]
    pub csv: bool,
}

/// How many rows are printed, and where to.
#[derive(Debug, Clone, Default, Args)]
pub struct Printed {
    /// Print at most N rows or groups; 0 means all
    #[arg(long, value_name = "N", value_parser = rows, help_heading = "Output")]
    pub limit: Option<usize>,
    /// Omit the header line
    #[arg(short = 'H', long, help_heading = "Output")]
    pub no_header: bool,
    #[command(flatten)]
    pub to: Destination,
}

#[derive(Debug, Clone, Default, Args)]
pub struct Destination {
    /// Write to this file atomically; - is stdout
    ///
    /// The file appears complete or not at all. It replaces an older one and keeps its mode, owner,
    /// group and access control list.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Colours: auto, always or never [default: auto]
    ///
    /// auto uses colours on a terminal, and honours NO_COLOR, CLICOLOR_FORCE and TERM=dumb.
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        hide_possible_values = true,
        help_heading = "Output"
    )]
    pub color: Option<ColorChoice>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    Auto,
    Always,
    Never,
}

/// How much is printed of the findings.
#[derive(Debug, Clone, Default, Args)]
pub struct Findings {
    /// Print the N worst findings in full, or all
    ///
    /// The others are one line each. On a terminal the worst one is in full, as far as the screen has
    /// room; in a pipe all are. -v prints all of them in full, too.
    #[arg(
        long = "findings",
        value_name = "N",
        value_parser = rows,
        conflicts_with_all = ["form", "by"],
        help_heading = "Output"
    )]
    pub in_full: Option<usize>,
}

/// Counts instead of groups and findings.
#[derive(Debug, Clone, Default, Args)]
pub struct Counted {
    /// Print counts by state, peer, program, … instead
    ///
    /// Prints a table of counts and shares instead of groups and findings. Give any of these, in any
    /// order: protocol, state, side, port, peer, program, pid, user, unit, container, netns, cause.
    #[arg(
        long,
        value_name = "A,B",
        value_delimiter = ',',
        help_heading = "Output",
        display_order = 0
    )]
    pub by: Vec<String>,
}

#[derive(Debug, Clone, Default, Args)]
pub struct Order {
    /// Sort by a column; --sort=-KEY reverses the order
    #[arg(
        long,
        value_name = "KEY",
        allow_hyphen_values = true,
        help_heading = "Output"
    )]
    pub sort: Option<String>,
}

/// Names instead of numbers.
#[derive(Debug, Clone, Default, Args)]
pub struct Resolved {
    /// Show names instead of addresses and ports
    ///
    /// Uses /etc/services, /etc/hosts and the name servers in /etc/resolv.conf. Other modules of
    /// nsswitch.conf (LDAP, mDNS, sssd) are not used.
    #[arg(short = 'r', long, help_heading = "Output")]
    pub resolve: bool,
    /// Time limit for all lookups [default: 2s]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Output")]
    pub resolve_timeout: Option<Duration>,
}

#[derive(Debug, Clone, Default, Args)]
pub struct Metrics {
    /// Print OpenMetrics text for Prometheus
    #[arg(long, help_heading = "Output", group = "form")]
    pub prometheus: bool,
    /// Maximum number of named series [default: 100]
    ///
    /// With --prometheus, at most this many series name ports, programs or queues. The rest are
    /// added up as "other".
    #[arg(long, value_name = "N", value_parser = number, help_heading = "Output")]
    pub label_limit: Option<usize>,
}

#[derive(Debug, Clone, Default, Args)]
pub struct Quiet {
    /// Print nothing; exit 0 if any socket matches
    ///
    /// Exit 1 if none matches, and 2 on an error or if that cannot be decided.
    #[arg(short = 'q', long, help_heading = "Output")]
    pub quiet: bool,
}

/// A number of rows; 0 means all.
fn rows(text: &str) -> Result<usize, String> {
    match text {
        "all" => Ok(0),
        _ => number(text).map_err(|error| format!("{error}; 0 or all means all")),
    }
}

fn number(text: &str) -> Result<usize, String> {
    text.parse()
        .map_err(|_| format!("expected a number up to {}", usize::MAX))
}
