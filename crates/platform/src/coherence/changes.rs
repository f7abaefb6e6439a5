//! What can change, and which facts change with it.
//!
//! One variant for each named trigger. A variant holds the ids that its tags need, no more; who reads those facts is
//! not asked here, because responses carry the tags of what they were loaded from.

use serde_json::{Value, json};
use unstale::{Invalidation, Tag, Tenant};
use unstale_server::{
    live,
    outbox::{Excuse, StatementKind},
};
use uuid::Uuid;

use super::{ClientId, platform_tenant, tags};

/// What was done to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Created,
    Updated,
    Deleted,
}

impl Action {
    /// The word in live events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }

    /// Whether there is one more or one less now.
    fn counts(self) -> bool {
        self != Self::Updated
    }
}

/// What was done to mappings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappingAction {
    /// Many were approved or rejected.
    BulkOperation,
    /// One got another target.
    Updated,
}

/// Something of the platform that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Somebody asked to be let in, or was let in without asking.
    UserRegistered { user: Uuid },
    /// A user's row changed: name, status, what they may do on the platform. `clients`: those they are members of.
    UserUpdated { user: Uuid, clients: Vec<Uuid> },
    /// A user was seen. Concerns no tag: it happens with every request, and what shows it lives a minute at most.
    UserSeen { user: Uuid },
    /// A user's role in a client was given, changed or taken.
    UserClientAccessChanged { user: Uuid, client: Uuid, action: Action },
    /// A user starts elsewhere, in another engagement maybe. `clients`: where they started before and start now.
    UserDefaultsUpdated { user: Uuid, clients: Vec<Uuid> },
    /// The list of those who wait to be let in. `requested_client`: the client in the user's own words.
    PendingApprovalsChanged { user: Uuid, requested_client: Option<String>, action: Action },
    /// A client, and if it is deleted everything within.
    ClientModified { client: Uuid, action: Action },
    /// An engagement, and if it is deleted everything within.
    EngagementModified { client: Uuid, engagement: Uuid, action: Action },
    /// A flow. Its imports are announced by themselves.
    FlowUpdated { client: ClientId, engagement: Uuid, flow: Uuid, owner: Uuid, action: Action },
    /// An import was announced, or came a step further.
    ImportProgressed { client: ClientId, engagement: Uuid, import: Uuid, is_new: bool },
    /// An import ended, well or not: its mappings and assets are there.
    ImportFinished { client: ClientId, engagement: Uuid, import: Uuid },
    /// An import went, with its mappings and assets.
    ImportDeleted { client: ClientId, engagement: Uuid, import: Uuid },
    /// Mappings of an import were reviewed or changed.
    FieldMappingBulkOperation { client: ClientId, import: Uuid, action: MappingAction },
    /// Values of an import were corrected, or were given back: its assets show others.
    ValuesCorrected { client: ClientId, engagement: Uuid, import: Uuid },
    /// A session began, or goes on for longer.
    SessionChanged { session: Uuid },
    /// A session was revoked.
    SessionRevoked { session: Uuid },
    /// All sessions of a user were revoked.
    SessionsRevoked { user: Uuid },
    /// A feature flag is on for others now. Everybody is told.
    FlagUpdated { flag: &'static str },
    /// Sessions that were over long ago were forgotten. Concerns no tag: they had not been good any more.
    SessionsOverDeleted,
}

impl Change {
    /// What it changes that nothing cached shows and nothing stands on, though a trigger sees it.
    pub fn excuse(&self) -> Option<Excuse> {
        let statement = match self {
            // A trigger sees that its end was moved, and not whereto.
            Self::SessionChanged { .. } => StatementKind::Update,
            Self::SessionsOverDeleted => StatementKind::Delete,
            _ => return None,
        };
        Some(Excuse { table: "sessions", statement })
    }

    /// The tags that move, and the note for live events.
    pub fn invalidation(&self) -> Invalidation {
        let invalidation = Invalidation::of(self.tags());
        match self.note() {
            Some(Value::Object(note)) if matches!(self, Self::FlagUpdated { .. }) => {
                invalidation.note(live::note(None, note))
            }
            Some(Value::Object(note)) => invalidation.note(live::note(Some(&self.told_to()), note)),
            _ => invalidation,
        }
    }

    /// The one tenant whose readers are told the ids. Many of the tags are shared, and those of long lists cover rows
    /// of other tenants: readers there hear that their copy is out of date, and nothing of why.
    pub(super) fn told_to(&self) -> Tenant {
        match self {
            Self::UserClientAccessChanged { client, .. }
            | Self::ClientModified { client, .. }
            | Self::EngagementModified { client, .. } => ClientId(*client).tenant(),
            Self::FlowUpdated { client, .. }
            | Self::ImportProgressed { client, .. }
            | Self::ImportFinished { client, .. }
            | Self::ImportDeleted { client, .. }
            | Self::FieldMappingBulkOperation { client, .. }
            | Self::ValuesCorrected { client, .. } => client.tenant(),
            Self::UserUpdated { clients, .. } | Self::UserDefaultsUpdated { clients, .. } => match clients[..] {
                [client] => ClientId(client).tenant(),
                _ => platform_tenant(),
            },
            Self::UserRegistered { .. }
            | Self::UserSeen { .. }
            | Self::PendingApprovalsChanged { .. }
            | Self::SessionChanged { .. }
            | Self::SessionRevoked { .. }
            | Self::SessionsRevoked { .. }
            | Self::FlagUpdated { .. }
            | Self::SessionsOverDeleted => platform_tenant(),
        }
    }

