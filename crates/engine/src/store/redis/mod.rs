//! The store of record on Redis 7 or Valkey: nodes that share it are one cache.
//!
//! # What stands in Redis
//!
//! Every key of partition 3 holds the hash tag `{namespace:3}`, so that all scripts work in one slot.
//! Nothing here is Redis's alone: Valkey knows every command.
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
//! - *the newest part, without a restart*: a new epoch, as soon as a node asks that has seen more; see [`seen`].
//!
//! # Where it stands
//!
//! On one server, on a primary that sentinels watch, or on a cluster; see [`address`] for how settings say which,
//! [`topology`] for who owns a partition, [`connection`] for how an operation finds its way, and
//! `docs/adr/0008-topologies.md` for what a failover can and cannot do.
//!
//! # What it does not do
//!
//! A breaker; repeating an operation that may have happened.

mod access;
mod address;
mod checks;
mod connection;
mod entries;
mod entry;
mod log;
mod look;
mod names;
mod records;
mod scripts;
mod seen;
mod server;
mod settings;
mod slots;
mod topology;
mod trouble;
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

use self::{access::Access, address::Target, connection::Connection, names::Names, scripts::Script, seen::Seen};
pub use self::{
    checks::{RedisFinding, Severity},
    settings::{InvalidRedisSettings, RedisLimits, RedisLogin, RedisSettings, RedisTls},
};
use super::{Filled, LocalHeads, LogPage, Moves, MovesWatcher, Store, StoreError, StoredEntry};
use crate::{
    key::{CacheVersion, RawKey},
    position::{Partition, PartitionCount, Position},
    tag::TagId,
};

/// The log, the clocks and the entries on Redis. Connects when it is first used, and again when a connection is lost
/// or another server takes over.
pub struct RedisStore {
    connection: Connection,
    limits: RedisLimits,
    names: Arc<Names>,
    malformed_entries: AtomicU64,
    seen: Seen,
    moves: Arc<Moves>,
    tasks: [AbortHandle; 2],
}

impl RedisStore {
    /// A store on the servers of `settings`, which need not be reachable yet. Spawns the tasks that listen for wake-ups
    /// and for changes of the topology, so it must be called within a Tokio runtime; they end with the store.
    pub fn new(settings: RedisSettings) -> Result<Self, InvalidRedisSettings> {
        let RedisSettings { url, tls, sentinel_login, namespace, version, limits } = settings;
        // The same words as a version's, so that no namespace can leave its braces.
        CacheVersion::new(&namespace).map_err(|_| InvalidRedisSettings::Namespace(namespace.clone()))?;
        for (value, name) in [(limits.log_records_max, "log_records_max"), (limits.clocks_max, "clocks_max")] {
            if value == 0 {
                return Err(InvalidRedisSettings::Zero(name));
            }
        }
        let target = Target::parse(&url).map_err(InvalidRedisSettings::Url)?;
        let access = Access::new(&target, &tls, &limits)?;
        let to_sentinels = access.to_sentinels(&sentinel_login);
        let names = Arc::new(Names::new(&namespace, version, limits.partitions));
        let connection = Connection::new(target, access, to_sentinels, &limits, &names);
        let moves = Moves::new(limits.partitions);
        let topology = connection.topology().clone();
        let listening = wake::listen(topology.clone(), names.clone(), moves.clone(), limits.operation_timeout);
        let keeping_up = async move { topology.keep_up().await };
        let tasks = [tokio::spawn(listening).abort_handle(), tokio::spawn(keeping_up).abort_handle()];
        let seen = Seen::new(limits.partitions);
        Ok(Self { connection, limits, names, malformed_entries: AtomicU64::new(0), seen, moves, tasks })
    }

    /// How often a key of the cache held something that is no entry of this format: another release wrote it, or
    /// another program.
    pub fn malformed_entries(&self) -> u64 {
        self.malformed_entries.load(Relaxed)
    }

    async fn run(
        &self,
        partition: Partition,
        script: Script,
        keys: &[&str],
        arguments: impl Fn(&mut Cmd) + Sync,
    ) -> Result<Value, StoreError> {
        self.connection.in_time(self.connection.run(partition, script, keys, &arguments)).await
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
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of the URL only the addresses: the rest may be a password.
        let target = self.connection.topology().target();
        write!(f, "RedisStore({target}, {}, {:?})", self.names.example(), self.limits)
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
