//! How far spools are shipped, in the database: sealed, so that nothing is dropped on anybody else's word. *Does*.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult};

use super::{
    chain::AuditKeys,
    sql::{is_hex_of, read_name, statement},
};

/// How far a spool is shipped, as the database has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// It does not say.
    Missing,
    /// Up to this number: it was sealed so.
    At(u64),
    /// It says something, without a seal. Versions before this one wrote it so; so may anybody.
    Unsealed,
    /// It says something that was not written so.
    Altered,
}

/// How far a spool is shipped. In a transaction that writes it stays so until that ends.
pub(super) async fn mark(db: &impl ConnectionTrait, keys: &AuditKeys, spool: &str) -> Result<Mark, DbErr> {
    // SQLite's whole database is locked already.
    let lock = if db.get_database_backend() == DbBackend::Postgres { " FOR UPDATE" } else { "" };
    let sql = format!("SELECT spool, shipped, seal FROM cache_audit_spools WHERE spool = $1{lock}");
    let row = db.query_one_raw(statement(db, sql, [spool.into()])).await?;
    Ok(row.map_or(Mark::Missing, |row| read_mark(&row, keys).1))
}

/// A spool's name, and how far it is shipped. What is of another type than we write was altered.
pub(super) fn read_mark(row: &QueryResult, keys: &AuditKeys) -> (String, Mark) {
    let spool = read_name(row, "spool");
    let shipped = row.try_get::<i64>("", "shipped").ok().and_then(|shipped| u64::try_from(shipped).ok());
    let seal = row.try_get::<String>("", "seal").ok();
    let mark = match (shipped, seal) {
        (_, Some(seal)) if seal.is_empty() => Mark::Unsealed,
        (Some(shipped), Some(seal)) if is_hex_of(&seal, &keys.seal_mark(&spool, shipped)) => Mark::At(shipped),
        _ => Mark::Altered,
    };
    (spool, mark)
}

/// Forgets a spool whose folder is gone.
pub(super) async fn forget_spool(db: &impl ConnectionTrait, spool: &str) -> Result<(), DbErr> {
    db.execute_raw(statement(db, "DELETE FROM cache_audit_spools WHERE spool = $1", [spool.into()])).await.map(drop)
}
