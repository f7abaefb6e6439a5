//! The store of record on a Redis 7 server: nodes that share it are one cache.
//!
//! # What stands in Redis
//!
//! Every key of partition 3 holds the hash tag `{namespace:3}`, so that all scripts work in one slot.
//!
//! | key | type | what |
//! |---|---|---|
//! | `{ns:3}:state` | sorted set | epoch, sequence, floor and clocks: lost together |
//! | `{ns:3}:log` | list | the newest records; see `docs/adr/0007-redis-log.md` |
//! | `{ns:3}:<version>:<key>` | string | one entry; expires when it is dead |
//!
//! The cache version stands in entries' names only: nodes of two versions invalidate each other's entries.
//!
//! # What losing a key does
//!
//! - *state*: the next script begins a new epoch and drops the log.
//! - *log*: readers that are behind are told `Trimmed`, because a page must begin where they stand.
//! - *an entry*: a miss.
//! - *everything, or the newest part of it* (a restart from a snapshot): a new epoch; see [`scripts`].
//!
//! # What it does not do
//!
//! Cluster, Sentinel and TLS; a breaker; repeating an operation that may have happened.

mod entry;
mod log;
mod scripts;
mod wake;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};
use redis::{
    Client, Cmd, IntoConnectionInfo as _, RedisResult, Value,
    aio::{ConnectionManager, ConnectionManagerConfig},
    io::tcp::TcpSettings,
};
use tokio::{sync::watch, task::AbortHandle};

use self::scripts::{Script, Scripts};
use super::{Filled, LocalHeads, LogPage, Store, StoreError, StoredEntry};
use crate::{
    key::{CacheVersion, RawKey},
    position::{Epoch, Partition, PartitionCount, Position, Sequence},
    tag::TagId,
};

/// Where the server is, and whose state it holds.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://[user:password@]host[:port][/database]`.
    pub url: String,
    /// Keeps applications on one server apart: 1 to 32 letters, digits, `-`, `_` or `.`. Nodes of one namespace are
    /// one cache.
    pub namespace: String,
    /// The generation of entries.
    pub version: CacheVersion,
    /// The limits.
    pub limits: RedisLimits,
}

/// How much a [`RedisStore`] may hold, and how long it may wait.
#[derive(Clone, Copy, Debug)]
pub struct RedisLimits {
    /// Partitions of the log; the same on all nodes of a namespace.
    pub partitions: PartitionCount,
    /// Records kept per partition; a node further behind flushes its view.
    pub log_records_max: usize,
    /// Clocks kept per partition, about 120 bytes each; beyond it the oldest are pruned and the floor rises.
    pub clocks_max: usize,
    /// Bytes of one entry; larger ones are not stored.
    pub entry_bytes_max: usize,
    /// Longest time that an entry is stored, whatever its policy says: nothing stays in Redis for ever.
    pub entry_lifetime_max: Duration,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for an operation, connecting included.
    pub operation_timeout: Duration,
}

impl Default for RedisLimits {
    fn default() -> Self {
        Self {
            partitions: PartitionCount::DEFAULT,
            log_records_max: 4096,
            clocks_max: 16_384,
            entry_bytes_max: 8 << 20,
            entry_lifetime_max: Duration::from_secs(30 * 24 * 3600),
            connect_timeout: Duration::from_millis(500),
            operation_timeout: Duration::from_secs(1),
        }
    }
}

/// Settings that no server can be reached with.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InvalidRedisSettings {
    /// The URL.
    #[error(
        "the URL of Redis cannot be used ({0}); write it as redis://host:6379, with user:password@ before the host"
    )]
    Url(String),
    /// The namespace.
    #[error("{0:?} is not a namespace: use 1 to 32 letters, digits, '-', '_' or '.'")]
    Namespace(String),
    /// A limit of zero.
    #[error("{0} is zero; leave it out for its default")]
    Zero(&'static str),
}

/// The log, the clocks and the entries on a Redis server. Connects when it is first used, and again when the
/// connection is lost.
pub struct RedisStore {
    client: Client,
    connection: ConnectionManager,
    scripts: Scripts,
    limits: RedisLimits,
    version: CacheVersion,
    partitions: Box<[PartitionKeys]>,
    channel: String,
    malformed_entries: AtomicU64,
    moved: Arc<watch::Sender<u64>>,
    listener: AbortHandle,
}

