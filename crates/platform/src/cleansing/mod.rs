//! Cleansing: what is doubtful about imported values, and what stands for them.
//!
//! Nothing that was imported is changed. A correction says that in one column one value stands for another, wherever it
//! stands; rows keep the file's values beside those that are shown, so that every correction can be taken back.
//!
//! Pure: [`judge`] (a value by itself), [`tally`] (a column), [`replacements`] (what stands for what). Reading: [`report`].

mod judge;
mod replacements;
mod report;
mod tally;

pub(crate) use self::{replacements::Replacements, report::report};
