//! The heads of the plainest requests of HTTP/1.1: a GET without a body.
//!
//! *Decides*, does no IO. What is answered from memory takes about as long as a library's state machine takes to have it
//! sent; of most such exchanges nothing needs one. Whatever needs thought is not plain, and the library's: it reads the
//! same bytes once more (see [`plain`](super::plain)).
//!
//! # Invariants
//! - What is plain is read by the library in the same way: the same parser with the same settings finds the fields.
//! - Nothing is plain that has a body, that says anything of the connection but that it stays open, or behind which more
//!   has come.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{Method, Request, Uri, Version, request};

use crate::gateway::fields;

/// Fields of a request; one with more is not plain.
const FIELDS_MAX: usize = 64;

/// What a request may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    pub(crate) head_bytes_max: usize,
    pub(crate) headers_max: usize,
}

/// A plain request.
pub(crate) struct PlainRequest {
    pub(crate) parts: request::Parts,
    /// All of it, as it came.
    pub(crate) bytes: Bytes,
}

/// Reads a request. None, if these bytes are anything but one whole head of a plain one.
pub(crate) fn read(bytes: &[u8], limits: HeadLimits) -> Option<PlainRequest> {
    if !bytes.starts_with(b"GET /") || bytes.len() > limits.head_bytes_max.min(usize::from(u16::MAX)) {
        return None;
    }
    let mut room = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let room = &mut room[..limits.headers_max.min(FIELDS_MAX)];
    let mut read = httparse::Request::new(&mut []);
    let parser = httparse::ParserConfig::default();
    match parser.parse_request_with_uninit_headers(&mut read, bytes, room) {
        Ok(httparse::Status::Complete(length)) if length == bytes.len() && read.version == Some(1) => {}
        _ => return None,
    }
    let target = read.path?.len();
    if read.headers.iter().any(|field| needs_thought(field.name, field.value)) {
        return None;
    }
    // What becomes of it is cut out of one copy.
    let places = fields::places(bytes, read.headers);
    let bytes = Bytes::copy_from_slice(bytes);
    let mut parts = Request::new(()).into_parts().0;
    parts.uri = Uri::from_maybe_shared(bytes.slice(METHOD.len()..METHOD.len() + target)).ok()?;
    fields::fill(places, &bytes, &mut parts.headers).then_some(PlainRequest { parts, bytes })
}

/// What is ahead of the target.
const METHOD: &str = "GET ";

/// Whether such a request would be plain, had it come alone: for who has it from the library.
pub(crate) fn is_plain(request: &request::Parts) -> bool {
    request.method == Method::GET
        && request.version == Version::HTTP_11
        && request.uri.authority().is_none()
        && !request.headers.iter().any(|(name, value)| needs_thought(name.as_str(), value.as_bytes()))
}

