//! Writing: a transaction together with the changes made in it.
//!
//! [`Write`] gives out its connection for writing only against the [`Change`] that is about to be made, and
//! [`commit`](Write::commit) announces all of them once they are saved. Reads within it go through
//! [`read`](Write::read), which lets no other statement pass.

use sea_orm::DatabaseTransaction;
use unstale::{Cache, PositionSet};
use unstale_server::audit::{Audit, AuditRefused, Intents, Operation, Outcome};

use super::{Change, NotVisible, Triggers, recording};
use crate::store::{Reading, StoreError};

/// A transaction that has not ended. Dropping it takes everything back.
#[must_use = "a write that is not committed is taken back"]
#[derive(Debug)]
pub struct Write {
    transaction: DatabaseTransaction,
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
    pub(crate) fn new(transaction: DatabaseTransaction, audit: Option<Audit>) -> Self {
        Self { transaction, changes: Vec::new(), audit, operation: Operation::INVALIDATE }
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
        let Self { transaction, changes, audit, operation } = self;
        // Before it is saved: what cannot be recorded is not done, and of what is done something is known.
        let intents = match &audit {
            None => Intents::none(),
            Some(audit) => {
                let begun = recording::begin(audit, operation, &changes).await;
                begun.map_err(|refused| WriteError::NotRecorded(refused.into()))?
            }
        };
        let triggers = Triggers::new(cache.clone());
        let finish = async move {
            let saved = transaction.commit().await;
            // Announced even if the answer to the commit was lost: it may be saved, and saying too much is harmless.
            let announced = triggers.publish(&changes).await;
            let (outcome, position) = match (&saved, &announced) {
                // The answer to the commit may have been lost, and it be saved.
                (Err(_), _) => (Outcome::Unknown, String::new()),
                (Ok(()), Ok(position)) => (Outcome::Done, position.to_string()),
                (Ok(()), Err(error)) => (Outcome::Pending, error.recorded.to_string()),
            };
            intents.end_synced(outcome, 0, &position).await;
            saved.map_err(StoreError::from)?;
            announced.map_err(|error| WriteError::NotVisible(error.into()))
        };
        tokio::spawn(finish).await.unwrap_or(Err(WriteError::Stopping))
    }

    /// Takes everything back.
    pub async fn roll_back(self) -> Result<(), StoreError> {
        Ok(self.transaction.rollback().await?)
    }
}