/// The names of a partition's keys.
struct PartitionKeys {
    prefix: String,
    state: String,
    log: String,
}

impl RedisStore {
    /// A store on the server of `settings`, which need not be reachable yet. Spawns the task that listens for
    /// wake-ups, so it must be called within a Tokio runtime; the task ends with the store.
    pub fn new(settings: RedisSettings) -> Result<Self, InvalidRedisSettings> {
        let RedisSettings { url, namespace, version, limits } = settings;
        // The same words as a version's, so that no namespace can leave its braces.
        CacheVersion::new(&namespace).map_err(|_| InvalidRedisSettings::Namespace(namespace.clone()))?;
        for (value, name) in [(limits.log_records_max, "log_records_max"), (limits.clocks_max, "clocks_max")] {
            if value == 0 {
                return Err(InvalidRedisSettings::Zero(name));
            }
        }
        let invalid = |error: redis::RedisError| InvalidRedisSettings::Url(error.to_string());
        // What was sent and is not acknowledged for so long was sent to nobody: without it, a connection whose other
        // end vanished would be kept for a quarter of an hour. Nagle's algorithm stays on: it gathers the small
        // commands of many tasks; a fifth of the throughput is lost without it.
        let tcp = TcpSettings::default();
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(limits.operation_timeout * 2);
        let info = url.into_connection_info().map_err(invalid)?.set_tcp_settings(tcp);
        let client = Client::open(info).map_err(invalid)?;
        // One attempt at a time and none in the background: while the server is away, an operation costs one refused
        // connection and not a wait.
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(limits.connect_timeout))
            .set_response_timeout(None);
        let connection = ConnectionManager::new_lazy_with_config(client.clone(), config).map_err(invalid)?;
        let moved = Arc::new(watch::channel(0).0);
        let channel = format!("{namespace}:moved");
        let listening = wake::listen(client.clone(), channel.clone(), moved.clone(), limits.operation_timeout);
        let listener = tokio::spawn(listening).abort_handle();
        let partitions = limits.partitions.all().map(|partition| {
            let prefix = format!("{{{namespace}:{}}}", partition.index());
            PartitionKeys { state: format!("{prefix}:state"), log: format!("{prefix}:log"), prefix }
        });
        Ok(Self {
            client,
            connection,
            scripts: Scripts::new(limits.partitions.all().len()),
            limits,
            version,
            partitions: partitions.collect(),
            channel,
            malformed_entries: AtomicU64::new(0),
            moved,
            listener,
        })
    }

    /// How often a key of the cache held something that is no entry of this format: another release wrote it, or
    /// another program.
    pub fn malformed_entries(&self) -> u64 {
        self.malformed_entries.load(Relaxed)
    }

    fn keys(&self, partition: Partition) -> &PartitionKeys {
        &self.partitions[partition.index()]
    }

    fn partition_of(&self, key: &RawKey) -> Partition {
        self.limits.partitions.of(key.tenant())
    }

    fn entry_key(&self, key: &RawKey) -> String {
        let prefix = &self.keys(self.partition_of(key)).prefix;
        [prefix, ":", self.version.as_str(), ":", key.as_str()].concat()
    }

    /// Waits for an operation as long as the limits allow.
    async fn in_time<T>(&self, operation: impl Future<Output = RedisResult<T>>) -> Result<T, StoreError> {
        match tokio::time::timeout(self.limits.operation_timeout, operation).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(StoreError::Unavailable(error.to_string())),
            Err(_elapsed) => {
                Err(StoreError::Unavailable(format!("no answer within {:?}", self.limits.operation_timeout)))
            }
        }
    }

    async fn run(&self, script: Script, keys: &[&str], arguments: impl Fn(&mut Cmd)) -> Result<Value, StoreError> {
        self.in_time(self.scripts.run(&self.connection, script, keys, arguments)).await
    }

    /// The head and what follows `after`, if that is a position.
    async fn read(
        &self,
        partition: Partition,
        after: Option<Position>,
        records_max: usize,
    ) -> Result<(Position, Vec<Value>), StoreError> {
        let PartitionKeys { state, log, .. } = self.keys(partition);
        let keys = [&state[..], log];
        let fresh = new_epoch();
        let answer = self.run(Script::Read, &keys, |command| {
            command.arg(fresh.0);
            match after {
                Some(after) => command.arg(after.epoch.0).arg(after.sequence.0),
                None => command.arg(-1).arg(-1),
            };
            command.arg(records_max);
        });
        head_and_rest(partition, answer.await?)
    }

    async fn append_record(&self, partition: Partition, tags: &[TagId], note: &[u8]) -> Result<Position, StoreError> {
        let PartitionKeys { state, log, .. } = self.keys(partition);
        let keys = [&state[..], log];
        let fresh = new_epoch();
        let record = log::encode(tags, note)
            .ok_or_else(|| StoreError::Unavailable(format!("{} tags are too many for a record", tags.len())))?;
        let answer = self.run(Script::Append, &keys, |command| {
            command.arg(fresh.0);
            command.arg(self.limits.clocks_max).arg(self.limits.log_records_max);
            command.arg(&self.channel).arg(partition.index()).arg(&record[..]);
            tags.iter().for_each(|tag| tag_argument(command, *tag));
        });
        let (position, _) = head_and_rest(partition, answer.await?)?;
        // Watchers on this node need not wait for the message to come back.
        self.moved.send_modify(|count| *count = count.wrapping_add(1));
        Ok(position)
    }

    async fn fill_entry(&self, key: &RawKey, entry: &StoredEntry) -> Result<Filled, StoreError> {
        let too_large = entry.value.as_ref().is_some_and(|value| value.len() > self.limits.entry_bytes_max);
        // The tags' clocks are those of the key's partition: an entry of another one cannot be judged here.
        let elsewhere = entry.base.partition != self.partition_of(key);
        let Some(encoded) = entry::encode(entry).filter(|_| !too_large && !elsewhere) else {
            return Ok(Filled::NotKept);
        };
        // Relative, so that neither this node's clock nor the server's has to be right.
        let lifetime = entry.dead_at.since(entry.loaded_at).min(self.limits.entry_lifetime_max);
        let lifetime_ms = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX).max(1);
        let keys = [&self.keys(entry.base.partition).state, &self.entry_key(key)[..]];
        let answer = self.run(Script::Fill, &keys, |command| {
            command.arg(entry.base.epoch.0);
            command.arg(entry.base.sequence.0).arg(lifetime_ms).arg(&encoded[..]);
            entry.tags.iter().for_each(|tag| tag_argument(command, *tag));
        });
        match answer.await? {
            Value::Int(0) => Ok(Filled::Stored),
            Value::Int(1) => Ok(Filled::Overtaken),
            Value::Int(2) => Ok(Filled::NewerStored),
            other => Err(unexpected(&other)),
        }
    }

    async fn get_one(&self, key: &RawKey) -> Result<Option<StoredEntry>, StoreError> {
        let mut command = redis::cmd("GET");
        command.arg(self.entry_key(key));
        let mut connection = self.connection.clone();
        let asked = async {
            match connection.send_packed_command(&command).await?.extract_error() {
                // Not a string: somebody else's. `MGET` says `nil` of such a key.
                Err(error) if error.code() == Some("WRONGTYPE") => Ok(Value::Okay),
                answer => answer,
            }
        };
        let found = self.in_time(asked).await?;
        Ok(self.entry(self.partition_of(key), found))
    }

    /// One `MGET` for each partition concerned, all in one pipeline.
    async fn get_many(&self, keys: &[RawKey]) -> Result<Vec<Option<StoredEntry>>, StoreError> {
        let mut places: Vec<(Partition, usize)> =
            keys.iter().enumerate().map(|(at, key)| (self.partition_of(key), at)).collect();
        places.sort_unstable();
        let groups: Vec<&[(Partition, usize)]> = places.chunk_by(|one, other| one.0 == other.0).collect();
        let mut pipeline = redis::pipe();
        for group in &groups {
            let command = pipeline.cmd("MGET");
            group.iter().for_each(|(_, at)| {
                command.arg(self.entry_key(&keys[*at]));
            });
        }
        let mut connection = self.connection.clone();
        let sent = async { connection.send_packed_commands(&pipeline, 0, groups.len()).await };
        let answers = self.in_time(sent).await?;
        let mut found = vec![None; keys.len()];
        for (group, answer) in groups.iter().zip(answers) {
            let answer = answer.extract_error().map_err(|error| StoreError::Unavailable(error.to_string()))?;
            let Value::Array(values) = answer else { return Err(unexpected(&answer)) };
            for ((partition, at), value) in group.iter().zip(values) {
                found[*at] = self.entry(*partition, value);
            }
        }
        Ok(found)
    }

    /// The entry of an answer; what is no entry is absent, and counted.
    fn entry(&self, partition: Partition, found: Value) -> Option<StoredEntry> {
        let decoded = match found {
            Value::Nil => return None,
            Value::BulkString(bytes) => entry::decode(partition, bytes.into()),
            _ => None,
        };
        if decoded.is_none() && self.malformed_entries.fetch_add(1, Relaxed) == 0 {
            tracing::warn!(
                "a key of the cache holds no entry of this format; it is taken for absent, and so are others"
            );
        }
        decoded
    }
}

