//! What a request says of the way that it has come, and of the URL that its client saw: `Forwarded`, `X-Forwarded-…` and
//! what proxies have called these before there was a name for it.
//!
//! Services build links of such fields, and some answer as if another URL had been asked for. They are no part of the
//! URL, and who sets them may be anybody. So what tells of the *URL* counts in the key of what is kept, and what tells of
//! the *client* does not reach the service where its answer is shared: it would be made for the one who asks first.
//!
//! *Decides*, does no IO. What it does not do: know headers of a service's own. A service that lets them shape an
//! answer that is shared must say so in `Vary`.

use http::{HeaderMap, HeaderName, header};

/// Fields, beside `X-Forwarded-…`, that tell services another URL than the one that is asked for, or by which way. (`Via`
/// cannot be taken out instead: by it requests are found that go round in a circle.)
pub(crate) const OF_URL: [&str; 7] =
    ["forwarded", "via", "x-forwarded", "x-host", "x-http-host-override", "x-original-host", "front-end-https"];

/// Fields that tell services who the client is.
const OF_CLIENT: [&str; 8] = [
    "x-forwarded-for",
    "x-real-ip",
    "x-client-ip",
    "client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-cluster-client-ip",
    "fastly-client-ip",
];

/// An extension of a request whose answer may be given to others than its sender: who passes it on tells the service no address
/// of the sender either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForOthers;

/// Whether a field tells services under which URL a client has asked.
pub(crate) fn is_of_url(name: &HeaderName) -> bool {
    let name = name.as_str();
    // Hardly a name begins so: most are told by their first byte.
    match name.as_bytes().first() {
        Some(b'x' | b'f' | b'v') => {
            (name.starts_with("x-forwarded-") && name != "x-forwarded-for") || OF_URL.contains(&name)
        }
        _ => false,
    }
}

/// A digest of what a request says of its URL besides the URL; none if it says nothing.
pub(crate) fn digest(headers: &HeaderMap) -> Option<u128> {
    let mut hasher: Option<blake3::Hasher> = None;
    // In an order of their own: a map's is that of insertion, and means nothing.
    let mut names: Vec<&HeaderName> = headers.keys().filter(|name| is_of_url(name)).collect();
    names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    for name in names {
        let hasher = hasher.get_or_insert_with(blake3::Hasher::new);
        for value in headers.get_all(name) {
            for field in [name.as_str().as_bytes(), value.as_bytes()] {
                hasher.update(&(field.len() as u64).to_le_bytes());
                hasher.update(field);
            }
        }
    }
    let digest = hasher?.finalize();
    Some(u128::from_le_bytes(*digest.as_bytes().first_chunk().expect("a hash has 32 bytes")))
}

/// Takes out of a request what tells who the client is.
pub(crate) fn strip_client(headers: &mut HeaderMap) {
    for name in OF_CLIENT {
        headers.remove(name);
    }
}

/// Whether what a service behind other hops gets of this field may be another value than the one seen here: then the
/// value seen here selects nothing.
pub(crate) fn is_changed_on_the_way(name: &HeaderName) -> bool {
    *name == header::FORWARDED || *name == header::VIA || OF_CLIENT.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rfc9111::testing::headers;

    #[test]
    fn what_tells_of_the_url_makes_a_digest_of_its_own() {
        assert_eq!(digest(&headers(&[("host", "a"), ("x-forwarded-for", "1.2.3.4"), ("from", "x")])), None);
        let each = [
            [("x-forwarded-host", "a")],
            [("x-forwarded-host", "b")],
            [("x-forwarded-proto", "a")],
            [("forwarded", "host=a")],
            [("x-host", "a")],
        ];
        let digests: Vec<_> = each.iter().map(|lines| digest(&headers(lines))).collect();
        for (at, one) in digests.iter().enumerate() {
            assert!(one.is_some() && !digests[..at].contains(one), "{at}");
        }
        let two = [("x-forwarded-host", "a"), ("x-forwarded-proto", "b")];
        assert_eq!(digest(&headers(&two)), digest(&headers(&[two[1], two[0]])));
        assert_ne!(digest(&headers(&two)), digest(&headers(&[two[0]])));
    }

    #[test]
    fn what_a_later_hop_may_write_anew_selects_nothing() {
        let is_changed = |name| is_changed_on_the_way(&HeaderName::from_static(name));
        for name in OF_CLIENT.into_iter().chain(["forwarded", "via"]) {
            assert!(is_changed(name), "{name}");
        }
        for name in ["accept", "cookie", "x-forwarded-host", "x-forwarded-proto", "x-host"] {
            assert!(!is_changed(name), "{name}");
        }
    }

    #[test]
    fn a_client_is_told_by_addresses() {
        let mut map = headers(&[("x-forwarded-for", "1.2.3.4"), ("x-real-ip", "1.2.3.4"), ("x-forwarded-host", "a")]);
        strip_client(&mut map);
        assert_eq!(map, headers(&[("x-forwarded-host", "a")]));
    }
}
