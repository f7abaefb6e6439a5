//! Shows that the protocol keeps its guarantee, in three ways that each see what the others cannot.
//!
//! - [`model`]: every reachable state of a small abstract system, by exhaustive search. Shows the *protocol*.
//! - [`simulation`]: several nodes on the engine's real code, with simulated store, clock and network, by seed. Shows
//!   the *code* under faults that may meet in any order.
//! - [`chaos`]: nodes as processes of their own on a real Redis that is killed, paused, emptied, failed over and cut
//!   off while they are under load. Shows the *whole*, with what neither of the others can contain.
//!
//! The promise is the same everywhere, and so is its checker ([`unstale::testing::History`]).

#![forbid(unsafe_code)]

pub mod chaos;
pub mod model;
pub mod simulation;
