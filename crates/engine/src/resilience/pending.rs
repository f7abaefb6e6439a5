//! Invalidations that the store has not taken yet, kept in their order.
//!
//! *Decides*, does no IO: the queue of one partition. Nothing that carries a waiting tag may be served by this node,
//! because the write that declared it wrong was made. When the queue is full, what waits is replaced by one marker:
//! **everything** of the partition is wrong. It costs misses, never coherence, and never more memory.
//!
//! # Invariants
//! - What is waiting is never dropped, only replaced by what declares more wrong.
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
    Everything,
}

/// The invalidations of one partition that wait.
#[derive(Debug)]
pub(crate) struct Pending {
    limits: PendingLimits,
    queue: VecDeque<Waiting>,
    /// How often each tag waits.
    tags: HashMap<TagId, u32, IdBuildHasher>,
    /// How often everything waits.
    everything: u32,
    bytes: usize,
    /// The first one is being recorded.
    first_is_under_way: bool,
}

impl Pending {
    pub(crate) fn new(limits: PendingLimits) -> Self {
        let (queue, tags) = (VecDeque::new(), HashMap::default());
        Self { limits, queue, tags, everything: 0, bytes: 0, first_is_under_way: false }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether one of `tags` waits.
    pub(crate) fn holds(&self, tags: &[TagId]) -> bool {
        self.everything > 0 || tags.iter().any(|tag| self.tags.contains_key(tag))
    }

    /// Keeps one more, behind all others.
    pub(crate) fn push(&mut self, tags: Vec<TagId>, note: Bytes, recorded: Option<Position>) {
        let says_all = self.queue.len() > usize::from(self.first_is_under_way);
        if says_all && self.queue.back() == Some(&Waiting::Everything) {
            return;
        }
        let bytes = weight(&tags, &note);
        if self.queue.len() >= self.limits.records_max || self.bytes + bytes > self.limits.bytes_max {
            return self.collapse();
        }
        self.bytes += bytes;
        for tag in &tags {
            *self.tags.entry(*tag).or_default() += 1;
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

    /// Replaces all that wait, but for the one under way, by the marker.
    fn collapse(&mut self) {
        let stay = usize::from(self.first_is_under_way);
        while self.queue.len() > stay {
            let dropped = self.queue.pop_back().expect("it is longer than that");
            self.forget(&dropped);
        }
        self.queue.push_back(Waiting::Everything);
        self.everything += 1;
    }

    fn forget(&mut self, waited: &Waiting) {
        match waited {
            Waiting::Everything => self.everything -= 1,
            Waiting::Record { tags, note, .. } => {
                self.bytes -= weight(tags, note);
                for tag in tags {
                    let count = self.tags.get_mut(tag).expect("a tag that waits is counted");
                    *count -= 1;
                    if *count == 0 {
                        self.tags.remove(tag);
                    }
                }
            }
        }
    }
}

/// What one takes, roughly: tags stand in the queue and in the map.
fn weight(tags: &[TagId], note: &Bytes) -> usize {
    64 + tags.len() * 32 + note.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(tag: u64) -> Waiting {
        Waiting::Record { tags: vec![TagId(tag)], note: Bytes::new(), recorded: None }
    }

    fn push(pending: &mut Pending, tag: u64) {
        pending.push(vec![TagId(tag)], Bytes::new(), None);
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
        assert!(pending.holds(&[TagId(1)]) && pending.holds(&[TagId(9), TagId(2)]) && !pending.holds(&[TagId(9)]));
        assert_eq!(pending.begin(), Some(record(2)));
        pending.done();
        pending.begin();
        pending.done();
        assert!(pending.is_empty() && !pending.holds(&[TagId(1)]));
    }

    #[test]
    fn a_full_queue_becomes_one_marker_and_what_is_under_way_stays() {
        let mut pending = small();
        [1, 2, 3].into_iter().for_each(|tag| push(&mut pending, tag));
        pending.begin();
        push(&mut pending, 4);
        assert_eq!((pending.len(), pending.holds(&[TagId(9)])), (2, true));
        push(&mut pending, 5);
        assert_eq!(pending.len(), 2, "the marker says it already");
        pending.done();
        assert_eq!(pending.begin(), Some(Waiting::Everything));
        // The marker may have been read by the store already: what comes now waits for itself.
        push(&mut pending, 6);
        pending.done();
        assert!(!pending.holds(&[TagId(9)]));
        assert_eq!(pending.begin(), Some(record(6)));
    }

    #[test]
    fn what_failed_is_not_under_way_and_the_marker_says_it_too() {
        let mut pending = small();
        push(&mut pending, 1);
        pending.begin();
        pending.failed();
        [2, 3, 4].into_iter().for_each(|tag| push(&mut pending, tag));
        assert_eq!((pending.begin(), pending.len()), (Some(Waiting::Everything), 1));
        pending.failed();
        push(&mut pending, 5);
        assert_eq!(pending.len(), 1, "a marker that failed still says it");
    }

    #[test]
    fn bytes_are_limited_too() {
        let mut pending = Pending::new(PendingLimits { records_max: 100, bytes_max: 1000 });
        pending.push(vec![TagId(1)], Bytes::from(vec![0; 800]), None);
        pending.push(vec![TagId(2)], Bytes::from(vec![0; 800]), None);
        assert_eq!((pending.begin(), pending.len()), (Some(Waiting::Everything), 1));
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
        assert_eq!((pending.len(), pending.holds(&[TagId(9)])), (2, false), "as much as is allowed");
        pending.begin();
        pending.done();
        push(&mut pending, 3, b"12345678");
        assert!(!pending.holds(&[TagId(9)]), "the first one's bytes are free again");
        push(&mut pending, 4, b"");
        assert!(pending.holds(&[TagId(9)]), "there is room for no more");
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
        /// Whatever is pushed is held until something that covers it, and began after it, is done.
        #[test]
        fn nothing_that_waits_is_lost(steps in proptest::collection::vec((0..4u8, 0..6u64), 0..120)) {
            let mut pending = small();
            let mut owed: Vec<(u64, bool)> = Vec::new(); // tag; whether the one under way covers it
            let mut under_way = None;
            for (step, tag) in steps {
                match step {
                    0 | 1 => {
                        push(&mut pending, tag);
                        owed.push((tag, false));
                    }
                    2 => {
                        if under_way.is_none() {
                            under_way = pending.begin();
                            for (tag, covered) in &mut owed {
                                *covered = match &under_way {
                                    Some(Waiting::Everything) => true,
                                    Some(Waiting::Record { tags, .. }) => tags.contains(&TagId(*tag)),
                                    None => false,
                                };
                            }
                        }
                    }
                    _ => {
                        let Some(first) = under_way.take() else { continue };
                        if tag == 0 {
                            pending.failed();
                            owed.iter_mut().for_each(|(_, covered)| *covered = false);
                            continue;
                        }
                        pending.done();
                        if first == Waiting::Everything {
                            owed.retain(|(_, covered)| !covered);
                        } else if let Some(place) = owed.iter().position(|(_, covered)| *covered) {
                            owed.remove(place);
                        }
                    }
                }
                for (tag, _) in &owed {
                    prop_assert!(pending.holds(&[TagId(*tag)]), "{} is owed", tag);
                }
                prop_assert!(pending.len() <= 4);
            }
        }
    }
}
