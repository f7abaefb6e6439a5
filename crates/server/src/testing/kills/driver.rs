//! The driver: starts workers, reads, types, and checks what is shown after each death.

use std::{
    fmt,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use rand::RngExt as _;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};
use unstale::{
    Cache,
    testing::{History, leashed, redis_server::RedisServer},
};

use super::{
    facts::{self, Page},
    worker,
};
use crate::{
    outbox::{
        Outbox,
        steps::{Step, kill_process},
    },
    telemetry::OutboxMetrics,
    testing::database::TestDatabase,
};

/// Nodes that read.
const NODES: usize = 2;
/// A worker that has not come to its step by then never does.
const DIES_WITHIN: Duration = Duration::from_secs(20);
/// Everything left over is published by then.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(20);
const NAMESPACE: &str = "kills";
/// Often enough to have every page at hand when it is written; other tests run beside.
const BETWEEN_PAGES: Duration = Duration::from_millis(3);

/// How a worker dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// By its own hand, when it comes to a step for the n-th time.
    At(Step, u32),
    /// From outside, so long after its first write.
    After(Duration),
}

impl Kill {
    /// The `at`-th of a run: the steps by turns, and after them one from outside.
    pub fn planned(at: usize) -> Self {
        let mut random = rand::rng();
        match Step::ALL.get(at % (Step::ALL.len() + 1)) {
            Some(step @ (Step::Taken | Step::Relayed | Step::RelayMarked)) => {
                Self::At(*step, random.random_range(1..=4))
            }
            Some(step) => Self::At(*step, random.random_range(1..=24)),
            None => Self::After(Duration::from_millis(random.random_range(0..=250))),
        }
    }
}

/// What became of a kill.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The kill.
    pub kill: Kill,
    /// Writes that were acknowledged before it.
    pub acknowledged: usize,
    /// Rows that were left over.
    pub left_over: u64,
    /// Why it failed.
    pub failure: Option<String>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kill, acknowledged, left_over, failure } = self;
        write!(f, "{kill:?}: {acknowledged} writes acknowledged, {left_over} rows left over")?;
        if let Some(failure) = failure {
            write!(f, ": FAILED: {failure}")?;
        }
        Ok(())
    }
}

/// How a run differs from the usual.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run {
    /// Nobody takes over: to show that the checker notices.
    pub nobody_takes_over: bool,
}

/// A database, a Redis, and nodes that read all the time.
pub struct Stage {
    program: PathBuf,
    database: TestDatabase,
    redis: RedisServer,
    pool: DatabaseConnection,
    outbox: Outbox,
    nodes: Vec<Cache>,
    history: Arc<History>,
    is_over: Arc<AtomicBool>,
}

impl Stage {
    /// Sets it up; `program` is what workers are started from.
    pub async fn set_up(program: &Path, database: TestDatabase) -> anyhow::Result<Self> {
        let redis = RedisServer::start();
        let pool = database.migrated().await;
        facts::create(&pool).await?;
        let outbox = Outbox::new(pool.clone(), worker::settings(), OutboxMetrics::default());
        let mut nodes = Vec::new();
        for _ in 0..NODES {
            nodes.push(facts::cache_on(&redis.url(), NAMESPACE).await?);
        }
        let stage = Self {
            program: program.to_owned(),
            database,
            redis,
            pool,
            outbox,
            nodes,
            history: Arc::default(),
            is_over: Arc::default(),
        };
        stage.read_all_the_time();
        Ok(stage)
    }

