//! Discovery flows.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, FromQueryResult, JoinType, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    Select, sea_query::Expr,
};
use tracing::instrument;
use unstale::record;
use uuid::Uuid;

use super::{
    LIST_ROWS_MAX, engagements, flow_steps, imports, mappings,
    rows::{json, new_id, refers, stamp, to_json, warn_if_cut, word},
};
use crate::{
    coherence::{
        Change, ClientId, Write,
        changes::Action,
        tags::{self, record_people, record_rows},
    },
    store::{
        Reading, StoreError,
        entities::{engagement, flow, user},
    },
    views::{Flow, FlowMetadata, FlowPhase, FlowState, FlowStatus, FlowSummary, Items},
};

/// Which flows of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowFilter {
    pub engagement: Option<Uuid>,
    pub status: Option<FlowStatus>,
}

/// A flow to be created.
#[derive(Clone, Debug)]
pub struct NewFlow {
    pub engagement_id: Uuid,
    pub owner_id: Uuid,
    pub name: String,
    pub metadata: serde_json::Value,
}

/// What is to change of a flow.
#[derive(Clone, Debug, Default)]
pub struct FlowUpdate {
    pub name: Option<String>,
    pub status: Option<FlowStatus>,
    pub phase: Option<FlowPhase>,
    /// 0 to 100.
    pub progress_percent: Option<u8>,
    pub metadata: Option<serde_json::Value>,
}

/// Those changed last first. An engagement of another client is not found.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "flows.list"))]
pub async fn list(db: Reading<'_>, client: ClientId, filter: FlowFilter) -> Result<Items<FlowSummary>, StoreError> {
    let mut select = select(client);
    match filter.engagement {
        None => record(&tags::flows(client)),
        Some(engagement) => {
            [tags::under_engagement(client, engagement), tags::flows_in(client, engagement)].iter().for_each(record);
            select = select.filter(flow::Column::EngagementId.eq(engagement));
        }
    }
    if let Some(status) = filter.status {
        select = select.filter(flow::Column::Status.eq(status.as_str()));
    }
    let found = summaries(db, client, select).await?;
    // A flow says that its engagement is there.
    if let Some(engagement) = filter.engagement.filter(|_| found.items.is_empty()) {
        engagements::exists(db, client, engagement).await?;
    }
    Ok(found)
}

/// The flows of an owner that are neither completed nor cancelled.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "flows.active_of"))]
pub async fn active_of(db: Reading<'_>, client: ClientId, owner: Uuid) -> Result<Items<FlowSummary>, StoreError> {
    record(&tags::flows_by(client, owner));
    let over = [FlowStatus::Completed, FlowStatus::Cancelled].map(FlowStatus::as_str);
    let select = select(client).filter(flow::Column::OwnerId.eq(owner)).filter(flow::Column::Status.is_not_in(over));
    summaries(db, client, select).await
}

#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "flows.by_id"))]
pub async fn by_id(db: Reading<'_>, client: ClientId, flow: Uuid) -> Result<Flow, StoreError> {
    record_row(client, flow);
    let select = select(client).filter(flow::Column::Id.eq(flow));
    let row = select.into_model::<FlowRow>().one(&db).await?.ok_or(StoreError::not_found("flow"))?;
    [tags::under_engagement(client, row.engagement_id), tags::engagement(row.engagement_id), tags::user(row.owner_id)]
        .iter()
        .for_each(record);
    let (created_at, metadata) = (row.created_at, json(&row.metadata)?);
    Ok(Flow { summary: row.summary()?, created_at, metadata })
}

#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "flows.state"))]
pub async fn state(db: Reading<'_>, client: ClientId, flow: Uuid) -> Result<FlowState, StoreError> {
    let row = find(db, client, flow).await?;
    let (status, phase) = (word(FlowStatus::parse, &row.status)?, word(FlowPhase::parse, &row.phase)?);
    let import = match row.import_id {
        Some(import) => Some(imports::by_id(db, client, import).await?),
        None => None,
    };
    let review = match &import {
        Some(import) if import.columns.is_some() => Some(mappings::statistics(db, client, import.id).await?),
        _ => None,
    };
    Ok(FlowState {
        flow_id: row.id,
        status,
        phase,
        progress_percent: percent(row.progress_percent),
        steps: flow_steps::steps(status, phase, import.as_ref(), review.as_ref()),
        updated_at: row.updated_at,
    })
}

#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "flows.metadata"))]
pub async fn metadata(db: Reading<'_>, client: ClientId, flow: Uuid) -> Result<FlowMetadata, StoreError> {
    Ok(FlowMetadata { metadata: json(&find(db, client, flow).await?.metadata)? })
}

#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "flows.create"))]
pub async fn create(w: &mut Write, client: ClientId, new: &NewFlow, now: DateTime<Utc>) -> Result<Flow, StoreError> {
    let row = insert(w, client, new, now).await?;
    by_id(w.read(), client, row.id).await
}

/// [`create`] without reading what it is shown with.
pub(super) async fn insert(
    w: &mut Write,
    client: ClientId,
    new: &NewFlow,
    now: DateTime<Utc>,
) -> Result<flow::Model, StoreError> {
    engagements::exists(w.read(), client, new.engagement_id).await?;
    let row = flow::Model {
        id: new_id(),
        client_account_id: client.0,
        engagement_id: new.engagement_id,
        owner_id: new.owner_id,
        name: new.name.clone(),
        status: FlowStatus::Draft.as_str().to_owned(),
        phase: FlowPhase::DataImport.as_str().to_owned(),
        progress_percent: 0,
        import_id: None,
        metadata: to_json(&new.metadata),
        created_at: stamp(now),
        updated_at: stamp(now),
    };
    let change = changed(client, &row, Action::Created);
    flow::Entity::insert(flow::ActiveModel::from(row.clone())).exec_without_returning(w.changing(change)).await?;
    Ok(row)
}

