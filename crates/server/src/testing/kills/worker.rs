//! The process that writes, and dies.

use std::{io::Write as _, time::Duration};

use anyhow::Context as _;
use clap::Args;
use rand::RngExt as _;

use super::{facts, step_named};
use crate::{
    database::{PoolLimits, connect},
    outbox::{
        Announcement, Outbox, OutboxSettings,
        steps::{self, Step},
    },
    telemetry::OutboxMetrics,
};

const WRITERS: usize = 4;
/// What the worker's connections to PostgreSQL are called.
pub(super) const APPLICATION: &str = "outbox-kills worker";

/// How a worker is started.
#[derive(Args, Clone, Debug)]
pub struct WorkerArguments {
    /// The database's URL
    #[arg(long)]
    pub database: String,
    /// The URL of Redis
    #[arg(long)]
    pub redis: String,
    /// The namespace in it
    #[arg(long)]
    pub namespace: String,
    /// The step to die at, and at which time that it comes there: Committed:3
    #[arg(long, value_parser = parse_death)]
    pub die: Option<(Step, u32)>,
}

fn parse_death(text: &str) -> Result<(Step, u32), String> {
    let parsed = text.split_once(':').and_then(|(step, nth)| Some((step_named(step)?, nth.parse().ok()?)));
    parsed.ok_or_else(|| format!("{text:?} is no STEP:NTH; steps are {:?}", Step::ALL))
}

/// Relays and marks follow writes closely, so that little time passes before each step.
pub(super) fn settings() -> OutboxSettings {
    OutboxSettings {
        grace: Duration::from_millis(30),
        poll: Some(Duration::from_millis(10)),
        mark_every: Duration::from_millis(5),
        batch_rows: 16,
        ..OutboxSettings::default()
    }
}

/// Writes until it dies. Each acknowledged write is a line: fact and version.
pub async fn work(arguments: WorkerArguments) -> anyhow::Result<()> {
    let limits = PoolLimits { connections_max: 8, ..PoolLimits::default() };
    let pool = connect(&arguments.database, APPLICATION, &limits).await.context("the database cannot be opened")?;
    let cache = facts::cache_on(&arguments.redis, &arguments.namespace).await.context("Redis does not answer")?;
    let outbox = Outbox::new(pool, settings(), OutboxMetrics::default());
    let relay = outbox.relay(cache.clone());
    println!("ready");
    if let Some((step, nth)) = arguments.die {
        steps::die_at(step, nth);
    }
    tokio::spawn(async move { relay.run().await });
    let following = cache.clone();
    tokio::spawn(async move { following.follow(Duration::from_millis(300)).await });
    let writers = (0..WRITERS).map(|_| {
        let (outbox, cache) = (outbox.clone(), cache.clone());
        tokio::spawn(async move {
            loop {
                if let Err(error) = write(&outbox, &cache).await {
                    eprintln!("a write failed: {error:#}");
                }
                let millis = rand::rng().random_range(0..=4);
                tokio::time::sleep(Duration::from_millis(millis)).await;
            }
        })
    });
    futures_util::future::join_all(writers.collect::<Vec<_>>()).await;
    Ok(())
}

async fn write(outbox: &Outbox, cache: &unstale::Cache) -> anyhow::Result<()> {
    let fact = rand::rng().random_range(0..facts::FACTS);
    let transaction = outbox.begin().await?;
    let version = facts::raise(&transaction, fact).await?;
    let announcement = Announcement { invalidations: facts::invalidations(fact), excused: Vec::new() };
    outbox.commit(transaction, announcement, cache).await?;
    // One write of the line, whole: whoever reads it may be read to.
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{fact} {version}\n").as_bytes())?;
    out.flush()?;
    Ok(())
}
