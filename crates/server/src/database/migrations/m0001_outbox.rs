//! The outbox: which invalidations were committed together with the changes that they tell of.
//!
//! Written as SQL, because both databases' defaults are expressions: the database's own clock and transaction, so that
//! a trigger need not name them. What the columns mean is said in [`crate::outbox`].

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0001_outbox"
    }
}

const SQLITE: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS cache_outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        transaction_id INTEGER NOT NULL DEFAULT 0,
        source TEXT NOT NULL,
        table_name TEXT,
        statement TEXT,
        tags TEXT NOT NULL,
        covered_by TEXT,
        note BLOB,
        created_at_ms INTEGER NOT NULL DEFAULT (CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)),
        published_at_ms INTEGER,
        position TEXT
    )",
    // SQLite tells no transactions apart: the turn does. Each writer and each relay takes a new one.
    "CREATE TABLE IF NOT EXISTS cache_outbox_turn (
        the_one INTEGER PRIMARY KEY CHECK (the_one = 1),
        turn INTEGER NOT NULL
    )",
];

const SQLITE_TURN: &str = "INSERT OR IGNORE INTO cache_outbox_turn (the_one, turn) VALUES (1, 1)";

const POSTGRES: [&str; 1] = ["CREATE TABLE IF NOT EXISTS cache_outbox (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        transaction_id BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
        source TEXT NOT NULL,
        table_name TEXT,
        statement TEXT,
        tags TEXT NOT NULL,
        covered_by TEXT,
        note BYTEA,
        created_at_ms BIGINT NOT NULL DEFAULT (floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint),
        published_at_ms BIGINT,
        position TEXT
    )"];

/// For finding what is not published, what is old, and what a transaction has said already.
const INDEXES: [&str; 2] = [
    "CREATE INDEX IF NOT EXISTS idx_cache_outbox_pending ON cache_outbox (id) WHERE published_at_ms IS NULL",
    "CREATE INDEX IF NOT EXISTS idx_cache_outbox_published ON cache_outbox (published_at_ms)",
];
const SQLITE_SAID: &str = "CREATE INDEX IF NOT EXISTS idx_cache_outbox_said ON cache_outbox (transaction_id, tags) \
                           WHERE source = 'trigger'";
/// An id may be of any length, an index's row may not.
const POSTGRES_SAID: &str = "CREATE INDEX IF NOT EXISTS idx_cache_outbox_said ON cache_outbox \
                             (transaction_id, left(tags, 128)) WHERE source = 'trigger'";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let statements: Vec<&str> = match manager.get_database_backend() {
            DbBackend::Postgres => POSTGRES.into_iter().chain(INDEXES).chain([POSTGRES_SAID]).collect(),
            _ => SQLITE.into_iter().chain([SQLITE_TURN]).chain(INDEXES).chain([SQLITE_SAID]).collect(),
        };
        for statement in statements {
            db.execute_unprepared(statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        db.execute_unprepared("DROP TABLE IF EXISTS cache_outbox").await?;
        db.execute_unprepared("DROP TABLE IF EXISTS cache_outbox_turn").await?;
        Ok(())
    }
}