    /// What live events say of it: entity, ids, action. None where no response shows it.
    pub fn note(&self) -> Option<Value> {
        Some(match self {
            Self::FlagUpdated { flag } => json!({"entity": "flags", "flag": flag, "action": "updated"}),
            Self::UserRegistered { user } => json!({"entity": "user", "user_id": user, "action": "created"}),
            Self::UserUpdated { user, .. } => json!({"entity": "user", "user_id": user, "action": "updated"}),
            Self::UserClientAccessChanged { user, client, action } => {
                json!({"entity": "user_access", "user_id": user, "client_account_id": client, "action": action.as_str()})
            }
            Self::UserDefaultsUpdated { user, .. } => {
                json!({"entity": "user_defaults", "user_id": user, "action": "updated"})
            }
            Self::PendingApprovalsChanged { user, action, .. } => {
                json!({"entity": "pending_approvals", "user_id": user, "action": action.as_str()})
            }
            Self::ClientModified { client, action } => {
                json!({"entity": "client", "client_account_id": client, "action": action.as_str()})
            }
            Self::EngagementModified { client, engagement, action } => json!({
                "entity": "engagement", "engagement_id": engagement, "client_account_id": client,
                "action": action.as_str(),
            }),
            Self::FlowUpdated { engagement, flow, action, .. } => json!({
                "entity": "flow", "flow_id": flow, "engagement_id": engagement, "action": action.as_str(),
            }),
            Self::ImportProgressed { engagement, import, is_new, .. } => {
                import_note(*engagement, *import, if *is_new { "created" } else { "progress" })
            }
            Self::ImportFinished { engagement, import, .. } => import_note(*engagement, *import, "updated"),
            Self::ImportDeleted { engagement, import, .. } => import_note(*engagement, *import, "deleted"),
            Self::FieldMappingBulkOperation { import, action, .. } => {
                let action = match action {
                    MappingAction::BulkOperation => "bulk_operation",
                    MappingAction::Updated => "updated",
                };
                json!({"entity": "field_mappings", "import_id": import, "action": action})
            }
            Self::ValuesCorrected { engagement, import, .. } => json!({
                "entity": "assets", "import_id": import, "engagement_id": engagement, "action": "bulk_operation",
            }),
            Self::UserSeen { .. }
            | Self::SessionChanged { .. }
            | Self::SessionRevoked { .. }
            | Self::SessionsRevoked { .. }
            | Self::SessionsOverDeleted => return None,
        })
    }

    /// The tags that move.
    pub fn tags(&self) -> Vec<Tag> {
        match self {
            Self::FlagUpdated { .. } => vec![tags::flags()],
            Self::UserRegistered { user } => vec![tags::user(*user), tags::users()],
            Self::UserUpdated { user, clients } => {
                let lists = clients.iter().map(|client| tags::members_of(*client));
                [tags::user(*user), tags::users()].into_iter().chain(lists).collect()
            }
            Self::UserSeen { .. } | Self::SessionsOverDeleted => Vec::new(),
            Self::UserClientAccessChanged { user, client, action } => access_tags(*user, *client, *action),
            Self::UserDefaultsUpdated { user, clients } => {
                let members = clients.iter().map(|client| tags::members_of(*client));
                [tags::user_defaults(*user), tags::users()].into_iter().chain(members).collect()
            }
            Self::PendingApprovalsChanged { requested_client, .. } => {
                let named = requested_client.iter().map(|named| tags::pending_for(named));
                [tags::pending_approvals()].into_iter().chain(named).collect()
            }
            Self::ClientModified { client, action } => client_tags(*client, *action),
            Self::EngagementModified { client, engagement, action } => engagement_tags(*client, *engagement, *action),
            Self::FlowUpdated { client, engagement, flow, owner, action } => {
                let mut tags = vec![
                    tags::flow(*client, *flow),
                    tags::flows(*client),
                    tags::flows_in(*client, *engagement),
                    tags::flows_by(*client, *owner),
                ];
                if action.counts() {
                    tags.extend([tags::flow_set(*engagement), tags::flow_counts_of(client.0), tags::flow_counts()]);
                }
                tags
            }
            Self::ImportProgressed { client, engagement, import, .. } => import_tags(*client, *engagement, *import),
            Self::ImportFinished { client, engagement, import }
            | Self::ImportDeleted { client, engagement, import } => {
                let mut tags = import_tags(*client, *engagement, *import);
                if matches!(self, Self::ImportDeleted { .. }) {
                    tags.push(tags::under_import(*client, *import));
                }
                tags.extend([tags::mappings_of(*client, *import), tags::mappings(*client)]);
                tags.extend(asset_tags(*client, *engagement, *import));
                tags
            }
            Self::FieldMappingBulkOperation { client, import, .. } => {
                vec![tags::mappings_of(*client, *import), tags::mappings(*client)]
            }
            Self::ValuesCorrected { client, engagement, import } => asset_tags(*client, *engagement, *import).to_vec(),
            Self::SessionChanged { session } => vec![tags::session(*session)],
            Self::SessionRevoked { session } => vec![tags::session(*session), tags::session_standing(*session)],
            Self::SessionsRevoked { user } => vec![tags::sessions_of(*user)],
        }
    }
}

