//! The table's rows and the statements on them, for both databases.
//!
//! `tags` are lines (see [`super::line`]). `published_at_ms` says that the log holds them, and `position` where. A row
//! of a trigger names the table and the kind of statement, and in `covered_by` what its readers read, too.
//! Times are the database's own.

use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, QueryResult, SqliteTransactionMode, Statement,
    TransactionOptions, Value,
};
use unstale::{Invalidation, Tag};

use super::{
    compare::{StatementKind, Triggered},
    line,
};
use crate::database::SCHEMA;

/// Rows that one statement inserts or marks: three values each.
const ROWS_PER_STATEMENT: usize = 500;

/// The kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    pub(super) fn of(db: &impl ConnectionTrait) -> Self {
        match db.get_database_backend() {
            DbBackend::Postgres => Self::Postgres,
            _ => Self::Sqlite,
        }
    }

    fn backend(self) -> DbBackend {
        match self {
            Self::Sqlite => DbBackend::Sqlite,
            Self::Postgres => DbBackend::Postgres,
        }
    }

    /// A table of the schema, whatever the search path.
    pub(super) fn table(self, name: &str) -> String {
        match self {
            Self::Sqlite => format!("\"{name}\""),
            Self::Postgres => format!("\"{SCHEMA}\".\"{name}\""),
        }
    }

    fn now_ms(self) -> &'static str {
        match self {
            Self::Sqlite => "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)",
            Self::Postgres => "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
        }
    }

    fn statement(self, sql: String, values: impl IntoIterator<Item = Value>) -> Statement {
        Statement::from_sql_and_values(self.backend(), sql, values)
    }

    fn outbox(self) -> String {
        self.table("cache_outbox")
    }

    /// On `SQLite` the write lock is taken at once: a transaction that reads first and then wants to write is refused
    /// if another wrote in between, and no waiting helps it.
    pub(super) fn options(self) -> TransactionOptions {
        TransactionOptions {
            sqlite_transaction_mode: (self == Self::Sqlite).then_some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        }
    }
}

/// A row that is not published, or is to be published again.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) tags: String,
    pub(super) note: Vec<u8>,
    pub(super) position: Option<String>,
}

impl Row {
    fn of(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.try_get("", "id")?,
            tags: row.try_get("", "tags")?,
            note: row.try_get::<Option<Vec<u8>>>("", "note")?.unwrap_or_default(),
            position: row.try_get("", "position")?,
        })
    }
}

/// What is not published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxStatus {
    /// Rows that are not published, or not yet marked so; counted up to [`PENDING_COUNTED_MAX`].
    pub pending: u64,
    /// How old the oldest of them is.
    pub oldest_pending_ms: u64,
}

/// Pending rows are counted up to here.
pub const PENDING_COUNTED_MAX: u64 = 10_000;

/// PostgreSQL: ends this transaction, and its session, if it is without a statement for so long: its client may be gone
/// without a word, and the connection's own end may take hours.
pub(super) async fn hold_for(db: &impl ConnectionTrait, dialect: Dialect, held_max: Duration) -> Result<(), DbErr> {
    if dialect == Dialect::Postgres {
        // Zero would be for ever.
        let held_ms = held_max.as_millis().clamp(1, 86_400_000);
        let sql = format!("SET LOCAL idle_in_transaction_session_timeout = {held_ms}");
        db.execute_unprepared(&sql).await?;
    }
    Ok(())
}

/// `SQLite`: begins a new turn, so that rows of triggers that were written before are told from those written after.
pub(super) async fn new_turn(db: &impl ConnectionTrait, dialect: Dialect) -> Result<(), DbErr> {
    if dialect == Dialect::Sqlite {
        db.execute_unprepared("UPDATE cache_outbox_turn SET turn = turn + 1").await?;
    }
    Ok(())
}

