//! Field mappings: what the source columns of an import mean, and the review of it.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, FromQueryResult, JoinType, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    RelationDef, UpdateMany,
    sea_query::{BinOper, CaseStatement, Expr, ExprTrait as _, Func},
};
use tracing::instrument;
use unstale::record;
use uuid::Uuid;

use super::{
    imports,
    rows::{count, json, refers, stamp, word},
};
use crate::{
    coherence::{Change, ClientId, Write, changes::MappingAction, tags},
    store::{
        Conflict, Reading, StoreError,
        entities::{field_mapping, import},
    },
    views::{ApprovedMapping, FieldMapping, FieldMappings, ImportMappings, MappingStatistics, MappingStatus},
};

/// What a review has done.
#[derive(Clone, Debug, PartialEq)]
pub struct Reviewed {
    /// Mappings that changed; those that stood so already are not counted.
    pub updated: u64,
    pub statistics: MappingStatistics,
}

/// In the order of the columns.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "mappings.list"))]
pub async fn list(db: Reading<'_>, client: ClientId, import: Uuid) -> Result<FieldMappings, StoreError> {
    let (found, mappings) = of_import(db, client, import).await?;
    let items = mappings.into_iter().map(view).collect::<Result<_, _>>()?;
    Ok(FieldMappings { import_id: import, file_name: found.file_name, engagement_id: found.engagement_id, items })
}

/// Aggregated in the database.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "mappings.statistics"))]
pub async fn statistics(db: Reading<'_>, client: ClientId, import: Uuid) -> Result<MappingStatistics, StoreError> {
    let with_status = |status: MappingStatus| count_if(field_mapping::Column::Status.eq(status.as_str()));
    let row = field_mapping::Entity::find()
        .select_only()
        .expr_as(field_mapping::Column::Id.count(), "total")
        .expr_as(with_status(MappingStatus::Suggested), "suggested")
        .expr_as(with_status(MappingStatus::Approved), "approved")
        .expr_as(with_status(MappingStatus::Rejected), "rejected")
        .expr_as(count_if(field_mapping::Column::TargetAttribute.is_null()), "unmapped")
        .expr_as(Func::avg(Expr::col(field_mapping::Column::Confidence)), "average_confidence")
        .column(import::Column::EngagementId)
        .join(JoinType::InnerJoin, to_import())
        .filter(field_mapping::Column::ImportId.eq(import).and(import::Column::ClientAccountId.eq(client.0)))
        .group_by(import::Column::EngagementId)
        .into_model::<StatisticsRow>()
        .one(&db)
        .await?;
    record(&tags::mappings_of(client, import));
    // Mappings say that their import is there, and where.
    let row = match row {
        Some(row) => {
            [tags::under_client(client), tags::under_engagement(client, row.engagement_id)].iter().for_each(record);
            row
        }
        None => StatisticsRow::of_none(find_import(db, client, import).await?.engagement_id),
    };
    let (total, approved) = (count(row.total), count(row.approved));
    Ok(MappingStatistics {
        import_id: import,
        total,
        suggested: count(row.suggested),
        approved,
        rejected: count(row.rejected),
        unmapped: count(row.unmapped),
        average_confidence: row.average_confidence.unwrap_or_default(),
        approved_percent: percent(approved, total),
    })
}

/// The approved ones.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "mappings.approved"))]
pub async fn approved(db: Reading<'_>, client: ClientId, import: Uuid) -> Result<ImportMappings, StoreError> {
    Ok(applied(import, of_import(db, client, import).await?.1))
}

/// The same of several imports that were found before, in their order. What that follows from is the caller's to record.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "mappings.applied_in"))]
pub(crate) async fn applied_in(db: Reading<'_>, imports: &[Uuid]) -> Result<Vec<ImportMappings>, StoreError> {
    let rows = field_mapping::Entity::find()
        .filter(field_mapping::Column::ImportId.is_in(imports.iter().copied()))
        .order_by_asc(field_mapping::Column::Position)
        .all(&db)
        .await?;
    let mut by_import: BTreeMap<Uuid, Vec<field_mapping::Model>> = BTreeMap::new();
    rows.into_iter().for_each(|row| by_import.entry(row.import_id).or_default().push(row));
    Ok(imports.iter().map(|import| applied(*import, by_import.remove(import).unwrap_or_default())).collect())
}

