//! What the unread bytes of a finding's sockets ask, for `--peek`.

use crate::classifier::finding::Finding;
use crate::classifier::peeked::{Peek, Peeks};
use crate::model::Content;
use crate::model::peeked::{Left, Record};
use crate::renderer::findings::lines::{Lines, Rank};
use crate::renderer::units::{self, plural};

/// How many kinds of unread bytes a line names.
const SHOWN: usize = 4;

pub(super) fn lines(finding: &Finding, lines: &mut Lines) {
    if let Some(peeks) = &finding.peeks {
        lines.add(Rank::Decisive, line(peeks));
    }
}

/// `unread bytes of 8 sockets: 7 × GET /checkout, user agent kube-probe/1.27; 1 × 412 bytes, not recognized`.
fn line(peeks: &Peeks) -> String {
    let all = units::count(peeks.sockets);
    let shown = peeks.groups.iter().take(SHOWN);
    let mut parts: Vec<String> = match peeks.groups.as_slice() {
        [one] => vec![words(one)],
        _ => shown
            .map(|peek| format!("{} × {}", units::count(peek.sockets), words(peek)))
            .collect(),
    };
    let more = peeks.groups.iter().skip(SHOWN).map(|peek| peek.sockets);
    let more: u64 = more.fold(0, u64::saturating_add);
    if more > 0 {
        parts.push(format!("{} × other", units::count(more)));
    }
    let of = match peeks.unread > peeks.sockets {
        true => format!("{all} of {} sockets", units::count(peeks.unread)),
        false => format!("{all} socket{}", plural(peeks.sockets)),
    };
    format!("unread bytes of {of}: {}", parts.join("; "))
}

fn words(peek: &Peek) -> String {
    match &peek.content {
        Content::Request {
            method,
            path,
            user_agent,
        } => {
            let agent = user_agent.as_ref();
            let agent = agent.map_or(String::new(), |agent| format!(", user agent {agent}"));
            match method {
                Some(method) => format!("{method} {path}{agent}"),
                None => format!("another method, {path}{agent}"),
            }
        }
        Content::Response(status) => format!("an HTTP answer with status {status}"),
        Content::Http2 => "the start of an HTTP/2 connection".to_owned(),
        Content::Goaway => "HTTP/2 GOAWAY: the remote end announces its close".to_owned(),
        Content::Hello { server_name, alpn } => {
            let server = server_name.as_ref();
            let server = server.map_or(String::new(), |name| format!(" for {name}"));
            let names: Vec<String> = alpn.iter().map(ToString::to_string).collect();
            let offers = match names.is_empty() {
                true => String::new(),
                false => format!(", offers {}", names.join(", ")),
            };
            format!("TLS ClientHello{server}{offers}")
        }
        Content::Tls(record) => {
            let name = match record {
                Record::CipherChange => "change of cipher",
                Record::Alert => "alert",
                Record::Handshake => "handshake",
                Record::Data => "data",
            };
            format!("TLS {name} ({})", bytes(peek))
        }
        Content::Ssh => "an SSH banner".to_owned(),
        Content::Postgres => "the first message of a PostgreSQL client".to_owned(),
        Content::Amqp => "the first message of an AMQP client".to_owned(),
        Content::Redis(command) => format!("Redis {command}"),
        Content::Unknown => format!("{}, not recognized", bytes(peek)),
        Content::Left(Left::KernelTls) => {
            format!("{}, not looked at: the kernel decrypts TLS", bytes(peek))
        }
        Content::Left(Left::PeekOffset) => {
            format!(
                "{}, not looked at: the program uses SO_PEEK_OFF",
                bytes(peek)
            )
        }
    }
}

fn bytes(peek: &Peek) -> String {
    let (min, max) = peek.bytes;
    let most = units::count(max);
    match min == max {
        true => format!("{most} byte{}", plural(max)),
        false => format!("{} to {most} bytes", units::count(min)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peek(content: Content, sockets: u64, bytes: (u64, u64)) -> Peek {
        Peek {
            content,
            sockets,
            bytes,
        }
    }

    fn get(path: &str, agent: Option<&str>) -> Content {
        Content::Request {
            method: Some("GET".into()),
            path: path.into(),
            user_agent: agent.map(Into::into),
        }
    }

    #[test]
    fn requests_are_named_with_their_numbers() {
        let all = Peeks {
            sockets: 8,
            unread: 120,
            groups: vec![
                peek(get("/checkout", Some("kube-probe/1.27")), 7, (90, 95)),
                peek(Content::Unknown, 1, (412, 412)),
            ],
        };
        assert_eq!(
            line(&all),
            "unread bytes of 8 of 120 sockets: 7 × GET /checkout, user agent \
             kube-probe/1.27; 1 × 412 bytes, not recognized"
        );
        let one = Peeks {
            sockets: 1,
            unread: 1,
            groups: vec![peek(Content::Tls(Record::Alert), 1, (24, 24))],
        };
        assert_eq!(line(&one), "unread bytes of 1 socket: TLS alert (24 bytes)");
    }

    #[test]
    fn an_unknown_method_is_not_named() {
        let content = Content::Request {
            method: None,
            path: "/a".into(),
            user_agent: None,
        };
        let one = Peeks {
            sockets: 1,
            unread: 1,
            groups: vec![peek(content, 1, (9, 9))],
        };
        assert_eq!(line(&one), "unread bytes of 1 socket: another method, /a");
    }

    #[test]
    fn a_path_cannot_forge_a_line() {
        let one = Peeks {
            sockets: 1,
            unread: 1,
            groups: vec![peek(get("/a\n\u{202e}b", None), 1, (9, 9))],
        };
        assert_eq!(line(&one), "unread bytes of 1 socket: GET /a\\n\\u{202e}b");
    }

    #[test]
    fn only_the_most_frequent_kinds_are_named() {
        let groups = (0..6)
            .map(|n| peek(get(&format!("/{n}"), None), 1, (9, 9)))
            .collect();
        let six = Peeks {
            sockets: 6,
            unread: 6,
            groups,
        };
        let line = line(&six);
        assert!(line.ends_with("1 × GET /3; 2 × other"), "{line}");
    }
}
