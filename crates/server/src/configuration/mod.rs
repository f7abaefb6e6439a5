//! How the cache is used, changed while it runs: lifetimes, modes, quotas, switches.
//!
//! ```text
//! change ─▶ check ─▶ cache_configuration (a new version) ─▶ this node ─▶ one shared tag, declared wrong ─▶ other nodes
//! ```
//!
//! What the code says (policies of key patterns and of routes) are defaults; a [`Configuration`] names only what is to
//! be otherwise. [`LiveConfiguration`] holds the version in force, of which readers take what they need without a lock.
//!
//! # Invariants
//! - A version is never altered. Undoing makes a new one, with the document of an earlier one.
//! - Of two changes that were made of the same version, the second is refused.
//! - What is stored was checked. What a node of another build does not know of it, it leaves out, and says so.
//! - Nothing here can make an answer incoherent: entries that must be read strictly stay so, and whatever moves without an
//!   invalidation keeps the longest life that the code allows.
//!
//! # What it does not do
//! It decides nothing about who may change it, and nothing of the process (addresses, databases): see
//! [`settings`](crate::settings).

mod check;
mod document;
mod effective;
mod history;
mod live;

pub use self::{
    check::{Entry, Known},
    document::{
        Configuration, ConsistencySettings, EndpointSettings, EntrySettings, ModeSettings, Retention, Switches,
        TenantSettings,
    },
    effective::Effective,
    history::{Change, ChangeError, Version},
    live::LiveConfiguration,
};
