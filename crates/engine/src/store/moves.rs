//! What is heard of the log without asking it: which partitions' heads may have moved, and records as they are appended.
//!
//! Only speed depends on it. A move may be told twice, too late or never: who follows also asks at intervals. A record
//! that was told was in the log when it was told; that it is the newest is not said. So it may move a view on that
//! stands right before it, and confirms none.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire},
    },
};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::Record;
use crate::position::{Partition, PartitionCount, Position};

/// Records kept of what was told of a partition. Who is further behind asks the log.
const TOLD_RECORDS_MAX: usize = 64;

/// Where a store notes moves.
#[derive(Debug)]
pub struct Moves {
    partitions: PartitionCount,
    heard: Box<[Heard]>,
    any: watch::Sender<()>,
}

/// What was heard of a partition.
#[derive(Debug, Default)]
struct Heard {
    /// How often it moved.
    moves: AtomicU64,
    /// How often it was not said which record it was that moved it.
    unnamed: AtomicU64,
    /// The newest records that were told: of one epoch, without gaps.
    records: Mutex<VecDeque<Arc<Record>>>,
}

/// What a record that is told was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Not known; or too old to tell.
    New,
    /// Told already.
    Known,
    /// Another record was told to stand in its place: the log has gone back, and its sequences were used twice.
    Contradicted,
}

/// One who watches; sees every partition that moved since it looked last.
#[derive(Debug)]
pub struct MovesWatcher {
    moves: Arc<Moves>,
    seen: Box<[Seen]>,
    any: watch::Receiver<()>,
}

/// The counts that a watcher has seen.
#[derive(Clone, Copy, Debug)]
struct Seen {
    moves: u64,
    unnamed: u64,
}

impl Moves {
    /// Of a log with `partitions`.
    pub fn new(partitions: PartitionCount) -> Arc<Self> {
        let heard = partitions.all().map(|_| Heard::default()).collect();
        Arc::new(Self { partitions, heard, any: watch::channel(()).0 })
    }

    /// A partition's head has moved; by which record is not known. A partition that does not exist is nobody's.
    pub fn note(&self, partition: Partition) {
        if let Some(heard) = self.heard.get(partition.index()) {
            heard.unnamed.fetch_add(1, AcqRel);
            heard.moves.fetch_add(1, AcqRel);
            self.any.send_replace(());
        }
    }

    /// Any head may have moved.
    pub fn note_all(&self) {
        for heard in &self.heard {
            heard.unnamed.fetch_add(1, AcqRel);
            heard.moves.fetch_add(1, AcqRel);
        }
        self.any.send_replace(());
    }

    /// A record was appended.
    pub fn tell(&self, record: Arc<Record>) -> Told {
        let Position { partition, epoch, sequence } = record.position;
        let Some(heard) = self.heard.get(partition.index()) else { return Told::Known };
        let mut records = heard.records.lock();
        match records.back().map(|last| last.position) {
            Some(last) if last.epoch == epoch && last.sequence >= sequence => {
                let behind = usize::try_from(last.sequence.0 - sequence.0).unwrap_or(usize::MAX);
                let same = records.iter().rev().nth(behind).map(|known| *known == record);
                drop(records);
                if same != Some(true) {
                    self.note(partition);
                }
                return match same {
                    Some(true) => Told::Known,
                    Some(false) => Told::Contradicted,
                    None => Told::New,
                };
            }
            Some(last) if last.epoch == epoch && last.sequence.next() == sequence => {
                if records.len() == TOLD_RECORDS_MAX {
                    records.pop_front();
                }
            }
            _ => records.clear(),
        }
        records.push_back(record);
        drop(records);
        heard.moves.fetch_add(1, AcqRel);
        self.any.send_replace(());
        Told::New
    }

    /// The records that were told and stand right after `position`, without gaps; perhaps none.
    pub fn told_after(&self, position: Position) -> Vec<Arc<Record>> {
        let Some(heard) = self.heard.get(position.partition.index()) else { return Vec::new() };
        let records = heard.records.lock();
        let Some(last) = records.back().map(|last| last.position) else { return Vec::new() };
        let more = last.sequence.0.saturating_sub(position.sequence.0);
        match usize::try_from(more) {
            Ok(more) if last.epoch == position.epoch && more <= records.len() => {
                records.range(records.len() - more..).cloned().collect()
            }
            _ => Vec::new(),
        }
    }

    /// The position of the newest record that was told of a partition.
    pub fn newest_told(&self, partition: Partition) -> Option<Position> {
        self.heard.get(partition.index())?.records.lock().back().map(|last| last.position)
    }

    /// Watches from now on.
    pub fn watch(self: &Arc<Self>) -> MovesWatcher {
        let any = self.any.subscribe();
        let seen = self.heard.iter().map(Heard::seen).collect();
        MovesWatcher { moves: self.clone(), seen, any }
    }
}

impl Heard {
    fn seen(&self) -> Seen {
        Seen { moves: self.moves.load(Acquire), unnamed: self.unnamed.load(Acquire) }
    }
}

impl MovesWatcher {
    /// Where the moves are noted.
    pub fn source(&self) -> &Arc<Moves> {
        &self.moves
    }

    /// The partitions that moved since the last call, in their order; waits until there is one.
    ///
    /// Cancel-safe: what is not returned is not taken for seen.
    pub async fn next(&mut self) -> Vec<Partition> {
        loop {
            self.any.mark_unchanged();
            let moved = self.take();
            if !moved.is_empty() {
                return moved;
            }
            // The sender lives in `moves`, which this holds.
            let _ = self.any.changed().await;
        }
    }