/// The approved ones of those that are under review.
pub(crate) fn approved_of(reviewed: &FieldMappings) -> ImportMappings {
    let approved = reviewed.items.iter().filter(|mapping| mapping.status == MappingStatus::Approved);
    let approved = approved.filter_map(|mapping| {
        Some(ApprovedMapping {
            position: mapping.position,
            source_column: mapping.source_column.clone(),
            target_attribute: mapping.target_attribute.clone()?,
        })
    });
    ImportMappings {
        import_id: reviewed.import_id,
        columns: reviewed.items.iter().map(|mapping| mapping.source_column.clone()).collect(),
        approved: approved.collect(),
    }
}

fn applied(import: Uuid, mappings: Vec<field_mapping::Model>) -> ImportMappings {
    let columns = mappings.iter().map(|mapping| mapping.source_column.clone()).collect();
    let approved = mappings.into_iter().filter(is_approved).filter_map(|mapping| {
        Some(ApprovedMapping {
            position: position(mapping.position),
            source_column: mapping.source_column,
            target_attribute: mapping.target_attribute?,
        })
    });
    ImportMappings { import_id: import, columns, approved: approved.collect() }
}

/// Approves all of `mappings` or none: each needs a target, and no target may be filled from two columns.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "mappings.approve"))]
pub async fn approve(
    w: &mut Write,
    client: ClientId,
    import: Uuid,
    mappings: &[Uuid],
    reviewer: Uuid,
    now: DateTime<Utc>,
) -> Result<Reviewed, StoreError> {
    review(w, client, import, mappings, MappingStatus::Approved, reviewer, now).await
}

/// Rejects all of `mappings`.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "mappings.reject"))]
pub async fn reject(
    w: &mut Write,
    client: ClientId,
    import: Uuid,
    mappings: &[Uuid],
    reviewer: Uuid,
    now: DateTime<Utc>,
) -> Result<Reviewed, StoreError> {
    review(w, client, import, mappings, MappingStatus::Rejected, reviewer, now).await
}

/// Gives those of `mappings` that have no target an attribute of their own, called `prefix` and what their column is.
/// They are to be reviewed again; the others stay as they are. `chosen_by`: the name of who chose.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "mappings.keep"))]
pub async fn keep(
    w: &mut Write,
    client: ClientId,
    import: Uuid,
    mappings: &[Uuid],
    prefix: &str,
    chosen_by: &str,
    now: DateTime<Utc>,
) -> Result<Reviewed, StoreError> {
    let (_, all) = of_import(w.read(), client, import).await?;
    let chosen = chosen(&all, mappings)?;
    let is_without_target = |mapping: &&field_mapping::Model| mapping.target_attribute.is_none();
    let to_change: Vec<Uuid> = chosen.into_iter().filter(is_without_target).map(|mapping| mapping.id).collect();
    let mut updated = 0;
    if !to_change.is_empty() {
        let own = Expr::value(prefix).binary(BinOper::Custom("||"), Expr::col(field_mapping::Column::SourceColumn));
        updated = to_be_reviewed(format!("kept as it is by {chosen_by}"), now)
            .col_expr(field_mapping::Column::TargetAttribute, own)
            // Somebody may have chosen a target for one of them at the same moment.
            .filter(field_mapping::Column::Id.is_in(to_change).and(field_mapping::Column::TargetAttribute.is_null()))
            .exec(w.changing(bulk_operation(client, import)))
            .await?
            .rows_affected;
    }
    Ok(Reviewed { updated, statistics: statistics(w.read(), client, import).await? })
}

