//! The audit trail over both databases.

mod away;
mod contract;
mod layer;
mod tamper;
mod world;
