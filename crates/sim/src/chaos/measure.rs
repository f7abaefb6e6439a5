//! What is measured and not judged: how fast an invalidation reaches every node, how many loads many misses cost, and
//! how long many operations at once take.

use std::{
    collections::HashMap,
    fmt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize};
use unstale::{Cache, PositionSet};

use super::{
    failure::{Failure, Step},
    member::Member,
    node::{Answer, Node, Question, invalidation, monotonic_ns},
    stage::Stage,
    world::{FACTS, PageId, TENANT_PAGES, TENANTS},
};

const INVALIDATIONS: usize = 1_000;
const INVALIDATION_EVERY: Duration = Duration::from_millis(5);
/// Records must have been applied everywhere by then.
const SETTLE: Duration = Duration::from_secs(1);
const MISSES: usize = 10_000;
const MISS_ROUNDS: usize = 5;
/// A load of some 50 ms, so that all readers come while it runs.
const MISS_LOOK_MS_MAX: u64 = 40;
const OPERATIONS: usize = 10_000;
const BURST_ROUNDS: usize = 5;

/// The figures of a run.
pub struct Figures {
    invalidation: Spread,
    round_trip: Spread,
    loads: Vec<u64>,
    bursts: Vec<Burst>,
}

/// Half of the values are below the median, and 99 of 100 below the p99; in µs.
#[derive(Clone, Copy)]
struct Spread {
    median: f64,
    p99: f64,
}

impl Spread {
    fn of(mut values_ns: Vec<u64>) -> Self {
        values_ns.sort_unstable();
        #[allow(clippy::cast_precision_loss, reason = "nanoseconds are shown as microseconds")]
        let at = |percent: usize| {
            let place = (values_ns.len() * percent / 100).min(values_ns.len().saturating_sub(1));
            values_ns.get(place).map_or(f64::NAN, |ns| *ns as f64 / 1_000.0)
        };
        Self { median: at(50), p99: at(99) }
    }
}

/// What became of many operations at once on one node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Burst {
    errors: usize,
    took_ns: Vec<u64>,
}

/// Measures on a server and nodes of its own; `own` is the program that nodes are started from.
pub async fn measure(own: &Path) -> Result<Figures, Failure> {
    let stage = Stage::set_up(own, None, 0).await?;
    let members = &stage.load.members;
    // Straight to the server: the proxies' own time is nobody's.
    join_all(members.iter().map(|member| member.start_again_at(stage.server.port())))
        .await
        .into_iter()
        .collect::<Step>()?;
    ready(members).await?;
    let (invalidation, round_trip) = invalidations(members).await?;
    stage.load.database.set_look_ms_max(MISS_LOOK_MS_MAX);
    let mut loads = Vec::new();
    for round in 0..MISS_ROUNDS {
        loads.push(misses(&stage, round).await?);
    }
    stage.load.database.set_look_ms_max(2);
    let mut bursts = Vec::new();
    for _ in 0..BURST_ROUNDS {
        bursts.extend(all_at_once(members).await?);
    }
    Ok(Figures { invalidation, round_trip, loads, bursts })
}

