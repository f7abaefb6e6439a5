//! Imports of CSV files.
//!
//! The life of an import: [`create`] (queued) → [`progress`] (reading; each in a write of its own, so that it is
//! seen) → in one last write [`unfinished`], [`describe`], [`add_mappings`], [`insert_rows`] in batches, [`finish`] — or
//! [`fail`].
//! Nothing is ever half imported.

use std::path::Path;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::Expr,
};
use tracing::instrument;
use unstale::record;
use uuid::Uuid;

use super::{
    LIST_ROWS_MAX,
    assets::search_text,
    engagements,
    flows::{self, FlowUpdate, NewFlow},
    rows::{count, json, new_id, number, stamp, to_json, warn_if_cut, word},
};
use crate::{
    coherence::{Change, ClientId, Write, tags},
    store::{
        Conflict, Reading, StoreError,
        entities::{asset, field_mapping, flow, import},
    },
    views::{FlowPhase, FlowStatus, Import, ImportError, ImportStatus, Items, MappingStatus},
};

/// Rows of one INSERT: seven values each, and SQLite takes 32,766 in a statement.
const ROWS_PER_INSERT: usize = 500;
/// Mappings of one INSERT: thirteen values each.
const MAPPINGS_PER_INSERT: usize = 500;
/// How far a flow is when its file waits to be read, and when its mappings wait for their review.
const PERCENT_QUEUED: u8 = 5;
const PERCENT_IMPORTED: u8 = 40;
/// Where an import may still come further.
const UNFINISHED: [&str; 3] =
    [ImportStatus::Queued.as_str(), ImportStatus::Reading.as_str(), ImportStatus::Mapping.as_str()];

/// A file that was received.
#[derive(Clone, Debug)]
pub struct NewImport {
    pub engagement_id: Uuid,
    /// None creates a flow, named after the file.
    pub flow_id: Option<Uuid>,
    pub file_name: String,
    pub size_bytes: u64,
    pub created_by: Uuid,
}

/// What was found out about the file.
#[derive(Clone, Debug)]
pub struct FileDescription {
    pub rows_total: u64,
    /// The names of the columns, in the order of the file.
    pub headers: Vec<String>,
    pub encoding: String,
    pub delimiter: String,
    pub format: String,
}

/// A suggestion to be reviewed.
#[derive(Clone, Debug)]
pub struct NewMapping {
    /// The column's place in the file, from 0.
    pub position: u32,
    pub source_column: String,
    pub target_attribute: Option<String>,
    /// 0 to 1.
    pub confidence: f64,
    pub reason: String,
    /// At most five.
    pub sample_values: Vec<String>,
}

/// A row of the file.
#[derive(Clone, Debug)]
pub struct NewRow {
    /// The record in the file, counted from 1; the header is 1.
    pub row_number: u64,
    /// In the order of the headers.
    pub values: Vec<String>,
}

/// An import that may still come further, as a write has found it that takes it further.
#[derive(Clone, Copy, Debug)]
pub struct Unfinished {
    client: ClientId,
    engagement: Uuid,
    flow: Uuid,
    import: Uuid,
}

/// The newest first. An engagement of another client is not found.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "imports.list"))]
pub async fn list(db: Reading<'_>, client: ClientId, engagement: Option<Uuid>) -> Result<Items<Import>, StoreError> {
    record(&tags::under_client(client));
    let mut select = import::Entity::find().filter(import::Column::ClientAccountId.eq(client.0));
    match engagement {
        None => record(&tags::imports(client)),
        Some(engagement) => {
            [tags::under_engagement(client, engagement), tags::imports_in(client, engagement)].iter().for_each(record);
            select = select.filter(import::Column::EngagementId.eq(engagement));
        }
    }
    let rows = select.order_by_desc(import::Column::Id).limit(LIST_ROWS_MAX).all(&db).await?;
    warn_if_cut(&rows, "imports");
    // An import says that its engagement is there.
    if let Some(engagement) = engagement.filter(|_| rows.is_empty()) {
        engagements::exists(db, client, engagement).await?;
    }
    Ok(Items { items: rows.into_iter().map(view).collect::<Result<_, _>>()? })
}

