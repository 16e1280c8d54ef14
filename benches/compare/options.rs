//! The command line of the benchmark, and of the roles in which it starts itself again.

use crate::floor::Order;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Compare closewait with the kernel's floor and with ss, on a workload of TCP sockets.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo bench --bench compare --", max_term_width = 100)]
pub struct Options {
    /// TCP sockets to make: both ends of half as many loopback connections
    #[arg(long, value_name = "N", default_value_t = 200_000,
          value_parser = clap::value_parser!(u32).range(2..=2_000_000))]
    pub sockets: u32,

    /// Processes that hold them, an equal share each
    #[arg(long, value_name = "N", default_value_t = 11,
          value_parser = clap::value_parser!(u32).range(1..=250))]
    pub processes: u32,

    /// Sockets to leave in CLOSE_WAIT: their peers have shut down
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1000,
        default_value_if("selective", "true", "200")
    )]
    pub close_wait: u32,

    /// Rounds; each runs every command once, in turn [default: 5, or 21 with --quiet-host]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub runs: Option<u32>,

    /// No sockets at all: `closewait list` against `ss -tanp` in an empty network namespace
    #[arg(long, conflicts_with_all = ["sockets", "processes", "close_wait"])]
    pub quiet_host: bool,

    /// `list state close-wait`, of 200 among all unless --close-wait says otherwise, against a bare
    /// dump with the same states
    #[arg(long, conflicts_with = "quiet_host")]
    pub selective: bool,

    /// The closewait to measure
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_closewait"))]
    pub bin: PathBuf,

    /// Another command to measure, split at blanks, such as "lsof -nP -iTCP"; repeatable
    #[arg(long, value_name = "COMMAND")]
    pub also: Vec<String>,

    /// Leave ss out
    #[arg(long)]
    pub no_ss: bool,

    /// Whether the floor's dump runs beside its scan or before it
    #[arg(long, value_name = "ORDER", value_enum, default_value_t = Order::Sequential)]
    pub floor_order: Order,

    /// Seconds after which a command is killed, and the benchmark fails
    #[arg(long, value_name = "SECONDS", default_value_t = 120,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub time_limit: u64,

    /// Added by `cargo bench`
    #[arg(long, hide = true)]
    pub bench: bool,

    /// Already in a network namespace of its own
    #[arg(long, hide = true)]
    pub inside: bool,

    #[command(subcommand)]
    pub role: Option<Role>,
}

impl Options {
    /// What the floor does.
    pub fn floor(&self) -> Order {
        if self.selective {
            Order::CloseWait
        } else {
            self.floor_order
        }
    }

    pub fn rounds(&self) -> usize {
        // Runs on a quiet host take milliseconds: noisier, and more of them cost nothing.
        let default = if self.quiet_host || self.selective {
            21
        } else {
            5
        };
        self.runs.unwrap_or(default) as usize
    }
}

/// What this program does when it was started by itself.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// Hold a share of the workload until stdin closes
    #[command(hide = true)]
    Hold(Share),
    /// One dump and one scan, counted
    #[command(hide = true)]
    Floor {
        #[arg(value_enum)]
        order: Order,
    },
    /// Run one command and print what it cost
    #[command(hide = true)]
    Time(Timing),
}

/// One process's share of the workload.
#[derive(Debug, Clone, Args)]
pub struct Share {
    /// Which holder this is, from 0: it has 127.(index+1).0.0/16 to itself
    pub index: u8,
    pub connections: u32,
    /// How many of the connections get a CLOSE_WAIT end
    pub close_wait: u32,
}

/// One command to measure.
#[derive(Debug, Args)]
pub struct Timing {
    /// Seconds after which the command is killed
    #[arg(long)]
    pub limit: u64,
    /// Count the lines of its output and let its stderr through, rather than discard both
    #[arg(long)]
    pub lines: bool,
    #[arg(last = true, required = true)]
    pub argv: Vec<String>,
}
