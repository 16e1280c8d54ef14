//! Which sockets are selected.

use std::time::Duration;

use clap::Args;

use crate::filter::{Network, duration};
use crate::model::{Cause, StateSet};

/// Conditions as options. Different options must all match; an option given more than once matches
/// any of its values.
#[derive(Debug, Clone, Default, Args)]
pub struct Selection {
    /// Only sockets in this state
    ///
    /// Any spelling works: close-wait, CLOSE_WAIT. So do the groups of ss, such as connected.
    #[arg(long, value_name = "STATE", help_heading = "Selection")]
    pub state: Vec<StateSet>,
    /// Only sockets with this port at either end
    #[arg(long, value_name = "PORT", value_parser = port, help_heading = "Selection")]
    pub port: Vec<u16>,
    /// Only sockets held by processes with this name
    #[arg(long, value_name = "NAME", help_heading = "Selection")]
    pub program: Vec<String>,
    /// Only sockets held by this process
    ///
    /// This includes connections that it has not accepted yet.
    #[arg(long, value_name = "PID", value_parser = pid, help_heading = "Selection")]
    pub pid: Vec<u32>,
    /// Only sockets with this remote address or network
    #[arg(long, value_name = "CIDR", help_heading = "Selection")]
    pub peer: Vec<Network>,
    /// Only sockets idle at least this long: 90s, 5m, 1h30m
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Selection")]
    pub older_than: Option<Duration>,
    /// Only CLOSE_WAIT sockets with this cause
    #[arg(long, value_name = "CAUSE", help_heading = "Selection")]
    pub cause: Vec<Cause>,
    /// Only IPv4 sockets
    #[arg(short = '4', long, help_heading = "Selection")]
    pub ipv4: bool,
    /// Only IPv6 sockets
    #[arg(short = '6', long, help_heading = "Selection")]
    pub ipv6: bool,
}

/// Conditions as an ss filter.
#[derive(Debug, Clone, Default, Args)]
pub struct Words {
    /// ss filter, such as: state close-wait dport = :3306
    ///
    /// Conditions of ss: state NAME, exclude NAME, src HOST, dst HOST, sport = PORT, dport = PORT,
    /// dev NAME, fwmark MARK, cgroup PATH, autobound. Further conditions: port = PORT (either end),
    /// pid = N, program = NAME, program ~ REGEX, user = NAME, inode = N, unit = NAME, container = ID,
    /// netns = NAME, cause = NAME, side = server, idle > 5m, recvq > 0, sendq > 0.
    ///
    /// HOST is an address, a network or a name from /etc/hosts, optionally followed by :PORT. Put an
    /// IPv6 address in brackets if a port follows. Combine conditions with and, or, not and
    /// parentheses, and put spaces around each word and parenthesis. As in ss, `and` and `or` have equal
    /// precedence and are read from left to right.
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
}

fn port(text: &str) -> Result<u16, &'static str> {
    text.parse()
        .map_err(|_| "expected a number from 0 to 65535; names work in a filter: port = :https")
}

fn pid(text: &str) -> Result<u32, &'static str> {
    text.parse().map_err(|_| "expected the number of a process")
}
