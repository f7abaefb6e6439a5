//! Who is asking, and what they may do.
//!
//! Decisions are pure and apart ([`csrf`], [`cookie`], [`acting`], [`permissions`]).

pub mod acting;
pub mod cookie;
pub mod csrf;
pub mod passwords;
pub mod permissions;
pub mod tokens;
