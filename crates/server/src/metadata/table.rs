//! The table `cache_metadata`.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, QueryResult,
    sea_query::{
        Alias, Cond, Expr, ExprTrait as _, Func, InsertStatement, LikeExpr, OnConflict, Order, Query, SimpleExpr,
    },
};
use serde::{Deserialize, Serialize};
use unstale::{RawKey, Timestamp};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Concealed, KEY_BYTES_MAX, Noted};
use crate::statistics::{Naming, ledger::Entity};

const TABLE: &str = "cache_metadata";
const COLUMNS: [&str; 9] = [
    "id",
    "cache_key",
    "entity_type",
    "entity_id",
    "client_account_id",
    "created_at",
    "expires_at",
    "access_count",
    "last_accessed",
];
/// Rows of one statement.
const ROWS_MAX: usize = 500;
/// Rows that are removed at once, so that nobody waits long for the table.
const PRUNED_AT_ONCE: u64 = 5000;
/// Rows of a page.
pub(crate) const PAGE_SIZE_MAX: u64 = 500;

/// What is known of a cached key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Metadata {
    /// The row's.
    pub id: Uuid,
    /// The key: tenant, pattern and parts. Queries and what was searched for are keyed hashes. A very long one is cut and
    /// ends in a hash.
    pub cache_key: String,
    /// The key's pattern.
    pub entity_type: String,
    /// The key's parts, joined by `/`; none of a key without.
    pub entity_id: Option<String>,
    /// The tenant.
    pub client_account_id: String,
    /// When it was last loaded.
    pub created_at: DateTime<Utc>,
    /// Until when that was fresh, unless it was invalidated.
    pub expires_at: DateTime<Utc>,
    /// How often it was read from the cache, on all nodes; an estimate where reads are many.
    pub access_count: i64,
    /// When last.
    pub last_accessed: Option<DateTime<Utc>>,
}

/// Which rows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this tenant.
    pub client: Option<String>,
    /// Of this pattern.
    pub entity_type: Option<String>,
    /// With these parts.
    pub entity_id: Option<String>,
    /// Only what is fresh at this moment, unless it was invalidated.
    pub fresh_at: Option<DateTime<Utc>>,
}

/// Some of the rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page {
    /// Those of this page, the most read first.
    pub items: Vec<Metadata>,
    /// How many there are in all.
    pub total: u64,
    /// Which page it is, from 1.
    pub page: u64,
    /// How many rows a page has.
    pub page_size: u64,
}

/// Writes what was noted of keys: what is known already is brought up to date.
pub(crate) async fn write(
    db: &impl ConnectionTrait,
    noted: &[(RawKey, Noted)],
    naming: Option<&Naming>,
    concealed: &Concealed,
) -> Result<(), DbErr> {
    let (kept, read): (Vec<_>, Vec<_>) = noted.iter().partition(|(_, noted)| noted.kept.is_some());
    for (rows, is_kept) in [(kept, true), (read, false)] {
        for chunk in rows.chunks(ROWS_MAX) {
            db.execute(&upsert(chunk, is_kept, naming, concealed)).await?;
        }
    }
    Ok(())
}

fn upsert(rows: &[&(RawKey, Noted)], is_kept: bool, naming: Option<&Naming>, concealed: &Concealed) -> InsertStatement {
    let mut insert = Query::insert().into_table(TABLE).columns(COLUMNS).to_owned();
    for (key, noted) in rows {
        let text = &*concealed.text(key);
        let seen = noted.last_read.unwrap_or_default();
        // Read, but loaded before anybody noted it: when is not known, and corrected by the next load.
        let (created_at, expires_at) = noted.kept.map_or((seen, seen), |(at, until)| (at, time(until)));
        let entity_id = entity_id(text, key.entity());
        insert.values_panic([
            Uuid::now_v7().into(),
            shortened(text).into(),
            Entity::of(key, naming).as_str().into(),
            entity_id.into(),
            key.tenant().as_str().into(),
            created_at.into(),
            expires_at.into(),
            i64::try_from(noted.reads).unwrap_or(i64::MAX).into(),
            noted.last_read.into(),
        ]);
    }
    let mut conflict = OnConflict::column("cache_key");
    conflict
        .value("access_count", Expr::cust("cache_metadata.access_count + excluded.access_count"))
        .value("last_accessed", Expr::cust("COALESCE(excluded.last_accessed, cache_metadata.last_accessed)"));
    if is_kept {
        conflict.update_columns(["created_at", "expires_at"]);
    }
    insert.on_conflict(conflict).to_owned()
}

fn time(timestamp: Timestamp) -> DateTime<Utc> {
    let millis = i64::try_from(timestamp.as_millis()).unwrap_or(i64::MAX);
    DateTime::from_timestamp_millis(millis).filter(|time| *time < far()).unwrap_or_else(far)
}

/// The latest moment that both databases can hold and people can read.
fn far() -> DateTime<Utc> {
    DateTime::from_timestamp(253_402_300_799, 0).expect("the end of the year 9999")
}

/// A key's parts as people write them.
fn entity_id(text: &str, entity: &str) -> Option<String> {
    let (_, rest) = text.split_once(':')?;
    let parts = rest.strip_prefix(entity)?.strip_prefix('/')?;
    Some(shortened(&parts.replace("%2F", "/").replace("%25", "%")))
}

