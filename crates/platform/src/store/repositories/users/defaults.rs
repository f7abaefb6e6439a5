//! Where users start.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, EntityTrait as _, FromQueryResult, JoinType, QueryFilter as _, QuerySelect as _, QueryTrait as _,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};
use tracing::instrument;
use unstale::record;
use uuid::Uuid;

use super::{
    super::{
        memberships,
        rows::{refers, stamp},
    },
    by_id,
};
use crate::{
    coherence::{Change, Write, tags},
    store::{
        Reading, StoreError,
        entities::{client, engagement, membership, user, user_default},
    },
    views::UserDefaults,
};

#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.defaults"))]
pub async fn defaults(db: Reading<'_>, user: Uuid) -> Result<UserDefaults, StoreError> {
    record(&tags::user_defaults(user));
    let row = user_default::Entity::find_by_id(user).one(&db).await?;
    if row.is_none() {
        by_id(db, user).await?;
    }
    let (client_account_id, engagement_id) = row.map_or((None, None), |row| (row.client_account_id, row.engagement_id));
    // When these go, the database forgets them here.
    client_account_id.iter().for_each(|client| record(&tags::client(*client)));
    engagement_id.iter().for_each(|engagement| record(&tags::engagement(*engagement)));
    Ok(UserDefaults { user_id: user, client_account_id, engagement_id })
}

/// Where the user starts: in a client they may act for, and an engagement of it.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.set_defaults"))]
pub async fn set_defaults(
    w: &mut Write,
    user: Uuid,
    client: Option<Uuid>,
    engagement: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<UserDefaults, StoreError> {
    let before = start(w.read(), user, client, engagement).await?;
    if !before.is_allowed {
        if let Some(client) = client {
            // Which of them it is that is not there.
            memberships::role(w.read(), user, client).await?.ok_or(StoreError::not_found("client"))?;
        }
        return Err(StoreError::not_found("engagement"));
    }
    // A choice that is repeated changes nothing, and need not be told to anybody.
    if (before.client_account_id, before.engagement_id) == (client, engagement) {
        return Ok(UserDefaults { user_id: user, client_account_id: client, engagement_id: engagement });
    }
    let change =
        Change::UserDefaultsUpdated { user, clients: before.client_account_id.into_iter().chain(client).collect() };
    let row = user_default::ActiveModel {
        user_id: Set(user),
        client_account_id: Set(client),
        engagement_id: Set(engagement),
        updated_at: Set(stamp(now)),
    };
    let replace = OnConflict::column(user_default::Column::UserId)
        .update_columns([
            user_default::Column::ClientAccountId,
            user_default::Column::EngagementId,
            user_default::Column::UpdatedAt,
        ])
        .to_owned();
    user_default::Entity::insert(row).on_conflict(replace).exec_without_returning(w.changing(change)).await?;
    Ok(UserDefaults { user_id: user, client_account_id: client, engagement_id: engagement })
}

/// What it is decided from where a user is to start.
#[derive(FromQueryResult)]
struct Start {
    client_account_id: Option<Uuid>,
    engagement_id: Option<Uuid>,
    is_allowed: bool,
}

/// Where `user` starts, and whether they may act for `client`, and `engagement` is one of it: in one statement. For
/// writes, which record nothing.
async fn start(
    db: Reading<'_>,
    user: Uuid,
    client: Option<Uuid>,
    engagement: Option<Uuid>,
) -> Result<Start, StoreError> {
    let is_allowed = match client {
        Some(client) => is_let_in(user, client, engagement),
        // Nowhere, and in an engagement of no client.
        None => Expr::value(engagement.is_none()),
    };
    let found = user::Entity::find_by_id(user)
        .select_only()
        .columns([user_default::Column::ClientAccountId, user_default::Column::EngagementId])
        .expr_as(is_allowed, "is_allowed")
        .join(
            JoinType::LeftJoin,
            refers::<user::Entity, user_default::Entity>(user::Column::Id, user_default::Column::UserId),
        )
        .into_model()
        .one(&db)
        .await?;
    found.ok_or(StoreError::not_found("user"))
}

fn is_let_in(user: Uuid, client: Uuid, engagement: Option<Uuid>) -> Expr {
    let is_member = membership::Entity::find_by_id((user, client)).select_only().column(membership::Column::UserId);
    let is_admin = user::Entity::find_by_id(user).select_only().column(user::Column::Id);
    let is_admin = is_admin.filter(user::Column::IsPlatformAdmin.eq(true));
    let is_there = client::Entity::find_by_id(client).select_only().column(client::Column::Id);
    let is_let_in = Expr::exists(is_there.into_query())
        .and(Expr::exists(is_member.into_query()).or(Expr::exists(is_admin.into_query())));
    let Some(engagement) = engagement else { return is_let_in };
    let is_there = engagement::Entity::find_by_id(engagement).select_only().column(engagement::Column::Id);
    let is_there = is_there.filter(engagement::Column::ClientAccountId.eq(client));
    is_let_in.and(Expr::exists(is_there.into_query()))
}
