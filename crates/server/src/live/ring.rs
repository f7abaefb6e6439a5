//! The last records of a partition, for those who come late.

use std::{collections::VecDeque, sync::Arc};

use unstale::{Position, Record};

/// The newest records, without a gap, and where they begin.
#[derive(Debug)]
pub(super) struct Ring {
    records: VecDeque<Arc<Record>>,
    /// The position before the first record kept, and the newest one; none until anything was heard.
    known: Option<Known>,
    limit: usize,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    from: u64,
    head: Position,
}

/// What came after a position.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum After<T> {
    /// These, in order.
    Records(T),
    /// It is too long ago, or of another epoch.
    Unknown,
}

impl Ring {
    pub(super) fn new(limit: usize) -> Self {
        Self { records: VecDeque::new(), known: None, limit }
    }

    /// The newest position heard of.
    pub(super) fn head(&self) -> Option<Position> {
        self.known.map(|known| known.head)
    }

    pub(super) fn push(&mut self, record: &Arc<Record>) {
        let position = record.position;
        let before = position.sequence.as_u64() - 1;
        let goes_on = self
            .known
            .is_some_and(|known| known.head.epoch == position.epoch && known.head.sequence.as_u64() == before);
        if !goes_on {
            self.records.clear();
        }
        let from = self.known.filter(|_| goes_on).map_or(before, |known| known.from);
        self.records.push_back(record.clone());
        let trimmed = self.records.len() > self.limit;
        if trimmed {
            self.records.pop_front();
        }
        self.known = Some(Known { from: from + u64::from(trimmed), head: position });
    }

    /// Forgets everything: the log goes on from `head`.
    pub(super) fn skip_to(&mut self, head: Position) {
        self.records.clear();
        self.known = Some(Known { from: head.sequence.as_u64(), head });
    }

    /// The records after `position`.
    pub(super) fn after(&self, position: Position) -> After<Vec<Arc<Record>>> {
        // Nothing was heard since the cache was made, so nothing can have come after anything it served.
        let Some(known) = self.known else { return After::Records(Vec::new()) };
        let sequence = position.sequence.as_u64();
        if position.epoch != known.head.epoch || sequence < known.from {
            return After::Unknown;
        }
        let skipped = usize::try_from(sequence - known.from).unwrap_or(usize::MAX).min(self.records.len());
        After::Records(self.records.range(skipped..).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use unstale::PositionSet;

    use super::*;

    fn position(epoch: u64, sequence: u64) -> Position {
        *format!("0.{epoch:x}.{sequence:x}").parse::<PositionSet>().unwrap().iter().next().unwrap()
    }

    fn ring(limit: usize, epoch: u64, sequences: std::ops::RangeInclusive<u64>) -> Ring {
        let mut ring = Ring::new(limit);
        for sequence in sequences {
            let position = position(epoch, sequence);
            ring.push(&Arc::new(Record { position, tags: Vec::new(), note: Bytes::new() }));
        }
        ring
    }

    fn check(ring: &Ring, after: Position, expected: Option<&[u64]>) {
        let got = match ring.after(after) {
            After::Records(records) => Some(records.iter().map(|r| r.position.sequence.as_u64()).collect::<Vec<_>>()),
            After::Unknown => None,
        };
        assert_eq!(got.as_deref(), expected, "after {after:?}");
    }

    #[test]
    fn tells_what_came_after_a_position_or_that_it_cannot_know() {
        let ring = ring(3, 7, 4..=8);
        check(&ring, position(7, 8), Some(&[]));
        check(&ring, position(7, 6), Some(&[7, 8]));
        check(&ring, position(7, 5), Some(&[6, 7, 8]));
        check(&ring, position(7, 4), None);
        check(&ring, position(9, 8), None);
        // Ahead of what was heard: it is still to come.
        check(&ring, position(7, 20), Some(&[]));
    }

    #[test]
    fn starts_with_the_first_record_heard() {
        check(&Ring::new(3), position(7, 1), Some(&[]));
        check(&ring(10, 7, 4..=5), position(7, 3), Some(&[4, 5]));
        check(&ring(10, 7, 4..=5), position(7, 2), None);
    }

    #[test]
    fn a_gap_or_another_epoch_begins_anew() {
        let mut ring = ring(10, 7, 1..=3);
        ring.skip_to(position(7, 9));
        check(&ring, position(7, 3), None);
        check(&ring, position(7, 9), Some(&[]));
        let record = Arc::new(Record { position: position(8, 1), tags: Vec::new(), note: Bytes::new() });
        ring.push(&record);
        check(&ring, position(7, 9), None);
        check(&ring, position(8, 0), Some(&[1]));
    }
}
