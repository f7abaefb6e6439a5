//! The triggers on `SQLite`: one per row.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

use super::{Dialect, Rule, StatementKind, TableTriggers, concerns, name_of, told};

/// A UUID as it stands in a line: it is kept as 16 bytes, or somebody typed it. The bytes are made a text with hyphens
/// when the line is read: here that would be most of the work for each of many rows.
pub(super) fn uuid_text(name: &str) -> String {
    format!("CASE typeof({name}) WHEN 'blob' THEN '\\u' || hex({name}) ELSE lower({name}) END")
}

/// The columns of a table.
pub(super) async fn columns(db: &impl ConnectionTrait, table: &str) -> Result<Vec<String>, DbErr> {
    let names = Statement::from_sql_and_values(
        DbBackend::Sqlite,
        "SELECT name FROM pragma_table_info($1) ORDER BY cid",
        [table.into()],
    );
    db.query_all_raw(names).await?.iter().map(|row| row.try_get("", "name")).collect()
}

pub(super) fn remove(table: &TableTriggers) -> Vec<String> {
    StatementKind::ALL.into_iter().map(|kind| format!("DROP TRIGGER IF EXISTS \"{}\"", name_of(kind, table))).collect()
}

pub(super) fn install(table: &TableTriggers, columns: &[String]) -> Vec<String> {
    StatementKind::ALL.into_iter().filter_map(|kind| trigger(table, kind, columns)).collect()
}

fn trigger(table: &TableTriggers, kind: StatementKind, columns: &[String]) -> Option<String> {
    let rules: Vec<&Rule> = table.rules.iter().filter(|rule| concerns(kind, rule)).collect();
    if rules.is_empty() {
        return None;
    }
    let told = told(Dialect::Sqlite, kind, &rules, "OLD", "NEW");
    let when = if kind == StatementKind::Update {
        let watched = columns.iter().filter(|name| !table.ignored.contains(&name.as_str()));
        let each: Vec<String> = watched.map(|name| format!("OLD.\"{name}\" IS NOT NEW.\"{name}\"")).collect();
        format!("WHEN {}", each.join(" OR "))
    } else {
        String::new()
    };
    let (name, statement) = (name_of(kind, table), kind.as_str());
    // A conflict clause within a trigger would give way to the outer statement's: so it is looked for.
    Some(format!(
        "CREATE TRIGGER \"{name}\" AFTER {statement} ON \"{table}\" FOR EACH ROW {when}
BEGIN
  INSERT INTO cache_outbox (transaction_id, source, table_name, statement, tags, covered_by)
  SELECT now.turn, 'trigger', '{table}', '{statement}', told.line, told.cover FROM cache_outbox_turn AS now, (
      {told}
  ) AS told
  WHERE told.line IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM cache_outbox AS said WHERE said.source = 'trigger' AND said.transaction_id = now.turn
    AND said.tags = told.line AND said.covered_by = told.cover AND said.published_at_ms IS NULL
  );
END",
        table = table.table,
    ))
}
