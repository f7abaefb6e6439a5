//! The file's text with the places of its values.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::fault::{Fault, Path, Place, Step};

/// The parsed text.
pub(crate) struct Document<'a> {
    text: &'a str,
    table: Spanned<DeTable<'a>>,
}

impl<'a> Document<'a> {
    /// Parses a text; the faults of its syntax, one a line.
    pub(crate) fn parse(text: &'a str) -> Result<Self, Vec<Fault>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut faults: Vec<Fault> = Vec::new();
        let place = |error: &toml::de::Error| Place::of(text, error.span().map_or(0, |span| span.start));
        let mut errors: Vec<_> = errors.iter().map(|error| (place(error), error)).collect();
        errors.sort_by_key(|(place, _)| *place);
        for (place, error) in errors {
            // What follows on the same line is a consequence of the first.
            if faults.last().is_none_or(|last| last.place.line != place.line) {
                faults.push(Fault {
                    place,
                    path: "the file".to_owned(),
                    found: format!("is no valid TOML ({})", error.message()),
                    expected: "TOML 1.1".to_owned(),
                    advice: Some("the rest is checked once the whole file can be read".to_owned()),
                });
            }
        }
        if faults.is_empty() { Ok(Self { text, table }) } else { Err(faults) }
    }

    /// The table at the top.
    pub(crate) fn top(&self) -> &DeTable<'a> {
        self.table.get_ref()
    }

    /// The place of a byte.
    pub(crate) fn place_of(&self, offset: usize) -> Place {
        Place::of(self.text, offset)
    }

    /// Where a value stands; of one that is missing, where the table stands in which it would be.
    pub(crate) fn place(&self, path: &Path) -> Place {
        let mut at = self.table.span().start;
        let mut value: Option<&DeValue<'a>> = None;
        for step in path.steps() {
            let next = match (step, value) {
                (Step::Key(key), None) => find(self.top(), key),
                (Step::Key(key), Some(DeValue::Table(table))) => find(table, key),
                (Step::Item(item), Some(DeValue::Array(items))) => items.get(*item),
                _ => None,
            };
            let Some(found) = next else { break };
            at = found.span().start;
            value = Some(found.get_ref());
        }
        self.place_of(at)
    }
}

fn find<'t, 'a>(table: &'t DeTable<'a>, key: &str) -> Option<&'t Spanned<DeValue<'a>>> {
    table.iter().find(|(held, _)| held.get_ref() == key).map(|(_, value)| value)
}
