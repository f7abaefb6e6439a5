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
use unstale::{Cache, PositionSet, Verdict};

use super::{
    failure::{Failure, Step},
    member::Member,
    node::{Answer, Node, Question, ReadMode, invalidation, monotonic_ns},
    server::Server,
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
    invalidation: Reach,
    message: Reach,
    round_trip: Spread,
    misses: Vec<Cost>,
    /// What each round of many operations cost, of which the nodes' bursts consist.
    operations: Vec<Cost>,
    bursts: Vec<Burst>,
    plain_bursts: Vec<Burst>,
}

/// What many reads at once cost.
#[derive(Clone, Copy)]
struct Cost {
    /// Loads that began at the origin.
    loads: u64,
    /// Reads that went on without the store.
    bypassed: u64,
}

impl Cost {
    async fn so_far(stage: &Stage<Server>) -> Self {
        Self { loads: stage.load.database.loads(), bypassed: stage.stats().await.bypassed }
    }

    async fn since(before: Self, stage: &Stage<Server>) -> Self {
        let now = Self::so_far(stage).await;
        Self { loads: now.loads - before.loads, bypassed: now.bypassed - before.bypassed }
    }
}

/// How long it takes to reach every node.
struct Reach {
    since_acknowledged: Spread,
    since_begun: Spread,
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
    took_ns: Vec<(Did, u64)>,
}

/// What an operation turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Did {
    /// A bounded read that found the value in memory or in Redis.
    Find,
    /// A strict read that did.
    FindStrictly,
    /// A read that waited for the database, for its own load or another's.
    Load,
    Invalidate,
    /// A plain `GET`.
    Get,
}

/// Measures on a server and nodes of its own; `own` is the program that nodes are started from.
pub async fn measure(own: &Path) -> Result<Figures, Failure> {
    let stage = Stage::<Server>::set_up(own, None, 0).await?;
    let members = &stage.load.members;
    // Straight to the server: the proxies' own time is nobody's.
    join_all(members.iter().map(|member| member.start_again_at(stage.redis.url())))
        .await
        .into_iter()
        .collect::<Step>()?;
    ready(members).await?;
    let (invalidation, message, round_trip) = invalidations(members).await?;
    stage.load.database.set_look_ms_max(MISS_LOOK_MS_MAX);
    let mut missed = Vec::new();
    for round in 0..MISS_ROUNDS {
        missed.push(misses(&stage, round).await?);
    }
    stage.load.database.set_look_ms_max(2);
    let (mut operations, mut bursts, mut plain_bursts) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..BURST_ROUNDS {
        // What the one before has left behind is nobody's.
        tokio::time::sleep(SETTLE).await;
        let before = Cost::so_far(&stage).await;
        bursts.extend(all_at_once(members, |operations| Question::Burst { operations }).await?);
        operations.push(Cost::since(before, &stage).await);
        tokio::time::sleep(SETTLE).await;
        plain_bursts.extend(all_at_once(members, |operations| Question::PlainBurst { operations }).await?);
    }
    Ok(Figures { invalidation, message, round_trip, misses: missed, operations, bursts, plain_bursts })
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
        match member.ask(Question::Subscribe).await {
            Some(Answer::Subscribed) => {}
            other => return Err(Failure::Failed(format!("a subscription was answered with {other:?}"))),
        }
    }
    Ok(())
}

/// What was sent to every node: by its name when it was begun, when it was acknowledged, and when the last node had it.
#[derive(Default)]
struct Sent(HashMap<String, [u64; 3]>);

impl Sent {
    fn arrived(&mut self, name: &str, at_ns: u64) {
        if let Some([.., last]) = self.0.get_mut(name) {
            *last = (*last).max(at_ns);
        }
    }

    fn reach(self) -> Step<Reach> {
        if let Some((name, _)) = self.0.iter().find(|(_, [.., last])| *last == 0) {
            return Err(Failure::Failed(format!("nobody heard of {name}")));
        }
        let since = |place: usize| Spread::of(self.0.values().map(|at| at[2].saturating_sub(at[place])).collect());
        Ok(Reach { since_acknowledged: since(1), since_begun: since(0) })
    }
}