/// Gives a mapping another target, or none; it is to be reviewed again. `chosen_by`: the name of who chose.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "mappings.retarget"))]
pub async fn retarget(
    w: &mut Write,
    client: ClientId,
    import: Uuid,
    mapping: Uuid,
    target: Option<&str>,
    chosen_by: &str,
    now: DateTime<Utc>,
) -> Result<FieldMapping, StoreError> {
    find_import(w.read(), client, import).await?;
    let of_import = field_mapping::Column::Id.eq(mapping).and(field_mapping::Column::ImportId.eq(import));
    let change = Change::FieldMappingBulkOperation { client, import, action: MappingAction::Updated };
    to_be_reviewed(format!("chosen by {chosen_by}"), now)
        .col_expr(field_mapping::Column::TargetAttribute, Expr::value(target.map(str::to_owned)))
        .filter(of_import.clone())
        .exec(w.changing(change))
        .await?;
    let row = field_mapping::Entity::find().filter(of_import).one(&w.read()).await?;
    view(row.ok_or(StoreError::not_found("mapping"))?)
}

/// What every choice of a target does to a mapping besides.
fn to_be_reviewed(reason: String, now: DateTime<Utc>) -> UpdateMany<field_mapping::Entity> {
    field_mapping::Entity::update_many()
        .col_expr(field_mapping::Column::Status, Expr::value(MappingStatus::Suggested.as_str()))
        .col_expr(field_mapping::Column::Confidence, Expr::value(1.0))
        .col_expr(field_mapping::Column::Reason, Expr::value(reason))
        .col_expr(field_mapping::Column::ReviewedBy, Expr::value(None::<Uuid>))
        .col_expr(field_mapping::Column::ReviewedAt, Expr::value(None::<DateTime<Utc>>))
        .col_expr(field_mapping::Column::UpdatedAt, Expr::value(stamp(now)))
}

fn bulk_operation(client: ClientId, import: Uuid) -> Change {
    Change::FieldMappingBulkOperation { client, import, action: MappingAction::BulkOperation }
}

/// Those of an import that `mappings` name.
fn chosen<'m>(all: &'m [field_mapping::Model], mappings: &[Uuid]) -> Result<Vec<&'m field_mapping::Model>, StoreError> {
    let named: HashSet<&Uuid> = mappings.iter().collect();
    let chosen: Vec<_> = all.iter().filter(|mapping| named.contains(&mapping.id)).collect();
    if chosen.len() < named.len() { Err(StoreError::not_found("mapping")) } else { Ok(chosen) }
}

fn is_approved(mapping: &field_mapping::Model) -> bool {
    mapping.status == MappingStatus::Approved.as_str()
}

#[derive(FromQueryResult)]
struct StatisticsRow {
    engagement_id: Uuid,
    total: i64,
    suggested: i64,
    approved: i64,
    rejected: i64,
    unmapped: i64,
    average_confidence: Option<f64>,
}

impl StatisticsRow {
    /// Of an import that has no mappings.
    fn of_none(engagement_id: Uuid) -> Self {
        Self { engagement_id, total: 0, suggested: 0, approved: 0, rejected: 0, unmapped: 0, average_confidence: None }
    }
}

fn count_if(condition: Expr) -> Expr {
    // CASE without ELSE is NULL, which COUNT leaves out.
    let one: Expr = CaseStatement::new().case(condition, Expr::value(1)).into();
    Func::count(one).into()
}

#[expect(clippy::cast_precision_loss, reason = "an import has some hundred columns")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

