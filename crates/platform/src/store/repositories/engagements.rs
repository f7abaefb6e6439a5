//! Engagements.

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, FromQueryResult, JoinType, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, sea_query::Expr,
};
use tracing::instrument;
use unstale::record;
use uuid::Uuid;

use super::{
    LIST_ROWS_MAX, Scope, clients,
    rows::{count, count_where, new_id, refers, stamp, warn_if_cut, word},
    users,
};
use crate::{
    coherence::{Change, ClientId, Write, changes::Action, tags},
    store::{
        Conflict, Reading, StoreError,
        entities::{client, engagement, flow},
    },
    views::{AdminUser, Engagement, EngagementStatus, Items},
};

/// What can be said of an engagement.
#[derive(Clone, Debug)]
pub struct EngagementData {
    pub name: String,
    pub description: Option<String>,
    pub status: EngagementStatus,
    pub starts_on: Option<NaiveDate>,
    pub ends_on: Option<NaiveDate>,
}

/// By client, then by name.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "engagements.list"))]
pub async fn list(db: Reading<'_>, scope: Scope) -> Result<Items<Engagement>, StoreError> {
    match scope {
        Scope::All => [tags::engagements(), tags::clients(), tags::flow_counts()].iter().for_each(record),
        Scope::Client(ClientId(client)) => {
            [tags::engagements_of(client), tags::client(client), tags::flow_counts_of(client)].iter().for_each(record);
        }
    }
    let select = select(scope)
        .order_by_asc(client::Column::Name)
        .order_by_asc(client::Column::Id)
        .order_by_asc(engagement::Column::Name)
        .order_by_asc(engagement::Column::Id);
    let rows = select.limit(LIST_ROWS_MAX).into_model::<EngagementRow>().all(&db).await?;
    warn_if_cut(&rows, "engagements");
    Ok(Items { items: rows.into_iter().map(EngagementRow::view).collect::<Result<_, _>>()? })
}

#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "engagements.by_id"))]
pub async fn by_id(db: Reading<'_>, scope: Scope, engagement: Uuid) -> Result<Engagement, StoreError> {
    [tags::engagement(engagement), tags::flow_set(engagement)].iter().for_each(record);
    let select = select(scope).filter(engagement::Column::Id.eq(engagement));
    let row = select.into_model::<EngagementRow>().one(&db).await?.ok_or(StoreError::not_found("engagement"))?;
    record(&tags::client(row.client_account_id));
    row.view()
}

/// The members of its client who start in it, by name.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "engagements.users"))]
pub async fn users(db: Reading<'_>, scope: Scope, engagement: Uuid) -> Result<Items<AdminUser>, StoreError> {
    // That it goes moves the list of the client's members, who cannot start there any more.
    let found = find(db, scope, engagement).await?;
    Ok(Items { items: users::starting_in(db, found.client_account_id, engagement).await? })
}

#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "engagements.create"))]
pub async fn create(
    w: &mut Write,
    client: ClientId,
    data: &EngagementData,
    now: DateTime<Utc>,
) -> Result<Engagement, StoreError> {
    clients::exists(w.read(), client.0).await?;
    let row = engagement::Model {
        id: new_id(),
        client_account_id: client.0,
        name: data.name.clone(),
        description: data.description.clone(),
        status: data.status.as_str().to_owned(),
        starts_on: data.starts_on,
        ends_on: data.ends_on,
        created_at: stamp(now),
        updated_at: stamp(now),
    };
    let id = row.id;
    let change = Change::EngagementModified { client: client.0, engagement: id, action: Action::Created };
    let insert = engagement::Entity::insert(engagement::ActiveModel::from(row));
    insert.exec_without_returning(w.changing(change)).await?;
    by_id(w.read(), Scope::Client(client), id).await
}

