//! What a node knows of a partition: its tags' clocks, and the one rule.
//!
//! *Decides*, does no IO. One [`Clocks`] per partition holds the node's view: a contiguous prefix of the partition's
//! log, up to the **frontier**.
//!
//! # The rule
//!
//! An entry is valid iff its epoch is the partition's, its base is at or above the **floor**, and the clock of each
//! of its tags is at or below its base.
//!
//! # How the check stays in nanoseconds
//!
//! Clocks are kept twice. The *filter* is a fixed array of atomics, indexed by a few bits of the tag's id: a slot
//! holds the latest clock of all the tags that share it, so `slot ≤ base` proves `clock ≤ base` without a lock. Only
//! when a slot has moved past the base is the *exact* map asked. That map is bounded: trimming its oldest clock
//! raises the floor to it, which keeps "not in the map" equal to "clock ≤ floor".
//!
//! # Purges
//!
//! A record with the tag [`TagId::PURGE`] is an invalidation after which nothing older is served, not even where a policy
//! allows what is invalid ([`Mode::StaleOk`](crate::Mode::StaleOk)). Which invalidations were purges stands in a second
//! map, smaller and with a floor of its own. Only who is about to serve what the rule has refused asks it: for the rule
//! a purge is an invalidation like any other.
//!
//! # Invariants
//!
//! - Clocks are applied before the frontier moves, so a reader that sees a frontier sees all clocks up to it.
//! - Within an epoch, slots, floor and frontier never go back.
//! - While the epoch changes there is none: it is taken away before anything else changes, and the new one is published
//!   after everything has. Readers look at it first and last (a sequence lock). Last alone would not do: what was read
//!   of the old epoch would be taken for the new one's, and raise the base of an entry that another node has stored.

use std::collections::{HashMap, VecDeque};

use crate::{
    hash_map::IdBuildHasher,
    position::{Epoch, Partition, Position, Sequence},
    sync::{
        AtomicU64,
        Ordering::{Acquire, Release},
        RwLock, spin_loop,
    },
    tag::TagId,
    time::Timestamp,
};

/// How much a partition's clocks may hold.
#[derive(Clone, Copy, Debug)]
pub struct ClockLimits {
    /// Slots of the filter; a power of two. Each takes 8 bytes.
    pub filter_slots: usize,
    /// Clocks held exactly; beyond it the oldest is trimmed and the floor rises. Each takes about 40 bytes. Of purges, as
    /// many are held besides, but no more than 1,024.
    pub exact_clocks_max: usize,
}

impl Default for ClockLimits {
    fn default() -> Self {
        Self { filter_slots: 8192, exact_clocks_max: 16_384 }
    }
}

/// Tags of which it is known when they were purged last. Purges are rare, and what is forgotten of them only ends what is
/// invalid already.
const PURGES_MAX: usize = 1024;

/// What the rule says of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Valid; every invalidation up to this sequence has been looked at, so the base may be raised to it.
    Valid {
        /// The new base, at or above the old one.
        through: Sequence,
    },
    /// A tag was invalidated after the base.
    Invalidated,
    /// The base is below the floor.
    BelowFloor,
    /// The entry is of another epoch.
    EpochChanged,
}

/// Stands for the epoch while the view starts anew; of the 2⁶⁴ that an epoch may be it is one.
pub(crate) const NO_EPOCH: u64 = u64::MAX;

/// A node's view of one partition.
pub struct Clocks {
    partition: Partition,
    /// [`NO_EPOCH`] while the view starts anew.
    epoch: AtomicU64,
    frontier: AtomicU64,
    floor: AtomicU64,
    /// One more than the time; 0 is never.
    confirmed_at: AtomicU64,
    filter: Box<[AtomicU64]>,
    exact: RwLock<Known>,
    exact_clocks_max: usize,
}

/// What is known exactly.
struct Known {
    clocks: Exact,
    /// Of each tag, its last record that was a purge.
    purges: Exact,
    /// Below it, which records were purges is not known.
    purges_floor: Sequence,
}

