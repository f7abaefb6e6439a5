//! Feature flags: the rule of each that is not at its default, and every change that was ever made.

use sea_orm_migration::{
    prelude::*,
    sea_orm::sea_query::{ColumnDef, IndexCreateStatement, TableCreateStatement},
};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0005_flags"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            manager.create_table(table).await?;
        }
        manager.create_index(history()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in ["feature_flag_changes", "feature_flags"] {
            manager.drop_table(Table::drop().table(name).if_exists().to_owned()).await?;
        }
        Ok(())
    }
}

fn tables() -> [TableCreateStatement; 2] {
    let flags = Table::create()
        .table("feature_flags")
        .if_not_exists()
        .col(ColumnDef::new("key").text().not_null().primary_key())
        .col(ColumnDef::new("rule").text().not_null())
        .col(ColumnDef::new("updated_by").text().not_null())
        .col(ColumnDef::new("updated_at").timestamp_with_time_zone().not_null())
        .take();
    let changes = Table::create()
        .table("feature_flag_changes")
        .if_not_exists()
        .col(ColumnDef::new("id").big_integer().not_null().auto_increment().primary_key())
        .col(ColumnDef::new("key").text().not_null())
        .col(ColumnDef::new("rule").text().not_null())
        .col(ColumnDef::new("changed_by").text().not_null())
        .col(ColumnDef::new("changed_at").timestamp_with_time_zone().not_null())
        .take();
    [flags, changes]
}

fn history() -> IndexCreateStatement {
    let name = "ix_feature_flag_changes_key_id";
    Index::create().if_not_exists().name(name).table("feature_flag_changes").col("key").col("id").take()
}
