//! The relay: publishes what no writer has. That is what a crash left, what a writer could not say to the log, and what
//! triggers wrote for changes that bypassed the application.
//!
//! Several relays may run, on several nodes: on PostgreSQL they share the rows, on `SQLite` they may publish some twice,
//! which is harmless. Rows go in the order of their ids, as far as they are visible: of two transactions the one that
//! began later may commit first.
//!
//! # Invariants
//! - A row is marked only after the log holds it.
//! - PostgreSQL: who has taken rows and is not heard of any more loses them, whatever became of its host.
//! - Nothing is published while the cache itself waits for its store: it would only keep the same once more.
//! - `SQLite`: before rows of triggers are read, a new turn begins. A trigger leaves out what was said in its turn
//!   already; so it never leaves out what a relay may have published a moment before.

use std::{fmt, time::Duration};

use sea_orm::{DatabaseConnection, DbErr, TransactionTrait as _};
use tokio::time::Instant;
use unstale::{Cache, InvalidateError, Invalidation, PositionSet};

use super::{
    Outbox, again,
    rows::{self, Dialect, Row},
    steps::{self, Step},
};

/// Longest text of a position that is kept with a row. Of one that is longer it cannot be told later whether the log still
/// holds it.
const POSITION_BYTES_MAX: usize = 8192;
/// Tags of rows without a note that are published together.
const TAGS_TOGETHER_MAX: usize = 1024;
/// How often the relay looks by itself where the database does not wake it, and where it does.
const POLL_SQLITE: Duration = Duration::from_millis(500);
const POLL_POSTGRES: Duration = Duration::from_secs(5);
/// The wait after a first failure; it doubles with each further one.
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
/// How often rows are counted, and the store's epochs looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often old rows are forgotten, and how many at once.
const PRUNE_EVERY: Duration = Duration::from_secs(30);
const PRUNED_AT_ONCE: u32 = 5_000;

/// Why a round of the relay ended early.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] DbErr),
    /// The cache's store is away, or did not take something; it stays in the outbox.
    #[error("the cache's store is away")]
    StoreAway,
}

/// Publishes what is left over. Made by [`Outbox::relay`].
pub struct Relay {
    outbox: Outbox,
    cache: Cache,
}

impl Relay {
    pub(super) fn new(outbox: Outbox, cache: Cache) -> Self {
        Self { outbox, cache }
    }

    fn pool(&self) -> &DatabaseConnection {
        &self.outbox.inner.pool
    }

    fn dialect(&self) -> Dialect {
        self.outbox.inner.dialect
    }

    /// Works for as long as it is polled: spawn it once per process.
    pub async fn run(&self) {
        let inner = &self.outbox.inner;
        tokio::join!(
            inner.marks.run(&inner.pool, inner.dialect, inner.settings.mark_every),
            self.take_all(),
            self.look_after(),
            self.prune_all(),
            super::listen::run(inner),
        );
    }

