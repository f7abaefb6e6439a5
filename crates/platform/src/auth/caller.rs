//! Who is asking, verified: what handlers decide from.

use std::time::Duration;

use axum::{extract::FromRequestParts, http::request::Parts};
use chrono::{DateTime, Utc};
use unstale::{Cached, Tag, Tenant};
use unstale_http::Identity;
use unstale_server::problem::Problem;
use uuid::Uuid;

use super::permissions::Permission;
use crate::{
    coherence::{ClientId, tags},
    store::repositories::Scope,
    views::{Role, SessionPrincipal, User},
};

/// A signed-in user acting for a client, or for none. Only the middleware makes one.
#[derive(Clone, Debug)]
pub struct Caller {
    pub(super) principal: Cached<SessionPrincipal>,
    pub(super) tenant: Tenant,
    pub(super) client: Option<ClientId>,
    pub(super) role: Option<Role>,
}

impl Caller {
    /// The user.
    pub fn user(&self) -> &User {
        &self.principal.user
    }

    /// What a socket of theirs stands on: what every answer to them follows from, and that the session stands, which a
    /// socket does not ask for with every message, nor whether its client is still there.
    pub(crate) fn standing(&self, identity: &Identity) -> Vec<Tag> {
        let session = [tags::session_standing(self.session()), tags::sessions_of(self.id())];
        let client = self.client.map(tags::under_client);
        identity.tags().iter().cloned().chain(session).chain(client).collect()
    }

    /// How long their session goes on if nothing is done about it.
    pub(crate) fn lasts(&self, now: DateTime<Utc>) -> Duration {
        (self.principal.expires_at - now).to_std().unwrap_or_default()
    }

    /// The user's id.
    pub fn id(&self) -> Uuid {
        self.principal.user.id
    }

    /// The session.
    pub fn session(&self) -> Uuid {
        self.principal.session_id
    }

    /// The tenant in the cache.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Whether the user administers the platform.
    pub fn is_platform_admin(&self) -> bool {
        self.principal.user.is_platform_admin
    }

    /// Whether they act for a client as platform administrators, without being members.
    pub(super) fn is_visiting(&self) -> bool {
        self.client.is_some() && self.role == Some(Role::PlatformAdmin)
    }

    /// The client that the request acts for, if it acts for one.
    pub fn acting_for(&self) -> Option<ClientId> {
        self.client
    }

    /// The client that the request acts for. Refuses a request that acts for none.
    pub fn client(&self) -> Result<ClientId, Problem> {
        self.client.ok_or_else(|| {
            Problem::bad_request("Choose a client: name it in the X-Client-Account-Id header, or set a default client.")
        })
    }

    /// What the request may see of users and engagements: the acting client's, or everything.
    pub fn scope(&self) -> Result<Scope, Problem> {
        match self.client {
            None if self.is_platform_admin() => Ok(Scope::All),
            _ => self.client().map(Scope::Client),
        }
    }

    /// The user's role in the acting client.
    pub fn role(&self) -> Option<Role> {
        self.role
    }

    /// Refuses the request unless the role in the acting client allows it.
    pub fn require(&self, permission: Permission) -> Result<(), Problem> {
        allow(self.role, permission)
    }

    /// Refuses the request unless the user's role in `client` allows it. A client that the user has no access to
    /// does not exist.
    pub fn require_in(&self, client: Uuid, permission: Permission) -> Result<(), Problem> {
        allow(Some(self.role_in(client).ok_or_else(Problem::not_found)?), permission)
    }

    /// Refuses the request unless the user administers the platform: what it concerns is no client's.
    pub fn require_platform_admin(&self) -> Result<(), Problem> {
        if self.is_platform_admin() {
            return Ok(());
        }
        Err(Problem::forbidden("This is for administrators of the platform."))
    }

    /// The clients in which the user's own role allows it.
    pub fn clients_with(&self, permission: Permission) -> impl Iterator<Item = Uuid> {
        let allowed = self.principal.roles.iter().filter(move |held| permission.is_of(held.role));
        allowed.map(|held| held.client_account_id)
    }

    /// The user's role in a client; none without access.
    pub fn role_in(&self, client: Uuid) -> Option<Role> {
        if self.is_platform_admin() {
            return Some(Role::PlatformAdmin);
        }
        self.principal.roles.iter().find(|held| held.client_account_id == client).map(|held| held.role)
    }
}

fn allow(role: Option<Role>, permission: Permission) -> Result<(), Problem> {
    if role.is_some_and(|role| permission.is_of(role)) {
        return Ok(());
    }
    Err(Problem::forbidden(format!(
        "This needs the permission {}, which your role does not have.",
        permission.as_str()
    )))
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::unauthorized)
    }
}
