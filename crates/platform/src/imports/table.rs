//! A validated table over a lexer: the one place where a file is judged.
//!
//! Both passes (inspecting and reading) go through [`Table`], so what was inspected and what is
//! imported obey the same rules. Invariants of every record handed out: as many fields as the
//! header has columns, no control characters, no formula, not blank.

use std::io::Read;

use super::{
    decode::{DecodeError, TextStream},
    dialect::Dialect,
    encoding::TextEncoding,
    error::{ErrorCode, ImportError},
    formula,
    header::check_headers,
    lexer::{LexError, LexErrorKind, Lexer, RawRecord},
    limits::{Limits, human_bytes},
    signature::is_control,
};

pub(super) struct Table<R> {
    lexer: Lexer<R>,
    limits: Limits,
    encoding: TextEncoding,
    dialect: Dialect,
    headers: Vec<String>,
    rows: u64,
}

impl<R: Read> Table<R> {
    /// Reads and judges the header; `source` stands at its beginning.
    pub(super) fn open(
        source: R,
        encoding: TextEncoding,
        dialect: Dialect,
        limits: &Limits,
    ) -> Result<Self, ImportError> {
        let stream = TextStream::new(source, encoding);
        let mut table = Self {
            lexer: Lexer::new(stream, dialect.delimiter.byte(), limits),
            limits: limits.clone(),
            encoding,
            dialect,
            headers: Vec::new(),
            rows: 0,
        };
        table.read_header()?;
        Ok(table)
    }

    pub(super) fn headers(&self) -> &[String] {
        &self.headers
    }

    /// Records handed out so far.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// The next record that is not blank; `None` at the end of the file.
    pub(super) fn next_row(&mut self) -> Result<Option<RawRecord<'_>>, ImportError> {
        let Self { lexer, limits, encoding, dialect, headers, rows } = self;
        let columns = headers.len();
        let record = lexer.next_filled_record().map_err(|error| explain(&error, headers, *encoding, limits))?;
        let Some(record) = record else {
            return Ok(None);
        };
        if record.len() != columns {
            return Err(ragged(&record, headers, *dialect));
        }
        for (field, header) in record.fields().zip(headers.iter()) {
            check_cell(field, record.row, header)?;
        }
        *rows += 1;
        if *rows > limits.rows_max {
            return Err(too_many_rows(record.row, limits));
        }
        Ok(Some(record))
    }

    fn read_header(&mut self) -> Result<(), ImportError> {
        let explain = |error| explain(&error, &[], self.encoding, &self.limits);
        if self.dialect.skips_first_line {
            self.lexer.skip_line().map_err(explain)?;
        }
        let Some(record) = self.lexer.next_record().map_err(explain)? else {
            return Err(super::encoding::empty_file());
        };
        if record.is_blank() {
            return Err(ImportError::at(
                ErrorCode::BlankHeader,
                record.row,
                None,
                "the header line is blank. Name every column in the first line.",
            ));
        }
        self.headers = check_headers(record.fields(), &self.limits)?;
        Ok(())
    }
}

/// Judges one cell, header or value.
pub(super) fn check_cell(cell: &str, row: u64, column: &str) -> Result<(), ImportError> {
    let at = |code, message| Err(ImportError::at(code, row, Some(column.to_owned()), message));
    if let Some(control) = cell.bytes().find(|&byte| is_control(byte)) {
        return if control == 0 {
            at(
                ErrorCode::NulByte,
                "the cell holds a NUL byte. Export the file again as plain text; if it comes from a database, \
                 remove the zero characters there.",
            )
        } else {
            at(
                ErrorCode::ControlCharacter,
                &format!("the cell holds the control character U+{control:04X}. Remove it and upload the file again."),
            )
        };
    }
    if formula::is_dangerous(cell) {
        return at(
            ErrorCode::FormulaInjection,
            "the cell begins a spreadsheet formula, which could run when someone opens an export. \
             Replace it with its value, or remove the leading =, +, - or @.",
        );
    }
    Ok(())
}

/// The name of the column at `field` (from 0), or its position if it has none.
pub(super) fn column_name(headers: &[String], field: usize) -> String {
    headers.get(field).map_or_else(|| format!("column {}", field + 1), Clone::clone)
}

fn ragged(record: &RawRecord<'_>, headers: &[String], dialect: Dialect) -> ImportError {
    let (fields, columns) = (record.len(), headers.len());
    let remedy = if fields > columns {
        format!(
            "Put cells that contain a {} into double quotes, or name the extra column in the header.",
            dialect.delimiter.name()
        )
    } else {
        "Add the missing cells (they may be empty); a line break inside a cell needs double quotes around it.".into()
    };
    ImportError::at(
        ErrorCode::RaggedRow,
        record.row,
        Some(column_name(headers, fields.min(columns))),
        &format!("the row has {fields} cells, the header has {columns}. {remedy}"),
    )
}

fn too_many_rows(row: u64, limits: &Limits) -> ImportError {
    ImportError::at(
        ErrorCode::TooManyRows,
        row,
        None,
        &format!(
            "the file has more than {} rows. Split it into several files, each with the header line.",
            limits.rows_max
        ),
    )
}

/// Says what stopped the lexer, in the words of the file's columns.
fn explain(error: &LexError, headers: &[String], encoding: TextEncoding, limits: &Limits) -> ImportError {
    let column = Some(column_name(headers, error.field));
    match &error.kind {
        LexErrorKind::Decode(DecodeError::Read(source)) => ImportError::read_failed(source),
        LexErrorKind::Decode(DecodeError::Malformed) => ImportError::at(
            ErrorCode::BadEncoding,
            error.row,
            column,
            &format!(
                "the bytes here are no valid {} text, as which the rest of the file reads. \
                 Save the whole file as UTF-8 and upload it again.",
                encoding.as_str()
            ),
        ),
        LexErrorKind::FieldTooLong => ImportError::at(
            ErrorCode::FieldTooLong,
            error.row,
            column,
            &format!(
                "the cell is longer than {}. Shorten it; if it should be short, a closing double quote is missing.",
                human_bytes(limits.field_bytes_max as u64)
            ),
        ),
        LexErrorKind::RecordTooLong => ImportError::at(
            ErrorCode::RecordTooLong,
            error.row,
            column,
            &format!("the row is longer than {}. Shorten its cells.", human_bytes(limits.record_bytes_max as u64)),
        ),
        LexErrorKind::TooManyColumns => ImportError::at(
            ErrorCode::TooManyColumns,
            error.row,
            None,
            &format!("the row has more than {} columns. Remove the columns you do not need.", limits.columns_max),
        ),
        LexErrorKind::UnterminatedQuote => ImportError::at(
            ErrorCode::UnterminatedQuote,
            error.row,
            column,
            "a double quote is opened here and never closed. Close it, or write a literal quote as two (\"\").",
        ),
    }
}
