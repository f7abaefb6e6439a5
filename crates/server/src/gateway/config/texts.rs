//! The kinds of texts in the file (the schema's `x-text`): what is well-formed and what is expected.

use std::net::SocketAddr;

use http::{HeaderName, Method, Uri};

use super::values::{DURATION, SIZE, Size, Span};
use crate::gateway::{proxy::Network, upstream::ServerAddress};

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
            Self::Origin => text.parse::<ServerAddress>().is_ok() && !text.ends_with('/'),
            Self::Url => web(text).is_some(),
            Self::Path => text.starts_with('/'),
            Self::Header => HeaderName::try_from(text).is_ok(),
            Self::Method => {
                text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') && Method::try_from(text).is_ok()
            }
            Self::Network => text.parse::<Network>().is_ok(),
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
}
