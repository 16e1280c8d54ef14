//! Gaps: what a run could not read, as data.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Words;

/// Something that a run could not read. A snapshot with a gap is incomplete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub kind: GapKind,
    /// How many sockets, processes or lines are affected.
    pub count: u64,
    /// What is missing, in words, with the count.
    pub detail: Words,
    /// What to try; may be empty.
    pub hint: Words,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (detail, hint) = (&self.detail, &self.hint);
        if hint.is_empty() {
            return write!(f, "{detail}");
        }
        write!(f, "{detail}; {hint}")
    }
}

/// The kinds of gaps; their names are part of the JSON contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapKind {
    /// Sockets with an inode for which no holder was found.
    OwnersHidden,
    /// Unaccepted connections whose listener was not found.
    ListenerUnknown,
    /// /proc/net/tcp was read: no ages, no accept queue limits, no cookies.
    ProcSource,
    /// A dump that stayed inconsistent after every retry (`NLM_F_DUMP_INTR`).
    DumpInterrupted,
    /// Messages or lines that could not be parsed.
    Malformed,
    /// An address family that could not be read (disabled IPv6 does not count).
    FamilyUnread,
    /// The processes belong to another namespace, or none could be listed.
    ProcessesUnlisted,
    /// Sockets came without tcp_info, and their ages are needed.
    AgesMissing,
    /// Sockets that could not be matched, because the filter needs an unknown fact.
    Undecided,
    /// A network namespace that could not be read.
    NetnsUnread,
    /// A state that the source does not show.
    StateUnread,
    /// A table was read in pieces, as /proc/net/tcp is: its rows are from different moments.
    InPieces,
    /// MPTCP sockets that could not be read, or may be missing.
    MptcpUnread,
    /// UDP sockets came from /proc/net/udp.
    UdpSource,
    /// UDP sockets were asked for and could not be read.
    UdpUnread,
    /// A fact about a process that could not be read: not permitted, or it changed meanwhile.
    EvidenceMissing,
}

impl GapKind {
    pub fn name(self) -> &'static str {
        match self {
            GapKind::OwnersHidden => "owners-hidden",
            GapKind::ListenerUnknown => "listener-unknown",
            GapKind::ProcSource => "proc-source",
            GapKind::DumpInterrupted => "dump-interrupted",
            GapKind::Malformed => "malformed",
            GapKind::FamilyUnread => "family-unread",
            GapKind::ProcessesUnlisted => "processes-unlisted",
            GapKind::AgesMissing => "ages-missing",
            GapKind::Undecided => "undecided",
            GapKind::NetnsUnread => "netns-unread",
            GapKind::StateUnread => "state-unread",
            GapKind::InPieces => "in-pieces",
            GapKind::MptcpUnread => "mptcp-unread",
            GapKind::UdpSource => "udp-source",
            GapKind::UdpUnread => "udp-unread",
            GapKind::EvidenceMissing => "evidence-missing",
        }
    }
}
