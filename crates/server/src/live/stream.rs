//! The same messages as server-sent events, for clients that have no WebSocket or sit behind what does not let one pass.
//!
//! Each message is one event; its `id` is the position to resume with, so that a browser's own `EventSource` resumes by
//! `Last-Event-ID`. A close is an event named `close` with the code and the reason of the socket's, after which the
//! answer ends. An event stream has no way back: nothing proves that a client received what was sent, so what came with
//! the hello and what was sent late is told again to a client that connects again. Nor does anything show that a client
//! is still there, so a stream lasts a while and no longer ([`LiveLimits::stream_lasts_max`](super::LiveLimits)).

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::response::{
    IntoResponse as _, Response,
    sse::{Event, Sse},
};
use futures_util::stream;
use http::{HeaderName, HeaderValue, header};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::{
    CLOSE_DONE, Shared,
    directory::Seat,
    message::PING,
    outbox::{Closing, Next},
    session::Since,
    standing::Standing,
    subscription::Subscription,
};

/// Keeps proxies from collecting events before they pass them on.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

const HAS_HAD_ITS_TIME: Closing = Closing { code: CLOSE_DONE, reason: "connect again, from the last position" };

/// Between three quarters of the longest and that: streams that began together, after a restart, are not to end so.
fn lasts(longest: Duration) -> Duration {
    longest.mul_f64(rand::random_range(0.75..=1.0))
}

/// The answer whose body is the events, until either side ends it. None before the hub runs.
pub(super) fn respond(shared: Arc<Shared>, standing: Standing, seat: Seat, since: &Since) -> Option<Response> {
    let heartbeat = shared.limits.heartbeat;
    let until = Instant::now() + lasts(shared.limits.stream_lasts_max);
    let subscription = Subscription::open(shared, standing, seat, since)?;
    let mut beat = tokio::time::interval_at(Instant::now() + heartbeat, heartbeat);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let events = stream::unfold(Some((subscription, beat)), move |state| async move {
        let (subscription, mut beat) = state?;
        let (event, is_last) = next(&subscription, &mut beat, until).await;
        Some((Ok::<_, Infallible>(event), (!is_last).then_some((subscription, beat))))
    });
    let mut response = Sse::new(events).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Some(response)
}

/// The next event, and whether it is the last one.
async fn next(subscription: &Subscription, beat: &mut Interval, until: Instant) -> (Event, bool) {
    loop {
        tokio::select! {
            next = subscription.outbox().next() => match next {
                Next::Message(text) => return (message(text.as_str()), false),
                // Nothing could answer it.
                Next::Receipt(_) => {}
                Next::Close(closing) => {
                    subscription.closed();
                    return (close(closing), true);
                }
            },
            _ = beat.tick() => return (Event::default().data(PING), false),
            () = tokio::time::sleep_until(until) => {
                subscription.closed();
                return (close(HAS_HAD_ITS_TIME), true);
            }
        }
    }
}

fn message(text: &str) -> Event {
    let event = Event::default().data(text);
    match position(text) {
        Some(position) => event.id(position),
        None => event,
    }
}

/// The token that a message carries; none if it is empty, which would make the browser forget the one it has.
fn position(text: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Carrying {
        position: Option<String>,
    }
    serde_json::from_str::<Carrying>(text).ok()?.position.filter(|position| !position.is_empty())
}

fn close(closing: Closing) -> Event {
    let said = serde_json::json!({ "code": closing.code, "reason": closing.reason });
    Event::default().event("close").data(said.to_string())
}
