//! Scenarios: a fault (or all of them by turns, or a broken node) under load, then the recovery, then the verdict.

use std::{
    collections::BTreeMap,
    fmt,
    path::Path,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use rand::seq::IndexedRandom as _;
use unstale::testing::{Sabotage, Violation};

use super::{
    failure::{Failure, Step, demand},
    faults::Fault,
    redis::{Cluster, Redis, Sentinels},
    server::Server,
    stage::Stage,
};

/// Load before the first fault, so that there is something to lose.
const WARM_UP_MS: std::ops::RangeInclusive<u64> = 600..=800;
/// Load after each round, so that what it left behind is read.
const CALM_MS: std::ops::RangeInclusive<u64> = 300..=700;
/// From this on there is time for a stall of half a minute.
const LONG: Duration = Duration::from_secs(45);
/// A run with fewer hits shows nothing about them.
const HITS_MIN: u64 = 100;
/// The longest that a read may take, whatever Redis does.
const READ_MAX: Duration = Duration::from_secs(10);
/// How often a fault is tried until it has an effect. Of 31 rounds in which a master of a cluster was killed again and again, 13
/// had none that a node noticed in time.
const ROUNDS_IN_VAIN_MAX: usize = 8;
/// Violations that are shown.
const SHOWN_MAX: usize = 5;

/// A scenario by its name.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What happens in it.
    pub what: &'static str,
    on: On,
    play: Play,
}

/// Which servers it plays on.
#[derive(Clone, Copy)]
enum On {
    One,
    Sentinels,
    Cluster,
}

