//! Whole files through both passes: what is good comes back as written, what is bad is named.

use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::imports::{
    properties,
    testkit::{self, AWS_HEADERS, AZURE_HEADERS, Table as Cells, encode, plain_file, write_text},
};

fn limits() -> Limits {
    Limits::default()
}

fn read_all(file: &mut Cursor<Vec<u8>>, limits: &Limits) -> Result<(FileShape, Vec<Record>), ImportError> {
    let shape = inspect(file, limits)?.shape;
    let rows = records(file, &shape, limits)?.collect::<Result<Vec<_>, _>>()?;
    Ok((shape, rows))
}

#[track_caller]
fn refused(file: impl Into<Vec<u8>>, code: ErrorCode, row: Option<u64>, column: Option<&str>) -> ImportError {
    refused_within(&limits(), file, code, row, column)
}

#[track_caller]
fn refused_within(
    limits: &Limits,
    file: impl Into<Vec<u8>>,
    code: ErrorCode,
    row: Option<u64>,
    column: Option<&str>,
) -> ImportError {
    let error = read_all(&mut Cursor::new(file.into()), limits).unwrap_err();
    assert_eq!((error.code, error.row, error.column.as_deref()), (code, row, column), "{error}");
    error
}

#[test]
fn files_without_data_are_refused() {
    refused("", ErrorCode::EmptyFile, None, None);
    refused("\u{feff}\r\n\r\n", ErrorCode::EmptyFile, None, None);
    refused("Name,IP\r\n", ErrorCode::HeaderOnly, None, None);
    refused("Name,IP\n,\n , \n", ErrorCode::HeaderOnly, None, None);
    refused(",,\n1,2,3\n", ErrorCode::BlankHeader, Some(1), None);
    refused("Name,,IP\n1,2,3\n", ErrorCode::BlankHeader, Some(1), Some("column 2"));
    refused("Name,IP,name\n1,2,3\n", ErrorCode::DuplicateHeader, Some(1), Some("name"));
}

#[test]
fn files_of_other_kinds_are_refused_unopened() {
    refused("PK\u{3}\u{4}\0\0xl/workbook.xml", ErrorCode::NotCsvXlsx, None, None);
    refused("PK\u{3}\u{4}\0\0bomb.csv", ErrorCode::NotCsvZip, None, None);
    refused(b"\x1f\x8b\x08\0".to_vec(), ErrorCode::NotCsvGzip, None, None);
    refused((0..=255).collect::<Vec<u8>>(), ErrorCode::NotCsvBinary, None, None);
}

#[test]
fn ragged_rows_are_named_with_the_first_cell_that_is_wrong() {
    let error = refused("a,b,c\n1,2,3\n\n4,5\n", ErrorCode::RaggedRow, Some(4), Some("c"));
    assert!(error.message.contains("has 2 cells, the header has 3"), "{error}");
    let error = refused("a,b\n1,2\n1,2,3\n1,2\n", ErrorCode::RaggedRow, Some(3), Some("column 3"));
    assert!(error.message.contains("double quotes"), "{error}");
}

#[test]
fn bad_cells_are_named() {
    refused("a,b\n1,=cmd|' /C calc'!A0\n", ErrorCode::FormulaInjection, Some(2), Some("b"));
    refused("a,=1+1\n1,2\n", ErrorCode::FormulaInjection, Some(1), Some("column 2"));
    refused(format!("a,b\n{}x\0,2\n", "1,2\n".repeat(50)), ErrorCode::NulByte, Some(52), Some("a"));
    refused(format!("a,b\n{}x,\u{7}\n", "1,2\n".repeat(50)), ErrorCode::ControlCharacter, Some(52), Some("b"));
    refused("a,b\n1,\"2\n3,4\n", ErrorCode::UnterminatedQuote, Some(2), Some("b"));
}

