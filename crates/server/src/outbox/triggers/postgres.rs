//! The triggers on PostgreSQL: one per statement, over its transition tables. The functions run with the rights of who
//! made them: who may change a table need not be allowed to write the outbox.

use super::{CHANNEL, Dialect, Rule, StatementKind, TableTriggers, WRITER_PARAMETER, concerns, name_of, told};
use crate::database::SCHEMA;

/// Before a TRUNCATE the rows are still there: they are told as if each were deleted.
const TRUNCATE: &str = "truncate";

fn truncate_name(table: &TableTriggers) -> String {
    format!("outbox_{}_{TRUNCATE}", table.table)
}

pub(super) fn remove(table: &TableTriggers) -> Vec<String> {
    let names = StatementKind::ALL.into_iter().map(|kind| name_of(kind, table)).chain([truncate_name(table)]);
    // With its trigger.
    names.map(|name| format!("DROP FUNCTION IF EXISTS {} CASCADE", Dialect::Postgres.table(&name))).collect()
}

pub(super) fn install(table: &TableTriggers) -> Vec<String> {
    let mut statements = Vec::new();
    let on = Dialect::Postgres.table(table.table);
    for kind in StatementKind::ALL {
        let rules: Vec<&Rule> = table.rules.iter().filter(|rule| concerns(kind, rule)).collect();
        if rules.is_empty() {
            continue;
        }
        let (name, rows) = (name_of(kind, table), rows(table, kind));
        let referencing = match kind {
            StatementKind::Insert => "REFERENCING NEW TABLE AS new_rows",
            StatementKind::Delete => "REFERENCING OLD TABLE AS old_rows",
            StatementKind::Update => "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
        };
        statements.push(function(table, &name, kind, &rules, &rows));
        statements.push(format!(
            "CREATE TRIGGER \"{name}\" AFTER {} ON {on} {referencing} FOR EACH STATEMENT EXECUTE FUNCTION {}()",
            kind.as_str(),
            Dialect::Postgres.table(&name)
        ));
        if kind == StatementKind::Delete {
            let name = truncate_name(table);
            statements.push(function(table, &name, kind, &rules, &format!("{on} AS o")));
            statements.push(format!(
                "CREATE TRIGGER \"{name}\" BEFORE TRUNCATE ON {on} FOR EACH STATEMENT EXECUTE FUNCTION {}()",
                Dialect::Postgres.table(&name)
            ));
        }
    }
    statements
}

/// The rows that a statement concerns: `o` as they were, `n` as they are.
fn rows(table: &TableTriggers, kind: StatementKind) -> String {
    match kind {
        StatementKind::Insert => "new_rows AS n".to_owned(),
        StatementKind::Delete => "old_rows AS o".to_owned(),
        StatementKind::Update => {
            // A row whose key was changed is one that went and another that came.
            let same = table.key.iter().map(|name| format!("o.\"{name}\" = n.\"{name}\""));
            format!("old_rows AS o FULL JOIN new_rows AS n ON {}", same.collect::<Vec<_>>().join(" AND "))
        }
    }
}

fn function(table: &TableTriggers, name: &str, kind: StatementKind, rules: &[&Rule], rows: &str) -> String {
    let told = told(Dialect::Postgres, kind, rules, "o", "n");
    let changed = if kind == StatementKind::Update {
        let ignored: Vec<String> = table.ignored.iter().map(|name| format!("'{name}'")).collect();
        let ignored = format!("ARRAY[{}]::text[]", ignored.join(", "));
        format!("(to_jsonb(o) - {ignored}) IS DISTINCT FROM (to_jsonb(n) - {ignored}) AND ")
    } else {
        String::new()
    };
    let (function, outbox) = (Dialect::Postgres.table(name), Dialect::Postgres.table("cache_outbox"));
    // Rows that a restore brought may carry the number of this transaction: they are older than it.
    format!(
        "CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, \"{SCHEMA}\" AS $outbox$
BEGIN
  INSERT INTO {outbox} (source, table_name, statement, tags, covered_by)
  SELECT DISTINCT 'trigger', '{table}', '{statement}', told.line, told.cover
  FROM {rows} CROSS JOIN LATERAL (
      {told}
  ) AS told
  WHERE {changed}told.line IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM {outbox} AS said WHERE said.source = 'trigger'
    AND said.transaction_id = pg_current_xact_id()::text::bigint
    AND left(said.tags, 128) = left(told.line, 128) AND said.tags = told.line AND said.covered_by = told.cover
    AND said.published_at_ms IS NULL AND said.created_at_ms >= floor(extract(epoch FROM now()) * 1000)::bigint
  );
  IF current_setting('{WRITER_PARAMETER}', true) IS DISTINCT FROM 'on' THEN
    PERFORM pg_notify('{CHANNEL}', '');
  END IF;
  RETURN NULL;
END
$outbox$",
        table = table.table,
        statement = kind.as_str(),
    )
}
