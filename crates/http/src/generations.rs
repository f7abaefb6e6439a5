//! A map of bounded size that forgets what was not asked for in a while.
//!
//! *Decides*, does no IO. What was put or asked for is in the young half; when that is full it becomes the old half, and
//! what nobody has asked for since is dropped.

use std::{collections::HashMap, hash::Hash};

/// A map of at most so many entries.
#[derive(Debug)]
pub(crate) struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half_max: usize,
}

impl<K: Eq + Hash, V> Generations<K, V> {
    pub(crate) fn new(entries_max: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half_max: (entries_max / 2).max(1) }
    }

    /// What is there, without counting as asked for.
    pub(crate) fn peek(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// What is there, or what `make` makes.
    pub(crate) fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        if !self.young.contains_key(&key) && self.young.len() >= self.half_max {
            self.old = std::mem::take(&mut self.young);
        }
        let old = self.old.remove(&key);
        self.young.entry(key).or_insert_with(|| old.unwrap_or_else(make))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_no_more_than_so_many_do() {
        let mut map = Generations::new(8);
        for number in 0..1000 {
            *map.entry(number, || 0) += 1;
            *map.entry(-1, || 0) += 1;
            assert!(map.young.len() + map.old.len() <= 8);
        }
        assert_eq!((map.peek(&-1), map.peek(&999), map.peek(&1)), (Some(&1000), Some(&1), None));
    }
}
