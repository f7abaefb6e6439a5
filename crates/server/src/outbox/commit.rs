//! The writer's side: the outbox's rows in the transaction of the change, then the commit, then the log.

use std::sync::Arc;

use sea_orm::{DatabaseTransaction, DbErr};
use unstale::{Cache, Invalidation, PositionSet};

use super::{
    Excuse, Inner, NotVisible, compare,
    compare::Omission,
    publish::{Published, publish_each},
    rows,
    steps::{self, Step},
};

/// What a write says of itself.
#[derive(Clone, Debug, Default)]
pub struct Announcement {
    /// What it has changed.
    pub invalidations: Vec<Invalidation>,
    /// What it has changed and nothing cached shows.
    pub excused: Vec<Excuse>,
}

/// A write that did not come to a good end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// It was not saved, or it cannot be known whether it was.
    #[error("the database failed: {0}")]
    Database(#[from] DbErr),
    /// It is saved, and others may still be shown what was before; the relay goes on trying.
    #[error(transparent)]
    NotVisible(Arc<NotVisible>),
    /// The process is stopping; the write may have been saved.
    #[error("the process is stopping and the write may or may not be saved; look before you repeat it")]
    Stopping,
}

pub(super) async fn commit(
    outbox: Arc<Inner>,
    transaction: DatabaseTransaction,
    announcement: Announcement,
    cache: Cache,
) -> Result<PositionSet, CommitError> {
    let Announcement { mut invalidations, excused } = announcement;
    let dialect = outbox.dialect;
    invalidations.retain(|one| !one.tags().is_empty());
    let triggered = rows::take_triggered(&transaction, dialect).await?;
    let forgotten = compare::forgotten(&invalidations, &excused, &triggered);
    if !forgotten.is_empty() {
        invalidations.push(Invalidation::of(forgotten.iter().map(|omission: &Omission| omission.tag.clone())));
    }
    let rows = rows::insert(&transaction, dialect, &invalidations).await?;
    steps::reached(Step::Noted);
    let saved = transaction.commit().await;
    steps::reached(Step::Committed);
    // Announced even if the answer to the commit was lost: it may be saved, and saying too much is harmless.
    let Published { each, reached, failed } = publish_each(&cache, &invalidations).await;
    steps::reached(Step::Published);
    saved?;
    let published = rows.into_iter().zip(each).filter_map(|(row, positions)| Some((row, positions?)));
    let mut count = 0;
    for (row, positions) in published {
        outbox.marks.add(row, positions);
        count += 1;
    }
    outbox.metrics.published("writer", count);
    let now = cache.now();
    forgotten.into_iter().for_each(|omission| outbox.omissions.note(omission, now));
    match failed {
        None => Ok(reached),
        Some(source) => Err(CommitError::NotVisible(Arc::new(NotVisible { recorded: reached, source }))),
    }
}
