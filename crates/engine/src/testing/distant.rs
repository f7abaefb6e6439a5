//! A store at a distance: every operation takes a while, and may fail.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};
use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{sync::watch, task::yield_now};

use crate::{
    key::RawKey,
    position::{Partition, PartitionCount, Position},
    store::{
        AfterLease, Filled, LeaseRequest, LeaseToken, Leased, LocalHeads, LogPage, MovesWatcher, Store, StoreError,
        StoredEntry, TaggedKeys,
    },
    tag::TagId,
};

/// What goes wrong on the way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Of a hundred operations, how many fail without having happened.
    pub lost_requests_percent: u32,
    /// Of a hundred operations, how many happen although their caller is told that they failed.
    pub lost_answers_percent: u32,
}

/// What is the matter with one partition, as when the server that owns it is away or hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Its operations fail without having happened.
    Fails,
    /// None of its operations ends before that is over.
    Hangs,
}

/// How long some operations take, beyond their way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delays {
    /// Asking for entries.
    pub get: Duration,
    /// Asking for a lease, or for many.
    pub lease: Duration,
    /// Filling.
    pub fill: Duration,
}

/// Another store, seen over a network: nothing of it is known without asking, and it answers after a random number
/// of task switches (by seed).
#[derive(Debug)]
pub struct DistantStore {
    inner: Arc<dyn Store>,
    random: Mutex<StdRng>,
    faults: Mutex<Faults>,
    delays: Mutex<Delays>,
    stalled: watch::Sender<bool>,
    troubles: watch::Sender<Vec<(Partition, Trouble)>>,
    requests: AtomicU64,
}

impl DistantStore {
    /// `inner`, at a distance.
    pub fn new(inner: Arc<dyn Store>, seed: u64) -> Self {
        Self {
            inner,
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            faults: Mutex::default(),
            delays: Mutex::default(),
            stalled: watch::Sender::new(false),
            troubles: watch::Sender::default(),
            requests: AtomicU64::new(0),
        }
    }

    /// Changes what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        *self.faults.lock() = faults;
    }

    /// Changes how long operations take that begin from now on.
    pub fn set_delays(&self, delays: Delays) {
        *self.delays.lock() = delays;
    }

    async fn delay(&self, of: impl FnOnce(Delays) -> Duration) {
        let delay = of(*self.delays.lock());
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    /// While it is stalled, no operation ends; when it goes on, all do.
    pub fn set_stalled(&self, stalled: bool) {
        self.stalled.send_replace(stalled);
    }

    /// Changes what is the matter with some partitions; the others are well.
    pub fn set_troubles(&self, troubles: Vec<(Partition, Trouble)>) {
        self.troubles.send_replace(troubles);
    }

    /// How many operations were begun.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    fn partition_of(&self, key: &RawKey) -> Partition {
        self.partitions().of(key.tenant())
    }

    fn roll(&self, sides: u32) -> u32 {
        self.random.lock().random_range(0..sides)
    }

    async fn travel(&self) {
        for _ in 0..self.roll(6) {
            yield_now().await;
        }
    }

    /// `operation` must not begin before it is polled: only after the way there.
    async fn there_and_back<T>(
        &self,
        partition: Partition,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.requests.fetch_add(1, Relaxed);
        let faults = *self.faults.lock();
        self.travel().await;
        let _ = self.stalled.subscribe().wait_for(|stalled| !stalled).await;
        let (hangs, fails) = ((partition, Trouble::Hangs), (partition, Trouble::Fails));
        let _ = self.troubles.subscribe().wait_for(|troubles| !troubles.contains(&hangs)).await;
        if self.troubles.borrow().contains(&fails) {
            return Err(StoreError::Unavailable("this partition is away".into()));
        }
        if self.roll(100) < faults.lost_requests_percent {
            return Err(StoreError::Unavailable("the request was lost".into()));
        }
        let answer = operation.await;
        self.travel().await;
        if self.roll(100) < faults.lost_answers_percent {
            return Err(StoreError::Unavailable("the answer was lost".into()));
        }
        answer
    }
}

impl Store for DistantStore {
    fn partitions(&self) -> PartitionCount {
        self.inner.partitions()
    }

    fn local_heads(&self) -> Option<Arc<LocalHeads>> {
        None
    }

    fn head(&self, partition: Partition) -> BoxFuture<'_, Result<Position, StoreError>> {
        self.there_and_back(partition, async move { self.inner.head(partition).await }).boxed()
    }

    fn append(
        &self,
        partition: Partition,
        tags: Vec<TagId>,
        note: Bytes,
    ) -> BoxFuture<'_, Result<Position, StoreError>> {
        self.there_and_back(partition, async move { self.inner.append(partition, tags, note).await }).boxed()
    }

    fn read_log(&self, after: Position, records_max: usize) -> BoxFuture<'_, Result<LogPage, StoreError>> {
        self.there_and_back(after.partition, async move { self.inner.read_log(after, records_max).await }).boxed()
    }

    fn start_anew(&self, partition: Partition) -> BoxFuture<'_, Result<Position, StoreError>> {
        self.there_and_back(partition, async move { self.inner.start_anew(partition).await }).boxed()
    }

    fn moves(&self) -> MovesWatcher {
        self.inner.moves()
    }

    fn get<'a>(&'a self, keys: &'a [RawKey]) -> BoxFuture<'a, Result<Vec<Option<StoredEntry>>, StoreError>> {
        let asked = async move {
            self.delay(|delays| delays.get).await;
            self.inner.get(keys).await
        };
        self.there_and_back(keys.first().map_or(Partition(0), |key| self.partition_of(key)), asked).boxed()
    }

    fn fill<'a>(&'a self, key: &'a RawKey, entry: StoredEntry) -> BoxFuture<'a, Result<Filled, StoreError>> {
        let filling = async move {
            self.delay(|delays| delays.fill).await;
            self.inner.fill(key, entry).await
        };
        self.there_and_back(self.partition_of(key), filling).boxed()
    }

    fn remove<'a>(&'a self, key: &'a RawKey) -> BoxFuture<'a, Result<(), StoreError>> {
        self.there_and_back(self.partition_of(key), async move { self.inner.remove(key).await }).boxed()
    }

    fn shares_entries(&self) -> bool {
        self.inner.shares_entries()
    }

    fn keys_tagged(&self, tag: TagId, looks_max: usize) -> BoxFuture<'_, Result<TaggedKeys, StoreError>> {
        self.there_and_back(Partition(0), async move { self.inner.keys_tagged(tag, looks_max).await }).boxed()
    }

    fn lease<'a>(&'a self, key: &'a RawKey, request: &'a LeaseRequest) -> BoxFuture<'a, Result<Leased, StoreError>> {
        let asked = async move {
            self.delay(|delays| delays.lease).await;
            self.inner.lease(key, request).await
        };
        self.there_and_back(self.partition_of(key), asked).boxed()
    }

    fn lease_many<'a>(
        &'a self,
        requests: &'a [(RawKey, LeaseRequest)],
    ) -> BoxFuture<'a, Result<Vec<Leased>, StoreError>> {
        let asked = async move {
            self.delay(|delays| delays.lease).await;
            self.inner.lease_many(requests).await
        };
        self.there_and_back(requests.first().map_or(Partition(0), |(key, _)| self.partition_of(key)), asked).boxed()
    }

    fn release<'a>(
        &'a self,
        key: &'a RawKey,
        owner: LeaseToken,
        after: AfterLease,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.there_and_back(self.partition_of(key), async move { self.inner.release(key, owner, after).await }).boxed()
    }
}
