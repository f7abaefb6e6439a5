//! Ghosts: what remains of entries that were evicted before they were used a second time. A key that comes back while
//! its ghost is here was evicted too early, and goes straight to the main queue.
//!
//! Approximate, in two bytes each: a false ghost (one in 8,000 look-ups) costs a place in the main queue for one round.

/// Ghosts of one bucket, the newest first.
const WAYS: usize = 8;

#[derive(Default)]
pub(super) struct Ghosts {
    buckets: Vec<[u16; WAYS]>,
}

impl Ghosts {
    /// Remembers an evicted key; as many as there are `entries` altogether.
    pub(super) fn add(&mut self, stable_hash: u64, entries: usize) {
        self.fit(entries);
        let (at, mark) = self.place(stable_hash);
        let bucket = &mut self.buckets[at];
        bucket.copy_within(..WAYS - 1, 1);
        bucket[0] = mark;
    }

    /// Whether the key's ghost is here; takes it away.
    pub(super) fn take(&mut self, stable_hash: u64) -> bool {
        if self.buckets.is_empty() {
            return false;
        }
        let (at, mark) = self.place(stable_hash);
        let bucket = &mut self.buckets[at];
        let Some(found) = bucket.iter().position(|held| *held == mark) else { return false };
        bucket.copy_within(found + 1.., found);
        bucket[WAYS - 1] = 0;
        true
    }

    /// Begins anew, without ghosts, when the number of entries is no longer what it was sized for. Rare: while memory
    /// is full the number hardly changes.
    fn fit(&mut self, entries: usize) {
        let held = self.buckets.len() * WAYS;
        if held == 0 || entries > held * 2 || entries < held / 4 {
            self.buckets = vec![[0; WAYS]; entries.div_ceil(WAYS).max(1)];
        }
    }

    fn place(&self, stable_hash: u64) -> (usize, u16) {
        let low = stable_hash & 0xFFFF_FFFF;
        #[allow(clippy::cast_possible_truncation, reason = "below the number of buckets; the mark's bits are wanted")]
        let (at, mark) = (((low * self.buckets.len() as u64) >> 32) as usize, (stable_hash >> 32) as u16);
        (at, mark.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u64) -> u64 {
        crate::hash::fields(&[&number.to_le_bytes()])
    }

    #[test]
    fn ghosts_stay_while_the_number_of_entries_is_about_what_it_was() {
        let remembers = |first: usize, then: usize| {
            let mut ghosts = Ghosts::default();
            ghosts.add(hash(1), first);
            ghosts.add(hash(2), then);
            assert!(ghosts.take(hash(2)));
            ghosts.take(hash(1))
        };
        assert!(remembers(800, 800) && remembers(800, 1600) && remembers(800, 200));
        assert!(!remembers(800, 1601) && !remembers(800, 199));
        assert!(remembers(0, 2), "without any entries there is room for some");
    }

    #[test]
    fn the_newest_are_remembered_once_and_the_oldest_forgotten() {
        let mut ghosts = Ghosts::default();
        assert!(!ghosts.take(hash(1)));
        (0..10_000).for_each(|number| ghosts.add(hash(number), 1000));
        let newest = (9_700..10_000).filter(|number| ghosts.take(hash(*number))).count();
        assert!(newest > 290, "{newest} of the newest 300 are remembered");
        let again = (9_700..10_000).filter(|number| ghosts.take(hash(*number))).count();
        let oldest = (0..1000).filter(|number| ghosts.take(hash(*number))).count();
        assert!(again + oldest < 10, "{again} remembered twice, {oldest} of the oldest");
    }
}
