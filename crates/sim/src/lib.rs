//! Shows that the protocol keeps its guarantee, in three ways that each see what the others cannot.
//!
//! - [`model`]: every reachable state of a small abstract system, by exhaustive search. Shows the *protocol*.
//! - [`simulation`]: several nodes on the engine's real code, with simulated store, clock and network, by seed. Shows
//!   the *code* under faults that may meet in any order.
//!
//! The promise is the same everywhere, and so is its checker ([`unstale::testing::History`]).

pub mod model;
pub mod simulation;
