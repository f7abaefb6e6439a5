//! Counts distinct values in bounded memory.
//!
//! The k smallest hashes are kept: up to k values the count is exact, above it their density on the
//! number line tells how many there are, within about 3 % for k = 1024. Hashing is not seeded, so
//! the same file gives the same count.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hasher},
};

const KEPT: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Distinct {
    smallest: BTreeSet<u64>,
}

impl Distinct {
    pub(super) fn observe(&mut self, value: &str) {
        let mut hasher = DefaultHasher::new();
        hasher.write(value.as_bytes());
        let hash = hasher.finish();
        if self.smallest.len() < KEPT {
            self.smallest.insert(hash);
        } else if self.smallest.last().is_some_and(|&largest| hash < largest) && self.smallest.insert(hash) {
            self.smallest.pop_last();
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate, positive and far below 2^52"
    )]
    pub(super) fn estimate(&self) -> u64 {
        match self.smallest.last() {
            Some(&largest) if self.smallest.len() == KEPT => {
                let covered = largest as f64 / u64::MAX as f64;
                ((KEPT - 1) as f64 / covered).round() as u64
            }
            _ => self.smallest.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(distinct: u32, repeats: u32) -> u64 {
        let mut counter = Distinct::default();
        for _ in 0..repeats {
            for number in 0..distinct {
                counter.observe(&format!("server-{number}"));
            }
        }
        counter.estimate()
    }

    #[test]
    fn few_values_are_counted_exactly() {
        assert_eq!(estimate(0, 1), 0);
        assert_eq!(estimate(7, 100), 7);
        assert_eq!(estimate(1000, 2), 1000);
    }

    #[test]
    fn many_values_are_estimated_within_a_tenth() {
        let got = estimate(50_000, 2);
        assert!((45_000..=55_000).contains(&got), "{got}");
    }
}