fn shortened(text: &str) -> String {
    if text.len() <= KEY_BYTES_MAX {
        return text.to_owned();
    }
    let hash = blake3::hash(text.as_bytes()).to_hex();
    let end = text.floor_char_boundary(KEY_BYTES_MAX - hash.len() - 1);
    format!("{}#{hash}", &text[..end])
}

/// A page of rows; `page` counts from 1.
pub async fn list(pool: &DatabaseConnection, filter: &Filter, page: u64, page_size: u64) -> Result<Page, DbErr> {
    let (page, page_size) = (page.clamp(1, u64::MAX), page_size.clamp(1, PAGE_SIZE_MAX));
    let is =
        |column: &'static str, value: &Option<String>| value.as_ref().map(|value| Expr::col(column).eq(value.as_str()));
    let wanted: Vec<SimpleExpr> = [
        is("client_account_id", &filter.client),
        is("entity_type", &filter.entity_type),
        is("entity_id", &filter.entity_id),
        filter.fresh_at.map(|now| Expr::col("expires_at").gt(now)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let which = wanted.into_iter().fold(Cond::all(), Cond::add);
    let count =
        Query::select().expr_as(Expr::cust("COUNT(*)"), "total").from(TABLE).cond_where(which.clone()).to_owned();
    let total: i64 = pool.query_one(&count).await?.map_or(Ok(0), |row| row.try_get("", "total"))?;
    let rows = Query::select()
        .columns(COLUMNS.map(Alias::new))
        .from(TABLE)
        .cond_where(which)
        .order_by("access_count", Order::Desc)
        .order_by("cache_key", Order::Asc)
        .limit(page_size)
        .offset((page - 1).saturating_mul(page_size))
        .to_owned();
    let items = pool.query_all(&rows).await?.iter().map(row).collect::<Result<_, _>>()?;
    Ok(Page { items, total: u64::try_from(total).unwrap_or(0), page, page_size })
}

fn row(found: &QueryResult) -> Result<Metadata, DbErr> {
    Ok(Metadata {
        id: found.try_get("", "id")?,
        cache_key: found.try_get("", "cache_key")?,
        entity_type: found.try_get("", "entity_type")?,
        entity_id: found.try_get("", "entity_id")?,
        client_account_id: found.try_get("", "client_account_id")?,
        created_at: found.try_get("", "created_at")?,
        expires_at: found.try_get("", "expires_at")?,
        access_count: found.try_get("", "access_count")?,
        last_accessed: found.try_get("", "last_accessed")?,
    })
}

/// Removes the rows whose key holds one of `texts`, such as somebody's id: when they are to be forgotten. Looks at every row,
/// once. What a key was cut of, and what is concealed, is not searched; upper and lower case are one. Nodes may hold what
/// they write some seconds later.
pub async fn forget(pool: &DatabaseConnection, texts: &[String]) -> Result<u64, DbErr> {
    if texts.is_empty() {
        return Ok(0);
    }
    let holds = |text: &str| {
        let literal = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        LikeExpr::new(format!("%{literal}%")).escape('\\')
    };
    let mut any = Cond::any();
    for text in texts {
        any = any.add(Func::lower(Expr::col("cache_key")).like(holds(&text.to_lowercase())));
        // Of letters beyond ASCII databases have other opinions: then as it stands, too.
        if !text.is_ascii() {
            any = any.add(Expr::col("cache_key").like(holds(text)));
        }
    }
    let delete = Query::delete().from_table(TABLE).cond_where(any).to_owned();
    Ok(pool.execute(&delete).await?.rows_affected())
}

/// Removes what has been over for so many days.
pub(crate) async fn prune(pool: &DatabaseConnection, now: DateTime<Utc>, days: u32) -> Result<u64, DbErr> {
    let over = Query::select()
        .column("id")
        .from(TABLE)
        .and_where(Expr::col("expires_at").lt(now - TimeDelta::days(days.into())))
        .limit(PRUNED_AT_ONCE)
        .to_owned();
    let delete = Query::delete().from_table(TABLE).and_where(Expr::col("id").in_subquery(over)).to_owned();
    let mut removed = 0;
    loop {
        let rows = pool.execute(&delete).await?.rows_affected();
        removed += rows;
        if rows < PRUNED_AT_ONCE {
            return Ok(removed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_key_are_its_entitys_id() {
        assert_eq!(entity_id("acme:user:context/42", "user:context").as_deref(), Some("42"));
        assert_eq!(entity_id("acme:flows/a%2Fb%2525/any", "flows").as_deref(), Some("a/b%25/any"));
        assert_eq!(entity_id("acme:admin:users", "admin:users"), None);
    }

    #[test]
    fn a_long_key_is_cut_and_stays_one_of_its_own() {
        let [one, other] = ["x", "y"].map(|end| shortened(&format!("{}{end}", "ä".repeat(600))));
        assert!(one.len() <= KEY_BYTES_MAX && other.len() <= KEY_BYTES_MAX && one != other, "{one}");
        assert_eq!(shortened("short"), "short");
    }

    #[test]
    fn what_never_ends_ends_where_databases_can_hold_it() {
        assert_eq!(time(Timestamp::NEVER), far());
        assert_eq!(time(Timestamp::from_millis(1000)), DateTime::from_timestamp(1, 0).unwrap());
    }
}
