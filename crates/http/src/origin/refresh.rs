//! Serving stale while the origin is asked (RFC 5861, 3).

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::Service;
use unstale::Fetched;

use super::{answer::Came, kept::Kept, load::fetch, seeker::Seeker, suit::Suit};
use crate::{body::CacheBody, load::Handover, rfc9111::reuse::StaleUse, stored::StoredResponse};

/// The answer from what is in memory and may be used while the origin is asked; one of those who are given it asks.
pub(super) fn stale<S, ReqBody, ResBody>(
    seeker: &Arc<Seeker>,
    variant: Option<u128>,
    handover: &Arc<Handover<S, ReqBody, ResBody, S::Error>>,
) -> Option<Response<CacheBody<ResBody>>>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ReqBody: Send + 'static,
    ResBody: Body<Data = Bytes> + Send + 'static,
    ResBody::Error: Send,
{
    let Seeker { shared, asked, look_up, options, .. } = &**seeker;
    let key = seeker.key(variant);
    let may = |fetched: &Fetched<StoredResponse>| seeker.suits(fetched) == Suit::Stale(StaleUse::WhileRevalidating);
    let found = shared.cache.hit_accepting(&key, &look_up.policy, options, may)?;
    let came = Came::Stale(StaleUse::WhileRevalidating.as_str());
    let (response, _) = asked.of_origin(shared, &found, &seeker.sought(), came)?;
    let claimed = found.value().and_then(StoredResponse::origin).is_some_and(Kept::claim_refresh);
    if claimed {
        let (seeker, handover) = (seeker.clone(), handover.clone());
        tokio::spawn(async move {
            // What comes of it is in the cache, or nowhere: there is nobody to be told.
            drop(fetch(&seeker, variant, &handover, takes_fresh).await);
            if let Some(kept) = found.value().and_then(StoredResponse::origin) {
                kept.release_refresh();
            }
        });
    }
    Some(response)
}

fn takes_fresh(seeker: &Seeker, fetched: &Fetched<StoredResponse>) -> bool {
    seeker.suits(fetched) == Suit::Fresh
}
