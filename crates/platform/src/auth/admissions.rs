//! Admissions: what was found out about a token, so that it need not be found out again.
//!
//! Verifying a signature and working out role, tenant and identity costs more than everything else on the path of a
//! hit. All of it follows from the token, the client it names and the session as it is stored; so it is kept by the
//! first two and used while the third is the same value in the cache. The session itself is asked for on every
//! request: signing out, a change of role and every other change of it are effective at once.
//!
//! Tokens are held as hashes, and only in this process.

use quick_cache::sync::Cache;
use unstale::{Cached, Key};
use unstale_http::Identity;

use super::{Caller, tokens::Claims};
use crate::views::SessionPrincipal;

/// Most admissions that are kept; beyond it the least used are worked out again.
const ADMISSIONS_MAX: usize = 10_000;

/// What a token and the named client lead to.
#[derive(Clone)]
pub(super) struct Admission {
    pub(super) claims: Claims,
    pub(super) session_key: Key<SessionPrincipal>,
    /// The session as it was when this was worked out.
    pub(super) session: Cached<SessionPrincipal>,
    pub(super) caller: Caller,
    /// Without the position since which its facts were read: that is of a request.
    pub(super) identity: Identity,
}

impl Admission {
    /// Whether it still follows from `session`. Visiting platform administrators are let in anew each time: whether
    /// the client they visit still exists is no part of a session.
    pub(super) fn follows_from(&self, session: &Cached<SessionPrincipal>) -> bool {
        self.session.is_same(session) && !self.caller.is_visiting()
    }
}

/// BLAKE3 of the token and of the client that the request names.
pub(super) type AdmissionKey = [u8; 32];

/// The admissions of this process.
pub(crate) struct Admissions(Cache<AdmissionKey, Admission>);

impl Default for Admissions {
    fn default() -> Self {
        Self(Cache::new(ADMISSIONS_MAX))
    }
}

impl Admissions {
    pub(super) fn key(token: &str, named_client: Option<&str>) -> AdmissionKey {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(token.len() as u64).to_le_bytes());
        hasher.update(token.as_bytes());
        // Naming no client is another thing than naming the empty one.
        if let Some(client) = named_client {
            hasher.update(b"/");
            hasher.update(client.as_bytes());
        }
        *hasher.finalize().as_bytes()
    }

    pub(super) fn get(&self, key: &AdmissionKey) -> Option<Admission> {
        self.0.get(key)
    }

    pub(super) fn keep(&self, key: AdmissionKey, admission: Admission) {
        self.0.insert(key, admission);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_and_client_do_not_run_together() {
        let keys = [
            Admissions::key("token", None),
            Admissions::key("token", Some("")),
            Admissions::key("token", Some("client")),
            Admissions::key("token/client", None),
            Admissions::key("token/", Some("client")),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(key));
        }
    }
}
