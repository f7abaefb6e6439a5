//! The order in which one tenant's entries go: S3-FIFO (Yang et al., SOSP 2023). *Decides*; knows hashes and bytes.
//!
//! A new entry stands in the *small* queue, a seventh of the tenant's bytes. If it was not used when its turn comes, it
//! goes: most entries are never asked for again, and leave quickly. If it was, it moves to the *main* queue, where
//! each use buys another round, up to three.
//!
//! Queues hold hashes, 8 bytes an entry. Entries that were removed meanwhile leave theirs behind: whoever takes a turn
//! looks whether the entry is there, and the queues are swept when too many of them are.

use std::collections::{HashSet, VecDeque};

/// The small queue's part of a tenant's bytes, in percent. On our traces (`make bench`), 10 is up to 0.3 points better in
/// large caches and 0.7 worse in small ones; 25 is 1 worse in large ones.
const SMALL_PERCENT: u64 = 15;

/// Hashes left behind that are not worth a sweep.
const CLUTTER_MIN: usize = 64;

#[derive(Default)]
pub(super) struct Queues {
    small: Queue,
    main: Queue,
}

#[derive(Default)]
struct Queue {
    hashes: VecDeque<u64>,
    entries: usize,
    bytes: u64,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) hash: u64,
    pub(super) in_main: bool,
}

impl Queues {
    /// An entry comes.
    pub(super) fn push(&mut self, turn: Turn, bytes: u64) {
        let queue = self.queue(turn.in_main);
        queue.hashes.push_back(turn.hash);
        queue.entries += 1;
        queue.bytes += bytes;
    }

    /// Whose turn it is to go or to be spared; its hash leaves the queue.
    pub(super) fn next(&mut self) -> Option<Turn> {
        let small_is_due = self.small.bytes * 100 > (self.small.bytes + self.main.bytes) * SMALL_PERCENT;
        let in_main = if small_is_due { self.small.hashes.is_empty() } else { !self.main.hashes.is_empty() };
        let hash = self.queue(in_main).hashes.pop_front()?;
        Some(Turn { hash, in_main })
    }

    /// The entry whose turn it was is spared: from the small queue it moves to the main one, there it goes to the end.
    pub(super) fn spare(&mut self, turn: Turn, bytes: u64) {
        if turn.in_main {
            self.main.hashes.push_back(turn.hash);
        } else {
            self.forget(false, bytes);
            self.push(Turn { in_main: true, ..turn }, bytes);
        }
    }

    /// An entry went.
    pub(super) fn forget(&mut self, in_main: bool, bytes: u64) {
        let queue = self.queue(in_main);
        queue.entries -= 1;
        queue.bytes -= bytes;
    }

    /// An entry was replaced by one of another size.
    pub(super) fn resize(&mut self, in_main: bool, old_bytes: u64, new_bytes: u64) {
        let queue = self.queue(in_main);
        queue.bytes = queue.bytes - old_bytes + new_bytes;
    }

    pub(super) fn entries(&self) -> usize {
        self.small.entries + self.main.entries
    }

    /// Whether more hashes were left behind than there are entries.
    pub(super) fn are_cluttered(&self) -> bool {
        let hashes = self.small.hashes.len() + self.main.hashes.len();
        hashes > 2 * self.entries() + CLUTTER_MIN
    }

    /// Drops the hashes of those that are not there any more, and second ones of those that came back.
    pub(super) fn sweep(&mut self, mut is_there: impl FnMut(Turn) -> bool) {
        for in_main in [false, true] {
            let mut seen = HashSet::new();
            let queue = self.queue(in_main);
            queue.hashes.retain(|hash| is_there(Turn { hash: *hash, in_main }) && seen.insert(*hash));
            queue.hashes.shrink_to_fit();
        }
    }

    fn queue(&mut self, in_main: bool) -> &mut Queue {
        if in_main { &mut self.main } else { &mut self.small }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(hash: u64) -> Turn {
        Turn { hash, in_main: false }
    }

    fn main(hash: u64) -> Turn {
        Turn { hash, in_main: true }
    }

    #[test]
    fn what_was_used_moves_on_and_the_small_queue_keeps_to_its_part() {
        let mut queues = Queues::default();
        assert_eq!(queues.next(), None);
        (0..10).for_each(|hash| queues.push(small(hash), 10));
        for hash in 0..9 {
            assert_eq!(queues.next(), Some(small(hash)));
            queues.spare(small(hash), 10);
        }
        // Ten percent are left in the small queue: within its part, so it is the main queue's turn.
        assert_eq!(queues.next(), Some(main(0)));
        queues.spare(main(0), 10);
        for hash in 1..5 {
            assert_eq!(queues.next(), Some(main(hash)));
            queues.forget(true, 10);
        }
        assert_eq!(queues.next(), Some(small(9)));
        queues.forget(false, 10);
        assert_eq!((queues.entries(), queues.next()), (5, Some(main(5))));
    }

    #[test]
    fn bytes_decide_whose_turn_it_is() {
        let mut queues = Queues::default();
        queues.push(small(1), 15);
        queues.push(main(2), 85);
        assert_eq!(queues.next(), Some(main(2)), "just its part is not more than its part");
        queues.spare(main(2), 85);
        queues.resize(false, 15, 16);
        assert_eq!(queues.next(), Some(small(1)));
        queues.spare(small(1), 16);
        assert_eq!(queues.next(), Some(main(2)), "nothing is small any more");
        queues.forget(true, 85);
        queues.push(small(3), 10);
        queues.resize(true, 16, 100);
        assert_eq!(queues.next(), Some(main(1)));
        queues.forget(true, 100);
        assert_eq!(queues.next(), Some(small(3)), "nothing else is left");
    }

    #[test]
    fn an_entry_of_another_size_leaves_the_others_theirs() {
        let mut queues = Queues::default();
        queues.push(small(1), 10);
        queues.push(small(2), 8);
        queues.push(main(3), 80);
        queues.resize(false, 10, 7);
        assert_eq!(queues.next(), Some(small(1)), "15 of 95 bytes are more than its part");
    }

    #[test]
    fn sweeping_is_worth_it_when_more_were_left_behind_than_are_there() {
        let mut queues = Queues::default();
        (0..5).for_each(|hash| queues.push(small(hash), 1));
        (5..10).for_each(|hash| queues.push(main(hash), 1));
        for hash in 10..10 + CLUTTER_MIN as u64 + 10 {
            assert!(!queues.are_cluttered(), "with {hash} hashes");
            let turn = if hash % 2 == 0 { small(hash) } else { main(hash) };
            queues.push(turn, 1);
            queues.forget(turn.in_main, 1);
        }
        assert!(!queues.are_cluttered());
        queues.push(small(0), 1);
        queues.forget(false, 1);
        assert!(queues.are_cluttered());
        queues.sweep(|turn| turn.hash < 10);
        let turns: Vec<Turn> = std::iter::from_fn(|| queues.next()).collect();
        assert_eq!(turns.iter().filter(|turn| **turn == small(0)).count(), 1, "the one that came back has one turn");
        assert_eq!(turns.len(), 10);
    }

    #[test]
    fn what_is_left_behind_is_swept() {
        let mut queues = Queues::default();
        for hash in 0..200 {
            queues.push(small(hash), 1);
            if hash >= 10 {
                queues.forget(false, 1);
            }
        }
        assert!(queues.are_cluttered());
        queues.sweep(|turn| turn.hash < 10);
        assert!(!queues.are_cluttered());
        assert!((0..10).map(small).map(Some).eq((0..10).map(|_| queues.next())));
        assert_eq!(queues.next(), None);
    }
}
