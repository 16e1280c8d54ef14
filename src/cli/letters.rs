//! The letters that netstat users type.

use clap::Args;

/// What is listed or counted.
#[derive(Debug, Clone, Default, Args)]
pub struct Letters {
    /// All states, LISTEN too (without it, a list leaves LISTEN out)
    #[arg(short = 'a', long, help_heading = "netstat letters")]
    pub all: bool,
    /// LISTEN only (-a wins)
    #[arg(short = 'l', long, help_heading = "netstat letters")]
    pub listening: bool,
    /// TCP, MPTCP with it (default)
    #[arg(short = 't', long, help_heading = "netstat letters")]
    pub tcp: bool,
    /// UDP; with -t both
    #[arg(short = 'u', long, help_heading = "netstat letters")]
    pub udp: bool,
    /// Numeric output (default); with -r, keep ports numeric
    #[arg(short = 'n', long, help_heading = "netstat letters")]
    pub numeric: bool,
    /// Owners (always on; see --no-owners)
    #[arg(short = 'p', long, help_heading = "netstat letters")]
    pub programs: bool,
    /// Never drop columns on a narrow terminal
    #[arg(short = 'W', long, help_heading = "netstat letters")]
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

/// What a listing shows of each socket.
#[derive(Debug, Clone, Default, Args)]
pub struct Details {
    /// Timers
    #[arg(short = 'o', long, help_heading = "netstat letters")]
    pub timers: bool,
    /// User, inode, cookie and cgroup; in JSON unit and container too
    #[arg(short = 'e', long, help_heading = "netstat letters")]
    pub extend: bool,
    /// tcp_info: congestion, round trips, bytes; all of it in JSON
    #[arg(short = 'i', long, help_heading = "netstat letters")]
    pub info: bool,
    /// Memory of the socket
    #[arg(short = 'm', long, help_heading = "netstat letters")]
    pub memory: bool,
    /// These columns alone, `+A,B` for more than the usual ones, `help` for all there are
    #[arg(long, value_name = "A,B|+C|help", help_heading = "Output")]
    pub columns: Option<String>,
}

impl Details {
    /// Whether a letter was given.
    pub fn any_letter(&self) -> bool {
        self.timers || self.extend || self.info || self.memory
    }
}
