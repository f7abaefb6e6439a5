//! Chance, by seed and without a state: a draw is a hash of the seed and of what it decides.
//!
//! So a hit that draws writes to nothing that cores share, and a run with the same seed and the same times draws the
//! same. Nodes should have different seeds, or they all decide alike.

/// Where draws come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Random {
    seed: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// A number above 0 and at most 1, the same for the same `what` and `when`.
    #[allow(clippy::cast_precision_loss, reason = "53 bits are kept")]
    pub(crate) fn unit(self, what: u64, when: u64) -> f64 {
        let bits = mixed(mixed(self.seed ^ what).wrapping_add(when)) >> 11;
        (bits + 1) as f64 / (1_u64 << 53) as f64
    }
}

/// `SplitMix64`'s output function (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014).
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_repeat_by_seed_and_spread_evenly() {
        let draws = |seed| (0..10_000).map(move |when| Random::new(seed).unit(7, when));
        assert!(draws(1).eq(draws(1)) && !draws(1).eq(draws(2)));
        assert!(draws(3).all(|draw| 0.0 < draw && draw <= 1.0));
        let below = draws(3).filter(|draw| *draw < 0.25).count();
        assert!((2_300..2_700).contains(&below), "{below} of 10,000 in the first quarter");
    }
}
