//! Finds the delimiter of a file from its first records.
//!
//! Each candidate splits the sample, quotes respected, and is judged by how many records have as
//! many fields as the header, and by how many fields that is. Counting characters would be fooled
//! by decimal commas and by lists inside quotes.

use super::{decode::TextStream, encoding::TextEncoding, lexer::Lexer, limits::Limits};

/// Delimiters that are read, in the order in which ties are broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delimiter {
    Comma,
    Semicolon,
    Tab,
    Pipe,
}

impl Delimiter {
    const ALL: [Self; 4] = [Self::Comma, Self::Semicolon, Self::Tab, Self::Pipe];

    pub(super) fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
            Self::Pipe => b'|',
        }
    }

    /// The character itself, as it stands in the API (`Import.delimiter`).
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Comma => ",",
            Self::Semicolon => ";",
            Self::Tab => "\t",
            Self::Pipe => "|",
        }
    }

    /// For messages, where a bare tab or comma would be overlooked.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Comma => "comma",
            Self::Semicolon => "semicolon",
            Self::Tab => "tab",
            Self::Pipe => "pipe (|)",
        }
    }
}

/// How the file is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) delimiter: Delimiter,
    /// The first line is a note to a program (Excel's `sep=;`, PowerShell's `#TYPE …`) and stands
    /// before the header. It is passed over and not counted as a row.
    pub(crate) skips_first_line: bool,
}

/// Decides from `sample`, the decoded beginning of the file; `sample_is_whole` if nothing follows.
pub(super) fn detect(sample: &[u8], sample_is_whole: bool, limits: &Limits) -> Dialect {
    let first_line = sample.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    let declared = first_line
        .strip_prefix(b"sep=")
        .and_then(|rest| Delimiter::ALL.into_iter().find(|delimiter| rest == [delimiter.byte()]));
    let skips_first_line = declared.is_some() || first_line.starts_with(b"#TYPE ");
    let delimiter = declared.unwrap_or_else(|| {
        let table = if skips_first_line { &sample[first_line.len()..] } else { sample };
        most_consistent(table, sample_is_whole, limits)
    });
    Dialect { delimiter, skips_first_line }
}

/// A file in which no candidate splits the header has one column; then any delimiter is right.
fn most_consistent(sample: &[u8], sample_is_whole: bool, limits: &Limits) -> Delimiter {
    let mut best = (Delimiter::Comma, 0.0);
    for delimiter in Delimiter::ALL {
        let score = consistency(sample, delimiter, sample_is_whole, limits);
        if score > best.1 {
            best = (delimiter, score);
        }
    }
    best.0
}

/// 0 if the header is not split. Otherwise grows with the number of columns, and falls steeply with
/// the share of records that have another number: the right delimiter may meet a ragged row, the
/// wrong one meets many.
fn consistency(sample: &[u8], delimiter: Delimiter, sample_is_whole: bool, limits: &Limits) -> f64 {
    let stream = TextStream::new(sample, TextEncoding::Utf8);
    let mut lexer = Lexer::new(stream, delimiter.byte(), limits);
    let mut lengths = Vec::new();
    while let Ok(Some(record)) = lexer.next_filled_record() {
        lengths.push(record.len());
    }
    if !sample_is_whole && lengths.len() > 1 {
        lengths.pop(); // Cut somewhere by the end of the sample.
    }
    let Some((&columns, rows)) = lengths.split_first() else {
        return 0.0;
    };
    let alike = rows.iter().filter(|&&length| length == columns).count();
    let share = if rows.is_empty() { 1.0 } else { ratio(alike, rows.len()) };
    share.powi(4) * ratio(columns - 1, 1)
}

#[expect(clippy::cast_precision_loss, reason = "counts within a sample are far below 2^52")]
fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sample: &str, delimiter: Delimiter, skips_first_line: bool) {
        let expected = Dialect { delimiter, skips_first_line };
        assert_eq!(detect(sample.as_bytes(), true, &Limits::default()), expected, "{sample:?}");
    }

    #[test]
    fn each_delimiter_is_found() {
        check("a,b\n1,2\n", Delimiter::Comma, false);
        check("a;b\n1;2\n", Delimiter::Semicolon, false);
        check("a\tb\n1\t2\n", Delimiter::Tab, false);
        check("a|b\n1|2\n", Delimiter::Pipe, false);
        check("a\n1\n", Delimiter::Comma, false);
    }

    #[test]
    fn decimal_commas_and_lists_do_not_mislead() {
        check("Name;RAM, GB;IPs\nx;1,5;10.0.0.1,10.0.0.2\ny;2,5;\n", Delimiter::Semicolon, false);
        check("Name,Tags\nx,\"a;b;c\"\ny,\"d;e;f\"\n", Delimiter::Comma, false);
        check("\"a;b\",\"c;d\"\n\"1;2\",3\n", Delimiter::Comma, false);
    }

    #[test]
    fn one_ragged_row_does_not_change_the_decision() {
        let rows = "1;2;3,5\n".repeat(50);
        check(&format!("a;b;c\n{rows}1;2\n"), Delimiter::Semicolon, false);
    }

    #[test]
    fn notes_to_programs_are_passed_over() {
        check("sep=;\na,x;b\n1;2\n", Delimiter::Semicolon, true);
        check("#TYPE System.Object\r\n\"a\",\"b\"\r\n\"1\",\"2\"\r\n", Delimiter::Comma, true);
    }
}
