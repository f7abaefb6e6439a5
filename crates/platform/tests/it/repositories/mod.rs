//! What the repositories do, over both databases.

mod assets;
mod imports;
mod mappings;
mod organisation;
mod people;

use platform::store::{Conflict, StoreError, repositories::assets::Vocabulary};

/// The meaning of attributes in these tests.
pub const VOCABULARY: Vocabulary = Vocabulary { label: str::to_uppercase, name_attribute: "hostname" };

#[track_caller]
fn conflict(error: StoreError) -> Conflict {
    match error {
        StoreError::Conflict(conflict) => conflict,
        other => panic!("{other:?} is no conflict"),
    }
}

#[track_caller]
fn is_not_found(error: &StoreError, expected: &str) {
    assert!(matches!(error, StoreError::NotFound { what } if *what == expected), "{error:?} is not about a {expected}");
}
