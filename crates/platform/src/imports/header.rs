//! Judges the header line: every column has one name of its own.

use std::collections::HashMap;

use super::{
    error::{ErrorCode, ImportError},
    limits::{Limits, human_bytes},
    table::check_cell,
};

const HEADER_ROW: u64 = 1;

/// The column names, trimmed; refused if one is blank, doubled, too long or no plain text.
pub(super) fn check_headers<'a>(
    fields: impl Iterator<Item = &'a str>,
    limits: &Limits,
) -> Result<Vec<String>, ImportError> {
    let mut headers: Vec<String> = Vec::new();
    let mut first_of: HashMap<String, usize> = HashMap::new();
    for (index, field) in fields.enumerate() {
        let position = format!("column {}", index + 1);
        let at = |code, message: &str| Err(ImportError::at(code, HEADER_ROW, Some(position.clone()), message));
        let name = field.trim();
        if name.is_empty() {
            return at(
                ErrorCode::BlankHeader,
                "the column has no name. Name it, or remove the column (a delimiter at the end of the line makes one).",
            );
        }
        if name.len() > limits.header_bytes_max {
            let most = human_bytes(limits.header_bytes_max as u64);
            return at(
                ErrorCode::HeaderTooLong,
                &format!(
                    "the name is longer than {most}. Shorten it; if this is data, put a line of column names above it."
                ),
            );
        }
        check_cell(name, HEADER_ROW, &position)?;
        // Names that differ only in case are one name to the people who map them.
        if let Some(first) = first_of.insert(name.to_lowercase(), index) {
            return Err(ImportError::at(
                ErrorCode::DuplicateHeader,
                HEADER_ROW,
                Some(name.to_owned()),
                &format!("columns {} and {} have the same name. Rename one of them.", first + 1, index + 1),
            ));
        }
        headers.push(name.to_owned());
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fields: &[&str], expected: Result<&[&str], (ErrorCode, &str)>) {
        let got = check_headers(fields.iter().copied(), &Limits::default());
        match (got, expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected),
            (Err(error), Err((code, column))) => {
                assert_eq!((error.code, error.row, error.column.as_deref()), (code, Some(1), Some(column)));
            }
            (got, expected) => panic!("{got:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn names_are_trimmed_and_kept() {
        check(&["*Server name", " IP ", "@timestamp"], Ok(&["*Server name", "IP", "@timestamp"]));
    }

    #[test]
    fn a_column_needs_one_name_of_its_own() {
        check(&["a", " "], Err((ErrorCode::BlankHeader, "column 2")));
        check(&["IP", "b", "ip"], Err((ErrorCode::DuplicateHeader, "ip")));
        check(&["a", &"x".repeat(300)], Err((ErrorCode::HeaderTooLong, "column 2")));
        check(&["=1+1"], Err((ErrorCode::FormulaInjection, "column 1")));
        check(&["a", "b\0"], Err((ErrorCode::NulByte, "column 2")));
    }
}