#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "engagements.update"))]
pub async fn update(
    w: &mut Write,
    scope: Scope,
    engagement: Uuid,
    data: &EngagementData,
    now: DateTime<Utc>,
) -> Result<Engagement, StoreError> {
    let client = find(w.read(), scope, engagement).await?.client_account_id;
    let change = Change::EngagementModified { client, engagement, action: Action::Updated };
    engagement::Entity::update_many()
        .col_expr(engagement::Column::Name, Expr::value(data.name.clone()))
        .col_expr(engagement::Column::Description, Expr::value(data.description.clone()))
        .col_expr(engagement::Column::Status, Expr::value(data.status.as_str()))
        .col_expr(engagement::Column::StartsOn, Expr::value(data.starts_on))
        .col_expr(engagement::Column::EndsOn, Expr::value(data.ends_on))
        .col_expr(engagement::Column::UpdatedAt, Expr::value(stamp(now)))
        .filter(engagement::Column::Id.eq(engagement))
        .exec(w.changing(change))
        .await?;
    by_id(w.read(), scope, engagement).await
}

/// Deletes an engagement; one with flows only together with all of them.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "engagements.delete"))]
pub async fn delete(w: &mut Write, scope: Scope, engagement: Uuid, cascade: bool) -> Result<(), StoreError> {
    let client = find(w.read(), scope, engagement).await?.client_account_id;
    let flows = flow::Entity::find().filter(flow::Column::EngagementId.eq(engagement));
    let children = flows.count(&w.read()).await?;
    if children > 0 && !cascade {
        return Err(Conflict::HasChildren { kind: "flows", children }.into());
    }
    let tx = w.changing(Change::EngagementModified { client, engagement, action: Action::Deleted });
    flow::Entity::delete_many().filter(flow::Column::EngagementId.eq(engagement)).exec(tx).await?;
    engagement::Entity::delete_by_id(engagement).exec(tx).await?;
    Ok(())
}

/// Fails unless the engagement is the client's. Records that it may go with everything in it, not what it is called.
pub(super) async fn exists(db: Reading<'_>, client: ClientId, engagement: Uuid) -> Result<(), StoreError> {
    record(&tags::under_engagement(client, engagement));
    find(db, Scope::Client(client), engagement).await.map(drop)
}

/// An engagement's row, if it is in `scope`. The caller records what it reads of it; here it is only recorded that
/// there is none.
async fn find(db: Reading<'_>, scope: Scope, engagement: Uuid) -> Result<engagement::Model, StoreError> {
    let mut select = engagement::Entity::find_by_id(engagement);
    if let Scope::Client(client) = scope {
        select = select.filter(engagement::Column::ClientAccountId.eq(client.0));
    }
    let row = select.one(&db).await?;
    row.ok_or_else(|| {
        record(&tags::engagement(engagement));
        StoreError::not_found("engagement")
    })
}

#[derive(FromQueryResult)]
struct EngagementRow {
    id: Uuid,
    client_account_id: Uuid,
    client_name: String,
    name: String,
    description: Option<String>,
    status: String,
    starts_on: Option<NaiveDate>,
    ends_on: Option<NaiveDate>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    flow_count: i64,
}

impl EngagementRow {
    fn view(self) -> Result<Engagement, StoreError> {
        Ok(Engagement {
            id: self.id,
            client_account_id: self.client_account_id,
            client_name: self.client_name,
            name: self.name,
            description: self.description,
            status: word(EngagementStatus::parse, &self.status)?,
            starts_on: self.starts_on,
            ends_on: self.ends_on,
            created_at: self.created_at,
            updated_at: self.updated_at,
            flow_count: count(self.flow_count),
        })
    }
}

fn select(scope: Scope) -> sea_orm::Select<engagement::Entity> {
    let join = refers::<engagement::Entity, client::Entity>(engagement::Column::ClientAccountId, client::Column::Id);
    let select = engagement::Entity::find()
        .join(JoinType::InnerJoin, join)
        .column_as(client::Column::Name, "client_name")
        .expr_as(count_where(flow::Column::EngagementId, engagement::Column::Id), "flow_count");
    match scope {
        Scope::All => select,
        Scope::Client(client) => select.filter(engagement::Column::ClientAccountId.eq(client.0)),
    }
}
