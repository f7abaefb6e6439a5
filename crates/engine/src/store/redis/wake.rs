//! The wake-up: a task that hears of every append and notes which partition it was in.
//!
//! Each partition has a channel of its own, in its slot (sharded pub/sub): in a cluster a message goes to the one
//! server that owns the partition and to nobody else.
//!
//! Only speed depends on it. Messages may be lost or come twice: who follows the log also asks at intervals, and reads
//! from where it stands.

use std::{collections::HashMap, sync::Arc, time::Duration};

use rand::RngExt as _;
use redis::{Msg, PushInfo, PushKind, RedisError, RedisResult};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use super::{address::Address, names::Names, server::Server, topology::Topology, trouble};
use crate::{position::Partition, store::Moves};

/// Silence after which the connection is tried: half of what a dead one may go unnoticed.
const PING_EVERY: Duration = Duration::from_secs(5);
/// The longest wait between two attempts to connect; the shortest is a hundredth of it.
const RECONNECT_WAIT_MAX: Duration = Duration::from_secs(2);
/// The same after a refusal: somebody has to change something first.
const REFUSED_WAIT_MAX: Duration = Duration::from_secs(30);

/// Notes the partition of every message, and all of them whenever a server is connected to again: something may have
/// been missed.
pub(super) async fn listen(topology: Arc<Topology>, names: Arc<Names>, moves: Arc<Moves>, patience: Duration) {
    let mut changed = topology.changed();
    loop {
        changed.mark_unchanged();
        let mut channels: HashMap<Address, (Arc<Server>, Vec<String>)> = HashMap::new();
        for (owner, names) in topology.owners().iter().zip(names.all()) {
            let Some(owner) = owner else { continue };
            let of_owner = channels.entry(owner.address.clone()).or_insert_with(|| (owner.clone(), Vec::new()));
            of_owner.1.push(names.channel.clone());
        }
        // Dropped, and with it every listener, when an owner changes.
        let mut listeners = JoinSet::new();
        for (server, channels) in channels.into_values() {
            listeners.spawn(listen_to(topology.clone(), server, channels, moves.clone(), patience));
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

async fn listen_to(
    topology: Arc<Topology>,
    server: Arc<Server>,
    channels: Vec<String>,
    moves: Arc<Moves>,
    patience: Duration,
) {
    let mut wait_max = RECONNECT_WAIT_MAX / 100;
    loop {
        let mut longest = RECONNECT_WAIT_MAX;
        if let Err(error) = listen_once(&server, &channels, &moves, patience, &mut wait_max).await {
            tracing::debug!(%error, server = %server.address, "wake-ups of the cache's log are interrupted");
            if trouble::is_refusal(&error) {
                longest = REFUSED_WAIT_MAX;
            }
        }
        topology.doubt();
        // Jitter, so that a fleet does not come back in one wave.
        let wait = rand::rng().random_range(wait_max / 2..=wait_max);
        tokio::time::sleep(wait).await;
        wait_max = (wait_max * 2).min(longest);
    }
}

async fn listen_once(
    server: &Server,
    channels: &[String],
    moves: &Arc<Moves>,
    patience: Duration,
    wait_max: &mut Duration,
) -> RedisResult<()> {
    let (over, mut is_over) = watch::channel(false);
    let noted = moves.clone();
    let pushed = move |push: PushInfo| {
        match push.kind {
            PushKind::SMessage => note(&noted, push),
            // The server has given a slot away, or is gone.
            PushKind::SUnsubscribe | PushKind::Disconnection => {
                over.send_replace(true);
            }
            _ => {}
        }
        Ok(())
    };
    let mut connection = in_time(patience, server.access().connect(&server.address, pushed)).await?;
    for channel in channels {
        let mut subscribe = redis::cmd("SSUBSCRIBE");
        subscribe.arg(channel);
        in_time(patience, connection.send_packed_command(&subscribe)).await?.extract_error()?;
    }
    *wait_max = RECONNECT_WAIT_MAX / 100;
    moves.note_all();
    loop {
        if timeout(PING_EVERY, is_over.changed()).await.is_ok() {
            return Ok(());
        }
        in_time(patience, connection.send_packed_command(&redis::cmd("PING"))).await?.extract_error()?;
    }
}

async fn in_time<T>(patience: Duration, operation: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let late = || RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
    timeout(patience, operation).await.unwrap_or_else(|_elapsed| Err(late()))
}

/// The message says the partition's number.
fn note(moves: &Moves, push: PushInfo) {
    let said = Msg::from_push_info(push).and_then(|message| message.get_payload::<String>().ok());
    match said.and_then(|text| text.parse().ok()) {
        Some(number) => moves.note(Partition(number)),
        None => moves.note_all(),
    }
}
