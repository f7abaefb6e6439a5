//! A node: a process with a cache of the engine's real code, that may die and begin again.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep},
};
use unstale::{
    Cache, Event, EvictionCause, Observer, Position,
    testing::{History, Sabotage},
};

use super::{
    clock::NodeClock,
    dice::Dice,
    plan::{DRIFT_PPM_MAX, Plan},
    store::{Link, Server, Weather},
    trace::Trace,
    world::{World, Written},
};

/// A machine with one process at a time.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) index: usize,
    pub(crate) clock: Arc<NodeClock>,
    /// What was acknowledged by this node, in all its lives.
    pub(crate) history: History,
    /// The purges that were acknowledged here, and those that its processes have followed the log to.
    pub(crate) purged: History,
    /// Which of all purges these are.
    heard: Mutex<BTreeSet<usize>>,
    server: Arc<Server>,
    dice: Dice,
    trace: Arc<Trace>,
    sabotage: Sabotage,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    process: Process,
    follows: JoinHandle<()>,
}

/// A process, as its clients see it.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) cache: Cache,
    pub(crate) link: Arc<Link>,
    /// What it took and the store did not: it serves nothing that was declared wrong, for as long as it lives.
    pub(crate) kept: Arc<History>,
    /// Of that, the purges.
    pub(crate) kept_purges: Arc<History>,
    death: Arc<Death>,
}

/// A process's end, of which its clients hear in the order in which they asked. Not a `watch`, which would wake them in
/// another order in each run: a seed would not be one run.
#[derive(Debug, Default)]
struct Death {
    came: AtomicBool,
    told: Notify,
}

impl Death {
    fn comes(&self) {
        self.came.store(true, Relaxed);
        self.told.notify_waiters();
    }

    async fn wait(&self) {
        let told = self.told.notified();
        if !self.came.load(Relaxed) {
            told.await;
        }
    }
}

/// The process died before it answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Died;

impl Process {
    /// Notes what it took and the store did not.
    pub(crate) fn keeps(&self, written: &Written) {
        for (fact, version) in &written.facts {
            self.kept.acknowledged(*fact, *version);
            if written.is_purge {
                self.kept_purges.acknowledged(*fact, *version);
            }
        }
    }

    /// Waits for an answer of this process.
    pub(crate) async fn answer<T>(&self, operation: impl Future<Output = T>) -> Result<T, Died> {
        tokio::select! {
            biased;
            () = self.death.wait() => Err(Died),
            answer = operation => Ok(answer),
        }
    }
}

impl Node {
    pub(crate) fn new(
        index: usize,
        plan: &Plan,
        server: Arc<Server>,
        dice: Dice,
        trace: Arc<Trace>,
        sabotage: Sabotage,
    ) -> Self {
        let skew_ms = match plan.skew_ms_max {
            max if plan.far_ahead => {
                if index.is_multiple_of(2) {
                    0
                } else {
                    max
                }
            }
            max if plan.skewed => dice.pick(-max..max + 1),
            _ => 0,
        };
        let drift_ppm = if plan.skewed { dice.pick(-DRIFT_PPM_MAX..DRIFT_PPM_MAX + 1) } else { 0 };
        let clock = Arc::new(NodeClock::new(Instant::now(), skew_ms, drift_ppm));
        let (history, purged, heard) = (History::default(), History::default(), Mutex::default());
        Self { index, clock, history, purged, heard, server, dice, trace, sabotage, running: Mutex::new(None) }
    }

    /// Notes which purges this process has followed the log to by now: the positions of all their partitions are reached.
    pub(crate) fn hears(&self, world: &World, process: &Process) {
        let frontiers = process.cache.frontiers();
        let has_reached = |position: &Position| {
            let known = frontiers.in_partition(position.partition);
            known.is_some_and(|known| known.epoch == position.epoch && known.sequence >= position.sequence)
        };
        let mut heard = self.heard.lock();
        for (number, (positions, facts)) in world.purges.lock().iter().enumerate() {
            if !heard.contains(&number) && positions.iter().all(has_reached) {
                heard.insert(number);
                facts.iter().for_each(|(fact, version)| self.purged.acknowledged(*fact, *version));
            }
        }
    }

