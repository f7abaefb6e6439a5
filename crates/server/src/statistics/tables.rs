//! The tables `cache_performance_metrics`, `cache_statistics_hourly` and `cache_statistics_daily`: what is written.

use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, Value,
    sea_query::{Alias, Expr, ExprTrait as _, OnConflict, Query, SimpleExpr},
};

use super::{
    bookkeeper::Counted,
    ledger::{Of, Sums},
};

pub(super) const HOURLY: &str = "cache_statistics_hourly";
pub(super) const DAILY: &str = "cache_statistics_daily";
pub(super) const PERFORMANCE: &str = "cache_performance_metrics";

pub(super) const SUMS: [&str; 8] =
    ["hits", "stale", "misses", "bypasses", "loads", "load_failures", "load_micros", "loaded_bytes"];
/// Rows of one statement.
const ROWS_MAX: usize = 500;

/// How a node did in an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) measured_at: DateTime<Utc>,
    pub(super) lasted_ms: i64,
    pub(super) sums: Sums,
    pub(super) counted: Counted,
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

pub(super) fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Sums {
    fn each(&self) -> [u64; 8] {
        let Self { hits, stale, misses, bypasses, loads, load_failures, load_micros, loaded_bytes } = *self;
        [hits, stale, misses, bypasses, loads, load_failures, load_micros, loaded_bytes]
    }
}

/// Writes a node's totals of hours: what stood there is replaced.
pub(super) async fn write_totals(db: &impl ConnectionTrait, node: &str, totals: &[(Of, Sums)]) -> Result<(), DbErr> {
    let key = ["hour", "client_account_id", "entity_type", "node"];
    for chunk in totals.chunks(ROWS_MAX) {
        let mut insert = Query::insert().into_table(HOURLY).columns(key.into_iter().chain(SUMS)).to_owned();
        for (of, sums) in chunk {
            let head: [Value; 4] = [of.hour.into(), of.tenant().into(), of.entity.as_str().into(), node.into()];
            let sums = sums.each().map(|sum| Value::from(number(sum)));
            insert.values_panic(head.into_iter().chain(sums).map(SimpleExpr::from));
        }
        insert.on_conflict(OnConflict::columns(key).update_columns(SUMS).to_owned());
        db.execute(&insert).await?;
    }
    Ok(())
}

/// Writes how a node did; once more does no harm.
pub(super) async fn write_interval(db: &impl ConnectionTrait, node: &str, interval: &Interval) -> Result<(), DbErr> {
    let Interval { measured_at, lasted_ms, sums, counted, entries, bytes } = *interval;
    let counts = [
        ("hits", sums.hits),
        ("stale", sums.stale),
        ("misses", sums.misses),
        ("bypasses", sums.bypasses),
        ("loads", sums.loads),
        ("load_failures", sums.load_failures),
        ("evictions", counted.evictions),
        ("invalidations", counted.invalidations),
        ("entries", entries),
        ("bytes", bytes),
        ("checks", counted.checks),
        ("incorrect", counted.incorrect),
    ];
    let quantiles = ["request_micros_p50", "request_micros_p95", "request_micros_p99"]
        .into_iter()
        .zip(counted.request_quantiles)
        .chain(["load_micros_p50", "load_micros_p95", "load_micros_p99"].into_iter().zip(counted.load_quantiles));
    let head: [(&str, Value); 3] =
        [("measured_at", measured_at.into()), ("node", node.into()), ("interval_ms", lasted_ms.into())];
    let all = head
        .into_iter()
        .chain(counts.map(|(name, count)| (name, Value::from(number(count)))))
        .chain(quantiles.map(|(name, micros)| (name, Value::from(micros))));
    let (columns, values): (Vec<&str>, Vec<Value>) = all.unzip();
    let insert = Query::insert()
        .into_table(PERFORMANCE)
        .columns(columns)
        .values_panic(values.into_iter().map(SimpleExpr::from))
        .on_conflict(OnConflict::columns(["measured_at", "node"]).do_nothing().to_owned())
        .to_owned();
    match db.execute(&insert).await {
        Err(DbErr::RecordNotInserted) => Ok(()),
        outcome => outcome.map(drop),
    }
}

/// Adds up the hours of the day from `day` on; what stood there is replaced.
pub(super) async fn add_up_day(pool: &DatabaseConnection, day: DateTime<Utc>) -> Result<(), DbErr> {
    let key = ["day", "client_account_id", "entity_type"];
    let mut hours = Query::select()
        .expr(Expr::val(day))
        .column("client_account_id")
        .column("entity_type")
        .from(HOURLY)
        .and_where(Expr::col("hour").gte(day))
        .and_where(Expr::col("hour").lt(day + chrono::TimeDelta::days(1)))
        .add_group_by(["client_account_id", "entity_type"].map(Expr::col))
        .to_owned();
    for name in SUMS {
        hours.expr(sum(name));
    }
    let insert = Query::insert()
        .into_table(DAILY)
        .columns(key.into_iter().chain(SUMS))
        .select_from(hours)
        .map_err(|error| DbErr::Custom(error.to_string()))?
        .on_conflict(OnConflict::columns(key).update_columns(SUMS).to_owned())
        .to_owned();
    pool.execute(&insert).await.map(drop)
}

/// A sum, of the type of what is summed on both databases.
pub(super) fn sum(name: &'static str) -> SimpleExpr {
    Expr::col(name).sum().cast_as(Alias::new("BIGINT"))
}

/// Removes what is older than `before`.
pub(super) async fn prune(
    pool: &DatabaseConnection,
    table: &'static str,
    time: &'static str,
    before: DateTime<Utc>,
) -> Result<u64, DbErr> {
    let delete = Query::delete().from_table(table).and_where(Expr::col(time).lt(before)).to_owned();
    Ok(pool.execute(&delete).await?.rows_affected())
}
