//! What a token must say to be believed, and who it says it is.
//!
//! *Decides*, does no IO; the time is an argument.
//!
//! # Invariants
//! - The algorithm is one of those that were named, whatever the token's head says; a token that demands extensions
//!   (`crit`) is refused.
//! - A token without an end is refused. Issuer and audience have to be among those that were named.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::{Algorithm, Header, Validation};
use serde_json::Value;

use super::{
    credentials::HashKey,
    keys::KeySet,
    tenancy,
    verified::{Verified, digest_of, text_at},
};
use crate::gateway::config::file::{JwtAlgorithm, JwtFile};

/// Longest token that is looked at, in bytes.
pub(crate) const TOKEN_BYTES_MAX: usize = 16 << 10;
/// Keys that one token is tried with.
const KEYS_TRIED_MAX: usize = 8;
/// Claims that are of the token, not of who has it: they do not tell answers apart.
const OF_THE_TOKEN: [&str; 10] =
    ["exp", "iat", "nbf", "jti", "auth_time", "nonce", "at_hash", "c_hash", "sid", "session_state"];

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenFault {
    #[error("it is no token")]
    Malformed,
    #[error("its algorithm is not accepted")]
    Algorithm,
    #[error("its key is not known")]
    UnknownKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("its time is over, or it has no end")]
    Expired,
    #[error("its time is still to come")]
    NotYet,
    #[error("its issuer is not accepted")]
    Issuer,
    #[error("its audience is not accepted")]
    Audience,
    #[error("it does not name the principal")]
    Principal,
    #[error("it does not name the tenant")]
    Tenant,
}

/// Which tokens are believed, and what is read in them.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) way: Arc<str>,
    algorithms: Vec<Algorithm>,
    issuers: Vec<String>,
    audiences: Vec<String>,
    leeway: Duration,
    principal: String,
    tenant: Option<String>,
    session: Option<String>,
    distinguish: Option<Vec<String>>,
}

/// A token that is believed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Believed {
    pub(crate) verified: Verified,
    pub(crate) times: Times,
}

/// When a token is good, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Times {
    from: f64,
    until: f64,
}

impl Rules {
    /// Whether a token names the tenant.
    pub(crate) fn names_tenants(&self) -> bool {
        self.tenant.is_some()
    }

