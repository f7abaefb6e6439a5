//! The consistency watch: is what the cache answers true?
//!
//! A small share of reads is watched. What a watched hit was given is loaded again, past the cache, after 1, 10 and 60
//! seconds, and compared. A difference alone says nothing: data change. It is *incorrect* only if the cache still takes
//! the value for valid: none of its tags was invalidated in between, and its time is not over.
//!
//! ```text
//! read ─▶ Watch::begin (drawn?) ─▶ hit ─▶ Watch::served ─▶ after 1, 10, 60 s: load, compare ─▶ judge ─▶ Finding
//! ```
//!
//! And without any load: a hit that was known to be wrong before its read began (by a record that this node had applied)
//! breaks the one rule, whatever its value.
//!
//! # No false alarms
//! A write commits before its invalidation is recorded, and a view may lag behind the log. So a difference is looked at
//! once more, after [`Limits::settle`] and with the view brought to the log's head, and must still be there. What moves
//! without an invalidation (when a user was last seen) is left out by whoever watches.
//!
//! # Invariants
//! - No read waits for the watch. It has a budget of loads, and what goes beyond it is left out and counted.
//! - A finding says why, and holds no values: where two documents differ, not by what.
//!
//! # What it cannot see
//! Hits of which the wrong value was right again a second later. What readers were given from the browser's own cache.

mod compare;
mod finding;
mod http;
mod judge;
mod watch;

use std::time::Duration;

pub use self::{
    compare::{Truth, differences},
    finding::{ClockOf, Finding, Kind},
    http::{WatchLayer, WatchService, is_past_the_cache},
    judge::Outcome,
    watch::{Served, Ticket, Watch},
};

/// The limits of a [`Watch`], each with its default.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// When a hit is compared with the truth, after it was given.
    pub delays: [Duration; 3],
    /// How long a difference is given to be explained by an invalidation.
    pub settle: Duration,
    /// How long a load may take.
    pub load_timeout: Duration,
    /// Hits that are watched at once; each holds on to its tags, and to its value.
    pub watched_max: usize,
    /// Findings that are kept; the oldest go first.
    pub findings_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            delays: [1, 10, 60].map(Duration::from_secs),
            settle: Duration::from_secs(2),
            load_timeout: Duration::from_secs(10),
            watched_max: 256,
            findings_max: 200,
        }
    }
}
