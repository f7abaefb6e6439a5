//! Invalidation: declaring tags wrong, in every tier and on every node.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Cache;
use crate::{
    position::{Partition, PositionSet},
    sabotage::Sabotage,
    store::{NOTE_BYTES_MAX, RECORD_TAGS_MAX, StoreError},
    tag::{Home, Tag, TagId},
};

/// What a write has changed.
#[derive(Clone, Debug, Default)]
pub struct Invalidation {
    tags: Vec<Tag>,
    note: Bytes,
}

/// An invalidation that was not recorded everywhere.
///
/// The write must not be acknowledged as visible: say the same invalidation again (twice does no harm).
#[derive(Debug, thiserror::Error)]
pub enum InvalidateError {
    /// The store did not take it.
    #[error("the invalidation was recorded in {} of {wanted} partitions; repeat it", recorded.iter().count())]
    NotRecorded {
        /// Where it was recorded.
        recorded: PositionSet,
        /// How many partitions it concerns.
        wanted: usize,
        /// What the store said.
        source: StoreError,
    },
    /// The note is too long.
    #[error("a note of {bytes} bytes is longer than {NOTE_BYTES_MAX}; shorten it")]
    NoteTooLong {
        /// Its length.
        bytes: usize,
    },
}

impl Invalidation {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of these tags.
    pub fn of(tags: impl IntoIterator<Item = Tag>) -> Self {
        Self { tags: tags.into_iter().collect(), note: Bytes::new() }
    }

    /// Adds a tag.
    pub fn tag(&mut self, tag: Tag) {
        if !self.tags.contains(&tag) {
            self.tags.push(tag);
        }
    }

    /// Says what happened, for live events; opaque to the engine, at most [`NOTE_BYTES_MAX`] bytes.
    #[must_use]
    pub fn note(mut self, note: impl Into<Bytes>) -> Self {
        self.note = note.into();
        self
    }

    /// The tags.
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }
}

impl Cache {
    /// Declares the tags wrong: no read that begins after this returns is answered with a value loaded before it, on
    /// this node at once, on others within their bound, or at once where the returned position is required.
    ///
    /// Costs one record per partition concerned, however many entries carry the tags: one for tags of a tenant, one
    /// in each partition for shared ones.
    pub async fn invalidate(&self, invalidation: &Invalidation) -> Result<PositionSet, InvalidateError> {
        let shared = &self.shared;
        if invalidation.note.len() > NOTE_BYTES_MAX {
            return Err(InvalidateError::NoteTooLong { bytes: invalidation.note.len() });
        }
        let mut by_partition: BTreeMap<Partition, Vec<TagId>> = BTreeMap::new();
        for tag in &invalidation.tags {
            match tag.home() {
                Home::Tenant(tenant) => by_partition.entry(shared.partition(tenant)).or_default().push(tag.id()),
                Home::Shared => {
                    for partition in shared.partitions.all() {
                        by_partition.entry(partition).or_default().push(tag.id());
                    }
                }
            }
        }
        let mut recorded = PositionSet::default();
        let wanted = by_partition.len();
        for (partition, tags) in by_partition {
            for tags in tags.chunks(RECORD_TAGS_MAX) {
                match shared.store.append(partition, tags.to_vec(), invalidation.note.clone()).await {
                    Ok(position) => recorded.add(position),
                    Err(source) => return Err(InvalidateError::NotRecorded { recorded, wanted, source }),
                }
            }
        }
        if shared.sabotage.is(Sabotage::AcknowledgeEarly) {
            return Ok(recorded);
        }
        // This node's view must hold it before the writer hears of it: then its own next read is right.
        shared.reach(&recorded).await.map_err(|source| InvalidateError::NotRecorded {
            recorded: recorded.clone(),
            wanted,
            source,
        })?;
        Ok(recorded)
    }
}
