//! Corrections of imported values: what stands for what, and each row as it is with them.

use sea_orm_migration::prelude::*;
use unstale_server::outbox::triggers;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0003_value_corrections"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let import = ForeignKey::create()
            .name("fk_value_corrections_import_id")
            .from("value_corrections", "import_id")
            .to("imports", "id")
            .on_delete(ForeignKeyAction::Cascade)
            .take();
        let corrected_by = ForeignKey::create()
            .name("fk_value_corrections_corrected_by")
            .from("value_corrections", "corrected_by")
            .to("users", "id")
            .on_delete(ForeignKeyAction::SetNull)
            .take();
        let table = Table::create()
            .table("value_corrections")
            .if_not_exists()
            .col(ColumnDef::new("id").uuid().primary_key())
            .col(ColumnDef::new("client_account_id").uuid().not_null())
            .col(ColumnDef::new("engagement_id").uuid().not_null())
            .col(ColumnDef::new("import_id").uuid().not_null())
            .col(ColumnDef::new("position").integer().not_null())
            .col(ColumnDef::new("original").text().not_null())
            .col(ColumnDef::new("replacement").text().not_null())
            .col(ColumnDef::new("corrected_by").uuid())
            .col(ColumnDef::new("corrected_at").timestamp_with_time_zone().not_null())
            .foreign_key(&mut { import })
            .foreign_key(&mut { corrected_by })
            .take();
        manager.create_table(table).await?;
        // No value is longer than 1,000 characters, so that it fits into an index of both databases.
        let one_each = Index::create()
            .name("uq_value_corrections_original")
            .table("value_corrections")
            .if_not_exists()
            .col("import_id")
            .col("position")
            .col("original")
            .unique()
            .take();
        manager.create_index(one_each).await?;
        let cleansed = ColumnDef::new("cleansed").text().take();
        manager.alter_table(Table::alter().table("assets").add_column(cleansed).take()).await?;
        // Anew: the assets have a column more to be watched, and there is a table more.
        triggers::install(manager.get_connection(), &super::existing(manager).await?).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        triggers::remove(manager.get_connection(), &super::existing(manager).await?).await?;
        manager.drop_table(Table::drop().table("value_corrections").if_exists().take()).await?;
        manager.alter_table(Table::alter().table("assets").drop_column("cleansed").take()).await?;
        triggers::install(manager.get_connection(), &super::existing(manager).await?).await
    }
}
