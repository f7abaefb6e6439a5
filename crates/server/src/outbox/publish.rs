//! Telling the log.
//!
//! An invalidation that the log did not take is the writer's error. The cache keeps it and says it again until the log
//! takes it, or this process ends; what ends with the process is in the outbox.

use std::time::Duration;

use unstale::{Cache, InvalidateError, Invalidation, PositionSet};

use super::steps::{self, Step};

/// How often an invalidation is tried.
pub const ATTEMPTS_MAX: u32 = 4;
/// The wait before the second attempt; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(25);

/// A change that is saved and not yet visible.
#[derive(Debug, thiserror::Error)]
#[error("the change is saved but not yet visible everywhere, after {ATTEMPTS_MAX} attempts to announce it: {source}")]
pub struct NotVisible {
    /// Where it was announced.
    pub recorded: PositionSet,
    /// What the log said last.
    pub source: InvalidateError,
}

/// What became of several invalidations.
#[derive(Debug, Default)]
pub(super) struct Published {
    /// Where each of them is in the log; none where it is not, or not everywhere.
    pub(super) each: Vec<Option<PositionSet>>,
    /// Everywhere that something was recorded.
    pub(super) reached: PositionSet,
    /// Why one is not.
    pub(super) failed: Option<InvalidateError>,
}

/// Makes all of `invalidations` visible. Returns the position from which on they are seen, without those that the
/// cache's store could not take yet.
pub async fn publish(cache: &Cache, invalidations: &[Invalidation]) -> Result<PositionSet, NotVisible> {
    let Published { reached, failed, .. } = publish_each(cache, invalidations).await;
    match failed {
        None => Ok(reached),
        Some(source) => Err(NotVisible { recorded: reached, source }),
    }
}

pub(super) async fn publish_each(cache: &Cache, invalidations: &[Invalidation]) -> Published {
    let mut published = Published::default();
    for invalidation in invalidations {
        // Each is said, also after one that failed: what the log does not take now, the cache keeps for it.
        let attempts_max = if published.failed.is_none() { ATTEMPTS_MAX } else { 1 };
        let answer = announce(cache, invalidation, attempts_max).await;
        steps::reached(Step::PublishedOne);
        published.each.push(match answer {
            Ok(positions) => {
                published.reached.extend(&positions);
                Some(positions)
            }
            Err(InvalidateError::Pending { recorded, source, .. }) => {
                // This node serves nothing old from here on, and nodes that cannot ask the log do not either; the
                // rest hear of it when the log takes it. To fail a write that is saved would help nobody.
                tracing::warn!(%source, "a change is saved and will be announced when the cache's store is back");
                published.reached.extend(&recorded);
                None
            }
            Err(source) => {
                published.failed.get_or_insert(source);
                None
            }
        });
    }
    published
}

async fn announce(
    cache: &Cache,
    invalidation: &Invalidation,
    attempts_max: u32,
) -> Result<PositionSet, InvalidateError> {
    let mut wait = FIRST_WAIT;
    let mut answer = cache.invalidate(invalidation).await;
    for _ in 1..attempts_max {
        let Err(error) = answer else { break };
        if matches!(error, InvalidateError::NoteTooLong { .. } | InvalidateError::Pending { .. }) {
            // Trying again cannot help, or is the cache's own.
            return Err(error);
        }
        tracing::warn!(%error, "an invalidation was not recorded; trying again");
        tokio::time::sleep(wait).await;
        wait *= 2;
        answer = cache.invalidate(invalidation).await;
    }
    answer
}
