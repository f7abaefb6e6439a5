//! Every metric of the server, and writing them out for Prometheus (`OpenMetrics` text).
//!
//! Rates are gauges that are computed from counters when the metrics are read, over the life of the process; alerts
//! that need a rate over time take the counters.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use parking_lot::{Mutex, RwLock};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet, text::encode},
    metrics::{
        MetricType, TypedMetric, counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info,
    },
    registry::Registry,
};
use unstale::{
    Cache, Observer, RedisStats, RedisStore, Warmed,
    store::{LATENCY_BOUNDS, LatencyStats},
};

use super::{
    engine::EngineMetrics,
    records::{ConsistencyMetrics, RecordMetrics},
};
use crate::outbox::OutboxStatus;

/// `OpenMetrics` text, as Prometheus asks for it.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// From 10 µs, a hit, to 10 s, a load that is about to time out.
const LATENCY_BUCKETS: [f64; 17] =
    [1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Routes whose verdicts are counted; they come from the code, so more are a mistake.
const ROUTES_MAX: usize = 4096;

pub(super) type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestDuration {
    method: &'static str,
    route: String,
}

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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LiveEvent {
    kind: &'static str,
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

/// What the live events count. The default counts for nobody.
#[derive(Clone, Debug, Default)]
pub struct LiveMetrics {
    sockets: Gauge,
    events: Family<LiveEvent, Counter>,
}

impl LiveMetrics {
    pub(crate) fn sockets(&self, count: usize) {
        self.sockets.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn event(&self, kind: &'static str) {
        self.events.get_or_create(&LiveEvent { kind }).inc();
    }
}

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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PublishedBy {
    by: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OmissionIn {
    table: String,
}

/// What the outbox counts. The default counts for nobody.
#[derive(Clone, Debug, Default)]
pub struct OutboxMetrics {
    pending: Gauge,
    oldest_pending_seconds: Gauge<f64, std::sync::atomic::AtomicU64>,
    published: Family<PublishedBy, Counter>,
    omissions: Family<OmissionIn, Counter>,
}

impl OutboxMetrics {
    fn registered(r: &mut Registry) -> Self {
        Self {
            pending: registered(r, "cache_outbox_pending", "Rows of the outbox not published yet", Gauge::default()),
            oldest_pending_seconds: registered(
                r,
                "cache_outbox_oldest_pending_seconds",
                "How old the oldest row of the outbox is that is not published yet",
                Gauge::default(),
            ),
            published: registered(
                r,
                "cache_outbox_published",
                "Rows of the outbox published, by whom: the writer, the relay, or again after the store lost them",
                Family::default(),
            ),
            omissions: registered(
                r,
                "cache_outbox_omissions",
                "Tags that a write forgot to invalidate and a trigger did, by table",
                Family::default(),
            ),
        }
    }

    pub(crate) fn status(&self, status: &OutboxStatus) {
        self.pending.set(i64::try_from(status.pending).unwrap_or(i64::MAX));
        self.oldest_pending_seconds.set(Duration::from_millis(status.oldest_pending_ms).as_secs_f64());
    }

    pub(crate) fn published(&self, by: &'static str, rows: u64) {
        if rows > 0 {
            self.published.get_or_create(&PublishedBy { by }).inc_by(rows);
        }
    }

    /// Tables come from declarations: they are few.
    pub(crate) fn omission(&self, table: &str) {
        self.omissions.get_or_create(&OmissionIn { table: table.to_owned() }).inc();
    }
}

/// What a Redis store counts.
#[derive(Clone, Debug)]
pub struct RedisMetrics {
    /// Reads that found an entry.
    pub hits: Counter,
    /// Reads that found none.
    pub misses: Counter,
    /// How long commands take, in seconds.
    pub latency: RedisLatency,
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
    /// Adds what was done since `told`, and remembers it.
    fn tell(&self, told: &mut RedisStats, now: RedisStats) {
        self.hits.inc_by(now.hits - told.hits);
        self.misses.inc_by(now.misses - told.misses);
        let operations = [&now.get, &now.fill, &now.append, &now.log, &now.remove];
        let mut all = LatencyStats::default();
        for LatencyStats { buckets, sum } in operations.map(|operation| &operation.latency) {
            all.buckets.iter_mut().zip(buckets).for_each(|(all, count)| *all += count);
            all.sum += *sum;
        }
        *self.latency.0.lock() = all;
        *told = now;
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
    /// Of HTTP answers, by verdict: resolved, as every request is counted.
    verdict_latency: [OnceLock<Histogram>; 4],
    size_bytes: Family<CacheType, Gauge>,
    size_limit_bytes: Gauge,
    tenants: Gauge,
    entries: Gauge,
    flights: Gauge,
    requests: Family<Request, Counter>,
    request_duration: Histograms<RequestDuration>,
    routes: RwLock<HashMap<String, Arc<RouteMetrics>>>,
    live: LiveMetrics,
    warm: WarmMetrics,
    consistency: ConsistencyMetrics,
    records: RecordMetrics,
    outbox: OutboxMetrics,
    redis: RedisMetrics,
    redis_store: OnceLock<(Arc<RedisStore>, Mutex<RedisStats>)>,
}

/// What is counted for a route, resolved: on the path of a hit no label is built.
#[derive(Debug, Default)]
struct RouteMetrics {
    hits: Counter,
    misses: Counter,
    /// A few per route: methods and statuses come from closed sets.
    requests: RwLock<Vec<Requests>>,
}

#[derive(Debug)]
struct Requests {
    method: &'static str,
    status: u16,
    count: Counter,
    duration: Histogram,
}

impl RouteMetrics {
    fn count(&self, method: &'static str, status: u16, took: Duration, resolve: impl FnOnce() -> Requests) {
        let is_it = |held: &&Requests| held.method == method && held.status == status;
        if let Some(held) = self.requests.read().iter().find(is_it) {
            return held.count(took);
        }
        let resolved = resolve();
        resolved.count(took);
        let mut requests = self.requests.write();
        // Another request may have resolved the same meanwhile; both are handles of one counter.
        if !requests.iter().any(|held| is_it(&held)) {
            requests.push(resolved);
        }
    }
}

impl Requests {
    fn count(&self, took: Duration) {
        self.count.inc();
        self.duration.observe(took.as_secs_f64());
    }
}

/// A request that was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered<'a> {
    pub(super) method: &'static str,
    pub(super) status: u16,
    /// What it tells of the cache.
    pub(super) verdict: Option<&'a str>,
    pub(super) took: Duration,
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
        let redis = RedisMetrics {
            hits: registered(r, "redis_cache_hits", "Reads of Redis that found an entry", Counter::default()),
            misses: registered(r, "redis_cache_misses", "Reads of Redis that found none", Counter::default()),
            latency: registered(r, "redis_cache_latency_seconds", "How long Redis takes", RedisLatency::default()),
        };
        let live = LiveMetrics {
            sockets: registered(r, "live_sockets", "Open sockets for live events", Gauge::default()),
            events: registered(r, "live_events", "Live events, by what became of them", Family::default()),
        };
        let warm = WarmMetrics {
            reads: registered(r, "cache_warm_reads", "Reads that warmed the cache, by outcome", Family::default()),
            skipped: registered(
                r,
                "cache_warm_skipped",
                "Occasions to warm the cache that were left out, because too many waited",
                Family::default(),
            ),
        };
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
            requests: registered(r, "http_requests", "Requests answered", Family::default()),
            request_duration: registered(
                r,
                "http_request_duration_seconds",
                "How long requests take, to the head of the answer",
                Family::new_with_constructor(latency_histogram as fn() -> Histogram),
            ),
            routes: RwLock::default(),
            latency,
            verdict_latency: [const { OnceLock::new() }; 4],
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
    pub(super) fn answered(&self, route: &str, answered: &Answered<'_>) {
        let Answered { method, status, verdict, took } = *answered;
        let resolve = || Requests {
            method,
            status,
            count: self.requests.get_or_create_owned(&Request { method, route: route.to_owned(), status }),
            duration: self.request_duration.get_or_create_owned(&RequestDuration { method, route: route.to_owned() }),
        };
        let metrics = self.route(route);
        match &metrics {
            Some(metrics) => metrics.count(method, status, took, resolve),
            None => resolve().count(took),
        }
        let (place, is_hit) = match verdict {
            Some("HIT") => (0, true),
            Some("STALE") => (1, true),
            Some("MISS") => (2, false),
            Some("BYPASS") => (3, false),
            // Not ours: some origin's own idea of the header.
            _ => return,
        };
        let latency = || self.latency.of(["hit", "stale", "miss", "bypass"][place], "http");
        self.verdict_latency[place].get_or_init(latency).observe(took.as_secs_f64());
        if let Some(metrics) = metrics {
            if is_hit {
                metrics.hits.inc()
            } else {
                metrics.misses.inc()
            };
        }
    }

    fn route(&self, route: &str) -> Option<Arc<RouteMetrics>> {
        if let Some(answers) = self.routes.read().get(route) {
            return Some(answers.clone());
        }
        let mut routes = self.routes.write();
        let there_is_room = routes.len() < ROUTES_MAX;
        there_is_room.then(|| routes.entry(route.to_owned()).or_default().clone())
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
        for (route, answers) in self.routes.read().iter() {
            let answers = Answers { hits: answers.hits.get(), misses: answers.misses.get() };
            self.set_rates(route, "http", answers);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every name that requirement O2 and the dashboards rely on, as it stands in the exposition.
    const NAMES: [&str; 36] = [
        "cache_hit_rate",
        "cache_miss_rate",
        "cache_latency_seconds",
        "cache_size_bytes",
        "redis_cache_hits_total",
        "redis_cache_misses_total",
        "redis_cache_latency_seconds",
        "cache_reads_total",
        "cache_loads_total",
        "cache_load_seconds",
        "cache_invalidations_total",
        "cache_records_applied_total",
        "cache_entries",
        "cache_flights",
        "cache_size_limit_bytes",
        "cache_tenants",
        "cache_evictions_total",
        "cache_quotas_reached_total",
        "cache_warm_reads_total",
        "cache_warm_skipped_total",
        "cache_incorrect_ratio",
        "cache_consistency_checks_total",
        "cache_consistency_skipped_total",
        "cache_records_dropped_total",
        "cache_record_writes_total",
        "cache_configuration_version",
        "cache_memory_above_threshold",
        "cache_joined_total",
        "cache_log_skips_total",
        "cache_store_failures_total",
        "http_requests_total",
        "http_request_duration_seconds",
        "live_sockets",
        "live_events_total",
        "build_info",
        "# EOF",
    ];

    fn exercised() -> Metrics {
        let metrics = Metrics::new(&BuildInfo { version: "0.1.0", commit: "abc" });
        for (verdict, took) in [("HIT", 20), ("MISS", 2000), ("made up", 2000)] {
            let took = Duration::from_micros(took);
            let answered = Answered { method: "GET", status: 200, verdict: Some(verdict), took };
            metrics.answered("/flows/{id}", &answered);
        }
        metrics.live().event("delivered");
        metrics.warm().warmed("start", Warmed { loaded: 1, ..Warmed::default() });
        metrics.warm().skipped("start");
        metrics.consistency().checked("flow", crate::consistency::Outcome::Incorrect);
        metrics.consistency().skipped("budget");
        metrics.records().written(true);
        metrics.engine.exercise();
        metrics
    }

    #[test]
    fn every_name_that_others_rely_on_is_there() {
        let text = exercised().render();
        for name in NAMES {
            let has_sample = text.lines().any(|line| {
                line.starts_with(name) && (line == name || line[name.len()..].starts_with(['{', ' ', '_']))
            });
            assert!(has_sample, "{name} is missing:\n{text}");
        }
    }

    #[test]
    fn what_redis_took_is_told_with_its_true_sum() {
        let metrics = Metrics::new(&BuildInfo { version: "1", commit: "c" });
        let (mut told, mut now) = (RedisStats::default(), RedisStats::default());
        for (operation, millis) in [(&mut now.get, 300), (&mut now.fill, 3_000)] {
            operation.latency.buckets[LATENCY_BOUNDS.len() - usize::from(millis < 1_000) * 2] += 1;
            operation.latency.sum += Duration::from_millis(millis);
        }
        for _ in 0..2 {
            metrics.redis.tell(&mut told, now.clone());
            let text = metrics.render();
            for line in [
                "redis_cache_latency_seconds_sum 3.3",
                "redis_cache_latency_seconds_count 2",
                r#"redis_cache_latency_seconds_bucket{le="0.1"} 0"#,
                r#"redis_cache_latency_seconds_bucket{le="0.5"} 1"#,
                r#"redis_cache_latency_seconds_bucket{le="1.0"} 1"#,
                r#"redis_cache_latency_seconds_bucket{le="+Inf"} 2"#,
            ] {
                assert!(text.contains(&format!("{line}\n")), "{line} is missing:\n{text}");
            }
        }
    }

    #[test]
    fn rates_are_shares_of_all_answers() {
        let text = exercised().render();
        assert!(text.contains(r#"cache_hit_rate{endpoint="/flows/{id}",cache_type="http"} 0.5"#), "{text}");
        assert!(text.contains(r#"cache_miss_rate{endpoint="/flows/{id}",cache_type="http"} 0.5"#), "{text}");
        assert!(text.contains(r#"cache_latency_seconds_count{operation="hit",cache_type="http"} 1"#), "{text}");
    }

    /// A reader of the `OpenMetrics` text format as far as this server uses it: every sample belongs to the family
    /// announced before it, its labels are quoted, its value is a number, and the text ends with `# EOF`.
    #[test]
    fn the_exposition_parses() {
        let text = exercised().render();
        let mut family = String::new();
        let mut kind = String::new();
        let mut families = Vec::new();
        assert!(text.ends_with("# EOF\n"));
        for line in text.lines().filter(|line| *line != "# EOF") {
            if let Some(rest) = line.strip_prefix("# ") {
                let mut words = rest.split(' ');
                let (what, name) = (words.next().unwrap(), words.next().unwrap());
                match what {
                    "HELP" => {
                        assert!(!families.contains(&name.to_owned()), "{name} is announced twice");
                        families.push(name.to_owned());
                        family = name.to_owned();
                    }
                    "TYPE" => {
                        assert_eq!(name, family);
                        kind = words.next().unwrap().to_owned();
                    }
                    _ => panic!("{line}"),
                }
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap();
            value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let suffix = name.strip_prefix(family.as_str()).unwrap_or_else(|| panic!("{line} is not of {family}"));
            let suffixes: &[&str] = match kind.as_str() {
                "counter" => &["_total"],
                "gauge" => &[""],
                "histogram" => &["_bucket", "_sum", "_count"],
                "info" => &["_info"],
                other => panic!("{other}"),
            };
            assert!(suffixes.contains(&suffix), "{line} has no suffix of a {kind}");
            let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"));
            for label in labels.split("\",").filter(|label| !label.is_empty()) {
                let (name, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
                assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
                assert!(!value.trim_end_matches('"').contains('"'), "{line}");
            }
        }
        assert!(families.len() > 20);
    }

    #[tokio::test]
    async fn the_size_of_the_cache_is_told() {
        let metrics = Metrics::new(&BuildInfo { version: "1", commit: "c" });
        let cache = Cache::builder(Arc::new(unstale::MemoryStore::default())).build().await.unwrap();
        metrics.watch(&cache);
        assert!(metrics.render().contains("cache_size_bytes{cache_type=\"memory\"} 0\n"));
        let response = metrics.respond();
        assert_eq!(response.headers()[header::CONTENT_TYPE], OPENMETRICS);
    }
}
