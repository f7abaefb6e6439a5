//! Processes that write under load and are killed at every step between the change and its publication.
//!
//! A *worker* writes facts through the outbox, tells each version that was acknowledged to it, runs a relay, and dies by
//! SIGKILL: at a named step ([`Step`]), or whenever it is killed from outside. Meanwhile two nodes of the *driver* read
//! pages that show the facts, and somebody types into the table. After each death the driver's relay takes over; then
//! everything that is committed counts as acknowledged, and no page may show less.
//!
//! The checker is the one of the engine's tests ([`History`](unstale::testing::History)). That it can fail is shown by
//! runs in which nobody takes over.

mod driver;
mod facts;
mod worker;

pub use self::{
    driver::{Kill, Outcome, Run, Stage},
    worker::{WorkerArguments, work},
};
use crate::outbox::steps::Step;

/// The steps by the names on a worker's command line.
pub(crate) fn step_named(name: &str) -> Option<Step> {
    Step::ALL.into_iter().find(|step| format!("{step:?}") == name)
}
