//! Coherence: which cached responses go out of date when something of the platform changes.
//!
//! ```text
//! read   views ─▶ cache ─▶ repository ─▶ database        every repository call records the tags of what it reads
//! write  repository(&mut Write) ─▶ change ─▶ commit, with the change's tags ─▶ their invalidation ─▶ position
//! typed  UPDATE … ─▶ trigger ─▶ the tags of its rows ─▶ their invalidation, by the relay
//! ```
//!
//! # Invariants
//! - Key texts stand in [`catalogue`] only, tags are made in [`tags`] only, and [`changes`] alone says which tags a
//!   change concerns.
//! - A statement that changes data needs the [`Change`] it makes: [`Write`] gives out its connection for nothing
//!   else. A write that forgets to invalidate cannot be written; one that declares too little is found by the triggers
//!   ([`watched`]), which invalidate what it forgot.
//! - A tag stands for a fact, never for a response: a cascade follows from what was read, and is not listed.
//!
//! # What it must not know
//! HTTP, sign-in, who may see what.

pub mod catalogue;
pub mod changes;
pub mod governed;
pub mod policies;
pub mod tags;

mod cacheable;
mod reading;
mod recording;
mod tenancy;
mod triggers;
pub mod watched;
mod writing;

pub use self::{
    cacheable::schema_text,
    changes::Change,
    reading::{Answer, CacheUse, Views},
    tenancy::{ClientId, PLATFORM_TENANT, platform_tenant},
    triggers::{ATTEMPTS_MAX, NotVisible, Triggers},
    writing::{Write, WriteError},
};
