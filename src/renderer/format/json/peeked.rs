//! What unread bytes ask, for `--peek`.

use serde::Serialize;

use crate::classifier::peeked::{Peek, Peeks};
use crate::model::Content;
use crate::model::peeked::{Left, Record};
use crate::renderer::format::json::context::NameJson;

/// What was seen of the unread bytes of a finding's sockets.
#[derive(Serialize)]
pub(super) struct PeeksJson<'a> {
    sockets: u64,
    with_unread: u64,
    unread: Vec<PeekJson<'a>>,
}

#[derive(Serialize)]
struct PeekJson<'a> {
    content: &'static str,
    sockets: u64,
    bytes_min: u64,
    bytes_max: u64,
    method: Option<NameJson<'a>>,
    path: Option<NameJson<'a>>,
    user_agent: Option<NameJson<'a>>,
    status: Option<u16>,
    server_name: Option<NameJson<'a>>,
    alpn: Vec<NameJson<'a>>,
    command: Option<NameJson<'a>>,
}

impl<'a> From<&'a Peeks> for PeeksJson<'a> {
    fn from(peeks: &'a Peeks) -> PeeksJson<'a> {
        PeeksJson {
            sockets: peeks.sockets,
            with_unread: peeks.unread,
            unread: peeks.groups.iter().map(PeekJson::from).collect(),
        }
    }
}

impl<'a> From<&'a Peek> for PeekJson<'a> {
    fn from(peek: &'a Peek) -> PeekJson<'a> {
        let (bytes_min, bytes_max) = peek.bytes;
        let mut json = PeekJson {
            content: content(&peek.content),
            sockets: peek.sockets,
            bytes_min,
            bytes_max,
            method: None,
            path: None,
            user_agent: None,
            status: None,
            server_name: None,
            alpn: Vec::new(),
            command: None,
        };
        match &peek.content {
            Content::Request {
                method,
                path,
                user_agent,
            } => {
                json.method = method.as_ref().map(NameJson);
                json.path = Some(NameJson(path));
                json.user_agent = user_agent.as_ref().map(NameJson);
            }
            Content::Response(status) => json.status = Some(*status),
            Content::Hello { server_name, alpn } => {
                json.server_name = server_name.as_ref().map(NameJson);
                json.alpn = alpn.iter().map(NameJson).collect();
            }
            Content::Redis(command) => json.command = Some(NameJson(command)),
            Content::Http2
            | Content::Goaway
            | Content::Tls(_)
            | Content::Ssh
            | Content::Postgres
            | Content::Amqp
            | Content::Unknown
            | Content::Left(_) => {}
        }
        json
    }
}

fn content(content: &Content) -> &'static str {
    match content {
        Content::Request { .. } => "http-request",
        Content::Response(_) => "http-response",
        Content::Http2 => "http2-preface",
        Content::Goaway => "http2-goaway",
        Content::Hello { .. } => "tls-client-hello",
        Content::Tls(Record::CipherChange) => "tls-cipher-change",
        Content::Tls(Record::Alert) => "tls-alert",
        Content::Tls(Record::Handshake) => "tls-handshake",
        Content::Tls(Record::Data) => "tls-data",
        Content::Ssh => "ssh",
        Content::Postgres => "postgresql",
        Content::Amqp => "amqp",
        Content::Redis(_) => "redis",
        Content::Unknown => "unknown",
        Content::Left(Left::KernelTls) => "left-kernel-tls",
        Content::Left(Left::PeekOffset) => "left-peek-offset",
    }
}
