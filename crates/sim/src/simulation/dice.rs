//! Chance, all of it from the run's seed.

use std::{ops::Range, time::Duration};

use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _, distr::uniform::SampleUniform, rngs::StdRng};

/// Dice of one part of the simulation. Each part has its own, so that what one part does more or less often does not
/// change the luck of the others.
#[derive(Debug)]
pub(crate) struct Dice(Mutex<StdRng>);

impl Dice {
    /// The dice that `part` of the run with this seed throws.
    pub(crate) fn new(seed: u64, part: u64) -> Self {
        // Seeds and parts are small and alike: mixed (splitmix64), so that their dice are not.
        let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ part.wrapping_mul(0xd1b5_4a32_d192_ed03);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self(Mutex::new(StdRng::seed_from_u64(mixed ^ (mixed >> 31))))
    }

    pub(crate) fn pick<T: SampleUniform + PartialOrd>(&self, range: Range<T>) -> T {
        self.0.lock().random_range(range)
    }

    /// True in `percent` of a hundred throws.
    pub(crate) fn percent(&self, percent: u32) -> bool {
        percent > 0 && self.pick(0..100) < percent
    }

    pub(crate) fn number(&self) -> u64 {
        self.0.lock().random()
    }

    pub(crate) fn millis(&self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.pick(range))
    }

    /// One of several.
    pub(crate) fn one<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.pick(0..of.len())]
    }
}
