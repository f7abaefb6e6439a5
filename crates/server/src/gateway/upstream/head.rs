//! The heads of the plainest exchanges on HTTP/1.1: a GET without a body, and an answer whose length is said.
//!
//! *Decides*, does no IO. Most of what a gateway passes on is of this form, and needs neither a library's state machine
//! nor its channels. Whatever needs thought is [`Read::Other`], and the library's: it reads the same bytes once more
//! (see [`link`](super::link)).
//!
//! # Invariants
//! - What is plain is read by the library in the same way: the same parser with the same settings finds the fields, and
//!   the length is said once, in digits, with no transfer coding beside it.
//! - Nothing is plain that says anything of the connection but that it stays open.

use std::mem::MaybeUninit;

use http::{Method, Request, StatusCode, Version};
use unstale_http::wire;

use crate::gateway::fields::{self, Place};

/// Fields of an answer; one with more is not plain.
const FIELDS_MAX: usize = 64;
/// The same in bytes, so that places are small.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// What bytes from a server are.
pub(crate) enum Read {
    /// The beginning of a head.
    Partial,
    Plain(Plain),
    /// A head that needs thought, or none at all.
    Other,
}

/// The head of a plain answer.
pub(crate) struct Plain {
    pub(crate) status: StatusCode,
    /// Its own length.
    pub(crate) head_bytes: usize,
    pub(crate) body_bytes: u64,
}

