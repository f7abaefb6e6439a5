//! The heads of a log in this process, readable without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};

use crate::position::{Epoch, Partition, Position, Sequence};

/// Where each partition's log ends.
#[derive(Debug)]
pub struct LocalHeads(Box<[Head]>);

#[derive(Debug)]
struct Head {
    epoch: AtomicU64,
    sequence: AtomicU64,
}

impl LocalHeads {
    /// One head for each partition, in their order.
    pub fn new(heads: impl Iterator<Item = Position>) -> Self {
        let head =
            |head: Position| Head { epoch: AtomicU64::new(head.epoch.0), sequence: AtomicU64::new(head.sequence.0) };
        Self(heads.map(head).collect())
    }

    /// Moves a head. The epoch first: a reader that meets the two halves of different heads takes neither for its
    /// frontier.
    pub fn set(&self, head: Position) {
        let held = &self.0[head.partition.index()];
        held.epoch.store(head.epoch.0, Release);
        held.sequence.store(head.sequence.0, Release);
    }

    /// The head of a partition.
    pub fn get(&self, partition: Partition) -> Position {
        let held = &self.0[partition.index()];
        let sequence = Sequence(held.sequence.load(Acquire));
        Position { partition, epoch: Epoch(held.epoch.load(Acquire)), sequence }
    }
}
