//! A database for one test, of either kind.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use sea_orm::{ConnectionTrait as _, DatabaseConnection};
use unstale::testing::Folder;

use super::postgres;
use crate::database::{PoolLimits, connect, migrate_up};

/// Numbers the databases of this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A database of one test's own; what it left in the file system goes with it.
#[derive(Debug)]
pub struct TestDatabase {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Sqlite(Folder),
    Postgres(String),
}

impl TestDatabase {
    /// A file.
    pub fn sqlite() -> Self {
        Self { kind: Kind::Sqlite(Folder::new()) }
    }

    /// One on the PostgreSQL server of this process.
    pub async fn postgres() -> Self {
        let name = format!("test_{}", NEXT.fetch_add(1, Relaxed));
        let admin = sea_orm::Database::connect(postgres::server().url("postgres")).await.expect("the server answers");
        admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("its own name is free");
        admin.close().await.expect("the connection closes");
        Self { kind: Kind::Postgres(name) }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        match &self.kind {
            Kind::Sqlite(folder) => format!("sqlite://{}?mode=rwc", folder.path().join("test.db").display()),
            Kind::Postgres(name) => postgres::server().url(name),
        }
    }

    /// Opens it with few connections; empty at first.
    pub async fn open(&self) -> DatabaseConnection {
        let limits = PoolLimits { connections_max: 4, ..PoolLimits::default() };
        connect(&self.url(), "test", &limits).await.expect("the database opens")
    }

    /// Opens it with this crate's tables.
    pub async fn migrated(&self) -> DatabaseConnection {
        let pool = self.open().await;
        migrate_up(&pool).await.expect("the migrations apply");
        pool
    }
}

/// Declares each test twice: over SQLite and over PostgreSQL. A test takes its [`TestDatabase`].
#[macro_export]
macro_rules! on_both_databases {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $name() {
                super::$name($crate::testing::database::TestDatabase::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test] async fn $name() {
                super::$name($crate::testing::database::TestDatabase::postgres().await).await;
            })*
        }
    };
}