/// From the acknowledgement to the last node's view; a bare message to as many; and a round trip to Redis, by turns.
async fn invalidations(members: &[Arc<Member>]) -> Step<(Reach, Reach, Spread)> {
    let (mut invalidations, mut messages) = (Sent::default(), Sent::default());
    let mut round_trips = Vec::new();
    for at in 0..INVALIDATIONS {
        let fact = 1 + u32::try_from(at).unwrap_or_default() % (FACTS - 1);
        let member = &members[at % members.len()];
        match member.ask(Question::TimedInvalidate { fact }).await {
            Some(Answer::TimedInvalidation { position, began_ns, acknowledged_ns }) => {
                invalidations.0.insert(position, [began_ns, acknowledged_ns, 0]);
            }
            other => return Err(Failure::Failed(format!("an invalidation was answered with {other:?}"))),
        }
        tokio::time::sleep(INVALIDATION_EVERY).await;
        match member.ask(Question::Publish { number: at as u64 }).await {
            Some(Answer::Published { began_ns, acknowledged_ns }) => {
                messages.0.insert(at.to_string(), [began_ns, acknowledged_ns, 0]);
            }
            other => return Err(Failure::Failed(format!("a message was answered with {other:?}"))),
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
    for member in members {
        let Some(Answer::Applied(notes)) = member.ask(Question::TakeApplied).await else {
            return Err(Failure::new("a node does not say when it applied what"));
        };
        notes.iter().for_each(|(position, at_ns)| invalidations.arrived(position, *at_ns));
        let Some(Answer::Heard(notes)) = member.ask(Question::TakeHeard).await else {
            return Err(Failure::new("a node does not say when it heard what"));
        };
        notes.iter().for_each(|(number, at_ns)| messages.arrived(&number.to_string(), *at_ns));
    }
    Ok((invalidations.reach()?, messages.reach()?, Spread::of(round_trips)))
}

/// How many loads begin when one page, which nobody holds, is read very often at once.
async fn misses(stage: &Stage<Server>, round: usize) -> Step<Cost> {
    // Beyond the pages that anybody has read.
    let page = PageId { tenant: 0, number: TENANT_PAGES + u32::try_from(round).unwrap_or_default() };
    let before = Cost::so_far(stage).await;
    let members = &stage.load.members;
    let reads = (0..MISSES).map(|at| {
        members[at % members.len()].ask(Question::Read { page, mode: ReadMode::Bounded, at_least: String::new() })
    });
    let answers = join_all(reads).await;
    match answers.iter().find(|answer| !matches!(answer, Some(Answer::Page { .. }))) {
        None => Ok(Cost::since(before, stage).await),
        Some(other) => Err(Failure::Failed(format!("a read was answered with {other:?}"))),
    }
}

async fn all_at_once(members: &[Arc<Member>], question: impl Fn(usize) -> Question) -> Step<Vec<Burst>> {
    let each = OPERATIONS / members.len();
    let answers = join_all(members.iter().map(|member| member.ask(question(each)))).await;
    let bursts = answers.into_iter().map(|answer| match answer {
        Some(Answer::Burst(burst)) => Ok(burst),
        other => Err(Failure::Failed(format!("a burst was answered with {other:?}"))),
    });
    bursts.collect()
}

/// In a node: so many `PING`s, one after the other, on a connection of their own.
pub(super) async fn round_trips(redis_url: &str, count: usize) -> Result<Vec<u64>, redis::RedisError> {
    let client = redis::Client::open(redis_url)?;
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
        async move {
            if dice == 0 {
                return cache.invalidate(&invalidation(&[fact])).await.ok().map(|_| Did::Invalidate);
            }
            let strict = dice <= 5;
            let mode = if strict { ReadMode::Strict } else { ReadMode::Bounded };
            let fetched = node.read(&cache, page, mode, PositionSet::default()).await.ok()?;
            Some(match fetched.verdict {
                Verdict::Hit | Verdict::Stale(_) if strict => Did::FindStrictly,
                Verdict::Hit | Verdict::Stale(_) => Did::Find,
                Verdict::Miss(_) | Verdict::Bypass(_) => Did::Load,
            })
        }
    });
    all_of(running).await
}

