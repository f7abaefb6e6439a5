//! Which users belong to which clients, in which role.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, EntityTrait as _, FromQueryResult, JoinType, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};
use tracing::instrument;
use unstale::record;
use uuid::Uuid;

use super::{
    LIST_ROWS_MAX, Scope, clients,
    rows::{count, count_where, refers, stamp, warn_if_cut, word},
    users,
};
use crate::{
    coherence::{
        Change, Write,
        changes::Action,
        tags::{self, record_rows},
    },
    store::{
        Reading, StoreError,
        entities::{client, engagement, membership, user_default},
    },
    views::{ClientSummary, Items, Membership, Role, User},
};

/// A user's roles, as far as `scope` may know of them; by client name.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "memberships.of_user"))]
pub async fn of_user(db: Reading<'_>, scope: Scope, user: Uuid) -> Result<Items<Membership>, StoreError> {
    record(&tags::memberships_of(user));
    let mut select = membership::Entity::find()
        .join(JoinType::InnerJoin, to_client())
        .select_also(client::Entity)
        .filter(membership::Column::UserId.eq(user));
    if let Scope::Client(client) = scope {
        select = select.filter(membership::Column::ClientAccountId.eq(client.0));
    }
    let rows = select.order_by_asc(client::Column::Name).limit(LIST_ROWS_MAX).all(&db).await?;
    warn_if_cut(&rows, "memberships");
    if rows.is_empty() {
        // A user without access is told from none at all only where one may know of every user.
        match scope {
            Scope::All => drop(users::by_id(db, user).await?),
            Scope::Client(_) => return Err(StoreError::not_found("user")),
        }
    }
    record_rows(rows.iter().map(|(role, _)| role.client_account_id), tags::client, tags::clients);
    let items = rows.into_iter().filter_map(|(role, client)| client.map(|client| (role, client)));
    let items = items.map(|(membership, client)| {
        let role = word(Role::parse, &membership.role)?;
        Ok(Membership { client_account_id: client.id, client_name: client.name, role })
    });
    Ok(Items { items: items.collect::<Result<_, StoreError>>()? })
}

/// A user's role in a client; none without access. Platform administrators have theirs everywhere.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "memberships.role"))]
pub async fn role(db: Reading<'_>, user: Uuid, client: Uuid) -> Result<Option<Role>, StoreError> {
    let user = users::by_id(db, user).await?;
    Ok(summary(db, &user, client).await?.and_then(|client| client.role))
}

/// The clients that a user may act for, by name.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "memberships.clients_of"))]
pub async fn clients_of(db: Reading<'_>, user: Uuid) -> Result<Items<ClientSummary>, StoreError> {
    clients_for(db, &users::by_id(db, user).await?).await
}

/// Gives a user a role in a client, or changes it. Sessions stay: authorisation reads roles anew.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "memberships.grant"))]
pub async fn grant(w: &mut Write, user: Uuid, client: Uuid, role: Role, now: DateTime<Utc>) -> Result<(), StoreError> {
    users::by_id(w.read(), user).await?;
    clients::exists(w.read(), client).await?;
    let is_member = membership::Entity::find_by_id((user, client)).one(&w.read()).await?.is_some();
    let action = if is_member { Action::Updated } else { Action::Created };
    let row = membership::ActiveModel {
        user_id: Set(user),
        client_account_id: Set(client),
        role: Set(role.as_str().to_owned()),
        created_at: Set(stamp(now)),
    };
    let replace = OnConflict::columns([membership::Column::UserId, membership::Column::ClientAccountId])
        .update_column(membership::Column::Role)
        .to_owned();
    let change = Change::UserClientAccessChanged { user, client, action };
    membership::Entity::insert(row).on_conflict(replace).exec_without_returning(w.changing(change)).await?;
    Ok(())
}

/// Changes the role of a member.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "memberships.set_role"))]
pub async fn set_role(w: &mut Write, user: Uuid, client: Uuid, role: Role) -> Result<(), StoreError> {
    let change = Change::UserClientAccessChanged { user, client, action: Action::Updated };
    let done = membership::Entity::update_many()
        .col_expr(membership::Column::Role, Expr::value(role.as_str()))
        .filter(of(user, client))
        .exec(w.changing(change))
        .await?;
    if done.rows_affected == 0 { Err(StoreError::not_found("member")) } else { Ok(()) }
}

