//! Against signatures that others have made: those of RFC 7515 (A.1 to A.3) and RFC 8037 (A.4), and for the algorithms that
//! these leave out, OpenSSL's by the same keys, or ES384's own.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, crypto,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, ThumbprintHash},
};
use ring::signature::RsaPublicKeyComponents;

use super::{check_family, install};

/// What most of them sign, after the head: the claims of RFC 7515, A.1.
const CLAIMS: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
/// RFC 7515, A.1.
const SECRET: &str = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
/// RFC 7515, A.2, as PKCS#1.
const RSA_PRIVATE: &str = "\
    MIIEowIBAAKCAQEAofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4Ql\
    L-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo\
    7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2\
    PAcDTW9gb54h4FRWyuXpoQIDAQABAoIBABKucaRpzQorw35SbEUAVx8dYXUdZOlJcHtiWQ-dC6V8ljxAHj_PLyzTveyI5QO_xkObCyjIL303l2cf\
    UhPu2MFaJdjVzqACXuOrLot_eSFvxjvqVidTtAZExqFRJ9mylUVAoLvhowVWmC1On95fZCXxTUtxNEG1Xcc7m0rtzJKs45J-N_V9DP1edYH6USyP\
    SWGp6wuA-KgHRnKKVf9GRx80JQY7nVNkL17eHoTWEwga-lwi0FEoW9Y7lDtWXYmKBWhUE-U8PGxlJf8f40493HDw1WRQ_aSLoS4QTp3rn7gYgeHE\
    vfJdkkf0UMhlknlo53M09EFPdadQ4TlUbjqKc50CgYEA4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l5\
    8BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUcCgYEAuQPE\
    fgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA\
    -njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdcCgYAHAp9XcCSrn8wVkMVkKdb7DOX4IKjzdahm-ctDAJN4O_y7OW5FKebv\
    UjdAIt2GuoTZ71iTG-7F0F-lP88jtjP4U4qe7VHoewl4MKOfXZKTe-YCS1XbNvfgwJ3Ltyl1OH9hWvu2yza7q-d5PCsDzqtm27kxuvULVeya-TEd\
    AB1ijQKBgQCH_3r6YrVH_uCWGy6bzV1nGNOdjKc9tmkfOJmN54dxdixdpozCQ6U4OxZrsj3FcOhHBsqAHvX2uuYjagqvo3cOj1TRqNocX40omfCC\
    Mx3bD1yPPf_6TI2XECva_ggqEY2mYzmIiA5LVVmc5nrybr-lssFKneeyxN2Wq93S0iJMdQKBgCGHewxzoa1r8ZMD0LETNrToK423K377UCYqXfg5\
    XMclbrjPbEC3YI1ZNqMtuhdBJqUnBi6tjKMF-34Xf0CUN8ncuXGO2CAYvO8PdyCixHX52ybaDjy1FtCE6yUXjoKNXKvUm7MWGsAYH6f4IegOetN5\
    NvmUMFStCSkh7ixZLkN1";
const RSA_MODULUS: &str = "\
    ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pC\
    gNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg6\
    65xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRW\
    yuXpoQ";
const RSA_EXPONENT: &str = "AQAB";
const RS256: &str = "\
    cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t\
    1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12j\
    zDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQ\
    Ge77Rw";
/// RFC 7515, A.3.
const P256_POINT: [&str; 2] =
    ["f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"];
const ES256: &str = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
/// RFC 8037, A.1 and A.4.
const ED25519_PRIVATE: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const ED25519_PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const ED25519_MESSAGE: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
const EDDSA: &str = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
/// OpenSSL's, from here on.
const HS384: &str = "oXDrZsBTd6_RlkXLUTQJ0DSfHx5raR4Pq5jlRHf5v0WTm-zt8xcsCvXagNl0J4eM";
const HS512: &str = "CyfHecbVPqPzB3zBwYd3rgVBi2Dgg-eAeX7JT8B85QbKLwSXyll8WKGdehse606szf9G3i-jr24QGkEtMAGSpg";
const RS384: &str = "\
    UqgNjrJOGhk4wfoSG6Uvrt9GcKu-TgPwInExALrMBadg1pol1uTw7mZADTddAWsC6ZzdFiTFUmIi7DuD38ftLAZoW4qezdAO7RYf1yZDsbT20bt8\
    DJJN1I4VovL2PLg80B6x6ug-kaW8k5LaM5ce0dk1zgWhjafKC3Mb4UNLL8f9fqVMkHpdWYRjF6QjTz12Ap-gq-tPyUoWSdvzCIYOcZ9-08SQQdUT\
    TgsNF1Qwu3TqeWPqzNJwmWHiHMmaV8I4ktMFEX-AiEBa55KsfYTx0jSbTHP-odqmnLQJ4n-oQJ2RSXy0HQP6BkdiwDHdoMUk4z_wAeOsfDTs_mLx\
    TgOInQ";
