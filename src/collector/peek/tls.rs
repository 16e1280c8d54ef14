//! Recognizes TLS: which record it is, and of a ClientHello the server's name and the protocols that the
//! client offers (RFC 8446, RFC 6066, RFC 7301). Both are sent in clear text.
//!
//! A ClientHello may be longer than what was looked at. So its parts are read one after the other, as far
//! as they go; a parser of whole messages would refuse it.

use super::text::cut;
use crate::model::peeked::Record;
use crate::model::{Content, Name};

/// The longest record: 2^14 bytes and 256 more for encryption, 2,048 before TLS 1.3.
const RECORD_MAX: u16 = 16_384 + 2_048;
/// The most protocols of one client that are kept.
const PROTOCOLS: usize = 4;
/// Extensions: server_name and application_layer_protocol_negotiation.
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;

/// What TLS these bytes begin with.
pub(super) fn content(bytes: &[u8]) -> Option<Content> {
    let mut bytes = Bytes(bytes);
    let kind = bytes.u8()?;
    let version = bytes.u16()?;
    let length = bytes.u16()?;
    if !(0x0300..=0x0304).contains(&version) || !(1..=RECORD_MAX).contains(&length) {
        return None;
    }
    Some(Content::Tls(match kind {
        // Its only content is 1.
        20 if length == 1 && bytes.u8()? == 1 => Record::CipherChange,
        // In clear text an alert has two bytes, of which the first is 1 or 2.
        21 if length > 2 || matches!(bytes.u8()?, 1 | 2) => Record::Alert,
        22 => {
            let Bytes(body) = bytes;
            let body = body.get(..usize::from(length)).unwrap_or(body);
            return Some(hello(body).unwrap_or(Content::Tls(Record::Handshake)));
        }
        23 => Record::Data,
        _ => return None,
    }))
}

/// A ClientHello, as far as it was looked at.
fn hello(body: &[u8]) -> Option<Content> {
    let mut message = Bytes(body);
    let kind = message.u8()?;
    let length = message.take(3)?;
    let version = message.u16()?;
    let is_long = matches!(length, [0, high, low] if u16::from_be_bytes([*high, *low]) >= 38);
    if kind != 1 || !is_long || !(0x0300..=0x0303).contains(&version) {
        return None;
    }
    let (mut server_name, mut alpn) = (None, Vec::new());
    if let Some(extensions) = extensions(&mut message) {
        for (kind, body) in extensions {
            match kind {
                SERVER_NAME => server_name = server_name.or_else(|| host(body)),
                ALPN if alpn.is_empty() => alpn = protocols(body).collect(),
                _ => {}
            }
        }
    }
    Some(Content::Hello { server_name, alpn })
}

/// The extensions of a ClientHello, from its random bytes on. One that is cut off ends them.
fn extensions<'a>(message: &mut Bytes<'a>) -> Option<impl Iterator<Item = (u16, &'a [u8])>> {
    // The random bytes, the session, the ciphers, the compression methods.
    message.take(32)?;
    let session = message.u8()?;
    message.take(session.into())?;
    let ciphers = message.u16()?;
    message.take(ciphers.into())?;
    let methods = message.u8()?;
    message.take(methods.into())?;
    let length = usize::from(message.u16()?);
    let mut rest = Bytes(message.0.get(..length).unwrap_or(message.0));
    Some(std::iter::from_fn(move || {
        let kind = rest.u16()?;
        let length = rest.u16()?;
        Some((kind, rest.take(length.into())?))
    }))
}

/// The name in a server_name extension: a list of one name of type 0.
fn host(body: &[u8]) -> Option<Name> {
    let mut body = Bytes(body);
    body.u16()?;
    if body.u8()? != 0 {
        return None;
    }
    let length = body.u16()?;
    let name = body.take(length.into())?;
    let is_host = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    (!name.is_empty() && name.iter().all(is_host)).then(|| cut(name))
}

/// The names in an ALPN extension, the preferred one first.
fn protocols(body: &[u8]) -> impl Iterator<Item = Name> {
    let mut body = Bytes(body);
    // The length of the list, which ends with the extension.
    body.u16();
    let next = move || {
        let length = body.u8()?;
        body.take(length.into())
    };
    let is_word = |name: &&[u8]| !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    // Chosen at random by some clients, so that servers ignore what they do not know (RFC 8701).
    std::iter::from_fn(next)
        .filter(is_word)
        .take(PROTOCOLS)
        .map(cut)
}

