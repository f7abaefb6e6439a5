//! What tests on databases stand on (feature `testing`).

pub mod database;
pub mod kills;
pub mod postgres;
