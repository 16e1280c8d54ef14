//! Which sockets are selected.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::Args;

use crate::filter::{self, Network, duration};
use crate::model::{Cause, StateSet};

/// Conditions as options. Different options must all match; of an option given more than once, or with
/// several values separated by commas, one value must match.
#[derive(Debug, Clone, Default, Args)]
pub struct Selection {
    /// Only sockets in this state
    ///
    /// Any spelling works: close-wait, CLOSE_WAIT. So do the groups of ss, such as connected.
    #[arg(
        long,
        value_name = "STATE",
        value_delimiter = ',',
        help_heading = "Selection"
    )]
    pub state: Vec<StateSet>,
    /// Only sockets with this port at either end
    ///
    /// A range works too: 8000-8099.
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = ports, help_heading = "Selection")]
    pub port: Vec<RangeInclusive<u16>>,
    /// Only sockets held by processes with this name
    #[arg(long, value_name = "NAME", help_heading = "Selection")]
    pub program: Vec<String>,
    /// Only sockets held by this process
    ///
    /// This includes connections that it has not accepted yet.
    #[arg(long, value_name = "PID", value_delimiter = ',', value_parser = pid, help_heading = "Selection")]
    pub pid: Vec<u32>,
    /// Only sockets with this remote address or network
    #[arg(
        long,
        value_name = "CIDR",
        value_delimiter = ',',
        help_heading = "Selection"
    )]
    pub peer: Vec<Network>,
    /// Only sockets idle at least this long: 90s, 5m, 1h30m
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Selection")]
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
    #[arg(long, value_name = "USER", help_heading = "Selection")]
    pub user: Vec<String>,
    /// Only sockets held in this systemd unit
    #[arg(long, value_name = "UNIT", help_heading = "Selection")]
    pub unit: Vec<String>,
    /// Only sockets held in this container (start of ID)
    #[arg(long, value_name = "ID", help_heading = "Selection")]
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

impl Selection {
    /// The conditions that need names of the host, as words of a filter.
    pub fn words(&self) -> Vec<String> {
        let keys = [
            ("user", &self.user),
            ("unit", &self.unit),
            ("container", &self.container),
        ];
        let one_of = |(key, values): (&str, &Vec<String>)| {
            let is = |value: &String| format!("{key} = {}", filter::quoted(value));
            let any: Vec<String> = values.iter().map(is).collect();
            (!any.is_empty()).then(|| format!("( {} )", any.join(" or ")))
        };
        keys.into_iter().filter_map(one_of).collect()
    }
}

/// `80`, `:80` or `8000-8099`.
fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let bare = text.strip_prefix(':').unwrap_or(text);
    let (first, last) = bare.split_once('-').unwrap_or((bare, bare));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok(first..=last),
        _ if first.starts_with(|c: char| c.is_ascii_alphabetic()) => Err(format!(
            "for a service by its name, write a filter: port = :{bare}"
        )),
        _ => Err("expected a number from 0 to 65535, or a range such as 8000-8099".to_owned()),
    }
}

fn pid(text: &str) -> Result<u32, &'static str> {
    text.parse().map_err(|_| "expected the number of a process")
}