impl Store for RedisStore {
    fn partitions(&self) -> PartitionCount {
        self.limits.partitions
    }

    fn local_heads(&self) -> Option<Arc<LocalHeads>> {
        None
    }

    fn head(&self, partition: Partition) -> BoxFuture<'_, Result<Position, StoreError>> {
        async move { Ok(self.read(partition, None, 0).await?.0) }.boxed()
    }

    fn append(
        &self,
        partition: Partition,
        tags: Vec<TagId>,
        note: Bytes,
    ) -> BoxFuture<'_, Result<Position, StoreError>> {
        async move { self.append_record(partition, &tags, &note).await }.boxed()
    }

    fn read_log(&self, after: Position, records_max: usize) -> BoxFuture<'_, Result<LogPage, StoreError>> {
        async move {
            // A page of nothing could not be told from a log that was lost.
            let (head, records) = self.read(after.partition, Some(after), records_max.max(1)).await?;
            let records = records.into_iter().map(|record| match record {
                Value::BulkString(bytes) => Bytes::from(bytes),
                _ => Bytes::new(),
            });
            Ok(log::page(after, head, records))
        }
        .boxed()
    }

    fn moved(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    fn get<'a>(&'a self, keys: &'a [RawKey]) -> BoxFuture<'a, Result<Vec<Option<StoredEntry>>, StoreError>> {
        async move {
            match keys {
                [] => Ok(Vec::new()),
                [key] => Ok(vec![self.get_one(key).await?]),
                keys => self.get_many(keys).await,
            }
        }
        .boxed()
    }

    fn fill<'a>(&'a self, key: &'a RawKey, entry: StoredEntry) -> BoxFuture<'a, Result<Filled, StoreError>> {
        async move { self.fill_entry(key, &entry).await }.boxed()
    }

    fn remove<'a>(&'a self, key: &'a RawKey) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let mut command = redis::cmd("DEL");
            command.arg(self.entry_key(key));
            let mut connection = self.connection.clone();
            self.in_time(async { connection.send_packed_command(&command).await?.extract_error() }).await?;
            Ok(())
        }
        .boxed()
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of the URL only the address: the rest may be a password.
        let address = self.client.get_connection_info().addr();
        write!(f, "RedisStore({address}, {}, {:?})", self.partitions[0].prefix, self.limits)
    }
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, namespace, version, limits } = self;
        write!(f, "RedisSettings(namespace {namespace}, version {}, {limits:?})", version.as_str())
    }
}

