//! The wake-up: a task that hears of every append, with the records if they are small.
//!
//! Each partition has a channel of its own, in its slot (sharded pub/sub): in a cluster a message goes to the one
//! server that owns the partition and to nobody else.
//!
//! Only speed depends on it. Messages may be lost, late or come twice, also from a server that was replaced: who
//! follows the log takes of what they tell only what comes next in its own epoch, asks at intervals, and reads from
//! where it stands.

use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};

use rand::RngExt as _;
use redis::{PushInfo, PushKind, RedisError, RedisResult, Value};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use super::{
    address::Address, log, names::Names, nodes, nodes::Neighbours, records::hear, seen::Seen, server::Server,
    topology::Topology, trouble,
};
use crate::{position::Partition, store::Moves};

/// Silence after which the connection is tried: half of what a dead one may go unnoticed.
const PING_EVERY: Duration = Duration::from_secs(5);
/// The longest wait between two attempts to connect; the shortest is a hundredth of it.
const RECONNECT_WAIT_MAX: Duration = Duration::from_secs(2);
/// The same after a refusal: somebody has to change something first.
const REFUSED_WAIT_MAX: Duration = Duration::from_secs(30);

/// Who is told of what is heard.
pub(super) struct Hearing {
    pub(super) names: Arc<Names>,
    pub(super) moves: Arc<Moves>,
    pub(super) seen: Arc<Seen>,
    pub(super) neighbours: Arc<Neighbours>,
}

/// The channels that one server owns, and whose they are.
type Channels = HashMap<String, Partition>;

/// Passes on every message, and notes all partitions whenever a server is connected to again: something may have been
/// missed. Does not end.
pub(super) async fn listen(topology: Arc<Topology>, hearing: Arc<Hearing>, patience: Duration) -> Infallible {
    let mut changed = topology.changed();
    loop {
        changed.mark_unchanged();
        let mut channels: HashMap<Address, (Arc<Server>, Channels)> = HashMap::new();
        for (owner, (partition, names)) in topology.owners().iter().zip(hearing.names.all()) {
            let Some(owner) = owner else { continue };
            let of_owner = channels.entry(owner.address.clone()).or_insert_with(|| (owner.clone(), Channels::new()));
            of_owner.1.insert(names.channel.clone(), partition);
        }
        // Dropped, and with it every listener, when an owner changes.
        let mut listeners = JoinSet::new();
        for (server, channels) in channels.into_values() {
            listeners.spawn(listen_to(topology.clone(), server, Arc::new(channels), hearing.clone(), patience));
        }
        changed.changed().await.expect("the topology that tells of changes is held here");
    }
}

async fn listen_to(
    topology: Arc<Topology>,
    server: Arc<Server>,
    channels: Arc<Channels>,
    hearing: Arc<Hearing>,
    patience: Duration,
) {
    let mut wait_max = RECONNECT_WAIT_MAX / 100;
    loop {
        let mut longest = RECONNECT_WAIT_MAX;
        if let Err(error) = listen_once(&server, &channels, &hearing, patience, &mut wait_max).await {
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
    channels: &Arc<Channels>,
    hearing: &Arc<Hearing>,
    patience: Duration,
    wait_max: &mut Duration,
) -> RedisResult<()> {
    let (over, mut is_over) = watch::channel(false);
    let (of_server, hearer) = (channels.clone(), hearing.clone());
    let pushed = move |push: PushInfo| {
        match push.kind {
            PushKind::SMessage => hearer.hear(&of_server, push),
            // The server has given a slot away, or is gone.
            PushKind::SUnsubscribe | PushKind::Disconnection => {
                over.send_replace(true);
            }
            _ => {}
        }
        Ok(())
    };
    let mut connection = in_time(patience, server.access().connect(&server.address, pushed)).await?;
    for channel in channels.keys() {
        let mut subscribe = redis::cmd("SSUBSCRIBE");
        subscribe.arg(channel);
        in_time(patience, connection.send_packed_command(&subscribe)).await?.extract_error()?;
    }
    if channels.contains_key(&hearing.names.of(nodes::PARTITION).channel) {
        let mut subscribe = redis::cmd("SSUBSCRIBE");
        subscribe.arg(hearing.names.asked());
        let subscribed = in_time(patience, connection.send_packed_command(&subscribe)).await?;
        if let Err(error) = subscribed.extract_error() {
            // A login without that right: then this node answers no questions, and is missed by who asks.
            tracing::warn!(%error, "this node cannot hear what other nodes ask");
        }
    }
    *wait_max = RECONNECT_WAIT_MAX / 100;
    hearing.moves.note_all();
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

impl Hearing {
    fn hear(&self, channels: &Channels, push: PushInfo) {
        let mut said = push.data.into_iter();
        let channel = match said.next() {
            Some(Value::BulkString(name)) => String::from_utf8(name).ok(),
            Some(Value::SimpleString(name)) => Some(name),
            _ => None,
        };
        if channel.as_deref() == Some(self.names.asked()) {
            if let Some(Value::BulkString(message)) = said.next() {
                self.neighbours.hear(message.into());
            }
            return;
        }
        let Some(partition) = channel.and_then(|name| channels.get(&name).copied()) else {
            return self.moves.note_all();
        };
        let records = match said.next() {
            Some(Value::BulkString(message)) => log::decode_message(partition, message.into()),
            _ => Vec::new(),
        };
        if records.is_empty() {
            self.moves.note(partition);
        }
        for record in records {
            hear(&self.moves, &self.seen, record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{position::PartitionCount, store::redis::seen::Seen};

    fn moved(data: Vec<Value>) -> Vec<usize> {
        let partitions = PartitionCount::new(4).unwrap();
        let names = Arc::new(Names::new("test", crate::CacheVersion::default(), partitions));
        let moves = Moves::new(partitions);
        let mut watcher = moves.watch();
        let hearing = Hearing { names, moves, seen: Arc::new(Seen::new(partitions)), neighbours: Arc::default() };
        let channels = Channels::from([("mine".to_owned(), Partition(2))]);
        hearing.hear(&channels, PushInfo { kind: PushKind::SMessage, data });
        watcher.take().into_iter().map(Partition::index).collect()
    }

    #[test]
    fn what_is_heard_of_a_channel_moves_its_partition_and_what_is_not_understood_moves_more_rather_than_less() {
        let text = |text: &str| Value::BulkString(text.into());
        assert_eq!(moved(vec![text("mine"), text("no record")]), [2]);
        assert_eq!(moved(vec![Value::SimpleString("mine".into()), Value::Nil]), [2], "a message of another form");
        assert_eq!(moved(vec![text("another's"), text("")]), [0, 1, 2, 3]);
        assert_eq!(moved(vec![Value::Int(7)]), [0, 1, 2, 3], "a name of another form");
        assert_eq!(moved(Vec::new()), [0, 1, 2, 3]);
    }
}
