//! Responses whose origin says how long they are fresh (RFC 9111): routes with
//! [`Lifetime::Origin`](crate::Lifetime::Origin).
//!
//! The engine judges coherence (tags, clocks, epochs), this module judges time. An entry of the engine lives for its
//! freshness and its retention together; at each look-up [`suit`] says from what was [`kept`] whether the response suits
//! the request, and what does not is loaded anew with it at hand: validated, completed, or replaced.
//!
//! # Variants
//! The first response of a URL is stored under the URL alone, with the request headers that selected it. A request that
//! selects another one finds it under the URL and the digest of its own values of those headers. Each stored response
//! knows what selected it, so that names that have changed meanwhile cost misses and nothing else.
//!
//! # Invariants
//! - What the origin said binds; the route can only shorten it, or add what the origin left open.
//! - A response reaches another request only after [`storing`](crate::rfc9111::storing) allowed it to be kept.
//! - Clients' conditions never reach the origin: they are answered from what is stored or loaded.
//!
//! # What it does not do
//! It does not remember for a service that answers 304 which facts its first answer was read from: what such a service
//! reads while it validates is what the entry depends on.

mod answer;
mod arrived;
mod asking;
pub(crate) mod kept;
mod load;
mod read;
mod refresh;
mod seeker;
mod suit;

use http::{HeaderMap, HeaderName, HeaderValue, Response, header, request};
use http_body::Body;
use unstale::{Key, Policy, ReadOptions};

pub(crate) use self::read::{answer, answer_stored};
use self::{answer::Came, suit::Suit};
use crate::{
    answer::Asked,
    body::CacheBody,
    headers::Account,
    key::{self, Variant},
    look_up::{LookUp, owner},
    rfc9111::{
        Defaults,
        control::RequestControl,
        reuse::StaleUse,
        targeted::{CDN_CACHE_CONTROL, SURROGATE_CAPABILITY, SURROGATE_CONTROL, SURROGATE_NAME},
    },
    route::OriginLifetime,
    shared::Shared,
    stored::StoredResponse,
};

/// A read of a route with lifetimes of the origin.
pub(crate) struct OriginRead {
    pub(crate) lifetime: OriginLifetime,
    pub(crate) control: RequestControl,
    /// The headers as the client sent them, without what is not passed on: by them variants are selected.
    pub(crate) headers: HeaderMap,
    pub(crate) host: String,
    pub(crate) url: String,
    /// The variant to look for, if it is known not to be the first one.
    pub(crate) variant: Option<u128>,
}

impl OriginRead {
    /// The key of a variant.
    fn key(&self, shared: &Shared, look_up: &LookUp, digest: u128) -> Key<StoredResponse> {
        let owner = owner(shared, look_up.sharing, look_up.identity.as_ref()).expect("it was found to look up");
        key::of(owner, &self.host, &self.url, Variant::selected(digest))
    }

    /// Gives a request that was made plain the part again that is wanted: an origin may give parts.
    pub(crate) fn restore_range(&self, headers: &mut HeaderMap) {
        for name in [header::RANGE, header::IF_RANGE] {
            for value in self.headers.get_all(&name) {
                headers.append(&name, value.clone());
            }
        }
    }
}

/// The answer from memory, if there is one that needs no waiting; else which variant is to be looked for.
pub(crate) fn hit<B: Body>(
    shared: &Shared,
    asked: &Asked,
    head: &request::Parts,
    look_up: &LookUp,
    options: &ReadOptions,
    place: impl FnOnce(u128) -> Option<Key<StoredResponse>>,
) -> Result<(Response<CacheBody<B>>, Account), Option<u128>> {
    let control = RequestControl::of(&head.headers);
    let sought = asked.sought(&head.headers, &control, look_up.searched.as_deref());
    let now = now(shared);
    let look = |key: &Key<StoredResponse>| {
        let mut suit = Suit::TooLittle;
        let found = shared.cache.hit_accepting(key, &look_up.policy, options, |fetched| {
            suit = fetched.value().map_or(Suit::TooLittle, |stored| sought.judge(stored, now));
            matches!(suit, Suit::Fresh | Suit::Stale(StaleUse::MaxStale))
        });
        (found, suit)
    };
    let (mut found, mut suit) = look(&look_up.key);
    let mut variant = None;
    if let Suit::OtherVariant(digest) = suit
        && let Some(key) = place(digest)
    {
        variant = Some(digest);
        (found, suit) = look(&key);
    }
    let answer = found.and_then(|fetched| asked.of_origin(shared, &fetched, &sought, Came::of(suit)));
    answer.ok_or(variant)
}

/// Seconds since 1970, by the cache's clock.
fn now(shared: &Shared) -> u64 {
    shared.cache.now().as_millis() / 1000
}

/// So long after its end the engine may still give an entry to a load that has failed; HTTP says whether it is used.
const FAIL_SAFE: std::time::Duration = std::time::Duration::from_secs(1);

impl OriginLifetime {
    /// What the engine is told: as long as any response may be kept.
    pub(crate) fn policy(&self) -> Policy {
        let ttl = self.ttl_max.saturating_add(self.retain);
        Policy::ttl(ttl).fail_safe(FAIL_SAFE).mode(self.mode).load_timeout(self.load_timeout)
    }

    /// What is assumed where the origin says nothing.
    fn defaults(&self) -> Defaults {
        Defaults {
            lifetime: self.default_ttl.as_secs(),
            lifetime_max: Some(self.ttl_max.as_secs()),
            heuristic_percent: if self.heuristics { 10 } else { 0 },
            stale_while_revalidate: self.stale_while_revalidate.as_secs(),
            stale_if_error: self.stale_if_error.as_secs(),
        }
    }

    /// The fields that go before `Cache-Control`.
    fn targeted(&self) -> Vec<HeaderName> {
        let all =
            [(self.reads_surrogate_control, SURROGATE_CONTROL), (self.reads_cdn_cache_control, CDN_CACHE_CONTROL)];
        all.into_iter().filter(|(reads, _)| *reads).map(|(_, name)| name).collect()
    }

    /// Tells the origin what this cache reads.
    fn tell(&self, request: &mut HeaderMap) {
        if self.reads_surrogate_control {
            let capability = HeaderValue::try_from(format!("{SURROGATE_NAME}=\"Surrogate/1.0\""));
            request.append(SURROGATE_CAPABILITY, capability.expect("words make a header"));
        }
    }
}
