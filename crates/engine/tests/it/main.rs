//! The engine as its users see it: caches over stores.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "tests")]

mod coherence;
mod memory;
mod reads;
#[cfg(feature = "redis")]
mod redis;
mod store_contract;
mod world;