/// Whether a field of a request says how it is framed, or something of the connection but that it stays open.
fn needs_thought(name: &str, value: &[u8]) -> bool {
    let is = |own: &str| name.eq_ignore_ascii_case(own);
    match name.len() {
        6 => is("expect"),
        7 => is("upgrade"),
        10 => is("connection") && !value.eq_ignore_ascii_case(b"keep-alive"),
        14 => is("content-length"),
        17 => is("transfer-encoding"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { head_bytes_max: 16 * 1024, headers_max: 100 };
    const PLAIN: &str = "GET /items/7?a=b HTTP/1.1\r\nHost: a.test\r\nX-B:  c \r\nx-b: d\r\n\r\n";

    #[test]
    fn a_whole_get_without_a_body_is_plain() {
        let read = read(PLAIN.as_bytes(), LIMITS).unwrap();
        assert_eq!(read.bytes, PLAIN);
        assert_eq!((read.parts.method.as_str(), read.parts.uri.to_string()), ("GET", "/items/7?a=b".to_owned()));
        assert_eq!(read.parts.version, Version::HTTP_11);
        assert_eq!(read.parts.headers["host"], "a.test");
        assert_eq!(read.parts.headers.get_all("x-b").iter().collect::<Vec<_>>(), ["c", "d"]);
        assert!(is_plain(&read.parts));
    }

    fn check(head: &str, field: &str, plain: bool) {
        let head = format!("{head}\r\nHost: a\r\n{field}\r\n");
        assert_eq!(read(head.as_bytes(), LIMITS).is_some(), plain, "{head:?}");
    }

    #[test]
    fn whatever_needs_thought_is_not() {
        for first in [
            "POST / HTTP/1.1",
            "HEAD / HTTP/1.1",
            "GET / HTTP/1.0",
            "GET / HTTP/2.0",
            "GET http://a/ HTTP/1.1",
            "GET * HTTP/1.1",
            "GET a:80 HTTP/1.1",
            "get / HTTP/1.1",
            "\r\nGET / HTTP/1.1",
            "GET  / HTTP/1.1",
            "GET /a\u{7f} HTTP/1.1",
            "GET /",
            "GET / HTTP/1.1 ",
        ] {
            check(first, "", false);
        }
        for field in [
            "Content-Length: 0",
            "content-length: 1",
            "Transfer-Encoding: chunked",
            "Expect: 100-continue",
            "Upgrade: h2c",
            "Connection: close",
            "Connection: keep-alive, x-a",
            "CONNECTION: upgrade",
            "X-A : b",
            "X-A: b\r\n c",
            "X-A: \0",
            "nonsense",
        ] {
            check("GET / HTTP/1.1", &format!("{field}\r\n"), false);
        }
        check("GET / HTTP/1.1", "Connection: Keep-Alive\r\n", true);
        check("GET / HTTP/1.1", "", true);
    }

    #[test]
    fn neither_is_half_a_head_nor_one_behind_which_something_comes() {
        (0..PLAIN.len()).for_each(|length| assert!(read(&PLAIN.as_bytes()[..length], LIMITS).is_none(), "{length}"));
        for behind in ["G", "\r\n", PLAIN] {
            assert!(read(format!("{PLAIN}{behind}").as_bytes(), LIMITS).is_none(), "{behind:?}");
        }
    }

    #[test]
    fn nor_one_that_is_beyond_the_limits() {
        let bytes = |head_bytes_max| read(PLAIN.as_bytes(), HeadLimits { head_bytes_max, ..LIMITS }).is_some();
        assert!(bytes(PLAIN.len()) && !bytes(PLAIN.len() - 1));
        let fields = |headers_max| read(PLAIN.as_bytes(), HeadLimits { headers_max, ..LIMITS }).is_some();
        assert!(fields(3) && !fields(2));
        let many = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "x-a: b\r\n".repeat(count));
        assert!(read(many(FIELDS_MAX).as_bytes(), LIMITS).is_some());
        assert!(read(many(FIELDS_MAX + 1).as_bytes(), LIMITS).is_none());
        let long = format!("GET / HTTP/1.1\r\nx-a: {}\r\n\r\n", "b".repeat(usize::from(u16::MAX)));
        assert!(read(long.as_bytes(), HeadLimits { head_bytes_max: 1 << 20, ..LIMITS }).is_none());
    }

    #[test]
    fn of_the_librarys_requests_those_are_plain_that_would_have_been() {
        let request = |uri: &str, field: (&str, &str)| {
            is_plain(&Request::get(uri).header(field.0, field.1).body(()).unwrap().into_parts().0)
        };
        assert!(request("/", ("connection", "keep-alive")) && request("/", ("x-a", "b")));
        assert!(!request("http://a/", ("x-a", "b")) && !request("/", ("content-length", "0")));
        for (method, version) in [(Method::HEAD, Version::HTTP_11), (Method::GET, Version::HTTP_10)] {
            let request = Request::builder().method(method).version(version).uri("/").body(()).unwrap();
            assert!(!is_plain(&request.into_parts().0));
        }
    }
}
