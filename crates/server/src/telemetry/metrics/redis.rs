//! What a Redis store counts.

use std::{fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric, counter::Counter, family::Family},
    registry::Registry,
};
use unstale::{
    RedisStats,
    store::{LATENCY_BOUNDS, LatencyStats, OperationStats},
};

use super::registered;

/// What a Redis store counts.
#[derive(Clone, Debug)]
pub struct RedisMetrics {
    /// Reads that found an entry.
    pub hits: Counter,
    /// Reads that found none.
    pub misses: Counter,
    /// Entries that Redis was not given because of their size, or had no room for.
    pub not_kept: Counter,
    /// Operations that failed.
    pub failed: Family<Operation, Counter>,
    /// How long commands take, in seconds.
    pub latency: RedisLatency,
}

/// What was asked of Redis.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Operation {
    /// `get`, `fill`, `append` (an invalidation), `log` or `remove`.
    pub operation: &'static str,
}

/// The kinds of operations, with what was counted of each.
fn operations(stats: &RedisStats) -> [(&'static str, &OperationStats); 5] {
    let RedisStats { get, fill, append, log, remove, .. } = stats;
    [("get", get), ("fill", fill), ("append", append), ("log", log), ("remove", remove)]
}

/// How long Redis takes, as the store has counted it: told as it stands, with its true sum, and not observed anew.
#[derive(Clone, Debug, Default)]
pub struct RedisLatency(Arc<Mutex<LatencyStats>>);

impl TypedMetric for RedisLatency {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for RedisLatency {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let stats = self.0.lock().clone();
        let bounds = LATENCY_BOUNDS.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(stats.buckets).collect();
        encoder.encode_histogram::<NoLabelSet>(stats.sum.as_secs_f64(), stats.count(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl RedisMetrics {
    pub(super) fn registered(r: &mut Registry) -> Self {
        Self {
            hits: registered(r, "redis_cache_hits", "Reads of Redis that found an entry", Counter::default()),
            misses: registered(r, "redis_cache_misses", "Reads of Redis that found none", Counter::default()),
            not_kept: registered(
                r,
                "redis_cache_not_kept",
                "Entries that are too large for Redis, or that it had no room for",
                Counter::default(),
            ),
            failed: registered(
                r,
                "redis_cache_failed_operations",
                "Operations on Redis that failed; of those that append, invalidations that were not recorded then",
                Family::default(),
            ),
            latency: registered(r, "redis_cache_latency_seconds", "How long Redis takes", RedisLatency::default()),
        }
    }

    /// Adds what was done since `told`, and remembers it.
    pub(super) fn tell(&self, told: &mut RedisStats, now: RedisStats) {
        self.hits.inc_by(now.hits - told.hits);
        self.misses.inc_by(now.misses - told.misses);
        self.not_kept.inc_by(now.not_kept - told.not_kept);
        let mut all = LatencyStats::default();
        for ((operation, now), (_, told)) in operations(&now).into_iter().zip(operations(told)) {
            self.failed.get_or_create(&Operation { operation }).inc_by(now.failed - told.failed);
            let LatencyStats { buckets, sum } = &now.latency;
            all.buckets.iter_mut().zip(buckets).for_each(|(all, count)| *all += count);
            all.sum += *sum;
        }
        *self.latency.0.lock() = all;
        *told = now;
    }
}
