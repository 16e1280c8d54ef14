//! Dimensions: what sockets can be counted by.
use std::str::FromStr;

/// A property that sockets can be counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    Protocol,
    State,
    Side,
    /// The port of the service, as in groups.
    Port,
    /// The remote address.
    Peer,
    /// The names of the programs that hold the socket, or its listener if it is unaccepted.
    Program,
    /// The processes that hold it, or its listener.
    Pid,
    User,
    /// The systemd unit of its first holder.
    Unit,
    Container,
    Netns,
    Cause,
}

impl Dimension {
    pub const ALL: [Dimension; 12] = [
        Dimension::Protocol,
        Dimension::State,
        Dimension::Side,
        Dimension::Port,
        Dimension::Peer,
        Dimension::Program,
        Dimension::Pid,
        Dimension::User,
        Dimension::Unit,
        Dimension::Container,
        Dimension::Netns,
        Dimension::Cause,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Dimension::Protocol => "protocol",
            Dimension::State => "state",
            Dimension::Side => "side",
            Dimension::Port => "port",
            Dimension::Peer => "peer",
            Dimension::Program => "program",
            Dimension::Pid => "pid",
            Dimension::User => "user",
            Dimension::Unit => "unit",
            Dimension::Container => "container",
            Dimension::Netns => "netns",
            Dimension::Cause => "cause",
        }
    }

    /// Whether holders are needed; a cause depends on them too.
    pub fn needs_owner(self) -> bool {
        matches!(self, Dimension::Cause) || self.is_by_owner()
    }

    /// Whether it is a property of the holders: sockets of the kernel have none, and with hidden
    /// holders it is unknown.
    pub fn is_by_owner(self) -> bool {
        matches!(self, Dimension::Program | Dimension::Pid) || self.needs_cgroup()
    }

    /// Whether control groups of the holders are needed.
    pub fn needs_cgroup(self) -> bool {
        matches!(self, Dimension::Unit | Dimension::Container)
    }

    /// Whether tcp_info is needed.
    pub fn needs_tcp_info(self) -> bool {
        matches!(self, Dimension::Cause | Dimension::Side | Dimension::Port)
    }
}

/// A word that is not a dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoDimension;

impl FromStr for Dimension {
    type Err = NoDimension;

    fn from_str(name: &str) -> Result<Dimension, NoDimension> {
        let plain = name.to_ascii_lowercase();
        Dimension::ALL
            .into_iter()
            .find(|dimension| dimension.name() == plain)
            .ok_or(NoDimension)
    }
}
