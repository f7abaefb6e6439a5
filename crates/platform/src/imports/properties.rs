//! What must hold of reading a file, for whatever bytes. Tests and the fuzz target (`fuzz/`) both call it.

use std::{collections::HashSet, io::Cursor};

use super::{ImportError, Inspection, Limits, Record, inspect_with, records, suggest};

/// So small that a short file meets each of them.
fn small() -> Limits {
    Limits {
        file_bytes_max: 2_000,
        rows_max: 30,
        columns_max: 8,
        field_bytes_max: 20,
        record_bytes_max: 60,
        header_bytes_max: 16,
        sample_bytes: 32,
    }
}

/// A file is refused with a word for its owner, or all of it is read: the same way each time, within the limits.
pub(crate) fn csv(bytes: &[u8]) {
    for limits in [small(), Limits::default()] {
        let mut file = Cursor::new(bytes);
        let mut told = 0;
        let inspected = inspect_with(&mut file, &limits, |row| {
            assert_eq!(row, told + 1, "each row is told");
            told = row;
        });
        let again = inspect_with(&mut file, &limits, |_| {});
        match (&inspected, &again) {
            (Ok(one), Ok(other)) => assert_eq!((&one.shape, &one.profiles), (&other.shape, &other.profiles)),
            (Err(one), Err(other)) => assert_eq!(one, other),
            _ => panic!("the same bytes are read in two ways"),
        }
        match inspected {
            Ok(inspection) => {
                assert_eq!((told, bytes.len() as u64), (inspection.shape.rows, inspection.shape.size_bytes));
                read(&mut file, &inspection, &limits);
            }
            Err(ImportError { message, .. }) => assert!(!message.is_empty()),
        }
    }
}

fn read(file: &mut Cursor<&[u8]>, inspection: &Inspection, limits: &Limits) {
    let shape = &inspection.shape;
    let headers: HashSet<_> = shape.headers.iter().collect();
    assert!(headers.len() == shape.headers.len() && headers.len() <= limits.columns_max, "{headers:?}");
    assert!(headers.iter().all(|name| !name.is_empty() && name.len() <= limits.header_bytes_max), "{headers:?}");
    assert_eq!(inspection.profiles.len(), headers.len());

    let rows: Result<Vec<Record>, _> = records(file, shape, limits).expect("it was found good").collect();
    let rows = rows.expect("it was found good");
    assert!(rows.len() as u64 == shape.rows && shape.rows <= limits.rows_max);
    assert!(rows.windows(2).all(|pair| pair[0].row < pair[1].row), "rows are numbered downwards");
    for record in rows {
        assert_eq!(record.fields.len(), shape.headers.len());
        assert!(record.fields.iter().all(|field| field.len() <= limits.field_bytes_max));
        assert!(record.fields.iter().all(|field| !field.contains('\0')));
    }

    let suggestions = suggest(inspection);
    let targets: Vec<&str> = suggestions.iter().filter_map(|one| Some(one.target?.name)).collect();
    assert_eq!(suggestions.len(), shape.headers.len());
    assert_eq!(targets.iter().collect::<HashSet<_>>().len(), targets.len(), "no attribute is meant twice");
}