async fn ready(members: &[Arc<Member>]) -> Step {
    for member in members {
        let began = Instant::now();
        while let None | Some(Answer::NotReady) = member.ask(Question::NoteApplied).await {
            if began.elapsed() > Duration::from_secs(20) {
                return Err(Failure::new("a node does not get ready"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}

/// From the acknowledgement to the last node's view; and a round trip to Redis, by turns with it.
async fn invalidations(members: &[Arc<Member>]) -> Step<(Spread, Spread)> {
    let mut acknowledged: Vec<(String, u64)> = Vec::new();
    let mut round_trips = Vec::new();
    for at in 0..INVALIDATIONS {
        let fact = 1 + u32::try_from(at).unwrap_or_default() % (FACTS - 1);
        let member = &members[at % members.len()];
        match member.ask(Question::TimedInvalidate { fact }).await {
            Some(Answer::TimedInvalidation { position, acknowledged_ns }) => {
                acknowledged.push((position, acknowledged_ns));
            }
            other => return Err(Failure::Failed(format!("an invalidation was answered with {other:?}"))),
        }
        if at % 10 == 0 {
            match member.ask(Question::RoundTrips { count: 20 }).await {
                Some(Answer::RoundTrips { took_ns }) => round_trips.extend(took_ns),
                other => return Err(Failure::Failed(format!("round trips were answered with {other:?}"))),
            }
        }
        tokio::time::sleep(INVALIDATION_EVERY).await;
    }
    tokio::time::sleep(SETTLE).await;
    // When the last node's view held it.
    let mut everywhere: HashMap<String, u64> = HashMap::new();
    for member in members {
        let Some(Answer::Applied(notes)) = member.ask(Question::TakeApplied).await else {
            return Err(Failure::new("a node does not say when it applied what"));
        };
        for (position, applied_ns) in notes {
            let last = everywhere.entry(position).or_default();
            *last = (*last).max(applied_ns);
        }
    }
    let delays = acknowledged.into_iter().map(|(position, acknowledged_ns)| {
        let applied_ns =
            everywhere.get(&position).ok_or_else(|| Failure::Failed(format!("nobody applied {position}")))?;
        Ok(applied_ns.saturating_sub(acknowledged_ns))
    });
    Ok((Spread::of(delays.collect::<Step<_>>()?), Spread::of(round_trips)))
}

/// How many loads begin when one page, which nobody holds, is read very often at once.
async fn misses(stage: &Stage, round: usize) -> Step<u64> {
    // Beyond the pages that anybody has read.
    let page = PageId { tenant: 0, number: TENANT_PAGES + u32::try_from(round).unwrap_or_default() };
    let before = stage.load.database.loads();
    let members = &stage.load.members;
    let reads = (0..MISSES)
        .map(|at| members[at % members.len()].ask(Question::Read { page, strict: false, at_least: String::new() }));
    let answers = join_all(reads).await;
    match answers.iter().find(|answer| !matches!(answer, Some(Answer::Page { .. }))) {
        None => Ok(stage.load.database.loads() - before),
        Some(other) => Err(Failure::Failed(format!("a read was answered with {other:?}"))),
    }
}

async fn all_at_once(members: &[Arc<Member>]) -> Step<Vec<Burst>> {
    let each = OPERATIONS / members.len();
    let answers = join_all(members.iter().map(|member| member.ask(Question::Burst { operations: each }))).await;
    let bursts = answers.into_iter().map(|answer| match answer {
        Some(Answer::Burst(burst)) => Ok(burst),
        other => Err(Failure::Failed(format!("a burst was answered with {other:?}"))),
    });
    bursts.collect()
}

/// In a node: so many `PING`s, one after the other, on a connection of their own.
pub(super) async fn round_trips(redis_port: u16, count: usize) -> Result<Vec<u64>, redis::RedisError> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{redis_port}"))?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let mut took = Vec::with_capacity(count);
    for at in 0..=count {
        let began = monotonic_ns();
        redis::cmd("PING").query_async::<()>(&mut connection).await?;
        // The first one pays for what is done once.
        if at > 0 {
            took.push(monotonic_ns() - began);
        }
    }
    Ok(took)
}

/// In a node: operations that all begin at once; of a hundred, 94 bounded reads, 5 strict ones and an invalidation.
pub(super) async fn burst(node: &Arc<Node>, cache: &Cache, operations: usize) -> Burst {
    let mut random = StdRng::seed_from_u64(1);
    let running = (0..operations).map(|_| {
        let (dice, fact) = (random.random_range(0..100), random.random_range(1..FACTS));
        let page = PageId { tenant: random.random_range(0..TENANTS), number: random.random_range(0..TENANT_PAGES) };
        let (node, cache) = (node.clone(), cache.clone());
        tokio::spawn(async move {
            let began = monotonic_ns();
            let failed = if dice == 0 {
                cache.invalidate(&invalidation(&[fact])).await.is_err()
            } else {
                node.read(&cache, page, dice <= 5, PositionSet::default()).await.is_err()
            };
            (failed, monotonic_ns() - began)
        })
    });
    let ended = join_all(running.collect::<Vec<_>>()).await;
    let mut burst = Burst { errors: 0, took_ns: Vec::with_capacity(operations) };
    for ended in ended {
        match ended {
            Ok((failed, took)) => {
                burst.errors += usize::from(failed);
                burst.took_ns.push(took);
            }
            Err(_panicked) => burst.errors += 1,
        }
    }
    burst
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invalidation, round_trip, loads, bursts } = self;
        let errors: usize = bursts.iter().map(|burst| burst.errors).sum();
        let all = Spread::of(bursts.iter().flat_map(|burst| burst.took_ns.iter().copied()).collect());
        writeln!(f, "| what | median | p99 | aim |")?;
        writeln!(f, "|---|---|---|---|")?;
        let Spread { median, p99 } = round_trip;
        writeln!(f, "| one round trip to Redis (PING), µs | {median:.0} | {p99:.0} | the yardstick |")?;
        let Spread { median, p99 } = invalidation;
        writeln!(
            f,
            "| acknowledged invalidation → every node's L1 refuses, µs | {median:.0} | {p99:.0} | p99 < 10,000 |"
        )?;
        let (times, times_p99) = (median / round_trip.median, p99 / round_trip.median);
        writeln!(f, "| the same, in round trips | {times:.1}× | {times_p99:.1}× | ≤ 3× |")?;
        writeln!(f, "| {MISSES} concurrent misses of one key: loads, each round | {loads:?} | | 1 |")?;
        let Spread { median, p99 } = all;
        writeln!(f, "| {OPERATIONS} concurrent operations, µs | {median:.0} | {p99:.0} | < 50,000 |")?;
        write!(f, "| the same: errors | {errors} | | 0 |")
    }
}