fn position(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

async fn find_import(db: Reading<'_>, client: ClientId, import: Uuid) -> Result<import::Model, StoreError> {
    record(&tags::mappings_of(client, import));
    imports::find(db, client, import).await
}

/// The import that mappings belong to, as far as it is shown with them.
struct ReviewedImport {
    file_name: String,
    engagement_id: Uuid,
}

#[derive(FromQueryResult)]
struct MappingRow {
    #[sea_orm(nested)]
    mapping: field_mapping::Model,
    file_name: String,
    engagement_id: Uuid,
}

/// The mappings of an import in the order of its columns, and what is shown of the import: with one statement, unless it
/// has none.
async fn of_import(
    db: Reading<'_>,
    client: ClientId,
    import: Uuid,
) -> Result<(ReviewedImport, Vec<field_mapping::Model>), StoreError> {
    let rows: Vec<MappingRow> = field_mapping::Entity::find()
        .column(import::Column::FileName)
        .column(import::Column::EngagementId)
        .join(JoinType::InnerJoin, to_import())
        .filter(field_mapping::Column::ImportId.eq(import).and(import::Column::ClientAccountId.eq(client.0)))
        .order_by_asc(field_mapping::Column::Position)
        .into_model()
        .all(&db)
        .await?;
    record(&tags::mappings_of(client, import));
    // Mappings say that their import is there, and where.
    let found = if let Some(MappingRow { file_name, engagement_id, .. }) = rows.first() {
        [tags::under_client(client), tags::under_engagement(client, *engagement_id)].iter().for_each(record);
        ReviewedImport { file_name: file_name.clone(), engagement_id: *engagement_id }
    } else {
        let import::Model { file_name, engagement_id, .. } = find_import(db, client, import).await?;
        ReviewedImport { file_name, engagement_id }
    };
    Ok((found, rows.into_iter().map(|row| row.mapping).collect()))
}

fn to_import() -> RelationDef {
    refers::<field_mapping::Entity, import::Entity>(field_mapping::Column::ImportId, import::Column::Id)
}

fn view(row: field_mapping::Model) -> Result<FieldMapping, StoreError> {
    Ok(FieldMapping {
        id: row.id,
        import_id: row.import_id,
        position: position(row.position),
        source_column: row.source_column,
        target_attribute: row.target_attribute,
        confidence: row.confidence,
        reason: row.reason,
        status: word(MappingStatus::parse, &row.status)?,
        sample_values: json(&row.sample_values)?,
        reviewed_by: row.reviewed_by,
        reviewed_at: row.reviewed_at,
        updated_at: row.updated_at,
    })
}

async fn review(
    w: &mut Write,
    client: ClientId,
    import: Uuid,
    mappings: &[Uuid],
    status: MappingStatus,
    reviewer: Uuid,
    now: DateTime<Utc>,
) -> Result<Reviewed, StoreError> {
    let (_, all) = of_import(w.read(), client, import).await?;
    let chosen = chosen(&all, mappings)?;
    if status == MappingStatus::Approved {
        check_approval(&all, &chosen)?;
    }
    let to_change: Vec<Uuid> =
        chosen.iter().filter(|mapping| mapping.status != status.as_str()).map(|mapping| mapping.id).collect();
    let mut updated = 0;
    if !to_change.is_empty() {
        let done = field_mapping::Entity::update_many()
            .col_expr(field_mapping::Column::Status, Expr::value(status.as_str()))
            .col_expr(field_mapping::Column::ReviewedBy, Expr::value(reviewer))
            .col_expr(field_mapping::Column::ReviewedAt, Expr::value(stamp(now)))
            .col_expr(field_mapping::Column::UpdatedAt, Expr::value(stamp(now)))
            .filter(field_mapping::Column::Id.is_in(to_change))
            .exec(w.changing(bulk_operation(client, import)))
            .await;
        updated = done.map_err(|error| StoreError::unique(error, || Conflict::ReviewedMeanwhile))?.rows_affected;
    }
    Ok(Reviewed { updated, statistics: statistics(w.read(), client, import).await? })
}

/// Whether `chosen` may be approved beside what is approved already.
fn check_approval(all: &[field_mapping::Model], chosen: &[&field_mapping::Model]) -> Result<(), Conflict> {
    let without_target = chosen.iter().filter(|mapping| mapping.target_attribute.is_none());
    let columns: Vec<String> = without_target.map(|mapping| mapping.source_column.clone()).collect();
    if !columns.is_empty() {
        return Err(Conflict::WithoutTarget { columns });
    }
    let mut by_target: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let ids: HashSet<Uuid> = chosen.iter().map(|mapping| mapping.id).collect();
    for mapping in all.iter().filter(|mapping| ids.contains(&mapping.id) || is_approved(mapping)) {
        if let Some(target) = &mapping.target_attribute {
            by_target.entry(target).or_default().push(&mapping.source_column);
        }
    }
    match by_target.into_iter().find(|(_, columns)| columns.len() > 1) {
        Some((target, columns)) => Err(Conflict::TargetTaken {
            target: target.to_owned(),
            columns: columns.into_iter().map(str::to_owned).collect(),
        }),
        None => Ok(()),
    }
}
