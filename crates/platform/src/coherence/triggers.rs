//! The one service that makes changes visible without a write of this application: another system's, or an operator's
//! by hand. The named triggers stand for what happened.
//!
//! What repositories change, [`Write::commit`](super::Write::commit) announces; what is changed in the database past
//! them, the database's own triggers do ([`super::watched`]).

use unstale::{Cache, Invalidation, PositionSet};
use unstale_server::outbox;
pub use unstale_server::outbox::{ATTEMPTS_MAX, NotVisible};
use uuid::Uuid;

use super::{
    ClientId,
    changes::{Action, Change, MappingAction},
};

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
        outbox::publish(&self.cache, &merged(changes)).await
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
}

/// One invalidation for all changes of which live events say the same.
pub(super) fn merged(changes: &[Change]) -> Vec<Invalidation> {
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
