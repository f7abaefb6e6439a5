//! The store of record: the invalidation log, and the entries shared between nodes (L2).
//!
//! One trait, because log, clocks and entries must be lost together: a store that forgets some of its clocks has to
//! say so by a new epoch. [`MemoryStore`] is the embedded default, `RedisStore` (feature `redis`) is shared by several
//! nodes, and one contract suite (`tests/it/store_contract.rs`) runs over both.

mod heads;
mod lease;
mod leases;
mod memory;
mod moves;
mod nodes;
#[cfg(feature = "redis")]
mod redis;

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _, try_join_all};

#[cfg(feature = "redis")]
pub use self::redis::{
    GroupStats, InvalidRedisSettings, LATENCY_BOUNDS, LatencyStats, OperationStats, RedisFinding, RedisLimits,
    RedisLogin, RedisSettings, RedisStats, RedisStore, RedisTls, Severity, TenantUsage, Usage,
};
pub use self::{
    heads::LocalHeads,
    lease::{AfterLease, Lease, LeaseRequest, LeaseToken, Leased},
    memory::{MemoryLimits, MemoryStore},
    moves::{Moves, MovesWatcher, Told},
    nodes::{ANSWER_BYTES_MAX, Answers, MissingNode, NodeId, Nodes, Question, QuestionId, Questions},
};
use crate::{
    codec::Fingerprint,
    entry::TagIds,
    key::RawKey,
    position::{Partition, PartitionCount, Position, Sequence},
    tag::TagId,
    time::Timestamp,
    verdict::MissReason,
};

/// Most tags in one record; a larger invalidation becomes several records.
pub const RECORD_TAGS_MAX: usize = 256;
/// Longest note of a record, in bytes.
pub const NOTE_BYTES_MAX: usize = 4096;

/// One invalidation as it stands in a partition's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub position: Position,
    /// What changed.
    pub tags: Vec<TagId>,
    /// What the writer says of it, opaque to the engine; live events are made of it.
    pub note: Bytes,
}

impl Record {
    /// Whether nothing that was loaded before it is to be served any more, in whatever mode: it is a purge
    /// ([`Invalidation::purging`](crate::Invalidation::purging)), or erases somebody.
    pub fn is_purge(&self) -> bool {
        self.tags.iter().any(|tag| tag.makes_a_purge())
    }

    /// How many tags it declares wrong: that which only says that it is a purge is none of them.
    pub fn declared(&self) -> usize {
        self.tags.iter().filter(|tag| **tag != TagId::PURGE).count()
    }
}

/// What follows a position in the log.
#[derive(Clone, Debug)]
pub enum LogPage {
    /// The next records, without gaps; none if the position is the head.
    Records(Vec<Arc<Record>>),
    /// Some of them are gone: all that is known is the head.
    Trimmed {
        /// The newest sequence.
        head: Sequence,
    },
    /// The position's epoch is over.
    NewEpoch {
        /// The head of the new one.
        head: Position,
    },
}

/// An entry as stores hold it: everything needed to judge it, and its bytes.
#[derive(Clone)]
pub struct StoredEntry {
    /// The position captured before its load.
    pub base: Position,
    /// What it was loaded from.
    pub tags: TagIds,
    /// Whether one of the tags belongs to the tenant.
    pub has_tenant_tags: bool,
    /// When it was loaded.
    pub loaded_at: Timestamp,
    /// How long that took, in ms; 0 if it is not known. Who takes the entry from the store refreshes it early by it.
    pub load_ms: u16,
    /// Until when it is fresh.
    pub expires_at: Timestamp,
    /// Until when it may be of use at all (grace, fail-safe); the store may drop it after that.
    pub dead_at: Timestamp,
    /// The schema of the value.
    pub schema: Fingerprint,
    /// The encoded value; `None` is a remembered absence.
    pub value: Option<Bytes>,
    /// How many of the tags, the first ones, stand for people whom the value is about.
    pub subjects: u8,
    /// Whether the value must not leave the process in clear.
    pub is_sensitive: bool,
    /// Whether the value is as it was encoded.
    pub seal: Seal,
}

/// Without the value, which may be about somebody and in clear: only how long it is.
impl fmt::Debug for StoredEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { base, tags, has_tenant_tags, loaded_at, load_ms, expires_at, dead_at, schema, .. } = self;
        f.debug_struct("StoredEntry")
            .field("base", base)
            .field("tags", tags)
            .field("has_tenant_tags", has_tenant_tags)
            .field("loaded_at", loaded_at)
            .field("load_ms", load_ms)
            .field("expires_at", expires_at)
            .field("dead_at", dead_at)
            .field("schema", schema)
            .field("value_bytes", &self.value.as_ref().map(Bytes::len))
            .field("subjects", &self.subjects)
            .field("is_sensitive", &self.is_sensitive)
            .field("seal", &self.seal)
            .finish()
    }
}

