//! Who asked, and for what: `X-Forwarded-For`, `-Proto` and `-Host`, `Forwarded` (RFC 7239) and `Via` (RFC 9110 §7.6.3).
//!
//! *Decides*, does no IO.
//!
//! # Invariants
//! - What a peer that is not trusted says of these is dropped, together with other fields by which servers let
//!   themselves be told another URL or client: the cache does not know them, so they must not change an answer.
//! - What a trusted peer says is kept, and this hop is added.

use std::{fmt::Write as _, net::IpAddr};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{self, Entry},
};

pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(crate) const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Fields, beside `X-Forwarded-…`, that tell servers another client (RFC 9440 asks for its certificate's to be taken out)
/// or URL.
const TOLD: [&str; 19] = [
    "cf-connecting-ip",
    "client-cert",
    "client-cert-chain",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "front-end-https",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-host",
    "x-http-host-override",
    "x-original-host",
    "x-original-url",
    "x-override-url",
    "x-real-ip",
    "x-rewrite-url",
    "x-url-scheme",
];

/// This hop, as the server is told of it.
pub(crate) struct Hop<'a> {
    /// None: it is not known, or not told.
    pub(crate) peer: Option<IpAddr>,
    pub(crate) https: bool,
    pub(crate) host: Option<&'a HeaderValue>,
    pub(crate) trusted: bool,
}

/// How this hop is written: the same for all requests of a connection for one host.
#[derive(Clone, Debug)]
pub(crate) struct HopText {
    host: Option<HeaderValue>,
    /// For `X-Forwarded-For`.
    peer: Option<HeaderValue>,
    /// For `Forwarded`.
    element: HeaderValue,
}

impl HopText {
    pub(crate) fn of(hop: &Hop<'_>) -> Self {
        let peer = hop.peer.map(|peer| value(peer.to_canonical().to_string()));
        // It outlives the request, a slice of whose bytes would hold all that was read with them.
        let host = hop.host.map(|host| HeaderValue::from_bytes(host.as_bytes()).expect("a copy of a value is one"));
        Self { host, peer, element: value(element(hop)) }
    }

    /// Whether it was made for this host.
    pub(crate) fn is_for(&self, host: Option<&HeaderValue>) -> bool {
        self.host.as_ref() == host
    }
}

/// Rewrites what a request says of who asked.
pub(crate) fn rewrite(headers: &mut HeaderMap, hop: &Hop<'_>, text: HopText, standard: bool) {
    if !hop.trusted {
        drop_told(headers);
    }
    let proto = HeaderValue::from_static(if hop.https { "https" } else { "http" });
    if let Some(peer) = text.peer {
        append(headers, FORWARDED_FOR, peer);
    }
    headers.entry(FORWARDED_PROTO).or_insert(proto);
    if let Some(host) = hop.host {
        headers.entry(FORWARDED_HOST).or_insert_with(|| host.clone());
    }
    if standard {
        append(headers, header::FORWARDED, text.element);
    }
}

/// Takes out of a request what only a proxy that is trusted may say.
pub(crate) fn drop_told(headers: &mut HeaderMap) {
    if headers.keys().any(is_told) {
        let names: Vec<_> = headers.keys().filter(|name| is_told(name)).cloned().collect();
        for name in names {
            headers.remove(name);
        }
    }
}

fn is_told(name: &HeaderName) -> bool {
    let name = name.as_str();
    // Hardly a name of a plain request begins so: most are told by their first bytes.
    match name.as_bytes() {
        [b'x', b'-', ..] => name.starts_with("x-forwarded-") || TOLD.contains(&name),
        [b'c' | b'f' | b't', ..] => TOLD.contains(&name),
        _ => false,
    }
}

/// Text that was made here, and is known to be a value.
fn value(text: String) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text)).expect("addresses and host names have no control characters")
}

/// One element of `Forwarded`.
fn element(hop: &Hop<'_>) -> String {
    let mut text = String::with_capacity(64);
    let written = match hop.peer.map(|peer| peer.to_canonical()) {
        Some(IpAddr::V4(peer)) => write!(text, "for={peer}"),
        Some(IpAddr::V6(peer)) => write!(text, "for=\"[{peer}]\""),
        None => write!(text, "for=unknown"),
    };
    written.expect("a string takes all that is written");
    text.push_str(if hop.https { ";proto=https" } else { ";proto=http" });
    // Hygiene lets only characters through that need no escape within quotes.
    if let Some(host) = hop.host.and_then(|host| host.to_str().ok()).filter(|host| !host.contains(['"', '\\'])) {
        text.push_str(";host=\"");
        text.push_str(host);
        text.push('"');
    }
    text
}

/// Adds an element to a list, in one line.
fn append(headers: &mut HeaderMap, name: HeaderName, element: HeaderValue) {
    let mut lines = match headers.entry(name) {
        // For most requests it is the only one: then nothing is copied.
        Entry::Vacant(none) => {
            none.insert(element);
            return;
        }
        Entry::Occupied(lines) => lines,
    };
    let before = lines.iter().map(HeaderValue::as_bytes).filter(|line| !line.is_empty());
    let mut line = before.collect::<Vec<_>>().join(&b", "[..]);
    if !line.is_empty() {
        line.extend_from_slice(b", ");
    }
    line.extend_from_slice(element.as_bytes());
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(line)) {
        lines.insert(value);
    }
}

