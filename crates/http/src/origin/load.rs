//! A read that was not in memory, or not as it was wanted: the origin is asked, with what is stored at hand.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Body;
use tower::Service;
use unstale::{Cached, FetchError, Fetched, Loaded, StaleReason, Verdict};

use super::{
    OriginRead,
    answer::Came,
    arrived::{Arrived, Brought},
    asking::asking,
    now, refresh,
    seeker::{Note, Seeker, locked},
};
use crate::{
    body::CacheBody,
    decide::{BypassReason, NotStoredReason},
    headers::{Account, Kept as Keeping},
    load::{self, Failed, Handed, Handover, Miss},
    problem::Problem,
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
        let note = locked(&seeker.note).take();
        match note {
            Some(Note::OtherVariant(digest)) if variant.is_none() => {
                variant = Some(digest);
                continue;
            }
            Some(Note::NotStored) => {
                return Ok(seeker.asked.problem(&seeker.shared, Problem::NotStored, "only-if-cached"));
            }
            _ => {}
        }
        return finish(&seeker, &handover, fetched).await;
    }
}

/// Reads a variant, asking the origin with the caller's request where nothing suits.
pub(super) async fn fetch<S, ReqBody, ResBody>(
    seeker: &Arc<Seeker>,
    variant: Option<u128>,
    handover: &Arc<Handover<S, ReqBody, ResBody, S::Error>>,
    takes: fn(&Seeker, &Fetched<StoredResponse>) -> bool,
) -> Result<Fetched<StoredResponse>, FetchError<Failed>>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ReqBody: Send + 'static,
    ResBody: Body<Data = Bytes> + Send + 'static,
    ResBody::Error: Send,
{
    let accept = {
        let seeker = seeker.clone();
        move |fetched: &Fetched<StoredResponse>| takes(&seeker, fetched)
    };
    let load = {
        let (seeker, handover) = (seeker.clone(), handover.clone());
        move |old| load(seeker, handover, variant, old)
    };
    let key = seeker.key(variant);
    seeker.shared.cache.fetch_accepting(&key, &seeker.look_up.policy, &seeker.options, accept, load).await
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

/// Asks the origin with the caller's request, and says what the cache may have of its answer.
async fn load<S, ReqBody, ResBody>(
    seeker: Arc<Seeker>,
    handover: Arc<Handover<S, ReqBody, ResBody, S::Error>>,
    variant: Option<u128>,
    old: Option<Cached<StoredResponse>>,
) -> Result<Loaded<StoredResponse>, Failed>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
{
    let nothing = || Ok(Loaded::absent().declined());
    let old = match old.as_ref().and_then(|old| old.origin()) {
        Some(kept) if !kept.is_selected_by(&seeker.read.headers, seeker.look_up.searched.as_deref()) => {
            if variant.is_none() {
                let searched = seeker.look_up.searched.as_deref();
                seeker.note(Note::OtherVariant(kept.other(&seeker.read.headers, searched)));
                return nothing();
            }
            None
        }
        Some(_) => old,
        None => None,
    };
    if seeker.read.control.only_if_cached {
        seeker.note(Note::NotStored);
        return nothing();
    }
    let Some((mut inner, mut request)) = handover.take_request() else { return Err(Failed) };
    let target = request.uri().clone();
    seeker.read.lifetime.tell(request.headers_mut());
    let asking = asking(&seeker, request.headers_mut(), old.clone());
    let sent_at = seeker.shared.cache.now();
    let response = match inner.call(request).await {
        Ok(response) => response,
        Err(error) => {
            handover.put(Handed::Error(error));
            return Err(Failed);
        }
    };
    let delay = seeker.shared.cache.now().since(sent_at).as_secs();
    let arrived = Arrived { seeker: &seeker, target, at: now(&seeker.shared), delay };
    let brought = arrived.read(response, asking, old.as_ref()).await;
    match brought {
        Brought::Kept(loaded) => {
            if let Some(digest) = variant {
                load::make_room(&seeker.shared, &seeker.key(variant), digest).await;
            }
            Ok(*loaded)
        }
        Brought::Passed(response, reason, tags) => {
            if old.is_some() && reason.is_of_origin() {
                // Its word is about what is stored, too (RFC 9111, 4.3.4): others are not to go on having that.
                let removed = seeker.shared.cache.remove(&seeker.key(variant)).await;
                removed.unwrap_or_else(|error| tracing::debug!(%error, "a response that may not be kept stays stored"));
            }
            handover.put(Handed::Response(Box::new(*response), reason));
            Ok(seeker.look_up.based(Loaded::absent().declined(), tags))
        }
        Brought::Failed(response) => {
            handover.put(Handed::Response(Box::new(*response), NotStoredReason::Status));
            Err(Failed)
        }
    }
}