#[derive(Default)]
struct Exact {
    clocks: HashMap<TagId, Sequence, IdBuildHasher>,
    /// Every clock in the order in which it was set; those set again since are *superseded*.
    by_age: VecDeque<(Sequence, TagId)>,
}

impl Clocks {
    /// A view that starts at `head`: nothing older is known, so the floor is there too.
    pub fn new(head: Position, limits: ClockLimits) -> Self {
        assert!(limits.filter_slots.is_power_of_two(), "the number of filter slots is a power of two");
        Self {
            partition: head.partition,
            epoch: AtomicU64::new(head.epoch.0),
            frontier: AtomicU64::new(head.sequence.0),
            floor: AtomicU64::new(head.sequence.0),
            confirmed_at: AtomicU64::new(0),
            filter: (0..limits.filter_slots).map(|_| AtomicU64::new(0)).collect(),
            exact: RwLock::new(Known::nothing_before(head.sequence)),
            exact_clocks_max: limits.exact_clocks_max,
        }
    }

    /// The position up to which this view is complete. Capturing it *before* a load gives the entry's base.
    pub fn frontier(&self) -> Position {
        // A sequence of the old epoch beside the new one would be a position from the future, and an entry based on it
        // would outlive its invalidation.
        loop {
            let epoch = self.epoch.load(Acquire);
            let sequence = Sequence(self.frontier.load(Acquire));
            if epoch != NO_EPOCH && self.epoch.load(Acquire) == epoch {
                return Position { partition: self.partition, epoch: Epoch(epoch), sequence };
            }
            spin_loop();
        }
    }

    /// Whether the view is exactly at `head`; without a lock, for the path of a hit.
    #[inline]
    pub fn is_at(&self, head: Position) -> bool {
        self.epoch.load(Acquire) == head.epoch.0 && self.frontier.load(Acquire) == head.sequence.0
    }

    /// The lowest base that can still be judged.
    pub fn floor(&self) -> Sequence {
        Sequence(self.floor.load(Acquire))
    }

    /// How many clocks are held exactly.
    pub fn exact_len(&self) -> usize {
        self.exact.read().clocks.clocks.len()
    }

    /// Those of `tags` whose clocks are held exactly.
    pub fn exact(&self, tags: &[TagId]) -> Vec<(TagId, Sequence)> {
        let known = self.exact.read();
        tags.iter().filter_map(|tag| Some((*tag, *known.clocks.clocks.get(tag)?))).collect()
    }

    /// When the view was last known to be complete up to the log's head, if it ever was.
    #[inline]
    pub fn confirmed_at(&self) -> Option<Timestamp> {
        self.confirmed_at.load(Acquire).checked_sub(1).map(Timestamp::from_millis)
    }

    /// Notes that at `now` the view was complete up to the log's head. The caller (one at a time) tells what it learned
    /// last, also if the node's clock was set back meanwhile: a moment of the old time would be in the future for as
    /// long as the clock was set back.
    pub fn confirm(&self, now: Timestamp) {
        self.confirmed_at.store(now.as_millis().saturating_add(1), Release);
    }

    /// Nobody knows when the view was complete.
    pub fn unconfirm(&self) {
        self.confirmed_at.store(0, Release);
    }

    /// Whether an entry of `epoch` with `base` is valid whatever its tags are, because nothing at all was invalidated
    /// since. False says nothing: then [`judge`](Clocks::judge) decides.
    ///
    /// It is the rule's first two questions, in its order: the epoch first and last, for the reason given above.
    #[inline]
    pub(crate) fn has_nothing_since(&self, epoch: Epoch, base: Sequence) -> bool {
        let is_current = || self.epoch.load(Acquire) == epoch.0;
        is_current() && Sequence(self.frontier.load(Acquire)) <= base && self.floor() <= base && is_current()
    }

