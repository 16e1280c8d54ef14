//! Which sockets are selected.

use std::time::Duration;

use clap::Args;

use crate::filter::{Sugar, duration};
use crate::model::{Cause, StateSet};

/// Conditions as options. Different options must all match; of an option given more than once, or with
/// several values separated by commas, one value must match.
#[derive(Debug, Clone, Default, Args)]
pub struct Selection {
    /// Only sockets in this state
    ///
    /// Any spelling works: close-wait, CLOSE_WAIT. So do the groups of ss, such as connected.
    /// Separate several values by commas, here and in the options below: close-wait,established.
    #[arg(
        long,
        value_name = "STATE",
        value_delimiter = ',',
        help_heading = "Selection"
    )]
    pub state: Vec<StateSet>,
    /// Only sockets with this port at either end
    ///
    /// A range works too: 8000-8099. So does the name of a service: http.
    #[arg(
        long,
        value_name = "PORT",
        value_delimiter = ',',
        help_heading = "Selection"
    )]
    pub port: Vec<String>,
    /// Only sockets held by processes with this name
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        help_heading = "Selection"
    )]
    pub program: Vec<String>,
    /// Only sockets held by this process
    ///
    /// This includes connections that it has not accepted yet.
    #[arg(long, value_name = "PID", value_delimiter = ',', value_parser = pid, help_heading = "Selection")]
    pub pid: Vec<u32>,
    /// Only sockets with this remote address or network
    ///
    /// 10.0.0.5, 10.0.0.5:3306, 10.0.0.0/8, [::1]:443, :443, or a name from /etc/hosts.
    #[arg(
        long,
        value_name = "HOST",
        value_delimiter = ',',
        help_heading = "Selection"
    )]
    pub peer: Vec<String>,
    /// Only sockets of at least this age: 90s, 5m, 1h30m
    ///
    /// The age of a CLOSE_WAIT socket is the time in that state; of others, the time since the last byte.
    #[arg(
        long,
        value_name = "TIME",
        value_parser = duration,
        aliases = ["age", "min-age", "idle"],
        help_heading = "Selection"
    )]
    pub older_than: Option<Duration>,
    /// Only CLOSE_WAIT sockets with this cause
    #[arg(
        long,
        value_name = "CAUSE",
        value_delimiter = ',',
        help_heading = "Selection"
    )]
    pub cause: Vec<Cause>,
    /// Only sockets of this user, by name or number
    #[arg(
        long,
        value_name = "USER",
        value_delimiter = ',',
        help_heading = "Selection"
    )]
    pub user: Vec<String>,
    /// Only sockets held in this systemd unit
    #[arg(
        long,
        value_name = "UNIT",
        value_delimiter = ',',
        help_heading = "Selection"
    )]
    pub unit: Vec<String>,
    /// Only sockets held in this container (start of ID)
    #[arg(
        long,
        value_name = "ID",
        value_delimiter = ',',
        help_heading = "Selection"
    )]
    pub container: Vec<String>,
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
    /// pid = N, program = NAME, program '~' REGEX, user = NAME, inode = N, unit = NAME, container = ID,
    /// netns = NAME, cause = NAME, side = server, age gt 5m, recvq gt 0, sendq gt 0.
    ///
    /// HOST is an address, a network or a name from /etc/hosts, optionally followed by :PORT. Put an
    /// IPv6 address in brackets if a port follows. Combine conditions with and, or, not and
    /// parentheses, and put spaces around each word and parenthesis. As in ss, `and` and `or` have equal
    /// precedence and are read from left to right.
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
}

impl Selection {
    /// The options whose values may be names of the host, with their values.
    pub fn named(&self) -> [(Sugar, &[String]); 5] {
        [
            (Sugar::Port, &self.port),
            (Sugar::Peer, &self.peer),
            (Sugar::User, &self.user),
            (Sugar::Unit, &self.unit),
            (Sugar::Container, &self.container),
        ]
    }
}

fn pid(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| format!("expected a process number; for a name write --program {text}"))
}
