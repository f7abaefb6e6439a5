//! The pure core of the CSV import: judge a file, read it, suggest what its columns mean.
//!
//! A migration team uploads what its tools export: Azure Migrate, AWS Migration Hub, or a CMDB
//! nobody foresaw; in any usual encoding, with any usual delimiter.
//!
//! ```text
//! let limits = Limits::default();
//! let mut file = std::fs::File::open(path)?;
//! let inspection = inspect_with(&mut file, &limits, |row| ())?; // the whole file is good, or the first fault
//! for suggestion in suggest(&inspection) {
//!     println!("{} → {:?}: {}", suggestion.source_column, suggestion.target, suggestion.reason);
//! }
//! for record in records(&mut file, &inspection.shape, &limits)? {
//!     store(record?);                                 // in one transaction
//! }
//! ```
//!
//! # Invariants
//! - Memory is bounded by [`Limits`], not by the file; nothing is ever unpacked.
//! - [`inspect_with`] succeeds only if every byte of the file was looked at and found good.
//! - A refusal names its place and its remedy ([`ImportError`]), and its [`ErrorCode`] never changes.
//! - Same bytes, same result: no clock, no randomness, no iteration over unordered maps.
//!
//! # What it must not know
//! Tokio, HTTP, SQL, tenants. The caller owns the thread (all of this blocks), the transaction and
//! the cancellation: a `Read` that fails stops everything with [`ErrorCode::ReadFailed`].

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

mod clues;
mod decode;
mod dialect;
mod distinct;
mod encoding;
mod error;
mod evidence;
mod format;
mod formula;
mod header;
mod lexer;
mod limits;
mod profile;
mod reader;
mod reason;
mod signature;
mod suggest;
mod table;
mod targets;
mod value;
mod vocabulary;

#[allow(unused_imports, reason = "the facade names the whole interface, whether or not a caller spells each type")]
pub(crate) use self::{
    clues::identifies,
    dialect::{Delimiter, Dialect},
    encoding::TextEncoding,
    error::{ErrorCode, ImportError},
    format::SourceFormat,
    limits::Limits,
    profile::ColumnProfile,
    reader::{FileShape, Inspection, Record, Records, inspect_with, records},
    suggest::{Suggestion, suggest},
    targets::{
        CUSTOM, DataType, TargetAttribute, all as target_attributes, find as find_target, is_target,
        label as target_label,
    },
    value::{ValueKind, classify},
};

#[cfg(test)]
pub(crate) use self::reader::inspect;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod testkit;
