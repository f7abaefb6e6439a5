//! Corrections of imported values: what stands for what, and the rows that show it.
//!
//! A row keeps the file's values and, where a correction applies, all its values as they are shown; so readers of assets
//! neither look for corrections nor apply them.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{CaseStatement, Expr},
};
use tracing::instrument;
use unstale::record;
use uuid::Uuid;

use super::{
    assets::{containing, search_text},
    imports, mappings,
    rows::{count, json, new_id, stamp, to_json, word},
};
use crate::{
    cleansing::Replacements,
    coherence::{Change, ClientId, Write, tags},
    store::{
        Conflict, Reading, StoreError,
        entities::{asset, import, value_correction},
    },
    views::{ApprovedMapping, ImportStatus, ValueCorrection},
};

/// Most corrections of an import.
pub const CORRECTIONS_MAX: usize = 5_000;
/// Longest value that is corrected, and that stands for another, in characters: it is looked up by an index.
pub const VALUE_CHARS_MAX: usize = 500;
/// Rows that are read, or changed, at a time.
const ROWS_READ: u64 = 1_000;
/// Rows of one UPDATE: four values each.
const ROWS_PER_UPDATE: usize = 200;
/// Corrections of one INSERT: nine values each.
const CORRECTIONS_PER_INSERT: usize = 500;

/// What is to stand for what is shown as `value` in a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCorrection {
    /// The column's place in the file, from 0.
    pub position: u32,
    pub value: String,
    pub replacement: String,
}

/// What corrections have done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corrected {
    /// Corrections that were made, changed or taken back.
    pub corrections: Vec<Uuid>,
    /// Rows that show something else now.
    pub rows: u64,
}

/// An import as cleansing sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cleansing {
    pub(crate) engagement_id: Uuid,
    pub(crate) file_name: String,
    pub(crate) rows: u64,
    /// In the order of the columns.
    pub(crate) approved: Vec<ApprovedMapping>,
    /// The latest first; nothing is known yet of how many rows each has.
    pub(crate) corrections: Vec<ValueCorrection>,
}

/// A row of an import.
#[derive(Debug)]
pub(crate) struct Cells<'a> {
    pub(crate) row_number: u64,
    /// As they are in the file.
    pub(crate) raw: &'a [String],
    /// As they are shown.
    pub(crate) shown: &'a [String],
}

/// What of an import the report on its quality begins with.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "corrections.of_import"))]
pub(crate) async fn of_import(db: Reading<'_>, client: ClientId, import: Uuid) -> Result<Cleansing, StoreError> {
    record(&tags::import(client, import));
    record(&tags::assets_of(client, import));
    let found = imports::find(db, client, import).await?;
    let mappings = mappings::approved(db, client, import).await?;
    let source_of = |position: u32| usize::try_from(position).ok().and_then(|at| mappings.columns.get(at)).cloned();
    let rows = rows_of(db, import).await?;
    let corrections = rows.into_iter().map(|row| {
        let position = column(&row);
        let mapping = mappings.approved.iter().find(|mapping| mapping.position == position);
        ValueCorrection {
            id: row.id,
            position,
            source_column: source_of(position).unwrap_or_default(),
            target_attribute: mapping.map(|mapping| mapping.target_attribute.clone()),
            original: row.original,
            replacement: row.replacement,
            rows: 0,
            corrected_by: row.corrected_by,
            corrected_at: row.corrected_at,
        }
    });
    Ok(Cleansing {
        engagement_id: found.engagement_id,
        file_name: found.file_name,
        rows: found.rows_total.map(count).unwrap_or_default(),
        corrections: corrections.collect(),
        approved: mappings.approved,
    })
}

