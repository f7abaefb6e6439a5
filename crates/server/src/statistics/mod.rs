//! What is kept about the cache: what it holds ([`metadata`](crate::metadata)), how each node does by interval, and what
//! was read and loaded by hour and day, tenant and kind of entry.
//!
//! ```text
//! cache ─▶ Bookkeeper ─▶ bounded queue ─▶ Ledger (adds up, in memory) ─▶ Writer ─▶ database, in batches
//! ```
//!
//! # Invariants
//! - A read waits for none of it. What finds no place in the queue is dropped and counted.
//! - Hits are *sampled* where they are many: each note stands for a number of hits, drawn so that sums are right on
//!   average. Where they are few (fewer than [`Limits::hits_noted_per_second`]), each is noted. What is not a hit always
//!   is.
//! - What is written of an hour are this node's totals of it, under this process's own name: writing twice does no harm,
//!   and nodes add up. Days are added up from hours, as often as one likes.
//! - Nothing is kept longer than the configuration says.
//!
//! # What it does not do
//! It is no audit: it knows no principals, and it may drop.

mod bookkeeper;
mod histogram;
pub(crate) mod ledger;
mod query;
pub(crate) mod sampling;
mod tables;
mod writer;

use std::{sync::Arc, time::Duration};

use unstale::RawKey;

pub use self::{
    bookkeeper::Bookkeeper,
    query::{Aggregate, By, Filter, Performance, aggregates, performance},
    writer::{Flushed, Writer},
};

/// Names the kind of entry of a key, where its pattern says too little; none: the pattern's name. Asked beside the
/// reads, for each note.
pub type Naming = Arc<dyn Fn(&RawKey) -> Option<Arc<str>> + Send + Sync>;

/// The limits of what is kept, each with its default.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Notes that wait to be added up.
    pub queue_max: usize,
    /// Hits noted singly in a second; of more, a share is.
    pub hits_noted_per_second: u32,
    /// Keys whose metadata wait to be written; those beyond it are counted as dropped.
    pub keys_max: usize,
    /// Pairs of tenant and entity within an hour; those beyond it are added up under the tenant `(other)`.
    pub pairs_max: usize,
    /// How often is written.
    pub write_every: Duration,
    /// How often days are added up and what is old is removed.
    pub tidy_every: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue_max: 16_384,
            hits_noted_per_second: 1000,
            keys_max: 20_000,
            pairs_max: 20_000,
            write_every: Duration::from_secs(10),
            tidy_every: Duration::from_secs(300),
        }
    }
}