fn import_note(engagement: Uuid, import: Uuid, action: &str) -> Value {
    json!({"entity": "import", "import_id": import, "engagement_id": engagement, "action": action})
}

fn import_tags(client: ClientId, engagement: Uuid, import: Uuid) -> Vec<Tag> {
    vec![tags::import(client, import), tags::imports(client), tags::imports_in(client, engagement)]
}

fn asset_tags(client: ClientId, engagement: Uuid, import: Uuid) -> [Tag; 3] {
    [tags::assets_of(client, import), tags::assets_in(client, engagement), tags::assets(client)]
}

fn access_tags(user: Uuid, client: Uuid, action: Action) -> Vec<Tag> {
    let mut tags = vec![tags::memberships_of(user), tags::members_of(client), tags::users()];
    if action.counts() {
        tags.extend([tags::member_set(client), tags::client_counts()]);
    }
    tags
}

/// The engagements, flows and members of a deleted client need no tags of their own: whatever shows them shows the
/// client's name or lies beneath it.
fn client_tags(client: Uuid, action: Action) -> Vec<Tag> {
    let mut tags = vec![tags::client(client)];
    if action.counts() {
        tags.push(tags::client_set());
    }
    if action != Action::Created {
        tags.push(tags::clients());
    }
    if action == Action::Deleted {
        tags.push(tags::under_client(ClientId(client)));
    }
    tags
}

/// The flows of a deleted engagement need no tags of their own: lists of flows show its name.
fn engagement_tags(client: Uuid, engagement: Uuid, action: Action) -> Vec<Tag> {
    let mut tags = vec![tags::engagement(engagement), tags::engagements_of(client), tags::engagements()];
    if action.counts() {
        tags.extend([tags::engagement_set(client), tags::client_counts()]);
    }
    if action == Action::Deleted {
        let tenant = ClientId(client);
        // Users who started there start nowhere now.
        tags.extend([tags::members_of(client), tags::users()]);
        tags.extend([tags::under_engagement(tenant, engagement), tags::imports(tenant), tags::assets(tenant)]);
    }
    tags
}

#[cfg(test)]
mod tests {
    use unstale::Home;

    use super::*;

    const ID: Uuid = Uuid::from_u128(7);
    const CLIENT: ClientId = ClientId(Uuid::from_u128(8));

    #[test]
    fn live_events_name_entity_ids_and_action() {
        let bulk = MappingAction::BulkOperation;
        let change = Change::FieldMappingBulkOperation { client: CLIENT, import: ID, action: bulk };
        let expected = json!({"entity": "field_mappings", "import_id": ID, "action": "bulk_operation"});
        assert_eq!(change.note(), Some(expected));
        let progress = |is_new| Change::ImportProgressed { client: CLIENT, engagement: ID, import: ID, is_new };
        assert_eq!(progress(false).note().unwrap()["action"], "progress");
        assert_eq!(progress(true).note().unwrap()["action"], "created");
        let change = Change::ClientModified { client: ID, action: Action::Deleted };
        assert_eq!(change.note().unwrap()["entity"], "client");
        assert_eq!(Change::SessionChanged { session: ID }.note(), None);
    }

    #[test]
    fn what_happens_often_stays_within_its_tenant() {
        let often = [
            Change::FlowUpdated { client: CLIENT, engagement: ID, flow: ID, owner: ID, action: Action::Updated },
            Change::ImportProgressed { client: CLIENT, engagement: ID, import: ID, is_new: false },
            Change::ImportFinished { client: CLIENT, engagement: ID, import: ID },
            Change::FieldMappingBulkOperation { client: CLIENT, import: ID, action: MappingAction::Updated },
            Change::ValuesCorrected { client: CLIENT, engagement: ID, import: ID },
        ];
        for change in often {
            let tags = change.tags();
            assert!(tags.iter().all(|tag| *tag.home() == Home::Tenant(CLIENT.tenant())), "{change:?}: {tags:?}");
        }
        assert_eq!(Change::UserSeen { user: ID }.tags(), []);
    }
}
