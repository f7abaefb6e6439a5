//! The platform over real databases, the real cache and real requests.
#![allow(unreachable_pub, reason = "modules of one test binary")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod api;
#[cfg(feature = "testing")]
mod bypassing;
mod cleansing;
mod coherence;
mod isolation;
mod killed;
mod migrations;
mod personal_data;
mod repositories;
mod support;
mod writing;
