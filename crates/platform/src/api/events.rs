//! Live events over a WebSocket.

use axum::Extension;
use axum::{
    extract::{WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use unstale_http::Identity;
use unstale_server::live::{self, LiveRequest};

use super::prelude::*;
use crate::{auth::cookie, live::Live};

/// For whom to listen.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// The acting client; a WebSocket cannot send the header.
    pub client_account_id: Option<Uuid>,
    /// The position of the last message the caller has, if it was connected before.
    pub since: Option<String>,
}

/// Listen to what changes.
#[utoipa::path(get, path = "/events", tag = "events", params(EventsQuery),
    responses((status = 101, description = "A WebSocket of JSON messages: hello, cache_invalidation, resync, ping")))]
pub(crate) async fn events(
    State(platform): State<Platform>,
    caller: Caller,
    Extension(identity): Extension<Identity>,
    headers: HeaderMap,
    Query(query): Query<EventsQuery>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        return Problem::bad_request("This is a WebSocket. Connect to it as one.").into_response();
    };
    let credential = match cookie::Credential::of(&headers) {
        Some(cookie::Credential::Bearer(_)) => live::Credential::Bearer,
        _ => live::Credential::Cookie,
    };
    let facts = caller.standing(&identity);
    let read_since = identity.read_since().cloned().unwrap_or_default();
    let since = query.since.as_deref();
    let request = LiveRequest { headers: &headers, credential, facts: &facts, read_since: &read_since, since };
    platform.live.hub().upgrade(upgrade, Live::identity(&caller), request)
}
