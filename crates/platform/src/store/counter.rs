//! Counting statements, so that what the cache spares the database can be measured.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use sea_orm::metric::Info;
use unstale_server::telemetry::DatabaseMetrics;

/// How many statements were run. Those that begin, commit or configure are not among them.
#[derive(Debug, Default)]
pub struct QueryCounter {
    statements: AtomicU64,
    failed: AtomicU64,
    nanoseconds: AtomicU64,
    metrics: DatabaseMetrics,
}

impl QueryCounter {
    pub(super) fn new(metrics: DatabaseMetrics) -> Self {
        Self { metrics, ..Self::default() }
    }

    pub(super) fn count(&self, info: &Info<'_>) {
        self.statements.fetch_add(1, Relaxed);
        self.failed.fetch_add(u64::from(info.failed), Relaxed);
        let took = u64::try_from(info.elapsed.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(took, Relaxed);
        self.metrics.ran(&info.statement.sql, info.elapsed, info.failed);
    }

    /// Statements so far.
    pub fn statements(&self) -> u64 {
        self.statements.load(Relaxed)
    }

    /// Those of them that failed.
    pub fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// How long all of them took together.
    pub fn busy(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Relaxed))
    }
}
