//! What writes: one task for each node, beside everything else.

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use sea_orm::{DatabaseConnection, DbErr, TransactionTrait as _};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};
use unstale::{Cache, RawKey};
use uuid::Uuid;

use super::{
    Limits, Naming,
    bookkeeper::{Bookkeeper, Note},
    ledger::{Ledger, Of, Sums},
    tables::{self, DAILY, HOURLY, Interval, PERFORMANCE},
};
use crate::{
    configuration::Retention,
    metadata::{self, Concealed, Noted},
    telemetry::RecordMetrics,
};

/// Intervals that wait for a database that is away: an hour of them.
const INTERVALS_MAX: usize = 360;
/// Notes that are added up before anything else is looked at.
const NOTES_AT_ONCE: usize = 1024;

/// Adds up what the [`Bookkeeper`] notes, and writes it.
pub struct Writer {
    bookkeeper: Bookkeeper,
    notes: mpsc::Receiver<Note>,
    ledger: Ledger,
    intervals: Vec<Interval>,
    pool: DatabaseConnection,
    /// This process, among all that ever wrote: a new one each time, so that it never takes back what one before it
    /// wrote.
    node: String,
    began: Instant,
    /// Days were added up from all hours that are there.
    is_tidied: bool,
    concealed: Arc<Concealed>,
    wishes: mpsc::Receiver<oneshot::Sender<()>>,
    wish: mpsc::Sender<oneshot::Sender<()>>,
    metrics: RecordMetrics,
}

/// What is on its way to the database.
struct Batch {
    totals: Vec<(Of, Sums)>,
    accesses: Vec<(RawKey, Noted)>,
    intervals: Vec<Interval>,
    naming: Option<Naming>,
    concealed: Arc<Concealed>,
}

/// Waits until what was noted up to now is written.
#[derive(Clone, Debug)]
pub struct Flushed(mpsc::Sender<oneshot::Sender<()>>);

impl Flushed {
    /// At most for `limit`.
    pub async fn within(&self, limit: Duration) -> bool {
        let (tell, told) = oneshot::channel();
        self.0.try_send(tell).is_ok() && tokio::time::timeout(limit, told).await.is_ok_and(|told| told.is_ok())
    }
}

impl Writer {
    /// One, and what takes note for it.
    pub fn new(pool: DatabaseConnection, limits: Limits, metrics: RecordMetrics) -> (Bookkeeper, Self) {
        let (bookkeeper, notes) = Bookkeeper::new(limits, metrics.clone());
        let (wish, wishes) = mpsc::channel(8);
        let writer = Self {
            bookkeeper: bookkeeper.clone(),
            notes,
            ledger: Ledger::new(limits.pairs_max, limits.keys_max),
            intervals: Vec::new(),
            pool,
            node: Uuid::now_v7().to_string(),
            began: Instant::now(),
            is_tidied: false,
            concealed: Arc::new(Concealed::by(rand::random())),
            wishes,
            wish,
            metrics,
        };
        (bookkeeper, writer)
    }

    /// Names kinds of entry by this.
    #[must_use]
    pub fn named_by(mut self, naming: Naming) -> Self {
        self.ledger.name_by(naming);
        self
    }

    /// Writes keys by this. Without it their queries are concealed by a key that lives as long as the process.
    #[must_use]
    pub fn concealing(mut self, concealed: Concealed) -> Self {
        self.concealed = Arc::new(concealed);
        self
    }

    /// What waits until everything is written: for the end.
    pub fn flushed(&self) -> Flushed {
        Flushed(self.wish.clone())
    }

    /// Works without end. `retention` says for how long things are kept.
    pub async fn run(mut self, cache: Cache, retention: impl Fn() -> Retention + Send + 'static) {
        let limits = *self.bookkeeper.limits();
        let every = |period| {
            let mut every = interval(period);
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            every
        };
        let (mut second, mut write) = (every(Duration::from_secs(1)), every(limits.write_every));
        let mut tidy = every(limits.tidy_every);
        let mut notes = Vec::with_capacity(NOTES_AT_ONCE);
        let mut hits_before = 0;
        let mut writing: Option<JoinHandle<(Batch, Result<(), DbErr>)>> = None;
        let mut waiting: Vec<oneshot::Sender<()>> = Vec::new();
        let mut was_well = true;
        loop {
            tokio::select! {
                count = self.notes.recv_many(&mut notes, NOTES_AT_ONCE) => {
                    if count == 0 {
                        return;
                    }
                    let now = Utc::now();
                    notes.drain(..).for_each(|note| self.ledger.add(&note, now));
                }
                _ = second.tick() => {
                    let hits = self.ledger.interval.hits;
                    self.bookkeeper.adapt(hits.saturating_sub(hits_before));
                    hits_before = hits;
                }
                _ = write.tick(), if writing.is_none() => {
                    hits_before = 0;
                    writing = Some(self.begin(&cache));
                }
                Some(wish) = self.wishes.recv(), if writing.is_none() => {
                    hits_before = 0;
                    self.drain(Utc::now());
                    waiting.push(wish);
                    writing = Some(self.begin(&cache));
                }
                done = async { writing.as_mut().expect("looked at").await }, if writing.is_some() => {
                    writing = None;
                    let outcome = match done {
                        Ok((batch, outcome)) => self.end(batch, outcome, Utc::now()),
                        Err(error) => Err(DbErr::Custom(error.to_string())),
                    };
                    if let Err(error) = &outcome && was_well {
                        tracing::warn!(%error, "records about the cache cannot be written; they wait, as many as there is room for");
                    }
                    was_well = outcome.is_ok();
                    // Also if it failed: nobody is to wait for a database that is away.
                    waiting.drain(..).for_each(|wish| _ = wish.send(()));
                }
                _ = tidy.tick() => {
                    let (pool, all, retention) = (self.pool.clone(), !self.is_tidied, retention());
                    self.is_tidied = true;
                    tokio::spawn(async move {
                        if let Err(error) = tidy_up(&pool, Utc::now(), retention, all).await {
                            tracing::warn!(%error, "records about the cache cannot be tidied up; the next try is in some minutes");
                        }
                    });
                }
            }
        }
    }