const RS512: &str = "\
    ZatQfsb2gyCu3y9cDuz59a-IKm4bkqtT0HuT8BpNlPCmA3Y2eH91CVSI0TbkPqI9v2jaXuWvPcoJGNRtTpUXafTAbqzxWSMjqx8SkJRTuUz6imaH\
    Bctra42j2AvJ1t7qJwf2NN49y9PZbkYn3ejhU-iCmKJ3J-_GLsYp5VlximYm-o3sMul0tyCMvHUdmuWvadnVEaio-jix3pXYWfyFC8tp19zZrTao\
    fxTAzCqlqundx22tfsuqchto_zVnZk_ZBr1R5lr29Qle5JgLmRkfDNbVSQZFdwg6mSlODL8BrOiM_vreMaPCO8U_JGezKUob0ONv7DA7XDfpbaXa\
    FsHipQ";
const PS256: &str = "\
    Ic1q88HaNIwwPqvNBMB0F5r2Ic-SvrXqxW27BdWsYytrL1JgtaeQFyL1d20dZH16kHw1f1n8vmj9sfCOCKVZbkCFhPQ9UEdO29XVzENQDZeSD_0b\
    HzZx8qcxbNk1IeIKFytRFrVcG1Hea7QjAEtVmtk4s0azTpC3dS8BQKqy-puVkK68nunOHm4kqRhZZWRn_NhuapMoZvrotZmyO4C1q_0fZ1LxW7K1\
    5mCOVj_RBwfusu9gxN0Zqgdu6A3hQ40xAS8ejmc_a5llwUCLkKtWSnmpIL59pIemxJEMN6G8zE4NLz5mWG-B9-Xpx8zKRhQTRFgSoe3kD6hVZtso\
    JgYQIQ";
const PS384: &str = "\
    GzGLMJtP9z0ko3xBD3HPrfNHN8pEGiPQWhby4HOj0qhIsYr1GOJELMccdV6voEB7ayzsp6D5GmTmYVMBXMetxAqnPFyuZ0a2NUo_bVkOnx4YQUTX\
    CTbNh6MPZfswNKsUK4oH5tVNz03MSK-rCDWCVMjVN8DeCZrDWFR0VVuEfTN0E7SA4fNLq5yvlvrHoGKXDZH32T1xWkRrHs7lB0jhr_lzvAXRBrqD\
    L8kjud-Y-8xWBc4lG7wFv0MjpeVplMlEDgMfQwpkkztfCQUmfxujp5Q8sNTCLUrZSmbtURW-9cPt4TKmizR_sX5ZVuEdZkRPKyEODr6wOeHi5pT0\
    B98Erg";
const PS512: &str = "\
    DglQB4SUkZvpoOiBoWRYR22NshMfccWWPt71zNt34erzkd2-xYHP1aFsk3IYidRaI80dPrtPNoeh-dpuwOMWYyjcOLQqs7rWxoz3WICNa64jB6OD\
    zaryGKMhp4wA9ytnoFdUXFHO-J7tjAAv493HGHwk4RJnOslmZw3Vf3fak_aK9_b_oqPUWBYNYKCBUpggA4R9Xdg8b41xWqWc6E-B9pjwPXgBSuvD\
    G1qM56EvIWKiJ8AqBSPyhEevg9c9Ld_VP8UsxW37aoxRlP2tfVqSd9yEy-XquEcTD_rIZ5zRopJu8jFFodwFs9u59C58jX_Ic6dLJlSWFJFNVpS3\
    Dsiwzg";
