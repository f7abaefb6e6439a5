//! The cache: the one place that knows both what is decided and what is done.
//!
//! [`Cache`] is a cheap handle. Reads are in [`read`] (what is there already in [`find`], what is given out in
//! [`fetched`]), batches in [`batch`], when a load may begin in [`turn`], loads in [`load`], invalidation in
//! [`invalidate`], following the log in [`follow`], warming in [`warm`].

mod batch;
mod fetched;
mod find;
mod follow;
mod held_lease;
mod invalidate;
mod load;
mod read;
mod turn;
mod warm;

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
};

use futures_util::future::join_all;
use tokio::sync::Semaphore;

pub use self::{
    fetched::{Cached, FetchError, Fetched, ReadOptions},
    invalidate::{InvalidateError, Invalidation},
    load::Loaded,
    warm::{WarmBudget, Warmed},
};
use crate::{
    clocks::{ClockLimits, Clocks, Validity},
    flight::Flights,
    l1::{L1, L1Limits},
    lease::{LeaseLimits, Tokens},
    observe::{Observer, Observers},
    position::{Epoch, Partition, PartitionCount, Position, PositionSet, Sequence},
    random::Random,
    refill::{Gate, RefillLimits},
    sabotage::Sabotage,
    store::{LocalHeads, Store, StoreError},
    tag::{Home, Tag},
    tenant::Tenant,
    time::{SystemTimeSource, TimeSource, Timestamp},
};

/// The limits of a cache, each with its default.
#[derive(Clone, Copy, Debug)]
pub struct CacheLimits {
    /// Memory.
    pub l1: L1Limits,
    /// Clocks per partition.
    pub clocks: ClockLimits,
    /// Readers that wait for one load; more load by themselves.
    pub waiters_max: usize,
    /// Keys of one batch.
    pub batch_keys_max: usize,
    /// Waiting for other nodes' loads.
    pub lease: LeaseLimits,
    /// Loads after a broad invalidation.
    pub refill: RefillLimits,
    /// Refreshes that run in the background at once; those due beyond it are left to a later read.
    pub refreshes_max: usize,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self {
            l1: L1Limits::default(),
            clocks: ClockLimits::default(),
            waiters_max: 16_384,
            batch_keys_max: 1024,
            lease: LeaseLimits::default(),
            refill: RefillLimits::default(),
            refreshes_max: 32,
        }
    }
}

/// How much a cache holds at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSize {
    /// Entries in L1.
    pub entries: usize,
    /// Their bytes, by the estimate that the limit uses.
    pub bytes: u64,
    /// Loads that run.
    pub flights: usize,
}

/// A coherent cache over a store of record. Cheap to clone; all clones are one cache.
#[derive(Clone)]
pub struct Cache {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn Store>,
    partitions: PartitionCount,
    /// The log's heads, where it is in this process.
    local_heads: Option<Arc<LocalHeads>>,
    views: Box<[View]>,
    l1: L1,
    flights: Arc<Flights>,
    tokens: Tokens,
    refills: Arc<Gate>,
    refreshes: Arc<Semaphore>,
    random: Random,
    time: Arc<dyn TimeSource>,
    observers: Observers,
    limits: CacheLimits,
    sabotage: Sabotage,
}

/// This node's view of a partition, and the right to move it on.
struct View {
    clocks: Clocks,
    /// Rounds of catching up that have begun.
    rounds: AtomicU64,
    /// Held by the one who moves the view on; the last round that reached the log's head.
    moving: tokio::sync::Mutex<u64>,
}

/// Puts a [`Cache`] together.
pub struct CacheBuilder {
    store: Arc<dyn Store>,
    limits: CacheLimits,
    time: Arc<dyn TimeSource>,
    observers: Vec<Arc<dyn Observer>>,
    seed: u64,
    sabotage: Sabotage,
}

impl CacheBuilder {
    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: CacheLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets where time comes from.
    #[must_use]
    pub fn time(mut self, time: Arc<dyn TimeSource>) -> Self {
        self.time = time;
        self
    }

