//! Who calls, and for which tenants.

use std::{sync::Arc, time::Duration};

use axum::extract::FromRequestParts;
use http::{header, request::Parts};
use parking_lot::Mutex;
use unstale::Tenant;

use super::Control;
use crate::{
    gateway::{assembly::State, identity::tenancy, listen::ClientConnection},
    problem::{FieldError, Problem},
    rate_limit::{AttemptLimiter, AttemptLimits},
};

/// Stands for every tenant.
const ALL: &str = "*";
/// Calls with wrong tokens that one address may make within the window before it is told to stop.
const WRONG_TOKENS: AttemptLimits =
    AttemptLimits { attempts_max: 20, window: Duration::from_secs(60), keys_max: 10_000 };

/// Limits of calls.
pub(super) struct Access {
    wrong: AttemptLimiter,
    /// With the number per minute that it was made for, which may change.
    calls: Mutex<(usize, Arc<AttemptLimiter>)>,
}

impl Default for Access {
    fn default() -> Self {
        Self { wrong: AttemptLimiter::new(WRONG_TOKENS), calls: Mutex::new((0, limiter(0))) }
    }
}

fn limiter(attempts_max: usize) -> Arc<AttemptLimiter> {
    let limits = AttemptLimits { attempts_max, window: Duration::from_secs(60), keys_max: 10_000 };
    Arc::new(AttemptLimiter::new(limits))
}

/// One who may call.
pub(super) struct Caller {
    pub(super) name: String,
    tenants: Vec<String>,
    operates: bool,
}

/// One who may read records of all tenants and change how the cache is used.
pub(super) struct Operator(pub(super) Caller);

impl FromRequestParts<Arc<Control>> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, control: &Arc<Control>) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, control).await?;
        if caller.operates {
            Ok(Self(caller))
        } else {
            Err(Problem::forbidden("This token does not operate the gateway: its credential needs operates = true."))
        }
    }
}

impl Caller {
    /// The tenant of this name, if the caller acts for it.
    pub(super) fn tenant(&self, name: &str) -> Result<Tenant, Problem> {
        let tenant = tenancy::tenant(name);
        let tenant = tenant.ok_or_else(|| Problem::unprocessable([FieldError::new("tenant", "must not be empty")]))?;
        if self.acts_for(&tenant) { Ok(tenant) } else { Err(Problem::forbidden("This token is not for this tenant.")) }
    }

    /// Whether the caller acts for a tenant.
    pub(super) fn acts_for(&self, tenant: &Tenant) -> bool {
        self.tenants.iter().any(|own| own == ALL || tenancy::tenant(own).as_ref() == Some(tenant))
    }
}

impl FromRequestParts<Arc<Control>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, control: &Arc<Control>) -> Result<Self, Problem> {
        let now = control.shared.build.cache.now();
        let state = control.shared.current.load_full();
        let Some(caller) = token(parts).and_then(|token| known(&state, token)) else {
            let peer = parts.extensions.get::<ClientConnection>();
            let peer = peer.map_or_else(String::new, |connection| connection.peer().0.ip().to_string());
            return Err(match control.access.wrong.attempt(&peer, now) {
                Ok(()) => Problem::unauthorized().detail("Send the token of a credential: Authorization: Bearer …."),
                Err(refused) => Problem::too_many_requests("Too many calls with wrong tokens.", refused.retry_after),
            });
        };
        let most = state.plan.file.control.as_ref().map_or(0, |control| control.requests_per_minute_max);
        control
            .access
            .limiter(most)
            .attempt(&caller.name, now)
            .map_err(|refused| Problem::too_many_requests("This credential calls too often.", refused.retry_after))?;
        Ok(caller)
    }
}

impl Access {
    fn limiter(&self, most: usize) -> Arc<AttemptLimiter> {
        let mut calls = self.calls.lock();
        if calls.0 != most {
            *calls = (most, limiter(most));
        }
        calls.1.clone()
    }
}

fn token(parts: &Parts) -> Option<&str> {
    let mut lines = parts.headers.get_all(header::AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    let (scheme, token) = line.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The credential that a token belongs to. All are compared, each in constant time.
fn known(state: &State, token: &str) -> Option<Caller> {
    let hash = blake3::hash(token.as_bytes());
    let credentials = &state.plan.file.control.as_ref()?.credentials;
    let mut found = None;
    for (credential, own) in credentials.iter().zip(&state.plan.tokens) {
        // `blake3::Hash` compares in constant time.
        if *own == hash {
            found = Some(credential);
        }
    }
    found.map(|credential| Caller {
        name: credential.name.clone(),
        tenants: credential.tenants.clone(),
        operates: credential.operates,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_kept_as_what_compares_in_constant_time() {
        let _: fn(&State) -> &[blake3::Hash] = |state| &state.plan.tokens;
    }
}