    pub(crate) fn of(way: &str, file: &JwtFile, is_secret: bool) -> Self {
        let algorithms = if !file.algorithms.is_empty() {
            file.algorithms.iter().copied().map(algorithm).collect()
        } else if is_secret {
            vec![Algorithm::HS256]
        } else {
            vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]
        };
        Self {
            way: way.into(),
            algorithms,
            issuers: file.issuers.clone(),
            audiences: file.audiences.clone(),
            leeway: file.leeway.0,
            principal: file.principal.clone(),
            tenant: file.tenant.clone(),
            session: file.session.clone(),
            distinguish: file.distinguish.clone(),
        }
    }

    /// What a token's head says, if it may be believed.
    pub(crate) fn head(&self, token: &str) -> Result<Header, TokenFault> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::Malformed);
        }
        let head = jsonwebtoken::decode_header(token).map_err(|_| TokenFault::Malformed)?;
        if !self.algorithms.contains(&head.alg) {
            return Err(TokenFault::Algorithm);
        }
        if head.crit.is_some() { Err(TokenFault::Malformed) } else { Ok(head) }
    }

    /// Who has a token, if its signature is one of these keys' and its claims are good at `now`.
    pub(crate) fn verify(
        &self,
        token: &str,
        keys: &KeySet,
        now: Duration,
        hash_key: &HashKey,
    ) -> Result<Believed, TokenFault> {
        let head = self.head(token)?;
        let id = head.kid.as_deref();
        if id.is_some_and(|id| !keys.knows(id)) {
            return Err(TokenFault::UnknownKey);
        }
        let mut rules = Validation::new(head.alg);
        // Time is this module's argument, not the library's clock; the rest is judged below, with a reason each.
        rules.validate_exp = false;
        rules.validate_aud = false;
        rules.required_spec_claims.clear();
        let claims = keys
            .candidates(id, head.alg)
            .take(KEYS_TRIED_MAX)
            .find_map(|key| jsonwebtoken::decode::<Value>(token, key, &rules).ok())
            .ok_or(TokenFault::Signature)?
            .claims;
        self.judge(&claims, now, hash_key)
    }

    /// Judges claims whose signature is right.
    fn judge(&self, claims: &Value, now: Duration, hash_key: &HashKey) -> Result<Believed, TokenFault> {
        let until = claims["exp"].as_f64().ok_or(TokenFault::Expired)?;
        let from = match &claims["nbf"] {
            Value::Null => f64::NEG_INFINITY,
            nbf => nbf.as_f64().ok_or(TokenFault::NotYet)?,
        };
        let leeway = self.leeway.as_secs_f64();
        let times = Times { from: from - leeway, until: until + leeway };
        times.judge(now)?;
        if !claims["iss"].as_str().is_some_and(|issuer| self.issuers.iter().any(|known| known == issuer)) {
            return Err(TokenFault::Issuer);
        }
        let is_meant =
            |audience: &Value| audience.as_str().is_some_and(|text| self.audiences.iter().any(|own| own == text));
        let audience_is_ours = match &claims["aud"] {
            Value::Array(audiences) => audiences.iter().any(is_meant),
            audience => is_meant(audience),
        };
        if !audience_is_ours {
            return Err(TokenFault::Audience);
        }
        let subject = text_at(claims, &self.principal).ok_or(TokenFault::Principal)?;
        let tenant = match &self.tenant {
            None => None,
            Some(path) => {
                let name = text_at(claims, path).ok_or(TokenFault::Tenant)?;
                Some(tenancy::tenant(&name).ok_or(TokenFault::Tenant)?)
            }
        };
        let session = self.session.as_ref().and_then(|path| text_at(claims, path));
        let apart = if let Some(paths) = &self.distinguish {
            digest_of(claims, &[vec!["iss".to_owned()], paths.clone()].concat(), hash_key)
        } else {
            let all = claims.as_object().into_iter().flatten().map(|(name, _)| name.clone());
            let paths: Vec<String> = all.filter(|name| !OF_THE_TOKEN.contains(&name.as_str())).collect();
            digest_of(claims, &paths, hash_key)
        };
        let verified = Verified { way: self.way.clone(), subject, apart: Some(apart), tenant, session };
        Ok(Believed { verified, times })
    }
}

impl Times {
    /// Whether a token is good at this time.
    pub(crate) fn judge(&self, now: Duration) -> Result<(), TokenFault> {
        let now = now.as_secs_f64();
        if now >= self.until {
            Err(TokenFault::Expired)
        } else if now < self.from {
            Err(TokenFault::NotYet)
        } else {
            Ok(())
        }
    }
}

