//! The layer as its users see it: a real cache, a real service behind.

mod coherence;
mod conditional;
mod isolation;
mod passing;
mod storing;
mod waiting;
mod world;
