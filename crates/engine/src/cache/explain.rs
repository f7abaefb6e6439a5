//! What this node knows of the facts behind a value: for those who look into why it was served.

use super::Cache;
use crate::{
    position::{Position, Sequence},
    resilience::pending::WaitsFor,
    tag::TagId,
    tenant::Tenant,
};

/// What this node's view says of some tags at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// How far the view had come.
    pub frontier: Position,
    /// Below it, clocks are no longer known.
    pub floor: Sequence,
    /// The tags whose clocks are known, each with its clock. The others were not invalidated since the floor.
    pub clocks: Vec<(TagId, Sequence)>,
    /// Below it, which invalidations were purges is not known: each may have been one.
    pub purges_floor: Sequence,
    /// The tags that are known to have been purged, each with its last purge. The others were not since that floor.
    pub purges: Vec<(TagId, Sequence)>,
    /// Whether an invalidation of one of the tags waits for the store.
    pub is_pending: bool,
    /// Whether one that waits is a purge.
    pub is_purge_pending: bool,
}

impl Cache {
    /// Brings this node's view of the tenant's partition to where the log is now; false if the store does not answer in
    /// the time that a read waits for it.
    pub async fn catch_up(&self, tenant: &Tenant) -> bool {
        let shared = &self.shared;
        shared.catch_up_within(shared.partition(tenant), shared.patience()).await.is_ok()
    }

    /// What this node's view of the partition of `base` says of `tags`. Not for the path of a hit: it takes a lock.
    pub fn explain(&self, base: Position, tags: &[TagId]) -> Explanation {
        let clocks = &self.shared.view(base.partition).clocks;
        // What waits is looked at first: it goes only after the clocks have it.
        let waits_for = self.shared.waits_for(base.partition, tags);
        let frontier = clocks.frontier();
        let (purges, purges_floor) = clocks.purges(tags);
        Explanation {
            frontier,
            floor: clocks.floor(),
            clocks: clocks.exact(tags),
            purges_floor,
            purges,
            is_pending: waits_for.is_some(),
            is_purge_pending: waits_for == Some(WaitsFor::Purge),
        }
    }
}

impl Explanation {
    /// Whether the rule holds for a value of this base, as far as is known here.
    pub fn holds_for(&self, base: Position) -> bool {
        !self.is_pending
            && self.frontier.epoch == base.epoch
            && self.floor <= base.sequence
            && self.clocks.iter().all(|(_, clock)| *clock <= base.sequence)
    }

    /// Whether a value of this base was purged, or may have been as far as is known here: then nobody is given it, however
    /// stale the policy likes it. What the rule holds for was not.
    pub fn is_purged_for(&self, base: Position) -> bool {
        let moved = |(_, purge): &(TagId, Sequence)| *purge > base.sequence;
        let may_be =
            || self.frontier.epoch != base.epoch || self.purges_floor > base.sequence || self.purges.iter().any(moved);
        self.is_purge_pending || (!self.holds_for(base) && may_be())
    }

    /// Whether the rule did not hold for a value of this base even at `then`, an earlier frontier of the same view: whoever
    /// was given the value after that was given what was known to be wrong. No if that cannot be told any more.
    pub fn was_broken_at(&self, base: Position, then: Position) -> bool {
        let is_between = |clock: &Sequence| *clock > base.sequence && *clock <= then.sequence;
        if then.epoch != self.frontier.epoch {
            // The epoch has ended since: which one the value was judged by is not known.
            return false;
        }
        then.epoch != base.epoch || self.clocks.iter().any(|(_, clock)| is_between(clock))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::{Epoch, Partition};

    fn at(epoch: u64, sequence: u64) -> Position {
        Position { partition: Partition(0), epoch: Epoch(epoch), sequence: Sequence(sequence) }
    }

    fn explanation() -> Explanation {
        Explanation {
            frontier: at(1, 9),
            floor: Sequence(2),
            clocks: vec![(TagId(1), Sequence(3)), (TagId(2), Sequence(5))],
            purges_floor: Sequence(2),
            purges: vec![(TagId(1), Sequence(3))],
            is_pending: false,
            is_purge_pending: false,
        }
    }

    #[test]
    fn it_says_what_the_rule_says() {
        let known = explanation();
        assert!(known.holds_for(at(1, 5)) && known.holds_for(at(1, 9)));
        assert!(!known.holds_for(at(1, 4)), "a clock is above the base");
        assert!(!known.holds_for(at(2, 9)), "of another epoch");
        let trimmed = Explanation { floor: Sequence(7), ..explanation() };
        assert!(!trimmed.holds_for(at(1, 6)), "below the floor");
        assert!(!Explanation { is_pending: true, ..explanation() }.holds_for(at(1, 9)), "an invalidation waits");
    }

    #[test]
    fn what_was_purged_is_told_from_what_was_only_invalidated() {
        let known = explanation();
        assert!(known.is_purged_for(at(1, 2)) && !known.is_purged_for(at(1, 3)), "invalidated since, but not purged");
        assert!(known.is_purged_for(at(1, 1)), "there may have been a purge");
        assert!(known.is_purged_for(at(0, 9)), "in an epoch that is over, there may have been one");
        let forgotten = Explanation { purges_floor: Sequence(7), ..explanation() };
        assert!(forgotten.is_purged_for(at(1, 4)) && !forgotten.is_purged_for(at(1, 5)), "this is still right");
        let waiting = Explanation { is_pending: true, ..explanation() };
        assert!(!waiting.is_purged_for(at(1, 9)));
        assert!(Explanation { is_purge_pending: true, ..waiting }.is_purged_for(at(1, 9)));
    }

    #[test]
    fn what_was_wrong_then_is_told_from_what_became_wrong_since() {
        let known = explanation();
        assert!(known.was_broken_at(at(1, 4), at(1, 5)));
        assert!(!known.was_broken_at(at(1, 4), at(1, 4)), "invalidated after it was given");
        assert!(!known.was_broken_at(at(1, 5), at(1, 9)), "it is still right");
        assert!(known.was_broken_at(at(0, 9), at(1, 1)), "of an epoch that was over");
        assert!(!known.was_broken_at(at(1, 4), at(0, 5)), "the epoch has changed meanwhile");
    }
}
