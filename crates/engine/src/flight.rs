//! Base-aware single flight: concurrent identical misses load once.
//!
//! # Invariants
//! - A reader joins a flight only if the flight's base is at or above the position the reader needs, and no tag that
//!   the value is known to have was invalidated since that base.
//! - A newer flight takes an older one's place for new readers; the older one still answers its own.
//! - A reader who cannot know how new its node's view is joins only a flight whose load begins after the reader asked:
//!   that load sees everything that was written before. One such flight per key waits at a time, for the one
//!   that runs; so without a store, too, a key is loaded by one at a time, whatever the number of readers.
//! - A flight that ends without an outcome (its task was dropped) wakes its readers, who load for themselves.
//!
//! Whether a joined flight's value may be *used* is judged again when it lands, by the rule; see `cache::read`.

use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use tokio::sync::Notify;

use crate::{
    entry::{Entry, TagIds},
    hash_map::IdBuildHasher,
    key::RawKey,
    position::Position,
    sync::{
        AtomicBool, AtomicU64, AtomicUsize, Mutex,
        Ordering::{AcqRel, Acquire, Relaxed, SeqCst},
    },
    time::Timestamp,
    verdict::NotStored,
};

/// What a flight brought.
#[derive(Clone)]
pub(crate) enum Outcome {
    /// A value, and why it was not kept if it was not.
    Loaded(Arc<Entry>, Option<NotStored>),
    /// The loader's own error, of the type its caller knows.
    Failed(Arc<dyn Any + Send + Sync>),
    /// The load took longer than its policy allows.
    TimedOut,
    /// The loader panicked, or the runtime is shutting down.
    Aborted,
}

/// The running load of one key.
pub(crate) struct Flight {
    /// Captured before the load begins, and again if it had to wait for its turn.
    base: Mutex<Position>,
    /// Tags that the value is known to have before it is loaded: those of the entry it replaces.
    pub(crate) known_tags: TagIds,
    /// Whether readers may join it who can judge nothing, if it began after they asked.
    is_next: bool,
    /// Its place in the order in which loads begin, from 1; 0 until then.
    number: AtomicU64,
    /// There once it has landed.
    outcome: OnceLock<Outcome>,
    /// Wakes those who wait for it, in the order in which they came.
    landing: Notify,
    waiters: AtomicUsize,
    /// Whether another load waits for this one.
    urgent: AtomicBool,
    /// When the loader began, if it has.
    began_at: OnceLock<Timestamp>,
}

/// A reader's place in a flight.
pub(crate) enum Seat {
    /// The reader must run the load; others may be waiting.
    Lead(Lead),
    /// Another load runs already.
    Join(Join),
    /// So many wait already that this reader loads by itself.
    Full,
}

/// The duty to land a flight. Dropping it lands it as [`Outcome::Aborted`].
pub(crate) struct Lead {
    flights: Arc<Flights>,
    key: RawKey,
    flight: Arc<Flight>,
    /// The flight that must land before the load begins.
    after: Option<Arc<Flight>>,
    landed: bool,
}

/// A reader waiting for a flight.
pub(crate) struct Join {
    flight: Arc<Flight>,
}

const SHARDS: usize = 16;

/// All running loads.
pub(crate) struct Flights {
    shards: [Mutex<HashMap<RawKey, Arc<Flight>, IdBuildHasher>>; SHARDS],
    waiters_max: usize,
    /// Loads that have begun.
    begun: AtomicU64,
}

/// A moment in the order in which loads begin: taken when a read begins, it tells which loads are newer than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked(u64);

impl Flights {
    pub(crate) fn new(waiters_max: usize) -> Self {
        Self { shards: Default::default(), waiters_max, begun: AtomicU64::new(0) }
    }

    /// Now.
    pub(crate) fn asked(&self) -> Asked {
        Asked(self.begun.load(SeqCst))
    }

    /// Joins the running load of `key` if `may_join` allows it, else begins a new one.
    pub(crate) fn board(
        self: &Arc<Self>,
        key: &RawKey,
        base: Position,
        known_tags: TagIds,
        may_join: impl FnOnce(&Flight) -> bool,
    ) -> Seat {
        let mut shard = self.shard(key).lock();
        if let Some(flight) = shard.get(key).filter(|flight| may_join(flight)) {
            return self.join(flight);
        }
        let flight = Arc::new(Flight::new(base, known_tags, false));
        shard.insert(key.clone(), flight.clone());
        Seat::Lead(Lead { flights: self.clone(), key: key.clone(), flight, after: None, landed: false })
    }

    /// Whether a load of `key` runs that `may_join` allows to join.
    pub(crate) fn is_running(&self, key: &RawKey, may_join: impl FnOnce(&Flight) -> bool) -> bool {
        self.shard(key).lock().get(key).is_some_and(|flight| may_join(flight))
    }

