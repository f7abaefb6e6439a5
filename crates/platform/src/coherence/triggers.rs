//! The one service that makes changes visible: it appends their invalidations to the log.
//!
//! [`Write::commit`](super::Write::commit) calls it for what repositories changed. The named triggers are for changes
//! that did not go through a repository: another system's, or an operator's by hand.
//!
//! An invalidation that the log did not take is the writer's error. The cache keeps it and says it again until the log
//! takes it, or this process ends; keeping it beyond that is the work of an outbox, which would stand between
//! [`Triggers::publish`] and the log.

use std::time::Duration;

use unstale::{Cache, InvalidateError, Invalidation, PositionSet};
use uuid::Uuid;

use super::{
    ClientId,
    changes::{Action, Change, MappingAction},
};

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

/// Makes changes visible.
#[derive(Clone, Debug)]
pub struct Triggers {
    cache: Cache,
}

impl Triggers {
    /// For the entries of `cache`.
    pub fn new(cache: Cache) -> Self {
        Self { cache }
    }

    /// Makes all of `changes` visible. Returns the position from which on they are seen, without those that the cache's
    /// store could not take yet.
    pub async fn publish(&self, changes: &[Change]) -> Result<PositionSet, NotVisible> {
        let mut reached = PositionSet::default();
        let mut failed = None;
        for invalidation in merged(changes) {
            // Each is said, also after one that failed: what the log does not take now, the cache keeps for it.
            let attempts_max = if failed.is_none() { ATTEMPTS_MAX } else { 1 };
            match self.announce(&invalidation, attempts_max).await {
                Ok(positions) => reached.extend(&positions),
                Err(InvalidateError::Pending { recorded, source, .. }) => {
                    // This node serves nothing old from here on, and nodes that cannot ask the log do not either; the
                    // rest hear of it when the log takes it. To fail a write that is saved would help nobody.
                    tracing::warn!(%source, "a change is saved and will be announced when the cache's store is back");
                    reached.extend(&recorded);
                }
                Err(source) => failed = failed.or(Some(source)),
            }
        }
        match failed {
            None => Ok(reached),
            Some(source) => Err(NotVisible { recorded: reached, source }),
        }
    }

    /// A user's row, roles or permissions changed.
    pub async fn on_user_updated(&self, user: Uuid, clients: Vec<Uuid>) -> Result<PositionSet, NotVisible> {
        self.publish(&[Change::UserUpdated { user, clients }]).await
    }

    /// A user may see a client now, or sees it in another role, or no more.
    pub async fn on_user_client_access_changed(
        &self,
        user: Uuid,
        client: Uuid,
        action: Action,
    ) -> Result<PositionSet, NotVisible> {
        self.publish(&[Change::UserClientAccessChanged { user, client, action }]).await
    }

    /// A user starts elsewhere: also administrators' lists, the clients' users, the engagements' users.
    pub async fn on_user_defaults_updated(&self, user: Uuid, clients: Vec<Uuid>) -> Result<PositionSet, NotVisible> {
        self.publish(&[Change::UserDefaultsUpdated { user, clients }]).await
    }

    /// Somebody asked to be let in.
    pub async fn on_user_registered(
        &self,
        user: Uuid,
        requested_client: Option<String>,
    ) -> Result<PositionSet, NotVisible> {
        let asks = Change::PendingApprovalsChanged { user, requested_client, action: Action::Created };
        self.publish(&[Change::UserRegistered { user }, asks]).await
    }

    /// Somebody's request was made or decided.
    pub async fn on_pending_approvals_changed(
        &self,
        user: Uuid,
        requested_client: Option<String>,
        action: Action,
    ) -> Result<PositionSet, NotVisible> {
        self.publish(&[Change::PendingApprovalsChanged { user, requested_client, action }]).await
    }

    /// A client was created, updated or deleted.
    pub async fn on_client_modified(&self, client: Uuid, action: Action) -> Result<PositionSet, NotVisible> {
        self.publish(&[Change::ClientModified { client, action }]).await
    }

    /// An engagement was created, updated or deleted.
    pub async fn on_engagement_modified(
        &self,
        client: Uuid,
        engagement: Uuid,
        action: Action,
    ) -> Result<PositionSet, NotVisible> {
        self.publish(&[Change::EngagementModified { client, engagement, action }]).await
    }

    /// A flow was created, updated or deleted.
    pub async fn on_flow_updated(
        &self,
        client: ClientId,
        engagement: Uuid,
        flow: Uuid,
        owner: Uuid,
        action: Action,
    ) -> Result<PositionSet, NotVisible> {
        self.publish(&[Change::FlowUpdated { client, engagement, flow, owner, action }]).await
    }

    /// An import came a step further.
    pub async fn on_import_progressed(
        &self,
        client: ClientId,
        engagement: Uuid,
        import: Uuid,
    ) -> Result<PositionSet, NotVisible> {
        self.publish(&[Change::ImportProgressed { client, engagement, import, is_new: false }]).await
    }

    /// An import ended.
    pub async fn on_import_finished(
        &self,
        client: ClientId,
        engagement: Uuid,
        import: Uuid,
    ) -> Result<PositionSet, NotVisible> {
        self.publish(&[Change::ImportFinished { client, engagement, import }]).await
    }

    /// Many mappings of an import were reviewed: also its aggregates.
    pub async fn on_field_mapping_bulk_operation(
        &self,
        client: ClientId,
        import: Uuid,
    ) -> Result<PositionSet, NotVisible> {
        let action = MappingAction::BulkOperation;
        self.publish(&[Change::FieldMappingBulkOperation { client, import, action }]).await
    }

    async fn announce(&self, invalidation: &Invalidation, attempts_max: u32) -> Result<PositionSet, InvalidateError> {
        let mut wait = FIRST_WAIT;
        let mut answer = self.cache.invalidate(invalidation).await;
        for _ in 1..attempts_max {
            let Err(error) = answer else { break };
            if matches!(error, InvalidateError::NoteTooLong { .. } | InvalidateError::Pending { .. }) {
                // Trying again cannot help, or is the cache's own.
                return Err(error);
            }
            tracing::warn!(%error, "an invalidation was not recorded; trying again");
            tokio::time::sleep(wait).await;
            wait *= 2;
            answer = self.cache.invalidate(invalidation).await;
        }
        answer
    }
}

/// One invalidation for all changes of which live events say the same.
fn merged(changes: &[Change]) -> Vec<Invalidation> {
    let mut by_note: Vec<(Option<serde_json::Value>, Invalidation)> = Vec::new();
    for change in changes {
        let note = change.note();
        match by_note.iter_mut().find(|(held, _)| *held == note) {
            Some((_, invalidation)) => change.tags().into_iter().for_each(|tag| invalidation.tag(tag)),
            None => by_note.push((note, change.invalidation())),
        }
    }
    by_note.into_iter().map(|(_, invalidation)| invalidation).filter(|all| !all.tags().is_empty()).collect()
}
