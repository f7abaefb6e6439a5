//! The seeded simulation: several nodes on the engine's real code, with simulated store, network, clocks and database.
//!
//! One seed, one run: time stands until nothing can go on and then moves to the next thing that waits for it, and all
//! chance is from the seed, so the same seed gives the same run (its trace has the same hash). In a run, clients read
//! and write pages on nodes while the run's faults strike. Then everything is healed, and the run must come to rest.
//!
//! # What is checked
//! - *Safety*, with [`unstale::testing::History`]: every read keeps its promise (see [`promise`]).
//! - *Liveness*: once all is healed, every page can be had from the cache again on every node, no load is left over,
//!   nobody waits, everything owed to the caches is delivered. Then each of the run's faults strikes once more, on its own: when it
//!   is over, pages become hits again on every node.
//! - *Bounds*: log and clocks stay within their limits.
//!
//! # What is not simulated
//! Threads (the interleavings here are those of tasks at their awaits), bytes on the wire, a store whose old primary
//! goes on to answer after another has taken over.

mod clients;
mod clock;
mod dice;
mod nemesis;
mod node;
mod pages;
mod plan;
mod promise;
mod reason;
mod report;
mod run;
mod scale;
mod store;
mod trace;
mod world;

pub use self::{
    promise::{Broken, Promised, ReadKind},
    report::{Totals, first_to_notice},
    run::{Breach, Outcome, run},
    scale::{Measured, Scene, apply_rates, measure},
    store::{StoreBreach, StoreLimits},
    trace::Counts,
};