#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "imports.by_id"))]
pub async fn by_id(db: Reading<'_>, client: ClientId, import: Uuid) -> Result<Import, StoreError> {
    record(&tags::import(client, import));
    view(find(db, client, import).await?)
}

#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "imports.create"))]
pub async fn create(
    w: &mut Write,
    client: ClientId,
    new: &NewImport,
    now: DateTime<Utc>,
) -> Result<Import, StoreError> {
    let flow = match new.flow_id {
        Some(flow) => flows::find(w.read(), client, flow).await?,
        None => create_flow(w, client, new, now).await?,
    };
    if flow.engagement_id != new.engagement_id {
        return Err(StoreError::not_found("flow"));
    }
    let row = import::Model {
        id: new_id(),
        client_account_id: client.0,
        engagement_id: new.engagement_id,
        flow_id: flow.id,
        file_name: new.file_name.clone(),
        size_bytes: number(new.size_bytes),
        status: ImportStatus::Queued.as_str().to_owned(),
        rows_total: None,
        rows_done: 0,
        headers: None,
        encoding: None,
        delimiter: None,
        format: None,
        error: None,
        created_by: new.created_by,
        created_at: stamp(now),
        finished_at: None,
    };
    let change = Change::ImportProgressed { client, engagement: row.engagement_id, import: row.id, is_new: true };
    let insert = import::Entity::insert(import::ActiveModel::from(row.clone()));
    insert.exec_without_returning(w.changing(change)).await?;
    let update = FlowUpdate {
        status: Some(FlowStatus::Running),
        phase: Some(FlowPhase::DataImport),
        progress_percent: Some(PERCENT_QUEUED),
        ..FlowUpdate::default()
    };
    flows::change(w, client, &flow, &update, Some(row.id), now).await?;
    view(row)
}

/// How far it has come. `status` is `Reading` or `Mapping`.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "imports.progress"))]
pub async fn progress(
    w: &mut Write,
    client: ClientId,
    import: Uuid,
    status: ImportStatus,
    rows_done: u64,
) -> Result<(), StoreError> {
    let change = unfinished(w, client, import).await?.progressed();
    import::Entity::update_many()
        .col_expr(import::Column::Status, Expr::value(status.as_str()))
        .col_expr(import::Column::RowsDone, Expr::value(number(rows_done)))
        .filter(import::Column::Id.eq(import))
        .exec(w.changing(change))
        .await?;
    Ok(())
}

/// An import that may still come further; for what one write adds to it.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "imports.unfinished"))]
pub async fn unfinished(w: &Write, client: ClientId, import: Uuid) -> Result<Unfinished, StoreError> {
    let row = find(w.read(), client, import).await?;
    if UNFINISHED.contains(&row.status.as_str()) {
        return Ok(Unfinished { client, engagement: row.engagement_id, flow: row.flow_id, import });
    }
    let status = word(ImportStatus::parse, &row.status)?.as_str();
    Err(Conflict::ImportState { status, remedy: "upload the file again to import it anew" }.into())
}

impl Unfinished {
    fn progressed(self) -> Change {
        let Self { client, engagement, import, .. } = self;
        Change::ImportProgressed { client, engagement, import, is_new: false }
    }

    fn finished(self) -> Change {
        let Self { client, engagement, import, .. } = self;
        Change::ImportFinished { client, engagement, import }
    }
}