    pub(crate) fn process(&self) -> Option<Process> {
        self.running.lock().as_ref().map(|running| running.process.clone())
    }

    /// Begins a process, as soon as the store answers it.
    pub(crate) async fn start(&self, plan: &Plan, weather: Weather) {
        let dice = Dice::new(self.dice.number(), 0);
        let seed = self.dice.number();
        let (server, clock, trace) = (self.server.clone(), self.clock.clone(), self.trace.clone());
        let link = Link::new(self.index, server, clock, dice, trace, weather);
        let cache = loop {
            let counter = Arc::new(Counter { node: self.index, trace: self.trace.clone() });
            let builder = Cache::builder(link.clone()).limits(plan.cache).time(self.clock.clone()).seed(seed);
            let builder = match plan.resilience {
                Some(resilience) => builder.resilience(resilience),
                None => builder,
            };
            match builder.observer(counter).sabotage(self.sabotage).build().await {
                Ok(cache) => break cache,
                Err(_) => sleep(self.dice.millis(20..200)).await,
            }
        };
        self.trace.note(format_args!("node {}: starts", self.index));
        let follower = cache.clone();
        let confirm_every = (plan.bound / 3).max(Duration::from_millis(20));
        let follows = tokio::spawn(async move { follower.follow(confirm_every).await });
        let [kept, kept_purges] = [(); 2].map(|()| Arc::default());
        let process = Process { cache, link, kept, kept_purges, death: Arc::default() };
        *self.running.lock() = Some(Running { process, follows });
    }

    /// The process dies: whatever it was doing is cut, only what it had sent is on its way.
    pub(crate) fn crash(&self) -> bool {
        let Some(running) = self.running.lock().take() else { return false };
        self.trace.note(format_args!("node {}: crashes", self.index));
        running.process.link.die();
        running.follows.abort();
        running.process.death.comes();
        true
    }
}

/// Counts what the cache tells, and notes it.
struct Counter {
    node: usize,
    trace: Arc<Trace>,
}

impl Observer for Counter {
    fn on_event(&self, event: &Event<'_>) {
        let node = self.node;
        match event {
            Event::Loaded { key, not_stored, .. } => {
                if let Some(reason) = not_stored {
                    self.trace.count(&format!("not stored: {reason}"));
                }
                self.trace.note(format_args!("node {node}: loaded {}, {not_stored:?}", short(key.as_str())));
            }
            Event::LoadFailed { key, .. } => {
                self.trace.count("load failed");
                self.trace.note(format_args!("node {node}: failed to load {}", short(key.as_str())));
            }
            Event::Joined { .. } => self.trace.count("joined"),
            Event::Skipped { head } => {
                self.trace.count("skipped");
                self.trace.note(format_args!("node {node}: skips to {}", super::store::Place(head)));
            }
            Event::Applied { .. } => self.trace.count("applied"),
            Event::StoreFailed { .. } => self.trace.count("store failed"),
            Event::BreakerChanged { state, .. } => self.trace.count(&format!("breaker: {}", state.as_str())),
            Event::InvalidationsPending { waiting: 0, .. } => self.trace.count("invalidations recorded"),
            Event::InvalidationsPending { .. } => self.trace.count("invalidations kept"),
            Event::Evicted { cause, .. } => self.trace.count(match cause {
                EvictionCause::Quota => "evicted by quota",
                _ => "evicted",
            }),
            _ => {}
        }
    }
}

/// The beginning of a key: one of them is four kilobytes long.
fn short(key: &str) -> &str {
    key.get(..40).unwrap_or(key)
}