/// A new epoch, as the scripts can hold it: numbers of Lua and scores are exact to 53 bits.
fn new_epoch() -> Epoch {
    Epoch(Epoch::random().0 >> 12)
}

/// A tag as it is called in the state: eight bytes, as no field is.
fn tag_argument(command: &mut Cmd, tag: TagId) {
    command.arg(&tag.0.to_be_bytes()[..]);
}

/// What scripts answer: the epoch, the sequence, and more.
fn head_and_rest(partition: Partition, answer: Value) -> Result<(Position, Vec<Value>), StoreError> {
    let Value::Array(mut values) = answer else { return Err(unexpected(&answer)) };
    let head = match values[..] {
        [Value::Int(epoch), Value::Int(sequence), ..] => u64::try_from(epoch).ok().zip(u64::try_from(sequence).ok()),
        _ => None,
    };
    let Some((epoch, sequence)) = head else { return Err(unexpected(&Value::Array(values))) };
    values.drain(..2);
    Ok((Position { partition, epoch: Epoch(epoch), sequence: Sequence(sequence) }, values))
}

fn unexpected(answer: &Value) -> StoreError {
    let mut text = format!("Redis answered {answer:?}");
    text.truncate(text.floor_char_boundary(200));
    StoreError::Unavailable(text)
}
