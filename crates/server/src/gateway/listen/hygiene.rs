//! Whether a request is one that everybody on the way reads alike. What is not is refused before anything looks at it.
//!
//! *Decides*, does no IO. hyper has refused what is no HTTP at all (bare CR, NUL, folded lines, blanks before the colon,
//! lengths that contradict each other); this refuses what hyper lets pass and another server may read otherwise.
//!
//! # Invariants
//! - A request that passes names exactly one host, validly, and its URL agrees.
//! - Its body's length is said in one way: `chunked` alone, or one number.
//! - Its path has no byte that servers are known to read in different ways.
//!
//! A fragment (`#…`) cannot be refused here: the URL type drops it while it is parsed, so that cache and server both see
//! the URL without it.

use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header, request, uri::Scheme};

use crate::{
    gateway::proxy::hop::{self, NamedInVain},
    problem::Problem,
};

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Method,
    NoHost,
    ManyHosts,
    BadHost,
    HostDisagrees,
    BadScheme,
    BadTarget,
    TransferCoding,
    ConnectionField,
    Named(NamedInVain),
    PathByte(u8),
    EncodedNul,
    Expectation,
}

impl Refusal {
    /// The status and what to do.
    fn told(&self) -> (StatusCode, String) {
        let bad = |detail: &str| (StatusCode::BAD_REQUEST, detail.to_owned());
        match self {
            Self::Method => {
                (StatusCode::NOT_IMPLEMENTED, "CONNECT and TRACE are not served here. Use another method.".to_owned())
            }
            Self::NoHost => bad("Send the Host header: the name of the service that you ask."),
            Self::ManyHosts => bad("Send the Host header once."),
            Self::BadHost => bad("Host must be a name or an address, and perhaps a port: api.example:8443."),
            Self::HostDisagrees => bad("The host in the URL and the Host header differ. Send the same in both."),
            Self::BadScheme => bad("The URL's scheme must be http or https."),
            Self::BadTarget => bad("Ask for a path, as in GET /items HTTP/1.1, or for a whole URL."),
            Self::TransferCoding => (
                StatusCode::NOT_IMPLEMENTED,
                "Of transfer codings, only chunked is served, once and alone. Send the body so, or with Content-Length."
                    .to_owned(),
            ),
            Self::ConnectionField => bad("HTTP/2 has no fields for the connection. Leave them out."),
            Self::Named(NamedInVain(name)) => {
                bad(&format!("Connection must not name {name}: that field is for the server, not for this connection."))
            }
            Self::PathByte(byte) => bad(&format!("The path holds the byte {byte:#04x}. Percent-encode it, or leave it out.")),
            Self::EncodedNul => bad("The path holds %00. Leave it out."),
            Self::Expectation => {
                (StatusCode::EXPECTATION_FAILED, "Of Expect, only 100-continue is served. Leave it out.".to_owned())
            }
        }
    }

    /// What to do.
    pub(crate) fn detail(&self) -> String {
        self.told().1
    }

    /// The answer to such a request.
    pub(crate) fn problem(&self) -> Problem {
        let (status, detail) = self.told();
        match status {
            StatusCode::BAD_REQUEST => Problem::bad_request(detail),
            StatusCode::EXPECTATION_FAILED => {
                Problem::new(status, "expectation-failed", "The expectation cannot be met").detail(detail)
            }
            _ => Problem::new(status, "not-implemented", "Not served here").detail(detail),
        }
    }
}

/// Refuses what servers may read in different ways, and removes what `Connection` names.
pub(crate) fn clean(head: &mut request::Parts) -> Result<(), Refusal> {
    if head.method == Method::CONNECT || head.method == Method::TRACE {
        return Err(Refusal::Method);
    }
    check_target(head)?;
    check_host(head)?;
    check_path(&head.uri)?;
    // Most requests have none of them; one look at all names is cheaper than a search for each.
    if !head.headers.keys().any(is_of_connection) {
        return Ok(());
    }
    check_framing(head)?;
    if head.headers.get(header::EXPECT).is_some_and(|expect| !expect.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Refusal::Expectation);
    }
    hop::remove_named(&mut head.headers).map_err(Refusal::Named)
}

/// Whether a field of this name is looked at here, besides `Host`.
fn is_of_connection(name: &HeaderName) -> bool {
    matches!(name.as_str(), "connection" | "expect" | "transfer-encoding" | "upgrade")
}

