//! What this node knows of the facts behind a value: for those who look into why it was served.

use super::Cache;
use crate::{
    position::{Position, Sequence},
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
    /// Whether an invalidation of one of the tags waits for the store.
    pub is_pending: bool,
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
        let is_pending = self.shared.is_pending(base.partition, tags);
        let frontier = clocks.frontier();
        Explanation { frontier, floor: clocks.floor(), clocks: clocks.exact(tags), is_pending }
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
            is_pending: false,
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
    fn what_was_wrong_then_is_told_from_what_became_wrong_since() {
        let known = explanation();
        assert!(known.was_broken_at(at(1, 4), at(1, 5)));
        assert!(!known.was_broken_at(at(1, 4), at(1, 4)), "invalidated after it was given");
        assert!(!known.was_broken_at(at(1, 5), at(1, 9)), "it is still right");
        assert!(known.was_broken_at(at(0, 9), at(1, 1)), "of an epoch that was over");
        assert!(!known.was_broken_at(at(1, 4), at(0, 5)), "the epoch has changed meanwhile");
    }
}