    /// Applies the rule to an entry of `epoch` with `base` and `tags`.
    #[inline]
    pub fn judge(&self, epoch: Epoch, base: Sequence, tags: &[TagId]) -> Validity {
        if self.epoch.load(Acquire) != epoch.0 {
            return Validity::EpochChanged;
        }
        // Read before the clocks: what is then seen of them covers at least this frontier.
        let frontier = Sequence(self.frontier.load(Acquire));
        let validity = if self.floor() > base {
            Validity::BelowFloor
        } else if frontier <= base {
            // Nothing at all has happened since.
            Validity::Valid { through: base }
        } else if tags.iter().all(|tag| self.slot(*tag).load(Acquire) <= base.0) {
            Validity::Valid { through: base }
        } else {
            self.judge_exactly(base, tags, frontier)
        };
        if self.epoch.load(Acquire) == epoch.0 { validity } else { Validity::EpochChanged }
    }

    #[cold]
    fn judge_exactly(&self, base: Sequence, tags: &[TagId], frontier: Sequence) -> Validity {
        let known = self.exact.read();
        // Trimming raises the floor under this lock: a clock that is not here is at or below the floor seen here.
        if self.floor() > base {
            return Validity::BelowFloor;
        }
        let moved = known.clocks.has_moved(tags, base);
        if moved { Validity::Invalidated } else { Validity::Valid { through: frontier.max(base) } }
    }

    /// Whether an entry of `epoch` with `base` and `tags`, which the rule has refused, may have been purged: then nobody
    /// is to have it, however stale the policy likes it.
    ///
    /// It may also where that cannot be known: a purge may be among the records that were missed, or that were lost with
    /// another epoch. What was trimmed of the clocks makes no difference, because purges are held apart from them.
    #[cold]
    pub fn is_purged(&self, epoch: Epoch, base: Sequence, tags: &[TagId]) -> bool {
        let known = self.exact.read();
        // Under the lock: an epoch that begins takes it before anything else.
        self.epoch.load(Acquire) != epoch.0 || known.purges_floor > base || known.purges.has_moved(tags, base)
    }

    /// Applies the next record of the log. The caller (one at a time) keeps the prefix contiguous.
    ///
    /// # Panics
    /// If `sequence` is not the one after the frontier: a gap would be a stale read later.
    pub fn apply(&self, sequence: Sequence, tags: &[TagId]) {
        assert_eq!(sequence.0, self.frontier.load(Acquire) + 1, "records are applied without gaps");
        let mut known = self.exact.write();
        known.clocks.set(sequence, tags);
        if let Some(trimmed) = known.clocks.trim(self.exact_clocks_max) {
            self.floor.fetch_max(trimmed.0, Release);
        }
        if tags.iter().any(|tag| tag.makes_a_purge()) {
            known.purges.set(sequence, tags);
            if let Some(trimmed) = known.purges.trim(self.exact_clocks_max.min(PURGES_MAX)) {
                known.purges_floor = known.purges_floor.max(trimmed);
            }
        }
        for tag in tags {
            self.slot(*tag).store(sequence.0, Release);
        }
        self.frontier.store(sequence.0, Release);
    }

    /// The log was trimmed past the frontier: go on at `head`, below which nothing is known.
    pub fn skip_to(&self, head: Sequence) {
        let mut known = self.exact.write();
        let floor = known.purges_floor.max(head);
        *known = Known::nothing_before(floor);
        self.floor.fetch_max(head.0, Release);
        self.frontier.fetch_max(head.0, Release);
    }

    /// The partition's state began anew: so does the view.
    pub fn start_anew(&self, head: Position) {
        let mut known = self.exact.write();
        self.epoch.store(NO_EPOCH, Release);
        *known = Known::nothing_before(head.sequence);
        self.filter.iter().for_each(|slot| slot.store(0, Release));
        self.floor.store(head.sequence.0, Release);
        self.frontier.store(head.sequence.0, Release);
        self.epoch.store(head.epoch.0, Release);
    }

