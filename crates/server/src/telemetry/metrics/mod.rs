//! Every metric of the server, and writing them out for Prometheus (`OpenMetrics` text).
//!
//! Rates are gauges that are computed from counters when the metrics are read, over the life of the process; alerts
//! that need a rate over time take the counters.

mod live;
mod outbox;
mod redis;
mod requests;
#[cfg(test)]
mod tests;
mod warm;

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};
use unstale::{Cache, Observer, RedisStats, RedisStore};

use self::requests::RequestMetrics;
pub(super) use self::requests::{Answered, RouteCounters};
pub use self::{
    live::LiveMetrics,
    outbox::OutboxMetrics,
    redis::{RedisLatency, RedisMetrics},
    warm::WarmMetrics,
};
use super::{
    engine::EngineMetrics,
    records::{ConsistencyMetrics, RecordMetrics},
};

/// `OpenMetrics` text, as Prometheus asks for it.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// From 10 µs, a hit, to 10 s, a load that is about to time out.
const LATENCY_BUCKETS: [f64; 17] =
    [1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

pub(super) type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Endpoint {
    endpoint: String,
    cache_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation: &'static str,
    cache_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheType {
    cache_type: &'static str,
}

/// What build this is.
#[derive(Clone, Copy, Debug)]
pub struct BuildInfo {
    /// The version.
    pub version: &'static str,
    /// The commit, or `unknown`.
    pub commit: &'static str,
}

/// How long operations of the cache take, by operation and kind of cache.
#[derive(Clone)]
pub struct CacheLatency(Histograms<Operation>);

impl CacheLatency {
    /// Notes one operation.
    pub fn observe(&self, operation: &'static str, cache_type: &'static str, took: Duration) {
        self.0.get_or_create(&Operation { operation, cache_type }).observe(took.as_secs_f64());
    }

    #[cfg(test)]
    pub(super) fn unregistered() -> Self {
        Self(Family::new_with_constructor(latency_histogram as fn() -> Histogram))
    }

    pub(super) fn of(&self, operation: &'static str, cache_type: &'static str) -> Histogram {
        self.0.get_or_create_owned(&Operation { operation, cache_type })
    }
}

/// How often each verdict was given.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answers {
    /// Answered from the cache, fresh or stale.
    pub(super) hits: u64,
    /// Loaded, with or without the cache.
    pub(super) misses: u64,
}

/// Every metric of the server.
pub struct Metrics {
    registry: Registry,
    engine: Arc<EngineMetrics>,
    cache: OnceLock<Cache>,
    hit_rate: Family<Endpoint, Gauge<f64, std::sync::atomic::AtomicU64>>,
    miss_rate: Family<Endpoint, Gauge<f64, std::sync::atomic::AtomicU64>>,
    latency: CacheLatency,
    size_bytes: Family<CacheType, Gauge>,
    size_limit_bytes: Gauge,
    tenants: Gauge,
    entries: Gauge,
    flights: Gauge,
    requests: RequestMetrics,
    live: LiveMetrics,
    warm: WarmMetrics,
    consistency: ConsistencyMetrics,
    records: RecordMetrics,
    outbox: OutboxMetrics,
    redis: RedisMetrics,
    redis_store: OnceLock<(Arc<RedisStore>, Mutex<RedisStats>)>,
}

impl Metrics {
    /// Every metric, at zero.
    pub fn new(build: &BuildInfo) -> Self {
        Self::with_application(build, |_| {})
    }

    /// The same, with the application's own metrics.
    pub fn with_application(build: &BuildInfo, register: impl FnOnce(&mut Registry)) -> Self {
        let mut registry = Registry::default();
        let r = &mut registry;
        let latency = CacheLatency(registered(
            r,
            "cache_latency_seconds",
            "How long operations of the cache take",
            Family::new_with_constructor(latency_histogram as fn() -> Histogram),
        ));
        let redis = RedisMetrics::registered(r);
        let live = LiveMetrics::registered(r);
        let warm = WarmMetrics::registered(r);
        let (consistency, records) = (ConsistencyMetrics::new(r), RecordMetrics::new(r));
        let metrics = Self {
            engine: Arc::new(EngineMetrics::new(r, &latency)),
            cache: OnceLock::new(),
            hit_rate: registered(r, "cache_hit_rate", "Share of reads answered from the cache", Family::default()),
            miss_rate: registered(r, "cache_miss_rate", "Share of reads that were loaded", Family::default()),
            size_bytes: registered(r, "cache_size_bytes", "Bytes of the entries", Family::default()),
            size_limit_bytes: registered(r, "cache_size_limit_bytes", "Bytes that memory may hold", Gauge::default()),
            tenants: registered(r, "cache_tenants", "Tenants that have entries in memory", Gauge::default()),
            entries: registered(r, "cache_entries", "Entries in memory", Gauge::default()),
            flights: registered(r, "cache_flights", "Loads that run", Gauge::default()),
            requests: RequestMetrics::registered(r, &latency),
            latency,
            live,
            warm,
            consistency,
            records,
            outbox: OutboxMetrics::registered(r),
            redis,
            redis_store: OnceLock::new(),
            registry: {
                let labels = vec![("version", build.version), ("commit", build.commit)];
                r.register("build", "What build this is", Info::new(labels));
                register(r);
                registry
            },
        };
        metrics.size_bytes.get_or_create(&CacheType { cache_type: "memory" }).set(0);
        metrics
    }

    /// What counts the cache's events: give it to the cache's builder.
    pub fn observer(&self) -> Arc<dyn Observer> {
        self.engine.clone()
    }

    /// Says whose size is told. Only the first call counts.
    pub fn watch(&self, cache: &Cache) {
        let _ = self.cache.set(cache.clone());
    }

    /// Says whose operations on Redis are told. Only the first call counts.
    pub fn watch_redis(&self, store: &Arc<RedisStore>) {
        let _ = self.redis_store.set((store.clone(), Mutex::default()));
    }

    /// The counters of live events.
    pub fn live(&self) -> LiveMetrics {
        self.live.clone()
    }

    /// The counters of warming.
    pub fn warm(&self) -> WarmMetrics {
        self.warm.clone()
    }

    /// The counters of the consistency watch.
    pub fn consistency(&self) -> ConsistencyMetrics {
        self.consistency.clone()
    }

    /// The counters of what is kept about the cache.
    pub fn records(&self) -> RecordMetrics {
        self.records.clone()
    }

    /// The counters of the outbox.
    pub fn outbox(&self) -> OutboxMetrics {
        self.outbox.clone()
    }

    /// The counters of a Redis store.
    pub fn redis(&self) -> RedisMetrics {
        self.redis.clone()
    }

    /// The latencies of the cache.
    pub fn cache_latency(&self) -> CacheLatency {
        self.latency.clone()
    }

    /// Everything, as `OpenMetrics` text.
    pub fn render(&self) -> String {
        self.refresh();
        let mut text = String::with_capacity(16 * 1024);
        encode(&mut text, &self.registry).expect("writing to a String cannot fail");
        text
    }

    /// Answers `GET /metrics`.
    pub fn respond(&self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(OPENMETRICS)),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        (headers, self.render()).into_response()
    }

    /// Counts a request that was answered, and the verdict that the answer tells in `X-Cache`.
    pub(super) fn answered(&self, route: &str, counters: Option<&RouteCounters>, answered: &Answered<'_>) {
        self.requests.answered(route, counters, answered);
    }

    fn refresh(&self) {
        if let Some((store, told)) = self.redis_store.get() {
            self.redis.tell(&mut told.lock(), store.stats());
        }
        if let Some(cache) = self.cache.get() {
            let size = cache.size();
            let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            self.size_bytes.get_or_create(&CacheType { cache_type: "memory" }).set(gauge(size.bytes));
            self.size_limit_bytes.set(gauge(size.bytes_max));
            self.tenants.set(gauge(size.tenants as u64));
            self.entries.set(gauge(size.entries as u64));
            self.flights.set(gauge(size.flights as u64));
        }
        self.engine.each_entity(|entity, answers| self.set_rates(entity, "memory", answers));
        self.requests.each_route(|route, answers| self.set_rates(route, "http", answers));
    }

    fn set_rates(&self, endpoint: &str, cache_type: &'static str, answers: Answers) {
        let reads = answers.hits + answers.misses;
        if reads == 0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a ratio; 2^53 reads are far away")]
        let share = |part: u64| part as f64 / reads as f64;
        let labels = Endpoint { endpoint: endpoint.to_owned(), cache_type };
        self.hit_rate.get_or_create(&labels).set(share(answers.hits));
        self.miss_rate.get_or_create(&labels).set(share(answers.misses));
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

pub(super) fn latency_histogram() -> Histogram {
    Histogram::new(LATENCY_BUCKETS)
}

/// Registers a metric and hands it back.
pub(super) fn registered<M>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M
where
    M: prometheus_client::registry::Metric + Clone,
{
    registry.register(name, help, metric.clone());
    metric
}