const P384_POINT: [&str; 2] = [
    "dRczCok3lGgwlgUYPi9ggsWU9dwp-hN8X0lcYh_QKbsgoz9h8RbejxYUf8onKiZa",
    "6KlEgNEFfVJJ1vzKtn7DRW5jRmplsbTnYovlh8cXpb3lJx26MnbPoeX6L774lqb9",
];
const ES384: &str = "\
    6ZXzumLD3zuc5WP9oHU3mO7kXQ7vWoi-05WaIcidM9OrL4ExS9dKUNWavTOQLz4lyvqmtIN31ZkYfkUlV1v827Q-n3vA2qDJVwoyE9ia1HgCQD4Y\
    _LJA96-sJMDti7Oi";
/// A key of 1,024 bits.
const SMALL_MODULUS: &str = "\
    rHiFxEZ_fSfE8vIhIc4qlkUGXo27h-XZfSTgAcLmTMAUNb8cV0HTt1AhmsDQOPU5P8AMb7ckTYQ_if6viAf1ryuzNhgBm-tQvY9pUfBes1nUsf8Y\
    C1PFCDk45580pMYR9sYWkaIBsyWffXcgmaqpgEeBhOXzSSMK_A2Qnc1MbQs";
const SMALL_RS256: &str = "\
    iaisoEMqWL2LIYzGL3um82980kvxnAxtbDSp8Kq3rQIOSOIVHk4Ebrvidcd16MCiW0NC8HlB_a-SbUMvUw63Oezu4wn91rpnjOG8Cd2qZD3YOlDm\
    AD-NjNh3_ISAA8rafWvM18p1FcTyYElIfnk3o_JHpSuWfUiqAz_jy61Wi-g";

const BY_RSA: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

struct Vector {
    algorithm: Algorithm,
    message: String,
    key: DecodingKey,
    signature: &'static str,
}

