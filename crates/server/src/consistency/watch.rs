//! The watch itself: which reads, when they are looked at, and within which budget.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, sleep_until, timeout},
};
use unstale::{Cache, Cacheable, Explanation, Fetched, Key, Position, RawKey, TagIds, Tenant, Timestamp, Verdict};

use super::{
    Limits,
    compare::Truth,
    finding::{Finding, Kind},
    judge::{Outcome, is_moot},
};
use crate::{configuration::ConsistencySettings, statistics::sampling::Sampling, telemetry::ConsistencyMetrics};

/// Watches whether hits are true. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Watch(Arc<Shared>);

struct Shared {
    limits: Limits,
    is_on: AtomicBool,
    sampling: Sampling,
    watched: Arc<Semaphore>,
    budget: Mutex<Budget>,
    findings: Mutex<VecDeque<Finding>>,
    metrics: ConsistencyMetrics,
    told: Box<dyn Fn(bool) + Send + Sync>,
}

/// Loads that may be made: so many in a second, and as many at once.
struct Budget {
    per_second: f64,
    left: f64,
    at: Instant,
}

impl Budget {
    fn take(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        self.left = (self.left + earned).min(self.per_second);
        self.at = now;
        let is_there = self.left >= 1.0;
        if is_there {
            self.left -= 1.0;
        }
        is_there
    }
}

/// A read that is watched, from before it begins.
#[derive(Debug)]
pub struct Ticket {
    frontier: Position,
    _place: OwnedSemaphorePermit,
}

/// What a watched read was given.
#[derive(Clone, Debug)]
pub struct Served {
    /// The kind of entry.
    pub entity: String,
    /// The tenant.
    pub tenant: Tenant,
    /// Under what it is kept, for people.
    pub key: String,
    /// What it was loaded from.
    pub tags: TagIds,
    /// What it reflects.
    pub base: Position,
    /// Until when it is fresh.
    pub expires_at: Timestamp,
    /// How long before it was loaded, if that is known.
    pub age: Option<Duration>,
    /// `memory`, or `store` for what was not there at once.
    pub tier: &'static str,
}

impl Watch {
    /// One that counts in `metrics`.
    pub fn new(limits: Limits, metrics: ConsistencyMetrics) -> Self {
        Self::telling(limits, metrics, |_| {})
    }

    /// One that also tells of each comparison whether it found something incorrect.
    pub fn telling(limits: Limits, metrics: ConsistencyMetrics, told: impl Fn(bool) + Send + Sync + 'static) -> Self {
        let watch = Self(Arc::new(Shared {
            limits,
            is_on: AtomicBool::new(false),
            sampling: Sampling::new(),
            watched: Arc::new(Semaphore::new(limits.watched_max.min(Semaphore::MAX_PERMITS))),
            budget: Mutex::new(Budget { per_second: 0.0, left: 0.0, at: Instant::now() }),
            findings: Mutex::default(),
            metrics,
            told: Box::new(told),
        }));
        watch.tune(&ConsistencySettings::default());
        watch
    }

    /// Sets the share of reads that are watched, and the budget.
    pub fn tune(&self, settings: &ConsistencySettings) {
        let ConsistencySettings { sample_per_million, checks_per_second_max } = *settings;
        self.0.sampling.set_mean(1_000_000 / sample_per_million.clamp(1, 1_000_000));
        let per_second = f64::from(checks_per_second_max);
        *self.0.budget.lock() = Budget { per_second, left: per_second, at: Instant::now() };
        self.0.is_on.store(sample_per_million > 0, Relaxed);
    }

    /// Whether the read of something of `tenant` that is about to begin is watched.
    #[inline]
    pub fn begin(&self, cache: &Cache, tenant: &Tenant) -> Option<Ticket> {
        if !self.0.is_on.load(Relaxed) || self.0.sampling.draw().is_none() {
            return None;
        }
        self.drawn(cache, tenant)
    }

    #[cold]
    fn drawn(&self, cache: &Cache, tenant: &Tenant) -> Option<Ticket> {
        let Ok(place) = self.0.watched.clone().try_acquire_owned() else {
            self.0.metrics.skipped("too_many");
            return None;
        };
        Some(Ticket { frontier: cache.frontier(tenant), _place: place })
    }

