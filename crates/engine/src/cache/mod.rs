//! The cache: the one place that knows both what is decided and what is done.
//!
//! [`Cache`] is a cheap handle. Reads are in [`read`] (what is there already in [`find`], a batch's in [`batch_find`], what the store is asked for in [`ask`], what is given out in
//! [`fetched`], what a reader may refuse in [`accept`], who loads for it in [`boarding`]), batches in [`batch`], when a load
//! may begin in [`turn`] (a batch's in [`batch_turn`]), loads in [`load`], invalidation in [`invalidate`], following the log in [`follow`], warming in
//! [`warm`], what a node knows when it starts in [`look_back`], what carries a tag in [`census`], why the rule says
//! what it says in [`explain`], what is held about a person in [`report`] and [`others`]. How long a read waits for the store is in
//! [`patience`], invalidations that it did not take in [`replay`], what all of it may take in [`limits`].

mod accept;
mod ask;
mod batch;
mod batch_find;
mod batch_turn;
mod boarding;
mod census;
mod erase;
mod explain;
mod fetched;
mod find;
mod follow;
mod held_lease;
mod invalidate;
mod limits;
mod load;
mod look_back;
mod others;
mod patience;
mod read;
mod replay;
mod report;
mod turn;
mod warm;

use std::{
    collections::HashMap,
    fmt,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use self::erase::Erasures;
pub use self::{
    census::Census,
    erase::{EraseError, Erasure},
    explain::Explanation,
    fetched::{Cached, FetchError, Fetched, ReadOptions},
    invalidate::{InvalidateError, Invalidation},
    limits::CacheLimits,
    load::Loaded,
    others::OtherNodes,
    report::{SubjectCopy, SubjectReport},
    warm::{WarmBudget, Warmed},
};
use crate::{
    clocks::{Clocks, Validity},
    flight::Flights,
    l1::{L1, L1Size},
    lease::Tokens,
    look_up::LookUps,
    observe::{Observer, Observers},
    position::{Epoch, Partition, PartitionCount, Position, PositionSet, Sequence},
    random::Random,
    refill::Gate,
    resilience::{Pulse, Resilience, ResilientStore, pending::Pending},
    sabotage::Sabotage,
    sealing::{SealedStore, Sealing},
    store::{LocalHeads, Moves, Store, StoreError},
    tag::{Home, Tag},
    tenant::Tenant,
    time::{SystemTimeSource, TimeSource, Timestamp},
};

/// How long other nodes' answers are waited for, unless something else is said.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(3);

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
    /// Clocks held exactly, of all partitions.
    pub clocks: usize,
}

/// A coherent cache over a store of record. Cheap to clone; all clones are one cache.
#[derive(Clone)]
pub struct Cache {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn Store>,
    sealing: Option<Sealing>,
    /// Whether memory may hold sensitive values, as they are.
    holds_sensitive: bool,
    /// How long a report waits for other nodes.
    answer_wait_max: Duration,
    erasures: Erasures,
    partitions: PartitionCount,
    /// The log's heads, where it is in this process.
    local_heads: Option<Arc<LocalHeads>>,
    /// What was told of the log.
    told: Arc<Moves>,
    views: Box<[View]>,
    l1: L1,
    flights: Arc<Flights>,
    look_ups: Arc<LookUps>,
    tokens: Tokens,
    refills: Arc<Gate>,
    refreshes: Arc<Gate>,
    random: Random,
    time: Arc<dyn TimeSource>,
    observers: Observers,
    limits: CacheLimits,
    resilience: Option<Resilience>,
    /// Whether the guarded store answers anybody.
    pulse: Arc<Pulse>,
    /// Places for operations that go on without their reader.
    late_operations: Arc<Semaphore>,
    /// A task replays invalidations.
    replays: AtomicBool,
    sabotage: Sabotage,
}

