//! The columns of a listing: what each is called in every form of output, and what it needs to
//! have been read.

pub mod cell;
pub mod help;

pub use cell::{hidden, push_end, push_owner, push_word, width};

use crate::model::figures::{MEMORY, TCP_INFO};
use crate::model::{DetailSet, Figure};

/// One column of a listing. Its name is the same in `--columns`, in `--sort`, in the heading of
/// CSV, and as a key of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    Netns,
    Proto,
    Protocol,
    Family,
    RecvQ,
    SendQ,
    Local,
    LocalAddr,
    LocalPort,
    Remote,
    RemoteAddr,
    RemotePort,
    State,
    Side,
    Age,
    IdleAtLeast,
    IdleAtMost,
    Cause,
    Timer,
    TimerExpires,
    TimerRetransmits,
    Uid,
    User,
    Inode,
    Cookie,
    Token,
    CgroupId,
    Cgroup,
    Unit,
    Container,
    Accepted,
    OwnerKind,
    Owner,
    Owners,
    Pids,
    Programs,
    Interface,
    Mark,
    V6only,
    Congestion,
    Tos,
    Tclass,
    Shutdown,
    /// One of [`TCP_INFO`] or [`MEMORY`].
    Figure(&'static Figure),
}

/// The columns that are no figures, in the order in which they are listed.
const PLAIN: [Column; 43] = [
    Column::Netns,
    Column::Proto,
    Column::Protocol,
    Column::Family,
    Column::RecvQ,
    Column::SendQ,
    Column::Local,
    Column::LocalAddr,
    Column::LocalPort,
    Column::Remote,
    Column::RemoteAddr,
    Column::RemotePort,
    Column::State,
    Column::Side,
    Column::Age,
    Column::IdleAtLeast,
    Column::IdleAtMost,
    Column::Cause,
    Column::Timer,
    Column::TimerExpires,
    Column::TimerRetransmits,
    Column::Uid,
    Column::User,
    Column::Inode,
    Column::Cookie,
    Column::Token,
    Column::CgroupId,
    Column::Cgroup,
    Column::Unit,
    Column::Container,
    Column::Accepted,
    Column::OwnerKind,
    Column::Owner,
    Column::Owners,
    Column::Pids,
    Column::Programs,
    Column::Interface,
    Column::Mark,
    Column::V6only,
    Column::Congestion,
    Column::Tos,
    Column::Tclass,
    Column::Shutdown,
];

/// The figures of `-i` that a table shows; JSON has them all.
const INFO_SHOWN: [&str; 11] = [
    "cwnd",
    "ssthresh",
    "rtt_us",
    "rto_us",
    "mss",
    "total_retrans",
    "bytes_acked",
    "bytes_received",
    "last_data_sent_ms",
    "last_data_recv_ms",
    "last_ack_recv_ms",
];

/// What must have been read for a column to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Who holds the sockets.
    pub owners: bool,
    /// tcp_info: times, and who opened a connection.
    pub times: bool,
    pub details: DetailSet,
    /// The control groups of the holders.
    pub cgroups: bool,
}

impl Needs {
    pub fn and(self, other: Needs) -> Needs {
        Needs {
            owners: self.owners || other.owners,
            times: self.times || other.times,
            details: self.details.union(other.details),
            cgroups: self.cgroups || other.cgroups,
        }
    }

    /// What all of some columns need together.
    pub fn of(columns: &[Column]) -> Needs {
        let each = columns.iter().map(|column| column.needs());
        each.fold(Needs::default(), Needs::and)
    }
}

impl Column {
    /// Every column.
    pub fn all() -> impl Iterator<Item = Column> {
        let figures = TCP_INFO.iter().chain(MEMORY).map(Column::Figure);
        PLAIN.into_iter().chain(figures)
    }

