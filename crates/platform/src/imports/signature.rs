//! Tells files that are no text from their first bytes, before anything tries to parse them.
//!
//! Nothing is ever unpacked: an archive is refused by its first bytes, so a zip bomb costs as much
//! as an empty zip.

use super::error::{ErrorCode, ImportError};

/// Share of control bytes in the sample, in percent, from which a file is binary rather than a text
/// with a stray control character (which gets an error naming the cell).
const BINARY_CONTROL_PERCENT: usize = 5;

/// First bytes of formats people upload by mistake, and what each is.
const SIGNATURES: &[(&[u8], ErrorCode, &str)] = &[
    (b"\x1f\x8b", ErrorCode::NotCsvGzip, "a gzip archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ErrorCode::NotCsvXls, "an Excel workbook (.xls)"),
    (b"7z\xbc\xaf\x27\x1c", ErrorCode::NotCsvArchive, "a 7-Zip archive"),
    (b"Rar!\x1a\x07", ErrorCode::NotCsvArchive, "a RAR archive"),
    (b"BZh", ErrorCode::NotCsvArchive, "a bzip2 archive"),
    (b"\xfd7zXZ\x00", ErrorCode::NotCsvArchive, "an xz archive"),
    (b"\x28\xb5\x2f\xfd", ErrorCode::NotCsvArchive, "a Zstandard archive"),
    (b"%PDF-", ErrorCode::NotCsvPdf, "a PDF document"),
    (b"PAR1", ErrorCode::NotCsvBinary, "a Parquet file"),
    (b"SQLite format 3\x00", ErrorCode::NotCsvBinary, "a SQLite database"),
    (b"\x89PNG\r\n", ErrorCode::NotCsvBinary, "a PNG image"),
    (b"\x7fELF", ErrorCode::NotCsvBinary, "a program"),
    (b"\x00\x00\xfe\xff", ErrorCode::BadEncoding, "UTF-32 text"),
    (b"\xff\xfe\x00\x00", ErrorCode::BadEncoding, "UTF-32 text"),
];

/// Refuses `sample`, the beginning of the file, if it is no delimited text.
pub(super) fn refuse_known_formats(sample: &[u8]) -> Result<(), ImportError> {
    for (bytes, code, what) in SIGNATURES {
        if sample.starts_with(bytes) {
            return Err(ImportError::file(*code, advice(what, *code)));
        }
    }
    if sample.starts_with(b"PK\x03\x04") || sample.starts_with(b"PK\x05\x06") {
        return Err(zip_kind(sample));
    }
    let text = sample.strip_prefix(b"\xef\xbb\xbf").unwrap_or(sample).trim_ascii_start();
    match text.first() {
        Some(b'<') => {
            Err(ImportError::file(ErrorCode::NotCsvMarkup, advice("an HTML or XML document", ErrorCode::NotCsvMarkup)))
        }
        Some(b'{') => Err(json()),
        Some(b'[') if matches!(text[1..].trim_ascii_start().first(), Some(b'{' | b'[')) => Err(json()),
        _ => Ok(()),
    }
}

/// Refuses eight-bit text that is mostly control bytes. Not for UTF-16, where every other byte is 0.
pub(super) fn refuse_binary(sample: &[u8]) -> Result<(), ImportError> {
    let controls = sample.iter().filter(|&&byte| is_control(byte)).count();
    if controls * 100 >= sample.len() * BINARY_CONTROL_PERCENT && controls > 0 {
        return Err(ImportError::file(ErrorCode::NotCsvBinary, advice("a binary file", ErrorCode::NotCsvBinary)));
    }
    Ok(())
}

/// Control characters no cell holds: all but tab, line feed, vertical tab, form feed and return.
pub(super) fn is_control(byte: u8) -> bool {
    matches!(byte, 0x00..=0x08 | 0x0e..=0x1f | 0x7f)
}

/// Names of the first entries stand uncompressed in a zip, so a workbook shows itself unopened.
fn zip_kind(sample: &[u8]) -> ImportError {
    const WORKBOOK_MARKS: [&[u8]; 4] = [b"[Content_Types].xml", b"_rels/.rels", b"xl/", b"opendocument.spreadsheet"];
    let workbook = WORKBOOK_MARKS.iter().any(|mark| sample.windows(mark.len()).any(|window| window == *mark));
    let (code, what) = if workbook {
        (ErrorCode::NotCsvXlsx, "a spreadsheet workbook (.xlsx or .ods)")
    } else {
        (ErrorCode::NotCsvZip, "a zip archive")
    };
    ImportError::file(code, advice(what, code))
}

fn json() -> ImportError {
    ImportError::file(ErrorCode::NotCsvJson, advice("JSON", ErrorCode::NotCsvJson))
}

fn advice(what: &str, code: ErrorCode) -> String {
    let remedy = match code {
        ErrorCode::NotCsvXlsx | ErrorCode::NotCsvXls => {
            "Open it in the spreadsheet program, save the sheet as “CSV UTF-8” and upload that."
        }
        ErrorCode::NotCsvZip | ErrorCode::NotCsvGzip | ErrorCode::NotCsvArchive => {
            "Unpack it and upload the CSV file inside; archives are not opened here."
        }
        ErrorCode::BadEncoding => "Save it as UTF-8 and upload it again.",
        _ => "Export the data as CSV and upload that.",
    };
    format!("The file is {what}, not CSV. {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sample: &[u8], expected: Option<ErrorCode>) {
        let got = refuse_known_formats(sample).and_then(|()| refuse_binary(sample)).err().map(|error| error.code);
        assert_eq!(got, expected, "{sample:?}");
    }

    #[test]
    fn formats_uploaded_by_mistake_are_named() {
        check(b"PK\x03\x04\x14\0\0\0data.csv", Some(ErrorCode::NotCsvZip));
        check(b"PK\x03\x04\x14\0\0\0[Content_Types].xml", Some(ErrorCode::NotCsvXlsx));
        check(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", Some(ErrorCode::NotCsvXls));
        check(b"\x1f\x8b\x08rest", Some(ErrorCode::NotCsvGzip));
        check(b"%PDF-1.7", Some(ErrorCode::NotCsvPdf));
        check(b"\xef\xbb\xbf <html><table>", Some(ErrorCode::NotCsvMarkup));
        check(b"[\n {\"name\": 1}]", Some(ErrorCode::NotCsvJson));
        check(b"\xff\xfe\x00\x00a\0\0\0", Some(ErrorCode::BadEncoding));
        check(b"\x01\x02\x03\x04abc", Some(ErrorCode::NotCsvBinary));
    }

    #[test]
    fn text_passes() {
        check(b"Name,IP\nweb-1,10.0.0.1\n", None);
        check(b"[Name],[IP]\n", None);
        check(b"", None);
    }
}
