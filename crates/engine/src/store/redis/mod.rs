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
//! | `{ns:3}:lease/<version>:<key>` | string | who may fill it; expires soon |
//! | `{ns:0}:nodes` | sorted set | who answers questions, and when each was heard of last; see [`nodes`] |
//! | `{ns:0}:answers/<question>` | list | what was answered, sealed; expires soon |
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
//! - *the newest part, without a restart*: a new epoch, as soon as a node asks that has seen more; see [`seen`].
//!
//! # Where it stands
//!
//! On one server, on a primary that sentinels watch, or on a cluster; see [`address`] for how settings say which,
//! [`topology`] for who owns a partition, [`connection`] for how an operation finds its way, and
//! `docs/adr/0008-topologies.md` for what a failover can and cannot do.
//!
//! # What goes together
//!
//! Under load, appends and fills of a partition go in groups; see [`gather`] and `docs/adr/0009-group-commit-and-values.md`.
//! Each caller has its own answer, and none waits while the line is free.
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
mod gather;
mod leases;
mod log;
mod look;
mod meters;
mod names;
mod nodes;
mod records;
mod scripts;
mod seen;
mod server;
mod settings;
mod slots;
mod tagged;
mod topology;
mod trouble;
mod usage;
mod wake;
mod walk;

use std::{
    fmt,
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use bytes::Bytes;
use futures_util::future::{self, BoxFuture, FutureExt as _};
use redis::{Cmd, FromRedisValue, RedisResult, Value};
use tokio::{task::AbortHandle, time::Instant};

use self::{
    access::Access, address::Target, connection::Connection, entries::Fill, gather::Gather, meters::Meters,
    names::Names, nodes::Neighbours, records::Append, scripts::Script, seen::Seen, settings::GROUP_ITEMS_LIMIT,
    wake::Hearing,
};
pub use self::{
    checks::{RedisFinding, Severity},
    meters::{GroupStats, LATENCY_BOUNDS, LatencyStats, OperationStats, RedisStats},
    settings::{InvalidRedisSettings, RedisLimits, RedisLogin, RedisSettings, RedisTls},
    usage::{TenantUsage, Usage},
};
use super::{
    AfterLease, Filled, LeaseRequest, LeaseToken, Leased, LocalHeads, LogPage, Moves, MovesWatcher, Nodes, Store,
    StoreError, StoredEntry, TaggedKeys,
};
use crate::{
    key::{CacheVersion, RawKey},
    position::{Partition, PartitionCount, Position},
    tag::TagId,
};

/// The log, the clocks and the entries on Redis. Connects when it is first used, and again when a connection is lost
/// or another server takes over.
pub struct RedisStore {
    shared: Arc<Shared>,
    /// By partition.
    appends: Box<[Arc<Gather<Append, Position>>]>,
    /// By partition.
    fills: Box<[Arc<Gather<Fill, Filled>>]>,
    tasks: [AbortHandle; 2],
}

/// What calls need that may outlive their callers.
struct Shared {
    connection: Connection,
    limits: RedisLimits,
    names: Arc<Names>,
    meters: Meters,
    seen: Arc<Seen>,
    moves: Arc<Moves>,
    neighbours: Arc<Neighbours>,
}

impl RedisStore {
    /// A store on the servers of `settings`, which need not be reachable yet. Spawns the tasks that listen for wake-ups
    /// and for changes of the topology, so it must be called within a Tokio runtime; they end with the store.
    pub fn new(settings: RedisSettings) -> Result<Self, InvalidRedisSettings> {
        let RedisSettings { url, tls, sentinel_login, namespace, version, limits } = settings;
        // The same words as a version's, so that no namespace can leave its braces.
        CacheVersion::new(&namespace).map_err(|_| InvalidRedisSettings::Namespace(namespace.clone()))?;
        let counts = [
            (limits.log_records_max, "log_records_max"),
            (limits.clocks_max, "clocks_max"),
            (limits.group_items_max, "group_items_max"),
            (limits.group_calls_max, "group_calls_max"),
        ];
        for (value, name) in counts {
            if value == 0 {
                return Err(InvalidRedisSettings::Zero(name));
            }
        }
        let (value, max) = (limits.group_items_max, GROUP_ITEMS_LIMIT);
        if value > max {
            return Err(InvalidRedisSettings::TooLarge { name: "group_items_max", value, max });
        }
        let target = Target::parse(&url).map_err(InvalidRedisSettings::Url)?;
        let access = Access::new(&target, &tls, &limits)?;
        let to_sentinels = access.to_sentinels(&sentinel_login);
        let names = Arc::new(Names::new(&namespace, version, limits.partitions));
        let connection = Connection::new(target, access, to_sentinels, &limits, &names);
        let moves = Moves::new(limits.partitions);
        let topology = connection.topology().clone();
        let seen = Arc::new(Seen::new(limits.partitions));
        let neighbours = Arc::<Neighbours>::default();
        let hearing =
            Hearing { names: names.clone(), moves: moves.clone(), seen: seen.clone(), neighbours: neighbours.clone() };
        let listening = wake::listen(topology.clone(), Arc::new(hearing), limits.operation_timeout);
        let keeping_up = async move { topology.keep_up().await };
        let tasks = [tokio::spawn(listening).abort_handle(), tokio::spawn(keeping_up).abort_handle()];
        let groups = limits.groups();
        let appends = limits.partitions.all().map(|_| Gather::new(groups)).collect();
        let fills = limits.partitions.all().map(|_| Gather::new(groups)).collect();
        let shared = Arc::new(Shared { connection, limits, names, meters: Meters::default(), seen, moves, neighbours });
        Ok(Self { shared, appends, fills, tasks })
    }

    /// Whether its partitions are on several primaries, of which one may be away alone.
    pub fn is_cluster(&self) -> bool {
        self.shared.connection.topology().is_cluster()
    }

    /// What was done so far, and how it went.
    pub fn stats(&self) -> RedisStats {
        self.shared.meters.stats()
    }

    /// How often a key of the cache held something that is no entry of this format: another release wrote it, or
    /// another program.
    pub fn malformed_entries(&self) -> u64 {
        self.stats().malformed
    }
}

impl Shared {
    /// Waits for an operation until `deadline`.
    async fn until<T>(
        &self,
        deadline: Instant,
        operation: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, StoreError> {
        let answer = self.connection.until(deadline, operation).await;
        if answer.is_err() && Instant::now() >= deadline {
            self.meters.timed_out.fetch_add(1, Relaxed);
        }
        answer
    }

    /// Waits for the answer to one command for as long as an operation may take, and reads it.
    async fn answered<T: FromRedisValue>(
        &self,
        asked: impl Future<Output = RedisResult<Value>>,
    ) -> Result<T, StoreError> {
        let answer = self.until(self.deadline(), pin!(asked)).await?;
        redis::from_redis_value(answer).map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    async fn run(
        &self,
        deadline: Instant,
        partition: Partition,
        script: Script,
        keys: &[&str],
        arguments: impl Fn(&mut Cmd) + Sync,
    ) -> Result<Value, StoreError> {
        self.until(deadline, pin!(self.connection.run(partition, script, keys, &arguments))).await
    }

    /// When an operation that begins now must have ended.
    fn deadline(&self) -> Instant {
        Instant::now() + self.limits.operation_timeout
    }
}

impl Store for RedisStore {
    fn partitions(&self) -> PartitionCount {
        self.shared.limits.partitions
    }

    fn local_heads(&self) -> Option<Arc<LocalHeads>> {
        None
    }

    fn head(&self, partition: Partition) -> BoxFuture<'_, Result<Position, StoreError>> {
        async move { Ok(self.shared.meters.log.time(pin!(self.shared.read(partition, None, 0))).await?.0) }.boxed()
    }

    fn append(
        &self,
        partition: Partition,
        tags: Vec<TagId>,
        note: Bytes,
    ) -> BoxFuture<'_, Result<Position, StoreError>> {
        async move { self.shared.meters.append.time(pin!(self.append_record(partition, tags, note))).await }.boxed()
    }

    fn read_log(&self, after: Position, records_max: usize) -> BoxFuture<'_, Result<LogPage, StoreError>> {
        async move { self.shared.meters.log.time(pin!(self.shared.read_page(after, records_max))).await }.boxed()
    }

    fn start_anew(&self, partition: Partition) -> BoxFuture<'_, Result<Position, StoreError>> {
        self.shared.drop_state(partition).boxed()
    }

    fn moves(&self) -> MovesWatcher {
        self.shared.moves.watch()
    }

    fn get<'a>(&'a self, keys: &'a [RawKey]) -> BoxFuture<'a, Result<Vec<Option<StoredEntry>>, StoreError>> {
        let shared = &*self.shared;
        // Futures are pinned where they stand: passed on by value, each layer would have room for a copy, and 10 KB were
        // allocated for a read.
        match keys {
            [] => future::ready(Ok(Vec::new())).boxed(),
            [key] => async move {
                let found = shared.meters.get.time(pin!(shared.get_one(key))).await?;
                shared.meters.count_found(&[found.is_some()]);
                Ok(vec![found])
            }
            .boxed(),
            keys => async move {
                let found = shared.meters.get.time(pin!(shared.get_many(keys))).await?;
                shared.meters.count_found(&found.iter().map(Option::is_some).collect::<Vec<_>>());
                Ok(found)
            }
            .boxed(),
        }
    }

    fn fill<'a>(&'a self, key: &'a RawKey, entry: StoredEntry) -> BoxFuture<'a, Result<Filled, StoreError>> {
        async move { self.shared.meters.fill.time(pin!(self.fill_entry(key, entry))).await }.boxed()
    }

    fn remove<'a>(&'a self, key: &'a RawKey) -> BoxFuture<'a, Result<(), StoreError>> {
        async move { self.shared.meters.remove.time(pin!(self.shared.remove_entry(key))).await }.boxed()
    }

    fn shares_entries(&self) -> bool {
        true
    }

    fn keys_tagged(&self, tag: TagId, looks_max: usize) -> BoxFuture<'_, Result<TaggedKeys, StoreError>> {
        self.shared.keys_tagged(tag, looks_max).boxed()
    }

    fn nodes(&self) -> Option<&dyn Nodes> {
        Some(self)
    }

    fn lease<'a>(&'a self, key: &'a RawKey, request: &'a LeaseRequest) -> BoxFuture<'a, Result<Leased, StoreError>> {
        self.ask_lease(key, request).boxed()
    }

    fn lease_many<'a>(
        &'a self,
        requests: &'a [(RawKey, LeaseRequest)],
    ) -> BoxFuture<'a, Result<Vec<Leased>, StoreError>> {
        self.ask_leases(requests).boxed()
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
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of the URL only the addresses: the rest may be a password.
        let target = self.shared.connection.topology().target();
        write!(f, "RedisStore({target}, {}, {:?})", self.shared.names.example(), self.shared.limits)
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
#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tenant;

    crate::catalogue! {
        /// Of these tests.
        const PATTERNS;
        /// A page.
        fn page(name) -> u8 = "page";
    }

    /// Futures nested by value grow by themselves with each layer: this one was 10 KB, allocated for every read.
    #[tokio::test]
    async fn the_future_of_a_read_is_small() {
        assert_eq!(PATTERNS.len(), 1);
        let keys = [page(&Tenant::new("acme").unwrap(), 1).raw().clone()];
        let store = RedisStore::new(RedisSettings::new("redis://localhost:1", "a")).unwrap();
        let bytes = size_of_val(&*store.get(&keys));
        assert!(bytes < 4_000, "{bytes} bytes");
    }

    #[test]
    fn an_answer_of_another_form_is_told_and_not_at_length() {
        let told = |text: String| unexpected(&Value::BulkString(text.into())).to_string();
        assert!(told("no".into()).contains("Redis answered"), "{}", told("no".into()));
        assert!(told("x".repeat(5_000)).len() < 300);
    }
}
