//! What the audit trail says of a change: one record each, in the chain of the tenant whose readers are told of it.
//!
//! Whose data a change is about is a keyed hash; a user's id stands nowhere else in the record but as who acts.

use unstale_server::audit::{Actor, Audit, AuditRefused, Class, Entry, Intents, Operation, Outcome};
use uuid::Uuid;

use super::{
    Change,
    changes::{Action, MappingAction},
};

/// What is said of a change.
struct Said {
    entity: &'static str,
    action: &'static str,
    key: Option<(&'static str, Uuid)>,
    user: Option<Uuid>,
}

/// Notes changes that are about to be saved, as who acts now does them.
pub(super) async fn begin(audit: &Audit, operation: Operation, changes: &[Change]) -> Result<Intents, AuditRefused> {
    if !audit.records(Class::Mutation) {
        return Ok(Intents::none());
    }
    let actor = Actor::current();
    let said: Vec<_> = changes
        .iter()
        .filter_map(|change| {
            let said = said(change)?;
            let key = said.key.map(|(kind, id)| format!("{kind}:{id}")).unwrap_or_default();
            Some((change.told_to(), key, said))
        })
        .collect();
    let entries: Vec<Entry<'_>> = said
        .iter()
        .map(|(tenant, key, said)| Entry {
            entity: said.entity,
            key,
            detail: said.action,
            subject: said.user.map(|user| audit.subject(&user.to_string())),
            ..actor.entry(tenant.as_str(), operation, Outcome::Unknown)
        })
        .collect();
    audit.begin(Class::Mutation, &entries).await
}

/// None of what happens with every request, and of tidying up.
fn said(change: &Change) -> Option<Said> {
    let of_user = |entity, action, user: &Uuid| Said { entity, action, key: None, user: Some(*user) };
    let of = |entity, action, kind, id: &Uuid| Said { entity, action, key: Some((kind, *id)), user: None };
    Some(match change {
        Change::UserRegistered { user } => of_user("user", "created", user),
        Change::UserUpdated { user, .. } => of_user("user", "updated", user),
        Change::UserClientAccessChanged { user, client, action } => {
            Said { key: Some(("client", *client)), ..of_user("user_access", action.as_str(), user) }
        }
        Change::UserDefaultsUpdated { user, .. } => of_user("user_defaults", "updated", user),
        Change::PendingApprovalsChanged { user, action, .. } => of_user("pending_approvals", action.as_str(), user),
        Change::ClientModified { client, action } => of("client", action.as_str(), "client", client),
        Change::EngagementModified { engagement, action, .. } => {
            of("engagement", action.as_str(), "engagement", engagement)
        }
        Change::FlowUpdated { flow, action, .. } => of("flow", action.as_str(), "flow", flow),
        Change::ImportProgressed { import, is_new: true, .. } => {
            of("import", Action::Created.as_str(), "import", import)
        }
        Change::ImportProgressed { import, .. } => of("import", "progress", "import", import),
        Change::ImportFinished { import, .. } => of("import", "finished", "import", import),
        Change::ImportDeleted { import, .. } => of("import", Action::Deleted.as_str(), "import", import),
        Change::FieldMappingBulkOperation { import, action, .. } => {
            let action = match action {
                MappingAction::BulkOperation => "bulk_operation",
                MappingAction::Updated => "updated",
            };
            of("field_mappings", action, "import", import)
        }
        Change::ValuesCorrected { import, .. } => of("assets", "corrected", "import", import),
        Change::SessionChanged { session } => of("session", "changed", "session", session),
        Change::SessionRevoked { session } => of("session", "revoked", "session", session),
        Change::SessionsRevoked { user } => of_user("session", "revoked", user),
        Change::FlagUpdated { flag } => Said { entity: "flags", action: flag, key: None, user: None },
        Change::UserSeen { .. } | Change::SessionsOverDeleted => return None,
    })
}