/// Takes a user's access to a client; if they start there, they start nowhere.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "memberships.revoke"))]
pub async fn revoke(w: &mut Write, user: Uuid, client: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    let defaults = users::defaults(w.read(), user).await?;
    let change = Change::UserClientAccessChanged { user, client, action: Action::Deleted };
    let done = membership::Entity::delete_many().filter(of(user, client)).exec(w.changing(change)).await?;
    if done.rows_affected == 0 {
        return Err(StoreError::not_found("member"));
    }
    // A platform administrator may start anywhere, member or not.
    let keeps_access = users::by_id(w.read(), user).await?.is_platform_admin;
    if defaults.client_account_id == Some(client) && !keeps_access {
        let change = Change::UserDefaultsUpdated { user, clients: vec![client] };
        user_default::Entity::update_many()
            .col_expr(user_default::Column::ClientAccountId, Expr::value(None::<Uuid>))
            .col_expr(user_default::Column::EngagementId, Expr::value(None::<Uuid>))
            .col_expr(user_default::Column::UpdatedAt, Expr::value(stamp(now)))
            .filter(user_default::Column::UserId.eq(user))
            .exec(w.changing(change))
            .await?;
    }
    Ok(())
}

/// A client as `user` sees it; none without access.
pub(super) async fn summary(db: Reading<'_>, user: &User, client: Uuid) -> Result<Option<ClientSummary>, StoreError> {
    record(&tags::client(client));
    record(&tags::engagement_set(client));
    Ok(find(db, user, Some(client)).await?.pop())
}

/// [`clients_of`] a user who was read already.
pub(super) async fn clients_for(db: Reading<'_>, user: &User) -> Result<Items<ClientSummary>, StoreError> {
    let items = find(db, user, None).await?;
    warn_if_cut(&items, "clients of a user");
    if user.is_platform_admin {
        [tags::client_set(), tags::clients(), tags::client_counts()].iter().for_each(record);
    } else {
        record_rows(items.iter().map(|client| client.id), tags::client, tags::clients);
        record_rows(items.iter().map(|client| client.id), tags::engagement_set, tags::client_counts);
    }
    Ok(Items { items })
}

#[derive(FromQueryResult)]
struct SummaryRow {
    id: Uuid,
    name: String,
    slug: String,
    industry: Option<String>,
    engagement_count: i64,
    role: Option<String>,
}

async fn find(db: Reading<'_>, user: &User, client: Option<Uuid>) -> Result<Vec<ClientSummary>, StoreError> {
    record(&tags::memberships_of(user.id));
    let mut select = client::Entity::find()
        .select_only()
        .columns([client::Column::Id, client::Column::Name, client::Column::Slug, client::Column::Industry])
        .expr_as(count_where(engagement::Column::ClientAccountId, client::Column::Id), "engagement_count");
    if user.is_platform_admin {
        select = select.expr_as(Expr::value(Role::PlatformAdmin.as_str()), "role");
    } else {
        let join =
            refers::<client::Entity, membership::Entity>(client::Column::Id, membership::Column::ClientAccountId);
        select = select
            .join(JoinType::InnerJoin, join)
            .column_as(membership::Column::Role, "role")
            .filter(membership::Column::UserId.eq(user.id));
    }
    if let Some(client) = client {
        select = select.filter(client::Column::Id.eq(client));
    }
    let rows = select
        .order_by_asc(client::Column::Name)
        .order_by_asc(client::Column::Id)
        .limit(LIST_ROWS_MAX)
        .into_model::<SummaryRow>()
        .all(&db)
        .await?;
    let view = |row: SummaryRow| {
        let role = row.role.map(|role| word(Role::parse, &role)).transpose()?;
        let SummaryRow { id, name, slug, industry, engagement_count, .. } = row;
        Ok(ClientSummary { id, name, slug, industry, role, engagement_count: count(engagement_count) })
    };
    rows.into_iter().map(view).collect()
}

fn of(user: Uuid, client: Uuid) -> Expr {
    membership::Column::UserId.eq(user).and(membership::Column::ClientAccountId.eq(client))
}

fn to_client() -> sea_orm::RelationDef {
    refers::<membership::Entity, client::Entity>(membership::Column::ClientAccountId, client::Column::Id)
}
