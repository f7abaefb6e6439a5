//! Assets: rows of imports, seen through the approved mappings.

use std::{borrow::Borrow, collections::BTreeMap};

use sea_orm::{
    ColumnTrait as _, EntityTrait as _, FromQueryResult, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _, Select,
    sea_query::{Asterisk, Expr, Func, LikeExpr, SubQueryStatement},
};
use tracing::instrument;
use unstale::record;
use uuid::Uuid;

use super::{
    engagements, imports, mappings,
    rows::{count, json},
};
use crate::{
    coherence::{
        ClientId,
        tags::{self, record_rows},
    },
    store::{Reading, StoreError, entities::asset},
    views::{Asset, AssetColumn, AssetPage, ImportMappings},
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

/// A page of assets, all of it read from the database: the oldest import first, its rows in the order of the file. An
/// engagement or import of another client is not found.
pub async fn page(
    db: Reading<'_>,
    client: ClientId,
    query: &AssetQuery,
    vocabulary: Vocabulary,
) -> Result<AssetPage, StoreError> {
    let found = rows_and_total(db, client, query).await?;
    let total = found.total(db, client, query).await?;
    let imports: Vec<Uuid> = found.imports().into_keys().collect();
    let mappings = if imports.is_empty() {
        Vec::new()
    } else {
        record_rows(imports.iter().copied(), |import| tags::mappings_of(client, import), || tags::mappings(client));
        mappings::applied_in(db, &imports).await?
    };
    found.shown(query, total, &mappings, vocabulary)
}

/// What a page of assets is put together from, besides how many there are and what their columns mean.
#[derive(Debug)]
pub(crate) struct Found {
    rows: Vec<asset::Model>,
    /// How many there are in all, where the rows say it.
    pub(crate) total: Option<u64>,
}

/// The rows of a page.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "assets.rows"))]
pub(crate) async fn rows(db: Reading<'_>, client: ClientId, query: &AssetQuery) -> Result<Found, StoreError> {
    let Some(page) = on_page(matching(client, query), query) else { return Ok(Found::NONE) };
    let found = Found::on_page(page.all(&db).await?, None, query);
    found.begin(db, client, query).await?;
    Ok(found)
}

/// A row, and how many there are with it.
#[derive(FromQueryResult)]
struct CountedRow {
    #[sea_orm(nested)]
    row: asset::Model,
    total: i64,
}

/// The same, and how many there are on all pages, in one statement. Not of a search, which few rows answer: it would be
/// made twice.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "assets.rows_and_total"))]
pub(crate) async fn rows_and_total(db: Reading<'_>, client: ClientId, query: &AssetQuery) -> Result<Found, StoreError> {
    if query.is_search() {
        return rows(db, client, query).await;
    }
    let counted = matching(client, query).select_only().expr(Func::count(Expr::col(Asterisk)));
    let counted = Expr::SubQuery(None, Box::new(SubQueryStatement::SelectStatement(counted.into_query())));
    let Some(page) = on_page(matching(client, query).expr_as(counted, "total"), query) else { return Ok(Found::NONE) };
    let rows: Vec<CountedRow> = page.into_model().all(&db).await?;
    let total = rows.first().map(|first| count(first.total));
    let found = Found::on_page(rows.into_iter().map(|counted| counted.row).collect(), total, query);
    found.begin(db, client, query).await?;
    Ok(found)
}

/// The rows of the page, if there are to be any.
fn on_page(select: Select<asset::Entity>, query: &AssetQuery) -> Option<Select<asset::Entity>> {
    let (page, page_size) = query.place();
    let select = select.order_by_asc(asset::Column::ImportId).order_by_asc(asset::Column::RowNumber);
    (page_size > 0).then(|| select.offset(skipped(page, page_size)).limit(page_size))
}

/// Beyond what a database can skip there is nothing anyway.
fn skipped(page: u64, page_size: u64) -> u64 {
    (page - 1).saturating_mul(page_size).min(i64::MAX as u64)
}

/// Records what the rows that match follow from, and how many there are.
pub(crate) fn record_matching(client: ClientId, query: &AssetQuery) {
    record(&tags::under_client(client));
    if let Some(engagement) = query.engagement {
        [tags::under_engagement(client, engagement), tags::assets_in(client, engagement)].iter().for_each(record);
    }
    if let Some(import) = query.import {
        record(&tags::assets_of(client, import));
    }
    if query.engagement.is_none() && query.import.is_none() {
        record(&tags::assets(client));
    }
}

fn matching(client: ClientId, query: &AssetQuery) -> Select<asset::Entity> {
    record_matching(client, query);
    let mut select = asset::Entity::find().filter(asset::Column::ClientAccountId.eq(client.0));
    if let Some(engagement) = query.engagement {
        select = select.filter(asset::Column::EngagementId.eq(engagement));
    }
    if let Some(import) = query.import {
        select = select.filter(asset::Column::ImportId.eq(import));
    }
    if let Some(search) = query.search.as_deref().filter(|_| query.is_search()) {
        select = select.filter(asset::Column::SearchText.like(containing(search)));
    }
    select
}

impl AssetQuery {
    /// Page and size, within their bounds.
    fn place(&self) -> (u64, u64) {
        (self.page.max(1), self.page_size.min(PAGE_SIZE_MAX))
    }

    pub(crate) fn is_search(&self) -> bool {
        self.search.as_deref().is_some_and(|search| !search.is_empty())
    }
}

impl Found {
    /// Of a page that has no place for any.
    const NONE: Self = Self { rows: Vec::new(), total: None };

    /// `total`: as the database counted it, if it did.
    fn on_page(rows: Vec<asset::Model>, total: Option<u64>, query: &AssetQuery) -> Self {
        let (page, page_size) = query.place();
        // The last page says how many there are.
        let is_last = (rows.len() as u64) < page_size && (page == 1 || !rows.is_empty());
        let seen = is_last.then(|| skipped(page, page_size) + rows.len() as u64);
        Self { total: total.or(seen), rows }
    }

    /// Records where they lie, or that there is nowhere they could.
    async fn begin(&self, db: Reading<'_>, client: ClientId, query: &AssetQuery) -> Result<(), StoreError> {
        if let (Some(_), Some(row)) = (query.import, self.rows.first()) {
            record(&tags::under_engagement(client, row.engagement_id));
        }
        if self.total == Some(0) {
            self.belong(db, client, query, 0).await?;
        }
        Ok(())
    }

    /// How many assets there are on all pages: as the rows say it, or counted.
    pub(crate) async fn total(&self, db: Reading<'_>, client: ClientId, query: &AssetQuery) -> Result<u64, StoreError> {
        match self.total {
            Some(total) => Ok(total),
            None => self.count(db, client, query).await,
        }
    }

    /// How many assets there are on all pages. An engagement or import of another client is not found.
    #[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "assets.count"))]
    async fn count(&self, db: Reading<'_>, client: ClientId, query: &AssetQuery) -> Result<u64, StoreError> {
        let total = matching(client, query).count(&db).await?;
        self.belong(db, client, query, total).await?;
        Ok(total)
    }

    /// Whether there is what they would belong to. A row says that by itself.
    async fn belong(
        &self,
        db: Reading<'_>,
        client: ClientId,
        query: &AssetQuery,
        total: u64,
    ) -> Result<(), StoreError> {
        if let Some(engagement) = query.engagement.filter(|_| total == 0) {
            engagements::exists(db, client, engagement).await?;
        }
        if let Some(import) = query.import.filter(|_| self.rows.is_empty()) {
            imports::find(db, client, import).await?;
        }
        Ok(())
    }

    /// The imports that the rows are of, and the engagement of each.
    pub(crate) fn imports(&self) -> BTreeMap<Uuid, Uuid> {
        self.rows.iter().map(|row| (row.import_id, row.engagement_id)).collect()
    }

    /// The page, with the `mappings` of [`imports`](Self::imports), in their order.
    pub(crate) fn shown<M: Borrow<ImportMappings>>(
        self,
        query: &AssetQuery,
        total: u64,
        mappings: &[M],
        vocabulary: Vocabulary,
    ) -> Result<AssetPage, StoreError> {
        let (page, page_size) = query.place();
        let columns = columns(mappings.iter().map(Borrow::borrow), vocabulary);
        let applied: BTreeMap<Uuid, Applied<'_>> =
            mappings.iter().map(Borrow::borrow).map(|mappings| (mappings.import_id, applied(mappings))).collect();
        let items = self.rows.iter().map(|row| view(row, applied.get(&row.import_id), vocabulary));
        Ok(AssetPage { items: items.collect::<Result<_, _>>()?, columns, total, page, page_size })
    }
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
fn columns<'m>(mappings: impl Iterator<Item = &'m ImportMappings>, vocabulary: Vocabulary) -> Vec<AssetColumn> {
    let mut columns: Vec<AssetColumn> = Vec::new();
    for name in mappings.flat_map(|mappings| &mappings.approved).map(|mapping| &mapping.target_attribute) {
        if columns.iter().all(|column| column.name != *name) {
            columns.push(AssetColumn { name: name.clone(), label: (vocabulary.label)(name) });
        }
    }
    columns
}

/// Of each column its name, and the attribute that it was approved to be.
type Applied<'m> = Vec<(&'m str, Option<&'m str>)>;

fn applied(mappings: &ImportMappings) -> Applied<'_> {
    let mut applied: Applied<'_> = mappings.columns.iter().map(|name| (name.as_str(), None)).collect();
    for mapping in &mappings.approved {
        if let Some((_, target)) = applied.get_mut(mapping.position as usize) {
            *target = Some(mapping.target_attribute.as_str());
        }
    }
    applied
}

fn view(row: &asset::Model, applied: Option<&Applied<'_>>, vocabulary: Vocabulary) -> Result<Asset, StoreError> {
    let values: Vec<String> = json(row.cleansed.as_ref().unwrap_or(&row.raw))?;
    let (mut attributes, mut unmapped) = (BTreeMap::new(), BTreeMap::new());
    for ((name, target), value) in applied.into_iter().flatten().zip(values).filter(|(_, value)| !value.is_empty()) {
        match target {
            Some(target) => attributes.insert((*target).to_owned(), value),
            None => unmapped.insert((*name).to_owned(), value),
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
