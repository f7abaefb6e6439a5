//! How far a spool is shipped is sealed.
//!
//! What stands there without a seal is forgotten, since anybody may have written it: of a spool that is still there the
//! next start looks for each record in the trail, and sends what is missing.

use sea_orm_migration::{prelude::*, sea_orm::sea_query::ColumnDef};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0006_audit_spool_seals"
    }
}

const SPOOLS: &str = "cache_audit_spools";
const SEAL: &str = "seal";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.exec_stmt(Query::delete().from_table(SPOOLS).to_owned()).await?;
        if manager.has_column(SPOOLS, SEAL).await? {
            return Ok(());
        }
        // Nodes of the version before, which name no seal, can go on while others are brought up to date.
        let seal = ColumnDef::new(SEAL).text().not_null().default("").take();
        manager.alter_table(Table::alter().table(SPOOLS).add_column(seal).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table(SPOOLS).drop_column(SEAL).to_owned()).await
    }
}
