//! The document: what is to be otherwise than the code says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How the cache is used. What is left out is as the code says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Configuration {
    /// What is on and off everywhere.
    pub switches: Switches,
    /// By key pattern, such as `user:context`.
    pub entries: BTreeMap<String, EntrySettings>,
    /// By route, such as `/api/v1/context/me`.
    pub endpoints: BTreeMap<String, EndpointSettings>,
    /// By tenant.
    pub tenants: BTreeMap<String, TenantSettings>,
    /// The consistency watch.
    pub consistency: ConsistencySettings,
    /// For how long records about the cache are kept.
    pub retention: Retention,
}

/// What is on and off everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Switches {
    /// The cache itself. Off, every read is loaded; writes invalidate all the same.
    pub cache: bool,
    /// The shared store of entries. Off, each node loads for itself; nodes hear of invalidations all the same.
    pub store: bool,
    /// `X-Cache`, `Cache-Status` and `Server-Timing` in answers.
    pub headers: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self { cache: true, store: true, headers: true }
    }
}

/// A key pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EntrySettings {
    /// How long a value is fresh, in seconds. A shorter life is that of what is kept already too.
    pub ttl_seconds: Option<u64>,
    /// How long after that it may be served while it is loaded anew, in seconds.
    pub grace_seconds: Option<u64>,
    /// How long after that it may be served where loading fails, in seconds.
    pub fail_safe_seconds: Option<u64>,
    /// How strictly invalidations bind.
    pub mode: Option<ModeSettings>,
    /// Whether it is cached.
    pub cache: Option<bool>,
    /// Whether nodes share it through the store.
    pub store: Option<bool>,
}

/// A route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EndpointSettings {
    /// How long a response is fresh, in seconds. A shorter life is that of what is kept already too.
    pub ttl_seconds: Option<u64>,
    /// How long after that it may be served while it is loaded anew, in seconds.
    pub grace_seconds: Option<u64>,
    /// How long after that it may be served where loading fails, in seconds.
    pub fail_safe_seconds: Option<u64>,
    /// How strictly invalidations bind.
    pub mode: Option<ModeSettings>,
    /// Whether its responses are cached.
    pub cache: Option<bool>,
    /// Whether nodes share them through the store.
    pub store: Option<bool>,
    /// Whether its answers tell what the cache did.
    pub headers: Option<bool>,
}

impl EndpointSettings {
    /// What it says of its entries.
    pub(super) fn entry(&self) -> EntrySettings {
        let Self { ttl_seconds, grace_seconds, fail_safe_seconds, mode, cache, store, headers: _ } = *self;
        EntrySettings { ttl_seconds, grace_seconds, fail_safe_seconds, mode, cache, store }
    }
}

/// How strictly invalidations bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ModeSettings {
    /// Every read asks the store of record.
    Strict,
    /// A node's view is used while it was confirmed within so many milliseconds.
    Bounded {
        /// The bound.
        milliseconds: u64,
    },
    /// A value may be served although it was invalidated, while it is no older than so many seconds.
    StaleOk {
        /// The age.
        seconds: u64,
    },
}

/// A tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TenantSettings {
    /// Bytes that its entries may take in each node's memory, even while there is room.
    pub memory_bytes_max: Option<u64>,
    /// Its share of memory when it is short, beside others of weight 1.
    pub weight: Option<u32>,
}

/// The consistency watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConsistencySettings {
    /// Hits, of a million, whose value is loaded again and compared; 0 switches the watch off.
    pub sample_per_million: u32,
    /// Loads that the watch may make in a second, on each node.
    pub checks_per_second_max: u32,
}

impl Default for ConsistencySettings {
    fn default() -> Self {
        Self { sample_per_million: 1000, checks_per_second_max: 5 }
    }
}

/// For how long records about the cache are kept, in days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// What was cached, after its time was over.
    pub metadata_days: u32,
    /// How each node did, by interval.
    pub performance_days: u32,
    /// Statistics by hour.
    pub hourly_days: u32,
    /// Statistics by day.
    pub daily_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { metadata_days: 7, performance_days: 14, hourly_days: 35, daily_days: 800 }
    }
}
