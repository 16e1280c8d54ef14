//! Recognizes HTTP: the request line and the user agent, the status of an answer. No other header is
//! kept, and of the target neither the query nor parameters, which may contain credentials.

use httparse::{EMPTY_HEADER, Request, Response};

use super::text::cut;
use crate::model::{Content, Name};

/// How many headers are searched for the user agent.
const HEADERS: usize = 32;
/// The longest method: `UPDATEREDIRECTREF`.
const METHOD_MAX: usize = 17;
/// What a client of HTTP/2 sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The highest error code of HTTP/2 (RFC 9113, section 7).
const ERROR_MAX: u8 = 0xd;

/// What HTTP these bytes begin with.
pub(super) fn content(bytes: &[u8]) -> Option<Content> {
    if bytes.starts_with(PREFACE) {
        return Some(Content::Http2);
    }
    if is_goaway(bytes) {
        return Some(Content::Goaway);
    }
    request(bytes).or_else(|| response(bytes))
}

fn request(bytes: &[u8]) -> Option<Content> {
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut request = Request::new(&mut headers);
    // It may be cut off, or have more headers. What was parsed until then is there.
    match request.parse(bytes) {
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {}
        Err(_) => return None,
    }
    let (method, target) = (request.method?, request.path?);
    request.version?;
    let is_method = method.len() <= METHOD_MAX
        && method
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    let mut headers = request.headers.iter();
    let user_agent = headers.find(|header| header.name.eq_ignore_ascii_case("user-agent"));
    is_method.then(|| Content::Request {
        method: method.into(),
        path: path(method, target),
        user_agent: user_agent.map(|header| cut(header.value)),
    })
}

/// The target of a request without query, fragment, parameters and credentials.
fn path(method: &str, target: &str) -> Name {
    let end = target.find(['?', '#', ';']).unwrap_or(target.len());
    let target = target.get(..end).unwrap_or_default();
    // `http://user:password@host/path`, and `host:port` for CONNECT.
    let (scheme, rest) = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => (Some(scheme), rest),
        _ => (None, target),
    };
    if scheme.is_none() && method != "CONNECT" {
        return cut(target.as_bytes());
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let start = scheme.map_or(String::new(), |scheme| format!("{scheme}://"));
    cut(format!("{start}{host}{path}").as_bytes())
}

fn response(bytes: &[u8]) -> Option<Content> {
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut response = Response::new(&mut headers);
    match response.parse(bytes) {
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {}
        Err(_) => return None,
    }
    response.code.map(Content::Response)
}

/// A GOAWAY frame: its length, its type 7, no flags, stream 0, then the last stream and an error code
/// (RFC 9113, section 6.8).
fn is_goaway(bytes: &[u8]) -> bool {
    let Some([0, _, length, 7, 0, 0, 0, 0, 0, _, _, _, _, 0, 0, 0, error]) = bytes.first_chunk()
    else {
        return false;
    };
    *length >= 8 && *error <= ERROR_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, path: &str, agent: Option<&str>) -> Option<Content> {
        Some(Content::Request {
            method: method.into(),
            path: path.into(),
            user_agent: agent.map(Into::into),
        })
    }

    #[test]
    fn of_a_request_only_the_line_without_query_and_the_user_agent_are_kept() {
        let whole = b"POST /checkout?token=SECRET HTTP/1.1\r\nHost: shop\r\nCookie: SECRET\r\n\
            Authorization: Bearer SECRET\r\nuser-agent: kube-probe/1.27\r\n\r\nSECRET";
        let seen = content(whole);
        assert_eq!(seen, request("POST", "/checkout", Some("kube-probe/1.27")));
        assert!(!format!("{seen:?}").contains("SECRET"));
    }

    #[test]
    fn a_target_is_cut_before_whatever_may_be_a_credential() {
        for (line, path) in [
            ("GET /a;jsessionid=1?b HTTP/1.1", "/a"),
            ("GET /a#b HTTP/1.1", "/a"),
            ("GET ?b HTTP/1.1", ""),
            (
                "GET http://u:p@host:80/a@b?c HTTP/1.1",
                "http://host:80/a@b",
            ),
            ("GET http://u:p@host HTTP/1.1", "http://host"),
            ("GET /a://u:p@host HTTP/1.1", "/a://u:p@host"),
            ("OPTIONS * HTTP/1.1", "*"),
        ] {
            let method = line.split(' ').next().unwrap();
            let seen = content(format!("{line}\r\n\r\n").as_bytes());
            assert_eq!(seen, request(method, path, None), "{line}");
        }
        let connect = content(b"CONNECT u:p@host:443 HTTP/1.1\r\n\r\n");
        assert_eq!(connect, request("CONNECT", "host:443", None));
    }

    #[test]
    fn a_request_that_is_cut_off_or_has_many_headers_is_recognized() {
        let cut = b"GET /a HTTP/1.1\r\nUser-Agent: curl/8\r\nCookie: SECR";
        assert_eq!(content(cut), request("GET", "/a", Some("curl/8")));
        let within = b"GET /a HTTP/1.1\r\nUser-Agent: cur";
        assert_eq!(content(within), request("GET", "/a", None));
        let many = "X: y\r\n".repeat(HEADERS + 1);
        let many = format!("GET /a HTTP/1.1\r\n{many}User-Agent: z\r\n\r\n");
        assert_eq!(content(many.as_bytes()), request("GET", "/a", None));
        assert_eq!(content(b"GET /a HTTP"), None);
    }

    #[test]
    fn words_that_only_look_like_a_request_are_not_one() {
        for text in [
            "dear secret diary HTTP/1.1\r\n\r\n",
            "GET secret\r\n",
            "AVERYLONGSECRETWORD / HTTP/1.1\r\n\r\n",
            "GET /a HTTP/3.1\r\n\r\n",
            "GET /a HTTP/1.1\r\nno header\r\n\r\n",
        ] {
            assert_eq!(content(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn an_answer_is_recognized_by_its_status() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nSet-Cookie: SECRET\r\n\r\nSECRET";
        assert_eq!(content(answer), Some(Content::Response(503)));
        assert_eq!(content(b"HTTP/1.0 200 O"), Some(Content::Response(200)));
        assert_eq!(content(b"HTTP/1.1 abc\r\n\r\n"), None);
    }

    #[test]
    fn http2_begins_with_its_preface_and_ends_with_goaway() {
        assert_eq!(content(PREFACE), Some(Content::Http2));
        assert_eq!(content(&PREFACE[..20]), None);
        let goaway = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\0";
        assert_eq!(content(goaway), Some(Content::Goaway));
        assert_eq!(content(&goaway[..16]), None);
        let ping = b"\0\0\x08\x06\0\0\0\0\0\0\0\0\0\0\0\0\0";
        assert_eq!(content(ping), None);
    }
}