/// What was done to an entry's value on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Seal {
    /// Nothing: it is in clear.
    #[default]
    None,
    /// It is sealed, and so are `subjects` and `is_sensitive`, which mean nothing as long as it is.
    Sealed,
    /// It was sealed and does not open: there is no value.
    Broken(MissReason),
}

/// What was found by looking for a tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaggedKeys {
    /// Each key once, in no order.
    pub keys: Vec<RawKey>,
    /// Entries that were looked at.
    pub looked_at: usize,
    /// Whether that was all of them.
    pub is_complete: bool,
}

/// What became of a fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// The entry is stored.
    Stored,
    /// A tag moved past the base, the base is below the floor, or the epoch is over.
    Overtaken,
    /// An entry with a newer base is there already.
    NewerStored,
    /// The store keeps no entries, or none of this size, or is full.
    NotKept,
}

/// A store that did not do what it was asked to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Nothing was heard from it; the operation may or may not have happened. Try again.
    #[error("the cache's store is unavailable: {0}")]
    Unavailable(String),
    /// It does not serve this node as it is set up: no such user, no permission, another number of partitions.
    /// Somebody has to change something; to try again soon is no use.
    #[error("the cache's store refuses this node: {0}")]
    Refused(String),
    /// It was not asked, because it failed too often (see [`Resilience`](crate::Resilience)); nothing happened. Go on
    /// without it: it is tried again by itself.
    #[error("the cache's store is not asked, because it failed too often; it is tried again by itself")]
    Open,
}

/// The store of record.
///
/// # What an implementation guarantees
/// - `append` returns after the record is in the log and its tags' clocks are set: atomically, and in the order of
///   the sequence, which has no gaps within an epoch.
/// - State that belongs together is lost together, or the epoch changes.
/// - `fill` refuses what the rule refuses.
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// How many partitions the log has.
    fn partitions(&self) -> PartitionCount;

    /// The log's heads, if they can be known without IO: then a node at the head needs no other confirmation.
    fn local_heads(&self) -> Option<Arc<LocalHeads>>;

    /// The log's head.
    fn head(&self, partition: Partition) -> BoxFuture<'_, Result<Position, StoreError>>;

    /// Appends a record and returns its position.
    fn append(
        &self,
        partition: Partition,
        tags: Vec<TagId>,
        note: Bytes,
    ) -> BoxFuture<'_, Result<Position, StoreError>>;

    /// At most `records_max` records after a position.
    fn read_log(&self, after: Position, records_max: usize) -> BoxFuture<'_, Result<LogPage, StoreError>>;

    /// Declares everything of a partition wrong: a new epoch begins, whose head is returned.
    fn start_anew(&self, partition: Partition) -> BoxFuture<'_, Result<Position, StoreError>>;

    /// Tells which partitions' heads may have moved from now on.
    fn moves(&self) -> MovesWatcher;

    /// Entries by key, in the order of the keys. The caller judges them.
    fn get<'a>(&'a self, keys: &'a [RawKey]) -> BoxFuture<'a, Result<Vec<Option<StoredEntry>>, StoreError>>;

    /// Stores an entry unless the rule refuses it.
    fn fill<'a>(&'a self, key: &'a RawKey, entry: StoredEntry) -> BoxFuture<'a, Result<Filled, StoreError>>;

    /// Removes one entry.
    fn remove<'a>(&'a self, key: &'a RawKey) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Whether what one node fills is there for others to find: then a load is worth waiting for, and leases are.
    fn shares_entries(&self) -> bool;

    /// The keys of entries that carry a tag, be they valid or not, found by looking at each of at most about `looks_max`
    /// entries: not for reads. What comes or goes meanwhile may be missed. Entries of other cache versions are not told.
    fn keys_tagged(&self, tag: TagId, looks_max: usize) -> BoxFuture<'_, Result<TaggedKeys, StoreError>>;

    /// The other nodes that share it, if there may be any and they can be asked.
    fn nodes(&self) -> Option<&dyn Nodes> {
        None
    }

    /// Asks for the lease of a key. It is granted if nobody holds it, or if it is the one that may be taken over.
    fn lease<'a>(&'a self, key: &'a RawKey, request: &'a LeaseRequest) -> BoxFuture<'a, Result<Leased, StoreError>>;

    /// Asks for the leases of several keys of one tenant, none of which is to be taken over; the answers are in their
    /// order. A store at a distance is asked once.
    fn lease_many<'a>(
        &'a self,
        requests: &'a [(RawKey, LeaseRequest)],
    ) -> BoxFuture<'a, Result<Vec<Leased>, StoreError>> {
        try_join_all(requests.iter().map(|(key, request)| self.lease(key, request))).boxed()
    }

    /// Ends a lease, if it is still this owner's; else does nothing.
    fn release<'a>(
        &'a self,
        key: &'a RawKey,
        owner: LeaseToken,
        after: AfterLease,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
}
