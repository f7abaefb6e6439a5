//! Splits a [`TextStream`] into records with bounded memory.
//!
//! The grammar is that of the `csv` crate, whose parser core (`csv-core`) is driven here directly:
//! `csv::Reader` grows its record buffer as far as the file asks, so one missing quote would read
//! a whole upload into memory. Here the caller's limits own the buffers.
//!
//! Rows are counted as a spreadsheet shows them: one per record, blank lines below the header
//! included, however many lines a quoted field spans.

use std::io::Read;

use super::{
    decode::{DecodeError, TextStream},
    limits::Limits,
};

/// A record whose memory the lexer reuses for the next one.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawRecord<'a> {
    pub(super) row: u64,
    text: &'a str,
    ends: &'a [usize],
}

impl<'a> RawRecord<'a> {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn fields(self) -> impl Iterator<Item = &'a str> {
        self.ends.iter().scan(0, move |start, &end| {
            let field = &self.text[*start..end];
            *start = end;
            Some(field)
        })
    }

    /// No field holds anything but white space, as in the `,,,,` lines spreadsheets leave behind.
    pub(super) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }
}

/// What stopped the lexer, and where: `field` counts from 0.
#[derive(Debug)]
pub(super) struct LexError {
    pub(super) kind: LexErrorKind,
    pub(super) row: u64,
    pub(super) field: usize,
}

#[derive(Debug)]
pub(super) enum LexErrorKind {
    Decode(DecodeError),
    FieldTooLong,
    RecordTooLong,
    TooManyColumns,
    UnterminatedQuote,
}

pub(super) struct Lexer<R> {
    stream: TextStream<R>,
    parser: csv_core::Reader,
    field_bytes_max: usize,
    record_bytes_max: usize,
    columns_max: usize,
    row: u64,
    /// The last byte used was a carriage return, so a line feed next ends the same line.
    after_return: bool,
    text: Vec<u8>,
    text_filled: usize,
    ends: Vec<usize>,
    ends_filled: usize,
}

impl<R: Read> Lexer<R> {
    pub(super) fn new(stream: TextStream<R>, delimiter: u8, limits: &Limits) -> Self {
        Self {
            stream,
            parser: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            field_bytes_max: limits.field_bytes_max,
            record_bytes_max: limits.record_bytes_max,
            columns_max: limits.columns_max,
            row: 0,
            after_return: false,
            text: vec![0; limits.record_bytes_max.min(16 * 1024)],
            text_filled: 0,
            ends: vec![0; limits.columns_max.min(64) + 1],
            ends_filled: 0,
        }
    }

    /// Passes over the rest of the line without splitting it.
    pub(super) fn skip_line(&mut self) -> Result<(), LexError> {
        loop {
            let chunk = self.stream.chunk().map_err(|error| decode_error(error, 1, 0))?;
            let line_end = chunk.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let length = line_end.unwrap_or(chunk.len());
            let ended = chunk.is_empty() || line_end.is_some();
            self.stream.consume(length);
            if ended {
                return Ok(());
            }
        }
    }

    /// The next record; `None` at the end of the file.
    pub(super) fn next_record(&mut self) -> Result<Option<RawRecord<'_>>, LexError> {
        Ok(if self.advance()? { Some(self.record()) } else { None })
    }

    /// The next record that holds more than white space; `None` at the end of the file.
    pub(super) fn next_filled_record(&mut self) -> Result<Option<RawRecord<'_>>, LexError> {
        while self.advance()? {
            if !self.record().is_blank() {
                return Ok(Some(self.record()));
            }
        }
        Ok(None)
    }

    /// Reads one record into the buffers; `false` at the end of the file.
    fn advance(&mut self) -> Result<bool, LexError> {
        self.text_filled = 0;
        self.ends_filled = 0;
        if !self.skip_blank_lines()? {
            return Ok(false);
        }
        self.row += 1;
        while !self.parse_some()? {}
        self.check_field_lengths()?;
        Ok(true)
    }

    fn record(&self) -> RawRecord<'_> {
        let text = std::str::from_utf8(&self.text[..self.text_filled])
            .expect("a record of decoded text is the text without its quotes and delimiters");
        RawRecord { row: self.row, text, ends: &self.ends[..self.ends_filled] }
    }

    /// Stops before the first byte of a record; `false` at the end of the file.
    fn skip_blank_lines(&mut self) -> Result<bool, LexError> {
        loop {
            let place = self.row + 1;
            let chunk = self.stream.chunk().map_err(|error| decode_error(error, place, 0))?;
            let Some(&byte) = chunk.first() else {
                return Ok(false);
            };
            if !matches!(byte, b'\n' | b'\r') {
                return Ok(true);
            }
            let ends_same_line = byte == b'\n' && self.after_return;
            if !ends_same_line && self.row > 0 {
                self.row += 1;
            }
            self.after_return = byte == b'\r';
            self.stream.consume(1);
        }
    }

    /// Feeds one chunk to the parser; `true` once the record is complete.
    fn parse_some(&mut self) -> Result<bool, LexError> {
        use csv_core::ReadRecordResult::{End, InputEmpty, OutputEndsFull, OutputFull, Record};

        let (row, field) = (self.row, self.ends_filled);
        let chunk = self.stream.chunk().map_err(|error| decode_error(error, row, field))?;
        // A line end after the last byte closes the last record, or falls into an open quote:
        // that is how a missing quote shows, which the parser itself forgives.
        let at_end = chunk.is_empty();
        let input = if at_end { b"\n" } else { chunk };
        let (result, read, written, ended) =
            self.parser.read_record(input, &mut self.text[self.text_filled..], &mut self.ends[self.ends_filled..]);
        self.text_filled += written;
        self.ends_filled += ended;
        if read > 0 && !at_end {
            self.after_return = input[read - 1] == b'\r';
            self.stream.consume(read);
        }
        if !matches!(result, Record) && self.open_field_bytes() > self.field_bytes_max {
            return Err(self.error(LexErrorKind::FieldTooLong));
        }
        match result {
            Record => return Ok(true),
            InputEmpty if at_end => return Err(self.error(LexErrorKind::UnterminatedQuote)),
            InputEmpty => {}
            OutputFull => self.grow_text()?,
            OutputEndsFull => self.grow_ends()?,
            End => unreachable!("the parser ends on empty input only, and none is fed"),
        }
        Ok(false)
    }

    fn check_field_lengths(&self) -> Result<(), LexError> {
        if self.ends_filled > self.columns_max {
            return Err(self.error(LexErrorKind::TooManyColumns));
        }
        if self.text_filled <= self.field_bytes_max {
            return Ok(());
        }
        let mut start = 0;
        for (field, &end) in self.ends[..self.ends_filled].iter().enumerate() {
            if end - start > self.field_bytes_max {
                return Err(LexError { kind: LexErrorKind::FieldTooLong, row: self.row, field });
            }
            start = end;
        }
        Ok(())
    }

    /// Bytes of the field that is still being read.
    fn open_field_bytes(&self) -> usize {
        let start = self.ends_filled.checked_sub(1).map_or(0, |last| self.ends[last]);
        self.text_filled - start
    }

    fn grow_text(&mut self) -> Result<(), LexError> {
        if self.text.len() >= self.record_bytes_max {
            return Err(self.error(LexErrorKind::RecordTooLong));
        }
        let length = (self.text.len() * 2).min(self.record_bytes_max);
        self.text.resize(length, 0);
        Ok(())
    }

    fn grow_ends(&mut self) -> Result<(), LexError> {
        if self.ends.len() > self.columns_max {
            return Err(self.error(LexErrorKind::TooManyColumns));
        }
        let length = (self.ends.len() * 2).min(self.columns_max + 1);
        self.ends.resize(length, 0);
        Ok(())
    }

    fn error(&self, kind: LexErrorKind) -> LexError {
        LexError { kind, row: self.row, field: self.ends_filled }
    }
}