/// What is done to them; faults are named.
#[derive(Clone, Copy)]
enum Play {
    One(&'static str),
    /// Faults at random, by seed.
    Storm,
    /// Every fault once, one after the other, and again while there is time.
    Turns,
    /// Nodes that break the protocol, and a fault: the checker must notice.
    Broken(Sabotage, &'static str),
}

/// What became of a scenario.
pub struct Report {
    name: &'static str,
    rounds: usize,
    /// What did not happen in rounds that were in vain.
    in_vain: Vec<String>,
    took: Duration,
    reads: u64,
    hits: u64,
    stale: u64,
    checks: usize,
    violations: Vec<Violation>,
    read_errors: Vec<String>,
    writes: u64,
    purges: u64,
    refused: u64,
    refusals: BTreeMap<String, u64>,
    unanswered: u64,
    slowest_read: Duration,
    recovered_in: Option<Duration>,
    failure: Option<Failure>,
}

impl Scenario {
    /// All of them.
    pub fn all() -> Vec<Self> {
        let one = one_each::<Server>(On::One);
        let storm = Self { name: "storm", what: "all of these at random, by seed", on: On::One, play: Play::Storm };
        let turns = |name, on| Self { name, what: "all of these by turns, on the same servers", on, play: Play::Turns };
        let broken = |name, on, sabotage, fault| {
            let what = "nodes that break the protocol on purpose: the checker must notice";
            Self { name, what, on, play: Play::Broken(sabotage, fault) }
        };
        let broken = [
            broken("broken_base", On::One, Sabotage::StampAfterLoad, "clients_killed"),
            broken("broken_purge", On::One, Sabotage::ForgetPurges, "clients_killed"),
            broken("broken_epoch", On::One, Sabotage::IgnoreEpoch, "flushed"),
            broken("broken_on_sentinels", On::Sentinels, Sabotage::IgnoreEpoch, "sentinels_killed"),
            broken("broken_on_cluster", On::Cluster, Sabotage::IgnoreEpoch, "cluster_killed"),
        ];
        one.chain([storm])
            .chain(one_each::<Sentinels>(On::Sentinels))
            .chain([turns("sentinels", On::Sentinels)])
            .chain(one_each::<Cluster>(On::Cluster))
            .chain([turns("cluster", On::Cluster)])
            .chain(broken)
            .collect()
    }

    /// Runs it for about so long, at least one round, and until one had an effect; `own` is the program that nodes are started from.
    pub async fn run(&self, own: &Path, seed: u64, time: Duration) -> Report {
        match self.on {
            On::One => self.run_on::<Server>(own, seed, time).await,
            On::Sentinels => self.run_on::<Sentinels>(own, seed, time).await,
            On::Cluster => self.run_on::<Cluster>(own, seed, time).await,
        }
    }

    async fn run_on<R: Redis>(&self, own: &Path, seed: u64, time: Duration) -> Report {
        let began = Instant::now();
        let sabotage = match self.play {
            Play::Broken(sabotage, _) => Some(format!("{sabotage:?}")),
            Play::One(_) | Play::Storm | Play::Turns => None,
        };
        let mut stage = match Stage::<R>::set_up(own, sabotage.as_deref(), seed).await {
            Ok(stage) => stage,
            Err(failure) => return Report::of_nothing(self.name, began.elapsed(), failure),
        };
        stage.long = time >= LONG;
        stage.begin_load();
        let played = self.play(&mut stage, began + time).await;
        // Those of the recovery do not count.
        let hits = stage.load.counts.hits.load(Relaxed);
        let recovered = match (&played, sabotage) {
            (Ok(()), None) => Some(stage.recover().await),
            _ => None,
        };
        let mut report = self.report(&stage, hits, began.elapsed());
        report.recovered_in = recovered.as_ref().and_then(|recovered| recovered.as_ref().ok().copied());
        let recovered = recovered.map_or(Ok(()), |recovered| recovered.map(|_| ()));
        report.failure = match self.play {
            Play::Broken(sabotage, _) => played.and_then(|()| report.must_be_caught(sabotage)).err(),
            _ => played.and(recovered).and_then(|()| report.must_be_right()).err(),
        };
        report
    }

    async fn play<R: Redis>(&self, stage: &mut Stage<R>, ends: Instant) -> Step {
        let rounds_min = if let Play::Turns = self.play { R::FAULTS.len() } else { 1 };
        stage.go_on(WARM_UP_MS).await;
        while stage.round < rounds_min || (stage.load.books.violations().is_empty() && goes_on(stage, ends)) {
            let fault = match self.play {
                Play::One(name) | Play::Broken(_, name) => named::<R>(name),
                Play::Storm => R::FAULTS.choose(&mut stage.random).expect("there are faults"),
                Play::Turns => &R::FAULTS[stage.round % R::FAULTS.len()],
            };
            match (fault.act)(stage).await {
                // What an earlier round left behind may stand in the way of the next.
                Err(Failure::InVain(what)) => stage.in_vain.push(format!("{}: {what}", fault.name)),
                act => act.map_err(Failure::of(&format!("{} in round {}", fault.name, stage.round + 1)))?,
            }
            stage.go_on(CALM_MS).await;
            stage.round += 1;
        }
        Ok(())
    }

    fn report<R: Redis>(&self, stage: &Stage<R>, hits: u64, took: Duration) -> Report {
        let counts = &stage.load.counts;
        Report {
            name: self.name,
            rounds: stage.round,
            in_vain: stage.in_vain.clone(),
            took,
            reads: counts.reads.load(Relaxed),
            hits,
            stale: counts.stale.load(Relaxed),
            checks: stage.load.books.checks(),
            violations: stage.load.books.violations(),
            read_errors: counts.read_errors.lock().clone(),
            writes: counts.writes.load(Relaxed),
            purges: counts.purges.load(Relaxed),
            refused: counts.refused.load(Relaxed),
            refusals: counts.refusals.lock().clone(),
            unanswered: counts.unanswered.load(Relaxed),
            slowest_read: Duration::from_millis(counts.slowest_read_ms.load(Relaxed)),
            recovered_in: None,
            failure: None,
        }
    }
}

/// Whether there is another round after those that there must be. What has had no effect yet is tried again whatever the time.
fn goes_on<R: Redis>(stage: &Stage<R>, ends: Instant) -> bool {
    let is_in_vain = stage.in_vain.len() == stage.round;
    Instant::now() < ends || (is_in_vain && stage.round < ROUNDS_IN_VAIN_MAX)
}

/// A scenario for each fault.
fn one_each<R: Redis>(on: On) -> impl Iterator<Item = Scenario> {
    R::FAULTS.iter().map(move |fault| Scenario { name: fault.name, what: fault.what, on, play: Play::One(fault.name) })
}

fn named<R: Redis>(name: &str) -> &'static Fault<R> {
    R::FAULTS.iter().find(|fault| fault.name == name).expect("a fault of that name")
}

impl Report {
    fn of_nothing(name: &'static str, took: Duration, failure: Failure) -> Self {
        Self {
            name,
            rounds: 0,
            in_vain: Vec::new(),
            took,
            reads: 0,
            hits: 0,
            stale: 0,
            checks: 0,
            violations: Vec::new(),
            read_errors: Vec::new(),
            writes: 0,
            purges: 0,
            refused: 0,
            refusals: BTreeMap::new(),
            unanswered: 0,
            slowest_read: Duration::ZERO,
            recovered_in: None,
            failure: Some(failure),
        }
    }