/// A path, a whole URL, or `*` with OPTIONS. An authority alone is for CONNECT.
fn check_target(head: &request::Parts) -> Result<(), Refusal> {
    let uri = &head.uri;
    if uri.scheme().is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
        return Err(Refusal::BadScheme);
    }
    let is_path = uri.path().starts_with('/') || (uri.path() == "*" && head.method == Method::OPTIONS);
    let is_url = uri.scheme().is_some() || uri.authority().is_none();
    if is_path && is_url { Ok(()) } else { Err(Refusal::BadTarget) }
}

fn check_host(head: &request::Parts) -> Result<(), Refusal> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Refusal::ManyHosts);
    }
    let host = host.map(HeaderValue::as_bytes);
    let authority = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    match (authority, host) {
        (None, None) if head.version == Version::HTTP_10 => Ok(()),
        // In HTTP/1.1, `Host` is needed even if the URL says it (RFC 9112 §3.2).
        (None, None) => Err(Refusal::NoHost),
        (Some(_), None) if head.version < Version::HTTP_2 => Err(Refusal::NoHost),
        (Some(one), None) | (None, Some(one)) => is_host(one).then_some(()).ok_or(Refusal::BadHost),
        (Some(authority), Some(host)) if !is_host(authority) || !is_host(host) => Err(Refusal::BadHost),
        (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host) => Ok(()),
        (Some(_), Some(_)) => Err(Refusal::HostDisagrees),
    }
}

/// The bytes that names of hosts are made of.
const IN_NAMES: [bool; 256] = {
    let mut all = [false; 256];
    let mut at = 0;
    while at < all.len() {
        #[allow(clippy::cast_possible_truncation, reason = "it is below 256")]
        let byte = at as u8;
        all[at] = byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~');
        at += 1;
    }
    all
};

/// A name, an IPv4 address or an IPv6 address in brackets, and perhaps a port. No user, no escapes, no list.
fn is_host(text: &[u8]) -> bool {
    let (host, port) = if text.first() == Some(&b'[') {
        let Some(end) = text.iter().position(|byte| *byte == b']') else { return false };
        let address = &text[1..end];
        if address.is_empty() || !address.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')) {
            return false;
        }
        (&b"v6"[..], &text[end + 1..])
    } else {
        // What no name holds must begin a port.
        let end = text.iter().position(|byte| !IN_NAMES[usize::from(*byte)]).unwrap_or(text.len());
        text.split_at(end)
    };
    let port_is_right = match port {
        [] => true,
        [b':', digits @ ..] => (1..=5).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    !host.is_empty() && port_is_right
}

fn check_path(uri: &Uri) -> Result<(), Refusal> {
    let path = uri.path().as_bytes();
    for (place, byte) in path.iter().enumerate() {
        match byte {
            b'%' if path[place + 1..].starts_with(b"00") => return Err(Refusal::EncodedNul),
            b'\\' | 0..=0x20 | 0x7f..=0xff => return Err(Refusal::PathByte(*byte)),
            _ => {}
        }
    }
    let query = uri.query().unwrap_or_default().bytes();
    query
        .into_iter()
        .find(|byte| matches!(byte, 0..=0x20 | 0x7f..=0xff))
        .map_or(Ok(()), |byte| Err(Refusal::PathByte(byte)))
}

