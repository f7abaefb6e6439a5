//! The crate as its users see it: whole runs.

mod simulation;
