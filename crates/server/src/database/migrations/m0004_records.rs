//! What is kept about the cache: what it holds, how it does, how it is set.
//!
//! Tenants and entities are names here, not references: rows outlive what they speak of, and this crate knows no tables
//! of the application.

use sea_orm_migration::{
    prelude::*,
    sea_orm::sea_query::{ColumnDef, IndexCreateStatement, TableCreateStatement},
};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0004_records"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in TABLES {
            manager.drop_table(Table::drop().table(name).if_exists().to_owned()).await?;
        }
        Ok(())
    }
}

const TABLES: [&str; 5] = [
    "cache_metadata",
    "cache_performance_metrics",
    "cache_statistics_hourly",
    "cache_statistics_daily",
    "cache_configuration",
];

fn tables() -> [TableCreateStatement; 5] {
    let metadata = table("cache_metadata")
        .col(column("id").uuid().not_null().primary_key())
        .col(column("cache_key").text().not_null())
        .col(column("entity_type").text().not_null())
        .col(column("entity_id").text())
        .col(column("client_account_id").text().not_null())
        .col(time("created_at"))
        .col(time("expires_at"))
        .col(count("access_count"))
        .col(column("last_accessed").timestamp_with_time_zone())
        .take();
    let mut performance = table("cache_performance_metrics")
        .col(time("measured_at"))
        .col(column("node").text().not_null())
        .col(column("interval_ms").big_integer().not_null())
        .take();
    for name in COUNTS.into_iter().chain(["evictions", "invalidations", "entries", "bytes", "checks", "incorrect"]) {
        performance.col(count(name));
    }
    for name in QUANTILES {
        performance.col(column(name).big_integer());
    }
    performance.primary_key(Index::create().col("measured_at").col("node"));
    let mut hourly = table("cache_statistics_hourly").col(time("hour")).take();
    let mut daily = table("cache_statistics_daily").col(time("day")).take();
    for table in [&mut hourly, &mut daily] {
        table.col(column("client_account_id").text().not_null()).col(column("entity_type").text().not_null());
    }
    hourly.col(column("node").text().not_null());
    for table in [&mut hourly, &mut daily] {
        for name in COUNTS.into_iter().chain(["load_micros", "loaded_bytes"]) {
            table.col(count(name));
        }
    }
    let key = |first: &'static str| Index::create().col(first).col("client_account_id").col("entity_type").take();
    hourly.primary_key(key("hour").col("node"));
    daily.primary_key(&mut key("day"));
    let configuration = table("cache_configuration")
        .col(column("version").big_integer().not_null().primary_key())
        .col(column("document").text().not_null())
        .col(column("replaced").big_integer().not_null())
        .col(column("restores").big_integer())
        .col(column("changed_by").text().not_null())
        .col(column("reason").text().not_null())
        .col(time("changed_at"))
        .take();
    [metadata, performance, hourly, daily, configuration]
}

/// What is counted of reads and loads.
const COUNTS: [&str; 6] = ["hits", "stale", "misses", "bypasses", "loads", "load_failures"];

/// Latencies, in microseconds; none where nothing was measured.
const QUANTILES: [&str; 6] = [
    "request_micros_p50",
    "request_micros_p95",
    "request_micros_p99",
    "load_micros_p50",
    "load_micros_p95",
    "load_micros_p99",
];

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        index("cache_metadata", &["cache_key"]).unique().take(),
        index("cache_metadata", &["client_account_id", "entity_type"]),
        index("cache_metadata", &["entity_type", "entity_id"]),
        // For pruning.
        index("cache_metadata", &["expires_at"]),
        index("cache_statistics_hourly", &["client_account_id", "hour"]),
        index("cache_statistics_daily", &["client_account_id", "day"]),
    ]
}

fn table(name: &'static str) -> TableCreateStatement {
    Table::create().table(name).if_not_exists().take()
}

fn column(name: &'static str) -> ColumnDef {
    ColumnDef::new(name)
}

fn time(name: &'static str) -> ColumnDef {
    column(name).timestamp_with_time_zone().not_null().take()
}

fn count(name: &'static str) -> ColumnDef {
    column(name).big_integer().not_null().default(0).take()
}

fn index(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index =
        Index::create().name(format!("idx_{table}_{}", columns.join("_"))).table(table).if_not_exists().take();
    for column in columns {
        index.col(*column);
    }
    index
}
