//! A miss: asking the service behind the layer, once for all who wait, and keeping what may be kept.
//!
//! The load runs in the engine's task, under its recorder, with the request of whoever came first. A response that may
//! not be kept is nobody's but that caller's: it is handed over through a [`Handover`], beside the cache, and everybody
//! else who waited asks with their own request. Whatever becomes of the engine, a caller whose request was not used is
//! answered by the service directly.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body::Body;
use tower::Service;
use unstale::{FetchError, Key, Loaded, ReadOptions};

use crate::{
    answer::Asked,
    body::{CacheBody, collect},
    decide::{Allowed, age_at, may_store},
    headers::{Account, Kept},
    key,
    look_up::LookUp,
    position::Written,
    problem::Problem,
    reasons::{BypassReason, NotStoredReason},
    shared::Shared,
    stored::StoredResponse,
    validator::Audience,
};

/// A read that was not in memory.
pub(crate) struct Miss {
    pub(crate) shared: Arc<Shared>,
    pub(crate) asked: Asked,
    pub(crate) look_up: LookUp,
    pub(crate) options: ReadOptions,
}

/// What one caller and the load of their request pass to each other.
pub(crate) struct Handover<S, ReqBody, ResBody: Body, E> {
    /// The request, until a load takes it.
    request: Mutex<Option<(S, Request<ReqBody>)>>,
    /// What the service brought, if it is this caller's alone.
    answer: Mutex<Option<Handed<ResBody, E>>>,
}

/// What the service brought and the cache may not have.
pub(crate) enum Handed<ResBody: Body, E> {
    Response(Box<Response<CacheBody<ResBody>>>, NotStoredReason),
    Error(E),
}

/// The service failed, and the cache may serve what it has. What happened is in the handover.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed;

/// Answers a miss.
pub(crate) async fn answer<S, ReqBody, ResBody>(
    miss: Miss,
    inner: S,
    request: Request<ReqBody>,
) -> Result<Response<CacheBody<ResBody>>, S::Error>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ReqBody: Send + 'static,
    ResBody: Body<Data = Bytes> + Send + 'static,
    ResBody::Error: Send,
{
    let Miss { shared, asked, look_up, options } = miss;
    let LookUp { key, policy, .. } = &look_up;
    let handover = Arc::new(Handover::new(inner, request));
    let load = {
        let (shared, handover, look_up) = (shared.clone(), handover.clone(), look_up.clone());
        move || load(shared, handover, look_up)
    };
    let fetched = shared.cache.fetch(key, policy, &options, load).await;
    if let Ok(fetched) = &fetched
        && let Some((found, _)) = asked.stored(&shared, fetched)
    {
        return Ok(found.response());
    }
    match (handover.take_answer(), fetched) {
        (Some(Handed::Error(error)), _) => Err(error),
        (Some(Handed::Response(response, reason)), fetched) => {
            let fetched = fetched.ok();
            let (status, took) = (response.status().as_u16(), asked.began.elapsed());
            let account = Account::Miss { status, collapsed: false, kept: Kept::NotStored(reason.as_str()), took };
            Ok(asked.pass(&shared, *response, &account, fetched.as_ref()).await)
        }
        (None, Err(FetchError::TimedOut)) => Ok(asked.problem(&shared, Problem::TimedOut, "timed-out")),
        (None, _) => match handover.take_request() {
            Some((mut inner, request)) => {
                let response = inner.call(request).await?.map(CacheBody::inner);
                let account = Account::Bypass { reason: BypassReason::Engine.as_str() };
                Ok(asked.pass(&shared, response, &account, None).await)
            }
            None => Ok(asked.problem(&shared, Problem::NoAnswer, "no-answer")),
        },
    }
}

/// Answers a read that takes only what is stored (`only-if-cached`, RFC 9111, 5.2.1.7), in memory or in the store. Nothing is
/// loaded for it, since others may wait for a load; nor does it wait for one.
pub(crate) async fn answer_stored<B: Body>(miss: Miss) -> Response<CacheBody<B>> {
    let Miss { shared, asked, look_up, options } = miss;
    let found = shared.cache.find(&look_up.key, &look_up.policy, &options, |_| true).await;
    let answer = found.and_then(|fetched| asked.stored(&shared, &fetched));
    answer.map_or_else(|| asked.not_stored(&shared), |(found, _)| found.response())
}

