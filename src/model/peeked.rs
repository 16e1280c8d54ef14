//! What unread bytes begin with: the request, answer or handshake that nobody has read. Read only with
//! `--peek`. Bodies, cookies and other headers are never kept.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::{Holder, Name};

/// A socket with unread bytes, and a descriptor that refers to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread {
    pub holder: Holder,
    /// The kernel's identifier of the socket; `None` where /proc was the source.
    pub cookie: Option<NonZeroU64>,
}

/// What was seen of the unread bytes of one socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peeked {
    pub inode: u32,
    /// How many bytes were unread then.
    pub bytes: u64,
    pub content: Content,
}

/// What unread bytes begin with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// A request of HTTP/1.
    Request {
        /// `None` if it is not a known one.
        method: Option<Name>,
        /// The target, without its query, parameters and credentials.
        path: Name,
        user_agent: Option<Name>,
    },
    /// An answer of HTTP/1, by its status code.
    Response(u16),
    /// What a client of HTTP/2 sends first (RFC 9113, section 3.4).
    Http2,
    /// HTTP/2 announces that the connection will be closed (RFC 9113, section 6.8).
    Goaway,
    /// The first message of a TLS client (RFC 8446, section 4.1.2).
    Hello {
        /// The server that it asks for; `None` also if the name is beyond what was looked at.
        server_name: Option<Name>,
        /// The protocols that it offers, such as `h2`.
        alpn: Vec<Name>,
    },
    /// Another record of TLS.
    Tls(Record),
    /// The banner of SSH (RFC 4253, section 4.2).
    Ssh,
    /// A client of PostgreSQL begins, with or without TLS.
    Postgres,
    /// A client of AMQP begins.
    Amqp,
    /// A known command of Redis.
    Redis(Name),
    Unknown,
    /// They were not looked at.
    Left(Left),
}

/// The content types of TLS records (RFC 8446, section 5.1). An encrypted record of TLS 1.3 looks like
/// data whatever it contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    CipherChange,
    Alert,
    Handshake,
    Data,
}

/// Why unread bytes were not looked at although that is permitted: looking would change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Left {
    /// The kernel decrypts TLS for the program, and would decrypt the next record.
    KernelTls,
    /// The program peeks too, and the kernel keeps one place for everyone (`SO_PEEK_OFF`).
    PeekOffset,
}