    /// Joins the load of `key` that had not begun when the reader asked, or puts one behind the load that runs. For a
    /// reader who cannot judge what was loaded before.
    pub(crate) fn board_next(self: &Arc<Self>, key: &RawKey, asked: Asked, base: Position, known_tags: TagIds) -> Seat {
        let mut shard = self.shard(key).lock();
        let running = shard.get(key);
        if let Some(flight) = running.filter(|flight| flight.is_newer(asked)) {
            return self.join(flight);
        }
        let after = running.cloned();
        let flight = Arc::new(Flight::new(base, known_tags, true));
        shard.insert(key.clone(), flight.clone());
        Seat::Lead(Lead { flights: self.clone(), key: key.clone(), flight, after, landed: false })
    }

    fn join(&self, flight: &Arc<Flight>) -> Seat {
        if flight.waiters.fetch_add(1, Relaxed) >= self.waiters_max {
            flight.waiters.fetch_sub(1, Relaxed);
            return Seat::Full;
        }
        Seat::Join(Join { flight: flight.clone() })
    }

    /// A load of which no other reader knows.
    pub(crate) fn alone(self: &Arc<Self>, key: &RawKey, base: Position) -> Lead {
        let flight = Flight::new(base, TagIds::new(), false);
        Lead { flights: self.clone(), key: key.clone(), flight: Arc::new(flight), after: None, landed: false }
    }

    /// How many loads run.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn shard(&self, key: &RawKey) -> &Mutex<HashMap<RawKey, Arc<Flight>, IdBuildHasher>> {
        &self.shards[key.shard(SHARDS)]
    }
}

impl Flight {
    fn new(base: Position, known_tags: TagIds, is_next: bool) -> Self {
        Self {
            base: Mutex::new(base),
            known_tags,
            is_next,
            number: AtomicU64::new(0),
            outcome: OnceLock::new(),
            landing: Notify::new(),
            waiters: AtomicUsize::new(0),
            urgent: AtomicBool::new(false),
            began_at: OnceLock::new(),
        }
    }

    pub(crate) fn base(&self) -> Position {
        *self.base.lock()
    }

    /// How many have joined and wait.
    pub(crate) fn waiters(&self) -> usize {
        self.waiters.load(Relaxed)
    }

    /// When the loader began: what was written before, the value has seen. None if it has not, or never will because
    /// another node brought the value.
    pub(crate) fn began_at(&self) -> Option<Timestamp> {
        self.began_at.get().copied()
    }

    /// Whether its load sees everything that was written before a reader asked, and so does all that is read in it.
    fn is_newer(&self, asked: Asked) -> bool {
        let number = self.number.load(SeqCst);
        self.is_next && (number == 0 || number > asked.0)
    }

    /// Waits until it has landed, as every flight does: its lead sees to that. Not on a `watch`, which wakes those who
    /// wait in an order of chance, another in each run.
    async fn landed(&self) -> &Outcome {
        let woken = self.landing.notified();
        if self.outcome.get().is_none() {
            woken.await;
        }
        self.outcome.get().expect("there is an outcome before anybody is woken")
    }

    fn land(&self, outcome: Outcome) {
        // Whoever does not find it there has asked to be woken before.
        let _ = self.outcome.set(outcome);
        self.landing.notify_waiters();
    }

    /// Whether another load waits for this one.
    pub(crate) fn is_urgent(&self) -> bool {
        self.urgent.load(Acquire)
    }
}

impl Lead {
    /// The base of the load: captured before it begins.
    pub(crate) fn base(&self) -> Position {
        self.flight.base()
    }

    /// Waits for the flight before this one, if it was put behind one.
    pub(crate) async fn follow(&mut self) {
        if let Some(before) = self.after.take() {
            // However it ended: it runs no more.
            before.landed().await;
        }
    }

    /// Captures the base anew, because the load has not begun yet. It must not have.
    pub(crate) fn rebase(&self, base: Position) {
        *self.flight.base.lock() = base;
    }

    /// Says that the loader begins.
    pub(crate) fn begin(&self, now: Timestamp) {
        // Under the lock: whoever boards later sees that it has begun.
        let _boarding_is_over = self.flights.shard(&self.key).lock();
        let number = self.flights.begun.fetch_add(1, SeqCst) + 1;
        self.flight.number.store(number, SeqCst);
        let _ = self.flight.began_at.set(now);
    }

    /// What is loaded.
    pub(crate) fn key(&self) -> &RawKey {
        &self.key
    }

    /// The flight itself.
    pub(crate) fn flight(&self) -> &Arc<Flight> {
        &self.flight
    }

    /// Ends the flight and tells all who wait.
    pub(crate) fn land(mut self, outcome: Outcome) {
        self.landed = true;
        self.end(outcome);
    }

