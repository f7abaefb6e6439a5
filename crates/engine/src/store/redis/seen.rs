//! How far each partition's log was seen to go, by which a log that goes back is noticed.
//!
//! State may be put back within a run of the server: by `RESTORE` or `DEBUG RELOAD`, or because a primary became a
//! replica for a moment and is a primary again. Then sequences are used twice, and a node that has applied the first
//! record of a sequence would never hear of the second.

use parking_lot::Mutex;

use crate::position::{Partition, PartitionCount, Position, Sequence};

/// Beyond every sequence that there can be; exact in Lua.
pub(super) const SEQUENCE_MAX: Sequence = Sequence(1 << 52);

/// The newest head that was seen of each partition.
pub(super) struct Seen(Box<[Mutex<Option<Position>>]>);

impl Seen {
    pub(super) fn new(partitions: PartitionCount) -> Self {
        Self(partitions.all().map(|_| Mutex::default()).collect())
    }

    /// To be looked up before an operation is sent: answers may overtake each other.
    pub(super) fn newest(&self, partition: Partition) -> Option<Position> {
        *self.0[partition.index()].lock()
    }

    pub(super) fn note(&self, head: Position) {
        let mut newest = self.0[head.partition.index()].lock();
        if newest.is_none_or(|newest| newest.epoch != head.epoch || newest.sequence < head.sequence) {
            *newest = Some(head);
        }
    }

    /// A record was told of. It says nothing of which epoch is the log's.
    pub(super) fn heard(&self, told: Position) {
        let mut newest = self.0[told.partition.index()].lock();
        if newest.is_some_and(|newest| newest.epoch == told.epoch && newest.sequence < told.sequence) {
            *newest = Some(told);
        }
    }

    /// Two records were told to stand at one position: whatever the log says next in that epoch, it has gone back.
    pub(super) fn contradicted(&self, told: Position) {
        self.heard(Position { sequence: SEQUENCE_MAX, ..told });
    }
}

/// Whether the log has gone back: `head` was answered to an operation that was sent when `before` was known. Of an
/// `append`, it is the position of the record, which must be a new one.
pub(super) fn has_gone_back(before: Option<Position>, head: Position, append: bool) -> bool {
    before.is_some_and(|before| {
        let used = before.sequence > head.sequence || (append && before.sequence == head.sequence);
        before.epoch == head.epoch && used
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Epoch;

    fn at(epoch: u64, sequence: u64) -> Position {
        Position { partition: Partition(1), epoch: Epoch(epoch), sequence: Sequence(sequence) }
    }

    #[test]
    fn a_log_goes_on_within_an_epoch() {
        assert!(!has_gone_back(None, at(7, 1), true));
        assert!(!has_gone_back(Some(at(7, 4)), at(7, 5), true));
        assert!(has_gone_back(Some(at(7, 4)), at(7, 4), true));
        assert!(!has_gone_back(Some(at(7, 4)), at(7, 4), false));
        assert!(has_gone_back(Some(at(7, 4)), at(7, 3), false));
        assert!(!has_gone_back(Some(at(7, 4)), at(8, 1), true));
    }

    #[test]
    fn the_newest_is_kept_whatever_the_order_of_the_answers() {
        let seen = Seen::new(PartitionCount::new(2).unwrap());
        for (head, newest) in [(at(7, 4), at(7, 4)), (at(7, 3), at(7, 4)), (at(8, 0), at(8, 0))] {
            seen.note(head);
            assert_eq!(seen.newest(Partition(1)), Some(newest));
        }
        assert_eq!(seen.newest(Partition(0)), None);
    }

    #[test]
    fn what_is_heard_counts_in_the_epoch_that_an_answer_has_named() {
        let seen = Seen::new(PartitionCount::new(2).unwrap());
        seen.heard(at(7, 4));
        assert_eq!(seen.newest(Partition(1)), None);
        seen.note(at(7, 4));
        for (heard, newest) in [(at(7, 5), at(7, 5)), (at(7, 3), at(7, 5)), (at(6, 9), at(7, 5))] {
            seen.heard(heard);
            assert_eq!(seen.newest(Partition(1)), Some(newest));
        }
        seen.contradicted(at(7, 5));
        assert!(has_gone_back(seen.newest(Partition(1)), at(7, 6), false));
        seen.note(at(8, 0));
        assert!(!has_gone_back(seen.newest(Partition(1)), at(8, 0), false));
    }
}
