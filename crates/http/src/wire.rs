//! Heads as HTTP/1.1 sends them (RFC 9112), for who sends what is in memory without a library's help.
//!
//! # Invariant
//! - What is written is framed by the one length that the head says, or has no body whatever it says; and says nothing of
//!   the connection.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

/// Writes the head of an answer to a GET whose body has so many bytes. Nothing, if that takes thought: if the head does not
/// say the length, or when the answer was made, or says something of the connection.
pub fn write_head(status: StatusCode, headers: &HeaderMap, body_bytes: usize, out: &mut Vec<u8>) -> bool {
    out.clear();
    let is_plain = write_plain(status, headers, body_bytes, out).is_some();
    if !is_plain {
        out.clear();
    }
    is_plain
}

fn write_plain(status: StatusCode, headers: &HeaderMap, body_bytes: usize, out: &mut Vec<u8>) -> Option<()> {
    write_status(status, out)?;
    let (mut lengths, mut has_date) = (0_u32, false);
    for (name, value) in headers {
        match *name {
            header::CONTENT_LENGTH if is_length(value, body_bytes) => lengths += 1,
            header::DATE => has_date = true,
            header::CONNECTION
            | header::CONTENT_LENGTH
            | header::TRAILER
            | header::TRANSFER_ENCODING
            | header::UPGRADE => return None,
            _ => {}
        }
        write_field(name, value, out);
    }
    out.extend_from_slice(END);
    let is_framed = match status.as_u16() {
        // Without a body, whatever the head says (RFC 9112, 6.3).
        304 => lengths == 0 && body_bytes == 0,
        204 | 205 => false,
        code => code >= 200 && lengths == 1,
    };
    // A library says when an answer was made that does not say it itself.
    (is_framed && has_date).then_some(())
}

/// What ends a head.
pub(crate) const END: &[u8] = b"\r\n";

/// Writes the first line, with the usual phrase if there is one.
pub(crate) fn write_status(status: StatusCode, out: &mut Vec<u8>) -> Option<()> {
    let phrase = status.canonical_reason()?;
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(phrase.as_bytes());
    out.extend_from_slice(END);
    Some(())
}

/// Writes a field.
pub fn write_field(name: &HeaderName, value: &HeaderValue, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(END);
}

fn is_length(value: &HeaderValue, body_bytes: usize) -> bool {
    value.as_bytes().iter().all(u8::is_ascii_digit)
        && value.to_str().is_ok_and(|digits| digits.parse() == Ok(body_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: (HeaderName, &str) = (header::DATE, "Sun, 06 Nov 1994 08:49:37 GMT");

    fn check(status: u16, fields: &[(HeaderName, &'static str)], body_bytes: usize, expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_static(value));
        }
        let mut out = b"before".to_vec();
        let written = write_head(StatusCode::from_u16(status).unwrap(), &headers, body_bytes, &mut out);
        assert_eq!(written.then_some(std::str::from_utf8(&out).unwrap()), expected, "{status} {fields:?}");
        assert!(written || out.is_empty());
    }

    #[test]
    fn a_head_that_says_its_length_and_its_date_is_written() {
        let counted = (header::CONTENT_LENGTH, "2");
        let text = "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
        check(404, &[counted.clone(), DATE], 2, Some(text));
        check(304, &[DATE], 0, Some("HTTP/1.1 304 Not Modified\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"));
        let cookies = [counted, DATE, (header::SET_COOKIE, "a"), (header::SET_COOKIE, "b")];
        let text = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nset-cookie: a\r\nset-cookie: b\r\n\r\n";
        check(200, &cookies, 2, Some(text));
    }

    #[test]
    fn whatever_takes_thought_is_not() {
        let counted = (header::CONTENT_LENGTH, "2");
        check(200, std::slice::from_ref(&counted), 2, None);
        check(200, &[DATE], 0, None);
        check(200, &[counted.clone(), counted.clone(), DATE], 2, None);
        check(299, &[counted.clone(), DATE], 2, None);
        for length in ["3", "", "+2", "2, 2", " 2", "18446744073709551618"] {
            check(200, &[(header::CONTENT_LENGTH, length), DATE], 2, None);
        }
        for status in [100, 101, 204, 205, 304] {
            check(status, &[counted.clone(), DATE], 2, None);
        }
        check(304, &[(header::CONTENT_LENGTH, "0"), DATE], 0, None);
        for name in [header::CONNECTION, header::TRAILER, header::TRANSFER_ENCODING, header::UPGRADE] {
            check(200, &[counted.clone(), DATE, (name, "a")], 2, None);
        }
    }
}