/// The bytes that are left.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn u16(&mut self) -> Option<u16> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ClientHello with these extensions.
    fn hello(extensions: &[(u16, &[u8])]) -> Vec<u8> {
        let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_be_bytes();
        let mut list = Vec::new();
        for (kind, body) in extensions {
            list.extend(kind.to_be_bytes());
            list.extend(length(body));
            list.extend(*body);
        }
        let mut message = vec![3, 3];
        message.extend([7; 32]);
        message.extend([2, 8, 8]);
        message.extend([0, 2, 0x13, 1]);
        message.extend([1, 0]);
        message.extend(length(&list));
        message.extend(list);
        let mut record = vec![22, 3, 1];
        record.extend(length(&vec![0; message.len() + 4]));
        record.extend([1, 0]);
        record.extend(length(&message));
        record.extend(message);
        record
    }

    fn name(host: &str) -> Vec<u8> {
        let mut body = vec![0, host.len() as u8 + 3, 0, 0, host.len() as u8];
        body.extend(host.as_bytes());
        body
    }

    fn seen(host: Option<&str>, alpn: &[&str]) -> Option<Content> {
        Some(Content::Hello {
            server_name: host.map(Into::into),
            alpn: alpn.iter().map(|name| Name::from(*name)).collect(),
        })
    }

    #[test]
    fn a_client_hello_names_the_server_and_the_protocols() {
        let alpn = b"\0\x0c\x02h2\x08http/1.1";
        let record = hello(&[(0x0a0a, &[]), (0, &name("shop.example")), (16, alpn)]);
        let expected = seen(Some("shop.example"), &["h2", "http/1.1"]);
        assert_eq!(content(&record), expected);
        assert_eq!(content(&hello(&[])), seen(None, &[]));
    }

    #[test]
    fn a_client_hello_that_is_cut_off_shows_what_came_before() {
        let record = hello(&[(0, &name("shop.example")), (51, &[9; 1200])]);
        for end in 0..record.len() {
            match content(&record[..end]) {
                None => assert!(end < 5),
                Some(Content::Tls(Record::Handshake)) => assert!(end < 11),
                Some(Content::Hello { server_name, .. }) => {
                    assert_eq!(server_name.is_some(), end >= 75, "{end}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_name_that_no_host_has_is_not_kept() {
        let forged = name("a b");
        assert_eq!(content(&hello(&[(0, &forged)])), seen(None, &[]));
        let long = [0, 200, 0, 0, 197, b'a'];
        assert_eq!(content(&hello(&[(0, &long)])), seen(None, &[]));
        let alpn = b"\0\x05\x02\x01\x02\x01h";
        assert_eq!(content(&hello(&[(16, alpn)])), seen(None, &["h"]));
    }

    #[test]
    fn other_records_are_named_by_their_type() {
        let record = |bytes: &[u8]| content(bytes);
        assert_eq!(
            record(b"\x15\x03\x03\x00\x02\x01\x00"),
            Some(Content::Tls(Record::Alert))
        );
        assert_eq!(
            record(b"\x15\x03\x03\x00\x1axx"),
            Some(Content::Tls(Record::Alert))
        );
        assert_eq!(
            record(b"\x17\x03\x03\x40\x11x"),
            Some(Content::Tls(Record::Data))
        );
        assert_eq!(
            record(b"\x14\x03\x03\x00\x01\x01"),
            Some(Content::Tls(Record::CipherChange))
        );
        let server_hello = b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03";
        assert_eq!(record(server_hello), Some(Content::Tls(Record::Handshake)));
        for other in [
            b"\x17\x04\x03\x00\x11x".as_slice(),
            b"\x17\x03\x03\xff\xffx",
            b"\x17\x03\x03\x00\x00x",
            b"\x15\x03\x03\x00\x02\x09\x00",
            b"\x18\x03\x03\x00\x03x",
        ] {
            assert_eq!(record(other), None, "{other:?}");
        }
    }
}
