//! Looking through this node's memory for what carries some tags: to tell an operator what an invalidation would concern,
//! and to delete bytes.
//!
//! There is no index from tags to entries, on purpose: an invalidation costs the same whatever the number of entries. So
//! this looks at each, up to a limit. Nothing here is needed for coherence.

use std::sync::Arc;

use super::Cache;
use crate::{
    entry::Entry,
    key::RawKey,
    store::StoreError,
    tag::{Tag, TagId},
};

/// What was found in this node's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Entries that carry one of the tags, valid or not.
    pub entries: usize,
    /// Bytes of memory that their values take.
    pub bytes: u64,
    /// Entries that were looked at.
    pub looked_at: usize,
    /// Whether that was all of them.
    pub is_complete: bool,
}

impl Cache {
    /// Counts the entries in this node's memory that carry one of `tags`, looking at `looks_max` entries at most.
    pub fn count_tagged(&self, tags: &[Tag], looks_max: usize) -> Census {
        self.find_tagged(&ids(tags), looks_max).0
    }

    /// Removes the entries that carry one of `tags` from this node's memory and from the store, as far as this node's
    /// memory knows of them. What other nodes hold stays, and so does what the store alone holds: declare the tags wrong
    /// first ([`Cache::invalidate`]), then none of it is served.
    pub async fn remove_tagged(&self, tags: &[Tag], looks_max: usize) -> Result<Census, StoreError> {
        let (census, found) = self.find_tagged(&ids(tags), looks_max);
        let keys = found.iter().filter_map(|entry| RawKey::of_text(&entry.text()));
        let mut failed = Ok(census);
        for key in keys {
            self.shared.l1.remove(&key);
            if let Err(error) = self.shared.store.remove(&key).await {
                failed = Err(error);
            }
        }
        failed
    }

    pub(super) fn find_tagged(&self, tags: &[TagId], looks_max: usize) -> (Census, Vec<Arc<Entry>>) {
        let (mut census, mut found) = (Census::default(), Vec::new());
        census.is_complete = self.shared.l1.look_through(|entry| {
            if census.looked_at == looks_max {
                return false;
            }
            census.looked_at += 1;
            if tags.iter().any(|tag| entry.tags().contains(tag)) {
                census.entries += 1;
                census.bytes += entry.memory_bytes() as u64;
                found.push(entry.clone());
            }
            true
        });
        (census, found)
    }
}

fn ids(tags: &[Tag]) -> Vec<TagId> {
    tags.iter().map(Tag::id).collect()
}
