//! Where the sockets are read, and how much of them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};

use crate::collector::SourceChoice;
use crate::collector::holders::ScanChoice;
use crate::filter::duration;

/// Which part of this host, and how.
#[derive(Debug, Clone, Default, Args)]
pub struct Host {
    /// Another network namespace: a name, a PID, a path or net:[N]
    #[arg(
        short = 'N',
        long,
        value_name = "NAME|PID|PATH",
        help_heading = "Selection"
    )]
    pub netns: Option<String>,
    /// Every network namespace of the host
    #[arg(
        short = 'A',
        long,
        conflicts_with = "netns",
        help_heading = "Selection"
    )]
    pub all_netns: bool,
    /// Where sockets are read from [default: auto]
    #[arg(long, value_enum, help_heading = "Reading")]
    pub source: Option<SourceChoice>,
    /// How the holders of sockets are found [default: auto; procfs with --source procfs]
    #[arg(long, value_name = "HOW", value_enum, help_heading = "Reading")]
    pub scan: Option<ScanChoice>,
    /// Read this procfs, and the network namespace of its PID 1 [default: /proc]
    #[arg(long, value_name = "DIR", help_heading = "Reading")]
    pub proc: Option<PathBuf>,
}

/// The options of [`Host`], which a recording leaves nothing to.
pub const OF_THIS_HOST: [&str; 5] = ["netns", "all_netns", "source", "scan", "proc"];

/// Something else than this host.
#[derive(Debug, Clone, Default, Args)]
pub struct Recorded {
    /// Read a recording instead of this host; `-` is stdin
    #[arg(long, value_name = "FILE", help_heading = "Reading")]
    pub from: Option<PathBuf>,
}

#[derive(Debug, Clone, Default, Args)]
pub struct Owners {
    /// Do not read who holds the sockets
    #[arg(long, help_heading = "Reading")]
    pub no_owners: bool,
}

/// What the processes that findings name are asked.
#[derive(Debug, Clone, Default, Args)]
pub struct Evidence {
    /// Do not look into the processes that findings name
    #[arg(long, help_heading = "Reading")]
    pub no_evidence: bool,
    /// How long to watch the processor use of processes that findings name; 0 turns it off
    /// [default: 200ms]
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Reading")]
    pub sample: Option<Duration>,
}

/// How a run ends that could not read everything, and what it says of its reading.
#[derive(Debug, Clone, Default, Args)]
pub struct Report {
    /// Exit 1 if anything could not be read
    #[arg(long, help_heading = "Reading")]
    pub strict: bool,
    /// Say what was read, how, and how long each step took (stderr)
    #[arg(short = 'v', long, action = ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,
}