fn decode_error(error: DecodeError, row: u64, field: usize) -> LexError {
    LexError { kind: LexErrorKind::Decode(error), row, field }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::encoding::TextEncoding;

    fn lex(text: &str, limits: &Limits) -> Result<Vec<(u64, Vec<String>)>, LexError> {
        let stream = TextStream::new(text.as_bytes(), TextEncoding::Utf8);
        let mut lexer = Lexer::new(stream, b',', limits);
        let mut records = Vec::new();
        while let Some(record) = lexer.next_record()? {
            records.push((record.row, record.fields().map(str::to_owned).collect()));
        }
        Ok(records)
    }

    fn check(text: &str, expected: &[(u64, &[&str])]) {
        let got = lex(text, &Limits::default()).unwrap();
        let got: Vec<(u64, Vec<&str>)> =
            got.iter().map(|(row, fields)| (*row, fields.iter().map(String::as_str).collect())).collect();
        let expected: Vec<(u64, Vec<&str>)> = expected.iter().map(|(row, fields)| (*row, fields.to_vec())).collect();
        assert_eq!(got, expected, "{text:?}");
    }

    #[test]
    fn every_line_end_ends_a_record() {
        for end in ["\n", "\r\n", "\r"] {
            check(&format!("a,b{end}1,2{end}"), &[(1, &["a", "b"]), (2, &["1", "2"])]);
            check(&format!("a,b{end}1,2"), &[(1, &["a", "b"]), (2, &["1", "2"])]);
        }
    }

    #[test]
    fn rows_are_counted_as_a_spreadsheet_shows_them() {
        check("\n\na\n\n\"x\ny\"\n\nz", &[(1, &["a"]), (3, &["x\ny"]), (5, &["z"])]);
        check("a\r\n\r\nb", &[(1, &["a"]), (3, &["b"])]);
    }

    #[test]
    fn quotes_keep_delimiters_line_ends_and_quotes() {
        check("\"a,b\",\"c\n\"\"d\"\"\",\"\"", &[(1, &["a,b", "c\n\"d\"", ""])]);
    }

    #[test]
    fn an_open_quote_is_found_at_the_end_of_the_file() {
        let error = lex("a,b\n1,\"2\n3,4\n", &Limits::default()).unwrap_err();
        assert!(matches!(error.kind, LexErrorKind::UnterminatedQuote));
        assert_eq!((error.row, error.field), (2, 1));
    }

    #[test]
    fn limits_hold_and_name_the_field() {
        let limits = Limits { field_bytes_max: 10, record_bytes_max: 15, columns_max: 3, ..Limits::default() };
        let refusal = |text: &str| {
            let error = lex(text, &limits).unwrap_err();
            (format!("{:?}", error.kind), error.row, error.field)
        };
        assert!(lex("a,b,c\n1234567890,,", &limits).is_ok());
        assert_eq!(refusal("a\n1,12345678901"), ("FieldTooLong".into(), 2, 1));
        assert_eq!(refusal("1234567890,123456,1"), ("RecordTooLong".into(), 1, 1));
        assert_eq!(refusal("1,2,3,4"), ("TooManyColumns".into(), 1, 4));
        let open_quote = format!("a\n\"{}", "x\n".repeat(1000));
        assert_eq!(refusal(&open_quote), ("FieldTooLong".into(), 2, 0));
    }
}
