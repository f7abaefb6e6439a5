//! Triggers that write the outbox for changes of a table, made from one declaration: which tags a row's columns make.
//!
//! ```
//! use unstale_server::outbox::triggers::{TableTriggers, TagColumns, uuid};
//!
//! let flow = || TagColumns::of(uuid("client_id"), "flow", Some(uuid("id")));
//! let flows_in = TagColumns::of(uuid("client_id"), "flows_in", Some(uuid("engagement_id")));
//! let flow_set = TagColumns::shared("flow_set", Some(uuid("engagement_id")));
//!
//! let flows = TableTriggers::new("flows", &["id"])
//!     .always(flow())
//!     .always(flows_in)
//!     // Which flows an engagement has: not when one is merely renamed.
//!     .when_changed(&["engagement_id"], flow_set);
//! # let _ = flows;
//! ```
//!
//! A migration calls [`install`] with all declarations, and [`remove`] on its way down; both may be called again and
//! again. A migration that changes the columns of a declared table installs its triggers anew.
//!
//! # What is told
//! - INSERT, UPDATE and DELETE tell the tags of the rows as they were and as they are, cascades included. An UPDATE that
//!   changes nothing, or only columns that are [ignored](TableTriggers::ignoring), tells nothing.
//! - A tag with a column that is NULL is none.
//! - PostgreSQL: one trigger per statement, over all its rows; COPY and TRUNCATE, too. Rows that logical replication
//!   applies fire no triggers, nor do statements under `session_replication_role = replica`.
//! - `SQLite`: one trigger per row. What a REPLACE removes is told only under `PRAGMA recursive_triggers`.
//!
//! # What it must not know
//! What the tags mean, who reads them.

mod postgres;
mod sqlite;

use sea_orm::{ConnectionTrait, DbErr};

use super::{compare::StatementKind, line, rows::Dialect};

/// The channel on which PostgreSQL's triggers wake the relays.
pub(super) const CHANNEL: &str = "unstale_outbox";
/// The parameter that is `on` in sessions whose writers publish by themselves: nobody need be woken.
pub(crate) const WRITER_PARAMETER: &str = "unstale.writer";

/// A column, and how its value is written in a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    name: &'static str,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Uuid,
    Text,
    Comparable,
}

/// A UUID, hyphenated and in lower case, however the database keeps it.
pub const fn uuid(name: &'static str) -> Column {
    Column { name, form: Form::Uuid }
}

/// A text or a whole number, as it is.
pub const fn text(name: &'static str) -> Column {
    Column { name, form: Form::Text }
}

/// What people call something, compared as [`comparable`](super::comparable) says.
pub const fn named(name: &'static str) -> Column {
    Column { name, form: Form::Comparable }
}

/// A tag made of a row's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagColumns {
    kind: &'static str,
    /// None if the tag is shared.
    tenant: Option<Column>,
    id: Option<Column>,
}

impl TagColumns {
    /// The tag `kind` of a tenant. For a list without an id, `id` is none.
    pub const fn of(tenant: Column, kind: &'static str, id: Option<Column>) -> Self {
        Self { kind, tenant: Some(tenant), id }
    }

    /// A shared tag.
    pub const fn shared(kind: &'static str, id: Option<Column>) -> Self {
        Self { kind, tenant: None, id }
    }

    fn is_named(&self) -> bool {
        self.id.is_some_and(|id| id.form == Form::Comparable)
    }
}

/// The name of the trigger on a table.
fn name_of(kind: StatementKind, table: &TableTriggers) -> String {
    format!("outbox_{}_{}", table.table, kind.as_str())
}

fn concerns(kind: StatementKind, rule: &Rule) -> bool {
    match kind {
        StatementKind::Insert => rule.inserts,
        StatementKind::Update => !matches!(rule.updates, Updates::Never),
        StatementKind::Delete => rule.deletes,
    }
}

/// When an UPDATE tells a tag.
#[derive(Clone, Copy, Debug)]
enum Updates {
    Never,
    Always,
    Changing(&'static [&'static str]),
}

/// The rows of another table that belong to a row, and whose columns make the tag.
#[derive(Clone, Copy, Debug)]
struct Join {
    table: &'static str,
    theirs: &'static str,
    ours: &'static str,
}

#[derive(Clone, Debug)]
struct Rule {
    tag: TagColumns,
    inserts: bool,
    updates: Updates,
    deletes: bool,
    join: Option<Join>,
    covered_by: Vec<TagColumns>,
}

/// What the changes of one table tell.
#[derive(Clone, Debug)]
pub struct TableTriggers {
    table: &'static str,
    key: &'static [&'static str],
    ignored: Vec<&'static str>,
    rules: Vec<Rule>,
}

