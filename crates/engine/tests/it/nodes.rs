//! Three nodes that see one store from afar, and an origin that counts what is asked of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::sleep,
};
use unstale::{
    Cache, CacheBuilder, CacheLimits, Event, FetchError, Fetched, Invalidation, Loaded, MemoryLimits, MemoryStore,
    Observer, Policy, PositionSet, ReadOptions, Resilience, Tag, WaitedFor, record,
    store::{Lease, LeaseRequest, LeaseToken, Store},
    testing::{DistantStore, Sabotage},
    time::ManualTime,
};

use crate::world::{Page, acme, page};

pub(crate) type Answer = Result<Fetched<Page>, FetchError<String>>;

pub(crate) const POLICY: Policy = Policy::ttl(Duration::from_secs(10)).mode(unstale::Mode::Strict);
/// How long the origin takes.
pub(crate) const LOAD: Duration = Duration::from_millis(100);
/// A lease's time, by default.
pub(crate) const TTL: Duration = Duration::from_secs(1);

/// Where values come from: counts its loads, and how many of them ran at once.
#[derive(Default)]
pub(crate) struct Origin {
    pub(crate) version: AtomicU64,
    pub(crate) loads: AtomicUsize,
    pub(crate) running: AtomicUsize,
    pub(crate) most_at_once: AtomicUsize,
}

impl Origin {
    pub(crate) async fn load(self: Arc<Self>, takes: Duration) -> Result<Loaded<Page>, String> {
        self.loads.fetch_add(1, SeqCst);
        let running = self.running.fetch_add(1, SeqCst) + 1;
        self.most_at_once.fetch_max(running, SeqCst);
        record(&tag());
        let version = self.version.load(SeqCst);
        sleep(takes).await;
        self.running.fetch_sub(1, SeqCst);
        Ok(Loaded::value(Page { saw: vec![(1, version)] }))
    }

    pub(crate) fn loads(&self) -> usize {
        self.loads.load(SeqCst)
    }
}

#[derive(Default)]
pub(crate) struct Waits(pub(crate) Mutex<Vec<WaitedFor>>);

impl Observer for Waits {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::Waited { waited_for, .. } = event {
            self.0.lock().push(*waited_for);
        }
    }
}

/// A node, and its way to the store.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) cache: Cache,
    pub(crate) far: Arc<DistantStore>,
    pub(crate) waits: Arc<Waits>,
}

pub(crate) struct Nodes {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) time: Arc<ManualTime>,
    pub(crate) origin: Arc<Origin>,
    pub(crate) all: Vec<Node>,
}

pub(crate) fn tag() -> Tag {
    Tag::of(&acme(), "fact", 1)
}

impl Nodes {
    pub(crate) async fn new() -> Self {
        Self::with(CacheLimits::default(), Sabotage::None).await
    }

    pub(crate) async fn with(limits: CacheLimits, sabotage: Sabotage) -> Self {
        Self::built(|builder| builder.limits(limits).sabotage(sabotage)).await
    }

    /// Nodes that guard themselves against their store.
    pub(crate) async fn guarded() -> Self {
        Self::built(|builder| builder.resilience(Resilience::default())).await
    }

    pub(crate) async fn built(with: impl Fn(CacheBuilder) -> CacheBuilder) -> Self {
        let store = Arc::new(MemoryStore::new(MemoryLimits { entry_bytes_max: 1 << 20, ..MemoryLimits::default() }));
        let time = Arc::new(ManualTime::default());
        let mut all = Vec::new();
        for seed in 0..3 {
            let far = Arc::new(DistantStore::new(store.clone(), seed));
            let waits = Arc::new(Waits::default());
            let cache = with(Cache::builder(far.clone())).time(time.clone()).seed(seed);
            let cache = cache.observer(waits.clone()).build().await.unwrap();
            all.push(Node { cache, far, waits });
        }
        Self { store, time, origin: Arc::default(), all }
    }

    /// Reads in a task of its own; it has begun, and gone as far as it gets, when this returns.
    pub(crate) async fn begin(&self, node: usize, policy: Policy, at_least: PositionSet) -> JoinHandle<Answer> {
        self.begin_taking(node, policy, at_least, LOAD).await
    }

    pub(crate) async fn begin_taking(
        &self,
        node: usize,
        policy: Policy,
        at_least: PositionSet,
        takes: Duration,
    ) -> JoinHandle<Answer> {
        let (cache, origin) = (self.all[node].cache.clone(), self.origin.clone());
        let reading = tokio::spawn(async move { read(&cache, &origin, &policy, at_least, takes).await });
        settle().await;
        reading
    }

    pub(crate) async fn read(&self, node: usize, policy: Policy) -> Fetched<Page> {
        read(&self.all[node].cache, &self.origin, &policy, PositionSet::default(), LOAD).await.unwrap()
    }

    /// A write at the origin, acknowledged by a node.
    pub(crate) async fn write(&self, node: usize) -> PositionSet {
        self.origin.version.fetch_add(1, SeqCst);
        self.all[node].cache.invalidate(&Invalidation::of([tag()])).await.unwrap()
    }

    /// Asks for the lease as another node would, which then says no more.
    pub(crate) async fn lease(&self, token: u128) -> Option<Lease> {
        let base = self.store.head(self.store.partitions().of(&acme())).await.unwrap();
        let lease = Lease { token: LeaseToken::from_u128(token), base };
        let request = LeaseRequest { lease, ttl: TTL, over: None };
        self.store.lease(page(&acme(), 1).raw(), &request).await.unwrap().held_by
    }
}

pub(crate) async fn read(
    cache: &Cache,
    origin: &Arc<Origin>,
    policy: &Policy,
    at_least: PositionSet,
    takes: Duration,
) -> Answer {
    let origin = origin.clone();
    cache.fetch(&page(&acme(), 1), policy, &ReadOptions { at_least }, move || origin.load(takes)).await
}

pub(crate) fn version(fetched: &Fetched<Page>) -> u64 {
    fetched.value().unwrap().saw[0].1
}

pub(crate) fn none() -> PositionSet {
    PositionSet::default()
}

/// Lets everything run that does not wait for time.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// So many readers of one key, spread over the nodes, all at once; returns their answers.
pub(crate) async fn stampede(caches: &[Cache], origin: &Arc<Origin>, readers: usize) -> Vec<Fetched<Page>> {
    let mut running = JoinSet::new();
    for at in 0..readers {
        let (cache, origin) = (caches[at % caches.len()].clone(), origin.clone());
        running.spawn(async move { read(&cache, &origin, &POLICY, none(), LOAD).await.unwrap() });
    }
    running.join_all().await
}
