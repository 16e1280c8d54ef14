//! The one-letter options of ss(8) and netstat(8).

use clap::Args;

/// Which sockets are listed or counted.
#[derive(Debug, Clone, Default, Args)]
pub struct Letters {
    /// All states; without -a, lists leave out listeners
    #[arg(short = 'a', long, help_heading = "As in ss and netstat")]
    pub all: bool,
    /// Only listeners (unless -a is given)
    #[arg(short = 'l', long, help_heading = "As in ss and netstat")]
    pub listening: bool,
    /// TCP sockets, including MPTCP (default)
    #[arg(short = 't', long, help_heading = "As in ss and netstat")]
    pub tcp: bool,
    /// UDP sockets; with -t, both
    #[arg(short = 'u', long, help_heading = "As in ss and netstat")]
    pub udp: bool,
    /// Numeric output (default); with -r, keep ports numeric
    #[arg(short = 'n', long, help_heading = "As in ss and netstat")]
    pub numeric: bool,
    /// Show processes (default; see --no-owners)
    #[arg(short = 'p', long, help_heading = "As in ss and netstat")]
    pub programs: bool,
    /// Show all columns on a narrow terminal, and cut none
    #[arg(short = 'W', long, help_heading = "As in ss and netstat")]
    pub wide: bool,
}

impl Letters {
    /// Whether any was given.
    pub fn any(&self) -> bool {
        self.all
            || self.listening
            || self.tcp
            || self.udp
            || self.numeric
            || self.programs
            || self.wide
    }
}

/// One letter of netstat that is a command here.
#[derive(Debug, Clone, Default, Args)]
pub struct Repeat {
    /// Repeat every second: short for `closewait watch 1`
    #[arg(short = 'c', long, help_heading = "As in ss and netstat", conflicts_with_all = ["from", "output", "csv", "quiet"])]
    pub continuous: bool,
}

/// What a list shows of each socket.
#[derive(Debug, Clone, Default, Args)]
pub struct Details {
    /// Show timers
    #[arg(short = 'o', long, help_heading = "As in ss and netstat")]
    pub timers: bool,
    /// Show user, inode, cookie and cgroup
    ///
    /// JSON adds the unit and the container.
    #[arg(short = 'e', long, help_heading = "As in ss and netstat")]
    pub extend: bool,
    /// Show TCP internals: congestion, round trips, bytes
    ///
    /// These are fields of the kernel's tcp_info. JSON has all of them.
    #[arg(short = 'i', long, help_heading = "As in ss and netstat")]
    pub info: bool,
    /// Show socket memory
    #[arg(short = 'm', long, help_heading = "As in ss and netstat")]
    pub memory: bool,
    /// Columns to show, or +A,B to add; help lists them
    #[arg(long, value_name = "A,B", help_heading = "Output", display_order = 0)]
    pub columns: Option<String>,
}

impl Details {
    /// Whether a letter was given.
    pub fn any_letter(&self) -> bool {
        self.timers || self.extend || self.info || self.memory
    }
}
