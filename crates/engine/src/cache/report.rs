//! What is cached about a person.
//!
//! There is no index from people to entries: whoever asks has each entry looked at, where that holds nobody up.

use super::{Cache, Shared};
use crate::{entry::Entry, key::RawKey, store::Seal, tag::Tag, time::Timestamp};

/// Keys that the store is asked for in one go.
const LOOKUPS_AT_ONCE: usize = 256;

/// One value about a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectCopy {
    /// The text of its key.
    pub key: String,
    /// Whether the store has it too; none if it did not answer.
    pub in_store: Option<bool>,
    /// Since when there is this value.
    pub loaded_at: Timestamp,
    /// Until when it is fresh, at the latest.
    pub expires_at: Timestamp,
    /// Bytes of memory that its value takes.
    pub bytes: usize,
    /// Whether it may be served at this moment, as far as the rule is concerned.
    pub is_valid: bool,
}

/// What is cached about a person, as far as this node knows.
///
/// It covers this node's memory, and the store for the keys that are there. What other nodes hold, and what only the store
/// still holds, is told by them, or by nobody: none of it lives beyond
/// [`CacheLimits::subject_lifetime_max`](crate::CacheLimits::subject_lifetime_max).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectReport {
    /// The copies.
    pub copies: Vec<SubjectCopy>,
    /// Entries of this node's memory that were looked at.
    pub looked_at: usize,
    /// Whether that was all of them.
    pub is_complete: bool,
}

impl Cache {
    /// What is cached about the person that the tag `subject` stands for, looking at `looks_max` entries of this node's
    /// memory at most.
    pub async fn report(&self, subject: &Tag, looks_max: usize) -> SubjectReport {
        let shared = self.shared.clone();
        let id = subject.id();
        let looking = tokio::task::spawn_blocking(move || {
            let (mut report, mut keys) = (SubjectReport::default(), Vec::new());
            report.is_complete = shared.l1.look_through(|entry| {
                if report.looked_at == looks_max {
                    return false;
                }
                report.looked_at += 1;
                if entry.tags().contains(&id)
                    && let Some(key) = RawKey::of_text(&entry.text())
                {
                    report.copies.push(shared.copy(entry));
                    keys.push(key);
                }
                true
            });
            (report, keys)
        });
        // Not joined only if the runtime ends.
        let Ok((mut report, keys)) = looking.await else { return SubjectReport::default() };
        if self.shared.store.shares_entries() {
            for (copies, keys) in report.copies.chunks_mut(LOOKUPS_AT_ONCE).zip(keys.chunks(LOOKUPS_AT_ONCE)) {
                let found = self.shared.store.get(keys).await.ok();
                for (at, copy) in copies.iter_mut().enumerate() {
                    let is_there = |found: &Vec<Option<crate::store::StoredEntry>>| {
                        found[at].as_ref().is_some_and(|entry| entry.seal == Seal::None && entry.tags.contains(&id))
                    };
                    copy.in_store = found.as_ref().map(is_there);
                }
            }
        } else {
            report.copies.iter_mut().for_each(|copy| copy.in_store = Some(false));
        }
        report.copies.sort_by(|one, other| one.key.cmp(&other.key));
        report
    }
}

impl Shared {
    fn copy(&self, entry: &Entry) -> SubjectCopy {
        SubjectCopy {
            key: entry.text(),
            in_store: None,
            loaded_at: entry.loaded_at(),
            expires_at: entry.expires_at,
            bytes: entry.memory_bytes(),
            is_valid: self.is_valid(entry),
        }
    }
}