/// The same request came through here too often: it goes round in a circle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Circle;

/// How often a request may come through gateways of one name.
const PASSES_MAX: usize = 8;

/// What is added to `Via`.
#[derive(Clone, Debug)]
pub(crate) struct Via {
    name: String,
    http10: HeaderValue,
    http11: HeaderValue,
    http2: HeaderValue,
}

impl Via {
    /// `name` is what this gateway calls itself; nothing if it cannot stand in a header.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let hop = |version| HeaderValue::try_from(format!("{version} {name}")).ok();
        Some(Self { name: name.to_owned(), http10: hop("1.0")?, http11: hop("1.1")?, http2: hop("2.0")? })
    }
}

/// Adds this hop to `Via`.
pub(crate) fn add_via(headers: &mut HeaderMap, version: Version, via: &Via) -> Result<(), Circle> {
    if headers.contains_key(header::VIA) {
        let lines = headers.get_all(header::VIA).iter().filter_map(|line| line.to_str().ok());
        let hops = lines.flat_map(|line| line.split(','));
        if hops.filter(|hop| hop.split_whitespace().nth(1) == Some(via.name.as_str())).count() >= PASSES_MAX {
            return Err(Circle);
        }
    }
    let hop = match version {
        Version::HTTP_2 => &via.http2,
        Version::HTTP_10 => &via.http10,
        _ => &via.http11,
    };
    append(headers, header::VIA, hop.clone());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: HeaderValue = HeaderValue::from_static("shop.example");

    fn rewritten(lines: &[(&'static str, &str)], peer: &str, trusted: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let hop = Hop { peer: Some(peer.parse().unwrap()), https: true, host: Some(&HOST), trusted };
        rewrite(&mut headers, &hop, HopText::of(&hop), true);
        headers
    }

    fn check(headers: &HeaderMap, expected: &[(&str, &str)]) {
        let mut lines: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        lines.sort_unstable();
        assert_eq!(lines, expected);
    }

    #[test]
    fn what_a_stranger_says_is_dropped() {
        let told = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-prefix", "/admin"),
            ("x-original-url", "/admin"),
            ("forwarded", "for=1.1.1.1"),
            ("accept", "*/*"),
        ];
        check(
            &rewritten(&told, "10.0.0.9", false),
            &[
                ("accept", "*/*"),
                ("forwarded", "for=10.0.0.9;proto=https;host=\"shop.example\""),
                ("x-forwarded-for", "10.0.0.9"),
                ("x-forwarded-host", "shop.example"),
                ("x-forwarded-proto", "https"),
            ],
        );
    }

    #[test]
    fn what_a_trusted_peer_says_is_kept_and_this_hop_added() {
        let told = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
            ("x-forwarded-proto", "http"),
            ("forwarded", "for=1.1.1.1"),
        ];
        check(
            &rewritten(&told, "::1", true),
            &[
                ("forwarded", "for=1.1.1.1, for=\"[::1]\";proto=https;host=\"shop.example\""),
                ("x-forwarded-for", "1.1.1.1, 2.2.2.2, ::1"),
                ("x-forwarded-host", "shop.example"),
                ("x-forwarded-proto", "http"),
            ],
        );
    }

    #[test]
    fn a_hop_s_text_holds_nothing_of_the_request() {
        let read = Bytes::from(vec![b'a'; 8000]);
        let host = HeaderValue::from_maybe_shared(read.slice(..12)).unwrap();
        let text = HopText::of(&Hop { peer: None, https: true, host: Some(&host), trusted: false });
        assert!(text.is_for(Some(&host)) && !text.is_for(Some(&HOST)) && !text.is_for(None));
        drop(host);
        assert!(read.is_unique(), "what a connection has read is held");
    }

    /// RFC 9110 §7.6.3: by which version the request was received.
    #[test]
    fn via_names_the_version_that_was_spoken() {
        let edge = Via::new("edge").unwrap();
        for (version, expected) in
            [(Version::HTTP_10, "1.0 edge"), (Version::HTTP_11, "1.1 edge"), (Version::HTTP_2, "2.0 edge")]
        {
            let mut headers = HeaderMap::new();
            add_via(&mut headers, version, &edge).unwrap();
            assert_eq!(headers["via"], expected);
        }
    }

    #[test]
    fn a_request_that_comes_round_and_round_is_stopped() {
        let mut headers = HeaderMap::new();
        let (edge, other) = (Via::new("edge").unwrap(), Via::new("other").unwrap());
        for _ in 0..PASSES_MAX {
            assert_eq!(add_via(&mut headers, Version::HTTP_11, &edge), Ok(()));
        }
        assert_eq!(add_via(&mut headers, Version::HTTP_11, &other), Ok(()));
        assert_eq!(add_via(&mut headers, Version::HTTP_2, &edge), Err(Circle));
        assert!(headers["via"].to_str().unwrap().starts_with("1.1 edge, 1.1 edge, "));
    }
}
