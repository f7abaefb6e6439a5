//! The origin is asked for what a reader wants, with what is stored at hand.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::Service;
use unstale::{Cached, FetchError, Fetched, Loaded};

use super::{
    arrived::{Arrived, Brought},
    asking::asking,
    now,
    seeker::{Seeker, locked},
};
use crate::{
    load::{self, Failed, Handed, Handover},
    reasons::NotStoredReason,
    stored::StoredResponse,
};

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
    let old = match old.as_ref().and_then(|old| old.origin()) {
        Some(kept) if !kept.is_selected_by(&seeker.read.headers, seeker.look_up.searched.as_deref()) => {
            if variant.is_none() {
                let searched = seeker.look_up.searched.as_deref();
                *locked(&seeker.other_variant) = Some(kept.other(&seeker.read.headers, searched));
                return Ok(Loaded::absent().declined());
            }
            None
        }
        Some(_) => old,
        None => None,
    };
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
            if old.is_some() && reason.ends_what_is_stored() {
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
