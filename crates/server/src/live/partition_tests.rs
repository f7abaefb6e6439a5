//! Tests of the rules in `partition.rs`.
