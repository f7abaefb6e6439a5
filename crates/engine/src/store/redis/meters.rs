//! What the store has done, counted: for metrics and for whoever looks for what is slow.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

use crate::store::{Filled, StoreError};

/// Upper bounds of the buckets of a latency histogram; a last one has no bound.
pub const LATENCY_BOUNDS: [Duration; 12] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
];
const BUCKETS: usize = LATENCY_BOUNDS.len() + 1;

/// What a store on Redis did since it was made.
#[derive(Clone, Debug, Default)]
pub struct RedisStats {
    /// Reads of entries, a batch counted once.
    pub get: OperationStats,
    /// Fills.
    pub fill: OperationStats,
    /// Appends to the log.
    pub append: OperationStats,
    /// Reads of the log, and of its head.
    pub log: OperationStats,
    /// Removals of an entry.
    pub remove: OperationStats,
    /// Entries found. Whether they were valid is the reader's to judge.
    pub hits: u64,
    /// Entries not found, malformed and corrupt ones among them.
    pub misses: u64,
    /// Keys of the cache that held something else than an entry of this format: another release wrote it, or another
    /// program.
    pub malformed: u64,
    /// Entries whose bytes were not those that were written.
    pub corrupt: u64,
    /// Fills that stored their entry.
    pub stored: u64,
    /// Fills refused because the entry was overtaken.
    pub overtaken: u64,
    /// Fills refused because a newer entry was stored.
    pub newer_stored: u64,
    /// Fills not tried because of the entry's size, or for which a full server had no room.
    pub not_kept: u64,
    /// Calls that were not answered in time; all their callers failed.
    pub timed_out: u64,
    /// How records went together.
    pub append_groups: GroupStats,
    /// How entries went together.
    pub fill_groups: GroupStats,
}

/// How often an operation was asked for, and how it went. One that its caller gave up is in no number.
#[derive(Clone, Debug, Default)]
pub struct OperationStats {
    /// Those that failed.
    pub failed: u64,
    /// How long all took, failed ones included.
    pub latency: LatencyStats,
}

/// A histogram.
#[derive(Clone, Debug, Default)]
pub struct LatencyStats {
    /// How many took at most as long as the bound of the same place in [`LATENCY_BOUNDS`] and longer than the one before;
    /// the last, longer than all.
    pub buckets: [u64; BUCKETS],
    /// All of them together.
    pub sum: Duration,
}

impl LatencyStats {
    /// How many.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// How many calls carried how many items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupStats {
    /// Calls to the server.
    pub calls: u64,
    /// Records or entries that went with them.
    pub items: u64,
    /// The most that went together.
    pub largest: u64,
}

/// The counters behind [`RedisStats`].
#[derive(Default)]
pub(super) struct Meters {
    pub(super) get: Meter,
    pub(super) fill: Meter,
    pub(super) append: Meter,
    pub(super) log: Meter,
    pub(super) remove: Meter,
    hits: AtomicU64,
    misses: AtomicU64,
    pub(super) malformed: AtomicU64,
    pub(super) corrupt: AtomicU64,
    pub(super) timed_out: AtomicU64,
    pub(super) append_group: GroupMeter,
    pub(super) fill_group: GroupMeter,
    /// Whether the server had no room for the last entries that it was given.
    pub(super) is_full: AtomicBool,
    /// Stored, overtaken, newer stored, not kept.
    filled: [AtomicU64; 4],
}

impl Meters {
    /// Whether each key asked for was found.
    pub(super) fn count_found(&self, found: &[bool]) {
        let hits = found.iter().filter(|found| **found).count();
        for (counter, count) in [(&self.hits, hits), (&self.misses, found.len() - hits)] {
            if count > 0 {
                counter.fetch_add(count as u64, Relaxed);
            }
        }
    }

    pub(super) fn count_fill(&self, filled: Filled) {
        let place = match filled {
            Filled::Stored => 0,
            Filled::Overtaken => 1,
            Filled::NewerStored => 2,
            Filled::NotKept => 3,
        };
        self.filled[place].fetch_add(1, Relaxed);
    }

    pub(super) fn stats(&self) -> RedisStats {
        let count = |counter: &AtomicU64| counter.load(Relaxed);
        let [stored, overtaken, newer_stored, not_kept] = &self.filled;
        RedisStats {
            get: self.get.stats(),
            fill: self.fill.stats(),
            append: self.append.stats(),
            log: self.log.stats(),
            remove: self.remove.stats(),
            hits: count(&self.hits),
            misses: count(&self.misses),
            malformed: count(&self.malformed),
            corrupt: count(&self.corrupt),
            stored: count(stored),
            overtaken: count(overtaken),
            newer_stored: count(newer_stored),
            not_kept: count(not_kept),
            timed_out: count(&self.timed_out),
            append_groups: self.append_group.stats(),
            fill_groups: self.fill_group.stats(),
        }
    }
}

/// Counts and times one kind of operation.
#[derive(Default)]
pub(super) struct Meter {
    failed: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
}

impl Meter {
    pub(super) async fn time<T>(
        &self,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let began = Instant::now();
        let result = operation.await;
        self.note(began.elapsed(), result.is_ok());
        result
    }

    fn note(&self, took: Duration, went_well: bool) {
        let bucket = LATENCY_BOUNDS.partition_point(|bound| *bound < took);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        if !went_well {
            self.failed.fetch_add(1, Relaxed);
        }
    }

    fn stats(&self) -> OperationStats {
        let buckets = std::array::from_fn(|at| self.buckets[at].load(Relaxed));
        let sum = Duration::from_nanos(self.sum_ns.load(Relaxed));
        OperationStats { failed: self.failed.load(Relaxed), latency: LatencyStats { buckets, sum } }
    }
}

/// Counts calls and what they carry.
#[derive(Default)]
pub(super) struct GroupMeter {
    calls: AtomicU64,
    items: AtomicU64,
    largest: AtomicU64,
}

impl GroupMeter {
    pub(super) fn count(&self, items: usize) {
        self.calls.fetch_add(1, Relaxed);
        self.items.fetch_add(items as u64, Relaxed);
        self.largest.fetch_max(items as u64, Relaxed);
    }

    fn stats(&self) -> GroupStats {
        GroupStats {
            calls: self.calls.load(Relaxed),
            items: self.items.load(Relaxed),
            largest: self.largest.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_counted_in_its_bucket() {
        let meter = Meter::default();
        meter.note(Duration::from_micros(100), true);
        meter.note(Duration::from_micros(101), true);
        meter.note(Duration::from_secs(9), false);
        let stats = meter.stats();
        assert_eq!((stats.latency.buckets[0], stats.latency.buckets[1], stats.latency.buckets[BUCKETS - 1]), (1, 1, 1));
        assert_eq!((stats.latency.count(), stats.failed), (3, 1));
        assert_eq!(stats.latency.sum, Duration::from_micros(9_000_201));
    }
}
