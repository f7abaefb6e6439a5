//! The migration platform: the first application on Unstale.
#![allow(missing_docs, reason = "an application, not a library: the names of fields say enough")]
#![allow(clippy::result_large_err, reason = "a problem is made once for a refused request, and moved a few times")]

pub mod api;
pub mod app;
pub mod auth;
pub mod coherence;
pub mod demo;
pub mod experience;
pub mod flags;
pub mod settings;
pub mod store;
pub mod views;

mod cleansing;
mod imports;
mod live;
mod records;
mod warming;
mod web;
