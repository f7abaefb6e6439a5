//! Any store, guarded: breaker, hard time-out, repetitions.
//!
//! # Invariants
//! - Every operation that a breaker lets through tells it what became of it, also when its caller goes away.
//! - Only what does no harm when it happens twice is repeated. (A record appended twice only invalidates twice.)
//!
//! It does not decide how a read or a write goes on without the store: that is the cache's.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};
use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    BreakerPer, BreakerState, Pulse, Resilience,
    breaker::{Breaker, Permit},
    retry::{self, Budget},
};
use crate::{
    key::RawKey,
    observe::{Event, Observers},
    position::{Partition, PartitionCount, Position},
    store::{
        AfterLease, Filled, LeaseRequest, LeaseToken, Leased, LocalHeads, LogPage, MovesWatcher, Nodes, Store,
        StoreError, StoredEntry, TaggedKeys,
    },
    tag::TagId,
    time::{SystemTimeSource, TimeSource, Timestamp},
};

/// A store behind a breaker, with a hard time-out and repetitions within a budget.
///
/// [`CacheBuilder::resilience`](crate::CacheBuilder::resilience) puts it around a cache's store; by itself it is of
/// use to who asks a store without a cache.
pub struct ResilientStore {
    inner: Arc<dyn Store>,
    resilience: Resilience,
    /// One, or one for each partition.
    circuits: Box<[Mutex<Circuit>]>,
    budget: Mutex<Budget>,
    random: Mutex<StdRng>,
    time: Arc<dyn TimeSource>,
    observers: Observers,
    pulse: Arc<Pulse>,
}

struct Circuit {
    breaker: Breaker,
    /// What the log was heard to do.
    moves: MovesWatcher,
    /// Probes that the last sign of life is still good for. More than one: who hears the log again may not reach the
    /// store yet on the connection that it asks on.
    probes_left: u32,
}

/// Early probes for each sign of life.
const PROBES_PER_SIGN: u32 = 8;

impl Circuit {
    fn ask(&mut self, now: Timestamp) -> Option<Permit> {
        if self.breaker.state() == BreakerState::Open {
            let heard = !self.moves.take().is_empty();
            self.probes_left = if heard { PROBES_PER_SIGN } else { self.probes_left };
        }
        self.breaker.ask(now, self.probes_left > 0)
    }

    fn failed(&mut self, permit: Permit, now: Timestamp, chance: f64) {
        let before = self.breaker.state();
        self.breaker.failed(permit, now, chance);
        match (before, self.breaker.state()) {
            (BreakerState::Closed, BreakerState::Open) => {
                // What was heard while it worked says nothing.
                self.moves.take();
                self.probes_left = 0;
            }
            (BreakerState::HalfOpen, BreakerState::Open) => self.probes_left = self.probes_left.saturating_sub(1),
            _ => {}
        }
    }
}

impl ResilientStore {
    /// Guards `inner`.
    pub fn new(inner: Arc<dyn Store>, resilience: Resilience) -> Self {
        let (time, observers) = (Arc::new(SystemTimeSource::default()), Observers::default());
        Self::observed(inner, resilience, rand::random(), time, observers, Arc::default())
    }

    pub(crate) fn observed(
        inner: Arc<dyn Store>,
        resilience: Resilience,
        seed: u64,
        time: Arc<dyn TimeSource>,
        observers: Observers,
        pulse: Arc<Pulse>,
    ) -> Self {
        let circuits = match resilience.breaker_per {
            BreakerPer::Store => 1,
            BreakerPer::Partition => inner.partitions().all().len(),
        };
        let circuit = || Circuit { breaker: Breaker::new(resilience.breaker), moves: inner.moves(), probes_left: 0 };
        Self {
            circuits: (0..circuits).map(|_| Mutex::new(circuit())).collect(),
            budget: Mutex::new(Budget::new(resilience.retry, time.now())),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            inner,
            resilience,
            time,
            observers,
            pulse,
        }
    }

    /// What the breaker of a partition does with operations.
    pub fn breaker(&self, partition: Partition) -> BreakerState {
        self.circuit(partition).lock().breaker.state()
    }

    fn circuit(&self, partition: Partition) -> &Mutex<Circuit> {
        &self.circuits[partition.index() % self.circuits.len()]
    }

