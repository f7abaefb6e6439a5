//! What is known of keys and not written yet. *Decides*.

use std::collections::{HashMap, hash_map::Entry};

use chrono::{DateTime, Utc};
use unstale::{RawKey, Timestamp};

/// Something that concerns a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access {
    /// It was read so often.
    Read { count: u64, at: DateTime<Utc> },
    /// It was loaded and kept.
    Kept { at: DateTime<Utc>, expires_at: Timestamp },
}

/// What is known of one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Noted {
    pub(crate) kept: Option<(DateTime<Utc>, Timestamp)>,
    pub(crate) reads: u64,
    pub(crate) last_read: Option<DateTime<Utc>>,
}

/// What is known of all keys.
#[derive(Debug)]
pub(crate) struct Accesses {
    by_key: HashMap<RawKey, Noted>,
    keys_max: usize,
    dropped: u64,
}

impl Noted {
    fn add(&mut self, access: Access) {
        match access {
            Access::Read { count, at } => {
                self.reads += count;
                self.last_read = self.last_read.max(Some(at));
            }
            Access::Kept { at, expires_at } => self.kept = self.kept.max(Some((at, expires_at))),
        }
    }

    fn merge(&mut self, other: Self) {
        self.kept = self.kept.max(other.kept);
        self.reads += other.reads;
        self.last_read = self.last_read.max(other.last_read);
    }
}

impl Accesses {
    pub(crate) fn new(keys_max: usize) -> Self {
        Self { by_key: HashMap::new(), keys_max, dropped: 0 }
    }

    pub(crate) fn add(&mut self, key: &RawKey, access: Access) {
        if let Some(noted) = self.place(key) {
            noted.add(access);
        }
    }

    /// Everything, to be written.
    pub(crate) fn take(&mut self) -> Vec<(RawKey, Noted)> {
        std::mem::take(&mut self.by_key).into_iter().collect()
    }

    /// What could not be written.
    pub(crate) fn give_back(&mut self, all: Vec<(RawKey, Noted)>) {
        for (key, noted) in all {
            if let Some(place) = self.place(&key) {
                place.merge(noted);
            }
        }
    }

    /// Keys that found no place, from the start on.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn place(&mut self, key: &RawKey) -> Option<&mut Noted> {
        let is_full = self.by_key.len() >= self.keys_max;
        match self.by_key.entry(key.clone()) {
            Entry::Occupied(held) => Some(held.into_mut()),
            Entry::Vacant(free) if !is_full => Some(free.insert(Noted::default())),
            Entry::Vacant(_) => {
                self.dropped += 1;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use unstale::Tenant;

    use super::*;

    unstale::catalogue! {
        /// Of these tests.
        const _PATTERNS;
        /// A flow.
        fn flow(id) -> String = "flow";
    }

    fn key(id: u32) -> RawKey {
        flow(&Tenant::new("acme").unwrap(), id).raw().clone()
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn reads_add_up_and_the_last_load_counts() {
        let mut accesses = Accesses::new(10);
        let kept = |seconds| Access::Kept { at: at(seconds), expires_at: Timestamp::from_millis(1) };
        for access in [kept(5), Access::Read { count: 3, at: at(7) }, Access::Read { count: 1, at: at(6) }, kept(4)] {
            accesses.add(&key(1), access);
        }
        let first = accesses.take();
        let expected = Noted { kept: Some((at(5), Timestamp::from_millis(1))), reads: 4, last_read: Some(at(7)) };
        assert_eq!(first, [(key(1), expected)]);
        // It could not be written, and more came meanwhile.
        accesses.add(&key(1), Access::Read { count: 1, at: at(9) });
        accesses.give_back(first);
        assert_eq!(accesses.take(), [(key(1), Noted { reads: 5, last_read: Some(at(9)), ..expected })]);
    }

    #[test]
    fn keys_beyond_the_limit_are_counted_and_known_ones_are_not_lost() {
        let mut accesses = Accesses::new(1);
        for id in [1, 2, 1] {
            accesses.add(&key(id), Access::Read { count: 1, at: at(1) });
        }
        assert_eq!((accesses.dropped(), accesses.take()[0].1.reads), (1, 2));
    }
}