    async fn take_all(&self) {
        let inner = &self.outbox.inner;
        let by_kind = if inner.dialect == Dialect::Postgres { POLL_POSTGRES } else { POLL_SQLITE };
        let poll = inner.settings.poll.unwrap_or(by_kind);
        let mut failed = 0_u32;
        loop {
            let wait = match self.drain().await {
                Ok(_) => {
                    failed = 0;
                    poll
                }
                Err(error) => {
                    failed = failed.saturating_add(1);
                    tracing::warn!(%error, failed, "the outbox waits");
                    BACKOFF_FIRST.saturating_mul(1 << failed.min(16)).min(inner.settings.backoff_max)
                }
            };
            let woken = async {
                if failed == 0 {
                    inner.woken.notified().await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            let _ = tokio::time::timeout(wait, woken).await;
        }
    }

    /// Publishes all that is due now. Returns how many rows those were.
    pub async fn drain(&self) -> Result<u64, RelayError> {
        let mut published = 0;
        loop {
            match self.take().await? {
                0 => return Ok(published),
                rows => published += rows,
            }
        }
    }

    /// Publishes one batch.
    async fn take(&self) -> Result<u64, RelayError> {
        let (pool, dialect, settings) = (self.pool(), self.dialect(), &self.outbox.inner.settings);
        let grace_ms = i64::try_from(settings.grace.as_millis()).unwrap_or(i64::MAX);
        if !rows::has_due(pool, dialect, grace_ms).await? {
            return Ok(0);
        }
        if self.cache.pending_invalidations() > 0 {
            return Err(RelayError::StoreAway);
        }
        let transaction = pool.begin_with_options(dialect.options()).await?;
        rows::hold_for(&transaction, dialect, settings.held_max).await?;
        rows::new_turn(&transaction, dialect).await?;
        let due = rows::due_rows(&transaction, dialect, grace_ms, settings.batch_rows).await?;
        steps::reached(Step::Taken);
        let done = if dialect == Dialect::Sqlite {
            // Its one write lock is not held while the log is waited for.
            transaction.commit().await?;
            let (marks, failed) = self.publish(&due, None).await;
            steps::reached(Step::Relayed);
            rows::mark(pool, dialect, &marks).await?;
            steps::reached(Step::RelayMarked);
            (marks.len(), failed)
        } else {
            let (marks, failed) = self.publish(&due, Some(Instant::now() + settings.held_max / 2)).await;
            steps::reached(Step::Relayed);
            rows::mark(&transaction, dialect, &marks).await?;
            steps::reached(Step::RelayMarked);
            transaction.commit().await?;
            (marks.len(), failed)
        };
        self.outbox.inner.metrics.published("relay", done.0 as u64);
        if done.1 { Err(RelayError::StoreAway) } else { Ok(done.0 as u64) }
    }

    /// Says rows to the log, in their order, until it does not take one, or until it is too late for another. Returns what it holds of them, and whether it
    /// failed.
    async fn publish(&self, due: &[Row], until: Option<Instant>) -> (Vec<(i64, Option<String>)>, bool) {
        let mut marks = Vec::with_capacity(due.len());
        for together in together(due) {
            if !marks.is_empty() && until.is_some_and(|until| Instant::now() >= until) {
                break;
            }
            let mut invalidation = Invalidation::new();
            together.iter().flat_map(|row| rows::tags(&row.tags)).for_each(|tag| invalidation.tag(tag));
            let noted = invalidation.clone().note(together[0].note.clone());
            let said = match say(&self.cache, &noted).await {
                // Better without its note than not at all.
                Err(InvalidateError::NoteTooLong { .. }) => say(&self.cache, &invalidation).await,
                other => other,
            };
            steps::reached(Step::PublishedOne);
            match said {
                Ok(positions) => {
                    let position = position_text(&positions);
                    marks.extend(together.iter().map(|row| (row.id, position.clone())));
                }
                Err(error) => {
                    tracing::warn!(%error, "the outbox's rows were not published; they stay");
                    return (marks, true);
                }
            }
        }
        (marks, false)
    }

    async fn look_after(&self) {
        let mut epochs = again::Epochs::default();
        loop {
            if let Err(error) = self.look(&mut epochs).await {
                tracing::debug!(%error, "the outbox was not looked after");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn look(&self, epochs: &mut again::Epochs) -> Result<(), RelayError> {
        let inner = &self.outbox.inner;
        inner.metrics.status(&rows::status(&inner.pool, inner.dialect).await?);
        let again = self.publish_again(epochs).await?;
        if again > 0 {
            tracing::info!(rows = again, "the cache's store had lost recent invalidations; they are published again");
        }
        Ok(())
    }

    /// Publishes recent rows again that the log does not hold any more: if an epoch has changed since it was asked last,
    /// or if it was never asked; and for some time after that those that were marked meanwhile, as of the epoch before.
    /// Returns how many those were.
    pub async fn publish_again(&self, epochs: &mut again::Epochs) -> Result<u64, RelayError> {
        let (pool, dialect, settings) = (self.pool(), self.dialect(), &self.outbox.inner.settings);
        let (frontiers, now) = (self.cache.frontiers(), Instant::now());
        let Some(look) = epochs.due(&frontiers, now, settings.window) else { return Ok(0) };
        if self.cache.pending_invalidations() > 0 {
            return Err(RelayError::StoreAway);
        }
        let back_ms = i64::try_from(look.back.as_millis()).unwrap_or(i64::MAX);
        let (mut after, mut count, mut unplaced) = (i64::MIN, 0, Vec::new());
        loop {
            let rows = rows::published_after(pool, dialect, after, back_ms, settings.batch_rows).await?;
            let Some(last) = rows.last() else { break };
            after = last.id;
            let lost =
                rows.into_iter().filter(|row| epochs.has_lost(look, &frontiers, row.id, row.position.as_deref()));
            // Browsers were told to ask for all that is on screen when the epoch changed: nothing is said to them.
            let lost: Vec<Row> = lost.map(|row| Row { note: Vec::new(), ..row }).collect();
            let (marks, failed) = self.publish(&lost, None).await;
            rows::mark(pool, dialect, &marks).await?;
            count += marks.len() as u64;
            unplaced.extend(marks.into_iter().filter(|(_, position)| position.is_none()).map(|(id, _)| id));
            if failed {
                return Err(RelayError::StoreAway);
            }
        }
        epochs.note(&frontiers, now, unplaced);
        self.outbox.inner.metrics.published("again", count);
        Ok(count)
    }

    async fn prune_all(&self) {
        loop {
            tokio::time::sleep(PRUNE_EVERY).await;
            if let Err(error) = self.prune().await {
                tracing::warn!(%error, "old rows of the outbox were not forgotten");
            }
        }
    }

    /// Forgets published rows beyond the window. Returns how many those were.
    pub async fn prune(&self) -> Result<u64, RelayError> {
        let settings = &self.outbox.inner.settings;
        let window_ms = i64::try_from(settings.window.as_millis()).unwrap_or(i64::MAX);
        let mut count = 0;
        loop {
            let rows = rows::prune(self.pool(), self.dialect(), window_ms, settings.rows_max, PRUNED_AT_ONCE).await?;
            count += rows;
            if rows < u64::from(PRUNED_AT_ONCE) {
                return Ok(count);
            }
        }
    }
}

async fn say(cache: &Cache, invalidation: &Invalidation) -> Result<PositionSet, InvalidateError> {
    if invalidation.tags().is_empty() { Ok(PositionSet::default()) } else { cache.invalidate(invalidation).await }
}

/// Rows that are published together: neighbours without a note. One with a note stands alone.
fn together(due: &[Row]) -> Vec<&[Row]> {
    let (mut groups, mut rest) = (Vec::new(), due);
    while !rest.is_empty() {
        let silent = rest.iter().take(TAGS_TOGETHER_MAX).take_while(|row| row.note.is_empty()).count();
        let (group, others) = rest.split_at(silent.max(1));
        groups.push(group);
        rest = others;
    }
    groups
}

/// A position as it stands in a row.
pub(super) fn position_text(positions: &PositionSet) -> Option<String> {
    let text = positions.to_string();
    (text.len() <= POSITION_BYTES_MAX).then_some(text)
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("outbox", &self.outbox).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(notes: &[&str]) -> Vec<Row> {
        let row = |(id, note): (usize, &&str)| Row {
            id: i64::try_from(id).unwrap(),
            tags: String::new(),
            note: note.as_bytes().to_vec(),
            position: None,
        };
        notes.iter().enumerate().map(row).collect()
    }

    #[test]
    fn rows_without_a_note_go_together_and_in_order() {
        let sizes = |notes: &[&str]| together(&rows(notes)).iter().map(|group| group.len()).collect::<Vec<_>>();
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&["", "", "a", "b", "", ""]), [2, 1, 1, 2]);
        let many = vec![""; TAGS_TOGETHER_MAX + 1];
        assert_eq!(sizes(&many), [TAGS_TOGETHER_MAX, 1]);
    }
}