    fn begin(&mut self, cache: &Cache) -> JoinHandle<(Batch, Result<(), DbErr>)> {
        let batch = self.batch(cache, Utc::now());
        let (pool, node) = (self.pool.clone(), self.node.clone());
        tokio::spawn(async move {
            let outcome = batch.write(&pool, &node).await;
            (batch, outcome)
        })
    }

    /// Adds up what waits in the queue.
    fn drain(&mut self, now: DateTime<Utc>) {
        while let Ok(note) = self.notes.try_recv() {
            self.ledger.add(&note, now);
        }
    }

    fn batch(&mut self, cache: &Cache, now: DateTime<Utc>) -> Batch {
        let (size, took) = (cache.size(), std::mem::replace(&mut self.began, Instant::now()).elapsed());
        if self.intervals.len() == INTERVALS_MAX {
            self.intervals.remove(0);
        }
        self.intervals.push(Interval {
            measured_at: now,
            lasted_ms: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
            sums: std::mem::take(&mut self.ledger.interval),
            counted: self.bookkeeper.take_counted(),
            entries: size.entries as u64,
            bytes: size.bytes,
        });
        Batch {
            totals: self.ledger.totals(),
            accesses: self.ledger.accesses.take(),
            intervals: std::mem::take(&mut self.intervals),
            naming: self.ledger.naming().cloned(),
            concealed: self.concealed.clone(),
        }
    }

    fn end(&mut self, batch: Batch, outcome: Result<(), DbErr>, now: DateTime<Utc>) -> Result<(), DbErr> {
        self.metrics.written(outcome.is_ok());
        if outcome.is_ok() {
            self.ledger.written(&batch.totals, now);
        } else {
            self.ledger.accesses.give_back(batch.accesses);
            self.intervals.splice(0..0, batch.intervals);
        }
        outcome
    }

    /// Adds up what waits, and writes it: as [`run`](Self::run) does it again and again.
    pub async fn write(&mut self, cache: &Cache, now: DateTime<Utc>) -> Result<(), DbErr> {
        self.drain(now);
        let batch = self.batch(cache, now);
        let outcome = batch.write(&self.pool, &self.node).await;
        self.end(batch, outcome, now)
    }

    /// Keys that found no place, from the start on.
    pub fn keys_dropped(&self) -> u64 {
        self.ledger.accesses.dropped()
    }

    /// Adds up days and removes what is older than `retention` says.
    pub async fn tidy_up(&self, now: DateTime<Utc>, retention: Retention) -> Result<(), DbErr> {
        tidy_up(&self.pool, now, retention, true).await
    }
}

impl Batch {
    /// All of it or nothing.
    async fn write(&self, pool: &DatabaseConnection, node: &str) -> Result<(), DbErr> {
        let transaction = pool.begin().await?;
        for interval in &self.intervals {
            tables::write_interval(&transaction, node, interval).await?;
        }
        tables::write_totals(&transaction, node, &self.totals).await?;
        metadata::write(&transaction, &self.accesses, self.naming.as_ref(), &self.concealed).await?;
        transaction.commit().await
    }
}

/// Adds up the days whose hours may have changed (`all`: every day whose hours are all there), and removes what is old.
async fn tidy_up(pool: &DatabaseConnection, now: DateTime<Utc>, retention: Retention, all: bool) -> Result<(), DbErr> {
    let today = now.duration_trunc(TimeDelta::days(1)).expect("a day of the calendar");
    let ago = |days: u32| today - TimeDelta::days(days.into());
    let days = if all { retention.hourly_days } else { 2 };
    for day in (0..days).map(ago) {
        tables::add_up_day(pool, day).await?;
    }
    tables::prune(pool, HOURLY, "hour", ago(retention.hourly_days)).await?;
    tables::prune(pool, DAILY, "day", ago(retention.daily_days)).await?;
    tables::prune(pool, PERFORMANCE, "measured_at", ago(retention.performance_days)).await?;
    metadata::prune(pool, now, retention.metadata_days).await?;
    Ok(())
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("node", &self.node).finish_non_exhaustive()
    }
}