    fn end(&self, outcome: Outcome) {
        let mut shard = self.flights.shard(&self.key).lock();
        if shard.get(&self.key).is_some_and(|current| Arc::ptr_eq(current, &self.flight)) {
            shard.remove(&self.key);
        }
        drop(shard);
        self.flight.land(outcome);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if !self.landed {
            self.end(Outcome::Aborted);
        }
    }
}

impl Join {
    /// The flight itself.
    pub(crate) fn flight(&self) -> &Arc<Flight> {
        &self.flight
    }

    /// Says that another load waits for this flight. True if that is news.
    pub(crate) fn hasten(&self) -> bool {
        !self.flight.urgent.swap(true, AcqRel)
    }

    /// Waits for the flight to land.
    pub(crate) async fn outcome(self) -> Outcome {
        self.flight.landed().await.clone()
    }
}

impl Drop for Join {
    fn drop(&mut self) {
        self.flight.waiters.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::{
        position::{Epoch, Partition, Sequence},
        tenant::Tenant,
    };

    crate::catalogue! {
        /// Of these tests.
        const _PATTERNS;
        /// A page.
        fn page(number) -> u8 = "page";
    }

    fn key() -> RawKey {
        page(&Tenant::new("acme").unwrap(), 1).raw().clone()
    }

    fn base(sequence: u64) -> Position {
        Position { partition: Partition(0), epoch: Epoch(0), sequence: Sequence(sequence) }
    }

    fn board(flights: &Arc<Flights>, sequence: u64) -> Seat {
        flights.board(&key(), base(sequence), TagIds::new(), |flight| flight.base().sequence >= Sequence(sequence))
    }

    fn lead(seat: Seat) -> Lead {
        match seat {
            Seat::Lead(lead) => lead,
            _ => panic!("expected to lead"),
        }
    }

    fn join(seat: Seat) -> Join {
        match seat {
            Seat::Join(join) => join,
            _ => panic!("expected to join"),
        }
    }

    #[tokio::test]
    async fn all_who_join_get_the_outcome() {
        let flights = Arc::new(Flights::new(8));
        let leader = lead(board(&flights, 1));
        let joined: Vec<Join> = (0..3).map(|_| join(board(&flights, 1))).collect();
        leader.land(Outcome::TimedOut);
        for one in joined {
            assert!(matches!(one.outcome().await, Outcome::TimedOut));
        }
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn an_older_flight_is_not_joined_and_does_not_end_the_newer_one() {
        let flights = Arc::new(Flights::new(8));
        let old = lead(board(&flights, 1));
        let new = lead(board(&flights, 2));
        old.land(Outcome::TimedOut);
        let joined = join(board(&flights, 2));
        new.land(Outcome::Aborted);
        assert!(matches!(joined.outcome().await, Outcome::Aborted));
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn who_can_judge_nothing_joins_only_what_has_not_begun() {
        let flights = Arc::new(Flights::new(8));
        let board_next = || flights.board_next(&key(), flights.asked(), base(1), TagIds::new());
        let running = lead(board(&flights, 1));
        running.begin(Timestamp::default());
        let mut next = lead(board_next());
        let joined = join(board_next());
        {
            let mut turn = std::pin::pin!(next.follow());
            assert!((&mut turn).now_or_never().is_none(), "one load at a time");
            running.land(Outcome::TimedOut);
            turn.await;
        }
        join(board_next());
        let before = flights.asked();
        next.begin(Timestamp::default());
        // Who asked before it began may join it all the same.
        join(flights.board_next(&key(), before, base(1), TagIds::new()));
        let third = lead(board_next());
        next.land(Outcome::Aborted);
        assert!(matches!(joined.outcome().await, Outcome::Aborted));
        assert_eq!(flights.len(), 1, "the third one stands where the second one was");
        drop(third);
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn who_can_judge_nothing_joins_no_flight_that_others_began_although_it_waits() {
        let flights = Arc::new(Flights::new(8));
        // It may still land with what another node loaded.
        let _waiting = lead(board(&flights, 1));
        lead(flights.board_next(&key(), flights.asked(), base(1), TagIds::new()));
    }

    #[tokio::test]
    async fn a_dropped_leader_wakes_those_who_wait() {
        let flights = Arc::new(Flights::new(8));
        let leader = lead(board(&flights, 1));
        let joined = join(board(&flights, 1));
        drop(leader);
        assert!(matches!(joined.outcome().await, Outcome::Aborted));
        lead(board(&flights, 1));
    }

    #[test]
    fn a_full_flight_takes_no_more_until_somebody_leaves() {
        let flights = Arc::new(Flights::new(1));
        let _leader = lead(board(&flights, 1));
        let only = join(board(&flights, 1));
        assert!(matches!(board(&flights, 1), Seat::Full));
        drop(only);
        join(board(&flights, 1));
    }
}
