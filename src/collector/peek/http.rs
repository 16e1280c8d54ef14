//! Recognizes HTTP: the request line and the user agent, the status of an answer. No other header is
//! kept, and of the target neither the query nor parameters, which may contain credentials. A method
//! is only named if it is a known one: any word may be in its place.

use httparse::{EMPTY_HEADER, Request, Response};

use super::text::cut;
use crate::model::{Content, Name};

/// How many headers are searched for the user agent.
const HEADERS: usize = 32;
/// The methods that are named: those of HTTP (RFC 9110), PATCH, QUERY, those of WebDAV and its extensions
/// (all in the registry of IANA), of UPnP, and of caches.
const METHODS: [&str; 45] = [
    "ACL",
    "BAN",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LABEL",
    "LINK",
    "LOCK",
    "M-SEARCH",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "NOTIFY",
    "OPTIONS",
    "ORDERPATCH",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SUBSCRIBE",
    "TRACE",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
];
/// Where a query, parameters or values may begin, also encoded, once or twice.
const ENDS: [&str; 12] = [
    "?",
    "#",
    ";",
    "&",
    "=",
    "%3f",
    "%23",
    "%3b",
    "%26",
    "%3d",
    "%25",
    "%3a%2f%2f",
];
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
        method: METHODS.contains(&method).then(|| method.into()),
        path: path(target),
        user_agent: user_agent.map(|header| cut(header.value)),
    })
}

/// The target of a request without query, fragment, parameters and credentials.
fn path(target: &str) -> Name {
    let lower = target.to_ascii_lowercase();
    let ends = ENDS.iter().filter_map(|sign| lower.find(sign));
    let end = ends.min().unwrap_or(target.len());
    let (kept, left_out) = target.split_at_checked(end).unwrap_or_default();
    let is_origin = kept.starts_with('/');
    let mut segments: Vec<&str> = kept.split('/').collect();
    // Whether credentials may go on behind the end.
    let rest = left_out.split('/').next().unwrap_or_default();
    let goes_on = rest.contains('@') || rest.to_ascii_lowercase().contains("%40");
    let last = segments.len().saturating_sub(1);
    let mut before = "";
    for (nth, segment) in segments.iter_mut().enumerate() {
        // `//user:password@host`, `user:password@host:443` for CONNECT.
        let is_authority = match nth {
            0 => !is_origin,
            1 => false,
            _ => before.is_empty(),
        };
        before = segment;
        let user = segment.rsplit_once('@');
        if goes_on && nth == last && (is_authority || segment.contains(':')) {
            *segment = "";
        } else if let Some((user, host)) = user
            && (is_authority || user.contains(':'))
        {
            *segment = host;
        }
    }
    cut(segments.join("/").as_bytes())
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
            method: Some(method.into()),
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
            ("GET /a://u:p@host HTTP/1.1", "/a://host"),
            ("GET //u:SECRET@host/p HTTP/1.1", "//host/p"),
            ("GET //SECRET@host/p HTTP/1.1", "//host/p"),
            ("GET //u:SEC?RET@host/p HTTP/1.1", "//"),
            ("GET //u:SEC%3FRET%40@host/p HTTP/1.1", "//"),
            (
                "GET /proxy/http:/u:SECRET@host/p HTTP/1.1",
                "/proxy/http:/host/p",
            ),
            (
                "GET /proxy/http%3A%2F%2fu:SECRET@host/p HTTP/1.1",
                "/proxy/http",
            ),
            ("GET /a?x=b:c@SECRET/d HTTP/1.1", "/a"),
            ("GET /@scope/name@1.2 HTTP/1.1", "/@scope/name@1.2"),
            ("GET /%3Ftoken=SECRET%23x HTTP/1.1", "/"),
            ("GET /p15%3Bjsessionid=SECRET HTTP/1.1", "/p15"),
            ("GET /p15%3bjsessionid%3dSECRET HTTP/1.1", "/p15"),
            ("GET /a%253Ftoken%253DSECRET HTTP/1.1", "/a"),
            ("GET /p17&token=SECRET HTTP/1.1", "/p17"),
            ("GET /a%26b HTTP/1.1", "/a"),
            ("GET /a=SECRET/b HTTP/1.1", "/a"),
            (
                "GET /caf%C3%A9/group%2Fname HTTP/1.1",
                "/caf%C3%A9/group%2Fname",
            ),
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
    fn a_word_in_the_place_of_a_method_is_not_named() {
        for line in ["SECRETLOGIN /p HTTP/1.1", "SECRET-9 /p HTTP/1.1"] {
            let seen = content(format!("{line}\r\n\r\n").as_bytes());
            assert!(!format!("{seen:?}").contains("SECRET"), "{line}");
        }
        let other = content(b"SECRETLOGIN /p HTTP/1.1\r\n\r\n");
        let expected = Content::Request {
            method: None,
            path: "/p".into(),
            user_agent: None,
        };
        assert_eq!(other, Some(expected));
        let known = content(b"VERSION-CONTROL /p HTTP/1.1\r\n\r\n");
        assert_eq!(known, request("VERSION-CONTROL", "/p", None));
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
