//! Base-aware single flight: concurrent identical misses load once.
//!
//! # Invariants
//! - A reader joins a flight only if the flight's base is at or above the position the reader needs, and no tag that
//!   the value is known to have was invalidated since that base.
//! - A newer flight takes an older one's place for new readers; the older one still answers its own.
//! - A flight that ends without an outcome (its task was dropped) wakes its readers, who load for themselves.
//!
//! Whether a joined flight's value may be *used* is judged again when it lands, by the rule; see `cache::read`.

use std::{any::Any, collections::HashMap, sync::Arc};

use tokio::sync::watch;

use crate::{
    entry::{Entry, TagIds},
    hash_map::IdBuildHasher,
    key::RawKey,
    position::Position,
    sync::{AtomicUsize, Mutex, Ordering::Relaxed},
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
    pub(crate) base: Position,
    /// Tags that the value is known to have before it is loaded: those of the entry it replaces.
    pub(crate) known_tags: TagIds,
    landed: watch::Sender<Option<Outcome>>,
    waiters: AtomicUsize,
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
    landed: bool,
}

/// A reader waiting for a flight.
pub(crate) struct Join {
    flight: Arc<Flight>,
    landing: watch::Receiver<Option<Outcome>>,
}

const SHARDS: usize = 16;

/// All running loads.
pub(crate) struct Flights {
    shards: [Mutex<HashMap<RawKey, Arc<Flight>, IdBuildHasher>>; SHARDS],
    waiters_max: usize,
}

impl Flights {
    pub(crate) fn new(waiters_max: usize) -> Self {
        Self { shards: Default::default(), waiters_max }
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
            if flight.waiters.fetch_add(1, Relaxed) >= self.waiters_max {
                flight.waiters.fetch_sub(1, Relaxed);
                return Seat::Full;
            }
            return Seat::Join(Join { flight: flight.clone(), landing: flight.landed.subscribe() });
        }
        let flight = Arc::new(Flight::new(base, known_tags));
        shard.insert(key.clone(), flight.clone());
        Seat::Lead(Lead { flights: self.clone(), key: key.clone(), flight, landed: false })
    }

    /// A load of which no other reader knows.
    pub(crate) fn alone(self: &Arc<Self>, key: &RawKey, base: Position) -> Lead {
        let flight = Flight::new(base, TagIds::new());
        Lead { flights: self.clone(), key: key.clone(), flight: Arc::new(flight), landed: false }
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
    fn new(base: Position, known_tags: TagIds) -> Self {
        Self { base, known_tags, landed: watch::Sender::new(None), waiters: AtomicUsize::new(0) }
    }
}

impl Lead {
    /// The base of the load: captured before it begins.
    pub(crate) fn base(&self) -> Position {
        self.flight.base
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
        self.flight.landed.send_replace(Some(outcome));
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
    /// Waits for the flight to land.
    pub(crate) async fn outcome(mut self) -> Outcome {
        match self.landing.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().expect("waited until there is one"),
            Err(_) => Outcome::Aborted,
        }
    }
}

impl Drop for Join {
    fn drop(&mut self) {
        self.flight.waiters.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
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
        flights.board(&key(), base(sequence), TagIds::new(), |flight| flight.base.sequence >= Sequence(sequence))
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
