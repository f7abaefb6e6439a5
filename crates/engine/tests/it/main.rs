//! The engine as its users see it: caches over stores.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "tests")]

mod coherence;
mod reads;
#[cfg(feature = "redis")]
mod redis;
mod resilience;
#[cfg(feature = "redis")]
mod resilience_redis;
mod store_contract;
mod world;
