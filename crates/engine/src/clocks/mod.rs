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
//! A record that purges ([`Invalidation::purging`](crate::Invalidation::purging)) is an invalidation after which nothing
//! older is served, not even where a policy allows what is invalid ([`Mode::StaleOk`](crate::Mode::StaleOk)). Which
//! invalidations were purges stands in a second map, smaller and with a floor of its own. Only who is about to serve what
//! the rule has refused asks it: for the rule a purge is an invalidation like any other.
//!
//! # Invariants
//!
//! - Clocks are applied before the frontier moves, so a reader that sees a frontier sees all clocks up to it.
//! - Within an epoch, slots, floor and frontier never go back.
//! - While the epoch changes there is none: it is taken away before anything else changes, and the new one is published
//!   after everything has. Readers look at it first and last (a sequence lock). Last alone would not do: what was read
//!   of the old epoch would be taken for the new one's, and raise the base of an entry that another node has stored.

mod exact;

use self::exact::Known;
use crate::{
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
        self.exact.read().clocks.of(tags)
    }

    /// Those of `tags` that are known to have been purged, each with its last purge; and the floor of purges, below which
    /// they are not known.
    pub fn purges(&self, tags: &[TagId]) -> (Vec<(TagId, Sequence)>, Sequence) {
        let known = self.exact.read();
        (known.purges.of(tags), known.purges_floor)
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

#[cfg(test)]
mod tests;
