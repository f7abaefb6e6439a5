//! A node: a process of its own with the engine on Redis, which reads and invalidates as it is asked to.

use std::{
    error::Error as _,
    io::Write as _,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use unstale::{
    BreakerPer, Cache, CacheLimits, ClockLimits, Event, Fetched, InvalidateError, Invalidation, Loaded, Mode, Observer,
    Policy, PositionSet, ReadOptions, RedisLimits, RedisSettings, RedisStore, Resilience, Verdict,
    position::PartitionCount,
    record,
    testing::{
        Sabotage,
        history::{Fact, Version},
    },
};

use super::{
    bare::Bare,
    database::Look,
    failure::{Failure, Step},
    measure::{self, Burst},
    wire::{self, Caller},
    world::{Page, PageId, page_key, tag, tenant},
};

/// The staleness bound of reads that are not strict.
pub(super) const BOUND: Duration = Duration::from_millis(500);
/// A third of it, as `follow` advises.
const CONFIRM_EVERY: Duration = Duration::from_millis(160);
/// Long: nothing but invalidations ends an entry.
const TTL: Duration = Duration::from_secs(3600);
const STRICT: Policy = Policy::ttl(TTL).mode(Mode::Strict);
const BOUNDED: Policy = Policy::ttl(TTL).mode(Mode::Bounded(BOUND));
/// However old, but for what was purged.
const STALE_OK: Policy = Policy::ttl(TTL).mode(Mode::StaleOk(TTL));
pub(super) const NAMESPACE: &str = "chaos";
/// What a node says, with its port, when it can be asked.
pub(super) const LISTENING: &str = "listening on ";
pub(super) const PARTITIONS: PartitionCount = PartitionCount::new(4).expect("a power of two");

/// How a node process is started.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// Where it reaches Redis: one server, sentinels or a cluster.
    pub redis_url: String,
    /// Where it reaches the database.
    pub database_port: u16,
    /// How it breaks the protocol, by the breach's name.
    pub sabotage: Option<String>,
}

/// How a page is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ReadMode {
    Strict,
    Bounded,
    StaleOk,
}

impl ReadMode {
    fn policy(self) -> Policy {
        match self {
            Self::Strict => STRICT,
            Self::Bounded => BOUNDED,
            Self::StaleOk => STALE_OK,
        }
    }
}

/// What a node is asked.
#[derive(Serialize, Deserialize)]
pub(super) enum Question {
    Read {
        page: PageId,
        mode: ReadMode,
        at_least: String,
    },
    Invalidate {
        facts: Vec<Fact>,
        is_purge: bool,
    },
    /// How far it has followed the log.
    Frontiers,
    Stats,
    /// Notes from now on when each record is applied.
    NoteApplied,
    TakeApplied,
    /// Invalidates, and says when it was acknowledged.
    TimedInvalidate {
        fact: Fact,
    },
    /// Asks Redis for nothing, so many times, one after the other.
    RoundTrips {
        count: usize,
    },
    /// Subscribes with the bare client, and notes when each message comes.
    Subscribe,
    /// Publishes a number there, with the bare client.
    Publish {
        number: u64,
    },
    TakeHeard,
    /// Many operations at once.
    Burst {
        operations: usize,
    },
    /// As many plain `GET`s at once.
    PlainBurst {
        operations: usize,
    },
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Page {
        hit: bool,
        stale: bool,
        saw: Vec<(Fact, Version)>,
    },
    Invalidated {
        positions: String,
    },
    Frontiers {
        positions: String,
    },
    /// The store did not take an invalidation.
    NotRecorded(String),
    /// A read without an answer: never right, whatever happens to Redis.
    ReadFailed(String),
    /// The node has not yet reached Redis for the first time.
    NotReady,
    Stats(Stats),
    Noting,
    /// Positions, and when they were applied, in ns of the machine's monotonic clock.
    Applied(Vec<(String, u64)>),
    TimedInvalidation {
        position: String,
        began_ns: u64,
        acknowledged_ns: u64,
    },
    Subscribed,
    Published {
        began_ns: u64,
        acknowledged_ns: u64,
    },
    /// Numbers, and when they came.
    Heard(Vec<(u64, u64)>),
    RoundTrips {
        took_ns: Vec<u64>,
    },
    Burst(Burst),
}

/// What a node has seen since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stats {
    /// Operations of the store that failed.
    pub(super) store_failures: u64,
    /// Views that had to start anew: records lost or epoch changed.
    pub(super) skipped: u64,
    /// Reads that went on without the store.
    pub(super) bypassed: u64,
}

