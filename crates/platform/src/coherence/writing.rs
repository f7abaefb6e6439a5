//! Writing: a transaction together with the changes made in it.
//!
//! [`Write`] gives out its connection for writing only against the [`Change`] that is about to be made, and
//! [`commit`](Write::commit) saves what they invalidate with them, and announces it once they are saved. Reads within it
//! go through [`read`](Write::read), which lets no other statement pass.

use sea_orm::DatabaseTransaction;
use unstale::{Cache, PositionSet};
use unstale_server::{
    audit::{Audit, AuditRefused, Intents, Operation, Outcome},
    outbox::{Announcement, CommitError, Outbox},
};

use super::{Change, NotVisible, recording, triggers::merged};
use crate::store::{Reading, StoreError};

/// A transaction that has not ended. Dropping it takes everything back.
#[must_use = "a write that is not committed is taken back"]
#[derive(Debug)]
pub struct Write {
    transaction: DatabaseTransaction,
    outbox: Outbox,
    changes: Vec<Change>,
    audit: Option<Audit>,
    operation: Operation,
}

/// A write that did not come to a good end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WriteError {
    /// It was not saved, or it cannot be known whether it was.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is saved, and others may still be shown what was before.
    #[error(transparent)]
    NotVisible(std::sync::Arc<NotVisible>),
    /// It cannot be recorded, so nothing was saved.
    #[error(transparent)]
    NotRecorded(std::sync::Arc<AuditRefused>),
    /// The process is stopping; the write may have been saved.
    #[error("the process is stopping and the write may or may not be saved; look before you repeat it")]
    Stopping,
}

impl Write {
    /// `transaction` was begun by `outbox`.
    pub(crate) fn new(transaction: DatabaseTransaction, outbox: Outbox, audit: Option<Audit>) -> Self {
        Self { transaction, outbox, changes: Vec::new(), audit, operation: Operation::INVALIDATE }
    }

    /// Says what is recorded of it, where that is more than what changed.
    pub fn recorded_as(&mut self, operation: Operation) {
        self.operation = operation;
    }

    /// For reading what this write decides from, and what it has written so far.
    pub fn read(&self) -> Reading<'_> {
        Reading::within(&self.transaction)
    }

    /// For the statements that make `change`.
    pub(crate) fn changing(&mut self, change: Change) -> &DatabaseTransaction {
        if !self.changes.contains(&change) {
            self.changes.push(change);
        }
        &self.transaction
    }

    /// What it has changed so far.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Saves, then announces what changed. Returns the position from which on the write is seen.
    ///
    /// Runs in a task of its own: a caller that goes away between the two must not leave a change unannounced.
    pub async fn commit(self, cache: &Cache) -> Result<PositionSet, WriteError> {
        let Self { transaction, outbox, changes, audit, operation } = self;
        // Before it is saved: what cannot be recorded is not done, and of what is done something is known.
        let intents = match &audit {
            None => Intents::none(),
            Some(audit) => {
                let begun = recording::begin(audit, operation, &changes).await;
                begun.map_err(|refused| WriteError::NotRecorded(refused.into()))?
            }
        };
        let excused = changes.iter().filter_map(Change::excuse).collect();
        let announcement = Announcement { invalidations: merged(&changes), excused };
        let cache = cache.clone();
        let finish = async move {
            let committed = outbox.commit(transaction, announcement, &cache).await;
            let (outcome, position) = match &committed {
                Ok(position) => (Outcome::Done, position.to_string()),
                Err(CommitError::NotVisible(error)) => (Outcome::Pending, error.recorded.to_string()),
                // The answer to the commit may have been lost, and it be saved.
                Err(CommitError::Database(_) | CommitError::Stopping) => (Outcome::Unknown, String::new()),
            };
            intents.end_synced(outcome, 0, &position).await;
            committed.map_err(|error| match error {
                CommitError::Database(error) => WriteError::Store(error.into()),
                CommitError::NotVisible(not_visible) => WriteError::NotVisible(not_visible),
                CommitError::Stopping => WriteError::Stopping,
            })
        };
        tokio::spawn(finish).await.unwrap_or(Err(WriteError::Stopping))
    }

    /// Forgets to declare a change that was made, on purpose, to show that it is noticed.
    #[cfg(feature = "testing")]
    pub fn forget(&mut self, change: usize) -> Change {
        self.changes.remove(change)
    }

    /// Takes everything back.
    pub async fn roll_back(self) -> Result<(), StoreError> {
        Ok(self.transaction.rollback().await?)
    }
}
