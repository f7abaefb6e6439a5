//! The layer as its users see it: a real cache, a real service behind.
#![allow(clippy::unwrap_used, reason = "in a test, what is not there is a failure")]
#![allow(clippy::unnecessary_wraps, reason = "what the service behind gives is a result, also where it cannot fail")]

mod aging;
mod attacks;
mod coherence;
mod compression;
mod conditional;
mod groups;
mod isolation;
mod mounting;
mod origin;
mod parsers;
mod passing;
mod public;
mod search;
mod storing;
mod tuning;
mod waiting;
mod world;
mod writes;
