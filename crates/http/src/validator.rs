//! Strong validators: the `ETag` of a response that has none.
//!
//! A keyed BLAKE3 hash over who may see the response, how its bytes are to be read, and the bytes: 128 bits. The key
//! comes from a secret of the application, so that an `ETag` is no oracle for what a body might hold, and two
//! principals cannot compare theirs; all nodes with the secret make the same one, and it survives restarts.
//!
//! An origin's own strong validator is kept. A weak one is replaced: it only promises that two responses mean the same,
//! and here the bytes are at hand.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};

use crate::{conditional::is_strong, identity::Identity, route::Sharing};

/// The key of this application's validators.
#[derive(Clone)]
pub struct ValidatorKey([u8; 32]);

impl std::fmt::Debug for ValidatorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ValidatorKey(…)")
    }
}

/// Who may see a response.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Audience<'a> {
    /// One principal in a tenant.
    Principal(&'a Identity),
    /// Everybody in the tenant.
    Tenant(&'a Identity),
    /// Anybody: nobody was verified.
    Anybody,
}

impl<'a> Audience<'a> {
    pub(crate) fn of(identity: &'a Identity, sharing: Sharing) -> Self {
        match sharing {
            Sharing::PerPrincipal => Self::Principal(identity),
            Sharing::Tenant => Self::Tenant(identity),
            Sharing::Public => Self::Anybody,
        }
    }
}

impl ValidatorKey {
    /// Derives the key from a secret that all nodes share.
    pub fn derive(secret: &[u8]) -> Self {
        Self(blake3::derive_key("unstale 2026 validators of responses", secret))
    }

    /// The validator of a response: its own if it is strong, else one made of its bytes.
    pub(crate) fn validator(&self, audience: Audience<'_>, headers: &HeaderMap, body: &[u8]) -> HeaderValue {
        match headers.get(header::ETAG) {
            Some(own) if is_strong(own) => own.clone(),
            _ => self.make(audience, headers, body),
        }
    }

    fn make(&self, audience: Audience<'_>, headers: &HeaderMap, body: &[u8]) -> HeaderValue {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        let mut field = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        match audience {
            Audience::Principal(identity) => {
                field(b"principal");
                field(identity.tenant().as_str().as_bytes());
                field(identity.principal().as_bytes());
            }
            Audience::Tenant(identity) => {
                field(b"tenant");
                field(identity.tenant().as_str().as_bytes());
            }
            Audience::Anybody => field(b"anybody"),
        }
        for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LANGUAGE] {
            field(headers.get(name).map_or(&[], HeaderValue::as_bytes));
        }
        field(body);
        let digest = hasher.finalize();
        let text = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest.as_bytes()[..16]));
        HeaderValue::try_from(text).expect("base64url makes a header")
    }
}

#[cfg(test)]
mod tests {
    use unstale::Tenant;

    use super::*;

    fn identity(tenant: &str, principal: &str) -> Identity {
        Identity::new(Tenant::new(tenant).unwrap(), principal)
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).try_into().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_same_response_to_the_same_audience_has_the_same_validator() {
        let (key, me) = (ValidatorKey::derive(b"secret"), identity("acme", "u1"));
        let make = || key.validator(Audience::Principal(&me), &headers(&[("content-type", "a/b")]), b"body");
        assert_eq!(make(), make());
        assert!(is_strong(&make()));
        assert_eq!(make().len(), 24);
    }

    #[test]
    fn anything_else_has_another() {
        let key = ValidatorKey::derive(b"secret");
        let (me, other, foreign) = (identity("acme", "u1"), identity("acme", "u2"), identity("globex", "u1"));
        let plain = headers(&[("content-type", "a/b")]);
        let all = [
            key.validator(Audience::Principal(&me), &plain, b"body"),
            key.validator(Audience::Principal(&other), &plain, b"body"),
            key.validator(Audience::Principal(&foreign), &plain, b"body"),
            key.validator(Audience::Tenant(&me), &plain, b"body"),
            key.validator(Audience::Anybody, &plain, b"body"),
            key.validator(Audience::Principal(&me), &plain, b"bodx"),
            key.validator(Audience::Principal(&me), &headers(&[("content-type", "a/c")]), b"body"),
            key.validator(Audience::Principal(&me), &headers(&[("content-encoding", "a/b")]), b"body"),
            ValidatorKey::derive(b"other").validator(Audience::Principal(&me), &plain, b"body"),
        ];
        for (at, etag) in all.iter().enumerate() {
            assert!(!all[..at].contains(etag), "validator {at} is one of the others");
        }
        assert_eq!(
            key.validator(Audience::Tenant(&me), &plain, b""),
            key.validator(Audience::Tenant(&other), &plain, b"")
        );
    }

    #[test]
    fn an_origins_strong_validator_is_kept_and_a_weak_one_is_not() {
        let key = ValidatorKey::derive(b"secret");
        let make = |etag| key.validator(Audience::Anybody, &headers(&[("etag", etag)]), b"body");
        assert_eq!(make("\"own\""), "\"own\"");
        assert!(is_strong(&make("W/\"own\"")) && is_strong(&make("own")));
    }
}
