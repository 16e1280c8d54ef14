//! Recognizes what unread bytes begin with. They may begin anywhere in a stream, within a body too, so
//! only what is certain is named, and nothing is kept of anything else.

use super::{http, tls};
use crate::model::Content;

/// The line of the PROXY protocol, version 1, has at most this many bytes.
const PROXY_MAX: usize = 107;
/// The signature of the PROXY protocol, version 2.
const PROXY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// `PG_PROTOCOL(3, 0)` of `src/include/libpq/pqcomm.h`, the numbers after it up to 3.2, and
/// `NEGOTIATE_SSL_CODE` of the same file.
const POSTGRES: [u32; 4] = [0x3_0000, 0x3_0001, 0x3_0002, 80_877_103];
/// The longest first message of a client of PostgreSQL (`MAX_STARTUP_PACKET_LENGTH`, same file).
const POSTGRES_MAX: u32 = 10_000;
/// Frequent commands of Redis. An answer of Redis may begin like a command, with a value in its place, so
/// no other word is kept.
const REDIS: [&str; 40] = [
    "APPEND",
    "AUTH",
    "BLPOP",
    "BRPOP",
    "CLIENT",
    "CONFIG",
    "DECR",
    "DEL",
    "EVAL",
    "EVALSHA",
    "EXEC",
    "EXISTS",
    "EXPIRE",
    "GET",
    "HELLO",
    "HGET",
    "HGETALL",
    "HMGET",
    "HSET",
    "INCR",
    "INFO",
    "LPOP",
    "LPUSH",
    "LRANGE",
    "MGET",
    "MSET",
    "MULTI",
    "PING",
    "PUBLISH",
    "RPOP",
    "RPUSH",
    "SADD",
    "SCAN",
    "SELECT",
    "SET",
    "SETEX",
    "SUBSCRIBE",
    "TTL",
    "ZADD",
    "ZRANGE",
];

/// What these bytes begin with. They are the first of a receive queue, and may be cut off anywhere.
pub fn of(bytes: &[u8]) -> Content {
    let bytes = after_proxy(bytes);
    http::content(bytes)
        .or_else(|| tls::content(bytes))
        .or_else(|| other(bytes))
        .unwrap_or(Content::Unknown)
}

fn other(bytes: &[u8]) -> Option<Content> {
    if bytes.starts_with(b"SSH-2.0-") || bytes.starts_with(b"SSH-1.99-") {
        return Some(Content::Ssh);
    }
    if bytes.starts_with(b"AMQP\0\0\x09\x01") || bytes.starts_with(b"AMQP\0\x01\0\0") {
        return Some(Content::Amqp);
    }
    postgres(bytes).or_else(|| redis(bytes))
}

/// A length and the version of the protocol.
fn postgres(bytes: &[u8]) -> Option<Content> {
    let number = |at: usize| {
        let bytes = bytes.get(at..)?.first_chunk()?;
        Some(u32::from_be_bytes(*bytes))
    };
    let is_length = (8..=POSTGRES_MAX).contains(&number(0)?);
    (is_length && POSTGRES.contains(&number(4)?)).then_some(Content::Postgres)
}

/// An array whose first string is a known command: `*2\r\n$3\r\nGET\r\n`.
fn redis(bytes: &[u8]) -> Option<Content> {
    let mut lines = bytes.splitn(4, |byte| *byte == b'\n').take(3);
    let mut next = |sign: &str| {
        let line = std::str::from_utf8(lines.next()?.strip_suffix(b"\r")?).ok()?;
        line.strip_prefix(sign)
    };
    let items: u32 = next("*")?.parse().ok()?;
    let length: usize = next("$")?.parse().ok()?;
    let word = next("")?;
    let command = REDIS
        .into_iter()
        .find(|command| command.eq_ignore_ascii_case(word))?;
    (items > 0 && length == command.len()).then(|| Content::Redis(command.into()))
}

/// What follows a header of the PROXY protocol of HAProxy (`doc/proxy-protocol.txt`), if there is one.
fn after_proxy(bytes: &[u8]) -> &[u8] {
    if bytes.starts_with(b"PROXY ") {
        let end = bytes.iter().take(PROXY_MAX).position(|byte| *byte == b'\n');
        let rest = end.and_then(|end| bytes.get(end.saturating_add(1)..));
        return rest.unwrap_or(bytes);
    }
    let rest = bytes.strip_prefix(PROXY).and_then(|rest| {
        // Version and family, and the length of the addresses.
        let (head, rest) = rest.split_first_chunk::<4>()?;
        let [_, _, high, low] = *head;
        rest.get(usize::from(u16::from_be_bytes([high, low]))..)
    });
    rest.unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_messages_of_some_protocols_are_recognized_without_what_they_carry() {
        let startup = b"\0\0\0\x29\0\x03\0\0user\0alice\0database\0secret\0\0";
        assert_eq!(of(startup), Content::Postgres);
        assert_eq!(of(b"\0\0\0\x08\x04\xd2\x16\x2f"), Content::Postgres);
        assert_eq!(of(b"SSH-2.0-OpenSSH_9.2p1\r\n"), Content::Ssh);
        assert_eq!(of(b"AMQP\0\0\x09\x01"), Content::Amqp);
        let get = b"*2\r\n$3\r\nget\r\n$6\r\nsecret\r\n";
        assert_eq!(of(get), Content::Redis("GET".into()));
    }

    #[test]
    fn an_answer_of_redis_with_a_value_is_not_taken_for_a_command() {
        assert_eq!(of(b"*1\r\n$6\r\nSECRET\r\n"), Content::Unknown);
        assert_eq!(of(b"*1\r\n$4\r\nGET\r\n"), Content::Unknown);
        assert_eq!(of(b"*-1\r\n"), Content::Unknown);
        assert_eq!(of(b"*1\r\n$3\r\nGET"), Content::Unknown);
    }

    #[test]
    fn bytes_from_within_a_stream_are_unknown() {
        for bytes in [
            b"".as_slice(),
            b"\0",
            b"{\"password\": \"x\"}",
            b"password=x&name=y",
            b"SSH",
            b"\0\0\0\x29\0\x04\0\0",
            b"\xff\xff\xff\xff\0\x03\0\0",
        ] {
            assert_eq!(of(bytes), Content::Unknown, "{bytes:?}");
        }
    }

    #[test]
    fn a_request_behind_a_header_of_the_proxy_protocol_is_found() {
        let request = Content::Request {
            method: Some("GET".into()),
            path: "/a".into(),
            user_agent: None,
        };
        let one = b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nGET /a HTTP/1.1\r\n\r\n";
        assert_eq!(of(one), request);
        let mut two = PROXY.to_vec();
        two.extend(b"\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\xdc\x04\x01\xbb");
        two.extend(b"GET /a HTTP/1.1\r\n\r\n");
        assert_eq!(of(&two), request);
        assert_eq!(of(&two[..20]), Content::Unknown);
        assert_eq!(of(b"PROXY TCP4 192.0.2.1"), Content::Unknown);
    }
}
