//! The server's parts over real sockets.
#![allow(clippy::unwrap_used, reason = "in a test, what is not there is a failure")]

#[cfg(feature = "testing")]
mod audit;
mod configuration;
mod consistency;
mod gateway;
mod gateway_config;
mod live;
#[cfg(feature = "testing")]
mod outbox;
mod parsers;
mod run;
mod statistics;