/// This node's view of a partition, and the right to move it on.
struct View {
    clocks: Clocks,
    /// Rounds of catching up that have begun.
    rounds: AtomicU64,
    /// Held by the one who moves the view on; the last round that reached the log's head.
    moving: Arc<tokio::sync::Mutex<u64>>,
    /// Invalidations that the log or this view does not hold yet.
    pending: Mutex<Pending>,
    /// Whether there are any: all that a hit looks at.
    has_pending: AtomicBool,
    /// Held by the one who replays them.
    replaying: tokio::sync::Mutex<()>,
}

/// Puts a [`Cache`] together.
pub struct CacheBuilder {
    store: Arc<dyn Store>,
    limits: CacheLimits,
    time: Arc<dyn TimeSource>,
    observers: Vec<Arc<dyn Observer>>,
    resilience: Option<Resilience>,
    seed: u64,
    tenant_weights: HashMap<Tenant, NonZeroU32>,
    sealing: Option<Sealing>,
    holds_sensitive: bool,
    answer_wait_max: Duration,
    sabotage: Sabotage,
}

impl CacheBuilder {
    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: CacheLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how long a [report](Cache::report) waits for other nodes' answers: 3 s if nothing is said, in which one that is
    /// busy looks through some millions of entries.
    #[must_use]
    pub fn answer_wait_max(mut self, wait: Duration) -> Self {
        self.answer_wait_max = wait;
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

    /// Guards the store: breaker, time-outs, repetitions. Right for every store at a distance; without it, a read
    /// waits for the store as long as the store's own limits say.
    #[must_use]
    pub fn resilience(mut self, resilience: Resilience) -> Self {
        self.resilience = Some(resilience);
        self
    }

    /// Seals whatever goes to the store. Without it, values that are sensitive or about somebody stay out of a store that
    /// is shared.
    #[must_use]
    pub fn sealing(mut self, sealing: Sealing) -> Self {
        self.sealing = Some(sealing);
        self
    }

    /// Whether this node's memory may hold sensitive values as they are; by default it may. If not, they are in the store
    /// only, sealed, and each read opens them anew; a store that holds no entries then keeps none of them.
    #[must_use]
    pub fn sensitive_in_memory(mut self, may_be: bool) -> Self {
        self.holds_sensitive = may_be;
        self
    }

    /// Sets what chance depends on (early refreshes, pauses, jitter): the same seed and the same times give the same
    /// run. By default it is random, so that nodes do not all decide alike.
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
        let Self {
            store,
            limits,
            time,
            observers,
            resilience,
            seed,
            tenant_weights,
            sealing,
            holds_sensitive,
            answer_wait_max,
            sabotage,
        } = self;
        let observers = Observers::new(observers);
        let pulse = Arc::new(Pulse::default());
        let store = match resilience {
            Some(guard) => {
                let (time, observers) = (time.clone(), observers.clone());
                Arc::new(ResilientStore::observed(store, guard, seed, time, observers, pulse.clone()))
            }
            None => store,
        };
        let store: Arc<dyn Store> = match &sealing {
            // Outside of the guard: waiting for somebody's key is not the store's fault.
            Some(sealing) if store.shares_entries() => {
                Arc::new(SealedStore::new(store, sealing.clone(), observers.clone()))
            }
            _ => store,
        };
        let partitions = store.partitions();
        let asked_at = time.now();
        // All at once: a store that does not answer is waited for once.
        let known =
            join_all(partitions.all().map(|partition| look_back::view(&*store, partition, limits.clocks))).await;
        let mut views = Vec::new();
        for (partition, clocks) in partitions.all().zip(known) {
            let clocks = match clocks {
                Ok(clocks) => {
                    clocks.confirm(asked_at);
                    clocks
                }
                Err(error @ (StoreError::Unavailable(_) | StoreError::Open)) => {
                    tracing::warn!(partition = partition.index(), %error, "the cache starts without its store");
                    let nowhere =
                        Position { partition, epoch: nowhere(seed, partition), sequence: Sequence::default() };
                    Clocks::new(nowhere, limits.clocks)
                }
                Err(refused @ StoreError::Refused(_)) => return Err(refused),
            };
            views.push(View {
                clocks,
                rounds: AtomicU64::new(0),
                moving: Arc::default(),
                pending: Mutex::new(Pending::new(limits.pending)),
                has_pending: AtomicBool::new(false),
                replaying: tokio::sync::Mutex::new(()),
            });
        }
        let l1 = L1::new(limits.l1, tenant_weights, observers.clone());
        let flights = Arc::new(Flights::new(limits.waiters_max));
        let look_ups = Arc::new(LookUps::new(limits.waiters_max));
        let local_heads = store.local_heads();
        let told = store.moves().source().clone();
        let late_operations = resilience.map_or(0, |resilience| resilience.late_operations_max);
        let shared = Shared {
            store,
            sealing,
            holds_sensitive,
            answer_wait_max,
            erasures: Erasures::default(),
            partitions,
            local_heads,
            told,
            views: views.into(),
            l1,
            flights,
            look_ups,
            tokens: Tokens::new(),
            refills: Gate::new(limits.refill),
            refreshes: Gate::without_queue(limits.refreshes_max),
            random: Random::new(seed),
            time,
            observers,
            limits,
            resilience,
            pulse,
            late_operations: Arc::new(Semaphore::new(late_operations.min(Semaphore::MAX_PERMITS))),
            replays: AtomicBool::new(false),
            sabotage,
        };
        Ok(Cache { shared: Arc::new(shared) })
    }
}