    /// Whether all was as it must be.
    pub fn passed(&self) -> bool {
        self.failure.is_none()
    }

    fn must_be_right(&self) -> Step {
        demand(self.violations.is_empty(), || format!("{} broken promises", self.violations.len()))?;
        demand(self.read_errors.is_empty(), || format!("{} reads ended in an error", self.read_errors.len()))?;
        demand(self.slowest_read < READ_MAX, || format!("a read took {:?}", self.slowest_read))?;
        demand(self.rounds > self.in_vain.len(), || format!("every fault was in vain: {}", self.in_vain[0]))?;
        self.must_say_something()
    }

    fn must_be_caught(&self, sabotage: Sabotage) -> Step {
        demand(!self.violations.is_empty(), || format!("{sabotage:?} was not noticed in {} reads", self.reads))
    }

    /// A run that read nothing from a cache, or wrote nothing, proves nothing.
    fn must_say_something(&self) -> Step {
        demand(self.hits >= HITS_MIN, || format!("only {} hits under load", self.hits))?;
        demand(self.writes > 0, || "no write was acknowledged".into())?;
        demand(self.purges > 0, || "no purge was acknowledged".into())?;
        demand(self.stale > 0, || "nobody who does not mind staleness was given what was stale".into())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, rounds, reads, hits, stale, checks, writes, purges, refused, unanswered, .. } = self;
        let word = if self.passed() { "ok    " } else { "FAILED" };
        write!(
            f,
            "{word} {name:<19} {:>5.1} s, {rounds} rounds ({} in vain): ",
            self.took.as_secs_f64(),
            self.in_vain.len()
        )?;
        write!(
            f,
            "{reads} reads, {hits} hits, {stale} stale where that is allowed, {checks} promises checked, {} broken, ",
            self.violations.len()
        )?;
        write!(
            f,
            "{} errors; {writes} writes ({purges} purges), {refused} refused; {unanswered} unanswered; ",
            self.read_errors.len()
        )?;
        write!(f, "slowest read {:?}", self.slowest_read)?;
        if let Some(recovered_in) = self.recovered_in {
            write!(f, "; recovered in {recovered_in:.1?}")?;
        }
        if let Some(failure) = &self.failure {
            write!(f, "\n       {failure}")?;
            for violation in self.violations.iter().take(SHOWN_MAX) {
                write!(f, "\n       {violation}")?;
            }
            for error in self.read_errors.iter().take(SHOWN_MAX) {
                write!(f, "\n       {error}")?;
            }
            for (refusal, times) in &self.refusals {
                write!(f, "\n       {times} times: {refusal}")?;
            }
        }
        Ok(())
    }
}
