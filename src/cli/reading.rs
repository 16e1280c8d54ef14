//! Where sockets are read from, and how much is read.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};

use crate::collector::request::{ScanChoice, SourceChoice};
use crate::filter::duration;

/// Which part of this host is read, and how.
#[derive(Debug, Clone, Default, Args)]
pub struct Host {
    /// Read this namespace: a name, PID, path or net:[N]
    ///
    /// The network namespace may be given by its `ip netns` name, a process in it, a file, or its
    /// number.
    #[arg(short = 'N', long, value_name = "NS", help_heading = "Selection")]
    pub netns: Option<String>,
    /// Read every network namespace of this host
    #[arg(
        short = 'A',
        long,
        conflicts_with = "netns",
        help_heading = "Selection"
    )]
    pub all_netns: bool,
    /// Read sockets by auto (default), netlink or procfs
    ///
    /// netlink is sock_diag(7). procfs is /proc/net/tcp and tcp6. auto uses sock_diag, or procfs
    /// where sock_diag is unavailable.
    #[arg(
        long,
        value_name = "HOW",
        value_enum,
        hide_possible_values = true,
        help_heading = "Reading"
    )]
    pub source: Option<SourceChoice>,
    /// Find owners by auto (default), bpf or procfs
    ///
    /// bpf is a BPF iterator in the kernel. procfs reads /proc/*/fd. auto uses the iterator if many
    /// files are open and the kernel allows it; with --source procfs it always reads /proc/*/fd.
    #[arg(
        long,
        value_name = "HOW",
        value_enum,
        hide_possible_values = true,
        help_heading = "Reading"
    )]
    pub scan: Option<ScanChoice>,
    /// Read this procfs instead of /proc
    ///
    /// Reads the network namespace of PID 1 in that procfs. In a container, `--proc /host/proc`
    /// reads the host's.
    #[arg(long, value_name = "DIR", help_heading = "Reading")]
    pub proc: Option<PathBuf>,
}

/// The options of [`Host`]; none of them applies to a recording.
pub const OF_THIS_HOST: [&str; 5] = ["netns", "all_netns", "source", "scan", "proc"];

/// A recording instead of this host.
#[derive(Debug, Clone, Default, Args)]
pub struct Recorded {
    /// Read a recording instead of this host; - is stdin
    #[arg(long, value_name = "FILE", help_heading = "Reading")]
    pub from: Option<PathBuf>,
}

/// A second reading.
#[derive(Debug, Clone, Default, Args)]
pub struct Twice {
    /// Read twice, this long apart, and show what grew
    ///
    /// Shows how many sockets of each group and finding are new and gone, and the growth per minute.
    /// A list marks new and gone sockets. TIME is 1s to 1h; use `closewait record` and `closewait
    /// diff` to compare readings that are further apart.
    #[arg(
        id = "between",
        long = "for",
        value_name = "TIME",
        value_parser = duration,
        conflicts_with = "continuous",
        help_heading = "Reading"
    )]
    pub between: Option<Duration>,
}

#[derive(Debug, Clone, Default, Args)]
pub struct Owners {
    /// Do not look up which processes hold the sockets
    #[arg(long, help_heading = "Reading")]
    pub no_owners: bool,
}

/// What is read about the processes named in findings.
#[derive(Debug, Clone, Default, Args)]
pub struct Evidence {
    /// Do not examine the processes named in findings
    #[arg(long, help_heading = "Reading")]
    pub no_evidence: bool,
    /// CPU sampling time; 0 turns it off [default: 200ms]
    ///
    /// For the processes named in findings.
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Reading")]
    pub sample: Option<Duration>,
}

/// Whether the memory of the processes named in findings is read.
#[derive(Debug, Clone, Default, Args)]
pub struct Memory {
    /// Do not read where in their code they wait
    ///
    /// The stacks of the processes named in findings are copied from their memory, while they run on.
    #[arg(long, help_heading = "Reading")]
    pub no_stacks: bool,
}

/// Of which findings it is read.
#[derive(Debug, Clone, Default, Args)]
pub struct Stacks {
    #[command(flatten)]
    pub memory: Memory,
    /// Read it for all findings, and in `watch`
    ///
    /// Without this or -v, only for warning and critical findings.
    #[arg(long, conflicts_with_all = ["no_stacks", "no_evidence"], help_heading = "Reading")]
    pub stacks: bool,
}

/// What is read of the contents of connections.
#[derive(Debug, Clone, Default, Args)]
pub struct Peek {
    /// Show what the unread bytes of findings ask for
    ///
    /// Looks at the first 2 KiB that a program has not read, on a few connections of each finding. Shows
    /// the method and path of an HTTP request, its user agent, the status of an answer, or the server
    /// name of a TLS client. Never shows queries, other headers or bodies. Nothing is consumed. Needs
    /// root, or the user of the program. Off by default.
    #[arg(long, conflicts_with_all = ["from", "no_evidence", "proc"], help_heading = "Reading")]
    pub peek: bool,
}

/// How an incomplete reading ends, and what is reported about the reading.
#[derive(Debug, Clone, Default, Args)]
pub struct Report {
    /// Exit 1 if anything could not be read
    #[arg(long, help_heading = "Reading")]
    pub strict: bool,
    /// Report what was read, and timings, on stderr
    #[arg(short = 'v', long, action = ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,
}
