//! Users, those who want to become one, and where they start.

mod defaults;
mod listing;
mod waiting;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _,
    sea_query::{Expr, ExprTrait as _},
};
use tracing::instrument;
use unstale::decline;
use uuid::Uuid;

pub(super) use self::listing::starting_in;
pub use self::{
    defaults::{defaults, set_defaults},
    listing::{active, admin_user, list},
    waiting::{AccessRequest, approve, pending_approvals, pending_approvals_for, register, reject},
};
use super::{
    clients, memberships,
    rows::{new_id, stamp, word},
    sessions,
};
use crate::{
    coherence::{Change, Write, tags::record_people},
    store::{
        Conflict, Reading, StoreError,
        entities::{access_request, user, user_default},
    },
    views::{User, UserStatus},
};

/// A user is noted as seen at most this often.
pub const SEEN_EVERY: TimeDelta = TimeDelta::seconds(60);

/// What somebody is called who was erased.
pub const ERASED_NAME: &str = "Erased user";

/// A user to be created. Not printable: it holds a password's hash.
#[derive(Clone)]
pub struct NewUser {
    /// Compared without case; kept in lower case.
    pub email: String,
    pub name: String,
    pub password_hash: String,
}

/// What a sign-in is judged by. Not printable: it holds a password's hash.
#[derive(Clone)]
pub struct Credentials {
    pub user: User,
    pub password_hash: String,
}

#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.by_id"))]
pub async fn by_id(db: Reading<'_>, user: Uuid) -> Result<User, StoreError> {
    record_people([user]);
    let row = user::Entity::find_by_id(user).one(&db).await?;
    view(row.ok_or(StoreError::not_found("user"))?)
}

/// The user with this email address; whatever is loaded from it is never kept.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.credentials"))]
pub async fn credentials(db: Reading<'_>, email: &str) -> Result<Option<Credentials>, StoreError> {
    decline();
    let row = user::Entity::find().filter(user::Column::Email.eq(normalised(email))).one(&db).await?;
    row.map(|row| Ok(Credentials { password_hash: row.password_hash.clone(), user: view(row)? })).transpose()
}

/// Creates a user who may sign in at once.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.create_active"))]
pub async fn create_active(
    w: &mut Write,
    new: &NewUser,
    is_platform_admin: bool,
    now: DateTime<Utc>,
) -> Result<User, StoreError> {
    insert(w, new, UserStatus::Active, is_platform_admin, now).await
}

#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.set_platform_admin"))]
pub async fn set_platform_admin(
    w: &mut Write,
    user: Uuid,
    is_platform_admin: bool,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    update(w, user, now, &[(user::Column::IsPlatformAdmin, is_platform_admin.into())]).await
}

/// Disabling revokes all sessions.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.set_status"))]
pub async fn set_status(w: &mut Write, user: Uuid, status: UserStatus, now: DateTime<Utc>) -> Result<(), StoreError> {
    update(w, user, now, &[(user::Column::Status, status.as_str().into())]).await?;
    if status == UserStatus::Disabled {
        sessions::revoke_all(w, user, now).await?;
    }
    Ok(())
}

#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.set_password_hash"))]
pub async fn set_password_hash(
    w: &mut Write,
    user: Uuid,
    password_hash: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    update(w, user, now, &[(user::Column::PasswordHash, password_hash.into())]).await
}

/// Makes a user nobody: the row stays, because flows and imports refer to it, and says nothing of the person any more.
/// They can sign in no more. Their copies in the cache are another matter: see [`Cache::erase`](unstale::Cache::erase).
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.erase"))]
pub async fn erase(w: &mut Write, user: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    by_id(w.read(), user).await?;
    for client in clients::ids_of_member(w.read(), user).await? {
        memberships::revoke(w, user, client, now).await?;
    }
    if user_default::Entity::find_by_id(user).one(&w.read()).await?.is_some() {
        set_defaults(w, user, None, None, now).await?;
    }
    if access_request::Entity::find_by_id(user).one(&w.read()).await?.is_some() {
        waiting::decide(w, user).await?;
    }
    set_status(w, user, UserStatus::Disabled, now).await?;
    let values = [
        // Unique, as the column is, and an address that cannot be (RFC 2606).
        (user::Column::Email, format!("{}@erased.invalid", user.simple()).into()),
        (user::Column::Name, ERASED_NAME.into()),
        // No password has it.
        (user::Column::PasswordHash, "erased".into()),
        (user::Column::IsPlatformAdmin, false.into()),
        (user::Column::LastSeenAt, None::<DateTime<Utc>>.into()),
    ];
    update(w, user, now, &values).await
}

/// Notes that a user was seen; at most every [`SEEN_EVERY`] it changes anything. Returns whether it did.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.seen"))]
pub async fn seen(w: &mut Write, user: Uuid, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let long_ago = user::Column::LastSeenAt.is_null().or(user::Column::LastSeenAt.lte(stamp(now - SEEN_EVERY)));
    let done = user::Entity::update_many()
        .col_expr(user::Column::LastSeenAt, Expr::value(stamp(now)))
        .filter(user::Column::Id.eq(user).and(long_ago))
        .exec(w.changing(Change::UserSeen { user }))
        .await?;
    Ok(done.rows_affected > 0)
}

fn normalised(email: &str) -> String {
    email.trim().to_lowercase()
}

pub(super) fn view(row: user::Model) -> Result<User, StoreError> {
    Ok(User {
        id: row.id,
        email: row.email.into(),
        name: row.name.into(),
        status: word(UserStatus::parse, &row.status)?,
        is_platform_admin: row.is_platform_admin,
        created_at: row.created_at,
    })
}

async fn insert(
    w: &mut Write,
    new: &NewUser,
    status: UserStatus,
    is_platform_admin: bool,
    now: DateTime<Utc>,
) -> Result<User, StoreError> {
    let row = user::Model {
        id: new_id(),
        email: normalised(&new.email),
        name: new.name.clone(),
        password_hash: new.password_hash.clone(),
        status: status.as_str().to_owned(),
        is_platform_admin,
        created_at: stamp(now),
        updated_at: stamp(now),
        last_seen_at: None,
    };
    let change = Change::UserRegistered { user: row.id };
    let insert = user::Entity::insert(user::ActiveModel::from(row.clone()));
    let done = insert.exec_without_returning(w.changing(change)).await;
    done.map_err(|error| StoreError::unique(error, || Conflict::EmailTaken))?;
    view(row)
}

async fn update(
    w: &mut Write,
    user: Uuid,
    now: DateTime<Utc>,
    values: &[(user::Column, sea_orm::Value)],
) -> Result<(), StoreError> {
    let clients = clients::ids_of_member(w.read(), user).await?;
    let mut update = user::Entity::update_many().col_expr(user::Column::UpdatedAt, Expr::value(stamp(now)));
    for (column, value) in values {
        update = update.col_expr(*column, Expr::value(value.clone()));
    }
    let change = Change::UserUpdated { user, clients };
    let done = update.filter(user::Column::Id.eq(user)).exec(w.changing(change)).await?;
    if done.rows_affected == 0 { Err(StoreError::not_found("user")) } else { Ok(()) }
}