    /// The column of a name, in any case, with `-`, `_` or nothing between words, its unit left
    /// out or not; a table's heading will do too.
    pub fn find(text: &str) -> Option<Column> {
        let wanted = plain(text);
        let wanted = match wanted.as_str() {
            "port" => "localport",
            "pid" => "pids",
            "program" => "programs",
            "interface" | "if" => "dev",
            "cong" => "congestion",
            "idle" => "age",
            "backlog" => "skbacklog",
            "lastsnd" => "lastdatasent",
            "lastrcv" => "lastdatarecv",
            "lastack" => "lastackrecv",
            "foreign" | "peer" => "remote",
            other => other,
        };
        Column::all().find(|column| {
            let name = column.name();
            let bare = ["_us", "_ms", "_bytes_per_s"]
                .iter()
                .find_map(|unit| name.strip_suffix(unit));
            plain(name) == wanted
                || bare.is_some_and(|bare| plain(bare) == wanted)
                || plain(column.heading()) == wanted
        })
    }

    /// The name: a key of JSON and a heading of CSV.
    pub fn name(self) -> &'static str {
        self.words().0
    }

    /// The heading in a table, as netstat words it where netstat has the column.
    pub fn heading(self) -> &'static str {
        self.words().1
    }

    /// What it says.
    pub fn about(self) -> &'static str {
        self.words().2
    }

    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Column::Netns => ("netns", "Netns", "network namespace"),
            Column::Proto => (
                "proto",
                "Proto",
                "tcp, tcp6, udp or udp6 as in netstat; mptcp, mptcp6, subflow, subflow6",
            ),
            Column::Protocol => (
                "protocol",
                "Protocol",
                "tcp, mptcp, subflow (of an MPTCP connection) or udp",
            ),
            Column::Family => ("family", "Family", "ipv4 or ipv6"),
            Column::RecvQ => (
                "recv_q",
                "Recv-Q",
                "bytes received and not read, a FIN counting as one; LISTEN: connections to accept; MPTCP: memory of unread bytes",
            ),
            Column::SendQ => (
                "send_q",
                "Send-Q",
                "bytes not acknowledged; LISTEN: the limit of the accept queue",
            ),
            Column::Local => ("local", "Local Address", "this end"),
            Column::LocalAddr => ("local_addr", "Local Addr", "its address"),
            Column::LocalPort => ("local_port", "Local Port", "its port"),
            Column::Remote => ("remote", "Foreign Address", "the other end"),
            Column::RemoteAddr => ("remote_addr", "Foreign Addr", "its address"),
            Column::RemotePort => ("remote_port", "Foreign Port", "its port"),
            Column::State => ("state", "State", "state"),
            Column::Side => ("side", "Side", "server or client"),
            Column::Age => (
                "age",
                "Age",
                "how long in CLOSE_WAIT, else idle: =exact, ≥ at least, or a range",
            ),
            Column::IdleAtLeast => ("idle_at_least_ms", "Idle≥", "the age's lower bound"),
            Column::IdleAtMost => ("idle_at_most_ms", "Idle≤", "the age's upper bound"),
            Column::Cause => ("cause", "Cause", "why it is in CLOSE_WAIT"),
            Column::Timer => (
                "timer",
                "Timer",
                "the timer that runs: kind (fires in, retransmissions or probes); CSV: the kind",
            ),
            Column::TimerExpires => ("timer_expires_ms", "Expires", "time until the timer fires"),
            Column::TimerRetransmits => (
                "timer_retransmits",
                "Retr",
                "retransmissions, or probes without an answer, so far",
            ),
            Column::Uid => ("uid", "UID", "number of the user who owns it"),
            Column::User => ("user", "User", "the user's name in /etc/passwd"),
            Column::Inode => ("inode", "Inode", "inode"),
            Column::Cookie => ("cookie", "Cookie", "the kernel's number for its whole life"),
            Column::Token => (
                "mptcp_token",
                "MPTCP token",
                "identifies an MPTCP connection; its subflows have the same",
            ),
            Column::CgroupId => (
                "cgroup_id",
                "Cgroup ID",
                "the kernel's number of the cgroup that it was made in",
            ),
            Column::Cgroup => ("cgroup", "Cgroup", "control group of its first holder"),
            Column::Unit => ("unit", "Unit", "systemd unit that the group tells"),
            Column::Container => ("container", "Container", "container that the group tells"),
            Column::Accepted => (
                "accepted",
                "Accepted",
                "no while it waits in its listener's queue",
            ),
            Column::OwnerKind => (
                "owner_kind",
                "Owner Kind",
                "process, listener, kernel or hidden",
            ),
            Column::Owner => ("owner", "Owner", "who holds it, in short; may have blanks"),
            Column::Owners => ("owners", "Owners", "every holder: pid:fd:name"),
            Column::Pids => ("pids", "PID", "every process that holds it"),
            Column::Programs => ("programs", "Program", "their names"),
            Column::Interface => ("dev", "Dev", "index of the interface that it is bound to"),
            Column::Mark => ("mark", "Mark", "SO_MARK"),
            Column::V6only => ("v6only", "V6only", "IPV6_V6ONLY of an IPv6 listener"),
            Column::Congestion => ("congestion", "Cong", "congestion control"),
            Column::Tos => ("tos", "TOS", "type of service"),
            Column::Tclass => ("tclass", "Tclass", "traffic class of IPv6"),
            Column::Shutdown => (
                "shutdown",
                "Shutdown",
                "directions that are shut down: 1 receiving, 2 sending, 3 both",
            ),
            Column::Figure(figure) => (figure.name, figure.name, figure.about),
        }
    }

    /// Whether it is a field of a socket's whole object in JSON.
    pub fn is_field(self) -> bool {
        matches!(
            self,
            Column::Netns
                | Column::Protocol
                | Column::Family
                | Column::State
                | Column::Local
                | Column::Remote
                | Column::Side
                | Column::RecvQ
                | Column::SendQ
                | Column::Timer
                | Column::Uid
                | Column::User
                | Column::Inode
                | Column::Cookie
                | Column::Token
                | Column::Cgroup
                | Column::Unit
                | Column::Container
                | Column::Accepted
                | Column::OwnerKind
                | Column::Owners
                | Column::Cause
        )
    }

    /// What must be read for it to be known.
    pub fn needs(self) -> Needs {
        let mut needs = Needs::default();
        match self {
            Column::Owner
            | Column::OwnerKind
            | Column::Owners
            | Column::Pids
            | Column::Programs => needs.owners = true,
            Column::Cgroup | Column::Unit | Column::Container => {
                (needs.owners, needs.cgroups) = (true, true);
            }
            Column::Cause => (needs.owners, needs.times) = (true, true),
            Column::Age | Column::IdleAtLeast | Column::IdleAtMost | Column::Side => {
                needs.times = true
            }
            Column::Congestion => needs.details = DetailSet::CONGESTION,
            Column::Tos | Column::Tclass => needs.details = DetailSet::CLASS,
            Column::Shutdown => needs.details = DetailSet::SHUTDOWN,
            Column::Figure(figure) => needs.details = figure.needs(),
            _ => {}
        }
        needs
    }

    /// The columns that `-i` adds to a table.
    pub fn info() -> impl Iterator<Item = Column> {
        let shown = |name: &&str| TCP_INFO.iter().find(|figure| figure.name == *name);
        let figures = INFO_SHOWN.iter().filter_map(shown);
        std::iter::once(Column::Congestion).chain(figures.map(Column::Figure))
    }

    /// The columns that `-m` adds to a table.
    pub fn memory() -> impl Iterator<Item = Column> {
        MEMORY.iter().map(Column::Figure)
    }
}

