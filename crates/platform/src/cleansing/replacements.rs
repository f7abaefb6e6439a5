//! What stands for what in the columns of an import.

use std::collections::{BTreeMap, HashMap};

/// By column and value of the file: what is shown in its place. No value stands for itself, and what is shown is looked
/// up once: a replacement is not replaced again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replacements(BTreeMap<u32, HashMap<String, String>>);

impl Replacements {
    /// What is shown for `original`, a value of the file.
    pub(crate) fn of(&self, position: u32, original: &str) -> Option<&str> {
        self.0.get(&position)?.get(original).map(String::as_str)
    }

    /// `replacement` stands for the file's `original` from now on; itself gives it back.
    pub(crate) fn replace(&mut self, position: u32, original: &str, replacement: &str) {
        let column = self.0.entry(position).or_default();
        if original == replacement {
            column.remove(original);
        } else {
            column.insert(original.to_owned(), replacement.to_owned());
        }
    }

    /// The file's `original` is shown again.
    pub(crate) fn give_back(&mut self, position: u32, original: &str) {
        if let Some(column) = self.0.get_mut(&position) {
            column.remove(original);
        }
    }

    /// `replacement` stands for whatever is shown as `value` from now on: for the file's `value`, and for what `value`
    /// stands for by now.
    pub(crate) fn correct(&mut self, position: u32, value: &str, replacement: &str) {
        let column = self.0.entry(position).or_default();
        let shown_as: Vec<String> =
            column.iter().filter(|(_, shown)| *shown == value).map(|(original, _)| original.clone()).collect();
        for original in shown_as {
            self.replace(position, &original, replacement);
        }
        self.replace(position, value, replacement);
    }

    /// A row as it is shown, if that differs from how it is in the file.
    pub(crate) fn shown(&self, raw: &[String]) -> Option<Vec<String>> {
        let mut shown: Option<Vec<String>> = None;
        for (position, column) in &self.0 {
            let at = usize::try_from(*position).unwrap_or(usize::MAX);
            if let Some(replacement) = raw.get(at).and_then(|original| column.get(original)) {
                shown.get_or_insert_with(|| raw.to_vec())[at].clone_from(replacement);
            }
        }
        shown
    }

    /// All of them: column, the file's value, what is shown.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &str, &str)> {
        self.0.iter().flat_map(|(position, column)| {
            column.iter().map(|(original, replacement)| (*position, original.as_str(), replacement.as_str()))
        })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.values().map(HashMap::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn a_row_without_a_replaced_value_is_as_it_was() {
        let mut replacements = Replacements::default();
        replacements.correct(1, "prod", "Production");
        assert_eq!(replacements.shown(&row(&["prod", "test"])), None);
        assert_eq!(replacements.shown(&row(&["prod"])), None, "a short row");
        assert_eq!(replacements.shown(&row(&["prod", "prod"])), Some(row(&["prod", "Production"])));
    }

    #[test]
    fn a_correction_of_what_was_corrected_reaches_back_to_the_file() {
        let mut replacements = Replacements::default();
        replacements.correct(0, "prd", "Prod");
        replacements.correct(0, "Prod", "Production");
        assert_eq!(replacements.of(0, "prd"), Some("Production"));
        assert_eq!(replacements.of(0, "Prod"), Some("Production"));
        replacements.correct(0, "Production", "prd");
        assert_eq!(replacements.of(0, "prd"), None, "it stands for itself again");
        assert_eq!(replacements.of(0, "Prod"), Some("prd"));
        assert_eq!(replacements.of(0, "Production"), Some("prd"));
        assert_eq!(replacements.len(), 2);
        replacements.give_back(0, "Prod");
        assert_eq!(replacements.iter().collect::<Vec<_>>(), [(0, "Production", "prd")]);
    }

    proptest! {
        /// However corrections follow each other, each changes exactly the cells that were shown as its value.
        #[test]
        fn corrections_change_the_cells_that_show_their_value(
            file in prop::collection::vec("[abc]?", 1..8),
            corrections in prop::collection::vec(("[abc]?", "[abc]?"), 0..8),
        ) {
            let mut replacements = Replacements::default();
            let mut expected = file.clone();
            let shown = |by: &Replacements, cell: &String| by.of(0, cell).map_or_else(|| cell.clone(), str::to_owned);
            for (value, replacement) in corrections {
                // A value that no cell shows may stand in the file behind a correction, which a correction of it ends.
                if !expected.contains(&value) {
                    continue;
                }
                let hidden = |(cell, now): (&String, &String)| *cell == value && *now != value;
                if file.iter().zip(&expected).any(hidden) {
                    continue;
                }
                replacements.correct(0, &value, &replacement);
                expected.iter_mut().filter(|cell| **cell == value).for_each(|cell| cell.clone_from(&replacement));
                let now: Vec<String> = file.iter().map(|cell| shown(&replacements, cell)).collect();
                prop_assert_eq!(&now, &expected);
                prop_assert!(replacements.iter().all(|(_, original, shown)| original != shown));
            }
        }
    }
}
