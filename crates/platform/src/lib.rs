//! The migration platform: the first application on Unstale.

pub mod views;
