//! The history of this crate's tables. A migration that was released is never edited; another follows it.

mod m0001_outbox;
mod m0002_sealing;
mod m0003_audit;
mod m0004_records;
mod m0005_flags;
mod m0006_audit_spool_seals;

use sea_orm::{DatabaseConnection, DbErr, DynIden, sea_query::IntoIden as _};
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
        vec![
            Box::new(m0001_outbox::Migration),
            Box::new(m0002_sealing::Migration),
            Box::new(m0003_audit::Migration),
            Box::new(m0004_records::Migration),
            Box::new(m0005_flags::Migration),
            Box::new(m0006_audit_spool_seals::Migration),
        ]
    }

    fn migration_table_name() -> DynIden {
        // The application's own history is in the library's default table.
        "unstale_migrations".into_iden()
    }
}

/// Applies what is missing; nothing if nothing is.
pub async fn migrate_up(pool: &DatabaseConnection) -> Result<(), DbErr> {
    Migrator::up(pool, None).await
}

/// Takes back the last `steps` migrations, or all: with the data in their tables.
pub async fn migrate_down(pool: &DatabaseConnection, steps: Option<u32>) -> Result<(), DbErr> {
    Migrator::down(pool, steps).await
}

/// Every migration and whether it is applied.
pub async fn migrations(pool: &DatabaseConnection) -> Result<Vec<MigrationState>, DbErr> {
    states::<Migrator>(pool).await
}

/// Every migration of an application and whether it is applied.
pub async fn states<M: MigratorTrait>(pool: &DatabaseConnection) -> Result<Vec<MigrationState>, DbErr> {
    let migrations = M::get_migration_with_status_read_only(pool).await?;
    let state = |migration: sea_orm_migration::migrator::Migration| MigrationState {
        name: migration.name().to_owned(),
        is_applied: migration.status() == MigrationStatus::Applied,
    };
    Ok(migrations.into_iter().map(state).collect())
}
