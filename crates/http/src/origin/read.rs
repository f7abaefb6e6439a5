//! A read that was not in memory, or not as it was wanted.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Body;
use tower::Service;
use unstale::{FetchError, Fetched, StaleReason, Verdict};

use super::{
    OriginRead,
    answer::Came,
    load::fetch,
    refresh,
    seeker::{Seeker, locked},
};
use crate::{
    body::CacheBody,
    headers::{Account, Kept as Keeping},
    load::{Failed, Handed, Handover, Miss},
    problem::Problem,
    reasons::BypassReason,
    rfc9111::update::Fields,
    stored::StoredResponse,
};

/// Answers a read that was not in memory as it was wanted.
pub(crate) async fn answer<S, ReqBody, ResBody>(
    miss: Miss,
    read: Box<OriginRead>,
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
    let mut variant = read.variant;
    let seeker = Arc::new(Seeker::new(miss, read));
    let handover = Arc::new(Handover::new(inner, request));
    loop {
        if let Some(stale) = refresh::stale(&seeker, variant, &handover) {
            return Ok(stale);
        }
        let fetched = fetch(&seeker, variant, &handover, Seeker::takes).await;
        if let (Some(digest), None) = (locked(&seeker.other_variant).take(), variant) {
            variant = Some(digest);
            continue;
        }
        return finish(&seeker, &handover, fetched).await;
    }
}

/// Answers a read that takes only what is stored, as [`load::answer_stored`](crate::load::answer_stored). What may be used
/// stale while the origin is asked is used, and the origin is not asked.
pub(crate) async fn answer_stored<B: Body>(miss: Miss, read: Box<OriginRead>) -> Response<CacheBody<B>> {
    let mut variant = read.variant;
    let seeker = Arc::new(Seeker::new(miss, read));
    let Seeker { shared, asked, look_up, options, .. } = &*seeker;
    let found = loop {
        let accept = {
            let seeker = seeker.clone();
            move |fetched: &Fetched<StoredResponse>| seeker.takes_stored(fetched)
        };
        let found = shared.cache.find(&seeker.key(variant), &look_up.policy, options, accept).await;
        match (locked(&seeker.other_variant).take(), variant) {
            (Some(digest), None) => variant = Some(digest),
            _ => break found,
        }
    };
    let answer =
        found.and_then(|fetched| asked.of_origin(shared, &fetched, &seeker.sought(), Came::of(seeker.suits(&fetched))));
    answer.map_or_else(|| asked.not_stored(shared), |(response, _)| response)
}

async fn finish<S, ReqBody, ResBody>(
    seeker: &Seeker,
    handover: &Handover<S, ReqBody, ResBody, S::Error>,
    fetched: Result<Fetched<StoredResponse>, FetchError<Failed>>,
) -> Result<Response<CacheBody<ResBody>>, S::Error>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
{
    let Seeker { shared, asked, .. } = seeker;
    if let Ok(fetched) = &fetched {
        let came = match fetched.verdict {
            Verdict::Stale(StaleReason::FailSafe) => Came::Stale("stale-if-error"),
            Verdict::Hit | Verdict::Stale(_) => Came::of(seeker.suits(fetched)),
            _ if fetched.collapsed => Came::Fresh,
            _ if seeker.validated.load(Relaxed) => Came::Validated,
            _ => Came::Asked(*locked(&seeker.refused)),
        };
        if let Some((mut response, _)) = asked.of_origin(shared, fetched, &seeker.sought(), came) {
            if matches!(came, Came::Asked(_)) {
                put_before(response.headers_mut(), &locked(&seeker.once));
            }
            return Ok(response);
        }
    }
    match (handover.take_answer(), fetched) {
        (Some(Handed::Error(error)), _) => Err(error),
        (Some(Handed::Response(response, reason)), fetched) => {
            let fetched = fetched.ok();
            let (status, took) = (response.status().as_u16(), asked.began.elapsed());
            let kept = Keeping::NotStored(reason.as_str());
            let account = Account::Miss { status, collapsed: false, kept, took };
            Ok(asked.pass_of_origin(shared, *response, &account, fetched.as_ref()).await)
        }
        (None, Err(FetchError::TimedOut)) => Ok(asked.problem(shared, Problem::TimedOut, "timed-out")),
        (None, _) => match handover.take_request() {
            Some((mut inner, request)) => {
                let response = inner.call(request).await?.map(CacheBody::inner);
                let account = Account::Bypass { reason: BypassReason::Engine.as_str() };
                Ok(asked.pass_of_origin(shared, response, &account, None).await)
            }
            None => Ok(asked.problem(shared, Problem::NoAnswer, "no-answer")),
        },
    }
}

/// Adds an origin's fields to a head, before the cache's own of the same names: lists are in the order of the way.
fn put_before(headers: &mut HeaderMap, fields: &Fields) {
    let names: HashSet<HeaderName> = fields.iter().map(|(name, _)| name.clone()).collect();
    for name in names {
        let own: Vec<HeaderValue> = headers.get_all(&name).iter().cloned().collect();
        headers.remove(&name);
        let origins = fields.iter().filter(|(other, _)| *other == name).map(|(_, value)| value.clone());
        for value in origins.chain(own) {
            headers.append(&name, value);
        }
    }
}
