//! The audit trail: its records, the heads of its chains, and how far the nodes' spools are shipped.
//!
//! There are no foreign keys: a record outlives everything that it speaks of. Times are milliseconds since 1970 and MACs
//! are hexadecimal, so that both databases keep the same and nothing is rounded.

use sea_orm_migration::{
    prelude::*,
    sea_orm::sea_query::{ColumnDef, IndexCreateStatement, TableCreateStatement},
};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0003_audit"
    }
}

const RECORDS: &str = "cache_audit";
const HEADS: &str = "cache_audit_heads";
const SPOOLS: &str = "cache_audit_spools";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [records(), heads(), spools()] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in [SPOOLS, HEADS, RECORDS] {
            manager.drop_table(Table::drop().table(name).if_exists().to_owned()).await?;
        }
        Ok(())
    }
}

fn records() -> TableCreateStatement {
    let mut table = Table::create().table(RECORDS).if_not_exists().to_owned();
    table.col(text("tenant")).col(number("number")).col(number("at_ms"));
    for name in ["principal", "agent", "operation", "outcome", "entity", "key"] {
        table.col(text(name));
    }
    table.col(ColumnDef::new("subject").text());
    table.col(number("status"));
    table.col(ColumnDef::new("trace_id").text());
    table.col(text("position")).col(text("detail")).col(number("times"));
    table.col(text("spool")).col(number("spool_number")).col(text("mac"));
    // What a chain is read by, and what keeps two nodes from one place in it.
    table.primary_key(Index::create().col("tenant").col("number")).to_owned()
}

fn heads() -> TableCreateStatement {
    let mut table = Table::create().table(HEADS).if_not_exists().to_owned();
    table.col(text("tenant").primary_key()).col(number("number")).col(text("mac"));
    table.col(number("pruned")).col(text("pruned_mac")).col(text("seal")).to_owned()
}

fn spools() -> TableCreateStatement {
    let mut table = Table::create().table(SPOOLS).if_not_exists().to_owned();
    table.col(text("spool").primary_key()).col(number("shipped")).col(number("at_ms")).to_owned()
}

/// What is looked for, newest first: all, of a tenant, of a principal, about a subject, of an operation.
fn indexes() -> Vec<IndexCreateStatement> {
    let index = |name: &str, first: &[&'static str]| {
        let mut index = Index::create().name(name).table(RECORDS).if_not_exists().to_owned();
        for column in first.iter().chain(&["at_ms", "tenant", "number"]) {
            index.col(*column);
        }
        index
    };
    vec![
        index("cache_audit_by_time", &[]),
        Index::create()
            .name("cache_audit_by_tenant")
            .table(RECORDS)
            .if_not_exists()
            .col("tenant")
            .col("at_ms")
            .col("number")
            .to_owned(),
        index("cache_audit_by_principal", &["principal"]),
        index("cache_audit_by_subject", &["subject"]),
        index("cache_audit_by_operation", &["operation"]),
    ]
}

fn text(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().not_null().take()
}

fn number(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().take()
}
