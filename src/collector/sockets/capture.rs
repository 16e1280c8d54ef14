//! Raw dumps for a recording: messages or texts, compressed while they are read.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::collector::sockets::sock_diag::wire::Query;
use crate::model::{Family, Protocol, State};

/// Where the attributes of a `struct inet_diag_msg` begin.
pub(crate) const ATTRIBUTES: usize = 72;
/// Attributes without keys, addresses and names (`include/uapi/linux/inet_diag.h`):
/// MEMINFO, INFO, VEGASINFO, CONG, TOS, TCLASS, SKMEMINFO, SHUTDOWN, DCTCPINFO, SKV6ONLY, MARK,
/// BBRINFO, CLASS_ID, ULP_INFO, CGROUP_ID.
const HARMLESS: [u16; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 15, 16, 17, 19, 21];

/// The harmless attributes: the kind, and the attribute with its header and padding.
pub(crate) fn harmless(attributes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = attributes;
    std::iter::from_fn(move || {
        let (length, kind) = match rest {
            [a, b, c, d, ..] => (u16::from_ne_bytes([*a, *b]), u16::from_ne_bytes([*c, *d])),
            _ => return None,
        };
        let padded = usize::from(length.max(4)).next_multiple_of(4);
        let (attribute, after) = rest.split_at(padded.min(rest.len()));
        rest = after;
        Some((kind, attribute))
    })
    .filter(|(kind, _)| HARMLESS.contains(kind))
}

/// What a dump consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Messages of sock_diag: `struct inet_diag_msg` and attributes.
    Tcp,
    /// Messages of sock_diag in which CLOSE means BOUND_INACTIVE.
    TcpBound,
    Mptcp,
    Udp,
    /// The text of /proc/net/tcp; below, of tcp6, udp and udp6.
    ProcTcp,
    ProcTcp6,
    ProcUdp,
    ProcUdp6,
}

impl Form {
    /// The form of the answers to a query.
    pub fn of(query: &Query) -> Form {
        match query.protocol {
            Protocol::Udp => Form::Udp,
            Protocol::Mptcp => Form::Mptcp,
            _ if query.states.contains(State::BoundInactive) => Form::TcpBound,
            Protocol::Tcp | Protocol::Subflow => Form::Tcp,
        }
    }

    /// The form of a file in /proc/net.
    pub fn of_text(protocol: Protocol, family: Family) -> Form {
        match (protocol, family) {
            (Protocol::Udp, Family::Inet) => Form::ProcUdp,
            (Protocol::Udp, Family::Inet6) => Form::ProcUdp6,
            (_, Family::Inet) => Form::ProcTcp,
            (_, Family::Inet6) => Form::ProcTcp6,
        }
    }

    /// The family of a text; `None` for messages, which contain it.
    pub fn text_family(self) -> Option<Family> {
        match self {
            Form::Tcp | Form::TcpBound | Form::Mptcp | Form::Udp => None,
            Form::ProcTcp | Form::ProcUdp => Some(Family::Inet),
            Form::ProcTcp6 | Form::ProcUdp6 => Some(Family::Inet6),
        }
    }

    pub fn protocol(self) -> Protocol {
        match self {
            Form::Tcp | Form::TcpBound | Form::ProcTcp | Form::ProcTcp6 => Protocol::Tcp,
            Form::Mptcp => Protocol::Mptcp,
            Form::Udp | Form::ProcUdp | Form::ProcUdp6 => Protocol::Udp,
        }
    }
}

/// One dump.
#[derive(Debug, Clone)]
pub struct Dump {
    /// The index of its network namespace in the recording.
    pub netns: u16,
    pub form: Form,
    /// Its content in gzip form: a text, or messages, each after its length in four bytes, little-endian.
    pub stored: Vec<u8>,
}

/// Dumps in the order in which they were made.
#[derive(Debug, Default)]
pub struct Capture {
    dumps: Vec<Dump>,
    /// The dump under way; dropped if it breaks off.
    open: Option<(Form, GzEncoder<Vec<u8>>)>,
}

impl Capture {
    pub fn begin(&mut self, form: Form) {
        self.open = Some((form, GzEncoder::new(Vec::new(), Compression::fast())));
    }

    /// Keeps a message, but only attributes known to be harmless: the kernel sends root the keys of TCP
    /// MD5 signatures too.
    pub fn message(&mut self, message: &[u8]) {
        let Some((_, encoder)) = &mut self.open else {
            return;
        };
        let (head, attributes) = message
            .split_at_checked(ATTRIBUTES)
            .unwrap_or((message, &[]));
        let kept = || harmless(attributes).map(|(_, attribute)| attribute);
        let length = head.len() + kept().map(<[u8]>::len).sum::<usize>();
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        // Writing to a Vec does not fail.
        let _ = encoder
            .write_all(&length.to_le_bytes())
            .and_then(|()| encoder.write_all(head));
        for attribute in kept() {
            let _ = encoder.write_all(attribute);
        }
    }

    /// Keeps a part of a text.
    pub fn text(&mut self, text: &str) {
        if let Some((_, encoder)) = &mut self.open {
            let _ = encoder.write_all(text.as_bytes());
        }
    }

    /// A reader of `text` that keeps what it reads.
    pub fn copy<T: Read>(&mut self, text: T) -> Copy<'_, T> {
        Copy {
            text,
            capture: self,
        }
    }

    pub fn end(&mut self) {
        if let Some((form, encoder)) = self.open.take() {
            self.dumps.push(Dump {
                netns: 0,
                form,
                stored: encoder.finish().unwrap_or_default(),
            });
        }
    }

    pub fn append(&mut self, mut more: Capture) {
        self.dumps.append(&mut more.dumps);
    }

    /// How many dumps there are.
    pub fn dumps(&self) -> usize {
        self.dumps.len()
    }

    /// Drops all but the first dumps.
    pub fn truncate(&mut self, dumps: usize) {
        self.dumps.truncate(dumps);
    }

    /// Sets the namespace of all dumps.
    pub fn place(&mut self, netns: u16) {
        for dump in &mut self.dumps {
            dump.netns = netns;
        }
    }

    pub fn into_dumps(self) -> Vec<Dump> {
        self.dumps
    }
}

/// A reader that keeps what it reads.
pub struct Copy<'a, T> {
    text: T,
    capture: &'a mut Capture,
}

impl<T: Read> Read for Copy<'_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.text.read(buffer)?;
        if let Some((_, encoder)) = &mut self.capture.open {
            encoder.write_all(buffer.get(..read).unwrap_or_default())?;
        }
        Ok(read)
    }
}
