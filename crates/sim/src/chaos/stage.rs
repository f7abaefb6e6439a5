//! What a scenario plays on: Redis in some arrangement, nodes on it, and the load on them.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    books::Promise,
    database::Database,
    failure::{Failure, Step, demand},
    load::Load,
    member::{Member, Programme},
    node::{Question, Stats},
    redis::Redis,
    server::Server,
    wire::Serving,
    world::{PageId, SHARED_FACT},
};

pub(super) const NODES: usize = 3;
/// Longest time after the last fault until every page is a hit on every node.
const RECOVERY_MAX: Duration = Duration::from_secs(30);
/// Longest wait for readers and writers to end what they do.
const STOP_MAX: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(30);

/// The stage of one scenario. All its processes end when it is dropped.
pub(super) struct Stage<R> {
    pub(super) redis: R,
    /// Servers that hang: they must not end, so that connections to them stay open.
    pub(super) hung: Vec<R>,
    pub(super) load: Arc<Load>,
    pub(super) random: StdRng,
    /// Which round of the scenario it is, from 0.
    pub(super) round: usize,
    /// What did not happen in rounds whose fault had no effect.
    pub(super) in_vain: Vec<String>,
    /// Whether there is time for faults of half a minute.
    pub(super) long: bool,
    running: JoinSet<()>,
    _database: Serving,
}

impl<R: Redis> Stage<R> {
    /// Starts servers and nodes, and what the load on them needs.
    pub(super) async fn set_up(own: &std::path::Path, sabotage: Option<&str>, seed: u64) -> Step<Self> {
        let redis = R::start().await?;
        let (database, database_port, serving) = Database::open().await.map_err(Failure::of("opening the database"))?;
        let programme = Programme { path: own.to_owned(), database_port, sabotage: sabotage.map(ToOwned::to_owned) };
        let mut members = Vec::new();
        for node in 0..NODES {
            let way = redis.way_of(node).await?;
            members.push(Arc::new(Member::start(programme.clone(), way).await?));
        }
        let load = Load::new(members, database);
        let running = JoinSet::new();
        let random = StdRng::seed_from_u64(seed);
        Ok(Self {
            redis,
            hung: Vec::new(),
            load,
            random,
            round: 0,
            in_vain: Vec::new(),
            long: false,
            running,
            _database: serving,
        })
    }

    pub(super) fn begin_load(&mut self) {
        self.running = self.load.run(self.random.random());
    }

    pub(super) fn member(&mut self) -> Arc<Member> {
        let which = self.random.random_range(0..NODES);
        self.load.members[which].clone()
    }

    /// Lets the load go on for a random time.
    pub(super) async fn go_on(&mut self, millis: std::ops::RangeInclusive<u64>) {
        sleep(Duration::from_millis(self.random.random_range(millis))).await;
    }

    /// The sum over all nodes.
    pub(super) async fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        for member in &self.load.members {
            let Stats { store_failures, skipped, bypassed } = member.stats().await;
            sum.store_failures += store_failures;
            sum.skipped += skipped;
            sum.bypassed += bypassed;
        }
        sum
    }

    /// Writes that were acknowledged.
    pub(super) fn written(&self) -> u64 {
        self.load.counts.writes.load(Relaxed)
    }

    /// Ends the load, and waits until every node serves every page from memory again and all agree with the
    /// database. Returns how long that took.
    pub(super) async fn recover(&mut self) -> Step<Duration> {
        self.load.stop();
        let ended = async { while self.running.join_next().await.is_some() {} };
        timeout(STOP_MAX, ended)
            .await
            .map_err(|_| Failure::Failed(format!("readers and writers hang for {STOP_MAX:?}")))?;
        let began = Instant::now();
        let mut left = String::new();
        while began.elapsed() < RECOVERY_MAX {
            match self.is_recovered().await {
                Ok(()) => return Ok(began.elapsed()),
                Err(failure) => left = failure.to_string(),
            }
            sleep(LOOK_AGAIN).await;
        }
        Err(Failure::Failed(format!("not recovered after {RECOVERY_MAX:?}: {left}; {}", self.troubles().await)))
    }

    /// What Redis says, and what each node says of it.
    pub(super) async fn troubles(&self) -> String {
        let mut troubles = vec![format!("Redis: {}", self.redis.says().await)];
        for (node, member) in self.load.members.iter().enumerate() {
            let answer = member.ask(Question::Invalidate { facts: vec![SHARED_FACT], is_purge: false }).await;
            troubles.push(format!("node {node}: {answer:?}"));
        }
        troubles.join(", ")
    }

    async fn is_recovered(&self) -> Step {
        let owed = self.load.empty_outbox().await;
        demand(owed == 0, || format!("{owed} invalidations are still refused"))?;
        for promise in [Promise::Strict, Promise::Bounded] {
            for page in PageId::all() {
                for node in 0..NODES {
                    let (hit, saw) = self.load.read(node, page, promise).await.ok_or_else(|| gone(node))?;
                    demand(hit, || format!("{page:?} is no hit on node {node}"))?;
                    // Nothing is written any more: what was acknowledged is all there is.
                    for (fact, version) in saw {
                        let truth = self.load.database.version(fact);
                        demand(version == truth, || {
                            format!("node {node} has fact {fact} at version {version} instead of {truth}")
                        })?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Stage<Server> {
    /// Leads all nodes to the server, wherever it is now.
    pub(super) fn lead_to_server(&self) {
        self.load.members.iter().for_each(|member| member.proxy().lead_to(self.redis.port()));
    }
}

fn gone(node: usize) -> Failure {
    Failure::Failed(format!("node {node} does not answer"))
}
