//! Invalidations that the store has not taken yet, kept in their order.
//!
//! *Decides*, does no IO: the queue of one partition. Nothing that carries a waiting tag may be served by this node,
//! because the write that declared it wrong was made. When the queue is full, what waits is replaced by one marker:
//! **everything** of the partition is wrong. It costs misses, never coherence, and never more memory.
//!
//! # Invariants
//! - What is waiting is never dropped, only replaced by what declares more wrong. In the place of a purge comes one.
//! - The first one stays where it is while it is being recorded: nothing is put into it or in its place.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use crate::{hash_map::IdBuildHasher, position::Position, tag::TagId};

/// How many invalidations may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingLimits {
    /// Records per partition; beyond it, everything in the partition is declared wrong instead. Zero keeps none: the
    /// writer is told [`NotRecorded`](crate::InvalidateError::NotRecorded) and must say it again, as one who has an
    /// outbox does anyway.
    pub records_max: usize,
    /// Bytes of their tags and notes, per partition.
    pub bytes_max: usize,
}

impl Default for PendingLimits {
    fn default() -> Self {
        Self { records_max: 1024, bytes_max: 256 << 10 }
    }
}

/// One invalidation that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// A record to be.
    Record {
        tags: Vec<TagId>,
        note: Bytes,
        /// Where it stands in the log, if the log has it and only this node's view does not.
        recorded: Option<Position>,
    },
    /// Everything in the partition is wrong.
    Everything {
        /// Whether a purge is among what it says.
        is_purge: bool,
    },
}

/// What a value waits for that carries some tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitsFor {
    /// That an invalidation is recorded.
    Invalidation,
    /// That a purge is recorded.
    Purge,
}

/// How often something waits.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    all: u32,
    /// Of these, as part of a purge.
    purges: u32,
}

/// The invalidations of one partition that wait.
#[derive(Debug)]
pub(crate) struct Pending {
    limits: PendingLimits,
    queue: VecDeque<Waiting>,
    /// How often each tag waits.
    tags: HashMap<TagId, Count, IdBuildHasher>,
    /// How often everything waits.
    everything: Count,
    bytes: usize,
    /// The first one is being recorded.
    first_is_under_way: bool,
}

