//! What warming counts.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use unstale::Warmed;

use super::registered;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WarmRead {
    occasion: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WarmOccasion {
    occasion: &'static str,
}

/// What warming counts, by its occasion. The default counts for nobody.
#[derive(Clone, Debug, Default)]
pub struct WarmMetrics {
    reads: Family<WarmRead, Counter>,
    skipped: Family<WarmOccasion, Counter>,
}

impl WarmMetrics {
    pub(super) fn registered(r: &mut Registry) -> Self {
        Self {
            reads: registered(r, "cache_warm_reads", "Reads that warmed the cache, by outcome", Family::default()),
            skipped: registered(
                r,
                "cache_warm_skipped",
                "Occasions to warm the cache that were left out, because too many waited",
                Family::default(),
            ),
        }
    }

    /// Notes what became of an occasion's reads.
    pub fn warmed(&self, occasion: &'static str, warmed: Warmed) {
        let Warmed { present, loaded, failed, left_out } = warmed;
        for (outcome, count) in [("present", present), ("loaded", loaded), ("failed", failed), ("left_out", left_out)] {
            self.reads.get_or_create(&WarmRead { occasion, outcome }).inc_by(count as u64);
        }
    }

    /// Notes an occasion that was left out, because too many waited.
    pub fn skipped(&self, occasion: &'static str) {
        self.skipped.get_or_create(&WarmOccasion { occasion }).inc();
    }
}