fn algorithm(name: JwtAlgorithm) -> Algorithm {
    match name {
        JwtAlgorithm::HS256 => Algorithm::HS256,
        JwtAlgorithm::HS384 => Algorithm::HS384,
        JwtAlgorithm::HS512 => Algorithm::HS512,
        JwtAlgorithm::RS256 => Algorithm::RS256,
        JwtAlgorithm::RS384 => Algorithm::RS384,
        JwtAlgorithm::RS512 => Algorithm::RS512,
        JwtAlgorithm::PS256 => Algorithm::PS256,
        JwtAlgorithm::PS384 => Algorithm::PS384,
        JwtAlgorithm::PS512 => Algorithm::PS512,
        JwtAlgorithm::ES256 => Algorithm::ES256,
        JwtAlgorithm::ES384 => Algorithm::ES384,
        JwtAlgorithm::EdDSA => Algorithm::EdDSA,
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::EncodingKey;
    use serde_json::json;

    use super::*;

    const SECRET: &[u8] = b"a secret of thirty-two bytes, or more";

    fn rules(text: &str) -> Rules {
        let mut file = json!({"issuers": ["https://issuer"], "audiences": ["api"], "tenant": "org", "session": "sid"});
        let more: Value = serde_json::from_str(text).unwrap();
        file.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Rules::of("tokens", &serde_json::from_value(file).unwrap(), true)
    }

    fn claims(changes: &Value) -> Value {
        let mut claims =
            json!({"iss": "https://issuer", "aud": "api", "sub": "u1", "org": "acme", "sid": "s1", "exp": 2000});
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        claims
    }

    fn signed(changes: &Value) -> String {
        crate::token_crypto::install();
        let key = EncodingKey::from_secret(SECRET);
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(changes), &key).unwrap()
    }

    fn verify(token: &str, now: u64) -> Result<Believed, TokenFault> {
        let key = HashKey::derive(b"secret");
        rules("{}").verify(token, &KeySet::secret(SECRET), Duration::from_secs(now), &key)
    }

    #[test]
    fn a_good_token_names_principal_tenant_and_session() {
        let believed = verify(&signed(&json!({})), 1000).unwrap().verified;
        assert_eq!((believed.subject.as_str(), believed.session.as_deref()), ("u1", Some("s1")));
        assert_eq!(believed.tenant.unwrap().as_str(), "acme");
    }

    #[test]
    fn each_claim_is_judged() {
        let check =
            |changes: Value, now: u64, fault| assert_eq!(verify(&signed(&changes), now).err(), fault, "{changes}");
        check(json!({}), 2029, None);
        check(json!({}), 2030, Some(TokenFault::Expired));
        check(json!({"exp": null}), 0, Some(TokenFault::Expired));
        check(json!({"exp": "2000"}), 0, Some(TokenFault::Expired));
        check(json!({"nbf": 1030}), 1000, None);
        check(json!({"nbf": 1031}), 1000, Some(TokenFault::NotYet));
        check(json!({"nbf": "soon"}), 1000, Some(TokenFault::NotYet));
        check(json!({"iss": "https://other"}), 1000, Some(TokenFault::Issuer));
        check(json!({"iss": null}), 1000, Some(TokenFault::Issuer));
        check(json!({"aud": ["other", "api"]}), 1000, None);
        check(json!({"aud": "other"}), 1000, Some(TokenFault::Audience));
        check(json!({"aud": null}), 1000, Some(TokenFault::Audience));
        check(json!({"sub": null}), 1000, Some(TokenFault::Principal));
        check(json!({"sub": ""}), 1000, Some(TokenFault::Principal));
        check(json!({"org": null}), 1000, Some(TokenFault::Tenant));
    }

    #[test]
    fn the_algorithm_is_ours_to_choose() {
        let token = signed(&json!({}));
        let body = token.split('.').nth(1).unwrap();
        // {"alg":"none"}: the library knows no such algorithm at all.
        assert_eq!(verify(&format!("eyJhbGciOiJub25lIn0.{body}."), 1000), Err(TokenFault::Malformed));
        let other = EncodingKey::from_secret(SECRET);
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS512), &claims(&json!({})), &other).unwrap();
        assert_eq!(verify(&token, 1000), Err(TokenFault::Algorithm));
        let mut head = Header::new(Algorithm::HS256);
        head.crit = Some(vec!["b64".to_owned()]);
        let token = jsonwebtoken::encode(&head, &claims(&json!({})), &EncodingKey::from_secret(SECRET)).unwrap();
        assert_eq!(verify(&token, 1000), Err(TokenFault::Malformed));
        let forged = EncodingKey::from_secret(b"another secret of thirty-two bytes");
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(&json!({})), &forged).unwrap();
        assert_eq!(verify(&token, 1000), Err(TokenFault::Signature));
        assert_eq!(verify(&"x".repeat(TOKEN_BYTES_MAX + 1), 1000), Err(TokenFault::Malformed));
    }

    #[test]
    fn a_secret_is_not_taken_for_a_public_key() {
        // A JWKS with a symmetric key would let everybody who reads it sign.
        let text = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}]}).to_string();
        assert_eq!(KeySet::parse(&text).unwrap_err(), crate::gateway::identity::keys::KeysError::Useless);
    }

    #[test]
    fn tokens_whose_answers_may_differ_are_told_apart() {
        let key = HashKey::derive(b"secret");
        let apart = |changes: Value, rules: &Rules| {
            let token = signed(&changes);
            rules.verify(&token, &KeySet::secret(SECRET), Duration::from_secs(1000), &key).unwrap().verified.apart
        };
        let all = rules("{}");
        let plain = apart(json!({}), &all);
        assert_ne!(apart(json!({"scope": "read"}), &all), plain);
        assert_ne!(apart(json!({"roles": ["admin"]}), &all), plain);
        assert_eq!(apart(json!({"exp": 1999, "iat": 3, "jti": "x", "sid": "s2"}), &all), plain);
        let by_role = rules(r#"{"distinguish": ["role"]}"#);
        assert_eq!(apart(json!({"name": "Ann"}), &by_role), apart(json!({}), &by_role));
        assert_ne!(apart(json!({"role": "admin"}), &by_role), apart(json!({}), &by_role));
    }
}