/// Asks the service with the caller's request, and says what the cache may have of its response.
async fn load<S, ReqBody, ResBody>(
    shared: Arc<Shared>,
    handover: Arc<Handover<S, ReqBody, ResBody, S::Error>>,
    look_up: LookUp,
) -> Result<Loaded<StoredResponse>, Failed>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
{
    let Some((mut inner, request)) = handover.take_request() else { return Err(Failed) };
    let target = request.uri().clone();
    let asked_at = shared.cache.now();
    let response = match inner.call(request).await {
        Ok(response) => response,
        Err(error) => {
            handover.put(Handed::Error(error));
            return Err(Failed);
        }
    };
    let allowed = Allowed {
        sharing: look_up.sharing,
        may_serve_stale: look_up.may_serve_stale(),
        vary_on: shared.routes.vary_on(),
        header_bytes_max: shared.limits.header_bytes_max,
    };
    let (now, delay) = (shared.cache.now(), shared.cache.now().since(asked_at).as_secs());
    let at = now.as_millis() / 1000;
    let written = response.extensions().get::<Written>().map(|_| NotStoredReason::Written);
    let may_store = written.map_or_else(|| may_store(response.status(), response.headers(), &allowed, at, delay), Err);
    let (mut head, body) = response.into_parts();
    let (tags, named) = look_up.tags(&shared, &target, &head.headers);
    for header in &shared.routes.route(look_up.route).policy.groups_from {
        head.headers.remove(header.name());
    }
    let life = match may_store.and_then(|life| named.map(|()| life)) {
        Ok(life) => life,
        Err(reason) => {
            let failed = head.status.is_server_error();
            handover.put(Handed::response(Response::from_parts(head, CacheBody::inner(body)), reason));
            return if failed { Err(Failed) } else { Ok(look_up.based(Loaded::absent().declined(), tags)) };
        }
    };
    let body = match collect(body, shared.limits.body_bytes_max).await {
        Ok(body) => body,
        Err((body, reason)) => {
            handover.put(Handed::response(Response::from_parts(head, body), reason));
            return Ok(look_up.based(Loaded::absent().declined(), tags));
        }
    };
    let audience = look_up.identity.as_ref().map_or(Audience::Anybody, |who| Audience::of(who, look_up.sharing));
    let etag = shared.validators.validator(audience, &head.headers, &body);
    let misses = shared.cache.peek(&look_up.key).map_or(0, |old| old.misses()) + 1;
    let stored = StoredResponse::new(etag, &head.headers, body, misses, made_at(&head.headers, at, delay));
    let loaded = look_up.based(Loaded::value(stored), tags);
    if let Some(digest) = look_up.variant {
        make_room(&shared, &look_up.key, digest).await;
    }
    Ok(match life.filter(|life| *life < look_up.policy.ttl) {
        Some(life) => loaded.ttl(life),
        None => loaded,
    })
}

/// When a response was made that was received `at`, in seconds since 1970. A service in this process says nothing of its age:
/// then the layer is a part of it, and its answers are as new as each is right.
fn made_at(headers: &HeaderMap, at: u64, delay: u64) -> Option<u64> {
    let is_told = headers.contains_key(header::DATE) || headers.contains_key(header::AGE);
    is_told.then(|| at.saturating_sub(age_at(headers, at, delay)))
}

/// Makes room for a variant among those of its URL: if too many are kept, one goes that nobody uses.
pub(crate) async fn make_room(shared: &Shared, key: &Key<StoredResponse>, digest: u128) {
    let hits = |digest| shared.cache.peek(&key::of_variant(key, digest)).map(|kept| kept.hits());
    let gone = shared.variants.admit(key::url_hash(key), digest, shared.limits.variants_max, hits);
    if let Some(gone) = gone
        && let Err(error) = shared.cache.remove(&key::of_variant(key, gone)).await
    {
        // It is gone from this node; what the store holds of it ends with its time.
        tracing::debug!(%error, "a variant that is one too many was not removed from the store");
    }
}

impl<S, ReqBody, ResBody: Body, E> Handover<S, ReqBody, ResBody, E> {
    pub(crate) fn new(inner: S, request: Request<ReqBody>) -> Self {
        Self { request: Mutex::new(Some((inner, request))), answer: Mutex::new(None) }
    }

    pub(crate) fn take_request(&self) -> Option<(S, Request<ReqBody>)> {
        self.request.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn take_answer(&self) -> Option<Handed<ResBody, E>> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn put(&self, answer: Handed<ResBody, E>) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    }
}

impl<ResBody: Body, E> Handed<ResBody, E> {
    fn response(response: Response<CacheBody<ResBody>>, reason: NotStoredReason) -> Self {
        Self::Response(Box::new(response), reason)
    }
}
