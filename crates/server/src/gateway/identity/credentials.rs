//! What a request has of the credentials that backends go by.
//!
//! *Decides*, does no IO. Nothing of a credential leaves this module but as a keyed hash.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::gateway::config::file;

/// The credentials that backends go by.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    headers: Vec<HeaderName>,
    cookies: Cookies,
}

/// Cookies by which backends go.
#[derive(Clone, Debug)]
pub(crate) enum Cookies {
    /// Every one.
    All,
    /// Those of these names.
    Named(Vec<String>),
}

/// The key of the hashes; the same on all nodes of one secret.
#[derive(Clone)]
pub(crate) struct HashKey([u8; 32]);

/// A keyed hash of something that must not be known.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 32]);

/// What a way of verifying has accounted for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Accounted<'a> {
    /// Nothing.
    Nothing,
    /// One header.
    Header(&'a HeaderName),
    /// One cookie.
    Cookie(&'a str),
}

impl Known {
    pub(crate) fn of(credentials: &file::Credentials) -> Self {
        let headers = credentials.headers.iter().filter_map(|name| HeaderName::try_from(name.as_str()).ok());
        let all = credentials.cookies.iter().any(|name| name == "*");
        let cookies = if all { Cookies::All } else { Cookies::Named(credentials.cookies.clone()) };
        Self { headers: headers.filter(|name| name != header::COOKIE).collect(), cookies }
    }

    /// The same, and these headers.
    #[must_use]
    pub(crate) fn and(&self, headers: &[HeaderName]) -> Self {
        let mut all = self.clone();
        all.headers.extend(headers.iter().filter(|name| !self.headers.contains(name)).cloned());
        all
    }

    /// The headers, besides `Cookie`.
    pub(crate) fn headers(&self) -> &[HeaderName] {
        &self.headers
    }

    /// Whether a request has any of them.
    pub(crate) fn are_in(&self, headers: &HeaderMap) -> bool {
        self.headers.iter().any(|name| headers.contains_key(name)) || self.cookies_of(headers).next().is_some()
    }

    /// All credentials of a request, as a hash; none if it has none.
    pub(crate) fn digest(&self, headers: &HeaderMap, key: &HashKey) -> Option<Digest> {
        self.rest(headers, Accounted::Nothing, key)
    }

    /// The credentials of a request that were not accounted for, as a hash; none if it has none.
    pub(crate) fn rest(&self, headers: &HeaderMap, accounted: Accounted<'_>, key: &HashKey) -> Option<Digest> {
        // Most requests have nothing else: one look at all names is cheaper than a search for each.
        let is_accounted = |name: &HeaderName| matches!(accounted, Accounted::Header(header) if header == name);
        let may_count = |name: &HeaderName| *name == header::COOKIE || self.headers.contains(name);
        if !headers.keys().any(|name| !is_accounted(name) && may_count(name)) {
            return None;
        }
        let mut hasher: Option<blake3::Hasher> = None;
        let mut add = |name: &str, value: &[u8]| {
            let hasher = hasher.get_or_insert_with(|| blake3::Hasher::new_keyed(&key.0));
            for field in [name.as_bytes(), value] {
                hasher.update(&(field.len() as u64).to_le_bytes());
                hasher.update(field);
            }
        };
        for name in &self.headers {
            if !is_accounted(name) {
                headers.get_all(name).iter().for_each(|value| add(name.as_str(), value.as_bytes()));
            }
        }
        for (name, value) in self.cookies_of(headers) {
            if !matches!(accounted, Accounted::Cookie(cookie) if cookie.as_bytes() == name) {
                add("cookie", name);
                add("", value);
            }
        }
        hasher.map(|hasher| Digest(*hasher.finalize().as_bytes()))
    }

    /// The headers of a request that carry them, for asking a backend with.
    pub(crate) fn copied(&self, headers: &HeaderMap) -> HeaderMap {
        let mut copy = HeaderMap::new();
        for name in &self.headers {
            for value in headers.get_all(name) {
                copy.append(name.clone(), sensitive(value.clone()));
            }
        }
        let mut line = Vec::new();
        for (name, value) in self.cookies_of(headers) {
            let separator: &[u8] = if line.is_empty() { b"" } else { b"; " };
            line.extend_from_slice(&[separator, name, b"=", value].concat());
        }
        if let Some(value) = HeaderValue::from_bytes(&line).ok().filter(|value| !value.is_empty()) {
            copy.insert(header::COOKIE, sensitive(value));
        }
        copy
    }

    fn cookies_of<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        cookies(headers).filter(|(name, _)| match &self.cookies {
            Cookies::All => true,
            Cookies::Named(names) => names.iter().any(|known| known.as_bytes() == *name),
        })
    }
}