impl Pending {
    pub(crate) fn new(limits: PendingLimits) -> Self {
        let (queue, tags) = (VecDeque::new(), HashMap::default());
        Self { limits, queue, tags, everything: Count::default(), bytes: 0, first_is_under_way: false }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// What a value with `tags` waits for, if for anything.
    pub(crate) fn holds(&self, tags: &[TagId]) -> Option<WaitsFor> {
        let counts = tags.iter().filter_map(|tag| self.tags.get(tag)).chain([&self.everything]);
        let (all, purges) = counts.fold((0, 0), |(all, purges), count| (all + count.all, purges + count.purges));
        match (all, purges) {
            (0, _) => None,
            (_, 0) => Some(WaitsFor::Invalidation),
            _ => Some(WaitsFor::Purge),
        }
    }

    /// Keeps one more, behind all others.
    pub(crate) fn push(&mut self, tags: Vec<TagId>, note: Bytes, recorded: Option<Position>) {
        let is_purge = is_purge(&tags);
        let says_all = self.queue.len() > usize::from(self.first_is_under_way);
        if says_all && let Some(Waiting::Everything { is_purge: purges }) = self.queue.back_mut() {
            self.everything.purges += u32::from(is_purge && !*purges);
            *purges |= is_purge;
            return;
        }
        let bytes = weight(&tags, &note);
        if self.queue.len() >= self.limits.records_max || self.bytes + bytes > self.limits.bytes_max {
            return self.collapse(is_purge);
        }
        self.bytes += bytes;
        for tag in &tags {
            self.tags.entry(*tag).or_default().add(is_purge);
        }
        self.queue.push_back(Waiting::Record { tags, note, recorded });
    }

    /// The first one, to be recorded now; it stays until [`done`](Self::done) or [`failed`](Self::failed).
    pub(crate) fn begin(&mut self) -> Option<Waiting> {
        let first = self.queue.front().cloned();
        self.first_is_under_way = first.is_some();
        first
    }

    /// The first one is in the log, but this node's view does not hold it yet.
    pub(crate) fn recorded(&mut self, at: Position) {
        if let Some(Waiting::Record { recorded, .. }) = self.queue.front_mut() {
            *recorded = Some(at);
        }
    }

    /// The first one was not recorded: it goes on waiting.
    pub(crate) fn failed(&mut self) {
        self.first_is_under_way = false;
    }

    /// The first one is in the log and in this node's view.
    pub(crate) fn done(&mut self) {
        self.first_is_under_way = false;
        if let Some(done) = self.queue.pop_front() {
            self.forget(&done);
        }
    }

    /// Replaces all that wait, but for the one under way, by the marker; says of it whether it stands for a purge too.
    fn collapse(&mut self, mut is_purge: bool) {
        let stay = usize::from(self.first_is_under_way);
        while self.queue.len() > stay {
            let dropped = self.queue.pop_back().expect("it is longer than that");
            is_purge |= dropped.is_purge();
            self.forget(&dropped);
        }
        self.queue.push_back(Waiting::Everything { is_purge });
        self.everything.add(is_purge);
    }

    fn forget(&mut self, waited: &Waiting) {
        let is_purge = waited.is_purge();
        match waited {
            Waiting::Everything { .. } => self.everything.remove(is_purge),
            Waiting::Record { tags, note, .. } => {
                self.bytes -= weight(tags, note);
                for tag in tags {
                    let count = self.tags.get_mut(tag).expect("a tag that waits is counted");
                    count.remove(is_purge);
                    if count.all == 0 {
                        self.tags.remove(tag);
                    }
                }
            }
        }
    }
}

impl Waiting {
    fn is_purge(&self) -> bool {
        match self {
            Self::Record { tags, .. } => is_purge(tags),
            Self::Everything { is_purge } => *is_purge,
        }
    }
}

impl Count {
    fn add(&mut self, is_purge: bool) {
        self.all += 1;
        self.purges += u32::from(is_purge);
    }

