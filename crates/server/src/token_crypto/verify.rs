//! Verifying signatures.

use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind,
    crypto::JwtVerifier,
    errors::Result,
    signature::{Error, Verifier},
};
use ring::{
    hmac,
    signature::{self as by, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm},
};

use super::{check_family, hmac_of, unsupported};

struct RingVerifier {
    algorithm: Algorithm,
    way: Way,
}

/// How it is verified, and with what.
enum Way {
    Hmac(hmac::Key),
    Rsa(&'static RsaParameters, DecodingKey),
    /// With a key that is the bytes of a point.
    Point(&'static dyn VerificationAlgorithm, DecodingKey),
}

/// What verifies this algorithm's signatures with this key. The key is parsed at the verification.
pub(super) fn verifier(algorithm: Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    check_family(algorithm, key.family())?;
    let way = if let Some(hash) = hmac_of(algorithm) {
        Way::Hmac(hmac::Key::new(hash, key.try_get_as_bytes()?))
    } else if let Some(parameters) = rsa_of(algorithm) {
        Way::Rsa(parameters, key.clone())
    } else {
        Way::Point(curve_of(algorithm).ok_or_else(unsupported)?, key.clone())
    };
    Ok(Box::new(RingVerifier { algorithm, way }))
}

fn rsa_of(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::RS256 => &by::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &by::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &by::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &by::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &by::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &by::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn curve_of(algorithm: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match algorithm {
        Algorithm::ES256 => &by::ECDSA_P256_SHA256_FIXED,
        Algorithm::ES384 => &by::ECDSA_P384_SHA384_FIXED,
        Algorithm::EdDSA => &by::ED25519,
        _ => return None,
    })
}

/// A number without zeros before it. Some publish their modulus with one, against RFC 7518 (6.3.1.1), and `ring` refuses it.
fn number(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..]
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        let by_bytes = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key).verify(message, signature)
        };
        let verified = match &self.way {
            // In constant time.
            Way::Hmac(key) => hmac::verify(key, message, signature),
            Way::Rsa(parameters, key) => match key.kind() {
                DecodingKeyKind::SecretOrDer(pkcs1) => by_bytes(*parameters, pkcs1),
                DecodingKeyKind::RsaModulusExponent { n, e } => {
                    RsaPublicKeyComponents { n: number(n), e: number(e) }.verify(parameters, message, signature)
                }
            },
            Way::Point(algorithm, key) => by_bytes(*algorithm, key.try_get_as_bytes().map_err(Error::from_source)?),
        };
        // Why not, `ring` does not tell.
        verified.map_err(|_| Error::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
