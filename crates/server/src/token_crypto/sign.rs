//! Signing, and reading the private keys for it.

use jsonwebtoken::{
    Algorithm, EncodingKey,
    crypto::JwtSigner,
    errors::{ErrorKind, Result, new_error},
    signature::{Error, Signer},
};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{self as by, EcdsaKeyPair, Ed25519KeyPair, RsaEncoding, RsaKeyPair},
};

use super::{check_family, hmac_of, unsupported};

struct RingSigner {
    algorithm: Algorithm,
    way: Way,
}

/// How it is signed, and with what.
enum Way {
    Hmac(hmac::Key),
    Rsa(&'static dyn RsaEncoding, RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// What signs by this algorithm with this key.
pub(super) fn signer(algorithm: Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    check_family(algorithm, key.family())?;
    let bytes = key.as_bytes();
    let way = if let Some(hash) = hmac_of(algorithm) {
        Way::Hmac(hmac::Key::new(hash, bytes))
    } else if let Some(padding) = padding_of(algorithm) {
        Way::Rsa(padding, rsa_key(bytes)?)
    } else if algorithm == Algorithm::EdDSA {
        Way::Ed(ed_key(bytes)?)
    } else {
        Way::Ec(ec_key(bytes, algorithm)?)
    };
    Ok(Box::new(RingSigner { algorithm, way }))
}

fn padding_of(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    Some(match algorithm {
        Algorithm::RS256 => &by::RSA_PKCS1_SHA256,
        Algorithm::RS384 => &by::RSA_PKCS1_SHA384,
        Algorithm::RS512 => &by::RSA_PKCS1_SHA512,
        Algorithm::PS256 => &by::RSA_PSS_SHA256,
        Algorithm::PS384 => &by::RSA_PSS_SHA384,
        Algorithm::PS512 => &by::RSA_PSS_SHA512,
        _ => return None,
    })
}

/// A private key (PKCS#1).
pub(super) fn rsa_key(der: &[u8]) -> Result<RsaKeyPair> {
    RsaKeyPair::from_der(der).map_err(|error| new_error(ErrorKind::InvalidRsaKey(error.to_string())))
}

/// A private key (PKCS#8, with its public key).
pub(super) fn ec_key(pkcs8: &[u8], algorithm: Algorithm) -> Result<EcdsaKeyPair> {
    let curve = match algorithm {
        Algorithm::ES256 => &by::ECDSA_P256_SHA256_FIXED_SIGNING,
        Algorithm::ES384 => &by::ECDSA_P384_SHA384_FIXED_SIGNING,
        _ => return Err(unsupported()),
    };
    EcdsaKeyPair::from_pkcs8(curve, pkcs8, &SystemRandom::new()).map_err(|_| new_error(ErrorKind::InvalidEcdsaKey))
}

/// A private key (PKCS#8). Its public key need not be with it: many programs, OpenSSL for one, write none. If it is, it
/// must be its own.
pub(super) fn ed_key(pkcs8: &[u8]) -> Result<Ed25519KeyPair> {
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(|_| new_error(ErrorKind::InvalidEddsaKey))
}

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        match &self.way {
            Way::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Way::Rsa(padding, key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(*padding, &SystemRandom::new(), message, &mut signature).map_err(|_| Error::new())?;
                Ok(signature)
            }
            Way::Ec(key) => {
                let signature = key.sign(&SystemRandom::new(), message).map_err(|_| Error::new())?;
                Ok(signature.as_ref().to_vec())
            }
            Way::Ed(key) => Ok(key.sign(message).as_ref().to_vec()),
        }
    }
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