impl TableTriggers {
    /// Of a table with this primary key.
    pub fn new(table: &'static str, key: &'static [&'static str]) -> Self {
        Self { table, key, ignored: Vec::new(), rules: Vec::new() }
    }

    /// The table.
    pub fn table(&self) -> &'static str {
        self.table
    }

    /// An UPDATE of nothing but these columns tells nothing: no cached value shows them, or it lives no longer than
    /// they may be old.
    #[must_use]
    pub fn ignoring(mut self, columns: &[&'static str]) -> Self {
        self.ignored.extend(columns);
        self
    }

    /// Says of all tags declared so far: whoever reads one of them, reads this one, too. Then a write that declares this
    /// one has not forgotten those.
    #[must_use]
    pub fn covered_by(mut self, tag: TagColumns) -> Self {
        self.rules.iter_mut().for_each(|rule| rule.covered_by.push(tag));
        self
    }

    /// Told by every change of a row.
    #[must_use]
    pub fn always(self, tag: TagColumns) -> Self {
        self.rule(tag, true, Updates::Always, true)
    }

    /// Told when a row comes or goes, and by an UPDATE that changes one of `columns`.
    #[must_use]
    pub fn when_changed(self, columns: &'static [&'static str], tag: TagColumns) -> Self {
        self.rule(tag, true, Updates::Changing(columns), true)
    }

    /// Told when a row is changed or goes.
    #[must_use]
    pub fn on_update_and_delete(self, tag: TagColumns) -> Self {
        self.rule(tag, false, Updates::Always, true)
    }

    /// Told when a row goes, and by an UPDATE that changes one of `columns`.
    #[must_use]
    pub fn on_delete_or_changed(self, columns: &'static [&'static str], tag: TagColumns) -> Self {
        self.rule(tag, false, Updates::Changing(columns), true)
    }

    /// Told when a row comes or goes.
    #[must_use]
    pub fn on_insert_and_delete(self, tag: TagColumns) -> Self {
        self.rule(tag, true, Updates::Never, true)
    }

    /// Told by every change of a row, for each row of `table` whose column `theirs` is this row's column `ours`: the
    /// tag is made of the columns of that other row.
    #[must_use]
    pub fn for_each(mut self, table: &'static str, theirs: &'static str, ours: &'static str, tag: TagColumns) -> Self {
        self = self.rule(tag, true, Updates::Always, true);
        self.rules.last_mut().expect("one was added").join = Some(Join { table, theirs, ours });
        self
    }

    fn rule(mut self, tag: TagColumns, inserts: bool, updates: Updates, deletes: bool) -> Self {
        self.rules.push(Rule { tag, inserts, updates, deletes, join: None, covered_by: Vec::new() });
        self
    }
}

/// Makes the triggers, anew if they are there.
pub async fn install(db: &impl ConnectionTrait, tables: &[TableTriggers]) -> Result<(), DbErr> {
    remove(db, tables).await?;
    let mut statements = Vec::new();
    for table in tables {
        statements.extend(match Dialect::of(db) {
            Dialect::Postgres => postgres::install(table),
            Dialect::Sqlite => sqlite::install(table, &sqlite::columns(db, table.table).await?),
        });
    }
    run(db, &statements).await
}

/// Takes the triggers away, if they are there. The outbox must be: they are taken away before it.
pub async fn remove(db: &impl ConnectionTrait, tables: &[TableTriggers]) -> Result<(), DbErr> {
    let of_table = match Dialect::of(db) {
        Dialect::Postgres => postgres::remove,
        Dialect::Sqlite => sqlite::remove,
    };
    run(db, &tables.iter().flat_map(of_table).collect::<Vec<_>>()).await
}

/// All of them or none, in one go: each change of `SQLite`'s schema makes every connection read it anew.
async fn run(db: &impl ConnectionTrait, statements: &[String]) -> Result<(), DbErr> {
    let script = statements.join(";\n");
    let script = match Dialect::of(db) {
        // Several statements in one message are one transaction.
        Dialect::Postgres => script,
        // Begun by writing: who reads first and then wants to write is refused if another wrote in between.
        Dialect::Sqlite => format!(
            "SAVEPOINT outbox_triggers;\nUPDATE cache_outbox_turn SET turn = turn + 1;\n{script};\n\
             RELEASE outbox_triggers"
        ),
    };
    if !statements.is_empty() {
        db.execute_unprepared(&script).await?;
    }
    Ok(())
}

