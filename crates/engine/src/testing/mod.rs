//! What tests of the protocol need: the history checker, a store at a distance, and deliberate breaches.

mod distant;
pub mod history;

pub use self::{
    distant::{DistantStore, Faults},
    history::{History, Violation},
};
pub use crate::sabotage::Sabotage;