/// Shows `inspect` the rows of an import in the order of the file, `rows_max` at most.
pub(crate) async fn visit(
    db: Reading<'_>,
    import: Uuid,
    rows_max: u64,
    mut inspect: impl FnMut(Cells<'_>),
) -> Result<(), StoreError> {
    let (mut after, mut left) = (-1, rows_max);
    while left > 0 {
        let rows = rows_after(db, import, after, left.min(ROWS_READ), None).await?;
        let Some(last) = rows.last() else { break };
        (after, left) = (last.row_number, left - rows.len() as u64);
        for row in &rows {
            let raw: Vec<String> = json(&row.raw)?;
            let shown = row.cleansed.as_deref().map(json::<Vec<String>>).transpose()?;
            let shown = shown.as_deref().unwrap_or(&raw);
            inspect(Cells { row_number: count(row.row_number), raw: &raw, shown });
        }
    }
    Ok(())
}

/// Corrects values, all or none: each must be shown somewhere in its column.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "corrections.correct"))]
pub async fn correct(
    w: &mut Write,
    client: ClientId,
    import: Uuid,
    corrections: &[NewCorrection],
    corrected_by: Uuid,
    now: DateTime<Utc>,
) -> Result<Corrected, StoreError> {
    let found = completed(w, client, import).await?;
    let columns = found.headers.as_deref().map(json::<Vec<String>>).transpose()?.unwrap_or_default().len();
    if corrections.iter().any(|correction| usize::try_from(correction.position).is_ok_and(|at| at >= columns)) {
        return Err(StoreError::not_found("column"));
    }
    let before = rows_of(w.read(), import).await?;
    let held = replacements(&before);
    let mut wanted = held.clone();
    let mut searched: HashSet<String> = HashSet::new();
    for NewCorrection { position, value, replacement } in corrections {
        searched.insert(value.clone());
        searched.extend(held.of(*position, value).map(str::to_owned));
        wanted.correct(*position, value, replacement);
    }
    let change = Change::ValuesCorrected { client, engagement: found.engagement_id, import };
    let shown = show(w, &change, import, &searched, &wanted).await?;
    for NewCorrection { position, value, .. } in corrections {
        let is_in_file = shown.met.contains(&(*position, value.clone()));
        let was_shown_for_others = before.iter().any(|row| column(row) == *position && row.replacement == *value);
        if !is_in_file {
            wanted.give_back(*position, value);
        }
        if !is_in_file && !was_shown_for_others {
            return Err(Conflict::NothingToCorrect { value: value.clone() }.into());
        }
    }
    if wanted.len() > CORRECTIONS_MAX {
        return Err(Conflict::TooManyCorrections { most: CORRECTIONS_MAX }.into());
    }
    let corrections = save(w, &change, &found, &before, &wanted, corrected_by, now).await?;
    Ok(Corrected { corrections, rows: shown.changed })
}

/// Takes corrections back, all or none.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "corrections.undo"))]
pub async fn undo(
    w: &mut Write,
    client: ClientId,
    import: Uuid,
    corrections: &[Uuid],
) -> Result<Corrected, StoreError> {
    let found = completed(w, client, import).await?;
    let before = rows_of(w.read(), import).await?;
    let chosen: HashSet<Uuid> = corrections.iter().copied().collect();
    let undone: Vec<&value_correction::Model> = before.iter().filter(|row| chosen.contains(&row.id)).collect();
    if undone.len() < chosen.len() {
        return Err(StoreError::not_found("correction"));
    }
    let mut wanted = replacements(&before);
    undone.iter().for_each(|row| wanted.give_back(column(row), &row.original));
    let searched = undone.iter().map(|row| row.replacement.clone()).collect();
    let change = Change::ValuesCorrected { client, engagement: found.engagement_id, import };
    let shown = show(w, &change, import, &searched, &wanted).await?;
    let ids: Vec<Uuid> = undone.iter().map(|row| row.id).collect();
    delete(w, &change, &ids).await?;
    Ok(Corrected { corrections: ids, rows: shown.changed })
}

/// What showing other values has done.
struct Shown {
    /// Values of the file in rows that were looked at.
    met: HashSet<(u32, String)>,
    /// Rows that show something else now.
    changed: u64,
}

/// Shows what is `wanted` in every row that shows one of the `searched` values now.
async fn show(
    w: &mut Write,
    change: &Change,
    import: Uuid,
    searched: &HashSet<String>,
    wanted: &Replacements,
) -> Result<Shown, StoreError> {
    let of_columns: HashMap<u32, HashSet<&str>> = wanted.iter().fold(HashMap::new(), |mut columns, (at, value, _)| {
        columns.entry(at).or_default().insert(value);
        columns
    });
    let mut shown = Shown { met: HashSet::new(), changed: 0 };
    let mut after = -1;
    loop {
        let rows = rows_after(w.read(), import, after, ROWS_READ, Some(searched)).await?;
        let Some(last) = rows.last() else { break };
        after = last.row_number;
        let mut changed = Vec::new();
        for row in rows {
            let raw: Vec<String> = json(&row.raw)?;
            for (position, values) in &of_columns {
                let value = usize::try_from(*position).ok().and_then(|at| raw.get(at));
                if let Some(value) = value.filter(|value| values.contains(value.as_str())) {
                    shown.met.insert((*position, value.clone()));
                }
            }
            let values = wanted.shown(&raw);
            let cleansed = values.as_ref().map(to_json);
            if cleansed != row.cleansed {
                let text = search_text(values.as_ref().unwrap_or(&raw));
                changed.push((row.id, cleansed, text));
            }
        }
        shown.changed += changed.len() as u64;
        for rows in changed.chunks(ROWS_PER_UPDATE) {
            let (mut cleansed, mut search) = (CaseStatement::new(), CaseStatement::new());
            for (id, values, text) in rows {
                let is_row = || asset::Column::Id.eq(*id);
                cleansed = cleansed.case(is_row(), Expr::value(values.clone()));
                search = search.case(is_row(), Expr::value(text.clone()));
            }
            asset::Entity::update_many()
                .col_expr(asset::Column::Cleansed, cleansed.into())
                .col_expr(asset::Column::SearchText, search.into())
                .filter(asset::Column::Id.is_in(rows.iter().map(|(id, ..)| *id)))
                .exec(w.changing(change.clone()))
                .await?;
        }
    }
    Ok(shown)
}

/// Saves what differs between `before` and `wanted`. Returns the corrections that were made, changed or taken back.
async fn save(
    w: &mut Write,
    change: &Change,
    import: &import::Model,
    before: &[value_correction::Model],
    wanted: &Replacements,
    corrected_by: Uuid,
    now: DateTime<Utc>,
) -> Result<Vec<Uuid>, StoreError> {
    let (mut ids, mut gone) = (Vec::new(), Vec::new());
    for row in before {
        match wanted.of(column(row), &row.original) {
            None => gone.push(row.id),
            Some(replacement) if replacement == row.replacement => {}
            Some(replacement) => {
                value_correction::Entity::update_many()
                    .col_expr(value_correction::Column::Replacement, Expr::value(replacement))
                    .col_expr(value_correction::Column::CorrectedBy, Expr::value(corrected_by))
                    .col_expr(value_correction::Column::CorrectedAt, Expr::value(stamp(now)))
                    .filter(value_correction::Column::Id.eq(row.id))
                    .exec(w.changing(change.clone()))
                    .await?;
                ids.push(row.id);
            }
        }
    }
    delete(w, change, &gone).await?;
    ids.extend(gone);
    let held: HashSet<(u32, &str)> = before.iter().map(|row| (column(row), row.original.as_str())).collect();
    let made: Vec<value_correction::ActiveModel> = wanted
        .iter()
        .filter(|(position, original, _)| !held.contains(&(*position, *original)))
        .map(|(position, original, replacement)| value_correction::ActiveModel {
            id: Set(new_id()),
            client_account_id: Set(import.client_account_id),
            engagement_id: Set(import.engagement_id),
            import_id: Set(import.id),
            position: Set(i32::try_from(position).unwrap_or(i32::MAX)),
            original: Set(original.to_owned()),
            replacement: Set(replacement.to_owned()),
            corrected_by: Set(Some(corrected_by)),
            corrected_at: Set(stamp(now)),
        })
        .collect();
    ids.extend(made.iter().map(|row| row.id.clone().unwrap()));
    for rows in made.chunks(CORRECTIONS_PER_INSERT) {
        let insert = value_correction::Entity::insert_many(rows.to_vec());
        insert.exec_without_returning(w.changing(change.clone())).await?;
    }
    Ok(ids)
}

async fn delete(w: &mut Write, change: &Change, corrections: &[Uuid]) -> Result<(), StoreError> {
    if !corrections.is_empty() {
        let chosen = value_correction::Column::Id.is_in(corrections.iter().copied());
        value_correction::Entity::delete_many().filter(chosen).exec(w.changing(change.clone())).await?;
    }
    Ok(())
}

/// An import that was read to its end, for this write alone: two that correct it at once would undo each other.
async fn completed(w: &Write, client: ClientId, import: Uuid) -> Result<import::Model, StoreError> {
    let select = import::Entity::find_by_id(import).filter(import::Column::ClientAccountId.eq(client.0));
    let row = select.lock_exclusive().one(&w.read()).await?;
    let row = row.ok_or(StoreError::not_found("import"))?;
    let status = word(ImportStatus::parse, &row.status)?;
    if status == ImportStatus::Completed {
        return Ok(row);
    }
    Err(Conflict::ImportState { status: status.as_str(), remedy: "only what was imported can be corrected" }.into())
}

/// The latest first.
async fn rows_of(db: Reading<'_>, import: Uuid) -> Result<Vec<value_correction::Model>, StoreError> {
    let select = value_correction::Entity::find().filter(value_correction::Column::ImportId.eq(import));
    let latest = select.order_by_desc(value_correction::Column::CorrectedAt);
    Ok(latest.order_by_desc(value_correction::Column::Id).all(&db).await?)
}

/// The next rows in the order of the file; of those that show one of the `searched` values, and maybe of others.
async fn rows_after(
    db: Reading<'_>,
    import: Uuid,
    after: i64,
    limit: u64,
    searched: Option<&HashSet<String>>,
) -> Result<Vec<asset::Model>, StoreError> {
    let select = asset::Entity::find().filter(asset::Column::ImportId.eq(import));
    let mut select = select.filter(asset::Column::RowNumber.gt(after));
    // An empty value stands in nearly every row.
    if let Some(searched) = searched.filter(|searched| !searched.contains("")) {
        let any = searched
            .iter()
            .fold(Condition::any(), |any, value| any.add(asset::Column::SearchText.like(containing(value))));
        select = select.filter(any);
    }
    Ok(select.order_by_asc(asset::Column::RowNumber).limit(limit).all(&db).await?)
}

fn replacements(rows: &[value_correction::Model]) -> Replacements {
    let mut replacements = Replacements::default();
    rows.iter().for_each(|row| replacements.replace(column(row), &row.original, &row.replacement));
    replacements
}

fn column(row: &value_correction::Model) -> u32 {
    u32::try_from(row.position).unwrap_or_default()
}