#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "flows.update"))]
pub async fn update(
    w: &mut Write,
    client: ClientId,
    flow: Uuid,
    update: &FlowUpdate,
    now: DateTime<Utc>,
) -> Result<Flow, StoreError> {
    let row = find(w.read(), client, flow).await?;
    change(w, client, &row, update, None, now).await?;
    by_id(w.read(), client, flow).await
}

/// Deletes a flow with its imports, their mappings and assets.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "flows.delete"))]
pub async fn delete(w: &mut Write, client: ClientId, flow: Uuid) -> Result<(), StoreError> {
    let row = find(w.read(), client, flow).await?;
    imports::delete_of_flow(w, client, flow).await?;
    let change = changed(client, &row, Action::Deleted);
    flow::Entity::delete_by_id(flow).exec(w.changing(change)).await?;
    Ok(())
}

/// A flow's row, if it is the client's.
pub(super) async fn find(db: Reading<'_>, client: ClientId, flow: Uuid) -> Result<flow::Model, StoreError> {
    record_row(client, flow);
    let row = flow::Entity::find_by_id(flow).filter(flow::Column::ClientAccountId.eq(client.0)).one(&db).await?;
    let row = row.ok_or(StoreError::not_found("flow"))?;
    record(&tags::under_engagement(client, row.engagement_id));
    Ok(row)
}

/// Changes a flow; `import`: its newest import from now on.
pub(super) async fn change(
    w: &mut Write,
    client: ClientId,
    row: &flow::Model,
    update: &FlowUpdate,
    import: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let mut statement = flow::Entity::update_many().col_expr(flow::Column::UpdatedAt, Expr::value(stamp(now)));
    let FlowUpdate { name, status, phase, progress_percent, metadata } = update;
    let values = [
        (flow::Column::Name, name.clone().map(sea_orm::Value::from)),
        (flow::Column::Status, status.map(|status| status.as_str().into())),
        (flow::Column::Phase, phase.map(|phase| phase.as_str().into())),
        (flow::Column::ProgressPercent, progress_percent.map(|percent| i16::from(percent.min(100)).into())),
        (flow::Column::Metadata, metadata.as_ref().map(|metadata| to_json(metadata).into())),
        (flow::Column::ImportId, import.map(Into::into)),
    ];
    for (column, value) in values {
        if let Some(value) = value {
            statement = statement.col_expr(column, Expr::value(value));
        }
    }
    let change = changed(client, row, Action::Updated);
    statement.filter(flow::Column::Id.eq(row.id)).exec(w.changing(change)).await?;
    Ok(())
}

fn record_row(client: ClientId, flow: Uuid) {
    [tags::under_client(client), tags::flow(client, flow)].iter().for_each(record);
}

fn changed(client: ClientId, row: &flow::Model, action: Action) -> Change {
    Change::FlowUpdated { client, engagement: row.engagement_id, flow: row.id, owner: row.owner_id, action }
}

#[derive(FromQueryResult)]
struct FlowRow {
    id: Uuid,
    client_account_id: Uuid,
    engagement_id: Uuid,
    engagement_name: String,
    owner_id: Uuid,
    owner_name: String,
    name: String,
    status: String,
    phase: String,
    progress_percent: i16,
    import_id: Option<Uuid>,
    metadata: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl FlowRow {
    fn summary(self) -> Result<FlowSummary, StoreError> {
        Ok(FlowSummary {
            id: self.id,
            client_account_id: self.client_account_id,
            engagement_id: self.engagement_id,
            engagement_name: self.engagement_name,
            owner_id: self.owner_id,
            owner_name: self.owner_name.into(),
            name: self.name,
            status: word(FlowStatus::parse, &self.status)?,
            phase: word(FlowPhase::parse, &self.phase)?,
            progress_percent: percent(self.progress_percent),
            import_id: self.import_id,
            updated_at: self.updated_at,
        })
    }
}

fn percent(number: i16) -> u8 {
    u8::try_from(number.clamp(0, 100)).expect("0 to 100 fits")
}

fn select(client: ClientId) -> Select<flow::Entity> {
    let to_engagement = refers::<flow::Entity, engagement::Entity>(flow::Column::EngagementId, engagement::Column::Id);
    let to_owner = refers::<flow::Entity, user::Entity>(flow::Column::OwnerId, user::Column::Id);
    flow::Entity::find()
        .join(JoinType::InnerJoin, to_engagement)
        .join(JoinType::InnerJoin, to_owner)
        .column_as(engagement::Column::Name, "engagement_name")
        .column_as(user::Column::Name, "owner_name")
        .filter(flow::Column::ClientAccountId.eq(client.0))
}

async fn summaries(
    db: Reading<'_>,
    client: ClientId,
    select: Select<flow::Entity>,
) -> Result<Items<FlowSummary>, StoreError> {
    record(&tags::under_client(client));
    let select = select.order_by_desc(flow::Column::UpdatedAt).order_by_desc(flow::Column::Id).limit(LIST_ROWS_MAX);
    let rows = select.into_model::<FlowRow>().all(&db).await?;
    warn_if_cut(&rows, "flows");
    record_rows(rows.iter().map(|row| row.engagement_id), tags::engagement, || tags::engagements_of(client.0));
    record_rows(rows.iter().map(|row| row.owner_id), tags::user, tags::users);
    record_people(rows.iter().map(|row| row.owner_id));
    Ok(Items { items: rows.into_iter().map(FlowRow::summary).collect::<Result<_, _>>()? })
}
