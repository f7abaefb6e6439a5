//! The crate as its users see it: whole runs of the simulation, and of real processes.

mod chaos;
mod simulation;
