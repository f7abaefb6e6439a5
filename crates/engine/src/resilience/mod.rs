//! Resilience: a store that is away, slow, full or refusing costs little, and nothing is stale when it comes back.
//!
//! *Decide* (pure): [`breaker`] when the store is not asked at all · [`retry`] what is repeated, how soon, for what
//! share of operations · [`pending`] invalidations that the store has not taken yet.
//!
//! *Do*: [`store`] applies breaker, repetition and the hard time-out to any [`Store`](crate::store::Store). How long
//! a *read* waits (the soft time-outs) is known only to the reads themselves: `cache::patience`. Keeping and
//! replaying invalidations is `cache::replay`.
//!
//! See `docs/adr/0010-resilience.md`.

mod breaker;
pub(crate) mod pending;
pub(crate) mod retry;
mod store;

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

pub use self::{
    breaker::{BreakerLimits, BreakerState},
    pending::PendingLimits,
    retry::RetryLimits,
    store::ResilientStore,
};

/// How a cache behaves towards a store that fails or is slow. See
/// [`CacheBuilder::resilience`](crate::CacheBuilder::resilience).
///
/// The defaults keep a dead or stalled store within 50 ms of a read, until the breaker opens; from then on it costs
/// nothing. They suit a store in the same data centre, whose round trip is well below a millisecond. Where the round
/// trip is longer, set the waits to a few times its 99.9th percentile: a wait that a healthy store exceeds turns hits
/// into loads (never into errors, and never into stale answers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resilience {
    /// When the store is not asked at all.
    pub breaker: BreakerLimits,
    /// For what there is one breaker.
    pub breaker_per: BreakerPer,
    /// What is repeated.
    pub retry: RetryLimits,
    /// The hard time-out: after it an operation is given up, repetitions included, and counted as a failure. Writers
    /// wait as long as that for an invalidation to be recorded, reads do not.
    pub operation_wait: Duration,
    /// The soft time-out of a read: how long all that it asks of the store may take together, before it goes on to
    /// the loader. The operation goes on without it until the hard time-out, and what it still brings is put into
    /// memory.
    pub read_wait: Duration,
    /// How long a load waits to hear whether another node loads the same, from a store that keeps it waiting and answers
    /// others: it is busy, and a load more would make it no less so. From one that answers nobody for `read_wait`, no
    /// longer than that.
    pub busy_wait: Duration,
    /// The same as `read_wait` for a read that has something to answer with instead of loading: a value in memory that its
    /// [`Mode::StaleOk`](crate::Mode::StaleOk) still allows.
    pub read_wait_with_fallback: Duration,
    /// How long the reader who loaded a value waits until the store has taken it. The store gets it all the same.
    pub fill_wait: Duration,
    /// Operations that go on without their reader at once; more are given up with their reader.
    pub late_operations_max: usize,
}

/// Counts what a store has answered: signs that it lives.
#[derive(Debug, Default)]
pub(crate) struct Pulse(AtomicU64);

impl Pulse {
    /// Notes an answer.
    pub(crate) fn beat(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// How many there were.
    pub(crate) fn beats(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// For what there is one breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerPer {
    /// The whole store: it is one server, or one with its replicas.
    Store,
    /// A partition of the log: partitions are on different servers (Redis Cluster), one of which may be away alone.
    Partition,
}

impl Default for Resilience {
    fn default() -> Self {
        Self {
            breaker: BreakerLimits::default(),
            breaker_per: BreakerPer::Store,
            retry: RetryLimits::default(),
            operation_wait: Duration::from_secs(1),
            read_wait: Duration::from_millis(35),
            busy_wait: Duration::from_millis(250),
            read_wait_with_fallback: Duration::from_millis(8),
            fill_wait: Duration::from_millis(10),
            late_operations_max: 1024,
        }
    }
}
