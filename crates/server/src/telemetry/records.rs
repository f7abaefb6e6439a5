//! Metrics of what is kept about the cache, and of the consistency watch.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::metrics::registered;
use crate::consistency::Outcome;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Check {
    entity: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEntity {
    entity: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Skipped {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Write {
    outcome: &'static str,
}

/// What the consistency watch counts. The default counts for nobody.
#[derive(Clone, Debug, Default)]
pub struct ConsistencyMetrics {
    checks: Family<Check, Counter>,
    incorrect_ratio: Family<OfEntity, Gauge<f64, AtomicU64>>,
    skipped: Family<Skipped, Counter>,
}

impl ConsistencyMetrics {
    pub(super) fn new(r: &mut Registry) -> Self {
        Self {
            checks: registered(
                r,
                "cache_consistency_checks",
                "Hits that were compared with the truth, by what came of it",
                Family::default(),
            ),
            incorrect_ratio: registered(
                r,
                "cache_incorrect_ratio",
                "Share of compared hits that were incorrect, since the start",
                Family::default(),
            ),
            skipped: registered(
                r,
                "cache_consistency_skipped",
                "Comparisons that were left out, by why",
                Family::default(),
            ),
        }
    }

    /// Notes what came of a comparison.
    pub fn checked(&self, entity: &str, outcome: Outcome) {
        let check = |outcome: Outcome| Check { entity: entity.to_owned(), outcome: outcome.as_str() };
        self.checks.get_or_create(&check(outcome)).inc();
        let [correct, incorrect] =
            [Outcome::Correct, Outcome::Incorrect].map(|outcome| self.checks.get_or_create(&check(outcome)).get());
        if correct + incorrect > 0 {
            #[expect(clippy::cast_precision_loss, reason = "a ratio; 2^53 comparisons are far away")]
            let ratio = incorrect as f64 / (correct + incorrect) as f64;
            self.incorrect_ratio.get_or_create(&OfEntity { entity: entity.to_owned() }).set(ratio);
        }
    }

    /// How many comparisons had this outcome, of one kind of entry.
    pub fn checks(&self, entity: &str, outcome: Outcome) -> u64 {
        self.checks.get_or_create(&Check { entity: entity.to_owned(), outcome: outcome.as_str() }).get()
    }

    /// Notes a comparison that was left out.
    pub fn skipped(&self, reason: &'static str) {
        self.skipped.get_or_create(&Skipped { reason }).inc();
    }
}

/// What is counted of records about the cache. The default counts for nobody.
#[derive(Clone, Debug, Default)]
pub struct RecordMetrics {
    /// Notes and keys that found no place.
    pub dropped: Counter,
    writes: Family<Write, Counter>,
    /// The version of the configuration that is in force.
    pub configuration_version: Gauge,
}

impl RecordMetrics {
    pub(super) fn new(r: &mut Registry) -> Self {
        Self {
            dropped: registered(
                r,
                "cache_records_dropped",
                "Notes about the cache that were dropped, because too many waited",
                Counter::default(),
            ),
            writes: registered(
                r,
                "cache_record_writes",
                "Batches of records about the cache, by whether the database took them",
                Family::default(),
            ),
            configuration_version: registered(
                r,
                "cache_configuration_version",
                "The version of the cache's configuration that is in force",
                Gauge::default(),
            ),
        }
    }

    /// Notes a batch.
    pub fn written(&self, is_ok: bool) {
        self.writes.get_or_create(&Write { outcome: if is_ok { "ok" } else { "failed" } }).inc();
    }
}
