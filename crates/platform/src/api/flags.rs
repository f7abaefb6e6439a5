//! Feature flags as browsers ask for them: the `OpenFeature` remote evaluation protocol, whose addresses are fixed.
//!
//! Who asks is the one who is signed in, whatever the request says of it.

use axum::{
    Extension, Router,
    extract::Path as RawPath,
    http::HeaderMap,
    response::{IntoResponse as _, Response},
    routing::post,
};
use unstale_http::{Identity, ServedObserver as _};
use unstale_server::flags::{
    Asking,
    ofrep::{self, EvaluationRequest},
};

use super::prelude::*;
use crate::coherence::tags;

/// The routes of the protocol. It has a specification of its own, so the platform's document does not repeat it.
pub(crate) fn routes() -> Router<Platform> {
    Router::new()
        .route("/ofrep/v1/evaluate/flags", post(evaluate_all))
        .route("/ofrep/v1/evaluate/flags/{key}", post(evaluate_one))
}

async fn evaluate_all(
    State(platform): State<Platform>,
    caller: Caller,
    Extension(identity): Extension<Identity>,
    headers: HeaderMap,
    Json(request): Json<EvaluationRequest>,
) -> Response {
    let snapshot = platform.flags.current();
    // Before it is sent: a change from here on is told to the session's socket.
    let partition = platform.cache.frontier(caller.tenant()).partition;
    if let Some(position) = snapshot.read_since().in_partition(partition) {
        platform.live.served(&identity, &[tags::flags().id()], position);
    }
    let user = caller.id().to_string();
    let asking = Asking { user: Some(&user), endpoint: request.context.endpoint.as_deref() };
    ofrep::answer_all(&snapshot, &asking, &headers).into_response()
}

async fn evaluate_one(
    State(platform): State<Platform>,
    caller: Caller,
    RawPath(key): RawPath<String>,
    Json(request): Json<EvaluationRequest>,
) -> Response {
    let user = caller.id().to_string();
    let asking = Asking { user: Some(&user), endpoint: request.context.endpoint.as_deref() };
    ofrep::answer_one(&platform.flags.current(), &key, &asking)
}
