//! The keys of stored responses: the crate's whole catalogue.

use std::{borrow::Cow, fmt};

use http::{HeaderMap, HeaderName};
use unstale::{RawKey, Tenant};

use crate::{identity::Identity, stored::StoredResponse};

/// The name of the responses' pattern.
const RESPONSE: &str = "http:response";

unstale::catalogue! {
    /// Every key of this crate.
    pub const PATTERNS;
    /// A response to GET and HEAD, for a principal or all of the tenant.
    fn response(principal, host, url, variant) -> StoredResponse = "http:response";
}

/// The key of the response to a request.
///
/// The host counts, because servers answer by it and senders choose it.
pub(crate) fn of(
    owner: Owner<'_>,
    host: &str,
    url: &impl fmt::Display,
    variant: Variant,
) -> unstale::Key<StoredResponse> {
    response(owner.tenant(), owner, host, url, variant)
}

/// Whose a stored response is. Displays as `@` and the principal, `=`, a hash of fixed length and the principal, `-` for
/// everybody of the tenant, `*` for everybody.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Owner<'a> {
    /// A principal's.
    Principal(&'a Identity),
    /// Everybody's in a tenant.
    Tenant(&'a Tenant),
    /// Everybody's, kept in this tenant.
    Public(&'a Tenant),
}

impl<'a> Owner<'a> {
    pub(crate) fn tenant(self) -> &'a Tenant {
        match self {
            Self::Principal(identity) => identity.tenant(),
            Self::Tenant(tenant) | Self::Public(tenant) => tenant,
        }
    }
}

impl fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Principal(identity) => {
                match identity.known_hash() {
                    Some(known_as) => write!(f, "={known_as:032x}")?,
                    None => f.write_str("@")?,
                }
                f.write_str(identity.principal())
            }
            Self::Tenant(_) => f.write_str("-"),
            Self::Public(_) => f.write_str("*"),
        }
    }
}

/// Which variant of a resource the counted request headers select: 128 bits of their BLAKE3 hash, or none if the
/// request has none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Variant(Option<u128>);

impl Variant {
    /// The response that holds what others of its URL are selected by.
    pub(crate) const FIRST: Self = Self(None);

    /// One that is selected by values of this digest.
    pub(crate) fn selected(digest: u128) -> Self {
        Self(Some(digest))
    }

    /// Of the values as they stand: one that is written otherwise and means the same costs a load, and is bounded as all variants
    /// are; to read lists here would cost every hit.
    pub(crate) fn of(headers: &HeaderMap, vary_on: &[HeaderName]) -> Self {
        let mut hasher = None;
        for (at, name) in vary_on.iter().enumerate() {
            for value in headers.get_all(name) {
                let hasher = hasher.get_or_insert_with(blake3::Hasher::new);
                hasher.update(&(at as u64).to_le_bytes());
                hasher.update(&(value.len() as u64).to_le_bytes());
                hasher.update(value.as_bytes());
            }
        }
        Self(hasher.map(|hasher| {
            let digest = hasher.finalize();
            u128::from_le_bytes(*digest.as_bytes().first_chunk().expect("a hash has 32 bytes"))
        }))
    }
}

impl Variant {
    /// By what it is told apart from the others of its URL; none if nothing selects it.
    pub(crate) fn digest(self) -> Option<u128> {
        self.0
    }
}

/// A hash of what all variants of a URL have in common, the owner included.
pub(crate) fn url_hash(key: &unstale::Key<StoredResponse>) -> u128 {
    let text = key.raw().as_str();
    let common = text.rsplit_once('/').map_or(text, |(common, _)| common);
    u128::from_le_bytes(*blake3::hash(common.as_bytes()).as_bytes().first_chunk().expect("a hash has 32 bytes"))
}

/// The key of another variant of the same URL.
pub(crate) fn of_variant(key: &unstale::Key<StoredResponse>, digest: u128) -> unstale::Key<StoredResponse> {
    key.with_last(Variant::selected(digest))
}