/// Runs a node until its standard input is closed, that is, until its driver ends.
pub async fn run_node(settings: NodeSettings) -> Result<(), Failure> {
    let sabotage = match &settings.sabotage {
        None => Sabotage::None,
        Some(name) => Sabotage::ALL
            .into_iter()
            .chain([Sabotage::ForgetPurges])
            .find(|breach| format!("{breach:?}") == *name)
            .ok_or_else(|| Failure::Failed(format!("there is no breach {name}")))?,
    };
    let database = Caller::connect(settings.database_port).await.map_err(Failure::of("reaching the database"))?;
    let store = store(&settings.redis_url)?;
    let node = Arc::new(Node {
        cache: OnceLock::new(),
        database,
        watch: Arc::default(),
        redis_url: settings.redis_url,
        bare: tokio::sync::OnceCell::new(),
    });
    let answering = node.clone();
    let (port, _serving) = wire::serve(move |question| answering.clone().answer(question))
        .await
        .map_err(Failure::of("listening on loopback"))?;
    println!("{LISTENING}{port}");
    std::io::stdout().flush().map_err(Failure::of("telling the driver"))?;
    tokio::select! {
        () = node.live(store, sabotage) => Ok(()),
        () = driver_is_gone() => Ok(()),
    }
}

async fn driver_is_gone() {
    while let Ok(1..) = tokio::io::stdin().read(&mut [0; 64]).await {}
}

fn store(redis_url: &str) -> Step<Arc<RedisStore>> {
    // Logs and clocks are small, so that they are trimmed while it runs.
    let limits = RedisLimits { partitions: PARTITIONS, log_records_max: 256, clocks_max: 64, ..RedisLimits::default() };
    let settings = RedisSettings { limits, ..RedisSettings::new(redis_url, NAMESPACE) };
    Ok(Arc::new(RedisStore::new(settings).map_err(Failure::of("setting up the store"))?))
}

pub(super) struct Node {
    cache: OnceLock<Cache>,
    database: Caller<Look, Version>,
    watch: Arc<Watch>,
    redis_url: String,
    /// The bare client, to measure beside the engine.
    bare: tokio::sync::OnceCell<Bare>,
}

#[derive(Default)]
struct Watch {
    store_failures: AtomicU64,
    skipped: AtomicU64,
    bypassed: AtomicU64,
    notes: AtomicBool,
    applied: Mutex<Vec<(String, u64)>>,
}

impl Observer for Watch {
    fn on_event(&self, event: &Event<'_>) {
        match event {
            Event::StoreFailed { .. } => {
                self.store_failures.fetch_add(1, Relaxed);
            }
            Event::Skipped { .. } => {
                self.skipped.fetch_add(1, Relaxed);
            }
            Event::Read { verdict: Verdict::Bypass(_), .. } => {
                self.bypassed.fetch_add(1, Relaxed);
            }
            Event::Applied { record } if self.notes.load(Relaxed) => {
                self.applied.lock().push((PositionSet::from(record.position).to_string(), monotonic_ns()));
            }
            _ => {}
        }
    }
}

/// The same clock in all processes of a machine.
pub(super) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let [seconds, nanoseconds] = [now.tv_sec, now.tv_nsec].map(|part| u64::try_from(part).unwrap_or_default());
    seconds * 1_000_000_000 + nanoseconds
}

