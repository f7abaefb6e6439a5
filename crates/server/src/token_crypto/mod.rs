//! The cryptography of signed tokens (JWS, RFC 7515 and 7518), from `ring`.
//!
//! `jsonwebtoken` reads and writes tokens but signs and verifies nothing by itself: it asks the provider that the process
//! has installed. Ours has all of its algorithms: `HS*`, `RS*`, `PS*`, `ES256`, `ES384` and `EdDSA` with Ed25519.
//!
//! # Invariants
//! - Keys of one family never serve an algorithm of another: a public key is not taken for a shared secret.
//! - Signatures of RSA are verified with keys of 2,048 to 8,192 bits only, and nobody signs with smaller ones.
//! - What is not supported is an error, and no input leads to a panic.

mod sign;
#[cfg(test)]
mod tests;
mod verify;

use std::sync::Once;

use jsonwebtoken::{
    Algorithm, AlgorithmFamily,
    crypto::{CryptoProvider, KeyUtils},
    errors::{Error, ErrorKind, Result, new_error},
    jwk::{EllipticCurve, ThumbprintHash},
};
use ring::{
    digest, hmac,
    signature::{KeyPair as _, RsaPublicKeyComponents},
};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| sign::signer(*algorithm, key),
    verifier_factory: |algorithm, key| verify::verifier(*algorithm, key),
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: rsa_public_of_private,
        rsa_pub_components_from_public_key: rsa_public_of_public,
        ec_pub_components_from_private_key: ec_public_of_private,
        ed_pub_components_from_private_key: ed_public_of_private,
        compute_digest: |data, hash| digest_of(data, &hash),
    },
};

/// Has `jsonwebtoken` sign and verify with `ring` in this process.
///
/// Whoever calls `jsonwebtoken` calls this before, where its keys are made: without a provider, it panics. Calls after the
/// first one cost next to nothing. If the process has installed another provider already, that one stays.
pub fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // Refused if there is one.
        let _ = PROVIDER.install_default();
    });
}

/// Refuses a key of one family for an algorithm of another.
fn check_family(algorithm: Algorithm, key: AlgorithmFamily) -> Result<()> {
    if key.algorithms().contains(&algorithm) { Ok(()) } else { Err(new_error(ErrorKind::InvalidKeyFormat)) }
}

fn unsupported() -> Error {
    new_error(ErrorKind::UnsupportedAlgorithm)
}

fn hmac_of(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::HS256 => Some(hmac::HMAC_SHA256),
        Algorithm::HS384 => Some(hmac::HMAC_SHA384),
        Algorithm::HS512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

/// Modulus and exponent of a private key (PKCS#1).
fn rsa_public_of_private(der: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::from(sign::rsa_key(der)?.public());
    Ok((n, e))
}

/// `ring` does not tell the parts of a public key, and nothing of ours asks for them.
fn rsa_public_of_public(_der: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    Err(new_error(ErrorKind::Provider("the parts of a public RSA key are not told".to_owned())))
}

/// The point of a private key (PKCS#8).
fn ec_public_of_private(pkcs8: &[u8], algorithm: Algorithm) -> Result<(EllipticCurve, Vec<u8>, Vec<u8>)> {
    let curve = match algorithm {
        Algorithm::ES256 => EllipticCurve::P256,
        Algorithm::ES384 => EllipticCurve::P384,
        _ => return Err(unsupported()),
    };
    let key = sign::ec_key(pkcs8, algorithm)?;
    // Uncompressed (SEC 1, 2.3.3): a four, then two numbers of equal length.
    let [4, point @ ..] = key.public_key().as_ref() else { return Err(new_error(ErrorKind::InvalidEcdsaKey)) };
    let (x, y) = point.split_at(point.len() / 2);
    Ok((curve, x.to_vec(), y.to_vec()))
}

fn ed_public_of_private(pkcs8: &[u8], curve: &EllipticCurve) -> Result<Vec<u8>> {
    match curve {
        EllipticCurve::Ed25519 => Ok(sign::ed_key(pkcs8)?.public_key().as_ref().to_vec()),
        _ => Err(unsupported()),
    }
}

fn digest_of(data: &[u8], hash: &ThumbprintHash) -> Result<Vec<u8>> {
    let algorithm = match hash {
        ThumbprintHash::SHA256 => &digest::SHA256,
        ThumbprintHash::SHA384 => &digest::SHA384,
        ThumbprintHash::SHA512 => &digest::SHA512,
        _ => return Err(unsupported()),
    };
    Ok(digest::digest(algorithm, data).as_ref().to_vec())
}
