//! The outbox over real databases of both kinds.

mod relaying;
mod seen_by_triggers;
mod world;
mod writing;
