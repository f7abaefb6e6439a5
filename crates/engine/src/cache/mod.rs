//! The cache: the one place that knows both what is decided and what is done.
//!
//! [`Cache`] is a cheap handle. Reads are in [`read`] (what is there already in [`find`], what is given out in
//! [`fetched`]), batches in [`batch`], loads in [`load`], invalidation in [`invalidate`], following the log in
//! [`follow`].

mod batch;
mod fetched;
mod find;
mod follow;
mod invalidate;
mod load;
mod read;

use std::{
    collections::HashMap,
    fmt,
    num::NonZeroU32,
    sync::{Arc, atomic::AtomicU64},
};

pub use self::{
    fetched::{Cached, FetchError, Fetched, ReadOptions},
    invalidate::{InvalidateError, Invalidation},
    load::Loaded,
};
use crate::{
    clocks::{ClockLimits, Clocks},
    flight::Flights,
    l1::{L1, L1Limits, L1Size},
    observe::{Observer, Observers},
    position::{Partition, PartitionCount, Position, PositionSet},
    sabotage::Sabotage,
    store::{LocalHeads, Store, StoreError},
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
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self { l1: L1Limits::default(), clocks: ClockLimits::default(), waiters_max: 16_384, batch_keys_max: 1024 }
    }
}

/// How much a cache holds at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSize {
    /// Entries in L1.
    pub entries: usize,
    /// Their bytes, by the estimate that the limit uses.
    pub bytes: u64,
    /// How many bytes are allowed.
    pub bytes_max: u64,
    /// Tenants that have entries.
    pub tenants: usize,
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
    tenant_weights: HashMap<Tenant, NonZeroU32>,
    sabotage: Sabotage,
}

impl CacheBuilder {
    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: CacheLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets a tenant's weight in L1; 1 if nothing is said. When memory is short, the tenant furthest above its share
    /// gives way: two tenants of weights 3 and 1 keep three quarters and one quarter, if both want all.
    #[must_use]
    pub fn tenant_weight(mut self, tenant: Tenant, weight: NonZeroU32) -> Self {
        self.tenant_weights.insert(tenant, weight);
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

    /// Breaks the protocol on purpose, to show that the checker notices.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn sabotage(mut self, sabotage: Sabotage) -> Self {
        self.sabotage = sabotage;
        self
    }

    /// Reads the log's heads and starts with an empty memory.
    pub async fn build(self) -> Result<Cache, StoreError> {
        let Self { store, limits, time, observers, tenant_weights, sabotage } = self;
        let mut views = Vec::new();
        let partitions = store.partitions();
        for partition in partitions.all() {
            let head = store.head(partition).await?;
            views.push(View {
                clocks: Clocks::new(head, limits.clocks),
                rounds: AtomicU64::new(0),
                moving: tokio::sync::Mutex::new(0),
            });
        }
        let observers = Observers::new(observers);
        let l1 = L1::new(limits.l1, tenant_weights, observers.clone());
        let flights = Arc::new(Flights::new(limits.waiters_max));
        let local_heads = store.local_heads();
        let shared = Shared {
            store,
            partitions,
            local_heads,
            views: views.into(),
            l1,
            flights,
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
            tenant_weights: HashMap::new(),
            sabotage: Sabotage::None,
        }
    }

    /// How much it holds.
    pub fn size(&self) -> CacheSize {
        let L1Size { entries, bytes, tenants } = self.shared.l1.size();
        let bytes_max = self.shared.limits.l1.bytes_max;
        CacheSize { entries, bytes, bytes_max, tenants, flights: self.shared.flights.len() }
    }

    /// Bytes of a tenant's entries in L1.
    pub fn tenant_bytes(&self, tenant: &Tenant) -> u64 {
        self.shared.l1.tenant_bytes(tenant)
    }

    /// Bytes in L1 that a tenant is sure to keep whatever the others do: its share, by weight, among the tenants that
    /// have entries at this moment, at most its limit. While there is room it may use more.
    pub fn tenant_quota(&self, tenant: &Tenant) -> u64 {
        self.shared.l1.tenant_quota(tenant)
    }

    /// Sets a tenant's weight in L1, from now on; see [`CacheBuilder::tenant_weight`].
    pub fn set_tenant_weight(&self, tenant: &Tenant, weight: NonZeroU32) {
        self.shared.l1.set_tenant_weight(tenant, weight);
    }

    /// How far this node has followed the tenant's partition.
    pub fn frontier(&self, tenant: &Tenant) -> Position {
        self.shared.view(self.shared.partition(tenant)).clocks.frontier()
    }

    /// How far this node has followed every partition.
    pub fn frontiers(&self) -> PositionSet {
        PositionSet::of_all(self.shared.views.iter().map(|view| view.clocks.frontier()))
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
