//! Public keys of tokens, from the text of a JWKS (RFC 7517).
//!
//! *Decides*, does no IO.

use std::fmt;

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, Jwk, KeyAlgorithm, PublicKeyUse},
};

use crate::token_crypto;

/// Most keys of one set.
const KEYS_MAX: usize = 100;
/// Longest text of a set, in bytes.
pub(crate) const JWKS_BYTES_MAX: usize = 256 << 10;

/// Why a text holds no keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeysError {
    #[error("it is larger than {JWKS_BYTES_MAX} bytes")]
    TooLong,
    #[error("it is no JWKS")]
    Malformed,
    #[error("it has more than {KEYS_MAX} keys")]
    TooMany,
    #[error("none of its keys is a public key for signatures")]
    Useless,
}

/// Keys that tokens may be signed with.
#[derive(Clone)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    id: Option<String>,
    algorithm: Option<KeyAlgorithm>,
    verifies: DecodingKey,
}

impl KeySet {
    /// The one key of a shared secret.
    pub(crate) fn secret(secret: &[u8]) -> Self {
        Self::of(vec![Key { id: None, algorithm: None, verifies: DecodingKey::from_secret(secret) }])
    }

    /// The public keys of a text. Keys of other kinds and uses are left out.
    pub(crate) fn parse(text: &str) -> Result<Self, KeysError> {
        if text.len() > JWKS_BYTES_MAX {
            return Err(KeysError::TooLong);
        }
        // Key by key: one that we cannot read must not hide the others.
        let value: serde_json::Value = serde_json::from_str(text).map_err(|_| KeysError::Malformed)?;
        let listed = value["keys"].as_array().ok_or(KeysError::Malformed)?;
        if listed.len() > KEYS_MAX {
            return Err(KeysError::TooMany);
        }
        let keys: Vec<Key> =
            listed.iter().filter_map(|key| Key::of(&serde_json::from_value(key.clone()).ok()?)).collect();
        if keys.is_empty() { Err(KeysError::Useless) } else { Ok(Self::of(keys)) }
    }

    /// No token is verified without a set, so what verifies it is there.
    fn of(keys: Vec<Key>) -> Self {
        token_crypto::install();
        Self { keys }
    }

    /// The keys that a token with this key id and algorithm may be signed with. A token without an id may be signed
    /// with any.
    pub(crate) fn candidates(&self, id: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &DecodingKey> {
        self.keys
            .iter()
            .filter(move |key| id.is_none_or(|id| key.id.as_deref().is_none_or(|own| own == id)))
            .filter(move |key| key.algorithm.is_none_or(|own| own.to_string() == format!("{algorithm:?}")))
            .filter(move |key| key.verifies.family().algorithms().contains(&algorithm))
            .map(|key| &key.verifies)
    }

    /// Whether a key of this id is there.
    pub(crate) fn knows(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id.as_deref().is_none_or(|own| own == id))
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}

impl Key {
    fn of(jwk: &Jwk) -> Option<Self> {
        if matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_)) {
            // A secret among public keys: whoever reads the set could sign.
            return None;
        }
        if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return None;
        }
        let verifies = DecodingKey::from_jwk(jwk).ok()?;
        Some(Self { id: jwk.common.key_id.clone(), algorithm: jwk.common.key_algorithm, verifies })
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet({})", self.keys.len())
    }
}
