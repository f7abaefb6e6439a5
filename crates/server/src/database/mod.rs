//! The relational side of what this crate keeps: SQLite (the embedded default) or PostgreSQL (schema `migration`).
//!
//! Its tables have a history of their own ([`migrate_up`]), beside the application's: an application brings these up to
//! date first, then its own, which may refer to them.
//!
//! # What it must not know
//! The application's tables.

mod connect;
mod migrations;

pub use self::{
    connect::{PoolLimits, SCHEMA, connect},
    migrations::{MigrationState, migrate_down, migrate_up, migrations, states},
};
