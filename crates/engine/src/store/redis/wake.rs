//! The wake-up: a task that hears of every append and notes which partition it was in.
//!
//! Only speed depends on it. Messages may be lost or come twice: who follows the log also asks at intervals, and reads
//! from where it stands.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use rand::RngExt as _;
use redis::{Client, RedisError, RedisResult};
use tokio::time::timeout;

use crate::{position::Partition, store::Moves};

/// Silence after which the connection is tried: half of what a dead one may go unnoticed.
const PING_EVERY: Duration = Duration::from_secs(5);
/// The longest wait between two attempts to connect; the shortest is a hundredth of it.
const RECONNECT_WAIT_MAX: Duration = Duration::from_secs(2);

/// Notes the partition of every message of `channel`, and all of them whenever it is connected again: something may have
/// been missed.
pub(super) async fn listen(client: Client, channel: String, moves: Arc<Moves>, patience: Duration) {
    let mut wait_max = RECONNECT_WAIT_MAX / 100;
    loop {
        if let Err(error) = listen_once(&client, &channel, &moves, patience, &mut wait_max).await {
            tracing::debug!(%error, "wake-ups of the cache's log are interrupted");
        }
        // Jitter, so that a fleet does not come back in one wave.
        let wait = rand::rng().random_range(wait_max / 2..=wait_max);
        tokio::time::sleep(wait).await;
        wait_max = (wait_max * 2).min(RECONNECT_WAIT_MAX);
    }
}

async fn listen_once(
    client: &Client,
    channel: &str,
    moves: &Moves,
    patience: Duration,
    wait_max: &mut Duration,
) -> RedisResult<()> {
    let connection = in_time(patience, client.get_async_pubsub()).await?;
    let (mut sink, messages) = connection.split();
    in_time(patience, sink.subscribe(channel)).await?;
    *wait_max = RECONNECT_WAIT_MAX / 100;
    moves.note_all();
    let mut messages = pin!(messages);
    loop {
        match timeout(PING_EVERY, messages.next()).await {
            Ok(Some(message)) => match message.get_payload().ok().and_then(|text: String| text.parse().ok()) {
                Some(number) => moves.note(Partition(number)),
                None => moves.note_all(),
            },
            Ok(None) => return Ok(()),
            Err(_silence) => in_time(patience, sink.ping::<()>()).await?,
        }
    }
}

async fn in_time<T>(patience: Duration, operation: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let late = || RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
    timeout(patience, operation).await.unwrap_or_else(|_elapsed| Err(late()))
}
