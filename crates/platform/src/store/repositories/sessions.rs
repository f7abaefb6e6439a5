//! Sessions. A session is good while it is neither revoked nor over and its user is active.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, EntityTrait as _, FromQueryResult, JoinType, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, ExprTrait as _},
};
use tracing::instrument;
use unstale::record;
use uuid::Uuid;

use super::{
    rows::{new_id, refers, stamp, word},
    users,
};
use crate::{
    coherence::{
        Change, Write,
        tags::{self, record_people, record_rows},
    },
    store::{
        Reading, StoreError,
        entities::{membership, session, user, user_default},
    },
    views::{ClientRole, Role, SessionPrincipal, User, UserStatus},
};

/// Whom a session belongs to, if it is good; the caller compares `expires_at` once more with every use, because a
/// kept answer grows older.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "sessions.principal"))]
pub async fn principal(
    db: Reading<'_>,
    session: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<SessionPrincipal>, StoreError> {
    record(&tags::session(session));
    let rows = principal_rows(db, session).await?;
    let Some(first) = rows.first().filter(|row| row.revoked_at.is_none() && row.expires_at > now) else {
        return Ok(None);
    };
    let id = first.id;
    [tags::sessions_of(id), tags::user(id), tags::memberships_of(id), tags::user_defaults(id)].iter().for_each(record);
    record_people([id]);
    // When a client goes, memberships go with it, and nobody starts there any more.
    first.default_client.iter().for_each(|client| record(&tags::client(*client)));
    record_rows(rows.iter().filter_map(|row| row.member_client), tags::client, tags::clients);
    let user = User {
        id,
        email: first.email.clone().into(),
        name: first.name.clone().into(),
        status: word(UserStatus::parse, &first.status)?,
        is_platform_admin: first.is_platform_admin,
        created_at: first.created_at,
    };
    if user.status != UserStatus::Active {
        return Ok(None);
    }
    let roles = rows.iter().filter_map(|row| Some((row.member_client?, row.member_role.as_deref()?)));
    let roles =
        roles.map(|(client_account_id, role)| Ok(ClientRole { client_account_id, role: word(Role::parse, role)? }));
    Ok(Some(SessionPrincipal {
        session_id: session,
        roles: roles.collect::<Result<_, StoreError>>()?,
        default_client_account_id: first.default_client,
        expires_at: first.expires_at,
        user,
    }))
}

/// A session with its user and where they start, once for each of the user's memberships; for a user without any, once.
#[derive(FromQueryResult)]
struct PrincipalRow {
    expires_at: DateTime<Utc>,
    revoked_at: Option<DateTime<Utc>>,
    /// The user's, as what follows.
    id: Uuid,
    email: String,
    name: String,
    status: String,
    is_platform_admin: bool,
    created_at: DateTime<Utc>,
    default_client: Option<Uuid>,
    member_client: Option<Uuid>,
    member_role: Option<String>,
}

async fn principal_rows(db: Reading<'_>, session: Uuid) -> Result<Vec<PrincipalRow>, StoreError> {
    let to_user = refers::<session::Entity, user::Entity>(session::Column::UserId, user::Column::Id);
    let to_default = refers::<user::Entity, user_default::Entity>(user::Column::Id, user_default::Column::UserId);
    let to_membership = refers::<user::Entity, membership::Entity>(user::Column::Id, membership::Column::UserId);
    let rows = session::Entity::find_by_id(session)
        .select_only()
        .columns([session::Column::ExpiresAt, session::Column::RevokedAt])
        .columns([user::Column::Id, user::Column::Email, user::Column::Name, user::Column::Status])
        .columns([user::Column::IsPlatformAdmin, user::Column::CreatedAt])
        .column_as(user_default::Column::ClientAccountId, "default_client")
        .column_as(membership::Column::ClientAccountId, "member_client")
        .column_as(membership::Column::Role, "member_role")
        .join(JoinType::InnerJoin, to_user)
        .join(JoinType::LeftJoin, to_default)
        .join(JoinType::LeftJoin, to_membership)
        .order_by_asc(membership::Column::CreatedAt)
        .order_by_asc(membership::Column::ClientAccountId)
        .into_model::<PrincipalRow>()
        .all(&db)
        .await?;
    Ok(rows)
}

/// The newest good sessions, each of another user: of those who will be back first, most likely. For warming, which
/// shows nothing of it to anybody.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "sessions.newest"))]
pub async fn newest(db: Reading<'_>, now: DateTime<Utc>, users_max: usize) -> Result<Vec<Uuid>, StoreError> {
    let good = session::Column::RevokedAt.is_null().and(session::Column::ExpiresAt.gt(stamp(now)));
    // Some users have several.
    let rows_max = u64::try_from(users_max).unwrap_or(u64::MAX).saturating_mul(4);
    let rows = session::Entity::find()
        .filter(good)
        .order_by_desc(session::Column::CreatedAt)
        .order_by_desc(session::Column::Id)
        .limit(rows_max)
        .all(&db)
        .await?;
    let mut seen = HashSet::new();
    let newest = rows.into_iter().filter(|row| seen.insert(row.user_id)).map(|row| row.id);
    Ok(newest.take(users_max).collect())
}

/// Begins a session and notes that the user was seen.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "sessions.create"))]
pub async fn create(
    w: &mut Write,
    user: Uuid,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<Uuid, StoreError> {
    let id = new_id();
    let row = session::ActiveModel {
        id: Set(id),
        user_id: Set(user),
        created_at: Set(stamp(now)),
        expires_at: Set(stamp(expires_at)),
        revoked_at: Set(None),
    };
    users::by_id(w.read(), user).await?;
    session::Entity::insert(row).exec_without_returning(w.changing(Change::SessionChanged { session: id })).await?;
    users::seen(w, user, now).await?;
    Ok(id)
}

/// Moves the end of a good session.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "sessions.extend"))]
pub async fn extend(
    w: &mut Write,
    session: Uuid,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let good = session::Column::RevokedAt.is_null().and(session::Column::ExpiresAt.gt(stamp(now)));
    let done = session::Entity::update_many()
        .col_expr(session::Column::ExpiresAt, Expr::value(stamp(expires_at)))
        .filter(session::Column::Id.eq(session).and(good))
        .exec(w.changing(Change::SessionChanged { session }))
        .await?;
    if done.rows_affected == 0 { Err(StoreError::not_found("session")) } else { Ok(()) }
}

/// Revokes a session; one that is revoked already stays so.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "sessions.revoke"))]
pub async fn revoke(w: &mut Write, session: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    session::Entity::update_many()
        .col_expr(session::Column::RevokedAt, Expr::value(stamp(now)))
        .filter(session::Column::Id.eq(session).and(session::Column::RevokedAt.is_null()))
        .exec(w.changing(Change::SessionRevoked { session }))
        .await?;
    Ok(())
}

/// Revokes all sessions of a user. Returns how many those were.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "sessions.revoke_all"))]
pub async fn revoke_all(w: &mut Write, user: Uuid, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let done = session::Entity::update_many()
        .col_expr(session::Column::RevokedAt, Expr::value(stamp(now)))
        .filter(session::Column::UserId.eq(user).and(session::Column::RevokedAt.is_null()))
        .exec(w.changing(Change::SessionsRevoked { user }))
        .await?;
    Ok(done.rows_affected)
}

/// Deletes sessions that were over before `before`. Returns how many those were.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "sessions.delete_over"))]
pub async fn delete_over(w: &mut Write, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let done = session::Entity::delete_many()
        .filter(session::Column::ExpiresAt.lt(stamp(before)))
        .exec(w.changing(Change::SessionsOverDeleted))
        .await?;
    Ok(done.rows_affected)
}