    /// Adds an observer.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Sets what chance depends on (early refreshes, pauses): the same seed and the same times give the same run. By
    /// default it is random, so that nodes do not all decide alike.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Breaks the protocol on purpose, to show that the checker notices.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn sabotage(mut self, sabotage: Sabotage) -> Self {
        self.sabotage = sabotage;
        self
    }

    /// Reads the log's heads and starts with an empty memory.
    ///
    /// A store that cannot be reached does not keep a cache from starting: the views of its partitions begin in an
    /// *epoch of their own*, which no store has. What is loaded meanwhile is collapsed, but never confirmed and never
    /// in the store; the first catching-up that gets through finds that the epoch is another one, and starts the view
    /// anew. A store that refuses this node ([`StoreError::Refused`]) is an error: that has to be set right.
    pub async fn build(self) -> Result<Cache, StoreError> {
        let Self { store, limits, time, observers, seed, sabotage } = self;
        let partitions = store.partitions();
        let asked_at = time.now();
        // All at once: a store that does not answer is waited for once.
        let heads = join_all(partitions.all().map(|partition| store.head(partition))).await;
        let mut views = Vec::new();
        for (partition, head) in partitions.all().zip(heads) {
            let clocks = match head {
                Ok(head) => {
                    let clocks = Clocks::new(head, limits.clocks);
                    clocks.confirm(asked_at);
                    clocks
                }
                Err(StoreError::Unavailable(told)) => {
                    tracing::warn!(partition = partition.index(), told, "the cache starts without its store");
                    let nowhere = Position { partition, epoch: Epoch::random(), sequence: Sequence::default() };
                    Clocks::new(nowhere, limits.clocks)
                }
                Err(refused @ StoreError::Refused(_)) => return Err(refused),
            };
            views.push(View { clocks, rounds: AtomicU64::new(0), moving: tokio::sync::Mutex::new(0) });
        }
        let observers = Observers::new(observers);
        let l1 = L1::new(limits.l1, observers.clone());
        let flights = Arc::new(Flights::new(limits.waiters_max));
        let local_heads = store.local_heads();
        let shared = Shared {
            store,
            partitions,
            local_heads,
            views: views.into(),
            l1,
            flights,
            tokens: Tokens::new(),
            refills: Gate::new(limits.refill),
            refreshes: Arc::new(Semaphore::new(limits.refreshes_max.min(Semaphore::MAX_PERMITS))),
            random: Random::new(seed),
            time,
            observers,
            limits,
            sabotage,
        };
        Ok(Cache { shared: Arc::new(shared) })
    }
}

impl Cache {
    /// A cache over `store`, to be configured.
    pub fn builder(store: Arc<dyn Store>) -> CacheBuilder {
        CacheBuilder {
            store,
            limits: CacheLimits::default(),
            time: Arc::new(SystemTimeSource::default()),
            observers: Vec::new(),
            seed: rand::random(),
            sabotage: Sabotage::None,
        }
    }

    /// How much it holds.
    pub fn size(&self) -> CacheSize {
        CacheSize { entries: self.shared.l1.len(), bytes: self.shared.l1.bytes(), flights: self.shared.flights.len() }
    }

    /// Bytes of a tenant's entries in L1.
    pub fn tenant_bytes(&self, tenant: &Tenant) -> u64 {
        self.shared.l1.tenant_bytes(tenant)
    }

    /// How far this node has followed the tenant's partition.
    pub fn frontier(&self, tenant: &Tenant) -> Position {
        self.shared.view(self.shared.partition(tenant)).clocks.frontier()
    }

    /// How far this node has followed every partition.
    pub fn frontiers(&self) -> PositionSet {
        PositionSet::of_all(self.shared.views.iter().map(|view| view.clocks.frontier()))
    }

    /// Whether one of `tags`, read by somebody who acts in `tenant`, was invalidated after `since`, as far as this node
    /// has followed the log. Also true if that cannot be known: the positions are too old, of another epoch, or none.
    pub fn has_changed(&self, tenant: &Tenant, tags: &[Tag], since: &PositionSet) -> bool {
        tags.iter().any(|tag| {
            let partition = match tag.home() {
                Home::Tenant(home) => self.shared.partition(home),
                // In every partition's log; an entry of the tenant is judged by its own.
                Home::Shared => self.shared.partition(tenant),
            };
            let clocks = &self.shared.view(partition).clocks;
            since.in_partition(partition).is_none_or(|since| {
                !matches!(clocks.judge(since.epoch, since.sequence, &[tag.id()]), Validity::Valid { .. })
            })
        })
    }

    /// The time by the cache's clock.
    pub fn now(&self) -> Timestamp {
        self.shared.now()
    }

    /// Removes every entry of L1. Only memory is won: nothing becomes newer by it.
    pub fn clear_memory(&self) {
        self.shared.l1.clear();
    }
}

impl Shared {
    fn partition(&self, tenant: &Tenant) -> Partition {
        self.partitions.of(tenant)
    }

    fn view(&self, partition: Partition) -> &View {
        &self.views[partition.index()]
    }

    fn now(&self) -> Timestamp {
        self.time.now()
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("store", &self.shared.store).field("size", &self.size()).finish_non_exhaustive()
    }
}
