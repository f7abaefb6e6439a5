//! See `properties::plain_written`.
#![no_main]
#![allow(dead_code, reason = "each target takes one of the properties")]

#[path = "../../crates/server/tests/it/parsers/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::plain_written(data));
