//! Sessions. A session is good while it is neither revoked nor over and its user is active.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, ExprTrait as _},
};
use tracing::instrument;
use unstale::record;
use uuid::Uuid;

use super::{
    rows::{new_id, stamp, word},
    users,
};
use crate::{
    coherence::{
        Change, Write,
        tags::{self, record_people, record_rows},
    },
    store::{
        Reading, StoreError,
        entities::{membership, session, user},
    },
    views::{ClientRole, Role, SessionPrincipal, UserStatus},
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
    let row = session::Entity::find_by_id(session).one(&db).await?;
    let Some(row) = row.filter(|row| row.revoked_at.is_none() && row.expires_at > now) else { return Ok(None) };
    [tags::sessions_of(row.user_id), tags::user(row.user_id), tags::memberships_of(row.user_id)]
        .iter()
        .for_each(record);
    record_people([row.user_id]);
    let Some(user) = user::Entity::find_by_id(row.user_id).one(&db).await? else { return Ok(None) };
    let user = users::view(user)?;
    if user.status != UserStatus::Active {
        return Ok(None);
    }
    let memberships = membership::Entity::find()
        .filter(membership::Column::UserId.eq(user.id))
        .order_by_asc(membership::Column::CreatedAt)
        .order_by_asc(membership::Column::ClientAccountId)
        .all(&db)
        .await?;
    // When a client goes, its memberships go with it.
    record_rows(memberships.iter().map(|role| role.client_account_id), tags::client, tags::clients);
    let roles = memberships.into_iter().map(|membership| {
        let role = word(Role::parse, &membership.role)?;
        Ok(ClientRole { client_account_id: membership.client_account_id, role })
    });
    Ok(Some(SessionPrincipal {
        session_id: session,
        roles: roles.collect::<Result<_, StoreError>>()?,
        default_client_account_id: users::defaults(db, user.id).await?.client_account_id,
        expires_at: row.expires_at,
        user,
    }))
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
        .exec(w.changing(Change::SessionChanged { session }))
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