/// Takes the rows that triggers wrote in this transaction out of the table.
pub(super) async fn take_triggered(db: &impl ConnectionTrait, dialect: Dialect) -> Result<Vec<Triggered>, DbErr> {
    let this_transaction = match dialect {
        Dialect::Sqlite => "(SELECT turn FROM cache_outbox_turn)",
        Dialect::Postgres => "pg_current_xact_id()::text::bigint",
    };
    let sql = format!(
        "DELETE FROM {} WHERE source = 'trigger' AND published_at_ms IS NULL AND transaction_id = {this_transaction} \
         RETURNING id, table_name, statement, tags, covered_by",
        dialect.outbox()
    );
    let mut rows = Vec::new();
    for row in db.query_all_raw(dialect.statement(sql, [])).await? {
        rows.push((row.try_get::<i64>("", "id")?, triggered(&row)?));
    }
    rows.sort_unstable_by_key(|(id, _)| *id);
    Ok(rows.into_iter().flat_map(|(_, rows)| rows).collect())
}

fn triggered(row: &QueryResult) -> Result<Vec<Triggered>, DbErr> {
    let (table, text): (String, String) = (row.try_get("", "table_name")?, row.try_get("", "tags")?);
    let statement = StatementKind::parse(&row.try_get::<String>("", "statement")?).unwrap_or(StatementKind::Update);
    let covered_by = tags(&row.try_get::<Option<String>>("", "covered_by")?.unwrap_or_default());
    let is_named = text.starts_with(line::COMPARABLE);
    let of_tag = |tag| Triggered { table: table.clone(), statement, tag, covered_by: covered_by.clone(), is_named };
    Ok(tags(&text).into_iter().map(of_tag).collect())
}

/// The tags of a row. One that cannot be read cannot have been read by anybody either, as its tag: it is told, and
/// stops nothing.
pub(super) fn tags(text: &str) -> Vec<Tag> {
    line::read(text).unwrap_or_else(|_| {
        tracing::error!(
            bytes = text.len(),
            "a row of the outbox holds what is no tag: check the declaration of the triggers that wrote it"
        );
        // The others of the row all the same.
        text.split('\n').filter_map(|one| line::read(one).ok()).flatten().collect()
    })
}

/// Writes what an application declared. Returns the rows' ids, in the order of the invalidations.
pub(super) async fn insert(
    db: &impl ConnectionTrait,
    dialect: Dialect,
    invalidations: &[Invalidation],
) -> Result<Vec<i64>, DbErr> {
    let mut ids = Vec::with_capacity(invalidations.len());
    for some in invalidations.chunks(ROWS_PER_STATEMENT) {
        let places: Vec<String> =
            (0..some.len()).map(|at| format!("('application', ${}, ${})", 2 * at + 1, 2 * at + 2)).collect();
        let values = some.iter().flat_map(|one| {
            let note = one.noted();
            [line::write(one.tags()).into(), (!note.is_empty()).then(|| note.to_vec()).into()]
        });
        let sql =
            format!("INSERT INTO {} (source, tags, note) VALUES {} RETURNING id", dialect.outbox(), places.join(", "));
        let mut inserted = Vec::with_capacity(some.len());
        for row in db.query_all_raw(dialect.statement(sql, values)).await? {
            inserted.push(row.try_get::<i64>("", "id")?);
        }
        // Given out in the order of the values; told in any.
        inserted.sort_unstable();
        ids.extend(inserted);
    }
    Ok(ids)
}

/// Whether there is anything for a relay.
pub(super) async fn has_due(db: &impl ConnectionTrait, dialect: Dialect, grace_ms: i64) -> Result<bool, DbErr> {
    let sql = format!("SELECT 1 AS one FROM {} WHERE {} LIMIT 1", dialect.outbox(), due(dialect));
    Ok(db.query_one_raw(dialect.statement(sql, [grace_ms.into()])).await?.is_some())
}

/// The oldest rows that a relay is to publish. On PostgreSQL they stay locked until the transaction ends, and those
/// that another relay has locked are left to it.
pub(super) async fn due_rows(
    db: &impl ConnectionTrait,
    dialect: Dialect,
    grace_ms: i64,
    rows_max: u32,
) -> Result<Vec<Row>, DbErr> {
    let lock = if dialect == Dialect::Postgres { "FOR UPDATE SKIP LOCKED" } else { "" };
    let sql = format!(
        "SELECT id, tags, note, position FROM {} WHERE {} ORDER BY id LIMIT {rows_max} {lock}",
        dialect.outbox(),
        due(dialect)
    );
    db.query_all_raw(dialect.statement(sql, [grace_ms.into()])).await?.iter().map(Row::of).collect()
}

