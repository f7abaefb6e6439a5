//! One socket: sends what waits in its outbox, listens for signs of life.

use std::{sync::Arc, time::Duration};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio::time::{Instant, MissedTickBehavior};

use super::{
    Shared,
    directory::Seat,
    message::PING,
    outbox::{Closing, Next, Outbox},
    session::Since,
    standing::Standing,
    subscription::Subscription,
};

/// Longest message of a client; it has nothing to say but pongs.
pub(super) const CLIENT_MESSAGE_BYTES_MAX: usize = 4096;
/// What is read at once. A socket that is silent holds it all the same; by default it would be 128 KiB.
pub(super) const READ_BUFFER_BYTES: usize = 512;
/// How long the client may take to answer a close.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Serves one socket until either side ends it.
pub(super) async fn run(shared: Arc<Shared>, socket: WebSocket, standing: Standing, seat: Seat, since: Since) {
    let heartbeat = shared.limits.heartbeat;
    let Some(subscription) = Subscription::open(shared, standing, seat, &since) else { return };
    let (sink, stream) = socket.split();
    tokio::select! {
        sent = send(sink, subscription.outbox(), heartbeat) => {
            if sent.is_ok() {
                subscription.closed();
            }
        }
        () = listen(stream, &subscription, heartbeat * 2) => {}
    }
}

/// Sends until the outbox says close (`Ok`) or the connection breaks (`Err`).
async fn send(
    mut sink: SplitSink<WebSocket, Message>,
    outbox: &Outbox,
    heartbeat: Duration,
) -> Result<(), axum::Error> {
    let mut beat = tokio::time::interval_at(Instant::now() + heartbeat, heartbeat);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            next = outbox.next() => match next {
                Next::Message(text) => sink.send(Message::Text(text)).await?,
                Next::Receipt(number) => sink.send(Message::Ping(number.to_be_bytes().to_vec().into())).await?,
                Next::Close(closing) => {
                    // A client that does not take even this is cut off.
                    let _ = tokio::time::timeout(CLOSE_LIMIT, close(&mut sink, closing)).await;
                    return Ok(());
                }
            },
            _ = beat.tick() => {
                sink.feed(Message::Text(Utf8Bytes::from_static(PING))).await?;
                sink.send(Message::Ping(Vec::new().into())).await?;
            }
        }
    }
}

async fn close(sink: &mut SplitSink<WebSocket, Message>, closing: Closing) -> Result<(), axum::Error> {
    let frame = CloseFrame { code: closing.code, reason: Utf8Bytes::from_static(closing.reason) };
    sink.send(Message::Close(Some(frame))).await
}

/// Listens until the client leaves or was silent for too long. What it says, but for pongs, is not looked at.
async fn listen(mut stream: SplitStream<WebSocket>, subscription: &Subscription, silence_max: Duration) {
    while let Ok(Some(Ok(message))) = tokio::time::timeout(silence_max, stream.next()).await {
        match message {
            Message::Pong(payload) => {
                if let Ok(number) = <[u8; 8]>::try_from(payload.as_ref()) {
                    subscription.received(u64::from_be_bytes(number));
                }
            }
            Message::Close(_) => return,
            Message::Text(_) | Message::Binary(_) | Message::Ping(_) => {}
        }
    }
}