fn bytes(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// Head and claims, as they are signed.
fn message(algorithm: Algorithm) -> String {
    format!("{}.{CLAIMS}", URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{algorithm:?}"}}"#)))
}

fn secret() -> DecodingKey {
    DecodingKey::from_secret(&bytes(SECRET))
}

fn rsa() -> DecodingKey {
    DecodingKey::from_rsa_components(RSA_MODULUS, RSA_EXPONENT).unwrap()
}

/// The same key as PKCS#1: a sequence of both numbers.
fn rsa_der() -> DecodingKey {
    let head = [0x30, 0x82, 1, 10, 2, 0x82, 1, 1, 0];
    DecodingKey::from_rsa_der(&[&head[..], &bytes(RSA_MODULUS), &[2, 3], &bytes(RSA_EXPONENT)].concat())
}

fn point([x, y]: [&str; 2]) -> DecodingKey {
    DecodingKey::from_ec_components(x, y).unwrap()
}

fn ed() -> DecodingKey {
    DecodingKey::from_ed_components(ED25519_PUBLIC).unwrap()
}

fn vectors() -> Vec<Vector> {
    let of = |algorithm, key, signature| Vector { algorithm, message: message(algorithm), key, signature };
    let hs256 = format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{CLAIMS}");
    let mut vectors = vec![
        Vector { message: hs256, ..of(Algorithm::HS256, secret(), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") },
        of(Algorithm::HS384, secret(), HS384),
        of(Algorithm::HS512, secret(), HS512),
        of(Algorithm::ES256, point(P256_POINT), ES256),
        of(Algorithm::ES384, point(P384_POINT), ES384),
        Vector { message: ED25519_MESSAGE.to_owned(), ..of(Algorithm::EdDSA, ed(), EDDSA) },
    ];
    for (algorithm, signature) in BY_RSA.into_iter().zip([RS256, RS384, RS512, PS256, PS384, PS512]) {
        vectors.extend([rsa(), rsa_der()].map(|key| of(algorithm, key, signature)));
    }
    vectors
}

/// Whether this key verifies it; an error counts as no.
fn verifies(algorithm: Algorithm, message: &[u8], key: &DecodingKey, signature: &[u8]) -> bool {
    install();
    crypto::verify(&URL_SAFE_NO_PAD.encode(signature), message, key, algorithm).unwrap_or(false)
}

#[test]
fn what_others_signed_is_verified_and_no_altered_bit() {
    for Vector { algorithm, message, key, signature } in vectors() {
        let (message, signature) = (message.into_bytes(), bytes(signature));
        assert!(verifies(algorithm, &message, &key, &signature), "{algorithm:?}");
        for (at, bit) in [(0, 0), (signature.len() / 2, 3), (signature.len() - 1, 7)] {
            let mut altered = signature.clone();
            altered[at] ^= 1 << bit;
            assert!(!verifies(algorithm, &message, &key, &altered), "{algorithm:?}, bit {bit} of byte {at}");
        }
        let mut altered = message.clone();
        altered[message.len() / 2] ^= 1;
        assert!(!verifies(algorithm, &altered, &key, &signature), "{algorithm:?}");
        for wrong in [&signature[1..], &signature[..signature.len() - 1], &[][..], &[&signature[..], &[0]].concat()] {
            assert!(!verifies(algorithm, &message, &key, wrong), "{algorithm:?}, {} bytes", wrong.len());
        }
    }
}

#[test]
fn a_signature_counts_for_its_algorithm_alone() {
    for Vector { algorithm, message, key, signature } in vectors() {
        for other in vectors().into_iter().map(|vector| vector.algorithm).filter(|other| *other != algorithm) {
            assert!(!verifies(other, message.as_bytes(), &key, &bytes(signature)), "{algorithm:?} for {other:?}");
        }
    }
}

#[test]
fn keys_of_another_family_are_an_error() {
    install();
    let keys = [secret(), rsa(), rsa_der(), point(P256_POINT), point(P384_POINT), ed()];
    for Vector { algorithm, message, signature, .. } in vectors() {
        for key in keys.iter().filter(|key| !key.family().algorithms().contains(&algorithm)) {
            assert!(crypto::verify(signature, message.as_bytes(), key, algorithm).is_err(), "{algorithm:?}, {key:?}");
        }
    }
    // What an attacker would hope for: the public key's bytes as a secret.
    let confused = EncodingKey::from_secret(rsa_der().try_get_as_bytes().unwrap());
    let forged = crypto::sign(b"message", &confused, Algorithm::HS256).unwrap();
    assert!(crypto::verify(&forged, b"message", &rsa_der(), Algorithm::HS256).is_err());
    for family in [AlgorithmFamily::Rsa, AlgorithmFamily::Ec, AlgorithmFamily::Ed] {
        assert!(check_family(Algorithm::HS256, family).is_err(), "{family:?}");
    }
}

#[test]
fn a_small_rsa_key_is_refused_and_a_zero_before_the_modulus_is_not() {
    let message = message(Algorithm::RS256).into_bytes();
    let (n, e) = (bytes(SMALL_MODULUS), bytes(RSA_EXPONENT));
    let small = DecodingKey::from_rsa_raw_components(&n, &e);
    assert!(!verifies(Algorithm::RS256, &message, &small, &bytes(SMALL_RS256)));
    // Nothing else is wrong with it.
    let any_size = &ring::signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY;
    RsaPublicKeyComponents { n, e }.verify(any_size, &message, &bytes(SMALL_RS256)).unwrap();
    let padded = DecodingKey::from_rsa_raw_components(&[&[0][..], &bytes(RSA_MODULUS)].concat(), &[0, 1, 0, 1]);
    assert!(verifies(Algorithm::RS256, &message, &padded, &bytes(RS256)));
}

#[test]
fn keys_that_are_none_verify_nothing() {
    let none = [
        DecodingKey::from_rsa_der(b""),
        DecodingKey::from_rsa_der(b"\x30\x00"),
        DecodingKey::from_rsa_raw_components(b"", b""),
        DecodingKey::from_rsa_raw_components(&[0; 256], &[0; 3]),
        DecodingKey::from_ec_der(b""),
        DecodingKey::from_ec_der(&[4; 65]),
        DecodingKey::from_ed_der(b""),
        DecodingKey::from_ed_der(&[0xff; 32]),
    ];
    for Vector { algorithm, message, signature, .. } in vectors() {
        for key in &none {
            assert!(!verifies(algorithm, message.as_bytes(), key, &bytes(signature)), "{algorithm:?}, {key:?}");
        }
    }
}

/// A private key of each family and curve, with what it signs and how its public key is published.
fn private_keys() -> Vec<(EncodingKey, DecodingKey, &'static [Algorithm])> {
    let rsa_private = EncodingKey::from_rsa_der(&bytes(RSA_PRIVATE));
    // PKCS#8 as OpenSSL writes it, without the public key (RFC 8410, 7).
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let ed_private = EncodingKey::from_ed_der(&[&head[..], &bytes(ED25519_PRIVATE)].concat());
    let ec = |kind, algorithms: &'static [Algorithm]| {
        let pair = rcgen::KeyPair::generate_for(kind).unwrap();
        let key = EncodingKey::from_ec_der(&pair.serialize_der());
        (key, DecodingKey::from_ec_der(pair.public_key_raw()), algorithms)
    };
    let hmac: &'static [Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
    vec![
        (EncodingKey::from_secret(&bytes(SECRET)), secret(), hmac),
        (rsa_private, rsa(), &BY_RSA),
        ec(&rcgen::PKCS_ECDSA_P256_SHA256, &[Algorithm::ES256]),
        ec(&rcgen::PKCS_ECDSA_P384_SHA384, &[Algorithm::ES384]),
        (ed_private, ed(), &[Algorithm::EdDSA]),
    ]
}

#[test]
fn what_is_signed_here_is_verified_by_the_public_key_and_its_jwk() {
    install();
    for (private, public, algorithms) in private_keys() {
        for &algorithm in algorithms {
            let signature = crypto::sign(b"message", &private, algorithm).unwrap();
            let published = DecodingKey::from_jwk(&Jwk::from_encoding_key(&private, algorithm).unwrap()).unwrap();
            for key in [&public, &published] {
                assert!(crypto::verify(&signature, b"message", key, algorithm).unwrap(), "{algorithm:?}");
                assert!(!crypto::verify(&signature, b"messagf", key, algorithm).unwrap(), "{algorithm:?}");
            }
        }
    }
}

#[test]
fn signatures_without_chance_in_them_are_those_of_the_standards() {
    install();
    for Vector { algorithm, message, key, signature } in vectors() {
        let by_chance = format!("{algorithm:?}").starts_with("PS") || key.family() == AlgorithmFamily::Ec;
        for (private, ..) in private_keys().iter().filter(|(own, ..)| own.family() == key.family() && !by_chance) {
            assert_eq!(crypto::sign(message.as_bytes(), private, algorithm).unwrap(), signature, "{algorithm:?}");
        }
    }
}

#[test]
fn what_is_no_private_key_or_another_ones_signs_nothing() {
    install();
    for (private, _, own) in private_keys() {
        for Vector { algorithm, .. } in vectors().iter().filter(|vector| !own.contains(&vector.algorithm)) {
            assert!(crypto::sign(b"message", &private, *algorithm).is_err(), "{:?}, {algorithm:?}", private.family());
        }
    }
    let none = [EncodingKey::from_rsa_der(b"x"), EncodingKey::from_ec_der(b""), EncodingKey::from_ed_der(&[0; 48])];
    for key in none {
        for &algorithm in key.family().algorithms() {
            assert!(crypto::sign(b"message", &key, algorithm).is_err(), "{algorithm:?}");
            assert!(Jwk::from_encoding_key(&key, algorithm).is_err(), "{algorithm:?}");
        }
    }
}

#[test]
fn public_keys_and_thumbprints_are_told() {
    install();
    let curve = |private: &EncodingKey, algorithm| match Jwk::from_encoding_key(private, algorithm).unwrap().algorithm {
        AlgorithmParameters::EllipticCurve(point) => point.curve,
        other => panic!("{other:?}"),
    };
    let keys = private_keys();
    assert_eq!(curve(&keys[2].0, Algorithm::ES256), EllipticCurve::P256);
    assert_eq!(curve(&keys[3].0, Algorithm::ES384), EllipticCurve::P384);
    // Its numbers are needed for this one, which nobody asks for: an error, no panic.
    assert!(Jwk::from_decoding_key(&rsa_der(), None).is_err());
    // RFC 8037, A.3.
    let jwk = Jwk::from_decoding_key(&ed(), None).unwrap();
    assert_eq!(jwk.thumbprint(ThumbprintHash::SHA256).unwrap(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}
