//! What was written, read back.

use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DbErr, QueryResult,
    sea_query::{Expr, ExprTrait as _, Order, Query},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::tables::{DAILY, HOURLY, PERFORMANCE, SUMS, sum};

/// Rows of one answer.
const ROWS_MAX: u64 = 10_000;

/// How finely statistics are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// By hour.
    #[default]
    Hour,
    /// By day (UTC).
    Day,
}

/// Which statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// From this moment on.
    pub from: DateTime<Utc>,
    /// Before this one.
    pub to: DateTime<Utc>,
    /// By what.
    pub by: By,
    /// Of this tenant.
    pub client: Option<String>,
    /// Of this kind of entry.
    pub entity: Option<String>,
}

/// What was read and loaded, on all nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Aggregate {
    /// When the hour or the day began.
    pub at: DateTime<Utc>,
    /// The tenant; `(other)` for those that had no place of their own.
    pub client_account_id: String,
    /// The kind of entry.
    pub entity_type: String,
    /// Reads that were answered from the cache; an estimate where they are many.
    pub hits: i64,
    /// Reads that were answered with what its policy allows although it is not fresh.
    pub stale: i64,
    /// Reads that had to load.
    pub misses: i64,
    /// Reads in which the cache took no part, or could not ask its store.
    pub bypasses: i64,
    /// Loads that ended well.
    pub loads: i64,
    /// Loads that failed.
    pub load_failures: i64,
    /// How long loads took together, in microseconds.
    pub load_micros: i64,
    /// Bytes that were loaded.
    pub loaded_bytes: i64,
    /// Reads that were answered from the cache, of all; 0 to 1.
    pub hit_ratio: f64,
}

/// How a node did in an interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[allow(missing_docs, reason = "as in the table")]
pub struct Performance {
    pub measured_at: DateTime<Utc>,
    pub node: String,
    pub interval_ms: i64,
    pub hits: i64,
    pub stale: i64,
    pub misses: i64,
    pub bypasses: i64,
    pub loads: i64,
    pub load_failures: i64,
    pub evictions: i64,
    pub invalidations: i64,
    /// In memory, at the interval's end.
    pub entries: i64,
    /// In memory, at the interval's end.
    pub bytes: i64,
    /// Hits that the consistency watch has compared with the truth.
    pub checks: i64,
    pub incorrect: i64,
    pub request_micros_p50: Option<i64>,
    pub request_micros_p95: Option<i64>,
    pub request_micros_p99: Option<i64>,
    pub load_micros_p50: Option<i64>,
    pub load_micros_p95: Option<i64>,
    pub load_micros_p99: Option<i64>,
}

/// What was read and loaded, all nodes together: the oldest first, 10,000 rows at most.
pub async fn aggregates(pool: &DatabaseConnection, filter: &Filter) -> Result<Vec<Aggregate>, DbErr> {
    let (table, time) = match filter.by {
        By::Hour => (HOURLY, "hour"),
        By::Day => (DAILY, "day"),
    };
    let mut query = Query::select()
        .expr_as(Expr::col(time), "at")
        .columns(["client_account_id", "entity_type"])
        .from(table)
        .and_where(Expr::col(time).gte(filter.from))
        .and_where(Expr::col(time).lt(filter.to))
        .add_group_by([time, "client_account_id", "entity_type"].map(Expr::col))
        .order_by(time, Order::Asc)
        .order_by("client_account_id", Order::Asc)
        .order_by("entity_type", Order::Asc)
        .limit(ROWS_MAX)
        .to_owned();
    for (column, value) in [("client_account_id", &filter.client), ("entity_type", &filter.entity)] {
        if let Some(value) = value {
            query.and_where(Expr::col(column).eq(value.as_str()));
        }
    }
    for name in SUMS {
        query.expr_as(sum(name), name);
    }
    pool.query_all(&query).await?.iter().map(aggregate).collect()
}

fn aggregate(row: &QueryResult) -> Result<Aggregate, DbErr> {
    let count = |name: &str| row.try_get::<i64>("", name);
    let (hits, stale, misses, bypasses) = (count("hits")?, count("stale")?, count("misses")?, count("bypasses")?);
    #[expect(clippy::cast_precision_loss, reason = "a ratio; 2^53 reads are far away")]
    let hit_ratio = (hits + stale) as f64 / (hits + stale + misses + bypasses).clamp(1, i64::MAX) as f64;
    Ok(Aggregate {
        at: row.try_get("", "at")?,
        client_account_id: row.try_get("", "client_account_id")?,
        entity_type: row.try_get("", "entity_type")?,
        hits,
        stale,
        misses,
        bypasses,
        loads: count("loads")?,
        load_failures: count("load_failures")?,
        load_micros: count("load_micros")?,
        loaded_bytes: count("loaded_bytes")?,
        hit_ratio,
    })
}

/// How nodes did, by interval: the newest first.
pub async fn performance(
    pool: &DatabaseConnection,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    limit: u64,
) -> Result<Vec<Performance>, DbErr> {
    let query = Query::select()
        .expr(Expr::cust("*"))
        .from(PERFORMANCE)
        .and_where(Expr::col("measured_at").gte(from))
        .and_where(Expr::col("measured_at").lt(to))
        .order_by("measured_at", Order::Desc)
        .order_by("node", Order::Asc)
        .limit(limit.clamp(1, ROWS_MAX))
        .to_owned();
    pool.query_all(&query).await?.iter().map(interval).collect()
}

fn interval(row: &QueryResult) -> Result<Performance, DbErr> {
    let count = |name: &str| row.try_get::<i64>("", name);
    let micros = |name: &str| row.try_get::<Option<i64>>("", name);
    Ok(Performance {
        measured_at: row.try_get("", "measured_at")?,
        node: row.try_get("", "node")?,
        interval_ms: count("interval_ms")?,
        hits: count("hits")?,
        stale: count("stale")?,
        misses: count("misses")?,
        bypasses: count("bypasses")?,
        loads: count("loads")?,
        load_failures: count("load_failures")?,
        evictions: count("evictions")?,
        invalidations: count("invalidations")?,
        entries: count("entries")?,
        bytes: count("bytes")?,
        checks: count("checks")?,
        incorrect: count("incorrect")?,
        request_micros_p50: micros("request_micros_p50")?,
        request_micros_p95: micros("request_micros_p95")?,
        request_micros_p99: micros("request_micros_p99")?,
        load_micros_p50: micros("load_micros_p50")?,
        load_micros_p95: micros("load_micros_p95")?,
        load_micros_p99: micros("load_micros_p99")?,
    })
}
