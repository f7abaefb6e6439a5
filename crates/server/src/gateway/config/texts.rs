//! The kinds of texts in the file (the schema's `x-text`): what is well-formed and what is expected.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderName, Method, Uri};

use super::values::{DURATION, SIZE, Size, Span};

/// A kind of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    Duration,
    Size,
    Address,
    Origin,
    Url,
    Path,
    Header,
    Method,
    Network,
    Hash,
    Redis,
}

impl Text {
    /// Every kind, by its name in the schema.
    pub(crate) const ALL: [(&'static str, Self); 11] = [
        ("duration", Self::Duration),
        ("size", Self::Size),
        ("address", Self::Address),
        ("origin", Self::Origin),
        ("url", Self::Url),
        ("path", Self::Path),
        ("header", Self::Header),
        ("method", Self::Method),
        ("network", Self::Network),
        ("hash", Self::Hash),
        ("redis", Self::Redis),
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(own, _)| *own == name).map(|(_, kind)| *kind)
    }

    /// Whether a value must not be repeated.
    pub(crate) fn is_secret(self) -> bool {
        matches!(self, Self::Redis | Self::Hash)
    }

    /// Completes "expected …".
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Duration => DURATION,
            Self::Size => SIZE,
            Self::Address => "an IP address and a port, such as 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:80",
            Self::Origin => "http:// or https://, a host and at most a port, such as http://127.0.0.1:8000",
            Self::Url => "a URL that begins with http:// or https://",
            Self::Path => "a path that begins with '/'",
            Self::Header => "the name of a header, such as x-user-id",
            Self::Method => "a method in capital letters, such as GET or POST",
            Self::Network => "an address or a network, such as 10.0.0.7 or 10.0.0.0/8",
            Self::Hash => "64 hexadecimal digits, as `unstale gateway token` prints them",
            Self::Redis => "a URL that begins with redis://, rediss://, redis+sentinel:// or redis+cluster://",
        }
    }

    pub(crate) fn is_well_formed(self, text: &str) -> bool {
        match self {
            Self::Duration => Span::parse(text).is_some(),
            Self::Size => Size::parse(text).is_some(),
            Self::Address => text.parse::<SocketAddr>().is_ok(),
            Self::Origin => web(text).is_some_and(|uri| {
                uri.path() == "/" && uri.query().is_none() && !text.ends_with('/') && !text.contains('@')
            }),
            Self::Url => web(text).is_some(),
            Self::Path => text.starts_with('/'),
            Self::Header => HeaderName::try_from(text).is_ok(),
            Self::Method => {
                text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') && Method::try_from(text).is_ok()
            }
            Self::Network => Network::parse(text).is_some(),
            Self::Hash => blake3::Hash::from_hex(text).is_ok(),
            Self::Redis => ["redis://", "rediss://", "redis+sentinel://", "redis+cluster://"]
                .iter()
                .any(|scheme| text.starts_with(scheme)),
        }
    }
}

fn web(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty());
    is_web.then_some(uri)
}

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `address` or `address/bits`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address.parse::<IpAddr>().ok()?, Some(bits.parse::<u8>().ok()?)),
            None => (text.parse::<IpAddr>().ok()?, None),
        };
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        (bits <= width).then_some(Self { address, bits })
    }

    /// Whether an address is in it; a v4 address that came in by a v6 socket is the v4 address.
    pub(crate) fn contains(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = u32::from(own) ^ u32::from(other);
                differing.checked_shr(32 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = u128::from(own) ^ u128::from(other);
                differing.checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_judged_by_their_kind() {
        let check = |kind: Text, good: &[&str], bad: &[&str]| {
            good.iter().for_each(|text| assert!(kind.is_well_formed(text), "{text} is refused"));
            bad.iter().for_each(|text| assert!(!kind.is_well_formed(text), "{text} is accepted"));
        };
        check(Text::Address, &["127.0.0.1:80", "[::1]:80"], &["localhost:80", "127.0.0.1", ""]);
        check(
            Text::Origin,
            &["http://127.0.0.1:8000", "https://backend"],
            &["http://a/b", "http://a/", "ftp://a", "a", "http://u@a", "http://"],
        );
        check(Text::Method, &["GET", "M-SEARCH"], &["get", "", "G T"]);
        check(Text::Header, &["x-user-id", "Authorization"], &["a b", ""]);
        check(Text::Hash, &[&"ab".repeat(32)], &["ab", &"zz".repeat(32)]);
        check(Text::Redis, &["redis://h"], &["http://h"]);
    }

    #[test]
    fn networks_hold_their_addresses() {
        let contains =
            |network: &str, address: &str| Network::parse(network).unwrap().contains(address.parse().unwrap());
        assert!(contains("10.0.0.0/8", "10.255.0.1") && !contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("10.0.0.7", "10.0.0.7") && !contains("10.0.0.7", "10.0.0.6"));
        assert!(contains("10.0.0.0/8", "::ffff:10.1.1.1") && contains("0.0.0.0/0", "1.2.3.4"));
        assert!(contains("fd00::/8", "fd12::1") && !contains("fd00::/8", "fe80::1") && contains("::/0", "::1"));
        assert!(!contains("0.0.0.0/0", "::1"));
        for text in ["10.0.0.0/33", "::/129", "a", "10.0.0.0/", "10.0.0.0/-1"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
