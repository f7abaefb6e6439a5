//! Real processes: several nodes, each a process of its own, on a real Redis that is hurt while they are under load: on one
//! server, on a primary that sentinels watch, on a cluster.
//!
//! It shows what neither the model nor the simulation can: that the promise holds with the client library's
//! connections, the scripts as Redis runs them, the operating system's sockets, and processes that really die.
//!
//! ```text
//!              ┌────────── driver ──────────┐
//!  load  ─ask─▶│ readers, writers, history   │
//!              │ database ◀─── look ────────┼── node (process) ──┐
//!              │ proxy ◀────────────────────┼────────────────────┘
//!              └───┬────────────────────────┘
//!                  └──▶ redis-server (process), or sentinels and those that they watch, or a cluster
//! ```
//!
//! - [`Scenario`]: faults under load, then recovery without a restart, then the verdict.
//! - [`measure`]: what is measured and not judged.
//! - [`run_node`]: what a node process does.
//!
//! # What every scenario demands
//! - No read broke its promise (see `books`): strict reads, reads within the staleness bound, reads with the position
//!   of a write, reads on the node that acknowledged, and of those that do not mind staleness, that they are not given what
//!   their node knows to be purged.
//! - No read ended in an error, nor took longer than a named limit: a cache that fails is a miss.
//! - After the last fault every page becomes a hit on every node again, equal to the database, without a restart.
//! - The fault happened, and there were hits under load: otherwise nothing would be shown.
//!
//! # What it does not do
//! Replay: the faults' order comes from a seed, their effects from real processes.

mod bare;
mod books;
mod database;
mod failure;
mod faults;
mod load;
mod measure;
mod member;
mod node;
mod proxy;
mod redis;
mod scenario;
mod server;
mod stage;
mod wire;
mod world;

pub use self::{
    failure::Failure,
    measure::{Figures, measure},
    node::{NodeSettings, run_node},
    scenario::{Report, Scenario},
};