    /// Runs an operation, and runs it again if it `may_repeat`.
    async fn run<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        partition: Partition,
        may_repeat: bool,
        operation: impl Fn() -> F,
    ) -> Result<T, StoreError> {
        self.budget.lock().deposit();
        let deadline = Instant::now() + self.resilience.operation_wait;
        let mut leave = self.ask(partition).ok_or(StoreError::Open)?;
        for failed in 1.. {
            let error = match timeout_at(deadline, operation()).await {
                Ok(Ok(answer)) => {
                    self.pulse.beat();
                    leave.end(|circuit, permit| circuit.breaker.succeeded(permit));
                    return Ok(answer);
                }
                // A guard within this one: it knows better, and has counted it.
                Ok(Err(StoreError::Open)) => return Err(StoreError::Open),
                Ok(Err(error)) => error,
                Err(_elapsed) => {
                    StoreError::Unavailable(format!("no answer within {:?}", self.resilience.operation_wait))
                }
            };
            let (now, chance) = (self.time.now(), self.chance());
            leave.end(|circuit, permit| circuit.failed(permit, now, chance));
            let retry = &self.resilience.retry;
            let wait = retry::wait(retry.wait_first, retry.wait_max, failed, self.chance());
            let again = may_repeat
                && !matches!(error, StoreError::Refused(_))
                && failed < retry.attempts_max
                && Instant::now() + wait < deadline
                && self.budget.lock().withdraw(now);
            if !again {
                return Err(error);
            }
            sleep(wait).await;
            leave = self.ask(partition).ok_or(error)?;
        }
        unreachable!("the last attempt returns");
    }

    fn ask(&self, partition: Partition) -> Option<Leave<'_>> {
        let mut leave = Leave { store: self, partition, permit: None };
        leave.change(|circuit, now, permit| *permit = circuit.ask(now));
        leave.permit.is_some().then_some(leave)
    }

    fn chance(&self) -> f64 {
        self.random.lock().random()
    }
}

/// An operation that was let through. Dropped with its permit, it tells the breaker that nothing was learnt.
struct Leave<'a> {
    store: &'a ResilientStore,
    partition: Partition,
    permit: Option<Permit>,
}

impl Leave<'_> {
    fn end(&mut self, tell: impl FnOnce(&mut Circuit, Permit)) {
        self.change(|circuit, _, permit| {
            if let Some(permit) = permit.take() {
                tell(circuit, permit);
            }
        });
    }

    /// Does something with the breaker, and tells the observers if that changed it.
    fn change(&mut self, act: impl FnOnce(&mut Circuit, Timestamp, &mut Option<Permit>)) {
        let store = self.store;
        let now = store.time.now();
        let (before, after) = {
            let mut circuit = store.circuit(self.partition).lock();
            let before = circuit.breaker.state();
            act(&mut circuit, now, &mut self.permit);
            (before, circuit.breaker.state())
        };
        if before != after {
            let partition = (store.circuits.len() > 1).then_some(self.partition);
            store.observers.tell(&Event::BreakerChanged { partition, state: after });
        }
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if self.permit.is_some() {
            self.end(|circuit, permit| circuit.breaker.abandoned(permit));
        }
    }
}

impl Store for ResilientStore {
    fn partitions(&self) -> PartitionCount {
        self.inner.partitions()
    }

    fn local_heads(&self) -> Option<Arc<LocalHeads>> {
        self.inner.local_heads()
    }

    fn head(&self, partition: Partition) -> BoxFuture<'_, Result<Position, StoreError>> {
        self.run(partition, true, move || self.inner.head(partition)).boxed()
    }

    fn append(
        &self,
        partition: Partition,
        tags: Vec<TagId>,
        note: Bytes,
    ) -> BoxFuture<'_, Result<Position, StoreError>> {
        self.run(partition, true, move || self.inner.append(partition, tags.clone(), note.clone())).boxed()
    }

    fn read_log(&self, after: Position, records_max: usize) -> BoxFuture<'_, Result<LogPage, StoreError>> {
        self.run(after.partition, true, move || self.inner.read_log(after, records_max)).boxed()
    }

    fn start_anew(&self, partition: Partition) -> BoxFuture<'_, Result<Position, StoreError>> {
        self.run(partition, false, move || self.inner.start_anew(partition)).boxed()
    }

    fn shares_entries(&self) -> bool {
        self.inner.shares_entries()
    }

    fn keys_tagged(&self, tag: TagId, looks_max: usize) -> BoxFuture<'_, Result<TaggedKeys, StoreError>> {
        // Takes long where there is much, and each of its steps has a time of its own.
        self.inner.keys_tagged(tag, looks_max)
    }

    fn nodes(&self) -> Option<&dyn Nodes> {
        self.inner.nodes()
    }

    fn lease<'a>(&'a self, key: &'a RawKey, request: &'a LeaseRequest) -> BoxFuture<'a, Result<Leased, StoreError>> {
        self.run(request.lease.base.partition, false, move || self.inner.lease(key, request)).boxed()
    }

    fn lease_many<'a>(
        &'a self,
        requests: &'a [(RawKey, LeaseRequest)],
    ) -> BoxFuture<'a, Result<Vec<Leased>, StoreError>> {
        let Some((_, first)) = requests.first() else { return self.inner.lease_many(requests) };
        self.run(first.lease.base.partition, false, move || self.inner.lease_many(requests)).boxed()
    }

    fn release<'a>(
        &'a self,
        key: &'a RawKey,
        owner: LeaseToken,
        after: AfterLease,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.run(self.partitions().of(key.tenant()), false, move || self.inner.release(key, owner, after)).boxed()
    }

    fn moves(&self) -> MovesWatcher {
        self.inner.moves()
    }

    fn get<'a>(&'a self, keys: &'a [RawKey]) -> BoxFuture<'a, Result<Vec<Option<StoredEntry>>, StoreError>> {
        // Of several partitions the first one's breaker speaks: a cache asks for keys of one tenant.
        let Some(first) = keys.first() else { return self.inner.get(keys) };
        let partition = self.partitions().of(first.tenant());
        self.run(partition, true, move || self.inner.get(keys)).boxed()
    }

    fn fill<'a>(&'a self, key: &'a RawKey, entry: StoredEntry) -> BoxFuture<'a, Result<Filled, StoreError>> {
        // Not repeated: the value is in memory, and the next load fills again.
        self.run(entry.base.partition, false, move || self.inner.fill(key, entry.clone())).boxed()
    }

    fn remove<'a>(&'a self, key: &'a RawKey) -> BoxFuture<'a, Result<(), StoreError>> {
        self.run(self.partitions().of(key.tenant()), true, move || self.inner.remove(key)).boxed()
    }
}

