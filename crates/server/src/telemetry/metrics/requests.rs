//! What is counted of requests, by route.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::RwLock;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use super::{Answers, CacheLatency, Histograms, latency_histogram, registered};

/// Routes whose verdicts are counted; they come from the code, so more are a mistake.
const ROUTES_MAX: usize = 4096;

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

/// Counts requests that were answered.
pub(super) struct RequestMetrics {
    counts: Family<Request, Counter>,
    durations: Histograms<RequestDuration>,
    routes: RwLock<HashMap<String, Arc<RouteMetrics>>>,
    latency: CacheLatency,
    /// By verdict: resolved, as every request is counted.
    verdict_latency: [OnceLock<Histogram>; 4],
}

impl RequestMetrics {
    pub(super) fn registered(r: &mut Registry, latency: &CacheLatency) -> Self {
        Self {
            counts: registered(r, "http_requests", "Requests answered", Family::default()),
            durations: registered(
                r,
                "http_request_duration_seconds",
                "How long requests take, to the head of the answer",
                Family::new_with_constructor(latency_histogram as fn() -> Histogram),
            ),
            routes: RwLock::default(),
            latency: latency.clone(),
            verdict_latency: [const { OnceLock::new() }; 4],
        }
    }

    /// Counts a request that was answered, and the verdict that the answer tells in `X-Cache`.
    /// `counters` is where those of the route are kept, for who has a place for them.
    pub(super) fn answered(&self, route: &str, counters: Option<&RouteCounters>, answered: &Answered<'_>) {
        let Answered { method, status, verdict, took } = *answered;
        let resolve = || Requests {
            method,
            status,
            count: self.counts.get_or_create_owned(&Request { method, route: route.to_owned(), status }),
            duration: self.durations.get_or_create_owned(&RequestDuration { method, route: route.to_owned() }),
        };
        let found;
        let metrics = if let Some(counters) = counters {
            counters.0.get_or_init(|| self.route(route)).as_deref()
        } else {
            found = self.route(route);
            found.as_deref()
        };
        match metrics {
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

    pub(super) fn each_route(&self, mut tell: impl FnMut(&str, Answers)) {
        for (route, answers) in self.routes.read().iter() {
            tell(route, Answers { hits: answers.hits.get(), misses: answers.misses.get() });
        }
    }
}

/// The counters of a route, kept by who knows it: found once. None if there are too many routes.
#[derive(Debug, Default)]
pub(in crate::telemetry) struct RouteCounters(OnceLock<Option<Arc<RouteMetrics>>>);

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
pub(in crate::telemetry) struct Answered<'a> {
    pub(in crate::telemetry) method: &'static str,
    pub(in crate::telemetry) status: u16,
    /// What it tells of the cache.
    pub(in crate::telemetry) verdict: Option<&'a str>,
    pub(in crate::telemetry) took: Duration,
}
