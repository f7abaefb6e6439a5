//! The heads of chains, in the database. *Does*.

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbBackend, DbErr, QueryResult, Value};

use super::{
    chain::{AuditKeys, Head},
    sql::{read_mac, read_name, signed, statement, unsigned},
};

pub(super) async fn lock_head(
    transaction: &DatabaseTransaction,
    keys: &AuditKeys,
    tenant: &str,
) -> Result<Option<(Head, bool)>, DbErr> {
    // SQLite's whole database is locked already.
    let lock = if transaction.get_database_backend() == DbBackend::Postgres { " FOR UPDATE" } else { "" };
    let sql = format!("SELECT * FROM cache_audit_heads WHERE tenant = $1{lock}");
    let row = transaction.query_one_raw(statement(transaction, sql, [tenant.into()])).await?;
    Ok(row.map(|row| read_head(&row, keys)))
}

/// A head, and whether its seal is right. What is of another type than we write it has none.
pub(super) fn read_head(row: &QueryResult, keys: &AuditKeys) -> (Head, bool) {
    let read = || {
        let number = |name| Ok::<_, DbErr>(unsigned(row.try_get::<i64>("", name)?));
        let head = Head {
            tenant: row.try_get("", "tenant")?,
            number: number("number")?,
            mac: read_mac(row, "mac")?,
            pruned: number("pruned")?,
            pruned_mac: read_mac(row, "pruned_mac")?,
        };
        let is_sealed = read_mac(row, "seal")? == keys.seal(&head);
        Ok::<_, DbErr>((head, is_sealed))
    };
    read().unwrap_or_else(|_| (Head::empty(&read_name(row, "tenant")), false))
}

pub(super) async fn save_head(transaction: &DatabaseTransaction, keys: &AuditKeys, head: &Head) -> Result<(), DbErr> {
    let save = statement(
        transaction,
        "INSERT INTO cache_audit_heads (tenant, number, mac, pruned, pruned_mac, seal) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (tenant) DO UPDATE SET number = excluded.number, mac = excluded.mac, pruned = excluded.pruned, \
         pruned_mac = excluded.pruned_mac, seal = excluded.seal",
        values_of_head(keys, head),
    );
    transaction.execute_raw(save).await.map(drop)
}

/// Writes a head; if it is known what it was `before`, only as long as it is that. Says whether it did.
pub(super) async fn save_head_after(
    transaction: &DatabaseTransaction,
    keys: &AuditKeys,
    head: &Head,
    before: Option<&Head>,
) -> Result<bool, DbErr> {
    let Some(before) = before else { return save_head(transaction, keys, head).await.map(|()| true) };
    // All of it is compared, so that nothing that was altered is made good.
    let save = statement(
        transaction,
        "UPDATE cache_audit_heads SET number = $2, mac = $3, pruned = $4, pruned_mac = $5, seal = $6 WHERE tenant = $1 \
         AND number = $7 AND mac = $8 AND pruned = $9 AND pruned_mac = $10 AND seal = $11",
        values_of_head(keys, head).into_iter().chain(values_of_head(keys, before).into_iter().skip(1)),
    );
    Ok(transaction.execute_raw(save).await?.rows_affected() == 1)
}

pub(super) fn values_of_head(keys: &AuditKeys, head: &Head) -> [Value; 6] {
    let seal = keys.seal(head);
    [
        head.tenant.as_str().into(),
        signed(head.number).into(),
        head.mac.to_hex().to_string().into(),
        signed(head.pruned).into(),
        head.pruned_mac.to_hex().to_string().into(),
        seal.to_hex().to_string().into(),
    ]
}