    fn remove(&mut self, is_purge: bool) {
        self.all -= 1;
        self.purges -= u32::from(is_purge);
    }
}

fn is_purge(tags: &[TagId]) -> bool {
    tags.iter().any(|tag| tag.makes_a_purge())
}

/// What one takes, roughly: tags stand in the queue and in the map.
fn weight(tags: &[TagId], note: &Bytes) -> usize {
    64 + tags.len() * 32 + note.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVERYTHING: Waiting = Waiting::Everything { is_purge: false };

    /// Whether one of `tags` waits.
    fn holds(pending: &Pending, tags: &[u64]) -> bool {
        waits_for(pending, tags).is_some()
    }

    fn waits_for(pending: &Pending, tags: &[u64]) -> Option<WaitsFor> {
        pending.holds(&tags.iter().map(|tag| TagId(*tag)).collect::<Vec<_>>())
    }

    fn record(tag: u64) -> Waiting {
        Waiting::Record { tags: vec![TagId(tag)], note: Bytes::new(), recorded: None }
    }

    fn push(pending: &mut Pending, tag: u64) {
        pending.push(vec![TagId(tag)], Bytes::new(), None);
    }

    fn purge(pending: &mut Pending, tag: u64) {
        pending.push(vec![TagId(tag), TagId::PURGE], Bytes::new(), None);
    }

    fn small() -> Pending {
        Pending::new(PendingLimits { records_max: 3, ..PendingLimits::default() })
    }

    #[test]
    fn the_order_is_kept_and_a_tag_waits_until_its_last_record_is_done() {
        let mut pending = small();
        [1, 2, 1].into_iter().for_each(|tag| push(&mut pending, tag));
        assert_eq!(pending.begin(), Some(record(1)));
        pending.failed();
        assert_eq!(pending.begin(), Some(record(1)), "what failed is tried again first");
        pending.done();
        assert!(holds(&pending, &[1]) && holds(&pending, &[9, 2]) && !holds(&pending, &[9]));
        assert_eq!(pending.begin(), Some(record(2)));
        pending.done();
        pending.begin();
        pending.done();
        assert!(pending.is_empty() && !holds(&pending, &[1]));
    }

    #[test]
    fn a_full_queue_becomes_one_marker_and_what_is_under_way_stays() {
        let mut pending = small();
        [1, 2, 3].into_iter().for_each(|tag| push(&mut pending, tag));
        pending.begin();
        push(&mut pending, 4);
        assert_eq!((pending.len(), holds(&pending, &[9])), (2, true));
        push(&mut pending, 5);
        assert_eq!(pending.len(), 2, "the marker says it already");
        pending.done();
        assert_eq!(pending.begin(), Some(EVERYTHING));
        // The marker may have been read by the store already: what comes now waits for itself.
        push(&mut pending, 6);
        pending.done();
        assert!(!holds(&pending, &[9]));
        assert_eq!(pending.begin(), Some(record(6)));
    }

    #[test]
    fn what_failed_is_not_under_way_and_the_marker_says_it_too() {
        let mut pending = small();
        push(&mut pending, 1);
        pending.begin();
        pending.failed();
        [2, 3, 4].into_iter().for_each(|tag| push(&mut pending, tag));
        assert_eq!((pending.begin(), pending.len()), (Some(EVERYTHING), 1));
        pending.failed();
        push(&mut pending, 5);
        assert_eq!(pending.len(), 1, "a marker that failed still says it");
    }

    #[test]
    fn a_purge_that_waits_is_told_from_an_invalidation_and_stays_one() {
        let mut pending = Pending::new(PendingLimits { records_max: 4, ..PendingLimits::default() });
        push(&mut pending, 1);
        purge(&mut pending, 2);
        push(&mut pending, 2);
        let told = |pending: &Pending| [1, 2, 9].map(|tag| waits_for(pending, &[tag]));
        assert_eq!(told(&pending), [Some(WaitsFor::Invalidation), Some(WaitsFor::Purge), None]);
        assert_eq!(waits_for(&pending, &[1, 2]), Some(WaitsFor::Purge));
        pending.begin();
        pending.done();
        pending.begin();
        pending.done();
        assert_eq!(told(&pending), [None, Some(WaitsFor::Invalidation), None], "the purge is in the log");
    }

    #[test]
    fn the_marker_says_whether_it_stands_for_a_purge() {
        let mut swallows = small();
        purge(&mut swallows, 1);
        [2, 3, 4].into_iter().for_each(|tag| push(&mut swallows, tag));
        let mut is_told = small();
        [1, 2, 3, 4].into_iter().for_each(|tag| push(&mut is_told, tag));
        assert_eq!(waits_for(&is_told, &[9]), Some(WaitsFor::Invalidation), "no purge is among them");
        purge(&mut is_told, 5);
        purge(&mut is_told, 6);
        let mut begins_with = small();
        [1, 2, 3].into_iter().for_each(|tag| push(&mut begins_with, tag));
        purge(&mut begins_with, 4);
        for mut pending in [swallows, is_told, begins_with] {
            assert_eq!((pending.len(), waits_for(&pending, &[9])), (1, Some(WaitsFor::Purge)));
            assert_eq!(pending.begin(), Some(Waiting::Everything { is_purge: true }));
            pending.done();
            assert_eq!(waits_for(&pending, &[9]), None);
        }
    }

    #[test]
    fn bytes_are_limited_too() {
        let mut pending = Pending::new(PendingLimits { records_max: 100, bytes_max: 1000 });
        pending.push(vec![TagId(1)], Bytes::from(vec![0; 800]), None);
        pending.push(vec![TagId(2)], Bytes::from(vec![0; 800]), None);
        assert_eq!((pending.begin(), pending.len()), (Some(EVERYTHING), 1));
    }

    #[test]
    fn limits_are_inclusive_and_what_is_done_gives_its_bytes_back() {
        let bytes_max = 2 * weight(&[TagId(1)], &Bytes::from_static(b"12345678"));
        assert_eq!(bytes_max, 2 * (64 + 32 + 8));
        let mut pending = Pending::new(PendingLimits { records_max: 3, bytes_max });
        let push = |pending: &mut Pending, tag, note: &'static [u8]| {
            pending.push(vec![TagId(tag)], Bytes::from_static(note), None);
        };
        push(&mut pending, 1, b"12345678");
        push(&mut pending, 2, b"12345678");
        assert_eq!((pending.len(), holds(&pending, &[9])), (2, false), "as much as is allowed");
        pending.begin();
        pending.done();
        push(&mut pending, 3, b"12345678");
        assert!(!holds(&pending, &[9]), "the first one's bytes are free again");
        push(&mut pending, 4, b"");
        assert!(holds(&pending, &[9]), "there is room for no more");
    }

