//! `unstale gateway`: the cache as a reverse proxy before backends in any language.

pub mod config;
mod identity;
mod tags;