/// Runs them at once, each in a task of its own. Each says what it was; nothing if it failed.
pub(super) async fn all_of<F>(operations: impl Iterator<Item = F>) -> Burst
where
    F: Future<Output = Option<Did>> + Send + 'static,
{
    let timed = |operation: F| async move {
        let began = monotonic_ns();
        (operation.await, monotonic_ns() - began)
    };
    let running: Vec<_> = operations.map(|operation| tokio::spawn(timed(operation))).collect();
    let ended = join_all(running).await;
    let mut burst = Burst { errors: 0, took_ns: Vec::with_capacity(ended.len()) };
    for ended in ended {
        match ended {
            Ok((Some(did), took)) => burst.took_ns.push((did, took)),
            Ok((None, _)) | Err(_) => burst.errors += 1,
        }
    }
    burst
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invalidation, message, round_trip, misses, operations, bursts, plain_bursts } = self;
        let loads = |costs: &[Cost]| costs.iter().map(|cost| cost.loads).collect::<Vec<_>>();
        let bypassed = |costs: &[Cost]| costs.iter().map(|cost| cost.bypassed).collect::<Vec<_>>();
        let errors: usize = bursts.iter().chain(plain_bursts).map(|burst| burst.errors).sum();
        let took = |bursts: &[Burst], which: &[Did]| -> Vec<u64> {
            let all = bursts.iter().flat_map(|burst| burst.took_ns.iter());
            all.filter(|(did, _)| which.contains(did)).map(|(_, took)| *took).collect()
        };
        writeln!(f, "| what | median | p99 | aim |")?;
        writeln!(f, "|---|---|---|---|")?;
        let Spread { median, p99 } = round_trip;
        writeln!(f, "| one round trip to Redis (PING), µs | {median:.0} | {p99:.0} | the yardstick |")?;
        let mut row = |what: &str, Spread { median, p99 }: Spread, aim: &str| {
            let (times, times_p99) = (median / round_trip.median, p99 / round_trip.median);
            writeln!(f, "| {what}, µs | {median:.0} ({times:.1} round trips) | {p99:.0} ({times_p99:.1}) | {aim} |")
        };
        let aim = "≤ 3 round trips, p99 < 10,000";
        row("acknowledged invalidation → every node's L1 refuses", invalidation.since_acknowledged, aim)?;
        row("begun invalidation → every node's L1 refuses", invalidation.since_begun, "")?;
        row("acknowledged bare message → every node has heard it", message.since_acknowledged, "the floor")?;
        row("begun bare message → every node has heard it", message.since_begun, "the floor")?;
        writeln!(f, "| {MISSES} concurrent misses of one key: loads, each round | {:?} | | 1 |", loads(misses))?;
        writeln!(f, "| of them: went on without the store | {:?} | | |", bypassed(misses))?;
        let total = bursts.iter().map(|burst| burst.took_ns.len()).sum::<usize>().max(1);
        let every = [Did::Find, Did::FindStrictly, Did::Load, Did::Invalidate];
        let rows: [(&str, &[Did], &str); 5] = [
            ("concurrent operations", &every, "< 50,000"),
            ("of them: bounded reads, found", &[Did::Find], ""),
            ("of them: strict reads, found", &[Did::FindStrictly], ""),
            ("of them: reads that waited for the database", &[Did::Load], ""),
            ("of them: invalidations", &[Did::Invalidate], ""),
        ];
        for (what, which, aim) in rows {
            let took = took(bursts, which);
            let count = OPERATIONS * took.len() / total;
            let Spread { median, p99 } = Spread::of(took);
            writeln!(f, "| {count} {what}, µs | {median:.0} | {p99:.0} | {aim} |")?;
        }
        let rounds = bursts.chunks((bursts.len() / BURST_ROUNDS).max(1));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole milliseconds are shown")]
        let p99s: Vec<u64> = rounds.map(|round| (Spread::of(took(round, &every)).p99 / 1_000.0) as u64).collect();
        writeln!(f, "| of them: p99 of each round, ms; the first is cold | | {p99s:?} | |")?;
        writeln!(f, "| of them: loads, each round | {:?} | | |", loads(operations))?;
        writeln!(f, "| of them: reads that went on without the store | {:?} | | |", bypassed(operations))?;
        let Spread { median, p99 } = Spread::of(took(plain_bursts, &[Did::Get]));
        writeln!(f, "| as many plain GETs, µs | {median:.0} | {p99:.0} | the floor |")?;
        write!(f, "| errors | {errors} | | 0 |")
    }
}
