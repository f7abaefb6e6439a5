//! Opening a database: SQLite (the embedded default) or PostgreSQL.

use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DbErr};

use crate::outbox::triggers::WRITER_PARAMETER;

/// The schema on PostgreSQL.
pub const SCHEMA: &str = "migration";

/// The limits of a connection pool, each with its default.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// Connections at once.
    pub connections_max: u32,
    /// How long a call waits for a connection.
    pub acquire_timeout: Duration,
    /// How long a statement may run (PostgreSQL), or wait for another's lock (SQLite).
    pub statement_timeout: Duration,
    /// After this an unused connection is closed.
    pub idle_timeout: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            connections_max: 16,
            acquire_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(600),
        }
    }
}

/// Opens `sqlite://…?mode=rwc` or `postgres://…`; on PostgreSQL the schema [`SCHEMA`] is made if it is missing.
///
/// `application` is what the database shows as the connections' owner.
pub async fn connect(url: &str, application: &str, limits: &PoolLimits) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url.to_owned());
    options
        .max_connections(limits.connections_max)
        .acquire_timeout(limits.acquire_timeout)
        .idle_timeout(limits.idle_timeout)
        .sqlx_logging(false)
        // Statements hold no values, but spans are labels, and texts of SQL are no good labels.
        .record_stmt_in_spans(false);
    if url.starts_with("sqlite:") {
        sqlite(&mut options, url, limits);
        return Database::connect(options).await;
    }
    if !url.starts_with("postgres:") && !url.starts_with("postgresql:") {
        // The text may hold a password and is not repeated.
        return Err(DbErr::Custom(
            "the database's URL has to begin with sqlite:// or postgres://, such as sqlite://platform.db?mode=rwc"
                .to_owned(),
        ));
    }
    options.set_schema_search_path(SCHEMA).statement_timeout(limits.statement_timeout);
    options.set_application_name(application);
    // Writers publish by themselves: their changes need wake no relay.
    options.map_sqlx_postgres_opts(|postgres| postgres.options([(WRITER_PARAMETER, "on")]));
    let pool = Database::connect(options).await?;
    // Asked first: creating needs a right that the platform's own user may not have.
    let exists = sea_orm::Statement::from_sql_and_values(
        pool.get_database_backend(),
        "SELECT 1 FROM information_schema.schemata WHERE schema_name = $1",
        [SCHEMA.into()],
    );
    if pool.query_one_raw(exists).await?.is_none() {
        pool.execute_unprepared(&format!("CREATE SCHEMA IF NOT EXISTS {SCHEMA}")).await?;
    }
    Ok(pool)
}

fn sqlite(options: &mut ConnectOptions, url: &str, limits: &PoolLimits) {
    // Every connection to `:memory:` is a database of its own, and it dies with its last connection.
    if url.contains(":memory:") || url.contains("mode=memory") {
        options.max_connections(1).min_connections(1).idle_timeout(None::<Duration>).max_lifetime(None::<Duration>);
    }
    let busy_timeout = limits.statement_timeout;
    options.map_sqlx_sqlite_opts(move |sqlite| {
        use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
        sqlite
            .journal_mode(SqliteJournalMode::Wal)
            // Safe with a write-ahead log: a power cut may take the last commits, never the database.
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            // What is deleted is overwritten: a subject's key that was destroyed must not be found in a free page.
            .pragma("secure_delete", "ON")
            .busy_timeout(busy_timeout)
    });
}
