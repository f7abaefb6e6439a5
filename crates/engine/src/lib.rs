//! **Unstale**, the engine: a cache whose entries are never served after one of the facts they were loaded from has
//! changed.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use unstale::{Cache, Invalidation, Loaded, MemoryStore, Policy, ReadOptions, Tag, Tenant, catalogue, record};
//!
//! catalogue! {
//!     /// Every key of the example.
//!     const PATTERNS;
//!     /// A flow by its id.
//!     fn flow(id) -> Flow = "flow";
//! }
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Flow { name: String }
//! unstale::cacheable!(Flow, "Flow v1");
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let cache = Cache::builder(Arc::new(MemoryStore::default())).build().await.unwrap();
//! let acme = Tenant::new("acme").unwrap();
//! let policy = Policy::ttl(Duration::from_secs(300));
//!
//! let load = || async {
//!     record(&Tag::of(&Tenant::new("acme").unwrap(), "flow", 7)); // a repository does this for every row it reads
//!     Ok::<_, String>(Loaded::value(Flow { name: "Lift and shift".into() }))
//! };
//! let options = ReadOptions::default();
//! assert_eq!(cache.fetch(&flow(&acme, 7), &policy, &options, load).await.unwrap().verdict.as_str(), "MISS");
//! assert_eq!(cache.fetch(&flow(&acme, 7), &policy, &options, load).await.unwrap().verdict.as_str(), "HIT");
//!
//! cache.invalidate(&Invalidation::of([Tag::of(&acme, "flow", 7)])).await.unwrap();
//! assert_eq!(cache.fetch(&flow(&acme, 7), &policy, &options, load).await.unwrap().verdict.as_str(), "MISS");
//! # });
//! ```
//!
//! # The one rule
//! An entry is valid iff its epoch is the partition's, its base is at or above the partition's floor, and every
//! tag's clock is at or below its base. The *base* is the log position captured before the load began. See
//! [`clocks`] for the rule and [`Cache::fetch`] for what it guarantees.
//!
//! # What this crate knows nothing of
//! HTTP, SQL, environment variables.

#![forbid(unsafe_code)]

pub mod clocks;
pub mod codec;
pub mod key;
pub mod position;
pub mod store;
pub mod time;

mod cache;
mod entry;
mod flight;
mod footprint;
mod hash;
mod hash_map;
mod judge;
mod l1;
mod lease;
mod look_up;
mod observe;
mod policy;
mod random;
mod refill;
mod resilience;
mod sabotage;
mod scope;
pub mod sealing;
mod sensitive;
mod shares;
mod sync;
mod tag;
mod tenant;
#[cfg(feature = "testing")]
pub mod testing;
mod verdict;

pub use bytes::Bytes;

#[cfg(feature = "redis")]
pub use self::store::{
    InvalidRedisSettings, RedisFinding, RedisLimits, RedisLogin, RedisSettings, RedisStats, RedisStore, RedisTls,
    Severity, TenantUsage, Usage,
};
pub use self::{
    cache::{
        Cache, CacheBuilder, CacheLimits, CacheSize, Cached, Census, EraseError, Erasure, Explanation, FetchError,
        Fetched, InvalidateError, Invalidation, Loaded, OtherNodes, ReadOptions, SubjectCopy, SubjectReport,
        WarmBudget, Warmed,
    },
    clocks::ClockLimits,
    codec::{Cacheable, CodecError, Fingerprint},
    entry::TagIds,
    key::{CacheVersion, Key, KeyPattern, RawKey},
    l1::L1Limits,
    lease::LeaseLimits,
    observe::{Event, EvictionCause, Observer, WaitedFor},
    policy::{Mode, Policy},
    position::{Position, PositionSet},
    refill::RefillLimits,
    resilience::{BreakerLimits, BreakerPer, BreakerState, PendingLimits, Resilience, ResilientStore, RetryLimits},
    scope::{SUBJECTS_MAX, TAGS_MAX, decline, record, record_sensitive, record_subject, required},
    sealing::{KeyRing, Sealing, SealingLimits},
    sensitive::Sensitive,
    store::{MemoryLimits, MemoryStore, Record, StoreError},
    tag::{GroupKey, Home, InvalidTag, TAG_KIND_BYTES_MAX, TAG_TEXT_BYTES_MAX, Tag, TagId},
    tenant::{InvalidTenant, TENANT_BYTES_MAX, Tenant},
    time::Timestamp,
    verdict::{BypassReason, MissReason, NotStored, StaleReason, Verdict},
};