    /// What a watched read of the engine was given; nothing comes of it unless it was a hit. `was_in_memory`: this node's
    /// memory held the same value before.
    pub fn fetched<V: Cacheable>(
        &self,
        ticket: Ticket,
        cache: &Cache,
        (key, was_in_memory): (&Key<V>, bool),
        fetched: &Fetched<V>,
        truth: Truth,
    ) {
        if fetched.verdict != Verdict::Hit {
            return;
        }
        let raw: &RawKey = key.raw();
        let served = Served {
            entity: raw.entity().to_owned(),
            tenant: raw.tenant().clone(),
            key: raw.as_str().to_owned(),
            tags: TagIds::from_slice(fetched.tags()),
            base: fetched.base(),
            expires_at: fetched.expires_at(),
            age: Some(cache.now().since(fetched.loaded_at())),
            tier: if was_in_memory { "memory" } else { "store" },
        };
        self.served(ticket, cache, served, truth);
    }

    /// A watched read was answered with a hit.
    pub fn served(&self, ticket: Ticket, cache: &Cache, served: Served, truth: Truth) {
        let known = cache.explain(served.base, &served.tags);
        let watched =
            Watched { watch: self.clone(), cache: cache.clone(), served, ticket, truth, began: Instant::now() };
        if known.was_broken_at(watched.served.base, watched.ticket.frontier) {
            return watched.found(Kind::Rule, &known, Vec::new());
        }
        tokio::spawn(watched.look_again());
    }

    /// What was found, the newest first.
    pub fn findings(&self) -> Vec<Finding> {
        self.0.findings.lock().iter().cloned().collect()
    }

    /// Reads that are being watched.
    pub fn watched(&self) -> usize {
        self.0.limits.watched_max - self.0.watched.available_permits()
    }

    fn count(&self, entity: &str, outcome: Outcome) {
        self.0.metrics.checked(entity, outcome);
        if matches!(outcome, Outcome::Correct | Outcome::Incorrect) {
            (self.0.told)(outcome == Outcome::Incorrect);
        }
    }
}

/// A hit that is being watched.
struct Watched {
    watch: Watch,
    cache: Cache,
    served: Served,
    ticket: Ticket,
    truth: Truth,
    began: Instant,
}

impl Watched {
    async fn look_again(self) {
        let limits = self.watch.0.limits;
        for delay in limits.delays {
            sleep_until(self.began + delay).await;
            let outcome = match self.is_moot() {
                Ok(moot) => moot,
                Err(_) if !self.watch.0.budget.lock().take(Instant::now()) => {
                    self.watch.0.metrics.skipped("budget");
                    continue;
                }
                Err(_) => self.compare().await,
            };
            match outcome {
                Outcome::Incorrect => return,
                outcome => self.watch.count(&self.served.entity, outcome),
            }
            if matches!(outcome, Outcome::Changed | Outcome::Expired) {
                return;
            }
        }
    }

    /// Why nothing can be said any more, or what is known.
    fn is_moot(&self) -> Result<Outcome, Explanation> {
        let known = self.cache.explain(self.served.base, &self.served.tags);
        match is_moot(self.served.base, self.served.expires_at, &known, self.cache.now()) {
            Some(outcome) => Ok(outcome),
            None => Err(known),
        }
    }

    async fn compare(&self) -> Outcome {
        match self.load().await {
            Err(()) => return Outcome::Failed,
            Ok(differs) if differs.is_empty() => return Outcome::Correct,
            Ok(_) => {}
        }
        // Its invalidation may be on its way.
        sleep(self.watch.0.limits.settle).await;
        let differs = match self.load().await {
            Err(()) => return Outcome::Failed,
            Ok(differs) => differs,
        };
        // After the load: whatever it may have seen was declared before it, or is waited for below.
        if !self.cache.catch_up(&self.served.tenant).await {
            return Outcome::Failed;
        }
        match self.is_moot() {
            Ok(moot) => moot,
            Err(_) if differs.is_empty() => Outcome::Correct,
            Err(known) => {
                self.found(Kind::Value, &known, differs);
                Outcome::Incorrect
            }
        }
    }

    async fn load(&self) -> Result<Vec<String>, ()> {
        let loaded = timeout(self.watch.0.limits.load_timeout, (self.truth)()).await;
        loaded.map_err(drop)?.map_err(|error| tracing::debug!(error, "the consistency watch could not load a value"))
    }

    fn found(&self, kind: Kind, known: &Explanation, differs: Vec<String>) {
        let shared = &self.watch.0;
        let after = self.began.elapsed().as_secs_f64();
        let finding = Finding::new(kind, &self.served, self.ticket.frontier, known, after, differs);
        tracing::error!(
            entity = finding.entity, ?kind, tier = finding.tier, base = finding.base, frontier = finding.frontier,
            finding = %finding.id, "an answer from the cache was incorrect"
        );
        self.watch.count(&self.served.entity, Outcome::Incorrect);
        let mut findings = shared.findings.lock();
        findings.truncate(shared.limits.findings_max.saturating_sub(1));
        findings.push_front(finding);
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("watched", &self.watched()).finish_non_exhaustive()
    }
}
