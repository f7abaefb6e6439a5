//! Invalidation: declaring tags wrong, in every tier and on every node.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::{Cache, Shared};
use crate::{
    position::{Partition, Position, PositionSet},
    sabotage::Sabotage,
    store::{NOTE_BYTES_MAX, RECORD_TAGS_MAX, StoreError},
    tag::{Home, PURGE_KIND, Tag, TagId},
};

/// Partitions that one invalidation is appended to at once.
const PARTITIONS_AT_ONCE_MAX: usize = 64;

/// What a write has changed.
#[derive(Clone, Debug, Default)]
pub struct Invalidation {
    tags: Vec<Tag>,
    note: Bytes,
}

/// An invalidation that was not recorded everywhere.
///
/// The write must not be acknowledged as visible.
#[derive(Debug, thiserror::Error)]
pub enum InvalidateError {
    /// The store did not take all of it; the rest is kept, and said again in order until the store takes it. Until
    /// then this node serves nothing that it declares wrong, but other nodes do. Do not repeat it: what is kept is
    /// lost only if this process ends before, for which an outbox is the remedy.
    #[error(
        "the invalidation was recorded in {} of {wanted} partitions; the rest follows when the store is back, do not \
         repeat it",
        recorded.iter().count()
    )]
    Pending {
        /// Where it was recorded.
        recorded: PositionSet,
        /// How many partitions it concerns.
        wanted: usize,
        /// What the store said.
        source: StoreError,
    },
    /// The store did not take it, and nothing is kept ([`PendingLimits::records_max`](crate::PendingLimits) is
    /// zero): say the same invalidation again (twice does no harm).
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

    /// Makes it a purge: what was loaded before it is not served any more by any node that has followed the log to it, not
    /// even where a policy allows what is invalid ([`Mode::StaleOk`](crate::Mode::StaleOk)), and no loader is given it to
    /// validate. Bytes go in time, or by [`Cache::remove_tagged`].
    ///
    /// It is said by one tag more, so that it goes wherever the tags go: through an outbox, and past nodes of a build that
    /// knows of no purges, who take it for an invalidation.
    #[must_use]
    pub fn purging(mut self) -> Self {
        self.tag(Tag::shared(PURGE_KIND, ""));
        self
    }

    /// Whether it is a purge.
    pub fn is_purge(&self) -> bool {
        self.tags.iter().any(|tag| tag.id() == TagId::PURGE)
    }

    /// The tags; of a purge, that which says so is among them.
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// What is said of it; empty if nothing is.
    pub fn noted(&self) -> &Bytes {
        &self.note
    }
}

impl Cache {
    /// Declares the tags wrong: no read that begins after this returns is answered with a value loaded before it, on
    /// this node at once, on others within their bound, or at once where the returned position is required.
    ///
    /// Costs one record per partition concerned, however many entries carry the tags: one for tags of a tenant, one
    /// in each partition for shared ones.
    ///
    /// Should the store not take it, it is kept and said again, in order, until the store does: see
    /// [`InvalidateError::Pending`]. So is the rest of it should the caller go away: dropped midway, the future loses
    /// nothing, unless nothing is kept ([`PendingLimits::records_max`](crate::PendingLimits) is zero).
    pub async fn invalidate(&self, invalidation: &Invalidation) -> Result<PositionSet, InvalidateError> {
        let shared = &self.shared;
        if invalidation.note.len() > NOTE_BYTES_MAX {
            return Err(InvalidateError::NoteTooLong { bytes: invalidation.note.len() });
        }
        let by_partition = shared.by_partition(invalidation);
        let is_purge = invalidation.is_purge();
        let mut recorded = PositionSet::default();
        let wanted = by_partition.len();
        let owed = by_partition.into_iter().map(|(partition, tags)| Owed {
            shared: shared.clone(),
            partition,
            tags,
            note: invalidation.note.clone(),
            is_purge,
            said: 0,
            recorded: None,
        });
        // Boxed: it is large, and whoever may invalidate would carry it.
        let say = |owed: Owed| Box::pin(owed.say());
        let failed = if wanted == 1 {
            let mut outcome = None;
            for in_one in owed.map(say) {
                outcome = in_one.await.record_in(&mut recorded);
            }
            outcome
        } else {
            // What is owed to all of them is at hand from the beginning: also where nothing was begun, should this be
            // dropped, it is kept.
            let owed: Vec<Owed> = owed.collect();
            // All of them whatever becomes of one: they are recorded, or kept.
            let mut outcomes = stream::iter(owed).map(say).buffered(PARTITIONS_AT_ONCE_MAX);
            let mut failed = None;
            while let Some(outcome) = outcomes.next().await {
                failed = failed.or(outcome.record_in(&mut recorded));
            }
            failed
        };
        match failed {
            None => Ok(recorded),
            Some(source) if shared.keeps_pending() => Err(InvalidateError::Pending { recorded, wanted, source }),
            Some(source) => Err(InvalidateError::NotRecorded { recorded, wanted, source }),
        }
    }
}

/// What became of an invalidation in one partition: where it was recorded, and what the store said if not all of it
/// was.
struct Outcome(PositionSet, Option<StoreError>);