#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "imports.describe"))]
pub async fn describe(w: &mut Write, it: Unfinished, file: &FileDescription) -> Result<(), StoreError> {
    import::Entity::update_many()
        .col_expr(import::Column::RowsTotal, Expr::value(number(file.rows_total)))
        .col_expr(import::Column::Headers, Expr::value(to_json(&file.headers)))
        .col_expr(import::Column::Encoding, Expr::value(file.encoding.clone()))
        .col_expr(import::Column::Delimiter, Expr::value(file.delimiter.clone()))
        .col_expr(import::Column::Format, Expr::value(file.format.clone()))
        .filter(import::Column::Id.eq(it.import))
        .exec(w.changing(it.progressed()))
        .await?;
    Ok(())
}

#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "imports.add_mappings"))]
pub async fn add_mappings(
    w: &mut Write,
    it: Unfinished,
    mappings: &[NewMapping],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let tx = w.changing(it.finished());
    for mappings in mappings.chunks(MAPPINGS_PER_INSERT) {
        let rows = mappings.iter().map(|new| field_mapping::ActiveModel {
            id: Set(new_id()),
            import_id: Set(it.import),
            client_account_id: Set(it.client.0),
            position: Set(i32::try_from(new.position).unwrap_or(i32::MAX)),
            source_column: Set(new.source_column.clone()),
            target_attribute: Set(new.target_attribute.clone()),
            confidence: Set(new.confidence),
            reason: Set(new.reason.clone()),
            status: Set(MappingStatus::Suggested.as_str().to_owned()),
            sample_values: Set(to_json(&new.sample_values)),
            reviewed_by: Set(None),
            reviewed_at: Set(None),
            updated_at: Set(stamp(now)),
        });
        field_mapping::Entity::insert_many(rows).exec_without_returning(tx).await?;
    }
    Ok(())
}

/// Any number of rows: they go to the database some hundred at a time.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "imports.insert_rows"))]
pub async fn insert_rows(w: &mut Write, it: Unfinished, rows: &[NewRow]) -> Result<(), StoreError> {
    let tx = w.changing(it.finished());
    for rows in rows.chunks(ROWS_PER_INSERT) {
        let rows = rows.iter().map(|row| asset::ActiveModel {
            id: Set(new_id()),
            client_account_id: Set(it.client.0),
            engagement_id: Set(it.engagement),
            import_id: Set(it.import),
            row_number: Set(number(row.row_number)),
            raw: Set(to_json(&row.values)),
            search_text: Set(search_text(&row.values)),
            cleansed: NotSet,
        });
        asset::Entity::insert_many(rows).exec_without_returning(tx).await?;
    }
    Ok(())
}

/// Ends it well; its flow waits for the review of the mappings then.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "imports.finish"))]
pub async fn finish(w: &mut Write, it: Unfinished, rows_done: u64, now: DateTime<Utc>) -> Result<(), StoreError> {
    let update = FlowUpdate {
        status: Some(FlowStatus::AwaitingReview),
        phase: Some(FlowPhase::FieldMapping),
        progress_percent: Some(PERCENT_IMPORTED),
        ..FlowUpdate::default()
    };
    let values =
        [(import::Column::RowsDone, number(rows_done).into()), (import::Column::RowsTotal, number(rows_done).into())];
    end(w, it, ImportStatus::Completed, &values, &update, now).await
}

/// Ends it badly; its flow is a draft again.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "imports.fail"))]
pub async fn fail(
    w: &mut Write,
    client: ClientId,
    import: Uuid,
    error: &ImportError,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let it = unfinished(w, client, import).await?;
    let update = FlowUpdate { status: Some(FlowStatus::Draft), progress_percent: Some(0), ..FlowUpdate::default() };
    end(w, it, ImportStatus::Failed, &[(import::Column::Error, to_json(error).into())], &update, now).await
}

