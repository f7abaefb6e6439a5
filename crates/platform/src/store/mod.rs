//! The relational side: SQLite (the embedded default) or PostgreSQL (schema `migration`), through one library.
//!
//! ```text
//! let store = Store::connect("sqlite://platform.db?mode=rwc").await?;
//! store.migrate_up().await?;
//!
//! let flow = flows::by_id(store.read(), client, flow_id).await?;
//!
//! let mut write = store.begin().await?;
//! flows::update(&mut write, client, flow_id, &change, now).await?;
//! let position = write.commit(&cache).await?;      // saved, announced, visible
//! ```
//!
//! # Invariants
//! - Repositories take the tenant explicitly and filter by it: an id of another tenant is not found.
//! - Every read records the tags of what it reads (see [`crate::coherence::tags`]), also of what it does not find.
//! - Nothing is changed but through [`Write`].
//!
//! # What it must not know
//! HTTP, who may do what, the meaning of attributes.

pub mod repositories;

mod counter;
mod entities;
mod error;
mod migrations;
mod reading;

use std::sync::Arc;

use sea_orm::DatabaseConnection;

pub use unstale_server::database::{MigrationState, PoolLimits, SCHEMA};

pub use self::{
    counter::QueryCounter,
    error::{Conflict, StoreError},
    reading::Reading,
};
use unstale_server::{
    audit::{Audit, AuditKeys, AuditTrail},
    database,
    outbox::{Outbox, OutboxSettings},
    sealing::SqlSubjectKeys,
    telemetry::{DatabaseMetrics, OutboxMetrics},
};

use crate::coherence::Write;

/// Where what happens to a store is counted. The default counts for nobody.
#[derive(Clone, Debug, Default)]
pub struct StoreMetrics {
    pub outbox: OutboxMetrics,
    pub database: DatabaseMetrics,
}

/// The database. Cheap to clone; all clones are one pool.
#[derive(Clone, Debug)]
pub struct Store {
    pool: DatabaseConnection,
    queries: Arc<QueryCounter>,
    audit: Option<Audit>,
    outbox: Outbox,
}

impl Store {
    /// Opens `sqlite://…?mode=rwc` or `postgres://…` within the default limits.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::connect_within(url, &PoolLimits::default()).await
    }

    /// Opens a database within the given limits.
    pub async fn connect_within(url: &str, limits: &PoolLimits) -> Result<Self, StoreError> {
        Self::connect_with(url, limits, OutboxSettings::default(), StoreMetrics::default()).await
    }

    /// Opens a database within the given limits, with an outbox that is set, and counted.
    pub async fn connect_with(
        url: &str,
        limits: &PoolLimits,
        settings: OutboxSettings,
        metrics: StoreMetrics,
    ) -> Result<Self, StoreError> {
        let mut pool = database::connect(url, "platform", limits).await?;
        // What it does beside requests is not counted among their statements.
        let outbox = Outbox::new(pool.clone(), settings, metrics.outbox);
        let queries = Arc::new(QueryCounter::new(metrics.database));
        let counter = queries.clone();
        pool.set_metric_callback(move |info| counter.count(info));
        Ok(Self { pool, queries, outbox, audit: None })
    }

    /// The same database, every write of which is recorded.
    #[must_use]
    pub fn audited(self, audit: Audit) -> Self {
        Self { audit: Some(audit), ..self }
    }

    /// The audit trail in it.
    pub fn audit_trail(&self, keys: AuditKeys) -> AuditTrail {
        AuditTrail::new(self.pool.clone(), keys)
    }

    /// For reading.
    pub fn read(&self) -> Reading<'_> {
        Reading::pooled(&self.pool)
    }

    /// Its connections.
    pub(crate) fn pool(&self) -> &DatabaseConnection {
        &self.pool
    }

    /// Begins a write. On SQLite it takes the one write lock at once.
    pub async fn begin(&self) -> Result<Write, StoreError> {
        Ok(Write::new(self.outbox.begin_on(&self.pool).await?, self.outbox.clone(), self.audit.clone()))
    }

    /// What is committed and maybe not announced yet.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Where the keys of people are that cached values are about.
    pub fn subject_keys(&self) -> SqlSubjectKeys {
        SqlSubjectKeys::new(self.pool.clone())
    }

    /// How many statements it has run.
    pub fn queries(&self) -> &QueryCounter {
        &self.queries
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.pool.ping().await?)
    }

    /// Closes all connections.
    pub async fn close(self) -> Result<(), StoreError> {
        Ok(self.pool.close().await?)
    }

    /// Applies what is missing, of the cache's own tables and of these; nothing if nothing is.
    pub async fn migrate_up(&self) -> Result<(), StoreError> {
        database::migrate_up(&self.pool).await?;
        Ok(migrations::up(&self.pool).await?)
    }

    /// Takes back the last `steps` migrations, or all: with the data in their tables.
    pub async fn migrate_down(&self, steps: Option<u32>) -> Result<(), StoreError> {
        Ok(migrations::down(&self.pool, steps).await?)
    }

    /// Every migration and whether it is applied.
    pub async fn migrations(&self) -> Result<Vec<MigrationState>, StoreError> {
        Ok(migrations::states(&self.pool).await?)
    }
}
