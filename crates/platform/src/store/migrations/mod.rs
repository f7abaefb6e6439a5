//! The schema's history. A migration that was released is never edited; another follows it.

mod m0001_platform;
mod m0002_outbox_triggers;
mod m0003_value_corrections;

use sea_orm::{DatabaseConnection, DbErr};
use sea_orm_migration::{MigrationTrait, MigratorTrait, SchemaManager};
use unstale_server::{
    database::{self, MigrationState},
    outbox::triggers::TableTriggers,
};

use crate::coherence::watched;

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_platform::Migration),
            Box::new(m0002_outbox_triggers::Migration),
            Box::new(m0003_value_corrections::Migration),
        ]
    }
}

pub(super) async fn up(pool: &DatabaseConnection) -> Result<(), DbErr> {
    Migrator::up(pool, None).await
}

pub(super) async fn down(pool: &DatabaseConnection, steps: Option<u32>) -> Result<(), DbErr> {
    Migrator::down(pool, steps).await
}

pub(super) async fn states(pool: &DatabaseConnection) -> Result<Vec<MigrationState>, DbErr> {
    database::states::<Migrator>(pool).await
}

/// The watched tables that there are at this point of the history.
async fn existing(manager: &SchemaManager<'_>) -> Result<Vec<TableTriggers>, DbErr> {
    let mut tables = Vec::new();
    for table in watched::tables() {
        if manager.has_table(table.table()).await? {
            tables.push(table);
        }
    }
    Ok(tables)
}