/// Fails whatever an earlier process left unfinished, `among` these imports if they are named; to be called at start,
/// before any import begins. Returns how many those were.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "imports.fail_unfinished"))]
pub async fn fail_unfinished(w: &mut Write, among: Option<&[Uuid]>, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let mut select = import::Entity::find().filter(import::Column::Status.is_in(UNFINISHED));
    if let Some(among) = among {
        select = select.filter(import::Column::Id.is_in(among.iter().copied()));
    }
    let rows = select.all(&w.read()).await?;
    let error = ImportError {
        code: "interrupted".to_owned(),
        message: "the server was stopped while it read the file. Nothing was imported: upload the file again."
            .to_owned(),
        row: None,
        column: None,
    };
    for row in &rows {
        fail(w, ClientId(row.client_account_id), row.id, &error, now).await?;
    }
    Ok(rows.len() as u64)
}

/// An import's row, if it is the client's. Records only what it lies beneath: its file and its place never change.
pub(super) async fn find(db: Reading<'_>, client: ClientId, import: Uuid) -> Result<import::Model, StoreError> {
    record(&tags::under_client(client));
    let select = import::Entity::find_by_id(import).filter(import::Column::ClientAccountId.eq(client.0));
    let row = select.one(&db).await?;
    match &row {
        Some(row) => record(&tags::under_engagement(client, row.engagement_id)),
        None => record(&tags::import(client, import)),
    }
    row.ok_or(StoreError::not_found("import"))
}

/// Deletes the imports of a flow, with their mappings and assets.
pub(super) async fn delete_of_flow(w: &mut Write, client: ClientId, flow: Uuid) -> Result<(), StoreError> {
    let rows = import::Entity::find().filter(import::Column::FlowId.eq(flow)).all(&w.read()).await?;
    for row in rows {
        let change = Change::ImportDeleted { client, engagement: row.engagement_id, import: row.id };
        import::Entity::delete_by_id(row.id).exec(w.changing(change)).await?;
    }
    Ok(())
}

/// A flow for a file that came without one, named after the file.
async fn create_flow(
    w: &mut Write,
    client: ClientId,
    new: &NewImport,
    now: DateTime<Utc>,
) -> Result<flow::Model, StoreError> {
    let stem = Path::new(&new.file_name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let flow = NewFlow {
        engagement_id: new.engagement_id,
        owner_id: new.created_by,
        name: stem.unwrap_or_else(|| new.file_name.clone()),
        metadata: serde_json::json!({}),
    };
    flows::insert(w, client, &flow, now).await
}

async fn end(
    w: &mut Write,
    it: Unfinished,
    status: ImportStatus,
    values: &[(import::Column, sea_orm::Value)],
    flow_update: &FlowUpdate,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let flow = flows::find(w.read(), it.client, it.flow).await?;
    // A flow whose file was replaced meanwhile goes on with the newer one.
    if flow.import_id == Some(it.import) {
        flows::change(w, it.client, &flow, flow_update, None, now).await?;
    }
    let mut update = import::Entity::update_many()
        .col_expr(import::Column::Status, Expr::value(status.as_str()))
        .col_expr(import::Column::FinishedAt, Expr::value(stamp(now)));
    for (column, value) in values {
        update = update.col_expr(*column, Expr::value(value.clone()));
    }
    update.filter(import::Column::Id.eq(it.import)).exec(w.changing(it.finished())).await?;
    Ok(())
}

fn view(row: import::Model) -> Result<Import, StoreError> {
    let columns = row.headers.as_deref().map(json::<Vec<String>>).transpose()?.map(|headers| headers.len() as u64);
    Ok(Import {
        id: row.id,
        client_account_id: row.client_account_id,
        engagement_id: row.engagement_id,
        flow_id: row.flow_id,
        file_name: row.file_name,
        size_bytes: count(row.size_bytes),
        status: word(ImportStatus::parse, &row.status)?,
        rows_total: row.rows_total.map(count),
        rows_done: count(row.rows_done),
        columns,
        encoding: row.encoding,
        delimiter: row.delimiter,
        format: row.format,
        error: row.error.as_deref().map(json).transpose()?,
        created_by: row.created_by,
        created_at: row.created_at,
        finished_at: row.finished_at,
    })
}