impl Node {
    /// Waits for Redis, then follows the log for ever.
    async fn live(&self, store: Arc<RedisStore>, sabotage: Sabotage) {
        let limits =
            CacheLimits { clocks: ClockLimits { filter_slots: 8, exact_clocks_max: 64 }, ..CacheLimits::default() };
        let cache = loop {
            // Short, so that a scenario sees the end of it.
            let mut resilience = Resilience::default();
            resilience.breaker.open_for = Duration::from_secs(1);
            // As the server has it: of several masters one may be away.
            if store.is_cluster() {
                resilience.breaker_per = BreakerPer::Partition;
            }
            let builder = Cache::builder(store.clone()).limits(limits).observer(self.watch.clone());
            let builder = builder.resilience(resilience);
            match builder.sabotage(sabotage).build().await {
                Ok(cache) => break cache,
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        };
        let _ = self.cache.set(cache.clone());
        cache.follow(CONFIRM_EVERY).await;
    }

    async fn answer(self: Arc<Self>, question: Question) -> Answer {
        let Some(cache) = self.cache.get() else { return Answer::NotReady };
        match question {
            Question::Read { page, mode, at_least } => {
                let at_least = at_least.parse().unwrap_or_default();
                match self.read(cache, page, mode, at_least).await {
                    Ok(fetched) => Answer::Page {
                        hit: fetched.verdict == Verdict::Hit,
                        stale: matches!(fetched.verdict, Verdict::Stale(_)),
                        saw: fetched.value().map(|page| page.saw.clone()).unwrap_or_default(),
                    },
                    Err(error) => Answer::ReadFailed(error.to_string()),
                }
            }
            Question::Invalidate { facts, is_purge } => {
                let wrong = invalidation(&facts);
                match cache.invalidate(&if is_purge { wrong.purging() } else { wrong }).await {
                    Ok(positions) => Answer::Invalidated { positions: positions.to_string() },
                    Err(error) => Answer::NotRecorded(with_source(&error)),
                }
            }
            Question::Frontiers => Answer::Frontiers { positions: cache.frontiers().to_string() },
            Question::Stats => Answer::Stats(Stats {
                store_failures: self.watch.store_failures.load(Relaxed),
                skipped: self.watch.skipped.load(Relaxed),
                bypassed: self.watch.bypassed.load(Relaxed),
            }),
            Question::NoteApplied => {
                self.watch.notes.store(true, Relaxed);
                Answer::Noting
            }
            Question::TakeApplied => Answer::Applied(std::mem::take(&mut *self.watch.applied.lock())),
            Question::TimedInvalidate { fact } => {
                let began_ns = monotonic_ns();
                match cache.invalidate(&invalidation(&[fact])).await {
                    Ok(positions) => {
                        let acknowledged_ns = monotonic_ns();
                        Answer::TimedInvalidation { began_ns, acknowledged_ns, position: positions.to_string() }
                    }
                    Err(error) => Answer::NotRecorded(with_source(&error)),
                }
            }
            Question::Subscribe => match self.bare().await {
                Ok(_) => Answer::Subscribed,
                Err(error) => Answer::NotRecorded(error.to_string()),
            },
            Question::Publish { number } => match self.publish(number).await {
                Ok((began_ns, acknowledged_ns)) => Answer::Published { began_ns, acknowledged_ns },
                Err(error) => Answer::NotRecorded(error.to_string()),
            },
            Question::TakeHeard => match self.bare().await {
                Ok(bare) => Answer::Heard(bare.take_heard()),
                Err(error) => Answer::NotRecorded(error.to_string()),
            },
            Question::PlainBurst { operations } => match self.bare().await {
                Ok(bare) => Answer::Burst(bare.burst(operations).await),
                Err(error) => Answer::NotRecorded(error.to_string()),
            },
            Question::RoundTrips { count } => match measure::round_trips(&self.redis_url, count).await {
                Ok(took_ns) => Answer::RoundTrips { took_ns },
                Err(error) => Answer::NotRecorded(error.to_string()),
            },
            Question::Burst { operations } => Answer::Burst(measure::burst(&self, cache, operations).await),
        }
    }

    async fn bare(&self) -> Result<&Bare, redis::RedisError> {
        self.bare.get_or_try_init(|| Bare::connect(&self.redis_url)).await
    }

    async fn publish(&self, number: u64) -> Result<(u64, u64), redis::RedisError> {
        self.bare().await?.publish(number).await
    }

    pub(super) async fn read(
        self: &Arc<Self>,
        cache: &Cache,
        page: PageId,
        mode: ReadMode,
        at_least: PositionSet,
    ) -> Result<Fetched<Page>, unstale::FetchError<String>> {
        let key = page_key(&tenant(page.tenant), page.number);
        let policy = mode.policy();
        let this = self.clone();
        let load = move || async move { this.compute(page).await.map(Loaded::value) };
        cache.fetch(&key, &policy, &ReadOptions { at_least }, load).await
    }

    /// Three facts, read at different moments; which one is the last depends on the first.
    async fn compute(&self, page: PageId) -> Result<Page, String> {
        let mut saw = Vec::new();
        let first = self.look(page.first_fact(), true, &mut saw).await?;
        self.look(super::world::SHARED_FACT, false, &mut saw).await?;
        self.look(page.last_fact(first), false, &mut saw).await?;
        Ok(Page { saw })
    }

    async fn look(&self, fact: Fact, begins_load: bool, saw: &mut Vec<(Fact, Version)>) -> Result<Version, String> {
        let looked = self.database.call(Look { fact, begins_load }).await;
        let version = looked.map_err(|error| error.to_string())?;
        record(&tag(fact));
        saw.push((fact, version));
        Ok(version)
    }
}

fn with_source(error: &InvalidateError) -> String {
    let source = error.source().map(ToString::to_string).unwrap_or_default();
    format!("{error} ({source})")
}

pub(super) fn invalidation(facts: &[Fact]) -> Invalidation {
    Invalidation::of(facts.iter().map(|fact| tag(*fact)))
}
