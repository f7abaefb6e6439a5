//! Access tokens: short-lived, signed, saying only whose session they belong to.
//!
//! A token proves that this server issued it; whether its session still stands is looked up on every request
//! ([`middleware`](super::middleware)), so logging out is effective at once, whatever a token says.

use std::time::Duration;

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use unstale_server::token_crypto;
use uuid::Uuid;

/// How long a token is good for.
pub const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// How old a token is when it is to be refreshed: so much before its end that an attempt may fail.
pub const REFRESH_AFTER: Duration = Duration::from_secs(10 * 60);
/// Longest token that is looked at, in bytes.
const BYTES_MAX: usize = 1024;

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user.
    pub sub: Uuid,
    /// The session.
    pub sid: Uuid,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// From when on it is no longer good.
    pub exp: i64,
}

impl Claims {
    /// Whether they are still good.
    pub fn check_time(&self, now: DateTime<Utc>) -> Result<(), TokenError> {
        if self.exp <= now.timestamp() { Err(TokenError::Expired) } else { Ok(()) }
    }
}

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not issued by this server, or changed since.
    #[error("the token was not issued by this server; sign in")]
    Invalid,
    /// Its time is over.
    #[error("the token has expired; refresh it or sign in")]
    Expired,
}

/// Issues and verifies tokens.
#[derive(Clone)]
pub struct Tokens {
    sign: EncodingKey,
    verify: DecodingKey,
    rules: Validation,
}

impl Tokens {
    /// With the server's key for tokens.
    pub fn new(key: &[u8; 32]) -> Self {
        token_crypto::install();
        let mut rules = Validation::new(Algorithm::HS256);
        // Time is this module's argument, not the library's clock.
        rules.validate_exp = false;
        rules.set_required_spec_claims(&["sub", "exp"]);
        Self { sign: EncodingKey::from_secret(key), verify: DecodingKey::from_secret(key), rules }
    }

    /// A token for a session.
    pub fn issue(&self, user: Uuid, session: Uuid, now: DateTime<Utc>) -> String {
        let iat = now.timestamp();
        let claims = Claims { sub: user, sid: session, iat, exp: iat + LIFETIME.as_secs().cast_signed() };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.sign)
            .expect("claims serialise and the key suits the algorithm")
    }

    /// What a token says, if it was issued here, however long ago; see [`Claims::check_time`].
    pub fn verify_signature(&self, token: &str) -> Result<Claims, TokenError> {
        if token.len() > BYTES_MAX {
            return Err(TokenError::Invalid);
        }
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.verify, &self.rules);
        decoded.map(|data| data.claims).map_err(|_| TokenError::Invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn verify(tokens: &Tokens, token: &str, now: DateTime<Utc>) -> Result<Claims, TokenError> {
        let claims = tokens.verify_signature(token)?;
        claims.check_time(now).map(|()| claims)
    }

    #[test]
    fn is_good_until_its_time_is_over() {
        let tokens = Tokens::new(&[1; 32]);
        let (user, session) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let token = tokens.issue(user, session, at(1000));
        assert_eq!(
            verify(&tokens, &token, at(1899)).unwrap(),
            Claims { sub: user, sid: session, iat: 1000, exp: 1900 }
        );
        assert_eq!(verify(&tokens, &token, at(1900)), Err(TokenError::Expired));
        assert!(tokens.verify_signature(&token).is_ok());
    }

    #[test]
    fn of_another_server_or_altered_is_refused() {
        let tokens = Tokens::new(&[1; 32]);
        let token = tokens.issue(Uuid::nil(), Uuid::nil(), at(0));
        assert_eq!(verify(&Tokens::new(&[2; 32]), &token, at(0)), Err(TokenError::Invalid));
        for at_byte in [token.find('.').unwrap() + 5, token.len() - 10] {
            let mut altered = token.clone().into_bytes();
            altered[at_byte] = if altered[at_byte] == b'A' { b'B' } else { b'A' };
            assert_eq!(verify(&tokens, &String::from_utf8(altered).unwrap(), at(0)), Err(TokenError::Invalid));
        }
    }

    #[test]
    fn without_a_signature_or_with_another_algorithm_is_refused() {
        let tokens = Tokens::new(&[1; 32]);
        let token = tokens.issue(Uuid::nil(), Uuid::nil(), at(0));
        let body = token.split('.').nth(1).unwrap();
        // {"alg":"none"} and {"alg":"HS512"}
        for header in ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJIUzUxMiJ9"] {
            assert_eq!(verify(&tokens, &format!("{header}.{body}."), at(0)), Err(TokenError::Invalid));
        }
        assert_eq!(verify(&tokens, &"x".repeat(BYTES_MAX + 1), at(0)), Err(TokenError::Invalid));
    }
}
