//! Which sockets.

use std::time::Duration;

use clap::Args;

use crate::filter::{Network, duration};
use crate::model::{Cause, StateSet};

/// Conditions as flags. Different flags must all hold, of the same flag one.
#[derive(Debug, Clone, Default, Args)]
pub struct Selection {
    /// IPv4
    #[arg(short = '4', long, help_heading = "netstat letters")]
    pub ipv4: bool,
    /// IPv6
    #[arg(short = '6', long, help_heading = "netstat letters")]
    pub ipv6: bool,
    /// Sockets in this state: any spelling, or a group of ss such as `connected`
    #[arg(long, value_name = "STATE", help_heading = "Selection")]
    pub state: Vec<StateSet>,
    /// Sockets with this port at either end
    #[arg(long, value_name = "PORT", help_heading = "Selection")]
    pub port: Vec<u16>,
    /// Sockets that this process holds, or has not accepted yet
    #[arg(long, value_name = "PID", help_heading = "Selection")]
    pub pid: Vec<u32>,
    /// Sockets held by processes with this name
    #[arg(long, value_name = "NAME", help_heading = "Selection")]
    pub program: Vec<String>,
    /// Sockets whose remote address is this, or in this network
    #[arg(long, value_name = "CIDR", help_heading = "Selection")]
    pub peer: Vec<Network>,
    /// CLOSE_WAIT sockets with this cause
    #[arg(long, value_name = "CAUSE", help_heading = "Selection")]
    pub cause: Vec<Cause>,
    /// Sockets idle for at least this long: 90, 90s, 5m, 1h30m
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Selection")]
    pub older_than: Option<Duration>,
}

/// Conditions as words.
#[derive(Debug, Clone, Default, Args)]
pub struct Words {
    /// Conditions as ss takes them, and more: state close-wait sport = :8080 not dst 10.0.0.0/8
    ///
    /// Conditions: state NAME, exclude NAME, src HOST, dst HOST, sport = PORT, dport = PORT,
    /// port = PORT, dev NAME, fwmark MARK, cgroup PATH, autobound; pid = N, program = NAME,
    /// program ~ REGEX, user = NAME, inode = N, cause = NAME, idle > 5m, recvq > 0, sendq > 0,
    /// side = server, unit = NAME, container = ID,
    /// netns = NAME. HOST is an address, a network or a name from /etc/hosts, and may end in
    /// :PORT; an IPv6 address with a port stands in brackets. Join them by and, or, not and
    /// parentheses with blanks around them; as in ss, `and` and `or` are read from left to
    /// right.
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
}
