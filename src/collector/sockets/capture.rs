//! Dumps as they came, message by message or text by text, compressed while they are read.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::collector::sockets::sock_diag::wire::Query;
use crate::model::{Family, Protocol, State};
use crate::recording::RecordingError;

/// A message is at most a datagram, which is at most this.
const MESSAGE_MAX: usize = 64 * 1024;
/// The most bytes that one byte in gzip form stands for, beside a few: what comes from the kernel is
/// packed to a twentieth, nothing at all to a thousandth.
pub(crate) const RATIO_MAX: u64 = 100;
const FEW: u64 = 1 << 20;

/// What a section in gzip form may come to.
pub(crate) fn unpacked_max(packed: &[u8]) -> u64 {
    (packed.len() as u64)
        .saturating_mul(RATIO_MAX)
        .saturating_add(FEW)
}

/// Where the attributes of a `struct inet_diag_msg` begin.
pub(crate) const ATTRIBUTES: usize = 72;
/// Attributes that tell neither keys, addresses nor names (`include/uapi/linux/inet_diag.h`):
/// MEMINFO, INFO, VEGASINFO, CONG, TOS, TCLASS, SKMEMINFO, SHUTDOWN, DCTCPINFO, SKV6ONLY, MARK,
/// BBRINFO, CLASS_ID, ULP_INFO, CGROUP_ID.
const HARMLESS: [u16; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 15, 16, 17, 19, 21];

/// The attributes that are harmless: the kind, and the whole with its header and padding.
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

/// What a dump is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Messages of sock_diag: `struct inet_diag_msg` and attributes.
    Tcp,
    /// The same, where CLOSE stands for BOUND_INACTIVE.
    TcpBound,
    Mptcp,
    Udp,
    /// The text of /proc/net/tcp, and so on.
    ProcTcp,
    ProcTcp6,
    ProcUdp,
    ProcUdp6,
}

impl Form {
    /// What a query is answered with.
    pub fn of(query: &Query) -> Form {
        match query.protocol {
            Protocol::Udp => Form::Udp,
            Protocol::Mptcp => Form::Mptcp,
            _ if query.states.contains(State::BoundInactive) => Form::TcpBound,
            Protocol::Tcp | Protocol::Subflow => Form::Tcp,
        }
    }

    /// What a file of /proc/net has.
    pub fn of_text(protocol: Protocol, family: Family) -> Form {
        match (protocol, family) {
            (Protocol::Udp, Family::Inet) => Form::ProcUdp,
            (Protocol::Udp, Family::Inet6) => Form::ProcUdp6,
            (_, Family::Inet) => Form::ProcTcp,
            (_, Family::Inet6) => Form::ProcTcp6,
        }
    }

    /// The family that a text is of; `None` for messages, which say it themselves.
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
    /// The position of its network namespace among those of the recording.
    pub netns: u16,
    pub form: Form,
    /// Its content in gzip form: a text, or messages, each behind its length in four bytes, the
    /// lowest first.
    pub stored: Vec<u8>,
}

/// Dumps in the order in which they came.
#[derive(Debug, Default)]
pub struct Capture {
    dumps: Vec<Dump>,
    /// The one under way; left behind where it breaks off.
    open: Option<(Form, GzEncoder<Vec<u8>>)>,
}

impl Capture {
    pub fn begin(&mut self, form: Form) {
        self.open = Some((form, GzEncoder::new(Vec::new(), Compression::fast())));
    }

    /// Keeps a message without the attributes that are not known to be harmless: to root the kernel
    /// tells the keys of TCP MD5 signatures too.
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

    /// A part of a text.
    pub fn text(&mut self, text: &str) {
        if let Some((_, encoder)) = &mut self.open {
            let _ = encoder.write_all(text.as_bytes());
        }
    }

    /// What is read from the answer is read from `text`, and kept.
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

    /// Forgets all but the first dumps.
    pub fn truncate(&mut self, dumps: usize) {
        self.dumps.truncate(dumps);
    }

    /// Says in which namespace all of it was read.
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

impl Dump {
    /// Its content, of which no more than `room` bytes are read: a few bytes can stand for very
    /// many. What was read is taken off the room.
    pub fn content<'a>(&'a self, room: &'a mut u64) -> Content<'a> {
        Content {
            gzip: GzDecoder::new(&self.stored),
            left: unpacked_max(&self.stored),
            room,
        }
    }

