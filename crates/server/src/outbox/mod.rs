//! The transactional outbox: no committed change is forgotten, whoever made it and whatever died.
//!
//! ```text
//! a write         one transaction: rows, and what it invalidates ─▶ commit ─▶ the log ─▶ marked as published
//! a crash                                                             │ ✗      relay ─▶ the log ─▶ marked
//! a hand-typed    UPDATE ─▶ trigger: the tags of the rows, before and after ─▶ relay ─▶ the log ─▶ marked
//! ```
//!
//! ```no_run
//! # async fn example(pool: sea_orm::DatabaseConnection, cache: unstale::Cache) -> Result<(), Box<dyn std::error::Error>> {
//! use sea_orm::ConnectionTrait as _;
//! use unstale::{Invalidation, Tag};
//! use unstale_server::{database, outbox::{Announcement, Outbox, OutboxSettings}, telemetry::OutboxMetrics};
//!
//! database::migrate_up(&pool).await?;
//! let outbox = Outbox::new(pool, OutboxSettings::default(), OutboxMetrics::default());
//! let relay = outbox.relay(cache.clone());
//! tokio::spawn(async move { relay.run().await });
//!
//! let transaction = outbox.begin().await?;
//! transaction.execute_unprepared("UPDATE prices SET cents = 990 WHERE id = 7").await?;
//! let changed = Invalidation::of([Tag::shared("price", 7)]);
//! let announcement = Announcement { invalidations: vec![changed], excused: Vec::new() };
//! let position = outbox.commit(transaction, announcement, &cache).await?;
//! # let _ = position; Ok(()) }
//! ```
//!
//! # Invariants
//! - What a transaction invalidates is in the table when it is committed, and not before.
//! - A row leaves the state *not published* only after the log holds it. So every committed change reaches the log at
//!   least once; twice is harmless.
//! - What triggers saw of a writer's transaction is compared with what it declared: what was forgotten is published
//!   with the rest, and told ([`Outbox::omissions`]).
//! - Nothing is ordered by the clock. It decides only when a relay steps in, and what is forgotten.
//!
//! # What it must not know
//! The application's tables, but for what their [`triggers`] declare; what tags mean.

mod again;
mod commit;
mod compare;
mod line;
mod listen;
mod marks;
mod omissions;
mod publish;
mod relay;
mod rows;
mod settings;
pub mod steps;
pub mod triggers;

use std::{fmt, sync::Arc};

use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr, TransactionTrait as _};
use tokio::sync::Notify;
use unstale::{Cache, PositionSet};

pub use self::{
    again::Epochs,
    commit::{Announcement, CommitError},
    compare::{Excuse, Omission, StatementKind},
    line::comparable,
    omissions::SeenOmission,
    publish::{ATTEMPTS_MAX, NotVisible, publish},
    relay::{Relay, RelayError},
    rows::{OutboxStatus, PENDING_COUNTED_MAX},
    settings::OutboxSettings,
};
use self::{marks::Marks, omissions::Omissions, rows::Dialect, steps::Step};
use crate::telemetry::OutboxMetrics;

/// The outbox of one database. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Outbox {
    inner: Arc<Inner>,
}

struct Inner {
    pool: DatabaseConnection,
    dialect: Dialect,
    settings: OutboxSettings,
    metrics: OutboxMetrics,
    marks: Marks,
    omissions: Omissions,
    /// Something may be due.
    woken: Notify,
}

impl Outbox {
    /// Over a database that holds this crate's tables ([`migrate_up`](crate::database::migrate_up)).
    pub fn new(pool: DatabaseConnection, settings: OutboxSettings, metrics: OutboxMetrics) -> Self {
        let dialect = Dialect::of(&pool);
        let marks = Marks::new(settings.marks_max);
        let omissions = Omissions::new(settings.omissions_max, metrics.clone());
        let woken = Notify::new();
        Self { inner: Arc::new(Inner { pool, dialect, settings, metrics, marks, omissions, woken }) }
    }

    /// Begins a write.
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        self.begin_on(&self.inner.pool).await
    }

    /// The same over another pool of the same database: one that counts its statements, say.
    ///
    /// On `SQLite` it takes the one write lock at once: a transaction that reads first and then wants to write is
    /// refused if another wrote in between, and no waiting helps it.
    pub async fn begin_on(&self, pool: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
        let transaction = pool.begin_with_options(self.inner.dialect.options()).await?;
        rows::new_turn(&transaction, self.inner.dialect).await?;
        steps::reached(Step::Begun);
        Ok(transaction)
    }

    /// Saves, then announces what changed. Returns the position from which on the write is seen.
    ///
    /// The transaction must have been begun by [`begin`](Self::begin). Runs in a task of its own: a caller that goes
    /// away between the two must not leave a change unannounced for as long as the relay's grace.
    pub async fn commit(
        &self,
        transaction: DatabaseTransaction,
        announcement: Announcement,
        cache: &Cache,
    ) -> Result<PositionSet, CommitError> {
        let finish = commit::commit(self.inner.clone(), transaction, announcement, cache.clone());
        tokio::spawn(finish).await.unwrap_or(Err(CommitError::Stopping))
    }

    /// What publishes to this cache's log what no writer has. Spawn [`Relay::run`] once per process.
    pub fn relay(&self, cache: Cache) -> Relay {
        Relay::new(self.clone(), cache)
    }

    /// Whether its database is PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        self.inner.dialect == Dialect::Postgres
    }

    /// How much waits.
    pub async fn status(&self) -> Result<OutboxStatus, DbErr> {
        rows::status(&self.inner.pool, self.inner.dialect).await
    }

    /// What writes of this process forgot to invalidate, the newest first.
    pub fn omissions(&self) -> Vec<SeenOmission> {
        self.inner.omissions.newest()
    }

    /// How many omissions there were since the process began.
    pub fn omissions_total(&self) -> u64 {
        self.inner.omissions.total()
    }

    /// Marks now what this process has published. Of use before it stops: what is not marked is published once more.
    pub async fn flush(&self) {
        self.inner.marks.flush(&self.inner.pool, self.inner.dialect).await;
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}
