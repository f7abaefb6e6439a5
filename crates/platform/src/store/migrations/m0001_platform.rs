//! The platform's tables.
use sea_orm_migration::prelude::*;
pub(super) struct Migration;
impl MigrationName for Migration { fn name(&self) -> &str { "m0001_platform" } }
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, _manager: &SchemaManager) -> Result<(), DbErr> { todo!() }
}
