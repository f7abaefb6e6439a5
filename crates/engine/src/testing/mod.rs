//! What tests of the protocol need: the history checker, a store at a distance, real Redis servers, deliberate breaches,
//! and folders and processes that nothing leaves behind.

mod distant;
mod folder;
pub mod history;
mod leash;
#[cfg(feature = "redis")]
pub mod redis_server;

pub use self::{
    distant::{Delays, DistantStore, Faults, Trouble},
    folder::Folder,
    history::{History, Violation},
    leash::leashed,
};
pub use crate::sabotage::Sabotage;
