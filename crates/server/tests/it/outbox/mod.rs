//! The outbox over real databases of both kinds.

mod failover;
mod killed;
mod relaying;
mod seen_by_triggers;
mod world;
mod writing;
