//! What writers have published, on its way to being marked so: off the path of requests, in batches.
//!
//! A mark that is lost, by a crash or because too many waited, costs a second publication of the same.

use std::time::Duration;

use sea_orm::DatabaseConnection;
use tokio::sync::{Mutex, mpsc};
use unstale::PositionSet;

use super::{
    relay::position_text,
    rows::{self, Dialect},
    steps::{self, Step},
};

/// Marks written at once.
const BATCH_MAX: usize = 500;

#[derive(Debug)]
pub(super) struct Marks {
    sender: mpsc::Sender<(i64, PositionSet)>,
    /// Held by the one who writes them.
    waiting: Mutex<mpsc::Receiver<(i64, PositionSet)>>,
}

impl Marks {
    pub(super) fn new(waiting_max: usize) -> Self {
        let (sender, waiting) = mpsc::channel(waiting_max.max(1));
        Self { sender, waiting: Mutex::new(waiting) }
    }

    /// A row is published.
    pub(super) fn add(&self, row: i64, positions: PositionSet) {
        // No room: the relay will find the row, and publish it once more.
        let _ = self.sender.try_send((row, positions));
    }

    /// Writes marks for as long as it is polled.
    pub(super) async fn run(&self, pool: &DatabaseConnection, dialect: Dialect, every: Duration) {
        loop {
            let mut batch = Vec::with_capacity(BATCH_MAX);
            if self.waiting.lock().await.recv_many(&mut batch, 1).await == 0 {
                return;
            }
            tokio::time::sleep(every).await;
            self.write(pool, dialect, batch).await;
        }
    }

    /// Writes all that wait now.
    pub(super) async fn flush(&self, pool: &DatabaseConnection, dialect: Dialect) {
        self.write(pool, dialect, Vec::with_capacity(BATCH_MAX)).await;
    }

    async fn write(&self, pool: &DatabaseConnection, dialect: Dialect, mut batch: Vec<(i64, PositionSet)>) {
        let mut waiting = self.waiting.lock().await;
        loop {
            while batch.len() < BATCH_MAX {
                let Ok(mark) = waiting.try_recv() else { break };
                batch.push(mark);
            }
            if batch.is_empty() {
                return;
            }
            steps::reached(Step::Marking);
            let marks: Vec<_> = batch.drain(..).map(|(row, positions)| (row, position_text(&positions))).collect();
            if let Err(error) = rows::mark(pool, dialect, &marks).await {
                tracing::warn!(%error, rows = marks.len(), "published rows of the outbox were not marked so");
            }
            steps::reached(Step::Marked);
        }
    }
}
