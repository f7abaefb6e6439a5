//! What tests of the protocol need: the history checker, a store at a distance, real Redis servers, and deliberate
//! breaches.

mod distant;
pub mod history;
#[cfg(feature = "redis")]
pub mod redis_server;

pub use self::{
    distant::{Delays, DistantStore, Faults},
    history::{History, Violation},
};
pub use crate::sabotage::Sabotage;
