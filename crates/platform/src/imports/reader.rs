//! Inspects a file, then reads it.
//!
//! A file is on disk when it is judged, so it is read more than once rather than remembered:
//!
//! 1. **scan**: size and encoding, from all bytes ([`encoding`](super::encoding) says why all);
//! 2. **inspect**: delimiter from the sample, then every record is validated and profiled;
//! 3. **read**: [`records`] yields what step 2 has found good.
//!
//! A file with a fault anywhere fails in [`inspect`], before the caller has stored anything.
//! [`records`] judges again by the same rules and also notices if the file is no longer the one
//! inspected; a caller that stores its rows in one transaction never keeps half a file.

use std::io::{Read, Seek, SeekFrom};

use super::{
    decode::decode_sample,
    dialect::{self, Delimiter, Dialect},
    encoding::{self, TextEncoding},
    error::{ErrorCode, ImportError},
    format::SourceFormat,
    limits::Limits,
    profile::{ColumnProfile, Profiler},
    table::Table,
};

/// What a file is, once all of it has been found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileShape {
    pub(crate) encoding: TextEncoding,
    pub(crate) dialect: Dialect,
    pub(crate) headers: Vec<String>,
    pub(crate) format: SourceFormat,
    /// Records below the header; blank ones are passed over and not counted.
    pub(crate) rows: u64,
    pub(crate) size_bytes: u64,
}

impl FileShape {
    pub(crate) fn delimiter(&self) -> Delimiter {
        self.dialect.delimiter
    }
}

/// A good file and what its columns hold, in the order of the header.
#[derive(Debug, Clone)]
pub(crate) struct Inspection {
    pub(crate) shape: FileShape,
    pub(crate) profiles: Vec<ColumnProfile>,
}

/// One row of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// As a spreadsheet counts: the header is row 1, blank lines below it count.
    pub(crate) row: u64,
    /// As written, in the order of the header, and as many.
    pub(crate) fields: Vec<String>,
}

/// [`inspect_with`] without progress.
#[cfg(test)]
pub(crate) fn inspect<R: Read + Seek>(source: &mut R, limits: &Limits) -> Result<Inspection, ImportError> {
    inspect_with(source, limits, |_| {})
}

/// Judges the whole file; the first fault is the error. Tells `progress` after each row how many there were.
pub(crate) fn inspect_with<R: Read + Seek>(
    source: &mut R,
    limits: &Limits,
    mut progress: impl FnMut(u64),
) -> Result<Inspection, ImportError> {
    rewind(source)?;
    let scan = encoding::scan(&mut *source, limits)?;

    rewind(source)?;
    let sample = encoding::read_sample(source, limits.sample_bytes)?;
    let sample_is_whole = sample.len() as u64 == scan.size_bytes;
    let dialect = dialect::detect(&decode_sample(&sample, scan.encoding), sample_is_whole, limits);

    rewind(source)?;
    let mut table = Table::open(source, scan.encoding, dialect, limits)?;
    let headers = table.headers().to_vec();
    let mut profiler = Profiler::new(headers.len());
    while let Some(record) = table.next_row()? {
        profiler.observe(record.fields());
        progress(table.rows());
    }
    let rows = table.rows();
    if rows == 0 {
        return Err(ImportError::file(
            ErrorCode::HeaderOnly,
            "The file has a header but no rows. Export it again with the data below the header.",
        ));
    }
    Ok(Inspection {
        shape: FileShape {
            encoding: scan.encoding,
            dialect,
            format: SourceFormat::recognise(&headers),
            headers,
            rows,
            size_bytes: scan.size_bytes,
        },
        profiles: profiler.finish(),
    })
}

/// Reads an inspected file from its beginning.
pub(crate) fn records<'a, R: Read + Seek>(
    source: &'a mut R,
    shape: &'a FileShape,
    limits: &Limits,
) -> Result<Records<'a, R>, ImportError> {
    rewind(source)?;
    let table = Table::open(source, shape.encoding, shape.dialect, limits)?;
    if table.headers() != shape.headers {
        return Err(file_changed());
    }
    Ok(Records { table, shape, ended: false })
}

/// The rows of a file, in order. After an error there is nothing more.
pub(crate) struct Records<'a, R> {
    table: Table<&'a mut R>,
    shape: &'a FileShape,
    ended: bool,
}

impl<R: Read> Iterator for Records<'_, R> {
    type Item = Result<Record, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let row = self.table.next_row().map(|row| {
            row.map(|record| Record { row: record.row, fields: record.fields().map(str::to_owned).collect() })
        });
        let item = match row {
            Ok(None) if self.table.rows() != self.shape.rows => Some(Err(file_changed())),
            row => row.transpose(),
        };
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

fn rewind(source: &mut impl Seek) -> Result<(), ImportError> {
    source.seek(SeekFrom::Start(0)).map(|_| ()).map_err(|error| ImportError::read_failed(&error))
}

fn file_changed() -> ImportError {
    ImportError::file(ErrorCode::FileChanged, "The file changed while it was being imported. Upload it again.")
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
