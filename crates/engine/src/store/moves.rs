//! Which partitions' heads may have moved: what wakes those who follow the log.
//!
//! Only speed depends on it. A move may be told twice, too late or never: who follows also asks at intervals.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire},
};

use tokio::sync::watch;

use crate::position::{Partition, PartitionCount};

/// Where a store notes moves.
#[derive(Debug)]
pub struct Moves {
    partitions: PartitionCount,
    /// How often each partition moved.
    counts: Box<[AtomicU64]>,
    any: watch::Sender<()>,
}

/// One who watches; sees every partition that moved since it looked last.
#[derive(Debug)]
pub struct MovesWatcher {
    moves: Arc<Moves>,
    seen: Box<[u64]>,
    any: watch::Receiver<()>,
}

impl Moves {
    /// Of a log with `partitions`.
    pub fn new(partitions: PartitionCount) -> Arc<Self> {
        let counts = partitions.all().map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { partitions, counts, any: watch::channel(()).0 })
    }

    /// A partition's head has moved. One that does not exist is nobody's.
    pub fn note(&self, partition: Partition) {
        if let Some(count) = self.counts.get(partition.index()) {
            count.fetch_add(1, AcqRel);
            self.any.send_replace(());
        }
    }

    /// Any head may have moved.
    pub fn note_all(&self) {
        self.counts.iter().for_each(|count| _ = count.fetch_add(1, AcqRel));
        self.any.send_replace(());
    }

    /// Watches from now on.
    pub fn watch(self: &Arc<Self>) -> MovesWatcher {
        let any = self.any.subscribe();
        let seen = self.counts.iter().map(|count| count.load(Acquire)).collect();
        MovesWatcher { moves: self.clone(), seen, any }
    }
}

impl MovesWatcher {
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
        let counts = self.moves.partitions.all().zip(self.moves.counts.iter()).zip(self.seen.iter_mut());
        let moved = counts.filter_map(|((partition, count), seen)| {
            let count = count.load(Acquire);
            (std::mem::replace(seen, count) != count).then_some(partition)
        });
        moved.collect()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

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
}
