//! Administration: clients, engagements, users, approvals, the cache.

pub mod approvals;
pub mod audit;
pub mod cache;
pub mod clients;
pub mod engagements;
pub mod erasure;
pub mod flags;
