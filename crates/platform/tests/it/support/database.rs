//! A database for one test.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use platform::store::{PoolLimits, Store};
use sea_orm::ConnectionTrait as _;

use super::postgres;

/// Numbers the databases of this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A database of one test's own; what it left in the file system goes with it.
pub struct Database {
    kind: Kind,
}

enum Kind {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Database {
    pub fn sqlite() -> Self {
        let number = NEXT.fetch_add(1, Relaxed);
        let file = std::env::temp_dir().join(format!("platform-{}-{number}.db", std::process::id()));
        Self { kind: Kind::Sqlite(file) }
    }

    pub fn postgres() -> Self {
        Self { kind: Kind::Postgres(format!("test_{}", NEXT.fetch_add(1, Relaxed))) }
    }

    /// An empty store; called once.
    pub async fn empty(&self) -> Store {
        let limits = PoolLimits { connections_max: 4, ..PoolLimits::default() };
        let url = match &self.kind {
            Kind::Sqlite(file) => format!("sqlite://{}?mode=rwc", file.display()),
            Kind::Postgres(name) => {
                let server = postgres::server();
                let admin = sea_orm::Database::connect(server.url("postgres")).await.unwrap();
                admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
                admin.close().await.unwrap();
                server.url(name)
            }
        };
        Store::connect_within(&url, &limits).await.unwrap()
    }

    /// A store with all tables; called once.
    pub async fn migrated(&self) -> Store {
        let store = self.empty().await;
        store.migrate_up().await.unwrap();
        store
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Kind::Sqlite(file) = &self.kind {
            for suffix in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{}{suffix}", file.display()));
            }
        }
    }
}