/// The path of the URL whose response has this key; none if it is the key of something else.
///
/// For who adds up by route what observers were told by key.
pub fn path_of(key: &RawKey) -> Option<Cow<'_, str>> {
    if key.entity() != RESPONSE {
        return None;
    }
    // `tenant:http:response/owner/host/url/variant`; a tenant's name may hold a '/' as little as a part does.
    let url = key.as_str().split('/').nth(3)?;
    // What stands in a key is escaped; a query begins behind the first '?'.
    let path = url.split_once('?').map_or(url, |(path, _)| path);
    Some(if path.contains('%') {
        Cow::Owned(path.replace("%2F", "/").replace("%25", "%"))
    } else {
        Cow::Borrowed(path)
    })
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(digest) => write!(f, "{digest:032x}"),
            None => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;
    use crate::{
        route::{Query, Sharing},
        url,
    };

    fn key(tenant: &str, principal: &str, sharing: Sharing, uri: &str, headers: &HeaderMap) -> String {
        let identity = Identity::new(Tenant::new(tenant).unwrap(), principal);
        let uri = uri.parse().unwrap();
        let url = url::normalise(&uri, &Query::All, 2048).unwrap();
        let variant = Variant::of(headers, &[header::ACCEPT, header::ACCEPT_LANGUAGE]);
        let owner = match sharing {
            Sharing::PerPrincipal => Owner::Principal(&identity),
            Sharing::Tenant => Owner::Tenant(identity.tenant()),
            Sharing::Public => Owner::Public(identity.tenant()),
        };
        of(owner, "host", &url, variant).raw().as_str().to_owned()
    }

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        pairs.iter().for_each(|(name, value)| {
            headers.append(name, HeaderValue::from_static(value));
        });
        headers
    }

    #[test]
    fn what_a_principal_is_known_as_tells_responses_apart() {
        let uri = "/a".parse().unwrap();
        let url = url::normalise(&uri, &Query::All, 2048).unwrap();
        let text = |owner| of(owner, "host", &url, Variant(None)).raw().as_str().to_owned();
        let plain = Identity::new(Tenant::new("acme").unwrap(), "u1");
        let [admin, again, reader] = ["admin", "admin", "reader"].map(|role| plain.clone().known_as(role));
        let own = |identity| text(Owner::Principal(identity));
        assert_eq!(own(&admin), own(&again));
        assert!(own(&admin) != own(&reader) && own(&admin) != own(&plain), "{}", own(&admin));
        assert_eq!(text(Owner::Tenant(admin.tenant())), text(Owner::Tenant(reader.tenant())));
    }

    #[test]
    fn the_path_is_read_back() {
        let path = |uri: &str| {
            let uri = uri.parse().unwrap();
            let url = url::normalise(&uri, &Query::All, 2048).unwrap();
            let key = of(Owner::Tenant(&Tenant::new("acme").unwrap()), "host", &url, Variant(None));
            path_of(key.raw()).map(Cow::into_owned)
        };
        for (uri, expected) in [("/a/b%20c?d=/e", "/a/b%20c"), ("/", "/"), ("/a%2Cb?", "/a%2Cb")] {
            assert_eq!(path(uri).as_deref(), Some(expected), "{uri}");
        }
    }

    #[test]
    fn the_text_names_tenant_principal_host_url_and_variant() {
        let none = HeaderMap::new();
        let own = key("acme", "u1", Sharing::PerPrincipal, "/a?b=1", &none);
        assert_eq!(own, "acme:http:response/@u1/host/%2Fa?b=1/-");
        let shared = key("acme", "u1", Sharing::Tenant, "/a?b=1", &none);
        assert_eq!(shared, "acme:http:response/-/host/%2Fa?b=1/-");
        let public = key("acme", "u1", Sharing::Public, "/a?b=1", &none);
        assert_eq!(public, "acme:http:response/*/host/%2Fa?b=1/-");
        assert_ne!(key("acme", "", Sharing::PerPrincipal, "/a", &none), key("acme", "", Sharing::Tenant, "/a", &none));
    }

    #[test]
    fn another_variant_of_a_url_differs_in_nothing_else() {
        let identity = Identity::new(Tenant::new("acme").unwrap(), "u1");
        let uri = "/a?b=1%2f2".parse().unwrap();
        let url = url::normalise(&uri, &Query::All, 2048).unwrap();
        let made = |variant| of(Owner::Principal(&identity), "host", &url, variant);
        let (first, other) = (made(Variant::FIRST), made(Variant::selected(7)));
        assert_eq!(of_variant(&first, 7).raw(), other.raw());
        assert_eq!(of_variant(&made(Variant::selected(1 << 99)), 7).raw(), other.raw());
        assert_eq!((Variant::FIRST.digest(), Variant::selected(7).digest()), (None, Some(7)));
        assert_eq!(url_hash(&first), url_hash(&other));
        let (elsewhere, shared) = ("/a?b=2".parse().unwrap(), Owner::Tenant(identity.tenant()));
        let elsewhere = url::normalise(&elsewhere, &Query::All, 2048).unwrap();
        let others = of(Owner::Principal(&identity), "host", &elsewhere, Variant::FIRST);
        for different in [others, of(shared, "host", &url, Variant::FIRST)] {
            assert_ne!(url_hash(&first), url_hash(&different));
        }
    }

    #[test]
    fn no_principal_can_write_himself_into_anothers_key() {
        let none = HeaderMap::new();
        let honest = key("acme", "u1", Sharing::PerPrincipal, "/a", &none);
        for name in ["u1/host", "u1%2Fhost", "-", "*", "u1/host/%2Fa/-"] {
            assert_ne!(key("acme", name, Sharing::PerPrincipal, "/a", &none), honest);
        }
    }

    #[test]
    fn variants_differ_by_header_and_value_and_by_nothing_else() {
        let variant = |pairs: &[_]| Variant::of(&headers(pairs), &[header::ACCEPT, header::ACCEPT_LANGUAGE]);
        let json = variant(&[(header::ACCEPT, "application/json")]);
        assert_eq!(json, variant(&[(header::ACCEPT, "application/json"), (header::USER_AGENT, "x")]));
        for other in [
            variant(&[]),
            variant(&[(header::ACCEPT, "text/csv")]),
            variant(&[(header::ACCEPT_LANGUAGE, "application/json")]),
            variant(&[(header::ACCEPT, "application/"), (header::ACCEPT, "json")]),
        ] {
            assert_ne!(json, other);
        }
    }
}
