//! The migration platform: the first application on Unstale.
#![allow(missing_docs, reason = "an application, not a library: the names of fields say enough")]

pub mod auth;
pub mod coherence;
pub mod store;
pub mod views;
