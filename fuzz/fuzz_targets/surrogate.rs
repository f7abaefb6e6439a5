//! See `properties::surrogate`.
#![no_main]
#![allow(dead_code, reason = "each target takes one of the properties")]

#[path = "../../crates/http/tests/it/parsers/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::surrogate(data));