    /// The same without waiting: perhaps none.
    pub fn take(&mut self) -> Vec<Partition> {
        let heard = self.moves.partitions.all().zip(self.moves.heard.iter()).zip(self.seen.iter_mut());
        let moved = heard.filter_map(|((partition, heard), seen)| {
            let moves = heard.moves.load(Acquire);
            (std::mem::replace(&mut seen.moves, moves) != moves).then_some(partition)
        });
        moved.collect()
    }

    /// Whether a partition has moved, since this was last asked, without its being said by which record: then only the
    /// log knows.
    pub fn must_ask(&mut self, partition: Partition) -> bool {
        let (Some(heard), Some(seen)) = (self.moves.heard.get(partition.index()), self.seen.get_mut(partition.index()))
        else {
            return false;
        };
        let unnamed = heard.unnamed.load(Acquire);
        std::mem::replace(&mut seen.unnamed, unnamed) != unnamed
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::FutureExt as _;

    use super::*;
    use crate::{
        position::{Epoch, Sequence},
        tag::TagId,
    };

    fn moves() -> Arc<Moves> {
        Moves::new(PartitionCount::new(4).unwrap())
    }

    #[tokio::test]
    async fn each_watcher_sees_what_moved_since_it_looked() {
        let moves = moves();
        let (mut one, mut two) = (moves.watch(), moves.watch());
        moves.note(Partition(3));
        moves.note(Partition(1));
        moves.note(Partition(3));
        assert_eq!(one.next().await, [Partition(1), Partition(3)]);
        assert!(one.next().now_or_never().is_none());
        moves.note(Partition(0));
        assert_eq!(one.next().await, [Partition(0)]);
        assert_eq!(two.next().await, [Partition(0), Partition(1), Partition(3)]);
        assert!(moves.watch().take().is_empty(), "what was before is nobody's who came later");
    }

    #[tokio::test]
    async fn one_who_waits_is_woken() {
        let moves = moves();
        let mut watcher = moves.watch();
        let waiting = tokio::spawn(async move { watcher.next().await });
        tokio::task::yield_now().await;
        moves.note_all();
        assert_eq!(waiting.await.unwrap().len(), 4);
        moves.note(Partition(9));
    }

    fn record(epoch: u64, sequence: u64, tag: u64) -> Arc<Record> {
        let position = Position { partition: Partition(1), epoch: Epoch(epoch), sequence: Sequence(sequence) };
        Arc::new(Record { position, tags: vec![TagId(tag)], note: Bytes::new() })
    }

    /// Sequences of the records after a position.
    fn after(moves: &Moves, epoch: u64, sequence: u64) -> Vec<u64> {
        let position = record(epoch, sequence, 0).position;
        moves.told_after(position).iter().map(|record| record.position.sequence.0).collect()
    }

    #[test]
    fn what_was_told_is_given_to_who_stands_right_before_it_and_to_nobody_else() {
        let moves = moves();
        assert_eq!(after(&moves, 7, 0), [0; 0]);
        for sequence in 4..=6 {
            assert_eq!(moves.tell(record(7, sequence, 1)), Told::New);
        }
        assert_eq!(after(&moves, 7, 3), [4, 5, 6]);
        assert_eq!(after(&moves, 7, 5), [6]);
        assert_eq!(after(&moves, 7, 6), [0; 0]);
        assert_eq!(after(&moves, 7, 9), [0; 0]);
        assert_eq!(after(&moves, 7, 2), [0; 0], "not over a gap");
        assert_eq!(after(&moves, 8, 3), [0; 0], "not in another epoch");
        moves.tell(record(7, 8, 1));
        assert_eq!((after(&moves, 7, 6), after(&moves, 7, 7)), (vec![], vec![8]), "7 is missing");
        moves.tell(record(9, 9, 1));
        assert_eq!((after(&moves, 7, 8), after(&moves, 9, 8)), (vec![], vec![9]), "another epoch, no matter where");
        assert_eq!(moves.newest_told(Partition(1)), Some(record(9, 9, 1).position));
    }

    #[test]
    fn no_more_is_kept_than_the_limit() {
        let moves = moves();
        for sequence in 1..=TOLD_RECORDS_MAX as u64 + 1 {
            moves.tell(record(7, sequence, 1));
        }
        assert_eq!(after(&moves, 7, 0), [0; 0]);
        assert_eq!(after(&moves, 7, 1).len(), TOLD_RECORDS_MAX);
    }

    #[test]
    fn what_is_told_again_wakes_nobody_and_what_contradicts_it_does() {
        let moves = moves();
        let mut watcher = moves.watch();
        moves.tell(record(7, 4, 1));
        moves.tell(record(7, 5, 1));
        assert_eq!((watcher.take(), watcher.must_ask(Partition(1))), (vec![Partition(1)], false));
        assert_eq!(moves.tell(record(7, 4, 1)), Told::Known);
        assert_eq!((watcher.take(), watcher.must_ask(Partition(1))), (vec![], false));
        assert_eq!(moves.tell(record(7, 4, 2)), Told::Contradicted);
        assert_eq!((watcher.take(), watcher.must_ask(Partition(1))), (vec![Partition(1)], true));
        assert_eq!(moves.tell(record(7, 3, 1)), Told::New, "nobody can tell");
        assert_eq!((watcher.take(), watcher.must_ask(Partition(1))), (vec![Partition(1)], true));
        moves.note(Partition(1));
        moves.tell(record(7, 6, 1));
        assert!(watcher.must_ask(Partition(1)), "one of two moves was not named");
    }

    #[test]
    fn of_a_partition_that_does_not_exist_there_is_nothing_to_ask() {
        let moves = moves();
        let mut watcher = moves.watch();
        moves.note_all();
        assert!(!watcher.must_ask(Partition(4)));
        assert!(watcher.must_ask(Partition(3)));
    }
}