/// Writes the head of a request that is plain; nothing, if it is not.
pub(crate) fn write<B>(request: &Request<B>, out: &mut Vec<u8>) -> bool {
    out.clear();
    let Some(target) = request.uri().path_and_query().filter(|_| request.uri().authority().is_none()) else {
        return false;
    };
    if *request.method() != Method::GET || request.version() != Version::HTTP_11 {
        return false;
    }
    out.extend_from_slice(b"GET ");
    out.extend_from_slice(target.as_str().as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in request.headers() {
        if is_of_connection(name.as_str()) {
            out.clear();
            return false;
        }
        wire::write_field(name, value, out);
    }
    out.extend_from_slice(b"\r\n");
    true
}

/// Whether a field of a request says how the message is framed, or something of the connection.
fn is_of_connection(name: &str) -> bool {
    matches!(
        name,
        "connection" | "content-length" | "expect" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade"
    )
}

/// Reads the head of an answer to a GET. `places` becomes where its fields are.
pub(crate) fn read(bytes: &[u8], head_bytes_max: usize, places: &mut Vec<Place>) -> Read {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut answer = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let head_bytes = match parser.parse_response_with_uninit_headers(&mut answer, bytes, &mut room) {
        Ok(httparse::Status::Complete(length)) if length <= head_bytes_max.min(HEAD_BYTES_MAX) => length,
        Ok(httparse::Status::Partial) if bytes.len() < head_bytes_max.min(HEAD_BYTES_MAX) => return Read::Partial,
        _ => return Read::Other,
    };
    let Some(status) = plain_status(&answer) else { return Read::Other };
    let Ok(length) = plain_length(answer.headers) else { return Read::Other };
    let body_bytes = match (status.as_u16(), length) {
        // Whatever length is said, there is no body (RFC 9112 §6.3).
        (204 | 304, _) => 0,
        (_, Some(length)) => length,
        // Up to the connection's end.
        (_, None) => return Read::Other,
    };
    places.clear();
    places.extend(fields::places(bytes, answer.headers));
    Read::Plain(Plain { status, head_bytes, body_bytes })
}

/// The status, if it is a last one, of HTTP/1.1, and its phrase is the usual one: another is passed on.
fn plain_status(answer: &httparse::Response<'_, '_>) -> Option<StatusCode> {
    let status = StatusCode::from_u16(answer.code?).ok().filter(|status| status.as_u16() >= 200)?;
    (answer.version == Some(1) && answer.reason == status.canonical_reason()).then_some(status)
}

/// What the fields say needs thought.
struct NotPlain;

/// The length that the fields say, if they say at most one, and of the connection at most that it stays.
fn plain_length(fields: &[httparse::Header<'_>]) -> Result<Option<u64>, NotPlain> {
    let mut said = None;
    for field in fields {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        match field.name.len() {
            10 if is("connection") && !field.value.eq_ignore_ascii_case(b"keep-alive") => return Err(NotPlain),
            14 if is("content-length") => {
                let digits = std::str::from_utf8(field.value).map_err(|_| NotPlain)?;
                let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                if said.is_some() || !is_number {
                    return Err(NotPlain);
                }
                // The last two numbers mean something else to the library.
                said = Some(digits.parse().ok().filter(|length| *length < u64::MAX - 1).ok_or(NotPlain)?);
            }
            17 if is("transfer-encoding") => return Err(NotPlain),
            _ => {}
        }
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue};

    use super::*;

    const MAX: usize = 16 * 1024;

    fn read(head: &[u8], head_bytes_max: usize) -> Read {
        super::read(head, head_bytes_max, &mut Vec::new())
    }

    /// What is read: the status, the length of the body, and the fields.
    fn plain(head: &str) -> Option<(u16, u64, HeaderMap)> {
        let mut places = Vec::new();
        match super::read(head.as_bytes(), MAX, &mut places) {
            Read::Plain(plain) => {
                let mut headers = HeaderMap::new();
                let head = Bytes::copy_from_slice(&head.as_bytes()[..plain.head_bytes]);
                assert!(fields::fill(places.iter().copied(), &head, &mut headers));
                Some((plain.status.as_u16(), plain.body_bytes, headers))
            }
            Read::Partial | Read::Other => None,
        }
    }

    #[test]
    fn an_answer_whose_length_is_said_once_is_plain() {
        let (status, length, headers) =
            plain("HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX-A:  b \r\nx-a: c\r\nConnection: Keep-Alive\r\n\r\nbody")
                .unwrap();
        assert_eq!((status, length), (200, 12));
        assert_eq!(headers.get_all("x-a").iter().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(headers["content-length"], "12");
        assert_eq!(plain("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").map(|read| read.1), Some(0));
        for without in ["204 No Content", "304 Not Modified"] {
            let read = plain(&format!("HTTP/1.1 {without}\r\ncontent-length: 9\r\n\r\n"));
            assert_eq!(read.map(|read| read.1), Some(0), "{without}");
        }
    }

    #[test]
    fn whatever_needs_thought_is_not() {
        for head in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n",
            "HTTP/1.1 200 Fine\r\nContent-Length: 1\r\n\r\n",
            "HTTP/1.1 299 \r\nContent-Length: 1\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTRANSFER-ENCODING: chunked\r\n\r\n",
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive, x-a\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX-A: b\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX-A: \0\r\n\r\n",
            "nonsense\r\n\r\n",
        ] {
            assert!(matches!(read(head.as_bytes(), MAX), Read::Other), "{head:?}");
        }
    }

    #[test]
    fn a_head_is_partial_until_it_ends_or_is_too_long() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n";
        for length in 0..head.len() {
            assert!(matches!(read(&head.as_bytes()[..length], MAX), Read::Partial), "{length}");
        }
        assert!(matches!(read(head.as_bytes(), head.len()), Read::Plain(_)));
        assert!(matches!(read(head.as_bytes(), head.len() - 1), Read::Other));
        assert!(matches!(read(&head.as_bytes()[..30], 30), Read::Other));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-a: b\r\n".repeat(FIELDS_MAX + 1));
        assert!(matches!(read(many.as_bytes(), MAX), Read::Other));
    }

    #[test]
    fn a_request_is_written_as_the_library_writes_it_if_it_is_plain() {
        let get = |uri: &str| Request::get(uri).header("host", "a.test").header("x-b", "c").body(()).unwrap();
        let mut out = b"before".to_vec();
        assert!(write(&get("/items/7?a=b"), &mut out));
        assert_eq!(
            String::from_utf8(out.clone()).unwrap(),
            "GET /items/7?a=b HTTP/1.1\r\nhost: a.test\r\nx-b: c\r\n\r\n"
        );
        assert!(!write(&get("http://a.test/items/7"), &mut out) && out.is_empty());
        for name in ["connection", "content-length", "te", "transfer-encoding", "expect", "upgrade", "trailer"] {
            let mut request = get("/");
            request.headers_mut().insert(name, HeaderValue::from_static("0"));
            assert!(!write(&request, &mut out) && out.is_empty(), "{name}");
        }
        for method in [Method::HEAD, Method::POST, Method::CONNECT, Method::OPTIONS] {
            let mut request = get("/");
            *request.method_mut() = method;
            assert!(!write(&request, &mut out));
        }
    }
}
