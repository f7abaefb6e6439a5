//! Triggers that write the cache's outbox for changes that bypass this application.
//!
//! They are made of the declaration as it is today, for the tables that there are. A migration that changes a declared
//! table, or the declaration, installs them anew.

use sea_orm_migration::prelude::*;
use unstale_server::outbox::triggers;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0002_outbox_triggers"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        triggers::install(manager.get_connection(), &super::existing(manager).await?).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        triggers::remove(manager.get_connection(), &super::existing(manager).await?).await
    }
}
