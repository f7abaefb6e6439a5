//! Where users start.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, EntityTrait as _, sea_query::OnConflict};
use tracing::instrument;
use unstale::record;
use uuid::Uuid;

use super::{
    super::{engagements, memberships, rows::stamp},
    by_id,
};
use crate::{
    coherence::{Change, Write, tags},
    store::{Reading, StoreError, entities::user_default},
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
    let before = defaults(w.read(), user).await?;
    if let Some(client) = client {
        memberships::role(w.read(), user, client).await?.ok_or(StoreError::not_found("client"))?;
    }
    if let Some(engagement) = engagement {
        let client = client.ok_or(StoreError::not_found("engagement"))?;
        engagements::exists(w.read(), client.into(), engagement).await?;
    }
    // A choice that is repeated changes nothing, and need not be told to anybody.
    if (before.client_account_id, before.engagement_id) == (client, engagement) {
        return Ok(before);
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
