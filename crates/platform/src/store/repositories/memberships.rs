//! Which users belong to which clients, in which role.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Scope;
use crate::{
    coherence::Write,
    store::{Reading, StoreError},
    views::{ClientSummary, Items, Membership, Role},
};

/// A user's roles, as far as `scope` may know of them; by client name.
pub async fn of_user(db: Reading<'_>, scope: Scope, user: Uuid) -> Result<Items<Membership>, StoreError> { todo!() }
/// A user's role in a client; none without access. Platform administrators have theirs everywhere.
pub async fn role(db: Reading<'_>, user: Uuid, client: Uuid) -> Result<Option<Role>, StoreError> { todo!() }
/// The clients that a user may act for, by name.
pub async fn clients_of(db: Reading<'_>, user: Uuid) -> Result<Items<ClientSummary>, StoreError> { todo!() }
/// Gives a user a role in a client, or changes it. Sessions stay: authorisation reads roles anew.
pub async fn grant(w: &mut Write, user: Uuid, client: Uuid, role: Role, now: DateTime<Utc>) -> Result<(), StoreError> { todo!() }
/// Changes the role of a member.
pub async fn set_role(w: &mut Write, user: Uuid, client: Uuid, role: Role) -> Result<(), StoreError> { todo!() }
/// Takes a user's access to a client; if they start there, they start nowhere.
pub async fn revoke(w: &mut Write, user: Uuid, client: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> { todo!() }
