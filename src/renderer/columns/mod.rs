//! The columns of a listing: which there are, and how one is found by its name.

mod cell;
mod ends;
pub mod help;
mod needs;
mod owner;
mod text;
mod words;

pub use cell::{Value, push_known, value};
pub use ends::{push_end, push_port};
pub use needs::Needs;
pub use owner::{cut_owner, hidden, push_owner, push_processes};
pub use text::{push_word, width};

use crate::model::Figure;
use crate::model::figures::{MEMORY, TCP_INFO};

/// One column of a listing. Its name is the same in `--columns`, in `--sort`, in the heading of
/// CSV, and as a key of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    Change,
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
const PLAIN: [Column; 44] = [
    Column::Change,
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
            "idle" | "idlems" | "olderthan" => "age",
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

    /// Whether it is a field of a socket's whole object in JSON.
    pub fn is_field(self) -> bool {
        matches!(
            self,
            Column::Change
                | Column::Netns
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

/// A name in lower case, without separators.
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
            ("idle_ms", "age"),
            ("older-than", "age"),
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
