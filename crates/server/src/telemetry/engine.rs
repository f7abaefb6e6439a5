//! Counting what the cache does, without a look-up by label on the path of a hit.
//!
//! Each entity's handles are resolved once and found again by the address of its name, which is a literal of the
//! catalogue. One entity whose name stands at two addresses takes two places that count in the same metrics.

use std::{fmt, sync::OnceLock, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use unstale::{BypassReason, Event, EvictionCause, MissReason, NotStored, Observer, StaleReason, Verdict};

use super::metrics::{Answers, CacheLatency, Histograms, latency_histogram, registered};

/// Places for entities: a catalogue has some dozens. Those beyond it are counted together as `other`.
const PLACES: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Read {
    entity: &'static str,
    verdict: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Load {
    entity: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Entity {
    entity: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BreakerChange {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartitionOf {
    partition: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Eviction {
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refusal {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Threshold {
    percent: u8,
}

/// What is counted of the cache.
pub(super) struct EngineMetrics {
    reads: Family<Read, Counter>,
    loads: Family<Load, Counter>,
    load_seconds: Histograms<Entity>,
    load_latency: Histogram,
    invalidations: Counter,
    records_applied: Counter,
    joined: Counter,
    log_skips: Counter,
    store_failures: Counter,
    not_shared: Family<Refusal, Counter>,
    evictions: Family<Eviction, Counter>,
    breaker_changes: Family<BreakerChange, Counter>,
    invalidations_pending: Family<PartitionOf, Gauge>,
    quotas_reached: Counter,
    memory_above: Family<Threshold, Gauge>,
    places: Box<[OnceLock<Handles>]>,
    other: OnceLock<Handles>,
}

/// The resolved handles of one entity.
struct Handles {
    entity: &'static str,
    address: usize,
    reads: [OnceLock<Counter>; VERDICTS],
    loads_kept: Counter,
    loads_not_kept: Family<Load, Counter>,
    loads_failed: Counter,
    load_seconds: Histogram,
}

/// Verdicts with their reasons.
const VERDICTS: usize = 23;

impl EngineMetrics {
    pub(super) fn new(registry: &mut Registry, latency: &CacheLatency) -> Self {
        let r = registry;
        let counter = |r: &mut Registry, name: &str, help: &str| registered(r, name, help, Counter::default());
        Self {
            reads: registered(r, "cache_reads", "Reads, by how they were answered and why", Family::default()),
            loads: registered(r, "cache_loads", "Loads, by what became of their value", Family::default()),
            load_seconds: registered(
                r,
                "cache_load_seconds",
                "How long loads take",
                Family::new_with_constructor(latency_histogram as fn() -> Histogram),
            ),
            load_latency: latency.of("load", "memory"),
            invalidations: counter(r, "cache_invalidations", "Tags declared wrong"),
            records_applied: counter(r, "cache_records_applied", "Records of the log applied"),
            joined: counter(r, "cache_joined", "Readers that waited for a running load"),
            log_skips: counter(r, "cache_log_skips", "Times that part of the log was missed and a partition flushed"),
            store_failures: counter(r, "cache_store_failures", "Times that the store did not answer"),
            not_shared: registered(
                r,
                "cache_not_shared",
                "Values kept in memory that were not offered to the store, and why",
                Family::default(),
            ),
            evictions: registered(r, "cache_evictions", "Entries evicted from memory, and why", Family::default()),
            quotas_reached: counter(r, "cache_quotas_reached", "Times that a tenant reached its quota in memory"),
            memory_above: registered(
                r,
                "cache_memory_above_threshold",
                "1 while memory is above this percentage of its limit",
                Family::default(),
            ),
            breaker_changes: registered(
                r,
                "cache_breaker_changes",
                "Changes of the breaker before the store, by what it does since",
                Family::default(),
            ),
            invalidations_pending: registered(
                r,
                "cache_invalidations_pending",
                "Invalidations that wait for the store, by the log's partition",
                Family::default(),
            ),
            places: (0..PLACES).map(|_| OnceLock::new()).collect(),
            other: OnceLock::new(),
        }
    }

    /// The answers of each entity.
    pub(super) fn each_entity(&self, mut tell: impl FnMut(&str, Answers)) {
        let mut told: Vec<&str> = Vec::new();
        for handles in self.places.iter().chain([&self.other]).filter_map(OnceLock::get) {
            if !told.contains(&handles.entity) {
                told.push(handles.entity);
                tell(handles.entity, self.answers(handles.entity));
            }
        }
    }

    fn answers(&self, entity: &'static str) -> Answers {
        let mut answers = Answers::default();
        for (verdict, reason) in (0..VERDICTS).map(words) {
            if let Some(count) = self.reads.get(&Read { entity, verdict, reason }).map(|counter| counter.get()) {
                let is_hit = verdict == "HIT" || verdict == "STALE";
                *(if is_hit { &mut answers.hits } else { &mut answers.misses }) += count;
            }
        }
        answers
    }

    fn handles(&self, entity: &'static str) -> &Handles {
        let address = entity.as_ptr().addr();
        // Literals lie next to each other: the low bits of their addresses differ the most.
        let first = (address ^ (address >> 8)) % PLACES;
        for step in 0..PLACES {
            let handles = self.places[(first + step) % PLACES].get_or_init(|| self.resolve(entity, address));
            if handles.address == address && handles.entity.len() == entity.len() {
                return handles;
            }
        }
        self.other.get_or_init(|| self.resolve("other", 0))
    }

    fn resolve(&self, entity: &'static str, address: usize) -> Handles {
        Handles {
            entity,
            address,
            reads: [const { OnceLock::new() }; VERDICTS],
            loads_kept: self.loads.get_or_create_owned(&Load { entity, outcome: "kept" }),
            loads_not_kept: self.loads.clone(),
            loads_failed: self.loads.get_or_create_owned(&Load { entity, outcome: "failed" }),
            load_seconds: self.load_seconds.get_or_create_owned(&Entity { entity }),
        }
    }

    fn read(&self, entity: &'static str, verdict: Verdict) {
        let handles = self.handles(entity);
        let resolve = || {
            let (verdict, reason) = (verdict.as_str(), verdict.reason().unwrap_or(""));
            self.reads.get_or_create_owned(&Read { entity: handles.entity, verdict, reason })
        };
        handles.reads[place(verdict)].get_or_init(resolve).inc();
    }

    fn load(&self, entity: &'static str, outcome: Result<Option<&'static str>, ()>, took: Duration) {
        let handles = self.handles(entity);
        match outcome {
            Ok(None) => handles.loads_kept.inc(),
            Ok(Some(outcome)) => handles.loads_not_kept.get_or_create(&Load { entity: handles.entity, outcome }).inc(),
            Err(()) => handles.loads_failed.inc(),
        };
        handles.load_seconds.observe(took.as_secs_f64());
        self.load_latency.observe(took.as_secs_f64());
    }

    fn evicted(&self, cause: EvictionCause) {
        let words = match cause {
            EvictionCause::Expired => "expired",
            EvictionCause::Memory => "memory",
            EvictionCause::Quota => "quota",
        };
        self.evictions.get_or_create(&Eviction { cause: words }).inc();
    }

    /// One of everything, for tests of the exposition.
    #[cfg(test)]
    pub(super) fn exercise(&self) {
        self.read("flow", Verdict::Hit);
        self.read("flow", Verdict::Miss(MissReason::Absent));
        self.load("flow", Ok(None), Duration::from_millis(2));
        self.on_event(&Event::BreakerChanged { partition: None, state: unstale::BreakerState::Open });
        self.evicted(EvictionCause::Memory);
        self.memory_above.get_or_create(&Threshold { percent: 80 }).set(0);
    }
}

impl Observer for EngineMetrics {
    fn on_event(&self, event: &Event<'_>) {
        match event {
            Event::Read { key, verdict } => self.read(key.entity(), *verdict),
            Event::Loaded { key, took, not_stored, .. } => {
                self.load(key.entity(), Ok(not_stored.map(NotStored::as_str)), *took);
            }
            Event::LoadFailed { key, took } => self.load(key.entity(), Err(()), *took),
            Event::Joined { .. } => {
                self.joined.inc();
            }
            Event::Applied { record } => {
                self.records_applied.inc();
                self.invalidations.inc_by(record.declared() as u64);
            }
            Event::Skipped { .. } => {
                self.log_skips.inc();
            }
            Event::StoreFailed { .. } => {
                self.store_failures.inc();
            }
            Event::NotShared { reason, .. } => {
                self.not_shared.get_or_create(&Refusal { reason: reason.as_str() }).inc();
            }
            Event::Evicted { cause, .. } => self.evicted(*cause),
            Event::QuotaReached { .. } => {
                self.quotas_reached.inc();
            }
            Event::MemoryThreshold { percent, above, .. } => {
                self.memory_above.get_or_create(&Threshold { percent: *percent }).set(i64::from(*above));
            }
            Event::BreakerChanged { state, .. } => {
                self.breaker_changes.get_or_create(&BreakerChange { state: state.as_str() }).inc();
            }
            Event::InvalidationsPending { partition, waiting } => {
                let partition = u32::try_from(partition.index()).unwrap_or(u32::MAX);
                let waiting = i64::try_from(*waiting).unwrap_or(i64::MAX);
                self.invalidations_pending.get_or_create(&PartitionOf { partition }).set(waiting);
            }
            // New kinds may be added; they are counted once they are known here.
            _ => {}
        }
    }
}

impl fmt::Debug for EngineMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineMetrics").finish_non_exhaustive()
    }
}

/// Every verdict with its reason, in the order of their places.
const ALL: [Verdict; VERDICTS] = [
    Verdict::Hit,
    Verdict::Stale(StaleReason::Grace),
    Verdict::Stale(StaleReason::FailSafe),
    Verdict::Stale(StaleReason::Invalidated),
    Verdict::Stale(StaleReason::Unconfirmed),
    Verdict::Miss(MissReason::Absent),
    Verdict::Miss(MissReason::Expired),
    Verdict::Miss(MissReason::Invalidated),
    Verdict::Miss(MissReason::BelowFloor),
    Verdict::Miss(MissReason::EpochChanged),
    Verdict::Miss(MissReason::Behind),
    Verdict::Miss(MissReason::Unconfirmed),
    Verdict::Miss(MissReason::Schema),
    Verdict::Miss(MissReason::Unsuitable),
    Verdict::Miss(MissReason::NoKey),
    Verdict::Miss(MissReason::Unauthentic),
    Verdict::Bypass(BypassReason::KeyTooLong),
    Verdict::Bypass(BypassReason::TooManyWaiters),
    Verdict::Bypass(BypassReason::OutOfReach),
    Verdict::Bypass(BypassReason::StoreOpen),
    Verdict::Bypass(BypassReason::StoreFailed),
    Verdict::Bypass(BypassReason::StoreSlow),
    Verdict::Bypass(BypassReason::Off),
];

fn place(verdict: Verdict) -> usize {
    match verdict {
        Verdict::Hit => 0,
        Verdict::Stale(StaleReason::Grace) => 1,
        Verdict::Stale(StaleReason::FailSafe) => 2,
        Verdict::Stale(StaleReason::Invalidated) => 3,
        Verdict::Stale(StaleReason::Unconfirmed) => 4,
        Verdict::Miss(MissReason::Absent) => 5,
        Verdict::Miss(MissReason::Expired) => 6,
        Verdict::Miss(MissReason::Invalidated) => 7,
        Verdict::Miss(MissReason::BelowFloor) => 8,
        Verdict::Miss(MissReason::EpochChanged) => 9,
        Verdict::Miss(MissReason::Behind) => 10,
        Verdict::Miss(MissReason::Unconfirmed) => 11,
        Verdict::Miss(MissReason::Schema) => 12,
        Verdict::Miss(MissReason::Unsuitable) => 13,
        Verdict::Miss(MissReason::NoKey) => 14,
        Verdict::Miss(MissReason::Unauthentic) => 15,
        Verdict::Bypass(BypassReason::KeyTooLong) => 16,
        Verdict::Bypass(BypassReason::TooManyWaiters) => 17,
        Verdict::Bypass(BypassReason::OutOfReach) => 18,
        Verdict::Bypass(BypassReason::StoreOpen) => 19,
        Verdict::Bypass(BypassReason::StoreFailed) => 20,
        Verdict::Bypass(BypassReason::StoreSlow) => 21,
        Verdict::Bypass(BypassReason::Off) => 22,
    }
}

fn words(place: usize) -> (&'static str, &'static str) {
    (ALL[place].as_str(), ALL[place].reason().unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use unstale::{
        Cache, CacheLimits, Invalidation, L1Limits, Loaded, MemoryStore, Policy, ReadOptions, Tag, Tenant, catalogue,
        record,
    };

    use super::*;
    use crate::telemetry::{BuildInfo, Metrics};

    catalogue! {
        /// Of these tests.
        const _PATTERNS;
        /// A flow.
        fn flow(id) -> Flow = "flow";
    }

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Flow(u64);
    unstale::cacheable!(Flow, "Flow v1");

    #[test]
    fn every_verdict_has_its_own_place() {
        for (at, verdict) in ALL.iter().enumerate() {
            assert_eq!(place(*verdict), at);
        }
    }

    #[test]
    fn more_entities_than_places_are_counted_together() {
        let mut registry = Registry::default();
        let latency = CacheLatency::unregistered();
        let metrics = EngineMetrics::new(&mut registry, &latency);
        for number in 0..PLACES + 10 {
            metrics.read(Box::leak(format!("entity{number}").into_boxed_str()), Verdict::Hit);
        }
        assert_eq!(metrics.answers("other").hits, 10);
        assert_eq!(metrics.answers("entity0").hits, 1);
    }

    #[tokio::test]
    async fn memory_that_fills_up_shows() {
        let metrics = Metrics::new(&BuildInfo { version: "1", commit: "c" });
        let l1 = L1Limits { bytes_max: 20_000, ..L1Limits::default() };
        let limits = CacheLimits { l1, ..CacheLimits::default() };
        let cache = Cache::builder(Arc::new(MemoryStore::default())).limits(limits).observer(metrics.observer());
        let cache = cache.build().await.unwrap();
        metrics.watch(&cache);
        let acme = Tenant::new("acme").unwrap();
        for number in 0..1000 {
            let load = || async { Ok::<_, String>(Loaded::value(Flow(7))) };
            let policy = Policy::ttl(Duration::from_secs(60));
            cache.fetch(&flow(&acme, number), &policy, &ReadOptions::default(), load).await.unwrap();
        }
        let text = metrics.render();
        let evicted = 1000 - cache.size().entries;
        for line in [
            &format!(r#"cache_evictions_total{{cause="memory"}} {evicted}"#),
            "cache_quotas_reached_total 1",
            r#"cache_memory_above_threshold{percent="80"} 1"#,
            r#"cache_memory_above_threshold{percent="95"} 1"#,
            "cache_size_limit_bytes 20000",
            "cache_tenants 1",
        ] {
            assert!(text.contains(line), "{line} is missing:\n{text}");
        }
    }

    #[tokio::test]
    async fn a_real_cache_is_counted() {
        let metrics = Metrics::new(&BuildInfo { version: "1", commit: "c" });
        let store = Arc::new(MemoryStore::default());
        let cache = Cache::builder(store).observer(metrics.observer()).build().await.unwrap();
        metrics.watch(&cache);
        let acme = Tenant::new("acme").unwrap();
        let policy = Policy::ttl(Duration::from_secs(60));
        let (key, options) = (flow(&acme, 1), ReadOptions::default());
        let read = || {
            cache.fetch(&key, &policy, &options, || async {
                record(&Tag::of(&Tenant::new("acme").unwrap(), "flow", 1));
                Ok::<_, String>(Loaded::value(Flow(7)))
            })
        };
        for _ in 0..4 {
            read().await.unwrap();
        }
        cache.invalidate(&Invalidation::of([Tag::of(&acme, "flow", 1)])).await.unwrap();
        read().await.unwrap();
        cache.invalidate(&Invalidation::of([Tag::of(&acme, "flow", 2)]).purging()).await.unwrap();
        let text = metrics.render();
        for line in [
            r#"cache_reads_total{entity="flow",verdict="HIT",reason=""} 3"#,
            r#"cache_reads_total{entity="flow",verdict="MISS",reason="absent"} 1"#,
            r#"cache_reads_total{entity="flow",verdict="MISS",reason="invalidated"} 1"#,
            r#"cache_loads_total{entity="flow",outcome="kept"} 2"#,
            r#"cache_load_seconds_count{entity="flow"} 2"#,
            r#"cache_hit_rate{endpoint="flow",cache_type="memory"} 0.6"#,
            "cache_records_applied_total 2",
            "cache_invalidations_total 2",
            "cache_entries 1",
        ] {
            assert!(text.contains(line), "{line} is missing:\n{text}");
        }
    }
}
