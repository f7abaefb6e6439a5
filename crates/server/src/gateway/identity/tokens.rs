//! Signed tokens: finding them in a request, and remembering those that were believed.
//!
//! # Invariants
//! - What is remembered of a token is a keyed hash. Its times are judged at every request, and it is verified anew when
//!   the keys have changed.
//! - At most [`SEEN_MAX`] tokens are remembered; those that were refused are not.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{HeaderMap, header};
use quick_cache::sync::Cache as Seen;
use unstale::{Position, Tenant};
use unstale_http::Identity;

use super::{
    claims::{Believed, Rules, TokenFault},
    credentials::{Accounted, Digest, HashKey, cookies},
    jwks::Keys,
    verified::Verified,
};

/// Tokens that are remembered, of one way.
const SEEN_MAX: usize = 50_000;

/// A way of verifying by tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    rules: Rules,
    keys: Keys,
    cookie: Option<String>,
    seen: Seen<Digest, Arc<Remembered>>,
}

/// A token that was believed.
#[derive(Debug)]
pub(crate) struct Remembered {
    believed: Believed,
    generation: u64,
    /// The identity of requests that bring nothing else to tell them apart by, made at the first one.
    identity: OnceLock<Identity>,
}

impl Remembered {
    /// Who has it.
    pub(crate) fn verified(&self) -> &Verified {
        &self.believed.verified
    }

    /// The identity of requests that bring nothing else; of the tenant that the token names.
    pub(crate) fn identity(&self, tenant: &Tenant, key: &HashKey, since: Position) -> Identity {
        let make = || self.believed.verified.identity(tenant.clone(), None, key, since);
        self.identity.get_or_init(make).clone()
    }
}

/// What a look at a request tells.
#[derive(Debug)]
pub(crate) enum Look {
    /// It has no token.
    None,
    /// It has one that is believed.
    Believed(Arc<Remembered>),
    /// It has one, or several, that are not.
    Refused(TokenFault),
    /// The keys have to be asked for first.
    AskKeys(String),
}

impl Tokens {
    pub(crate) fn new(rules: Rules, keys: Keys, cookie: Option<String>) -> Self {
        Self { rules, keys, cookie, seen: Seen::new(SEEN_MAX) }
    }

    /// What of a request's credentials it accounts for.
    pub(crate) fn accounted(&self) -> Accounted<'_> {
        match &self.cookie {
            Some(cookie) => Accounted::Cookie(cookie),
            None => Accounted::Header(&header::AUTHORIZATION),
        }
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Looks at a request; `now` is the time since 1970.
    pub(crate) fn look(&self, headers: &HeaderMap, now: Duration, key: &HashKey) -> Look {
        match self.token(headers) {
            Ok(None) => Look::None,
            Err(fault) => Look::Refused(fault),
            Ok(Some(token)) => self.judge(token, now, key),
        }
    }

    /// Judges a token by the keys that are there.
    pub(crate) fn judge(&self, token: &str, now: Duration, key: &HashKey) -> Look {
        let Some(keys) = self.keys.now() else { return Look::AskKeys(token.to_owned()) };
        let digest = key.digest(&[self.rules.way.as_bytes(), token.as_bytes()]);
        if let Some(held) = self.seen.get(&digest).filter(|held| held.generation == keys.generation) {
            return match held.believed.times.judge(now) {
                Ok(()) => Look::Believed(held),
                Err(fault) => Look::Refused(fault),
            };
        }
        match self.rules.verify(token, &keys.set, now, key) {
            Ok(believed) => {
                let generation = keys.generation;
                let remembered = Arc::new(Remembered { believed, generation, identity: OnceLock::new() });
                self.seen.insert(digest, remembered.clone());
                Look::Believed(remembered)
            }
            Err(TokenFault::UnknownKey) => Look::AskKeys(token.to_owned()),
            Err(fault) => Look::Refused(fault),
        }
    }

    /// The request's one token. Of several it could not be told which the backend goes by.
    fn token<'a>(&self, headers: &'a HeaderMap) -> Result<Option<&'a str>, TokenFault> {
        if let Some(name) = &self.cookie {
            let mut found = cookies(headers).filter(|(own, _)| *own == name.as_bytes()).map(|(_, value)| value);
            return match (found.next(), found.next()) {
                (None, _) => Ok(None),
                (Some(value), None) => std::str::from_utf8(value).map(Some).map_err(|_| TokenFault::Malformed),
                (Some(_), Some(_)) => Err(TokenFault::Malformed),
            };
        }
        let mut lines = headers.get_all(header::AUTHORIZATION).iter();
        let line = match (lines.next(), lines.next()) {
            (None, _) => return Ok(None),
            (Some(_), Some(_)) => return Err(TokenFault::Malformed),
            (Some(line), None) => line.to_str().map_err(|_| TokenFault::Malformed)?,
        };
        Ok(match line.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Some(token.trim()),
            // Another scheme: some other way may know it.
            _ => None,
        })
    }
}
