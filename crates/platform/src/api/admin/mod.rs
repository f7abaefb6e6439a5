//! Administration: clients, engagements, users, approvals.

pub mod approvals;
pub mod audit;
pub mod clients;
pub mod engagements;
