//! The keys of people whom cached values are about; see [`crate::sealing`].

use sea_orm_migration::prelude::*;

pub(super) struct Migration;

const TABLE: &str = "cache_subject_keys";

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0002_sealing"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let number = |name: &'static str| ColumnDef::new(name).big_integer().not_null().take();
        let table = Table::create()
            .table(TABLE)
            .if_not_exists()
            .col(number("subject"))
            .col(ColumnDef::new("tenant").string_len(128).not_null())
            .col(number("master"))
            .col(ColumnDef::new("wrapped").binary().not_null())
            .col(ColumnDef::new("created_at").timestamp_with_time_zone().not_null())
            // The subject first: an erasure looks for it alone.
            .primary_key(Index::create().col("subject").col("tenant"))
            .take();
        manager.create_table(table).await?;
        let by_master =
            Index::create().name("cache_subject_keys_master").table(TABLE).col("master").if_not_exists().take();
        manager.create_index(by_master).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(TABLE).if_exists().take()).await
    }
}