    #[test]
    fn what_the_log_has_is_known_when_it_is_tried_again() {
        use crate::position::{Epoch, Partition, Sequence};
        let at = Position { partition: Partition(0), epoch: Epoch(1), sequence: Sequence(5) };
        let mut pending = small();
        push(&mut pending, 1);
        pending.begin();
        pending.recorded(at);
        pending.failed();
        let Some(Waiting::Record { recorded, .. }) = pending.begin() else { panic!("it waits") };
        assert_eq!(recorded, Some(at));
        assert!(!pending.is_empty());
    }

    proptest! {
        /// Whatever is pushed is held, as a purge if it is one, until something that covers it, and began after it, is
        /// done.
        #[test]
        fn nothing_that_waits_is_lost(steps in proptest::collection::vec((0..4u8, 0..6u64), 0..120)) {
            let mut pending = small();
            let mut owed: Vec<(u64, bool, bool)> = Vec::new(); // tag; a purge; whether the one under way covers it
            let mut under_way = None;
            for (step, tag) in steps {
                match step {
                    0 => {
                        push(&mut pending, tag);
                        owed.push((tag, false, false));
                    }
                    1 => {
                        purge(&mut pending, tag);
                        owed.push((tag, true, false));
                    }
                    2 => {
                        if under_way.is_none() {
                            under_way = pending.begin();
                            for (tag, purge, covered) in &mut owed {
                                *covered = match &under_way {
                                    Some(Waiting::Everything { .. }) => true,
                                    Some(Waiting::Record { tags, .. }) => {
                                        tags.contains(&TagId(*tag)) && *purge == is_purge(tags)
                                    }
                                    None => false,
                                };
                            }
                        }
                    }
                    _ => {
                        let Some(first) = under_way.take() else { continue };
                        if tag == 0 {
                            pending.failed();
                            owed.iter_mut().for_each(|(.., covered)| *covered = false);
                            continue;
                        }
                        pending.done();
                        if matches!(first, Waiting::Everything { .. }) {
                            owed.retain(|(.., covered)| !covered);
                        } else if let Some(place) = owed.iter().position(|(.., covered)| *covered) {
                            owed.remove(place);
                        }
                    }
                }
                for (tag, purge, _) in &owed {
                    let held = waits_for(&pending, &[*tag]);
                    prop_assert!(held.is_some(), "{} is owed", tag);
                    prop_assert!(!purge || held == Some(WaitsFor::Purge), "a purge of {} is owed", tag);
                }
                prop_assert!(pending.len() <= 4);
            }
        }
    }
}
