//! See `properties::csv`. The module is compiled by itself: it needs nothing of the platform, whose build would be long.
#![no_main]
#![allow(dead_code, unused_imports, reason = "the platform uses the rest")]

use imports::{ImportError, Inspection, Limits, Record, inspect_with, records, suggest};

#[path = "../../crates/platform/src/imports/mod.rs"]
mod imports;
#[path = "../../crates/platform/src/imports/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::csv(data));
