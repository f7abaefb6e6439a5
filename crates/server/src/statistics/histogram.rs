//! Latencies counted by size: four buckets for each doubling, so a quantile is known to within a fifth.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// From below a microsecond to more than a minute.
const BUCKETS: usize = 4 * 27;

/// Counts from all cores at once.
#[derive(Debug)]
pub(super) struct Histogram([AtomicU64; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; BUCKETS])
    }
}

/// Median, 95th and 99th percentile, in microseconds.
pub(super) type Quantiles = [Option<i64>; 3];

impl Histogram {
    pub(super) fn note(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.0[bucket(micros)].fetch_add(1, Relaxed);
    }

    /// The quantiles of what was noted since the last call.
    pub(super) fn take(&self) -> Quantiles {
        let counts: Vec<u64> = self.0.iter().map(|bucket| bucket.swap(0, Relaxed)).collect();
        let all: u64 = counts.iter().sum();
        [50, 95, 99].map(|percent| {
            let wanted = (all * percent).div_ceil(100);
            let mut seen = 0;
            let reaches = |count: &u64| {
                seen += count;
                seen >= wanted
            };
            (all > 0).then(|| {
                i64::try_from(upper(counts.iter().position(reaches).unwrap_or(BUCKETS - 1))).unwrap_or(i64::MAX)
            })
        })
    }
}

fn bucket(micros: u64) -> usize {
    if micros < 4 {
        return usize::try_from(micros).unwrap_or(0);
    }
    let doubling = micros.ilog2();
    let quarter = (micros >> (doubling - 2)) & 3;
    let bucket = 4 * (doubling as usize - 1) + usize::try_from(quarter).unwrap_or(0);
    bucket.min(BUCKETS - 1)
}

/// The largest number of a bucket.
fn upper(bucket: usize) -> u64 {
    if bucket < 4 {
        return bucket as u64;
    }
    let (doubling, quarter) = (bucket / 4 + 1, bucket as u64 % 4);
    ((4 + quarter + 1) << (doubling - 2)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_in_a_bucket_that_ends_within_a_quarter_above_it() {
        let mut last = 0;
        for micros in (0..5000).chain((0..100).map(|step| 5000 + step * 997_001)) {
            let at = bucket(micros);
            assert!(at >= last, "{micros}");
            last = at;
            assert!(upper(at) >= micros && upper(at) <= micros + micros / 4, "{micros} in {at}, up to {}", upper(at));
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_those_of_what_came_since_the_last_time() {
        let histogram = Histogram::default();
        assert_eq!(histogram.take(), [None; 3]);
        for micros in 1..=100 {
            histogram.note(Duration::from_micros(micros));
        }
        let [median, high, highest] = histogram.take().map(Option::unwrap);
        assert!((50..=62).contains(&median) && (95..=118).contains(&high) && (99..=124).contains(&highest));
        assert_eq!(histogram.take(), [None; 3]);
    }
}
