//! Rules in the database, and every change of them.

use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound as _, Utc};
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement, Value};

use super::Rule;

/// A change of a flag.
#[derive(Clone, Debug, PartialEq, FromQueryResult)]
pub struct Change {
    /// The rule as it was saved.
    pub rule: String,
    /// Who changed it.
    pub changed_by: String,
    /// When.
    pub changed_at: DateTime<Utc>,
}

pub(super) async fn all(connection: &impl ConnectionTrait) -> Result<BTreeMap<String, String>, DbErr> {
    let select = Statement::from_string(connection.get_database_backend(), "SELECT key, rule FROM feature_flags");
    let rows = connection.query_all_raw(select).await?;
    rows.iter().map(|row| Ok((row.try_get("", "key")?, row.try_get("", "rule")?))).collect()
}

/// Saves a rule, within the transaction of a write that announces it.
pub async fn save(
    connection: &impl ConnectionTrait,
    key: &str,
    rule: &Rule,
    by: &str,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let text = serde_json::to_string(rule).expect("a rule is JSON");
    let values = || [key.into(), text.clone().into(), by.into(), now.trunc_subsecs(6).into()];
    let run = async |sql: &str, values: [Value; 4]| {
        connection
            .execute_raw(Statement::from_sql_and_values(connection.get_database_backend(), sql, values))
            .await
            .map(drop)
    };
    run(
        "INSERT INTO feature_flags (key, rule, updated_by, updated_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (key) DO UPDATE SET rule = excluded.rule, updated_by = excluded.updated_by, \
         updated_at = excluded.updated_at",
        values(),
    )
    .await?;
    run("INSERT INTO feature_flag_changes (key, rule, changed_by, changed_at) VALUES ($1, $2, $3, $4)", values()).await
}

/// The newest changes of a flag, newest first.
pub async fn history(connection: &impl ConnectionTrait, key: &str, changes_max: u32) -> Result<Vec<Change>, DbErr> {
    let sql = "SELECT rule, changed_by, changed_at FROM feature_flag_changes WHERE key = $1 ORDER BY id DESC LIMIT $2";
    let values = [key.into(), i64::from(changes_max).into()];
    let select = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    Change::find_by_statement(select).all(connection).await
}
