//! What concerns one connection only, and must not be passed on (RFC 9110 §7.6.1).
//!
//! *Decides*, does no IO.
//!
//! # Invariants
//! - What `Connection` names is removed *before* anything is added or looked up (the listener does it), so that a client
//!   can name none of the fields that the gateway adds, and the cache sees what the server will see.
//! - A field that is meant for the server by its nature cannot be named: such a request is refused, since whoever
//!   names it wants the gateway and the server to see different requests.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Version,
    header::{self, Entry},
};

/// Fields that concern one connection, whether or not they are named. `Trailer` is none of them: it tells the recipient
/// what comes behind the body, and trailers are passed on.
static HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Fields that a request may not declare to be for this connection only.
static NEVER_NAMED: [HeaderName; 12] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::AUTHORIZATION,
    header::COOKIE,
    header::CACHE_CONTROL,
    header::RANGE,
    header::VARY,
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-forwarded-for"),
];

/// `Connection` names a field that is not for this connection only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedInVain(pub(crate) HeaderName);

/// Removes the fields that `Connection` names from a request. What is hop-by-hop by itself stays for [`strip`].
pub(crate) fn remove_named(headers: &mut HeaderMap) -> Result<(), NamedInVain> {
    if !headers.contains_key(header::CONNECTION) {
        return Ok(());
    }
    for name in named(headers) {
        if NEVER_NAMED.contains(&name) {
            return Err(NamedInVain(name));
        }
        headers.remove(name);
    }
    Ok(())
}

/// Removes every field that concerns the connection.
pub(crate) fn strip(headers: &mut HeaderMap) {
    strip_those(headers, is_hop_by_hop);
}

/// Removes what says in HTTP/1.1 how a message is framed and what the connection does, which HTTP/2 has no fields for (RFC 9113
/// §8.2.2).
pub(crate) fn strip_framing(headers: &mut HeaderMap) {
    strip_those(headers, is_framing);
}

/// Removes these fields, and what `Connection` names beside them.
fn strip_those(headers: &mut HeaderMap, is_one: impl Fn(&HeaderName) -> bool) {
    // Most messages have few of them; one look at all names is cheaper than a search for each.
    if !headers.keys().any(&is_one) {
        return;
    }
    for name in named(headers) {
        // Whatever an answer names: the length is judged with the framing, below in `proxy::head`.
        if name != header::CONTENT_LENGTH {
            headers.remove(name);
        }
    }
    for name in HOP_BY_HOP.iter().filter(|name| is_one(name)) {
        headers.remove(name);
    }
}

/// Whether a field [concerns one connection](is_hop_by_hop), and not who its other end is.
fn is_framing(name: &HeaderName) -> bool {
    is_hop_by_hop(name) && !matches!(name.as_str(), "proxy-authenticate" | "proxy-authorization")
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    // By their text, which is told apart by its length first: names that are compared one by one cost more.
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Which fields a request has that forwarding looks at: seen in one look, since most have none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each stands for other fields")]
pub(crate) struct Fields {
    /// `TE` and `Upgrade` among them.
    pub(crate) hop_by_hop: bool,
    pub(crate) upgrade: bool,
    pub(crate) expect: bool,
    /// One with [another name](is_plain) than plain ones.
    pub(crate) odd: bool,
}

impl Fields {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut seen = Self::default();
        for name in headers.keys() {
            match name.as_str() {
                "upgrade" => seen.upgrade = true,
                "expect" => seen.expect = true,
                _ => {}
            }
            seen.hop_by_hop |= is_hop_by_hop(name);
            seen.odd |= !is_plain(name);
        }
        seen
    }
}

/// Whether a name is of letters, digits and `-`. Servers that hand fields on as variables (CGI, WSGI, PHP) write all other signs
/// alike, and take `X_User` or `X.User` for `X-User`, which somebody in front has verified or taken out.
pub(crate) fn is_plain(name: &HeaderName) -> bool {
    name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Takes out of a request the fields whose names are not plain.
pub(crate) fn strip_odd(headers: &mut HeaderMap) {
    let odd: Vec<HeaderName> = headers.keys().filter(|name| !is_plain(name)).cloned().collect();
    for name in odd {
        tracing::debug!(%name, "a header was not passed on: a server may take it for another");
        headers.remove(name);
    }
}

/// What `Connection` names, without the options that are no fields here.
fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers.get_all(header::CONNECTION).iter();
    let options = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let names = options.map(str::trim).filter(|option| {
        !option.is_empty() && !option.eq_ignore_ascii_case("close") && !option.eq_ignore_ascii_case("keep-alive")
    });
    let names = names.filter_map(|option| HeaderName::try_from(option).ok());
    names.filter(|name| !is_hop_by_hop(name)).collect()
}

/// Whether the client understands trailers (`TE: trailers`).
pub(crate) fn accepts_trailers(headers: &HeaderMap) -> bool {
    list(headers, &header::TE)
        .any(|coding| coding.split(';').next().is_some_and(|coding| coding.trim().eq_ignore_ascii_case("trailers")))
}

/// The protocols that the client would like to speak instead, if it asks for it rightly.
pub(crate) fn wanted_upgrade(method: &Method, version: Version, headers: &HeaderMap) -> Option<HeaderValue> {
    let upgrade = headers.get(header::UPGRADE)?;
    let asks = version == Version::HTTP_11 && *method == Method::GET && {
        list(headers, &header::CONNECTION).any(|option| option.eq_ignore_ascii_case("upgrade"))
    };
    // HTTP/2 on this connection (`h2c`) would be between client and gateway, and is not offered.
    let other = !list(headers, &header::UPGRADE).any(|protocol| protocol.eq_ignore_ascii_case("h2c"));
    (asks && other).then(|| upgrade.clone())
}

fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|part| !part.is_empty())
}

/// Joins the parts of a cookie that HTTP/2 sends in several fields (RFC 9113 §8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let Entry::Occupied(cookies) = headers.entry(header::COOKIE) else { return };
    if cookies.iter().nth(1).is_none() {
        return;
    }
    let joined = cookies.iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b"; "[..]);
    headers.insert(header::COOKIE, HeaderValue::from_bytes(&joined).expect("parts of values make a value"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_the_same_both_ways() {
        assert!(HOP_BY_HOP.iter().all(is_hop_by_hop));
        let mut headers = HeaderMap::new();
        assert_eq!(Fields::of(&headers), Fields::default());
        for name in HOP_BY_HOP.iter().chain(&[header::EXPECT, header::HOST]) {
            headers.clear();
            headers.insert(name, HeaderValue::from_static("x"));
            let expected = Fields {
                hop_by_hop: HOP_BY_HOP.contains(name),
                upgrade: name == header::UPGRADE,
                expect: name == header::EXPECT,
                odd: false,
            };
            assert_eq!(Fields::of(&headers), expected, "{name}");
        }
    }

    #[test]
    fn only_plain_names_are_told_apart_by_every_server() {
        let mut map =
            headers(&[("x-user", "a"), ("x_user", "b"), ("x.user", "c"), ("x-user~", "d"), ("sec-ch-ua-64", "e")]);
        assert!(Fields::of(&map).odd);
        strip_odd(&mut map);
        assert_eq!(map, headers(&[("x-user", "a"), ("sec-ch-ua-64", "e")]));
        assert!(!Fields::of(&map).odd);
    }

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect::<Vec<_>>()
            .into_iter()
            .fold(HeaderMap::new(), |mut headers: HeaderMap, (name, value): (HeaderName, HeaderValue)| {
                headers.append(name, value);
                headers
            })
    }

    fn check_stripped(before: &[(&str, &str)], after: &[&str]) {
        let mut map = headers(before);
        remove_named(&mut map).unwrap();
        strip(&mut map);
        let mut left: Vec<_> = map.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, after, "{before:?}");
    }

    #[test]
    fn what_concerns_the_connection_is_removed() {
        check_stripped(&[("connection", "close"), ("accept", "*/*"), ("te", "trailers")], &["accept"]);
        check_stripped(
            &[
                ("connection", "x-a, X-B"),
                ("connection", "x-c"),
                ("x-a", "1"),
                ("x-b", "1"),
                ("x-c", "1"),
                ("x-d", "1"),
            ],
            &["x-d"],
        );
        check_stripped(
            &[
                ("proxy-connection", "close"),
                ("keep-alive", "5"),
                ("upgrade", "h2c"),
                ("transfer-encoding", "chunked"),
                ("trailer", "x"),
            ],
            &["trailer"],
        );
        check_stripped(&[("connection", ", ,  (bad)"), ("accept", "*/*")], &["accept"]);
    }

    /// RFC 9110 §7.6.1. Nobody refuses an answer for what it names, and its length stays for who judges the framing.
    #[test]
    fn what_an_answer_names_goes_with_its_connection() {
        let mut answer =
            headers(&[("connection", "x-a, content-length"), ("x-a", "1"), ("x-b", "1"), ("content-length", "3")]);
        strip(&mut answer);
        assert_eq!(answer, headers(&[("x-b", "1"), ("content-length", "3")]));
    }

    #[test]
    fn what_http2_has_no_fields_for_is_removed() {
        let mut answer = headers(&[
            ("connection", "x-a, keep-alive"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("x-a", "1"),
            ("x-b", "1"),
            ("proxy-authenticate", "Basic"),
        ]);
        strip_framing(&mut answer);
        assert_eq!(answer, headers(&[("x-b", "1"), ("proxy-authenticate", "Basic")]));
    }

    #[test]
    fn what_is_for_the_server_cannot_be_named() {
        for name in ["Host", "authorization", "COOKIE", "content-length"] {
            let mut map = headers(&[("connection", &format!("close, {name}")), ("accept", "*/*")]);
            assert_eq!(remove_named(&mut map), Err(NamedInVain(name.parse().unwrap())));
        }
    }

    #[test]
    fn an_upgrade_is_asked_for_in_two_fields() {
        let wanted = |method, version, lines: &[_]| wanted_upgrade(&method, version, &headers(lines)).is_some();
        let right = [("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")];
        assert!(wanted(Method::GET, Version::HTTP_11, &right));
        assert!(!wanted(Method::POST, Version::HTTP_11, &right));
        assert!(!wanted(Method::GET, Version::HTTP_2, &right));
        assert!(!wanted(Method::GET, Version::HTTP_11, &right[1..]));
        assert!(!wanted(Method::GET, Version::HTTP_11, &[right[0], ("upgrade", "h2c")]));
    }

    #[test]
    fn trailers_are_accepted_if_te_says_so() {
        let accepts = |value| accepts_trailers(&headers(&[("te", value)]));
        assert!(accepts("trailers") && accepts("gzip, Trailers;q=1"));
        assert!(!accepts("gzip") && !accepts("trailers2"));
    }

    #[test]
    fn cookies_in_parts_are_joined() {
        let mut map = headers(&[("cookie", "a=1"), ("cookie", "b=2"), ("accept", "*/*")]);
        join_cookies(&mut map);
        assert_eq!(map.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }
}
