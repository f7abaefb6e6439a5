//! What the trail's tables are read and written with: statements, numbers, names and MACs. *Does*.

use blake3::Hash;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, QueryResult, SqliteTransactionMode,
    SqlxSqliteConnector, Statement, TransactionOptions, TransactionTrait as _, Value,
    sqlx::{
        ConnectOptions as _,
        sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
    },
};

pub(super) fn statement(
    db: &impl ConnectionTrait,
    sql: impl Into<String>,
    values: impl IntoIterator<Item = Value>,
) -> Statement {
    Statement::from_sql_and_values(db.get_database_backend(), sql, values)
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The same database; on SQLite over one connection of its own, whose commits are on disk when they return. (Those of the
/// others are not: a power cut may take the last of them.)
pub(super) fn synced(pool: &DatabaseConnection) -> DatabaseConnection {
    if pool.get_database_backend() != DbBackend::Sqlite {
        return pool.clone();
    }
    let shared = pool.get_sqlite_connection_pool();
    let options = shared.connect_options();
    if options.to_url_lossy().query_pairs().any(|(name, value)| name == "mode" && value == "memory") {
        // It has no file, and lives on its one connection.
        return pool.clone();
    }
    let options = SqliteConnectOptions::clone(&options).synchronous(SqliteSynchronous::Full);
    let limits = SqlitePoolOptions::new().max_connections(1).acquire_timeout(shared.options().get_acquire_timeout());
    SqlxSqliteConnector::from_sqlx_sqlite_pool(limits.connect_lazy_with(options))
}

/// Begins a transaction that writes. On SQLite it takes the one write lock at once.
pub(super) async fn begin(pool: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let is_sqlite = pool.get_database_backend() == DbBackend::Sqlite;
    let options = TransactionOptions {
        sqlite_transaction_mode: is_sqlite.then_some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    pool.begin_with_options(options).await
}

/// A name, also of bytes that were put in its place (SQLite keeps any type in any column).
pub(super) fn read_name(row: &QueryResult, name: &str) -> String {
    let bytes = || String::from_utf8_lossy(&row.try_get::<Vec<u8>>("", name).unwrap_or_default()).into_owned();
    row.try_get("", name).unwrap_or_else(|_| bytes())
}

/// No record's MAC.
pub(super) const NO_MAC: Hash = Hash::from_bytes([0xff; 32]);

pub(super) fn read_mac(row: &QueryResult, name: &str) -> Result<Hash, DbErr> {
    let hex: String = row.try_get("", name)?;
    Ok(Hash::from_hex(&hex).ok().filter(|mac| mac.to_hex().as_str() == hex).unwrap_or(NO_MAC))
}

/// Whether a text is this hash, written as we write it. Takes as long for one that is nearly it.
pub(super) fn is_hex_of(text: &str, hash: &Hash) -> bool {
    Hash::from_hex(text).is_ok_and(|read| read == *hash && read.to_hex().as_str() == text)
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::{
        audit::{
            chain::AuditKeys,
            marks::{Mark, mark},
        },
        testing::database::TestDatabase,
    };

    #[tokio::test]
    async fn what_is_to_outlive_the_machine_is_committed_to_disk() {
        let database = TestDatabase::sqlite();
        let pool = database.migrated().await;
        let own = synced(&pool);
        let insert = "INSERT INTO cache_audit_spools (spool, shipped, at_ms, seal) VALUES ('s', 1, 1, '')";
        own.execute_unprepared(insert).await.unwrap();
        assert_eq!(mark(&pool, &AuditKeys::derive(b"secret"), "s").await.unwrap(), Mark::Unsealed, "it is the same");
        for (pool, full_is_2) in [(&own, 2), (&pool, 1)] {
            let row = pool.query_one_raw(statement(pool, "PRAGMA synchronous", [])).await.unwrap().unwrap();
            assert_eq!(row.try_get_by_index::<i32>(0).unwrap(), full_is_2);
        }
    }
}
