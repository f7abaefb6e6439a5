//! The exhaustive model of the protocol: every state that a small system can reach, and every way in which a broken
//! protocol would show.
//!
//! ```text
//! cargo run -p unstale-sim --bin model                            everything that tests run
//! cargo run -p unstale-sim --bin model -- --breach StampAfterLoad a counterexample, step by step
//! ```
//!
//! # What is checked
//!
//! *Safety.* No read is answered with a version older than it was promised: what its own node acknowledged, what was
//! acknowledged longer ago than the bound, what its position says, or (strict) whatever was acknowledged anywhere. Who does
//! not mind staleness is not given what was purged, as far as the node's view has come. At most one live owner per lease.
//!
//! *Liveness.* From every reachable state, however many faults led there, it is possible without another fault that
//! nobody waits and nothing is under way, and that every key is a hit in the memory of every node. See [`explore()`]'s
//! module for what "possible" is worth.
//!
//! # How near it is to the code
//!
//! The rule is not written down here a second time: a node's view *is* [`unstale::clocks::Clocks`] (see `view`), which
//! also trims itself. What the store does is written after its scripts (`store`), what a node does after the engine's
//! cache (`writes`, `loads`, `reads`), one step for what happens between two awaits. The store's
//! rule is a second writing of it, as it is in Redis.
//!
//! # What it abstracts from
//!
//! - One partition: partitions share nothing, and a shared fact has a record in each.
//! - Time is one step, `Tick`: the bound passes, for everything that was before it. Grace, fail-safe and time to live
//!   only end the use of values that the rule allows, so they are not there.
//! - Messages that only wake nodes are not there either: a node may ask the log at any moment, and may never do so. Of
//!   those that tell of records, every loss, delay, doubling and order is that a node hears of any of them at any
//!   moment, or never.
//! - The watched read is one at a time; what other readers do are steps of their own (`reads`).
//! - A server that was restarted or failed over to is one whose state is lost, because the run's id is part of the
//!   state's name. Without that it would be [`Variant::FailoverUnnoticed`]; two masters at once are
//!   [`Variant::FormerMasterAnswers`], which the protocol does *not* survive: the store must prevent it.
//!
//! # Why not an existing checker
//!
//! See `docs/adr/0014-proof-tools.md`.

mod action;
mod explore;
mod faults;
mod loads;
mod names;
mod protocol;
mod reads;
mod reason;
mod scenario;
mod state;
mod store;
mod suite;
mod variant;
mod view;
mod writes;

pub use self::{
    action::{Action, Fault, ReadKind},
    explore::{Counterexample, Model, Notes, Report, explore},
    protocol::Protocol,
    scenario::Scenario,
    state::State,
    suite::{check_broken, check_sound, is_caught, missing},
    variant::Variant,
};