#[test]
fn limits_are_named() {
    let small = Limits {
        file_bytes_max: 4096,
        rows_max: 3,
        columns_max: 4,
        field_bytes_max: 64,
        record_bytes_max: 128,
        header_bytes_max: 16,
        ..limits()
    };
    let check = |file: &str, code, row, column| refused_within(&small, file, code, row, column);
    check(&"a,b\n".repeat(2000), ErrorCode::FileTooLarge, None, None);
    check("a,b\n1,2\n1,2\n1,2\n1,2\n", ErrorCode::TooManyRows, Some(5), None);
    check("a,b,c,d,e\n1,2,3,4,5\n", ErrorCode::TooManyColumns, Some(1), None);
    check(&format!("a,b\n1,{}\n", "x".repeat(65)), ErrorCode::FieldTooLong, Some(2), Some("b"));
    check(&format!("a,b,c\n{0},{0},{0}\n", "x".repeat(60)), ErrorCode::RecordTooLong, Some(2), Some("c"));
    check(&format!("a,{}\n1,2\n", "x".repeat(17)), ErrorCode::HeaderTooLong, Some(1), Some("column 2"));
}

#[test]
fn a_broken_byte_deep_inside_is_found_and_named() {
    let rows = "Köln,10.0.0.1\n".repeat(15_000);
    let mut file = format!("Ort,IP\n{rows}").into_bytes();
    file.extend_from_slice(b"x,M\xfcnchen\n");
    refused(file, ErrorCode::BadEncoding, Some(15_002), Some("IP"));
}

#[test]
fn the_first_umlaut_of_a_windows_file_may_come_late() {
    let mut file = "Ort,IP\n".as_bytes().to_vec();
    file.extend(b"Berlin,10.0.0.1\n".repeat(15_000));
    file.extend_from_slice(b"M\xfcnchen,10.0.0.2\n");
    let (shape, rows) = read_all(&mut Cursor::new(file), &limits()).unwrap();
    assert_eq!((shape.encoding, shape.rows), (TextEncoding::Windows1252, 15_001));
    assert_eq!(rows.last().unwrap().fields, ["München", "10.0.0.2"]);
}

#[test]
fn bytes_windows_1252_does_not_know_are_named() {
    refused(b"a,b\nM\xfcnchen,1\nx,\x81\n".to_vec(), ErrorCode::BadEncoding, Some(3), Some("b"));
}

#[test]
fn blank_records_are_passed_over_but_counted_as_rows() {
    let (shape, rows) = read_all(&mut Cursor::new(b"a,b\n1,2\n,\n\n3,4\n,\n".to_vec()), &limits()).unwrap();
    assert_eq!(shape.rows, 2);
    assert_eq!(rows.iter().map(|record| record.row).collect::<Vec<_>>(), [2, 5]);
}

#[test]
fn a_file_that_changed_after_its_inspection_is_noticed() {
    let shape = inspect(&mut Cursor::new(b"a,b\n1,2\n3,4\n"), &limits()).unwrap().shape;
    let read = |file: &'static [u8]| -> Result<Vec<Record>, ImportError> {
        records(&mut Cursor::new(file), &shape, &limits())?.collect()
    };
    assert!(read(b"a,b\n1,2\n3,4\n").is_ok());
    for changed in [&b"a,b\n1,2\n"[..], b"a,c\n1,2\n3,4\n"] {
        assert_eq!(read(changed).unwrap_err().code, ErrorCode::FileChanged);
    }
}

#[test]
fn nothing_follows_an_error() {
    let shape = inspect(&mut Cursor::new(b"a,b\n1,2\n3,4\n"), &limits()).unwrap().shape;
    let mut changed = Cursor::new(b"a,b\n1,2\n3\n4,5\n");
    let limits = limits();
    let mut records = records(&mut changed, &shape, &limits).unwrap();
    assert!(records.next().unwrap().is_ok());
    assert_eq!(records.next().unwrap().unwrap_err().code, ErrorCode::RaggedRow);
    assert!(records.next().is_none());
}

/// The size of a real migration: every cell comes back, in order, with its row.
fn check_export(table: &Cells, headers: &[&str], format: SourceFormat) {
    let (shape, rows) = read_all(&mut plain_file(table), &limits()).unwrap();
    assert_eq!((shape.format, shape.rows, &shape.headers[..]), (format, 20_000, &table[0][..]));
    assert_eq!(shape.headers.len(), headers.len());
    for (index, (record, written)) in rows.iter().zip(&table[1..]).enumerate() {
        assert_eq!((record.row, &record.fields), (index as u64 + 2, written));
    }
}