/// What bypassed the application at once; what an application wrote when its writer has had its time, or when its time is
/// yet to come: then the database's clock was put back, and would be waited for.
fn due(dialect: Dialect) -> String {
    let now = dialect.now_ms();
    format!(
        "published_at_ms IS NULL AND (source = 'trigger' OR created_at_ms NOT BETWEEN {now} - CAST($1 AS BIGINT) + 1 AND {now})"
    )
}

/// Marks rows as published, with where they stand in the log.
pub(super) async fn mark(
    db: &impl ConnectionTrait,
    dialect: Dialect,
    marks: &[(i64, Option<String>)],
) -> Result<(), DbErr> {
    for some in marks.chunks(ROWS_PER_STATEMENT) {
        let each = (0..some.len()).map(|at| {
            let (id, position) = (2 * at + 1, 2 * at + 2);
            format!("SELECT CAST(${id} AS BIGINT) AS id, CAST(${position} AS TEXT) AS position")
        });
        let each = each.collect::<Vec<_>>().join(" UNION ALL ");
        let outbox = dialect.outbox();
        let sql = format!(
            "UPDATE {outbox} SET published_at_ms = {}, position = said.position FROM ({each}) AS said \
             WHERE {outbox}.id = said.id",
            dialect.now_ms()
        );
        let values = some.iter().flat_map(|(id, position)| [(*id).into(), position.clone().into()]);
        db.execute_raw(dialect.statement(sql, values)).await?;
    }
    Ok(())
}

/// Published rows after `after`, the oldest first.
pub(super) async fn published_after(
    db: &impl ConnectionTrait,
    dialect: Dialect,
    after: i64,
    window_ms: i64,
    rows_max: u32,
) -> Result<Vec<Row>, DbErr> {
    let sql = format!(
        "SELECT id, tags, note, position FROM {} WHERE id > CAST($1 AS BIGINT) AND published_at_ms IS NOT NULL \
         AND published_at_ms >= {} - CAST($2 AS BIGINT) ORDER BY id LIMIT {rows_max}",
        dialect.outbox(),
        dialect.now_ms()
    );
    let statement = dialect.statement(sql, [after.into(), window_ms.into()]);
    db.query_all_raw(statement).await?.iter().map(Row::of).collect()
}

/// How much waits.
pub(super) async fn status(db: &impl ConnectionTrait, dialect: Dialect) -> Result<OutboxStatus, DbErr> {
    let sql = format!(
        "SELECT CAST(count(*) AS BIGINT) AS pending, CAST(coalesce({} - min(created_at_ms), 0) AS BIGINT) AS age FROM \
         (SELECT created_at_ms FROM {} WHERE published_at_ms IS NULL ORDER BY id LIMIT {PENDING_COUNTED_MAX}) AS pending",
        dialect.now_ms(),
        dialect.outbox()
    );
    let Some(row) = db.query_one_raw(dialect.statement(sql, [])).await? else { return Ok(OutboxStatus::default()) };
    let natural = |number: i64| u64::try_from(number).unwrap_or_default();
    Ok(OutboxStatus {
        pending: natural(row.try_get("", "pending")?),
        oldest_pending_ms: natural(row.try_get("", "age")?),
    })
}

/// Forgets published rows that are older than the window, or that are too many: `rows_max` of them at most. Returns how
/// many it forgot.
pub(super) async fn prune(
    pool: &DatabaseConnection,
    dialect: Dialect,
    window_ms: i64,
    kept_max: u32,
    rows_max: u32,
) -> Result<u64, DbErr> {
    let (outbox, now) = (dialect.outbox(), dialect.now_ms());
    let sql = format!(
        "DELETE FROM {outbox} WHERE id IN (SELECT id FROM {outbox} WHERE published_at_ms IS NOT NULL AND \
         (published_at_ms < {now} - CAST($1 AS BIGINT) OR id <= coalesce((SELECT id FROM {outbox} \
         WHERE published_at_ms IS NOT NULL ORDER BY id DESC LIMIT 1 OFFSET {kept_max}), -1)) ORDER BY id LIMIT {rows_max})"
    );
    Ok(pool.execute_raw(dialect.statement(sql, [window_ms.into()])).await?.rows_affected())
}