    /// Reads pages on every node: strict reads, which promise everything, and reads that fill the nodes' memory.
    fn read_all_the_time(&self) {
        for (number, cache) in self.nodes.iter().enumerate() {
            let following = cache.clone();
            let is_over = self.is_over.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = following.follow(Duration::from_millis(300)) => {}
                    () = until(&is_over) => {}
                }
            });
            let (cache, pool) = (cache.clone(), self.pool.clone());
            let (history, is_over) = (self.history.clone(), self.is_over.clone());
            tokio::spawn(async move {
                while !is_over.load(SeqCst) {
                    for page in Page::all() {
                        let began = history.now();
                        if let Ok(shown) = facts::read(&cache, &pool, page, true).await {
                            history.read(&format!("a strict read on node {number}"), began, shown.saw);
                        }
                        let _ = facts::read(&cache, &pool, page, false).await;
                        tokio::time::sleep(BETWEEN_PAGES).await;
                    }
                }
            });
        }
    }

    /// Lets a worker write until it dies, takes over, and checks.
    pub async fn kill(&self, kill: Kill, run: Run) -> Outcome {
        let mut outcome = Outcome { kill, acknowledged: 0, left_over: 0, failure: None };
        if let Err(error) = self.try_kill(kill, run, &mut outcome).await {
            outcome.failure = Some(format!("{error:#}"));
        }
        outcome
    }

    async fn try_kill(&self, kill: Kill, run: Run, outcome: &mut Outcome) -> anyhow::Result<()> {
        let before = self.history.violations().len();
        let (mut worker, lines) = self.start_worker(kill)?;
        let died = self.until_it_dies(&mut worker, kill).await;
        if died.is_err() {
            let _ = worker.kill();
        }
        let _ = worker.wait();
        outcome.acknowledged = tokio::task::spawn_blocking(move || lines.join())
            .await?
            .map_err(|_| anyhow::anyhow!("whoever noted the worker's lines failed"))?;
        died?;
        self.until_its_connections_are_gone().await?;
        outcome.left_over = self.outbox.status().await?.pending;
        if !run.nobody_takes_over {
            self.take_over().await?;
        }
        self.check().await?;
        let violations = self.history.violations();
        if let Some(first) = violations.get(before) {
            bail!("{} stale reads, the first: {first}", violations.len() - before);
        }
        Ok(())
    }

    fn start_worker(&self, kill: Kill) -> anyhow::Result<(Child, std::thread::JoinHandle<usize>)> {
        let mut command = leashed(&self.program);
        command.args(["worker", "--database", &self.database.url(), "--redis", &self.redis.url()]);
        command.args(["--namespace", NAMESPACE]).stdout(Stdio::piped()).stderr(Stdio::null());
        if let Kill::At(step, nth) = kill {
            command.arg("--die").arg(format!("{step:?}:{nth}"));
        }
        let mut worker = command.spawn().with_context(|| format!("{} cannot be run", self.program.display()))?;
        let out = worker.stdout.take().context("its output is piped")?;
        let history = self.history.clone();
        let lines = std::thread::spawn(move || {
            let mut acknowledged = 0;
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let numbers =
                    line.split_once(' ').and_then(|(fact, version)| Some((fact.parse().ok()?, version.parse().ok()?)));
                if let Some((fact, version)) = numbers {
                    history.acknowledged(fact, version);
                    acknowledged += 1;
                }
            }
            acknowledged
        });
        Ok((worker, lines))
    }

    /// Types meanwhile: triggers write for the worker's relay.
    async fn until_it_dies(&self, worker: &mut Child, kill: Kill) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut first_seen = None;
        let session = sea_orm::Database::connect(self.database.url()).await?;
        let first = self.sum().await?;
        loop {
            if let Some(status) = worker.try_wait()? {
                use std::os::unix::process::ExitStatusExt as _;
                ensure!(status.signal() == Some(9), "the worker ended by itself: {status}");
                break;
            }
            ensure!(began.elapsed() < DIES_WITHIN, "the worker did not die, whatever {kill:?} says");
            let fact = rand::rng().random_range(0..facts::FACTS);
            session.execute_unprepared(&facts::typed(self.outbox.is_postgres(), fact)).await?;
            if let Kill::After(wait) = kill {
                if first_seen.is_none() && self.sum().await? > first + 20 {
                    first_seen = Some(Instant::now());
                }
                if first_seen.is_some_and(|seen| seen.elapsed() >= wait) {
                    kill_process(worker.id())?;
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        session.close().await?;
        Ok(())
    }

    async fn sum(&self) -> anyhow::Result<u64> {
        Ok(facts::versions(&self.pool).await?.iter().map(|(_, version)| version).sum())
    }

    /// PostgreSQL may still be about to commit what a process that is gone has sent.
    async fn until_its_connections_are_gone(&self) -> anyhow::Result<()> {
        if !self.outbox.is_postgres() {
            return Ok(());
        }
        let sql = format!(
            "SELECT 1 AS one FROM pg_stat_activity WHERE application_name = '{}' AND datname = current_database() LIMIT 1",
            worker::APPLICATION
        );
        let began = Instant::now();
        let any = Statement::from_string(self.pool.get_database_backend(), sql);
        while self.pool.query_one_raw(any.clone()).await?.is_some() {
            ensure!(began.elapsed() < TAKEN_OVER_WITHIN, "connections of the dead stay open");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    async fn take_over(&self) -> anyhow::Result<()> {
        let relay = self.outbox.relay(self.nodes[0].clone());
        let began = Instant::now();
        loop {
            relay.drain().await?;
            let pending = self.outbox.status().await?.pending;
            if pending == 0 {
                return Ok(());
            }
            ensure!(began.elapsed() < TAKEN_OVER_WITHIN, "{pending} rows stay in the outbox");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Everything that is committed is acknowledged by now; nothing may show less.
    async fn check(&self) -> anyhow::Result<()> {
        for (fact, version) in facts::versions(&self.pool).await? {
            self.history.acknowledged(fact, version);
        }
        for (number, cache) in self.nodes.iter().enumerate() {
            for page in Page::all() {
                let began = self.history.now();
                let shown = facts::read(cache, &self.pool, page, true).await.map_err(anyhow::Error::msg)?;
                self.history.read(&format!("node {number} after the death"), began, shown.saw);
                if number == 0 {
                    // Who has published sees it at once, strict or not.
                    let began = self.history.now();
                    let shown = facts::read(cache, &self.pool, page, false).await.map_err(anyhow::Error::msg)?;
                    self.history.read("the node that took over", began, shown.saw);
                }
            }
        }
        Ok(())
    }

    /// How many reads were checked.
    pub fn reads(&self) -> usize {
        self.history.reads()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.is_over.store(true, SeqCst);
    }
}

async fn until(is_over: &AtomicBool) {
    while !is_over.load(SeqCst) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