#[test]
fn twenty_thousand_rows_of_azure_migrate() {
    check_export(&testkit::azure_migrate(20_000), &AZURE_HEADERS, SourceFormat::AzureMigrate);
}

#[test]
fn twenty_thousand_rows_of_aws_migration_hub() {
    check_export(&testkit::aws_migration_hub(20_000), &AWS_HEADERS, SourceFormat::AwsMigrationHub);
}

const DELIMITERS: [Delimiter; 4] = [Delimiter::Comma, Delimiter::Semicolon, Delimiter::Tab, Delimiter::Pipe];

/// Tables of at least two columns whose header is plain; the cells hold what breaks readers. Their
/// letters have no byte in Windows-1252 that continues a UTF-8 sequence, so that encoding is
/// certain to be recognised.
fn tables() -> impl Strategy<Value = Cells> {
    let cell = "[-+=@a-z0-9äöüéß ,;|\t\"'\n\r.:()]{0,12}"
        .prop_filter("a formula", |cell| !crate::imports::formula::is_dangerous(cell));
    (2usize..6).prop_flat_map(move |columns| {
        let row =
            ("[a-z0-9äöü]{1,8}", prop::collection::vec(cell.clone(), columns - 1)).prop_map(|(first, mut rest)| {
                rest.insert(0, first);
                rest
            });
        let headers: Vec<String> = (1..=columns).map(|index| format!("Spalte {index}")).collect();
        prop::collection::vec(row, 1..8).prop_map(move |mut rows| {
            rows.insert(0, headers.clone());
            rows
        })
    })
}

/// The inputs that are kept for the fuzz target.
#[test]
fn what_must_hold_holds_for_the_corpus() {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/csv")).unwrap();
    let read = files.map(|file| properties::csv(&std::fs::read(file.unwrap().path()).unwrap())).count();
    assert!(read >= 8, "{read} files");
}

proptest! {
    #[test]
    fn any_table_is_read_back_whatever_it_is_written_in(
        table in tables(),
        delimiter in prop::sample::select(&DELIMITERS),
        line_end in prop::sample::select(vec![csv::Terminator::CRLF, csv::Terminator::Any(b'\n'), csv::Terminator::Any(b'\r')]),
        quote_all in any::<bool>(),
        (encoding, mark) in prop::sample::select(vec![
            (TextEncoding::Utf8, false), (TextEncoding::Utf8, true), (TextEncoding::Windows1252, false),
            (TextEncoding::Utf16Le, true), (TextEncoding::Utf16Be, true),
        ]),
    ) {
        let text = write_text(&table, delimiter, line_end, quote_all);
        let mut file = Cursor::new(encode(&text, encoding, mark));
        let (shape, rows) = read_all(&mut file, &limits()).unwrap();
        prop_assert_eq!(shape.delimiter(), delimiter);
        prop_assert_eq!(&shape.headers, &table[0]);
        if !text.is_ascii() || mark {
            prop_assert_eq!(shape.encoding, encoding);
        }
        for (index, (record, written)) in rows.iter().zip(&table[1..]).enumerate() {
            prop_assert_eq!(record.row, index as u64 + 2);
            prop_assert_eq!(&record.fields, written);
        }
        prop_assert_eq!(rows.len(), table.len() - 1);
    }

    #[test]
    fn no_bytes_panic_and_good_files_keep_their_promises(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            prop::collection::vec(prop::sample::select(b"ab1,;\t|\"\n\r =+@\0\x80\xc3\xbc\xff\xfe".to_vec()), 0..120),
            prop::collection::vec(prop::sample::select(b"ab,\"\n".to_vec()), 0..40),
        ],
        head in prop::sample::select(vec![&b""[..], b"a,b\n", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"sep=;\n", b"PK\x03\x04"]),
    ) {
        properties::csv(&[head, &bytes].concat());
    }
}