    /// Hands out its messages one after the other.
    ///
    /// # Errors
    /// When it is not made of messages, or has more than the room.
    pub fn messages(
        &self,
        room: &mut u64,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), RecordingError> {
        let mut content = self.content(room);
        let mut message = Vec::with_capacity(MESSAGE_MAX);
        loop {
            let mut length = [0; 4];
            match content.read(&mut length[..1])? {
                0 => return Ok(()),
                _ => content.read_exact(&mut length[1..])?,
            }
            let length = u32::from_le_bytes(length) as usize;
            if length > MESSAGE_MAX {
                return Err(RecordingError::Altered(
                    "a message that long does not exist",
                ));
            }
            message.resize(length, 0);
            content.read_exact(&mut message)?;
            each(&message);
        }
    }
}

/// The content of a dump.
pub struct Content<'a> {
    gzip: GzDecoder<&'a [u8]>,
    left: u64,
    room: &'a mut u64,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.gzip.read(buffer)?;
        for room in [&mut *self.room, &mut self.left] {
            *room = room
                .checked_sub(read as u64)
                .ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(messages: &[&[u8]]) -> Dump {
        let mut capture = Capture::default();
        capture.begin(Form::Udp);
        for message in messages {
            capture.message(message);
        }
        capture.end();
        capture.into_dumps().remove(0)
    }

    fn read(dump: &Dump, room: u64) -> Result<Vec<Vec<u8>>, RecordingError> {
        let mut read = Vec::new();
        let mut left = room;
        dump.messages(&mut left, |message| read.push(message.to_vec()))?;
        Ok(read)
    }

    /// A message with an attribute of 60,000 zeros: INFO.
    fn zeros() -> Vec<u8> {
        let mut zeros = vec![0; ATTRIBUTES + 60_000];
        zeros[ATTRIBUTES..ATTRIBUTES + 2].copy_from_slice(&60_000u16.to_ne_bytes());
        zeros[ATTRIBUTES + 2..ATTRIBUTES + 4].copy_from_slice(&2u16.to_ne_bytes());
        zeros
    }

    #[test]
    fn messages_come_back_as_they_were_whatever_their_length() {
        let messages: [&[u8]; 4] = [b"one", b"", &[7; ATTRIBUTES], b"last"];
        assert_eq!(read(&dump(&messages), 10_000).unwrap(), messages);
        assert!(read(&dump(&[]), 0).unwrap().is_empty());
    }

    #[test]
    fn a_few_bytes_that_stand_for_very_many_are_not_unpacked() {
        let zeros = zeros();
        let bomb = dump(&vec![zeros.as_slice(); 100]);
        assert!(bomb.stored.len() < 60_000);
        let error = read(&bomb, 1_000_000).unwrap_err();
        assert!(matches!(error, RecordingError::TooLarge), "{error}");
    }

    #[test]
    fn many_times_itself_is_too_much_however_much_room_there_is() {
        let bomb = dump(&vec![zeros().as_slice(); 40]);
        let error = read(&bomb, u64::MAX).unwrap_err();
        assert!(matches!(error, RecordingError::TooLarge), "{error}");
    }

    #[test]
    fn a_key_that_the_kernel_tells_root_is_not_kept() {
        let attribute = |kind: u16, value: &[u8]| {
            let length = u16::try_from(value.len() + 4).unwrap();
            [&length.to_ne_bytes(), &kind.to_ne_bytes(), value].concat()
        };
        let head = [7; ATTRIBUTES];
        let (mark, key) = (
            attribute(15, &[1, 0, 0, 0]),
            attribute(14, b"SECRETKEYSECRETK"),
        );
        let message = [&head[..], &key, &mark].concat();
        let kept = read(&dump(&[&message]), 1000).unwrap();
        assert_eq!(kept, [[&head[..], &mark].concat()]);
    }

    #[test]
    fn a_dump_that_broke_off_is_not_on_the_tape() {
        let mut capture = Capture::default();
        capture.begin(Form::Tcp);
        capture.message(b"lost");
        capture.begin(Form::Tcp);
        capture.message(b"kept");
        capture.end();
        capture.begin(Form::Tcp);
        assert_eq!(capture.dumps(), 1);
        let dumps = capture.into_dumps();
        assert_eq!(read(&dumps[0], 100).unwrap(), [b"kept"]);
    }

    #[test]
    fn lengths_that_lie_are_found_out() {
        for content in [&[9, 0, 0, 0, 1][..], &[1, 0], &[0xff, 0xff, 0xff, 0xff, 1]] {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(content).unwrap();
            let dump = Dump {
                netns: 0,
                form: Form::Tcp,
                stored: encoder.finish().unwrap(),
            };
            let error = read(&dump, 1000).unwrap_err();
            assert!(matches!(error, RecordingError::Altered(_)), "{error}");
        }
    }
}
