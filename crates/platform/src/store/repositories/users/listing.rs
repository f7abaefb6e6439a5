//! Users as administrators see them, with their roles and where they start.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, FromQueryResult, JoinType, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
    sea_query::{IntoCondition as _, NullOrdering, Order},
};
use tracing::instrument;
use unstale::record;
use uuid::Uuid;

use super::super::{
    LIST_ROWS_MAX, Scope,
    rows::{refers, warn_if_cut, word},
};
use crate::{
    coherence::tags::{self, record_people, record_rows},
    store::{
        Reading, StoreError,
        entities::{client, membership, user, user_default},
    },
    views::{ActiveUser, AdminUser, Items, Membership, Role, UserStatus},
};

/// Users in `scope`, by name.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.list"))]
pub async fn list(db: Reading<'_>, scope: Scope) -> Result<Items<AdminUser>, StoreError> {
    record_list(scope);
    Ok(Items { items: find(db, scope, Condition::all()).await? })
}

#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.admin_user"))]
pub async fn admin_user(db: Reading<'_>, scope: Scope, user: Uuid) -> Result<AdminUser, StoreError> {
    [tags::user(user), tags::memberships_of(user), tags::user_defaults(user)].iter().for_each(record);
    let found = find(db, scope, user::Column::Id.eq(user).into_condition()).await?;
    let found = found.into_iter().next().ok_or(StoreError::not_found("user"))?;
    record_rows(found.memberships.iter().map(|role| role.client_account_id), tags::client, tags::clients);
    found.default_client_account_id.iter().for_each(|client| record(&tags::client(*client)));
    found.default_engagement_id.iter().for_each(|engagement| record(&tags::engagement(*engagement)));
    Ok(found)
}

/// Users in `scope` who may sign in, those seen last first.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.active"))]
pub async fn active(db: Reading<'_>, scope: Scope) -> Result<Items<ActiveUser>, StoreError> {
    record_list(scope);
    let active = user::Column::Status.eq(UserStatus::Active.as_str()).into_condition();
    let mut items: Vec<ActiveUser> = find(db, scope, active)
        .await?
        .into_iter()
        .map(|user| ActiveUser {
            id: user.id,
            email: user.email,
            name: user.name,
            memberships: user.memberships,
            is_platform_admin: user.is_platform_admin,
            last_seen_at: user.last_seen_at,
        })
        .collect();
    // None is before every time, so those never seen come last; the sort keeps the order by name.
    items.sort_by_key(|user| std::cmp::Reverse(user.last_seen_at));
    Ok(Items { items })
}

/// Members of `client` who start in `engagement`.
pub(in crate::store::repositories) async fn starting_in(
    db: Reading<'_>,
    client: Uuid,
    engagement: Uuid,
) -> Result<Vec<AdminUser>, StoreError> {
    record_list(Scope::Client(client.into()));
    let here = user_default::Column::EngagementId.eq(engagement).into_condition();
    find(db, Scope::Client(client.into()), here).await
}

fn record_list(scope: Scope) {
    match scope {
        Scope::All => [tags::users(), tags::clients()].iter().for_each(record),
        Scope::Client(client) => [tags::members_of(client.0), tags::client(client.0)].iter().for_each(record),
    }
}

/// A user with one membership, or none.
#[derive(FromQueryResult)]
struct MemberRow {
    id: Uuid,
    email: String,
    name: String,
    status: String,
    is_platform_admin: bool,
    created_at: DateTime<Utc>,
    last_seen_at: Option<DateTime<Utc>>,
    member_of: Option<Uuid>,
    client_name: Option<String>,
    role: Option<String>,
    starts_in_client: Option<Uuid>,
    starts_in_engagement: Option<Uuid>,
}

/// Users in `scope` who meet `condition`, by name; of each, what `scope` may know.
async fn find(db: Reading<'_>, scope: Scope, condition: Condition) -> Result<Vec<AdminUser>, StoreError> {
    let mut select = user::Entity::find()
        .join(
            JoinType::LeftJoin,
            refers::<user::Entity, membership::Entity>(user::Column::Id, membership::Column::UserId),
        )
        .join(
            JoinType::LeftJoin,
            refers::<membership::Entity, client::Entity>(membership::Column::ClientAccountId, client::Column::Id),
        )
        .join(
            JoinType::LeftJoin,
            refers::<user::Entity, user_default::Entity>(user::Column::Id, user_default::Column::UserId),
        )
        .column_as(membership::Column::ClientAccountId, "member_of")
        .column_as(membership::Column::Role, "role")
        .column_as(client::Column::Name, "client_name")
        .column_as(user_default::Column::ClientAccountId, "starts_in_client")
        .column_as(user_default::Column::EngagementId, "starts_in_engagement")
        .filter(condition);
    if let Scope::Client(client) = scope {
        select = select.filter(membership::Column::ClientAccountId.eq(client.0));
    }
    let rows = select
        .order_by_asc(user::Column::Name)
        .order_by_asc(user::Column::Id)
        .order_by_with_nulls(client::Column::Name, Order::Asc, NullOrdering::Last)
        .limit(LIST_ROWS_MAX)
        .into_model::<MemberRow>()
        .all(&db)
        .await?;
    warn_if_cut(&rows, "users");
    let mut users: Vec<AdminUser> = Vec::new();
    for row in rows {
        let role = match (row.member_of, row.client_name, row.role) {
            (Some(client_account_id), Some(client_name), Some(role)) => {
                Some(Membership { client_account_id, client_name, role: word(Role::parse, &role)? })
            }
            _ => None,
        };
        if users.last().is_none_or(|last| last.id != row.id) {
            let may_know = match scope {
                Scope::All => true,
                Scope::Client(client) => row.starts_in_client == Some(client.0),
            };
            users.push(AdminUser {
                id: row.id,
                email: row.email.into(),
                name: row.name.into(),
                status: word(UserStatus::parse, &row.status)?,
                is_platform_admin: row.is_platform_admin,
                memberships: Vec::new(),
                default_client_account_id: row.starts_in_client.filter(|_| may_know),
                default_engagement_id: row.starts_in_engagement.filter(|_| may_know),
                created_at: row.created_at,
                last_seen_at: row.last_seen_at,
            });
        }
        users.last_mut().expect("one was pushed").memberships.extend(role);
    }
    record_people(users.iter().map(|user| user.id));
    Ok(users)
}
