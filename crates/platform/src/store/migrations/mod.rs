//! The schema's history. A migration that was released is never edited; another follows it.

mod m0001_platform;

use sea_orm::{DatabaseConnection, DbErr};
use sea_orm_migration::{MigrationStatus, MigrationTrait, MigratorTrait};

/// A migration and whether it is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationState {
    /// Its name.
    pub name: String,
    /// Whether it is applied.
    pub is_applied: bool,
}

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m0001_platform::Migration)]
    }
}

pub(super) async fn up(pool: &DatabaseConnection) -> Result<(), DbErr> {
    Migrator::up(pool, None).await
}

pub(super) async fn down(pool: &DatabaseConnection, steps: Option<u32>) -> Result<(), DbErr> {
    Migrator::down(pool, steps).await
}

pub(super) async fn states(pool: &DatabaseConnection) -> Result<Vec<MigrationState>, DbErr> {
    let migrations = Migrator::get_migration_with_status_read_only(pool).await?;
    let state = |migration: sea_orm_migration::migrator::Migration| MigrationState {
        name: migration.name().to_owned(),
        is_applied: migration.status() == MigrationStatus::Applied,
    };
    Ok(migrations.into_iter().map(state).collect())
}
