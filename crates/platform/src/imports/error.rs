//! Why a file was refused: a stable code, the place, and what to do about it.

use std::{fmt, io};

use serde::Serialize;

/// A refused file. `message` names the place and the remedy, so it can be shown as it is;
/// `code`, `row` and `column` are the same facts for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ImportError {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    /// Row as a spreadsheet counts it: the header is row 1, blank lines below it count.
    pub(crate) row: Option<u64>,
    /// Name of the column, or its position where the name is what is wrong.
    pub(crate) column: Option<String>,
}

/// Stable names of all refusals; clients and tests match on these, never on the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ErrorCode {
    EmptyFile,
    HeaderOnly,
    FileTooLarge,
    TooManyRows,
    TooManyColumns,
    FieldTooLong,
    RecordTooLong,
    HeaderTooLong,
    BlankHeader,
    DuplicateHeader,
    RaggedRow,
    UnterminatedQuote,
    BadEncoding,
    NulByte,
    ControlCharacter,
    FormulaInjection,
    NotCsvZip,
    NotCsvXlsx,
    NotCsvXls,
    NotCsvGzip,
    NotCsvArchive,
    NotCsvPdf,
    NotCsvMarkup,
    NotCsvJson,
    NotCsvBinary,
    FileChanged,
    ReadFailed,
}

impl ErrorCode {
    /// The code as it stands in the API and in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::EmptyFile => "empty_file",
            Self::HeaderOnly => "header_only",
            Self::FileTooLarge => "file_too_large",
            Self::TooManyRows => "too_many_rows",
            Self::TooManyColumns => "too_many_columns",
            Self::FieldTooLong => "field_too_long",
            Self::RecordTooLong => "record_too_long",
            Self::HeaderTooLong => "header_too_long",
            Self::BlankHeader => "blank_header",
            Self::DuplicateHeader => "duplicate_header",
            Self::RaggedRow => "ragged_row",
            Self::UnterminatedQuote => "unterminated_quote",
            Self::BadEncoding => "bad_encoding",
            Self::NulByte => "nul_byte",
            Self::ControlCharacter => "control_character",
            Self::FormulaInjection => "formula_injection",
            Self::NotCsvZip => "not_csv_zip",
            Self::NotCsvXlsx => "not_csv_xlsx",
            Self::NotCsvXls => "not_csv_xls",
            Self::NotCsvGzip => "not_csv_gzip",
            Self::NotCsvArchive => "not_csv_archive",
            Self::NotCsvPdf => "not_csv_pdf",
            Self::NotCsvMarkup => "not_csv_markup",
            Self::NotCsvJson => "not_csv_json",
            Self::NotCsvBinary => "not_csv_binary",
            Self::FileChanged => "file_changed",
            Self::ReadFailed => "read_failed",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ImportError {
    /// Refuses the file as a whole.
    pub(super) fn file(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), row: None, column: None }
    }

    /// Refuses because of `row`, and of one `column` if it can be told.
    pub(super) fn at(code: ErrorCode, row: u64, column: Option<String>, message: &str) -> Self {
        let place = match &column {
            Some(name) => format!("Row {row}, column “{name}”"),
            None => format!("Row {row}"),
        };
        Self { code, message: format!("{place}: {message}"), row: Some(row), column }
    }

    /// The disk, not the file, is at fault; trying again may help.
    pub(crate) fn read_failed(error: &io::Error) -> Self {
        Self::file(ErrorCode::ReadFailed, format!("The file could not be read ({error}). Upload it again."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_code_is_the_stored_code() {
        for code in [ErrorCode::NotCsvXlsx, ErrorCode::RaggedRow] {
            assert_eq!(serde_json::to_value(code).unwrap(), serde_json::Value::from(code.as_str()));
        }
    }

    #[test]
    fn the_message_names_the_place() {
        let error = ImportError::at(ErrorCode::NulByte, 7, Some("OS".into()), "remove it.");
        assert_eq!(error.to_string(), "Row 7, column “OS”: remove it.");
        assert_eq!((error.row, error.column.as_deref()), (Some(7), Some("OS")));
    }
}
