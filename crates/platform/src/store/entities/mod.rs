//! The tables as `SeaORM` entities. What they mean to readers is in [`crate::views`]; which indexes and foreign keys
//! there are is in [`super::migrations`].
#![allow(unreachable_pub, reason = "the derives make public items of the module they stand in")]

pub mod access_request;
pub mod asset;
pub mod client;
pub mod engagement;
pub mod field_mapping;
pub mod flow;
pub mod import;
pub mod membership;
pub mod session;
pub mod user;
pub mod user_default;
pub mod value_correction;
