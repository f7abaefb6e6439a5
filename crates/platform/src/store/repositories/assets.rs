//! Assets: rows of imports, seen through the approved mappings.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{
    ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::LikeExpr,
};
use tracing::instrument;
use unstale::record;
use uuid::Uuid;

use super::{
    engagements, imports,
    mappings::{self, is_approved},
    rows::{count, json},
};
use crate::{
    coherence::{
        ClientId,
        tags::{self, record_rows},
    },
    store::{
        Reading, StoreError,
        entities::{asset, field_mapping},
    },
    views::{Asset, AssetColumn, AssetPage},
};

/// Most assets of a page.
pub const PAGE_SIZE_MAX: u64 = 200;

/// Which assets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetQuery {
    pub engagement: Option<Uuid>,
    pub import: Option<Uuid>,
    /// A part of any value, without regard to case.
    pub search: Option<String>,
    /// From 1.
    pub page: u64,
    /// 0 to [`PAGE_SIZE_MAX`]; beyond that it is cut. With 0 it is only counted how many there are.
    pub page_size: u64,
}

/// What attributes mean, which is not the store's business.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary {
    /// The label of an attribute.
    pub label: fn(&str) -> String,
    /// The attribute that names an asset.
    pub name_attribute: &'static str,
}

/// The oldest import first, its rows in the order of the file. An engagement or import of another client is not
/// found.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "assets.page"))]
pub async fn page(
    db: Reading<'_>,
    client: ClientId,
    query: &AssetQuery,
    vocabulary: Vocabulary,
) -> Result<AssetPage, StoreError> {
    record(&tags::under_client(client));
    let mut select = asset::Entity::find().filter(asset::Column::ClientAccountId.eq(client.0));
    if let Some(engagement) = query.engagement {
        [tags::under_engagement(client, engagement), tags::assets_in(client, engagement)].iter().for_each(record);
        select = select.filter(asset::Column::EngagementId.eq(engagement));
    }
    if let Some(import) = query.import {
        record(&tags::assets_of(client, import));
        select = select.filter(asset::Column::ImportId.eq(import));
    }
    if query.engagement.is_none() && query.import.is_none() {
        record(&tags::assets(client));
    }
    if let Some(search) = query.search.as_deref().filter(|search| !search.is_empty()) {
        select = select.filter(asset::Column::SearchText.like(containing(search)));
    }
    let (page, page_size) = (query.page.max(1), query.page_size.min(PAGE_SIZE_MAX));
    let skipped = (page - 1).saturating_mul(page_size);
    let rows = if page_size == 0 {
        Vec::new()
    } else {
        let select = select.clone().order_by_asc(asset::Column::ImportId).order_by_asc(asset::Column::RowNumber);
        // Beyond what a database can skip there is nothing anyway.
        select.offset(skipped.min(i64::MAX as u64)).limit(page_size).all(&db).await?
    };
    // The last page says how many there are.
    let is_last = (rows.len() as u64) < page_size && (page == 1 || !rows.is_empty());
    let total = if is_last { skipped + rows.len() as u64 } else { select.count(&db).await? };
    // A row says that what it belongs to is there.
    if let Some(engagement) = query.engagement.filter(|_| total == 0) {
        engagements::exists(db, client, engagement).await?;
    }
    match (query.import, rows.first()) {
        (None, _) => {}
        (Some(_), Some(row)) => record(&tags::under_engagement(client, row.engagement_id)),
        (Some(import), None) => drop(imports::find(db, client, import).await?),
    }
    let shown: BTreeSet<Uuid> = rows.iter().map(|row| row.import_id).collect();
    record_rows(shown.iter().copied(), |import| tags::mappings_of(client, import), || tags::mappings(client));
    let mappings = if shown.is_empty() {
        BTreeMap::new()
    } else {
        mappings::approved_of(db, &shown.into_iter().collect::<Vec<_>>()).await?
    };
    let columns = columns(&mappings, vocabulary);
    let none = Vec::new();
    let items = rows.into_iter().map(|row| {
        let mappings = mappings.get(&row.import_id).unwrap_or(&none);
        view(&row, mappings, vocabulary)
    });
    Ok(AssetPage { items: items.collect::<Result<_, _>>()?, columns, total, page, page_size })
}

/// Matches a text anywhere, whatever signs it holds.
pub(super) fn containing(text: &str) -> LikeExpr {
    let mut pattern = String::from("%");
    for letter in text.to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    LikeExpr::new(pattern).escape('\\')
}

/// What a row is found by.
pub(super) fn search_text(values: &[String]) -> String {
    values.join("\n").to_lowercase()
}

/// The attributes that the shown imports have, those of the first columns first.
fn columns(mappings: &BTreeMap<Uuid, Vec<field_mapping::Model>>, vocabulary: Vocabulary) -> Vec<AssetColumn> {
    let mut columns: Vec<AssetColumn> = Vec::new();
    for mapping in mappings.values().flatten().filter(|mapping| is_approved(mapping)) {
        if let Some(name) = &mapping.target_attribute
            && columns.iter().all(|column| column.name != *name)
        {
            columns.push(AssetColumn { name: name.clone(), label: (vocabulary.label)(name) });
        }
    }
    columns
}

fn view(row: &asset::Model, mappings: &[field_mapping::Model], vocabulary: Vocabulary) -> Result<Asset, StoreError> {
    let values: Vec<String> = json(row.cleansed.as_ref().unwrap_or(&row.raw))?;
    let (mut attributes, mut unmapped) = (BTreeMap::new(), BTreeMap::new());
    for mapping in mappings {
        let value = usize::try_from(mapping.position).ok().and_then(|at| values.get(at));
        let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
        match mapping.target_attribute.as_ref().filter(|_| is_approved(mapping)) {
            Some(target) => attributes.insert(target.clone(), value.clone()),
            None => unmapped.insert(mapping.source_column.clone(), value.clone()),
        };
    }
    Ok(Asset {
        id: row.id,
        engagement_id: row.engagement_id,
        import_id: row.import_id,
        row_number: count(row.row_number),
        name: attributes.get(vocabulary.name_attribute).cloned(),
        attributes,
        unmapped,
    })
}
