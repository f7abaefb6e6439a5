//! What is cached: a row for each key in the table `cache_metadata`, with when it was loaded, until when it is fresh, how
//! often it was read, and when last.
//!
//! Filled by [`statistics`](crate::statistics), beside the reads and in batches; a row is right to within the interval at
//! which it is written. It outlives its entry by the time that the configuration says: what was evicted or invalidated is
//! not told from what is there.
//!
//! # Invariants
//! - A key is one row, whichever nodes hold it: their reads add up.
//! - What people typed (the queries of URLs, and parts of keys that the application names) is not in a row: a keyed hash is
//!   ([`Concealed`]).
//! - Keys longer than [`KEY_BYTES_MAX`] are cut, and end in a hash of the whole, so they stay unique.
//!
//! # What it does not do
//! Nothing is decided from it; the cache never reads it. It holds no values.

mod accesses;
mod concealed;
mod table;

pub(crate) use self::{
    accesses::{Access, Accesses, Noted},
    table::{PAGE_SIZE_MAX, prune, write},
};
pub use self::{
    concealed::Concealed,
    table::{Filter, Metadata, Page, forget, list},
};

/// Longest key of a row, in bytes: an index holds it.
pub const KEY_BYTES_MAX: usize = 512;