impl fmt::Debug for ResilientStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states: Vec<BreakerState> = self.circuits.iter().map(|circuit| circuit.lock().breaker.state()).collect();
        write!(f, "ResilientStore({states:?}, {:?})", self.inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        position::{Partition, PartitionCount},
        store::Moves,
    };

    #[test]
    fn a_sign_of_life_is_good_for_several_probes_and_not_for_ever() {
        let moves = Moves::new(PartitionCount::DEFAULT);
        let breaker = Breaker::new(super::super::BreakerLimits::default());
        let mut circuit = Circuit { breaker, moves: moves.watch(), probes_left: 0 };
        let mut now = Timestamp::from_millis(0);
        let fails = |circuit: &mut Circuit, now| circuit.ask(now).map(|permit| circuit.failed(permit, now, 0.0));
        moves.note(Partition(0));
        (0..5).for_each(|_| assert!(fails(&mut circuit, now).is_some()));
        now = now + Duration::from_secs(2);
        assert!(fails(&mut circuit, now).is_none(), "what was heard before says nothing");
        moves.note(Partition(0));
        for _ in 0..PROBES_PER_SIGN {
            assert!(fails(&mut circuit, now).is_some());
            assert!(fails(&mut circuit, now).is_none(), "not at once");
            now = now + Duration::from_secs(2);
        }
        assert!(fails(&mut circuit, now).is_none());
        assert!(fails(&mut circuit, now + Duration::from_secs(60)).is_some(), "and then as without any sign");
    }

    fn memory() -> Arc<dyn Store> {
        Arc::new(crate::MemoryStore::default())
    }

    /// A guard whose breaker is open.
    async fn open(resilience: Resilience) -> ResilientStore {
        let guard = ResilientStore::new(memory(), resilience);
        let partition = Partition(0);
        for _ in 0..resilience.breaker.failures_max {
            let failed = guard.run(partition, false, async || Err::<(), _>(StoreError::Unavailable(String::new())));
            failed.await.unwrap_err();
        }
        assert_eq!(guard.breaker(partition), BreakerState::Open);
        guard
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_guard_within_does_not_ask_is_no_failure_and_not_tried_again() {
        let inner = Arc::new(open(Resilience::default()).await);
        let mut outer = Resilience::default();
        outer.breaker.failures_max = 1;
        let (outer, began) = (ResilientStore::new(inner, outer), Instant::now());
        for _ in 0..3 {
            assert!(matches!(outer.head(Partition(0)).await, Err(StoreError::Open)));
        }
        assert_eq!(outer.breaker(Partition(0)), BreakerState::Closed);
        assert_eq!(began.elapsed(), Duration::ZERO, "nothing was waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn leases_and_removals_pass_the_breaker_too() {
        crate::catalogue! {
            /// Of this test.
            const _PATTERNS;
            /// A page.
            fn page() -> u8 = "page";
        }
        let key = page(&crate::Tenant::new("acme").unwrap()).raw().clone();
        let guard = open(Resilience::default()).await;
        let base = Position {
            partition: Partition(0),
            epoch: crate::position::Epoch(1),
            sequence: crate::position::Sequence(0),
        };
        let lease = crate::store::Lease { token: LeaseToken::from_u128(7), base };
        let requests = [(key.clone(), LeaseRequest { lease, ttl: Duration::from_secs(1), over: None })];
        assert!(matches!(guard.lease_many(&requests).await, Err(StoreError::Open)));
        assert_eq!(guard.lease_many(&[]).await.unwrap().len(), 0, "of nothing there is nothing to ask");
        assert!(matches!(guard.remove(&key).await, Err(StoreError::Open)));
        let well = ResilientStore::new(memory(), Resilience::default());
        assert_eq!(well.lease_many(&requests).await.unwrap()[0].held_by, None);
        well.remove(&key).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn it_prints_what_its_breakers_do() {
        let shown = format!("{:?}", open(Resilience::default()).await);
        assert!(shown.starts_with("ResilientStore([Open], MemoryStore"), "{shown}");
    }
}
