//! The engine as its users see it: caches over stores.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "tests")]

mod accepting;
mod answers;
mod batch_lease;
mod batches;
mod busy_store;
mod coherence;
mod cut_off;
mod erasure;
#[cfg(feature = "redis")]
mod eviction;
mod fallbacks;
#[cfg(feature = "redis")]
mod fleet;
mod futures;
#[cfg(feature = "redis")]
mod hanging;
mod invalidations;
mod kept;
mod lease;
#[cfg(feature = "redis")]
mod leftovers;
mod look_ups;
mod memory;
mod nodes;
mod outages;
mod pending;
mod read_since;
mod reads;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod redis_groups;
mod refill;
mod refresh;
#[cfg(feature = "redis")]
mod reports;
mod resilience;
#[cfg(feature = "redis")]
mod resilience_redis;
#[cfg(feature = "redis")]
mod sealing;
mod store_contract;
mod strict;
mod switches;
#[cfg(feature = "redis")]
mod tls;
mod told;
#[cfg(feature = "redis")]
mod topology;
#[cfg(feature = "redis")]
mod troubles;
mod unconfirmed;
mod world;