/// The expression of a tag's line for the row called `row`; NULL if one of its columns is.
fn line_of(dialect: Dialect, tag: &TagColumns, row: &str) -> String {
    let value = |column: &Column| {
        let name = format!("{row}.\"{}\"", column.name);
        match (column.form, dialect) {
            (Form::Uuid, Dialect::Postgres) => format!("{name}::text"),
            (Form::Uuid, Dialect::Sqlite) => sqlite::uuid_text(&name),
            (Form::Text | Form::Comparable, _) => {
                let text = format!("CAST({name} AS TEXT)");
                let newline = if dialect == Dialect::Postgres { "chr(10)" } else { "char(10)" };
                format!("replace(replace({text}, '\\', '\\\\'), {newline}, '\\n')")
            }
        }
    };
    let mark = if tag.is_named() { line::COMPARABLE.to_string() } else { String::new() };
    let home = tag.tenant.as_ref().map_or_else(|| "'*'".to_owned(), value);
    let id = tag.id.as_ref().map_or_else(|| "''".to_owned(), value);
    format!("'{mark}' || {home} || '/{}/' || {id}", tag.kind)
}

/// The expression of all lines that cover a tag; those with a NULL are left out.
fn cover_of(dialect: Dialect, rule: &Rule, row: &str) -> String {
    if rule.covered_by.is_empty() {
        return "''".to_owned();
    }
    let newline = if dialect == Dialect::Postgres { "chr(10)" } else { "char(10)" };
    let lines = rule.covered_by.iter().map(|tag| format!("coalesce({}, '')", line_of(dialect, tag, row)));
    lines.collect::<Vec<_>>().join(&format!(" || {newline} || "))
}

/// What a statement of this kind tells of a row, which was called `old` and is called `new`: a SELECT for each rule and
/// each side of it.
///
/// What is cached was read from the row as it was. So its covers are made of that row, and a tag that it did not have
/// has none.
fn told(dialect: Dialect, kind: StatementKind, rules: &[&Rule], old: &str, new: &str) -> String {
    let distinct = if dialect == Dialect::Postgres { "IS DISTINCT FROM" } else { "IS NOT" };
    let differs = |name: &str| format!("{old}.\"{name}\" {distinct} {new}.\"{name}\"");
    let mut selects = Vec::new();
    for rule in rules {
        let changed = match (kind, rule.updates) {
            (StatementKind::Update, Updates::Changing(columns)) => {
                let each: Vec<String> = columns.iter().map(|name| differs(name)).collect();
                Some(format!("({})", each.join(" OR ")))
            }
            _ => None,
        };
        for side in [old, new] {
            let is_old = side == old;
            if kind == (if is_old { StatementKind::Insert } else { StatementKind::Delete }) {
                continue;
            }
            let cover = if is_old { cover_of(dialect, rule, old) } else { "''".to_owned() };
            let mut conditions: Vec<String> = changed.clone().into_iter().collect();
            let (line, from) = match &rule.join {
                None => {
                    let line = line_of(dialect, &rule.tag, side);
                    if kind == StatementKind::Update && !is_old {
                        conditions.push(format!("{line} {distinct} {}", line_of(dialect, &rule.tag, old)));
                    }
                    (line, String::new())
                }
                Some(Join { table, theirs, ours }) => {
                    conditions.push(format!("other.\"{theirs}\" = {side}.\"{ours}\""));
                    if kind == StatementKind::Update && !is_old {
                        conditions.push(differs(ours));
                    }
                    (line_of(dialect, &rule.tag, "other"), format!(" FROM {} AS other", dialect.table(table)))
                }
            };
            let conditions =
                if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
            selects.push(format!("SELECT {line} AS line, {cover} AS cover{from}{conditions}"));
        }
    }
    // Lines of different rules differ, and so do those of the two sides.
    selects.join("\n      UNION ALL ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_made_of_columns_and_is_null_if_one_is() {
        let flow = TagColumns::of(uuid("client_id"), "flow", Some(uuid("id")));
        assert_eq!(line_of(Dialect::Postgres, &flow, "n"), "'' || n.\"client_id\"::text || '/flow/' || n.\"id\"::text");
        let list = TagColumns::shared("users", None);
        assert_eq!(line_of(Dialect::Sqlite, &list, "NEW"), "'' || '*' || '/users/' || ''");
        let called = TagColumns::shared("pending_for", Some(named("client")));
        assert!(line_of(Dialect::Sqlite, &called, "NEW").starts_with("'~' || '*' || '/pending_for/' || replace("));
    }

    #[test]
    fn what_covers_is_said_of_what_was_declared_before() {
        let (flow, set) = (TagColumns::shared("flow", Some(text("id"))), TagColumns::shared("set", None));
        let under = TagColumns::shared("under", Some(text("client")));
        let table = TableTriggers::new("flows", &["id"]).always(flow).covered_by(under).always(set);
        assert_eq!(table.rules[0].covered_by, [under]);
        assert_eq!(table.rules[1].covered_by, []);
    }
}