    fn slot(&self, tag: TagId) -> &AtomicU64 {
        #[allow(clippy::cast_possible_truncation, reason = "the low bits are all that is wanted")]
        let low_bits = tag.0 as usize;
        &self.filter[low_bits & (self.filter.len() - 1)]
    }
}

impl Known {
    /// Nothing yet, and nothing of what was before `floor`.
    fn nothing_before(floor: Sequence) -> Self {
        Self { clocks: Exact::default(), purges: Exact::default(), purges_floor: floor }
    }
}

impl Exact {
    /// Whether one of `tags` is known to have moved past `base`.
    fn has_moved(&self, tags: &[TagId], base: Sequence) -> bool {
        tags.iter().any(|tag| self.clocks.get(tag).is_some_and(|clock| *clock > base))
    }

    fn set(&mut self, sequence: Sequence, tags: &[TagId]) {
        for tag in tags {
            self.clocks.insert(*tag, sequence);
            self.by_age.push_back((sequence, *tag));
        }
    }

    /// Forgets the oldest beyond `clocks_max`. Returns the last one's sequence if there were any: whatever is not here is at
    /// or below it.
    fn trim(&mut self, clocks_max: usize) -> Option<Sequence> {
        let Self { clocks, by_age } = self;
        // A tag that is invalidated again leaves its older place behind. These go first, and together: seldom enough to cost
        // little for each record, and often enough to take no more than what stands may take.
        if by_age.len() > 2 * clocks_max {
            by_age.retain(|(sequence, tag)| clocks.get(tag) == Some(sequence));
        }
        let mut trimmed = None;
        while clocks.len() > clocks_max || by_age.len() > 2 * clocks_max {
            let Some((sequence, tag)) = by_age.pop_front() else { break };
            if clocks.get(&tag) == Some(&sequence) {
                clocks.remove(&tag);
                trimmed = Some(sequence);
            }
        }
        trimmed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const EPOCH: Epoch = Epoch(7);

    fn head(epoch: Epoch, sequence: u64) -> Position {
        Position { partition: Partition(0), epoch, sequence: Sequence(sequence) }
    }

    fn clocks(filter_slots: usize, exact_clocks_max: usize) -> Clocks {
        Clocks::new(head(EPOCH, 0), ClockLimits { filter_slots, exact_clocks_max })
    }

    #[track_caller]
    fn check(clocks: &Clocks, base: u64, tags: &[u64], expected: Validity) {
        let tags: Vec<TagId> = tags.iter().map(|tag| TagId(*tag)).collect();
        assert_eq!(clocks.judge(EPOCH, Sequence(base), &tags), expected);
    }

    const fn valid(through: u64) -> Validity {
        Validity::Valid { through: Sequence(through) }
    }

    #[test]
    fn a_tag_moved_past_the_base_invalidates() {
        let clocks = clocks(8, 8);
        clocks.apply(Sequence(1), &[TagId(3)]);
        check(&clocks, 0, &[3], Validity::Invalidated);
        check(&clocks, 0, &[1, 3], Validity::Invalidated);
        check(&clocks, 1, &[3], valid(1));
        check(&clocks, 0, &[1], valid(0));
        check(&clocks, 0, &[], valid(0));
    }

    #[test]
    fn a_shared_slot_is_told_apart_and_raises_the_base() {
        let clocks = clocks(8, 8);
        clocks.apply(Sequence(1), &[TagId(3)]);
        clocks.apply(Sequence(2), &[TagId(4)]);
        // 11 shares the slot of 3, but was never invalidated.
        check(&clocks, 0, &[11], valid(2));
        clocks.apply(Sequence(3), &[TagId(11)]);
        // The slot has moved past 1, the clock of 3 has not.
        check(&clocks, 1, &[3], valid(3));
    }

    #[test]
    fn trimming_raises_the_floor_and_nothing_below_it_is_valid() {
        let clocks = clocks(8, 2);
        for sequence in 1..=3 {
            clocks.apply(Sequence(sequence), &[TagId(sequence)]);
        }
        assert_eq!(clocks.floor(), Sequence(1));
        check(&clocks, 0, &[100], Validity::BelowFloor);
        check(&clocks, 1, &[1], valid(1));
        check(&clocks, 1, &[10], valid(3));
        check(&clocks, 1, &[2], Validity::Invalidated);
    }

    #[test]
    fn places_left_behind_cost_no_clock_that_stands() {
        let clocks = clocks(8, 4);
        clocks.apply(Sequence(1), &[TagId(1)]);
        for sequence in 2..=8 {
            clocks.apply(Sequence(sequence), &[TagId(2)]);
        }
        assert_eq!(clocks.exact.read().clocks.by_age.len(), 8, "eight places of two tags are just twice four");
        clocks.apply(Sequence(9), &[TagId(2), TagId(3), TagId(4)]);
        let by_age: Vec<_> =
            clocks.exact.read().clocks.by_age.iter().map(|(sequence, tag)| (sequence.0, tag.0)).collect();
        assert_eq!((by_age, clocks.floor()), (vec![(1, 1), (9, 2), (9, 3), (9, 4)], Sequence(0)));
        // A fifth tag is one too many: the oldest clock goes.
        clocks.apply(Sequence(10), &[TagId(5)]);
        assert_eq!((clocks.floor(), clocks.exact_len()), (Sequence(1), 4));
        check(&clocks, 0, &[100], Validity::BelowFloor);
    }

    #[test]
    fn a_hot_tag_ages_none_of_its_neighbours_out() {
        let clocks = Clocks::new(head(EPOCH, 0), ClockLimits::default());
        for sequence in 1..=40_000 {
            let cold = (sequence % 400 == 0).then_some(TagId(1 + sequence / 400));
            let tags: Vec<TagId> = [TagId(0)].into_iter().chain(cold).collect();
            clocks.apply(Sequence(sequence), &tags);
        }
        assert_eq!((clocks.floor(), clocks.exact_len()), (Sequence(0), 101));
        check(&clocks, 0, &[1000], valid(0));
        check(&clocks, 399, &[2], Validity::Invalidated);
        assert!(clocks.exact.read().clocks.by_age.len() <= 2 * ClockLimits::default().exact_clocks_max);
    }

    /// One tag several times in a record: each has a place, and none is superseded.
    #[test]
    fn places_are_bounded_whatever_a_record_holds() {
        let clocks = clocks(8, 4);
        clocks.apply(Sequence(1), &[TagId(1); 20]);
        assert!(clocks.exact.read().clocks.by_age.len() <= 8);
        check(&clocks, 0, &[1], Validity::BelowFloor);
    }

    #[test]
    fn a_tag_invalidated_again_and_again_fills_no_memory_and_raises_no_floor() {
        let clocks = clocks(8, 4);
        for sequence in 1..=1000 {
            clocks.apply(Sequence(sequence), &[TagId(1)]);
        }
        assert_eq!(clocks.floor(), Sequence(0));
        assert!(clocks.exact.read().clocks.by_age.len() <= 8);
    }

    #[test]
    fn another_epoch_refuses_everything_of_the_old_one() {
        let clocks = clocks(8, 8);
        clocks.apply(Sequence(1), &[TagId(3)]);
        clocks.start_anew(head(Epoch(8), 5));
        check(&clocks, 1, &[3], Validity::EpochChanged);
        check(&clocks, 9, &[], Validity::EpochChanged);
        assert_eq!(clocks.judge(Epoch(8), Sequence(5), &[TagId(3)]), valid(5));
        assert_eq!(clocks.judge(Epoch(8), Sequence(4), &[]), Validity::BelowFloor);
        assert_eq!(clocks.frontier(), head(Epoch(8), 5));
    }

    #[test]
    fn a_gap_in_what_is_known_is_an_o1_flush() {
        let clocks = clocks(8, 8);
        clocks.apply(Sequence(1), &[TagId(3)]);
        clocks.skip_to(Sequence(9));
        check(&clocks, 8, &[], Validity::BelowFloor);
        check(&clocks, 9, &[3], valid(9));
        clocks.apply(Sequence(10), &[TagId(3)]);
        check(&clocks, 9, &[3], Validity::Invalidated);
    }

    #[test]
    #[should_panic(expected = "without gaps")]
    fn a_gap_is_never_applied() {
        clocks(8, 8).apply(Sequence(2), &[]);
    }

    #[test]
    fn the_last_confirmation_counts_also_after_the_clock_was_set_back() {
        let clocks = clocks(8, 8);
        clocks.confirm(Timestamp::from_millis(9));
        clocks.confirm(Timestamp::from_millis(5));
        assert_eq!(clocks.confirmed_at(), Some(Timestamp::from_millis(5)));
        clocks.unconfirm();
        assert_eq!(clocks.confirmed_at(), None);
        clocks.confirm(Timestamp::default());
        assert_eq!(clocks.confirmed_at(), Some(Timestamp::default()), "the first moment is not never");
    }

    #[test]
    fn where_nothing_happened_since_the_rule_is_short() {
        let clocks = clocks(8, 8);
        clocks.apply(Sequence(1), &[TagId(3)]);
        let nothing_since = |epoch, base| clocks.has_nothing_since(epoch, Sequence(base));
        assert!(nothing_since(EPOCH, 1) && nothing_since(EPOCH, 2));
        assert!(!nothing_since(EPOCH, 0), "a record came after it");
        assert!(!nothing_since(Epoch(8), 1), "it is of another epoch");
        assert!(clocks.is_at(head(EPOCH, 1)) && !clocks.is_at(head(EPOCH, 0)) && !clocks.is_at(head(Epoch(8), 1)));
        clocks.skip_to(Sequence(9));
        assert!(!nothing_since(EPOCH, 8) && nothing_since(EPOCH, 9));
        clocks.start_anew(head(Epoch(8), 2));
        assert!(!nothing_since(EPOCH, 9) && nothing_since(Epoch(8), 2) && !nothing_since(Epoch(8), 1));
        assert!(clocks.is_at(head(Epoch(8), 2)));
    }

    #[track_caller]
    fn purged(clocks: &Clocks, base: u64, tags: &[u64], expected: bool) {
        let tags: Vec<TagId> = tags.iter().map(|tag| TagId(*tag)).collect();
        assert_eq!(clocks.is_purged(EPOCH, Sequence(base), &tags), expected);
    }

    #[test]
    fn a_purge_is_told_from_invalidations_before_and_after_it() {
        let clocks = clocks(8, 8);
        clocks.apply(Sequence(1), &[TagId(3)]);
        purged(&clocks, 0, &[3], false);
        clocks.apply(Sequence(2), &[TagId(3), TagId::PURGE]);
        clocks.apply(Sequence(3), &[TagId(3), TagId(4)]);
        check(&clocks, 2, &[3], Validity::Invalidated);
        purged(&clocks, 1, &[3], true);
        purged(&clocks, 1, &[9, 3], true);
        purged(&clocks, 2, &[3], false);
        purged(&clocks, 0, &[4], false);
        clocks.apply(Sequence(4), &[TagId(4), TagId::ERASURE]);
        purged(&clocks, 3, &[4], true);
    }

    #[test]
    fn what_cannot_be_known_to_be_no_purge_is_taken_for_one() {
        let begun = Clocks::new(head(EPOCH, 5), ClockLimits { filter_slots: 8, exact_clocks_max: 8 });
        purged(&begun, 4, &[3], true);
        purged(&begun, 5, &[3], false);
        begun.skip_to(Sequence(9));
        purged(&begun, 8, &[3], true);
        purged(&begun, 9, &[3], false);
        begun.start_anew(head(Epoch(8), 2));
        purged(&begun, 9, &[3], true);
        assert!(begun.is_purged(Epoch(8), Sequence(1), &[]) && !begun.is_purged(Epoch(8), Sequence(2), &[]));
    }

    #[test]
    fn a_floor_that_rose_over_known_clocks_purges_nothing_and_forgotten_purges_end_what_is_invalid() {
        let clocks = clocks(8, 2);
        (1..=4).for_each(|sequence| clocks.apply(Sequence(sequence), &[TagId(sequence)]));
        check(&clocks, 1, &[3], Validity::BelowFloor);
        purged(&clocks, 0, &[3], false);
        // Each purge takes two places: the marker's and its tag's.
        clocks.apply(Sequence(5), &[TagId(5), TagId::PURGE]);
        purged(&clocks, 0, &[3], false);
        clocks.apply(Sequence(6), &[TagId(6), TagId::PURGE]);
        purged(&clocks, 4, &[3], true);
        purged(&clocks, 5, &[3], false);
        purged(&clocks, 5, &[6], true);
    }

    #[test]
    fn purges_are_bounded_whatever_clocks_are_held_beside() {
        let clocks = Clocks::new(head(EPOCH, 0), ClockLimits::default());
        let tags_max = PURGES_MAX as u64 - 1;
        (1..=tags_max).for_each(|sequence| clocks.apply(Sequence(sequence), &[TagId(sequence), TagId::PURGE]));
        purged(&clocks, 0, &[9999], false);
        (1..=9).for_each(|more| clocks.apply(Sequence(tags_max + more), &[TagId(tags_max + more), TagId::PURGE]));
        let known = clocks.exact.read();
        assert_eq!((known.purges.clocks.len(), known.purges_floor), (PURGES_MAX, Sequence(9)));
        assert!(known.purges.by_age.len() <= 2 * PURGES_MAX && known.clocks.clocks.len() > PURGES_MAX);
        drop(known);
        purged(&clocks, 8, &[9999], true);
        purged(&clocks, 9, &[9999], false);
        assert_eq!(clocks.floor(), Sequence(0), "the rule knows nothing of it");
    }

    #[test]
    fn what_is_held_exactly_can_be_asked_for() {
        let clocks = clocks(8, 2);
        (1..=3).for_each(|sequence| clocks.apply(Sequence(sequence), &[TagId(sequence)]));
        assert_eq!(clocks.exact_len(), 2);
        assert_eq!(clocks.exact(&[TagId(1), TagId(3), TagId(9)]), [(TagId(3), Sequence(3))]);
    }

    proptest! {
        /// Against the rule written down naively: never valid when it should not be; and refused without need only
        /// when the floor has risen.
        #[test]
        fn agrees_with_the_rule(
            records in proptest::collection::vec(proptest::collection::vec(0..40u64, 0..4), 0..60),
            base in 0..60u64,
            tags in proptest::collection::vec(0..40u64, 0..5),
            exact_clocks_max in 1..40usize,
        ) {
            let clocks = clocks(16, exact_clocks_max);
            let mut truth: BTreeMap<u64, u64> = BTreeMap::new();
            for (at, record) in records.iter().enumerate() {
                let sequence = at as u64 + 1;
                let ids: Vec<TagId> = record.iter().map(|tag| TagId(*tag)).collect();
                clocks.apply(Sequence(sequence), &ids);
                truth.extend(record.iter().map(|tag| (*tag, sequence)));
            }
            let base = base.min(records.len() as u64);
            let should_be_valid = tags.iter().all(|tag| truth.get(tag).is_none_or(|clock| *clock <= base));
            let ids: Vec<TagId> = tags.iter().map(|tag| TagId(*tag)).collect();
            match clocks.judge(EPOCH, Sequence(base), &ids) {
                Validity::Valid { through } => {
                    prop_assert!(should_be_valid);
                    prop_assert!(through.0 >= base && through.0 <= records.len() as u64);
                }
                Validity::Invalidated => prop_assert!(!should_be_valid),
                Validity::BelowFloor => prop_assert!(clocks.floor().0 > base),
                Validity::EpochChanged => prop_assert!(false, "the epoch did not change"),
            }
        }
    }
}
