//! What writers have published, on its way to being marked so: off the path of requests, in batches.
//!
//! A mark that is lost, by a crash or because too many waited, costs a second publication of the same.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sea_orm::DatabaseConnection;
use tokio::sync::{Mutex as AsyncMutex, Notify};
use unstale::PositionSet;

use super::{
    relay::position_text,
    rows::{self, Dialect},
    steps::{self, Step},
};

/// Marks written at once.
const BATCH_MAX: usize = 500;

type Mark = (i64, PositionSet);

#[derive(Debug)]
pub(super) struct Marks {
    waiting: Mutex<VecDeque<Mark>>,
    waiting_max: usize,
    arrived: Notify,
    /// Held by the one who writes, and by nobody who waits for marks: who ends must never wait for the next of them.
    writing: AsyncMutex<()>,
}

impl Marks {
    pub(super) fn new(waiting_max: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            waiting_max: waiting_max.max(1),
            arrived: Notify::new(),
            writing: AsyncMutex::default(),
        }
    }

    /// A row is published.
    pub(super) fn add(&self, row: i64, positions: PositionSet) {
        let mut waiting = self.waiting();
        // No room: the relay will find the row, and publish it once more.
        if waiting.len() < self.waiting_max {
            waiting.push_back((row, positions));
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Writes marks for as long as it is polled.
    pub(super) async fn run(&self, pool: &DatabaseConnection, dialect: Dialect, every: Duration) {
        loop {
            self.arrived.notified().await;
            tokio::time::sleep(every).await;
            self.flush(pool, dialect).await;
        }
    }

    /// Writes all that wait now.
    pub(super) async fn flush(&self, pool: &DatabaseConnection, dialect: Dialect) {
        let _writing = self.writing.lock().await;
        loop {
            let batch = self.next_batch();
            if batch.is_empty() {
                return;
            }
            steps::reached(Step::Marking);
            let marks: Vec<_> = batch.iter().map(|(row, positions)| (*row, position_text(positions))).collect();
            if let Err(error) = rows::mark(pool, dialect, &marks).await {
                tracing::warn!(%error, rows = marks.len(), "published rows of the outbox were not marked so");
                // Nobody is to wait once more for a database that is away.
                return;
            }
            steps::reached(Step::Marked);
        }
    }

    fn next_batch(&self) -> Vec<Mark> {
        let mut waiting = self.waiting();
        let count = waiting.len().min(BATCH_MAX);
        waiting.drain(..count).collect()
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Mark>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
