//! Administration: clients, engagements, users, approvals.

pub mod approvals;
pub mod clients;
pub mod engagements;
pub mod erasure;
