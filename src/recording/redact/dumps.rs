//! Redaction of raw dumps, message by message and line by line.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;

use super::masks::Masks;
use crate::collector::sockets::capture::{self, ATTRIBUTES, Capture, Dump};
use crate::collector::sockets::proc_net;
use crate::collector::sockets::sock_diag::wire;
use crate::model::{Family, Socket};
use crate::recording::{DUMPS_MAX, Recording, RecordingError};

/// The offsets of the addresses in a `struct inet_diag_msg` (`idiag_src`, `idiag_dst`), 16 bytes each.
const SOURCE: usize = 8;
const DESTINATION: usize = 24;
/// The fields of a line of /proc/net/tcp that are parsed: all up to the inode.
const FIELDS: usize = 10;

impl Recording {
    pub(super) fn redacted_dumps(&self, masks: &mut Masks) -> Result<Vec<Dump>, RecordingError> {
        let mut room = DUMPS_MAX;
        let mut dumps = Vec::new();
        for dump in &self.dumps {
            let mut capture = Capture::default();
            capture.begin(dump.form);
            match dump.form.text_family() {
                Some(family) => {
                    for line in lines(dump, &mut room)? {
                        capture.text(&masks.line(&line, dump, family));
                    }
                }
                None => dump.messages(&mut room, |message| {
                    match wire::socket(message, dump.form.protocol()) {
                        Ok(socket) => capture.message(&masks.message(message, &socket)),
                        // It stays malformed.
                        Err(_) => capture.message(&[]),
                    }
                })?,
            }
            capture.end();
            capture.place(dump.netns);
            dumps.extend(capture.into_dumps());
        }
        Ok(dumps)
    }

    /// Every address of every socket.
    pub(super) fn addresses(&self) -> Result<BTreeSet<IpAddr>, RecordingError> {
        let mut addresses = BTreeSet::new();
        let mut room = DUMPS_MAX;
        for dump in &self.dumps {
            let mut add = |socket: &Socket| {
                addresses.extend(
                    [socket.local.addr, socket.remote.addr].map(|addr| addr.to_canonical()),
                );
            };
            let protocol = dump.form.protocol();
            match dump.form.text_family() {
                Some(family) => {
                    for line in lines(dump, &mut room)? {
                        proc_net::socket(&line, protocol, family)
                            .iter()
                            .for_each(&mut add);
                    }
                }
                None => dump.messages(&mut room, |message| {
                    wire::socket(message, protocol).iter().for_each(&mut add);
                })?,
            }
        }
        Ok(addresses)
    }
}

fn lines(dump: &Dump, room: &mut u64) -> Result<Vec<Vec<u8>>, RecordingError> {
    let text = BufReader::new(dump.content(room));
    Ok(text.split(b'\n').collect::<Result<_, _>>()?)
}

impl Masks {
    /// A message of sock_diag with masked addresses, and only attributes known to be harmless.
    fn message(&mut self, message: &[u8], socket: &Socket) -> Vec<u8> {
        let mut masked = message.get(..ATTRIBUTES).unwrap_or(message).to_vec();
        for (at, end) in [(SOURCE, socket.local), (DESTINATION, socket.remote)] {
            let mut bytes = [0; 16];
            match self.address(end.addr) {
                IpAddr::V4(addr) => bytes[..4].copy_from_slice(&addr.octets()),
                IpAddr::V6(addr) => bytes = addr.octets(),
            }
            if let Some(place) = masked.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
                *place = bytes;
            }
        }
        let attributes = message.get(ATTRIBUTES..).unwrap_or_default();
        for (_, attribute) in capture::harmless(attributes) {
            masked.extend(attribute);
        }
        masked
    }

    /// The parsed fields of a line of /proc/net/tcp with masked addresses; `?` for a malformed line.
    fn line(&mut self, line: &[u8], dump: &Dump, family: Family) -> String {
        let Some(socket) = proc_net::socket(line, dump.form.protocol(), family) else {
            // The heading is the kernel's own. A malformed line stays malformed.
            return String::from(if proc_net::is_heading(line) {
                "  sl  local_address rem_address\n"
            } else if line.trim_ascii().is_empty() {
                ""
            } else {
                "?\n"
            });
        };
        let text = String::from_utf8_lossy(line);
        let mut fields: Vec<String> = text
            .split_ascii_whitespace()
            .take(FIELDS)
            .map(str::to_owned)
            .collect();
        for (field, end) in fields.iter_mut().skip(1).zip([socket.local, socket.remote]) {
            let octets = match self.address(end.addr) {
                IpAddr::V4(addr) => addr.octets().to_vec(),
                IpAddr::V6(addr) => addr.octets().to_vec(),
            };
            let words = octets.chunks_exact(4).map(|word| {
                let word = word.try_into().map_or(0, u32::from_ne_bytes);
                format!("{word:08X}")
            });
            *field = format!("{}:{:04X}", words.collect::<String>(), end.port);
        }
        format!("{}\n", fields.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_text_has_masked_addresses_and_only_parsed_fields() {
        let dump = Dump {
            netns: 0,
            form: capture::Form::ProcTcp,
            stored: Vec::new(),
        };
        let mut masks = Masks::default();
        let line = b"   3: 5D4DD60A:1F90 0100007F:D431 08 00000003:00000001 02:000000C8 00000000  1000        2 4711 2 ffff888001234567 20 4 30 10 -1";
        let masked = masks.line(line, &dump, Family::Inet);
        assert_eq!(
            masked,
            "3: 0100000A:1F90 0100007F:D431 08 00000003:00000001 02:000000C8 00000000 1000 2 4711\n"
        );
        assert_eq!(
            masks.line(b"10.214.77.93 secret", &dump, Family::Inet),
            "?\n"
        );
    }
}