/// The epoch of a view that has not heard of any: no store's, but for chance (2⁻⁶⁴).
fn nowhere(seed: u64, partition: Partition) -> Epoch {
    let number = u64::try_from(partition.index()).expect("a partition's number is small");
    Epoch(crate::hash::fields(&[b"nowhere", &seed.to_be_bytes(), &number.to_be_bytes()]))
}

impl Cache {
    /// A cache over `store`, to be configured.
    pub fn builder(store: Arc<dyn Store>) -> CacheBuilder {
        CacheBuilder {
            store,
            limits: CacheLimits::default(),
            time: Arc::new(SystemTimeSource::default()),
            observers: Vec::new(),
            resilience: None,
            seed: rand::random(),
            tenant_weights: HashMap::new(),
            sealing: None,
            holds_sensitive: true,
            answer_wait_max: ANSWER_WAIT_MAX,
            sabotage: Sabotage::None,
        }
    }

    /// How much it holds.
    pub fn size(&self) -> CacheSize {
        let Shared { l1, flights, views, limits, .. } = &*self.shared;
        let L1Size { entries, bytes, tenants } = l1.size();
        let clocks = views.iter().map(|view| view.clocks.exact_len()).sum();
        CacheSize { entries, bytes, bytes_max: limits.l1.bytes_max, tenants, flights: flights.len(), clocks }
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

    /// Sets how many bytes in L1 a tenant's entries may take, even while there is room; none: what the limits say. At
    /// once: what the tenant has beyond it goes.
    pub fn set_tenant_bytes_max(&self, tenant: &Tenant, bytes_max: Option<u64>) {
        self.shared.l1.set_tenant_bytes_max(tenant, bytes_max, self.now());
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
            since.in_partition(partition).is_none_or(|since| self.shared.has_moved(&since, tag))
        })
    }

    /// The same, looking for shared tags in every partition that `since` has: for facts that may have been read from an
    /// entry of another partition, which hears of a change sooner or later than the tenant's does. Right only for
    /// positions that were captured a moment ago: of old ones, some partition always cannot tell any more.
    pub fn has_changed_anywhere(&self, tenant: &Tenant, tags: &[Tag], since: &PositionSet) -> bool {
        let mut shared = tags.iter().filter(|tag| *tag.home() == Home::Shared);
        self.has_changed(tenant, tags, since)
            || shared.any(|tag| since.iter().any(|since| self.shared.has_moved(since, tag)))
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
    /// Whether a tag was invalidated in the partition of `since` after it, or may have been.
    fn has_moved(&self, since: &Position, tag: &Tag) -> bool {
        let clocks = self.views.get(since.partition.index()).map(|view| &view.clocks);
        clocks.is_none_or(|clocks| {
            !matches!(clocks.judge(since.epoch, since.sequence, &[tag.id()]), Validity::Valid { .. })
        })
    }

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
