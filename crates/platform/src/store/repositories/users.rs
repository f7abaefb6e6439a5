//! Users, those who want to become one, and where they start.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Scope;
use crate::{
    coherence::Write,
    store::{Reading, StoreError},
    views::{ActiveUser, AdminUser, Items, PendingApproval, Role, User, UserDefaults, UserStatus},
};

/// A user to be created.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Compared without case; kept in lower case.
    pub email: String,
    pub name: String,
    pub password_hash: String,
}

/// What somebody says who asks to be let in.
#[derive(Clone, Debug, Default)]
pub struct AccessRequest {
    pub requested_client: Option<String>,
    pub reason: Option<String>,
}

/// What a sign-in is judged by.
#[derive(Clone)]
pub struct Credentials {
    pub user: User,
    pub password_hash: String,
}

pub async fn by_id(db: Reading<'_>, user: Uuid) -> Result<User, StoreError> { todo!() }
/// The user with this email address; whatever is loaded from it is never kept.
pub async fn credentials(db: Reading<'_>, email: &str) -> Result<Option<Credentials>, StoreError> { todo!() }
/// Users in `scope`, by name.
pub async fn list(db: Reading<'_>, scope: Scope) -> Result<Items<AdminUser>, StoreError> { todo!() }
pub async fn admin_user(db: Reading<'_>, scope: Scope, user: Uuid) -> Result<AdminUser, StoreError> { todo!() }
/// Users in `scope` who may sign in, those seen last first.
pub async fn active(db: Reading<'_>, scope: Scope) -> Result<Items<ActiveUser>, StoreError> { todo!() }
/// Who waits to be let in, those who waited longest first.
pub async fn pending_approvals(db: Reading<'_>) -> Result<Items<PendingApproval>, StoreError> { todo!() }
pub async fn defaults(db: Reading<'_>, user: Uuid) -> Result<UserDefaults, StoreError> { todo!() }

/// Somebody asks to be let in.
pub async fn register(w: &mut Write, new: &NewUser, request: &AccessRequest, now: DateTime<Utc>) -> Result<User, StoreError> { todo!() }
/// Creates a user who may sign in at once.
pub async fn create_active(w: &mut Write, new: &NewUser, is_platform_admin: bool, now: DateTime<Utc>) -> Result<User, StoreError> { todo!() }
/// Lets somebody in, with a role in a client.
pub async fn approve(w: &mut Write, user: Uuid, client: Uuid, role: Role, now: DateTime<Utc>) -> Result<(), StoreError> { todo!() }
/// Turns somebody away: the user is disabled, the address stays taken.
pub async fn reject(w: &mut Write, user: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> { todo!() }
pub async fn set_platform_admin(w: &mut Write, user: Uuid, is_platform_admin: bool, now: DateTime<Utc>) -> Result<(), StoreError> { todo!() }
/// Disabling revokes all sessions.
pub async fn set_status(w: &mut Write, user: Uuid, status: UserStatus, now: DateTime<Utc>) -> Result<(), StoreError> { todo!() }
pub async fn set_password_hash(w: &mut Write, user: Uuid, password_hash: &str, now: DateTime<Utc>) -> Result<(), StoreError> { todo!() }
/// Where the user starts: in a client they may act for, and an engagement of it.
pub async fn set_defaults(w: &mut Write, user: Uuid, client: Option<Uuid>, engagement: Option<Uuid>, now: DateTime<Utc>) -> Result<UserDefaults, StoreError> { todo!() }
/// Notes that a user was seen; at most once a minute it changes anything. Returns whether it did.
pub async fn seen(w: &mut Write, user: Uuid, now: DateTime<Utc>) -> Result<bool, StoreError> { todo!() }