/// Every cookie of a request, with its value.
pub(crate) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    let lines = headers.get_all(header::COOKIE).into_iter().map(HeaderValue::as_bytes);
    lines.flat_map(|line| line.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty()).map(
        |pair| match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii()),
            // Without a name, as browsers send it.
            None => (&b""[..], pair),
        },
    )
}

/// Not shown by `Debug`.
fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

impl HashKey {
    /// Derives the key from the gateway's secret.
    pub(crate) fn derive(secret: &[u8]) -> Self {
        Self(blake3::derive_key("unstale 2026 gateway credentials", secret))
    }

    /// The hash of fields.
    pub(crate) fn digest(&self, fields: &[&[u8]]) -> Digest {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for field in fields {
            hasher.update(&(field.len() as u64).to_le_bytes());
            hasher.update(field);
        }
        Digest(*hasher.finalize().as_bytes())
    }
}

impl Digest {
    /// 128 bits of it, in hexadecimal digits.
    pub(crate) fn short(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex()[..32].to_owned()
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(…)")
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).try_into().unwrap(), HeaderValue::from_static(value))).collect()
    }

    fn known(headers: &[&str], cookies: &[&str]) -> Known {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Known::of(&file::Credentials { headers: list(headers), cookies: list(cookies), ..file::Credentials::default() })
    }

    fn rest(known: &Known, pairs: &[(&'static str, &'static str)], accounted: Accounted<'_>) -> Option<Digest> {
        known.rest(&headers(pairs), accounted, &HashKey::derive(b"secret"))
    }

    #[test]
    fn what_is_not_accounted_for_tells_requests_apart() {
        let all = known(&["authorization", "x-api-key"], &["*"]);
        let token = [("authorization", "Bearer a")];
        assert_eq!(rest(&all, &token, Accounted::Header(&header::AUTHORIZATION)), None);
        let nothing = |pairs| rest(&all, pairs, Accounted::Nothing);
        let different = [
            nothing(&[]),
            nothing(&token),
            nothing(&[("authorization", "Bearer b")]),
            nothing(&[("x-api-key", "Bearer a")]),
            nothing(&[("authorization", "Bearer a"), ("x-api-key", "k")]),
            nothing(&[("cookie", "a=b")]),
            nothing(&[("cookie", "a=b; c=d")]),
            nothing(&[("cookie", "ab")]),
            nothing(&[("cookie", "=ab")]).map(|_| Digest([0; 32])),
        ];
        for (at, one) in different.iter().enumerate() {
            assert!(!different[..at].contains(one), "{at}");
        }
        assert_eq!(nothing(&[("cookie", "a=b; c=d")]), nothing(&[("cookie", "a=b"), ("cookie", "c=d")]));
        assert_eq!(rest(&all, &[("cookie", "t=1")], Accounted::Cookie("t")), None);
    }

    #[test]
    fn only_the_named_cookies_count() {
        let named = known(&["authorization"], &["session"]);
        assert!(!named.are_in(&headers(&[("cookie", "theme=dark")])));
        assert!(named.are_in(&headers(&[("cookie", "theme=dark; session=1")])));
        let nothing = |pairs| rest(&named, pairs, Accounted::Nothing);
        assert_eq!(nothing(&[("cookie", "theme=dark; session=1")]), nothing(&[("cookie", "session=1")]));
        assert_ne!(nothing(&[("cookie", "session=1; session=2")]), nothing(&[("cookie", "session=2; session=1")]));
        let copied = named.copied(&headers(&[("cookie", "theme=dark; session=1"), ("x-other", "1")]));
        assert_eq!(copied, headers(&[("cookie", "session=1")]));
    }

    #[test]
    fn nothing_is_shown() {
        let copied =
            known(&["authorization"], &["*"]).copied(&headers(&[("authorization", "planted"), ("cookie", "planted")]));
        assert!(!format!("{copied:?} {:?}", HashKey::derive(b"planted")).contains("planted"));
    }
}