fn check_framing(head: &request::Parts) -> Result<(), Refusal> {
    if head.version == Version::HTTP_2 {
        let of_connection = [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE];
        if of_connection.iter().any(|name| head.headers.contains_key(name)) {
            return Err(Refusal::ConnectionField);
        }
        return Ok(());
    }
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Refusal::TransferCoding),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn cleaned(version: Version, method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<(), Refusal> {
        let mut request = Request::builder().version(version).method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        clean(&mut request.body(()).unwrap().into_parts().0)
    }

    #[allow(clippy::needless_pass_by_value, reason = "reads better at the call")]
    fn check(uri: &str, headers: &[(&str, &str)], expected: Result<(), Refusal>) {
        assert_eq!(cleaned(Version::HTTP_11, "GET", uri, headers), expected, "{uri} {headers:?}");
    }

    #[test]
    fn a_request_names_one_host() {
        check("/", &[("host", "a.example")], Ok(()));
        check("/", &[], Err(Refusal::NoHost));
        check("/", &[("host", "a"), ("host", "a")], Err(Refusal::ManyHosts));
        check("http://a.example/x", &[("host", "A.Example")], Ok(()));
        check("http://a.example/x", &[("host", "b.example")], Err(Refusal::HostDisagrees));
        check("http://a.example/x", &[], Err(Refusal::NoHost));
        // Said twice alike, and still no host (RFC 9110 §4.2.4).
        check("http://u@a/x", &[("host", "u@a")], Err(Refusal::BadHost));
        check("http://a/x", &[("host", "a b")], Err(Refusal::BadHost));
        check("ftp://a/", &[("host", "a")], Err(Refusal::BadScheme));
        check("a:80", &[("host", "a:80")], Err(Refusal::BadTarget));
        check("*", &[("host", "a")], Err(Refusal::BadTarget));
        assert_eq!(cleaned(Version::HTTP_11, "OPTIONS", "*", &[("host", "a")]), Ok(()));
        assert_eq!(cleaned(Version::HTTP_10, "GET", "/", &[]), Ok(()));
        assert_eq!(cleaned(Version::HTTP_2, "GET", "https://a/", &[]), Ok(()));
        assert_eq!(cleaned(Version::HTTP_2, "GET", "https://a/", &[("host", "b")]), Err(Refusal::HostDisagrees));
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_a_port() {
        for good in ["a", "a.b-c_d.", "a:80", "127.0.0.1:65535", "[::1]", "[2001:db8::1]:443"] {
            check("/", &[("host", good)], Ok(()));
        }
        for bad in [
            "", " ", "a b", "a,b", "u@a", "a:", "a:80a", "a:123456", "a/b", "a%2eb", "[::1", "[]", "[x]", "a:80:80",
            ":80", "a b:80", "u@a:80", "a\"", "ä",
        ] {
            check("/", &[("host", bad)], Err(Refusal::BadHost));
        }
    }

    #[test]
    fn bytes_that_are_read_in_different_ways_are_refused() {
        let host = [("host", "a")];
        check("/a%2f..%5c;x?y=%00", &host, Ok(()));
        check("/a%00b", &host, Err(Refusal::EncodedNul));
        check("/a\\b", &host, Err(Refusal::PathByte(b'\\')));
        check("/ä", &host, Err(Refusal::PathByte(0xc3)));
    }

    #[test]
    fn a_length_is_said_in_one_way() {
        let coded = |coding| check("/", &[("host", "a"), ("transfer-encoding", coding)], Err(Refusal::TransferCoding));
        check("/", &[("host", "a"), ("transfer-encoding", "Chunked")], Ok(()));
        ["gzip, chunked", "chunked, chunked", "identity", "xchunked"].into_iter().for_each(coded);
        let twice = [("host", "a"), ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")];
        check("/", &twice, Err(Refusal::TransferCoding));
        let in_2 = cleaned(Version::HTTP_2, "POST", "https://a/", &[("transfer-encoding", "chunked")]);
        assert_eq!(in_2, Err(Refusal::ConnectionField));
    }

    #[test]
    fn methods_and_expectations_that_are_not_served_are_refused() {
        assert_eq!(cleaned(Version::HTTP_11, "TRACE", "/", &[("host", "a")]), Err(Refusal::Method));
        assert_eq!(cleaned(Version::HTTP_11, "CONNECT", "a:80", &[("host", "a:80")]), Err(Refusal::Method));
        check("/", &[("host", "a"), ("expect", "more")], Err(Refusal::Expectation));
        check("/", &[("host", "a"), ("expect", "100-Continue")], Ok(()));
    }

    #[test]
    fn a_refusal_has_its_status_and_says_what_to_do() {
        let named = Refusal::Named(NamedInVain(header::HOST));
        for (refusal, status, kind, told) in [
            (Refusal::Method, 501, "not-implemented", "Use another method"),
            (Refusal::TransferCoding, 501, "not-implemented", "with Content-Length"),
            (Refusal::Expectation, 417, "expectation-failed", "Leave it out"),
            (Refusal::NoHost, 400, "bad-request", "Send the Host header"),
            (Refusal::ManyHosts, 400, "bad-request", "once"),
            (Refusal::PathByte(b'\\'), 400, "bad-request", "0x5c"),
            (named, 400, "bad-request", "must not name host"),
        ] {
            let problem = refusal.problem();
            assert_eq!(problem.status().as_u16(), status, "{refusal:?}");
            assert_eq!(problem.kind(), format!("/problems/{kind}"), "{refusal:?}");
            assert!(refusal.detail().contains(told), "{refusal:?}: {}", refusal.detail());
        }
    }

    #[test]
    fn what_connection_names_is_gone() {
        let named = Request::get("/").header("host", "a").header("connection", "x-tenant").header("x-tenant", "b");
        let mut head = named.body(()).unwrap().into_parts().0;
        assert_eq!(clean(&mut head), Ok(()));
        assert!(!head.headers.contains_key("x-tenant"));
        check("/", &[("host", "a"), ("connection", "host")], Err(Refusal::Named(NamedInVain(header::HOST))));
    }
}
