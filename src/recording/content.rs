//! The unpacked content of recorded dumps, limited in size whatever the file claims.

use std::io::{self, Read};

use flate2::read::GzDecoder;

use super::RecordingError;
use crate::collector::sockets::capture::Dump;

/// A message is at most a datagram, which is at most this long.
const MESSAGE_MAX: usize = 64 * 1024;
/// The most bytes that one packed byte may unpack to, beside [`FEW`]. Dumps of the kernel pack to a
/// twentieth, zeros to a thousandth.
pub(super) const RATIO_MAX: u64 = 100;
const FEW: u64 = 1 << 20;

/// The most bytes that a section in gzip form may unpack to.
pub(super) fn unpacked_max(packed: &[u8]) -> u64 {
    (packed.len() as u64)
        .saturating_mul(RATIO_MAX)
        .saturating_add(FEW)
}

impl Dump {
    /// Its unpacked content, at most `room` bytes of it, since a few bytes can unpack to very many.
    /// Bytes that are read are subtracted from `room`.
    pub(super) fn content<'a>(&'a self, room: &'a mut u64) -> Content<'a> {
        Content {
            gzip: GzDecoder::new(&self.stored),
            left: unpacked_max(&self.stored),
            room,
        }
    }

    /// Calls `each` with every message.
    ///
    /// # Errors
    /// When it does not consist of messages, or unpacks to more than `room` bytes.
    pub(super) fn messages(
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
                    "a message is longer than any from the kernel",
                ));
            }
            message.resize(length, 0);
            content.read_exact(&mut message)?;
            each(&message);
        }
    }
}

/// The unpacked content of a dump.
pub(super) struct Content<'a> {
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
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::collector::sockets::capture::{ATTRIBUTES, Capture, Form};

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
    fn a_dump_that_broke_off_is_not_kept() {
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
