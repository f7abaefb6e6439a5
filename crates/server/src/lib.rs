//! What an application mounts or runs around the Unstale cache.
//!
//! | module | what it is for |
//! |---|---|
//! | [`settings`] | typed settings from a file and the environment; every fault is told at once |
//! | [`problem`] | RFC 9457 problem details, and extractors that refuse with them |
//! | [`telemetry`] | logs, request spans with W3C trace context, Prometheus metrics |
//! | [`live`] | real-time invalidation over WebSocket |
//! | [`metadata`], [`statistics`] | what is kept about the cache: keys, hours and days, how nodes did |
//! | [`records`] | configuration and books of one cache, put together |
//! | [`run`] | start, readiness, graceful stop |
//! | [`runtime`] | the runtime of a server with thousands of connections |
//! | [`audit`] | who did what: a tamper-evident, searchable trail |
//! | [`database`] | the relational side: SQLite or PostgreSQL, and this crate's tables |
//! | [`flags`] | feature flags, and the protocol by which browsers ask for them |
//! | [`configuration`] | how the cache is used, changed while it runs, with history and undo |
//! | [`consistency`] | the watch: hits are loaded again and compared with the truth |
//! | [`outbox`] | what a write invalidates is committed with it; triggers for changes that bypass the application |
//! | [`gateway`] | a reverse proxy before an existing backend |
//! | [`assets`] | serving a built web application |
//! | [`secret`] | one secret file and the keys derived from it |
//! | [`rate_limit`] | limiting attempts |
//! | [`sealing`] | where the keys are that seal what goes to the store |
//! | [`shared`] | the store of record that the settings name |
//! | [`token_crypto`] | signing and verifying tokens, with `ring` |
//!
//! # What this crate knows nothing of
//! The application's domain: its entities, its roles, its tables. An application tells it a tenant, a user and a
//! session by name, and brings its own notes for live events.

pub mod assets;
pub mod audit;
pub mod configuration;
pub mod consistency;
pub mod database;
pub mod flags;
pub mod gateway;
pub mod live;
pub mod metadata;
pub mod outbox;
pub mod problem;
pub mod rate_limit;
pub mod records;
pub mod run;
pub mod runtime;
pub mod sealing;
pub mod secret;
pub mod settings;
pub mod shared;
pub mod statistics;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod token_crypto;