/// A name without what stands between its words.
fn plain(text: &str) -> String {
    let letters = text.chars().filter(|c| !matches!(c, '-' | '_' | ' '));
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_found_by_its_name_and_by_its_heading() {
        for column in Column::all() {
            assert_eq!(Column::find(column.name()), Some(column));
            assert_eq!(Column::find(column.heading()), Some(column));
            assert_eq!(Column::find(&column.name().to_uppercase()), Some(column));
        }
        for (text, name) in [
            ("recvq", "recv_q"),
            ("Recv-Q", "recv_q"),
            ("rtt", "rtt_us"),
            ("lastrcv", "last_data_recv_ms"),
            ("pacing-rate", "pacing_rate_bytes_per_s"),
            ("pid", "pids"),
            ("foreign", "remote"),
        ] {
            assert_eq!(Column::find(text).map(Column::name), Some(name), "{text}");
        }
        assert_eq!(Column::find("nonsense"), None);
    }

    #[test]
    fn no_two_columns_share_a_name() {
        let mut names: Vec<String> = Column::all().map(|column| plain(column.name())).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn what_the_letters_add_exists() {
        assert_eq!(Column::info().count(), INFO_SHOWN.len() + 1);
        assert_eq!(Column::memory().count(), MEMORY.len());
    }
}
