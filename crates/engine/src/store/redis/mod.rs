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
//! | `{ns:3}:lease/<version>:<key>` | string | who may fill it; expires soon |
//!
//! The cache version stands in entries' names only: nodes of two versions invalidate each other's entries.
//!
//! # What losing a key does
//!
//! - *state*: the next script begins a new epoch and drops the log.
//! - *log*: readers that are behind are told `Trimmed`, because a page must begin where they stand.
//! - *an entry*: a miss.
//! - *a lease*: one load more.
//! - *everything, or the newest part of it* (a restart from a snapshot): a new epoch; see [`scripts`].
//!
//! # What it does not do
//!
//! Cluster, Sentinel and TLS; a breaker; repeating an operation that may have happened.

mod connection;
mod entries;
mod entry;
mod leases;
mod log;
mod names;
mod records;
mod scripts;
mod settings;
mod wake;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};
use redis::{Cmd, Value};
use tokio::task::AbortHandle;

pub use self::settings::{InvalidRedisSettings, RedisLimits, RedisSettings};
use self::{
    connection::Connection,
    names::Names,
    scripts::{Script, Scripts},
};
use super::{
    AfterLease, Filled, LeaseRequest, LeaseToken, Leased, LocalHeads, LogPage, Moves, MovesWatcher, Store, StoreError,
    StoredEntry,
};
use crate::{
    key::{CacheVersion, RawKey},
    position::{Partition, PartitionCount, Position},
    tag::TagId,
};

/// The log, the clocks and the entries on a Redis server. Connects when it is first used, and again when the
/// connection is lost.
pub struct RedisStore {
    connection: Connection,
    scripts: Scripts,
    limits: RedisLimits,
    names: Names,
    malformed_entries: AtomicU64,
    moves: Arc<Moves>,
    listener: AbortHandle,
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
        let connection = Connection::new(&url, &limits)?;
        let names = Names::new(&namespace, version, limits.partitions);
        let moves = Moves::new(limits.partitions);
        let client = connection.client().clone();
        let listening = wake::listen(client, names.channel().to_owned(), moves.clone(), limits.operation_timeout);
        let listener = tokio::spawn(listening).abort_handle();
        let scripts = Scripts::new(limits.partitions.all().len());
        Ok(Self { connection, scripts, limits, names, malformed_entries: AtomicU64::new(0), moves, listener })
    }

    /// How often a key of the cache held something that is no entry of this format: another release wrote it, or
    /// another program.
    pub fn malformed_entries(&self) -> u64 {
        self.malformed_entries.load(Relaxed)
    }

    async fn run(&self, script: Script, keys: &[&str], arguments: impl Fn(&mut Cmd)) -> Result<Value, StoreError> {
        self.connection.in_time(self.scripts.run(self.connection.manager(), script, keys, arguments)).await
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
        self.read_page(after, records_max).boxed()
    }

    fn start_anew(&self, partition: Partition) -> BoxFuture<'_, Result<Position, StoreError>> {
        self.drop_state(partition).boxed()
    }

    fn moves(&self) -> MovesWatcher {
        self.moves.watch()
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
        self.remove_entry(key).boxed()
    }

    fn shares_entries(&self) -> bool {
        true
    }

    fn lease<'a>(&'a self, key: &'a RawKey, request: &'a LeaseRequest) -> BoxFuture<'a, Result<Leased, StoreError>> {
        self.ask_lease(key, request).boxed()
    }

    fn release<'a>(
        &'a self,
        key: &'a RawKey,
        owner: LeaseToken,
        after: AfterLease,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.release_lease(key, owner, after).boxed()
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
        let address = self.connection.client().get_connection_info().addr();
        write!(f, "RedisStore({address}, {}, {:?})", self.names.example(), self.limits)
    }
}

/// A tag as it is called in the state: eight bytes, as no field is.
fn tag_argument(command: &mut Cmd, tag: TagId) {
    command.arg(&tag.0.to_be_bytes()[..]);
}

fn unexpected(answer: &Value) -> StoreError {
    let mut text = format!("Redis answered {answer:?}");
    text.truncate(text.floor_char_boundary(200));
    StoreError::Unavailable(text)
}
