//! Live events: over a WebSocket, or as server-sent events.

use std::time::Duration;

use axum::Extension;
use axum::{
    extract::{WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use unstale::{PositionSet, Tag};
use unstale_http::Identity;
use unstale_server::live::{self, LiveRequest};

use super::prelude::*;
use crate::{auth::cookie, live::Live};

/// The position that a browser's own `EventSource` resumes from.
const LAST_EVENT_ID: &str = "last-event-id";

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
    let since = query.since.as_deref();
    let standing = Standing::of(&platform, &caller, &identity);
    platform.live.hub().upgrade(upgrade, Live::identity(&caller), standing.request(&headers, since))
}

/// Listen to what changes, without a WebSocket. A `Last-Event-ID` counts as `since`.
#[utoipa::path(get, path = "/events/stream", tag = "events", params(EventsQuery),
    responses((status = 200, description = "Server-sent events; the data of each is a JSON message as on the socket. An event \
        named close says code and reason, and ends it", content_type = "text/event-stream")))]
pub(crate) async fn event_stream(
    State(platform): State<Platform>,
    caller: Caller,
    Extension(identity): Extension<Identity>,
    headers: HeaderMap,
    Query(query): Query<EventsQuery>,
) -> Response {
    let resumed = || headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    let since = query.since.as_deref().or_else(resumed);
    let standing = Standing::of(&platform, &caller, &identity);
    platform.live.hub().stream(Live::identity(&caller), standing.request(&headers, since))
}

/// What a listener stands on.
struct Standing {
    facts: Vec<Tag>,
    read_since: PositionSet,
    lasts: Duration,
}

impl Standing {
    fn of(platform: &Platform, caller: &Caller, identity: &Identity) -> Self {
        let read_since = identity.read_since().cloned().unwrap_or_default();
        Self { facts: caller.standing(identity), read_since, lasts: caller.lasts(platform.now()) }
    }

    fn request<'a>(&'a self, headers: &'a HeaderMap, since: Option<&'a str>) -> LiveRequest<'a> {
        let credential = match cookie::Credential::of(headers) {
            Some(cookie::Credential::Bearer(_)) => live::Credential::Bearer,
            _ => live::Credential::Cookie,
        };
        let Self { facts, read_since, lasts } = self;
        LiveRequest { headers, credential, facts, read_since, lasts: Some(*lasts), since }
    }
}
