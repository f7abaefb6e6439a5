//! What a write declared against what the triggers saw of it. Pure.

use std::{collections::HashMap, fmt};

use unstale::{Invalidation, Tag, TagId};

/// What a statement does to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatementKind {
    /// Rows come.
    Insert,
    /// Rows change.
    Update,
    /// Rows go; also by a cascade, or by TRUNCATE.
    Delete,
}

impl StatementKind {
    pub(super) const ALL: [Self; 3] = [Self::Insert, Self::Update, Self::Delete];

    /// The word in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// What a trigger saw, by table and kind of statement, of which the write says that nothing cached shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excuse {
    /// The table.
    pub table: &'static str,
    /// What was done there.
    pub statement: StatementKind,
}

/// What a trigger wrote.
#[derive(Clone, Debug)]
pub(super) struct Triggered {
    pub(super) table: String,
    pub(super) statement: StatementKind,
    pub(super) tag: Tag,
    /// Whoever reads `tag` reads each of these, too.
    pub(super) covered_by: Vec<Tag>,
    /// Its id is what people call something.
    pub(super) is_named: bool,
}

/// A tag that moved and that the write did not declare: code that forgot to invalidate.
#[derive(Clone, PartialEq, Eq)]
pub struct Omission {
    /// The table in which something changed.
    pub table: String,
    /// What was done.
    pub statement: StatementKind,
    /// What was not declared.
    pub tag: Tag,
    pub(super) is_named: bool,
}

impl Omission {
    /// The tag for a log line: what people call something is left out.
    pub fn tag_text(&self) -> String {
        if self.is_named { format!("{}/…", self.tag.kind()) } else { self.tag.to_text() }
    }
}

impl fmt::Debug for Omission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Omission({} of {}: {})", self.statement.as_str(), self.table, self.tag_text())
    }
}

/// What the triggers saw and `declared` does not account for: each tag once.
///
/// A tag is accounted for if it is declared, or if every row that names it is covered by one that is accounted for.
pub(super) fn forgotten(declared: &[Invalidation], excused: &[Excuse], triggered: &[Triggered]) -> Vec<Omission> {
    let mut accounted: Vec<TagId> = declared.iter().flat_map(|one| one.tags().iter().map(Tag::id)).collect();
    accounted.sort_unstable();
    let is_excused =
        |row: &Triggered| excused.iter().any(|excuse| excuse.table == row.table && excuse.statement == row.statement);
    let mut open: HashMap<TagId, Vec<&Triggered>> = HashMap::new();
    for row in triggered.iter().filter(|row| !is_excused(row)) {
        open.entry(row.tag.id()).or_default().push(row);
    }
    loop {
        let holds = |id: &TagId| accounted.binary_search(id).is_ok();
        let is_covered = |row: &&Triggered| row.covered_by.iter().any(|tag| holds(&tag.id()));
        let settled: Vec<TagId> =
            open.iter().filter(|(id, rows)| holds(id) || rows.iter().all(is_covered)).map(|(id, _)| *id).collect();
        if settled.is_empty() {
            break;
        }
        settled.iter().for_each(|id| drop(open.remove(id)));
        accounted.extend(settled);
        accounted.sort_unstable();
    }
    let is_open = |row: &&Triggered| open.get(&row.tag.id()).is_some_and(|rows| std::ptr::eq(rows[0], *row));
    let omission = |row: &Triggered| Omission {
        table: row.table.clone(),
        statement: row.statement,
        tag: row.tag.clone(),
        is_named: row.is_named,
    };
    // In the order in which the triggers saw them.
    triggered.iter().filter(is_open).map(omission).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(name: &str) -> Tag {
        let (kind, id) = name.split_once(' ').unwrap_or((name, ""));
        let kind: &'static str = kind.to_owned().leak();
        Tag::shared(kind, id)
    }

    fn row(name: &str, covered_by: &[&str]) -> Triggered {
        Triggered {
            table: "flows".to_owned(),
            statement: StatementKind::Delete,
            tag: tag(name),
            covered_by: covered_by.iter().map(|name| tag(name)).collect(),
            is_named: false,
        }
    }

    fn check(declared: &[&str], triggered: &[Triggered], expected: &[&str]) {
        let declared = Invalidation::of(declared.iter().map(|name| tag(name)));
        let found = forgotten(&[declared], &[], triggered);
        let found: Vec<Tag> = found.into_iter().map(|omission| omission.tag).collect();
        assert_eq!(found, expected.iter().map(|name| tag(name)).collect::<Vec<_>>());
    }

    #[test]
    fn a_statement_is_read_back_by_the_word_that_triggers_write() {
        for (kind, word) in
            [(StatementKind::Insert, "insert"), (StatementKind::Update, "update"), (StatementKind::Delete, "delete")]
        {
            assert_eq!((kind.as_str(), StatementKind::parse(word)), (word, Some(kind)));
        }
        for none in ["", "truncate", "Delete"] {
            assert_eq!(StatementKind::parse(none), None, "{none:?}");
        }
    }

    #[test]
    fn what_is_declared_is_not_forgotten_and_the_rest_is_told_once() {
        check(&["flow 1"], &[row("flow 1", &[])], &[]);
        check(&["flow 2"], &[row("flow 1", &[]), row("flows", &[]), row("flow 1", &["x"])], &["flow 1", "flows"]);
        check(&[], &[], &[]);
    }

    #[test]
    fn what_goes_with_all_around_it_is_covered() {
        let rows = [row("flow 1", &["under 7"]), row("flow 2", &["under 8"]), row("flows", &["under 7"])];
        check(&["under 7"], &rows, &["flow 2"]);
        check(&["under 7", "under 8"], &rows, &[]);
    }

    #[test]
    fn a_list_is_covered_only_if_all_of_its_rows_are() {
        check(&["under 7"], &[row("flows", &["under 7"]), row("flows", &["under 8"])], &["flows"]);
    }

    #[test]
    fn what_is_covered_covers_what_lies_beneath_it() {
        let rows = [row("mapping 1", &["under_import 3"]), row("under_import 3", &["under 7"])];
        check(&["under 7"], &rows, &[]);
        check(&["under_import 3"], &rows, &[]);
        check(&["mapping 1"], &rows, &["under_import 3"]);
    }

    #[test]
    fn what_is_excused_is_not_forgotten() {
        let excuse = Excuse { table: "flows", statement: StatementKind::Delete };
        assert_eq!(forgotten(&[], &[excuse], &[row("flow 1", &[])]), []);
        let other = Excuse { statement: StatementKind::Update, ..excuse };
        assert_eq!(forgotten(&[], &[other], &[row("flow 1", &[])]).len(), 1);
    }

    #[test]
    fn what_people_call_something_is_not_told() {
        let named = Triggered { is_named: true, ..row("pending_for miller", &[]) };
        let told = format!("{:?}", forgotten(&[], &[], &[named]));
        assert!(told.contains("pending_for/…") && !told.contains("miller"), "{told}");
    }
}
