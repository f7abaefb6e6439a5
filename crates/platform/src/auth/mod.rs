//! Who is asking, and what they may do.
//!
//! ```text
//! request ─▶ cookie or bearer ─▶ token ─▶ (cookie) meant by our page? ─▶ session ─▶ acting client ─▶ Caller
//! ```
//!
//! Decisions are pure and apart ([`csrf`], [`cookie`], [`acting`], [`permissions`]); [`middleware`] puts them
//! together before any look-up in the cache, so that what is kept is never shown to whom it is not for. What follows
//! from a token and a session that have not changed is worked out once ([`admissions`]).
//!
//! # Invariants
//! - A token alone lets nobody in: its session is looked up on every request, so logging out and a change of role are
//!   effective at once.
//! - A client, a user, a flow that the caller may not know of is *not found*, with the same answer as an unknown id.

pub mod acting;
pub mod cookie;
pub mod csrf;
pub mod passwords;
pub mod permissions;
pub mod tokens;

pub(crate) mod admissions;
pub(crate) mod middleware;
pub(crate) mod seen;
pub(crate) mod sign_in;

mod caller;

pub use self::caller::Caller;
