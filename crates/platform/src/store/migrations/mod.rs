//! The schema's history. A migration that was released is never edited; another follows it.

mod m0001_platform;
mod m0002_outbox_triggers;

use sea_orm::{DatabaseConnection, DbErr};
use sea_orm_migration::{MigrationTrait, MigratorTrait};
use unstale_server::database::{self, MigrationState};

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m0001_platform::Migration), Box::new(m0002_outbox_triggers::Migration)]
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
