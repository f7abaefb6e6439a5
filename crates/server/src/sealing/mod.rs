//! Where the keys are that seal what goes to the cache's store.
//!
//! Master keys come from a [`KeySource`]: a file, the environment, a key service ([`KeyService`]) that is asked by a
//! program or by the application, or the installation's own secret. Subjects' keys are in the database ([`SqlSubjectKeys`]), wrapped.
//!
//! # Invariants
//! - Master keys are never written anywhere by this crate.
//! - A source that does not answer at the start is an error that says what to do; later it is a warning, and the keys that
//!   are known stay in force.
//!
//! What is sealed and how: [`unstale::sealing`].

mod command;
mod keeper;
mod settings;
mod source;
mod subject_keys;

pub use self::{
    command::KeyCommand,
    keeper::{Keeper, open},
    settings::SealingSettings,
    source::{KeyService, KeySource, KeySourceError},
    subject_keys::SqlSubjectKeys,
};