impl Outcome {
    fn record_in(self, recorded: &mut PositionSet) -> Option<StoreError> {
        recorded.extend(&self.0);
        self.1
    }
}

impl Shared {
    /// The partitions that an invalidation concerns, with its tags there. That it is a purge concerns none by itself.
    fn by_partition(&self, invalidation: &Invalidation) -> BTreeMap<Partition, Vec<TagId>> {
        let mut by_partition: BTreeMap<Partition, Vec<TagId>> = BTreeMap::new();
        for tag in invalidation.tags.iter().filter(|tag| tag.id() != TagId::PURGE) {
            match tag.home() {
                Home::Tenant(tenant) => by_partition.entry(self.partition(tenant)).or_default().push(tag.id()),
                Home::Shared => {
                    for partition in self.partitions.all() {
                        by_partition.entry(partition).or_default().push(tag.id());
                    }
                }
            }
        }
        by_partition
    }
}

/// What an invalidation has to say to a partition, in several records if it is large. What is not said when this is
/// dropped is kept, as if the store had not taken it: whoever invalidates may go away at any moment (a web server drops
/// a request whose client has left), and the write was made all the same.
struct Owed {
    shared: Arc<Shared>,
    partition: Partition,
    tags: Vec<TagId>,
    note: Bytes,
    is_purge: bool,
    /// How many of the tags are in the log and in this node's view, or kept.
    said: usize,
    /// Where the record of the next ones stands in the log, if it does.
    recorded: Option<Position>,
}

impl Owed {
    /// Appends the records, in their order.
    async fn say(mut self) -> Outcome {
        let mut outcome = Outcome(PositionSet::default(), None);
        while !self.next().is_empty() {
            match self.say_next().await {
                Ok(position) => outcome.0.add(position),
                Err(error) => {
                    outcome.1.get_or_insert(error);
                    // The rest all the same, if it is kept.
                    if !self.shared.keeps_pending() {
                        break;
                    }
                }
            }
        }
        outcome
    }

    /// The tags of the next record; none if all is said.
    fn next(&self) -> &[TagId] {
        let rest = &self.tags[self.said..];
        // One place is that of the tag which says that it is a purge.
        let tags_max = RECORD_TAGS_MAX - usize::from(self.is_purge);
        &rest[..rest.len().min(tags_max)]
    }

    /// All that the next record has.
    fn next_record(&self) -> Vec<TagId> {
        let mark = self.is_purge.then_some(TagId::PURGE);
        self.next().iter().copied().chain(mark).collect()
    }

    fn next_is_said(&mut self) {
        self.said += self.next().len();
        self.recorded = None;
    }

    fn keep_next(&mut self) {
        self.shared.keep_pending(self.partition, self.next_record(), self.note.clone(), self.recorded);
        self.next_is_said();
    }

    /// Appends one record and moves this node's view on to it. What cannot be appended is kept.
    async fn say_next(&mut self) -> Result<Position, StoreError> {
        let (shared, partition) = (self.shared.clone(), self.partition);
        if shared.has_pending(partition) {
            // Behind those that wait, which the store may take by now.
            self.keep_next();
            shared.try_replay(partition).await?;
            return Ok(shared.view(partition).clocks.frontier());
        }
        let position = match shared.store.append(partition, self.next_record(), self.note.clone()).await {
            Ok(position) => position,
            Err(error) => {
                shared.tell_failed(partition, &error);
                if shared.keeps_pending() {
                    self.keep_next();
                }
                return Err(error);
            }
        };
        self.recorded = Some(position);
        // This node's view must hold it before the writer hears of it: then its own next read is right. The store has
        // told of it, so the log is asked only if others' records are missing.
        if shared.sabotage.is(Sabotage::AcknowledgeEarly) || shared.has_reached_by_told(&position) {
            self.next_is_said();
            return Ok(position);
        }
        match shared.catch_up(partition).await {
            Ok(()) => self.next_is_said(),
            Err(error) if !shared.keeps_pending() => return Err(error),
            // It is in the log, so it counts; this node refuses what it declares wrong until its view holds it.
            Err(_) => self.keep_next(),
        }
        Ok(position)
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if self.shared.keeps_pending() {
            while !self.next().is_empty() {
                self.keep_next();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_put_together_tag_by_tag_and_holds_each_once() {
        let [one, other] = [1, 2].map(|id| Tag::shared("fact", id));
        let mut invalidation = Invalidation::new();
        assert!(invalidation.tags().is_empty() && invalidation.noted().is_empty());
        for tag in [&one, &other, &one] {
            invalidation.tag(tag.clone());
        }
        assert_eq!(invalidation.tags(), [one, other]);
        assert_eq!(invalidation.note("changed").noted(), "changed");
    }

    /// As an outbox keeps it: tag by tag, each as a text.
    #[test]
    fn a_purge_is_one_after_its_tags_were_written_and_read() {
        let wrong = Invalidation::of([Tag::shared("fact", 1)]);
        assert!(!wrong.is_purge());
        let texts: Vec<String> = wrong.purging().tags().iter().map(Tag::to_text).collect();
        let mut read = Invalidation::new();
        texts.iter().for_each(|text| read.tag(Tag::parse(text).unwrap()));
        assert!(read.is_purge());
    }
}
