//! Which hits are noted: all while they are few, a share of them when they are many.
//!
//! A hit costs one load and one store of a counter that few threads share. The distance from one noted hit to the next is
//! drawn anew each time (evenly from 1 to `2 · mean − 1`), so that no rhythm of the readers' can hide from it, and each
//! noted hit stands for `mean` of them: sums are right on average.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// Places for threads; those beyond it share.
const PLACES: usize = 32;
/// Of so many hits, at least one is noted.
const MEAN_MAX: u32 = 1 << 20;

/// A counter alone on its cache line.
#[repr(align(128))]
#[derive(Default)]
struct Place {
    /// Hits until the next one that is noted.
    left: AtomicU32,
}

/// Draws the hits that are noted.
pub(crate) struct Sampling {
    places: [Place; PLACES],
    mean: AtomicU32,
}

thread_local! {
    static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
    static RANDOM: Cell<u32> = const { Cell::new(0x9E37_79B9) };
}

fn place() -> usize {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    PLACE.with(|place| {
        if place.get() == usize::MAX {
            let number = NEXT.fetch_add(1, Relaxed);
            place.set(number as usize % PLACES);
            RANDOM.with(|random| random.set(number.wrapping_mul(0x85EB_CA6B) | 1));
        }
        place.get()
    })
}

impl Sampling {
    pub(crate) fn new() -> Self {
        Self { places: [const { Place { left: AtomicU32::new(0) } }; PLACES], mean: AtomicU32::new(1) }
    }

    /// For how many hits this one stands; none if it is not noted.
    #[inline]
    pub(crate) fn draw(&self) -> Option<u32> {
        let left = &self.places[place()].left;
        let now = left.load(Relaxed);
        if now > 1 {
            // Two threads of one place may lose a step: then a hit more or less passes, and nothing else.
            left.store(now - 1, Relaxed);
            return None;
        }
        Some(self.drawn(left))
    }

    #[cold]
    fn drawn(&self, left: &AtomicU32) -> u32 {
        let mean = self.mean.load(Relaxed);
        left.store(distance(mean), Relaxed);
        mean
    }

    /// How many hits a noted one stands for.
    pub(crate) fn mean(&self) -> u32 {
        self.mean.load(Relaxed)
    }

    /// Sets for how many hits a noted one stands, from the next one on: distances that were drawn before are forgotten.
    pub(crate) fn set_mean(&self, mean: u32) {
        self.mean.store(mean.clamp(1, MEAN_MAX), Relaxed);
        self.places.iter().for_each(|place| place.left.store(0, Relaxed));
    }

    /// Notes half as many from now on, until it is adapted again.
    pub(crate) fn thin_out(&self) {
        self.mean.store(self.mean().saturating_mul(2).min(MEAN_MAX), Relaxed);
    }

    /// Sets the mean so that `hits` in a second would have given `wanted` notes.
    pub(crate) fn adapt(&self, hits: u64, wanted: u32) {
        let mean = hits / u64::from(wanted.max(1));
        self.mean.store(u32::try_from(mean).unwrap_or(MEAN_MAX).clamp(1, MEAN_MAX), Relaxed);
    }
}

fn distance(mean: u32) -> u32 {
    if mean == 1 {
        return 1;
    }
    RANDOM.with(|random| {
        // xorshift32
        let mut next = random.get();
        next ^= next << 13;
        next ^= next >> 17;
        next ^= next << 5;
        random.set(next);
        1 + next % (2 * mean - 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_they_are_few_every_hit_is_noted() {
        let sampling = Sampling::new();
        assert!((0..1000).all(|_| sampling.draw() == Some(1)));
        sampling.adapt(999, 1000);
        assert_eq!(sampling.mean(), 1);
    }

    #[test]
    fn sums_of_many_are_right_on_average_whatever_the_readers_rhythm() {
        let sampling = Sampling::new();
        sampling.adapt(100_000, 1000);
        let mut by_reader = [0u64; 4];
        for hit in 0..1_000_000 {
            by_reader[hit % 4] += u64::from(sampling.draw().unwrap_or(0));
        }
        for sum in by_reader {
            assert!((225_000..275_000).contains(&sum), "{by_reader:?}");
        }
    }

    #[test]
    fn a_mean_that_is_set_holds_from_the_next_hit_on() {
        let sampling = Sampling::new();
        sampling.set_mean(MEAN_MAX);
        sampling.draw();
        assert!((0..3).all(|_| sampling.draw().is_none()));
        sampling.set_mean(1);
        assert_eq!(sampling.draw(), Some(1));
    }

    #[test]
    fn it_goes_back_to_all_when_they_are_few_again() {
        let sampling = Sampling::new();
        sampling.adapt(u64::MAX, 1);
        assert_eq!(sampling.mean(), MEAN_MAX);
        sampling.adapt(10, 1000);
        // The distance drawn before is still walked: at most twice the mean.
        let first = (0..).find_map(|_| sampling.draw()).unwrap();
        assert_eq!(first, 1);
        assert!((0..10).all(|_| sampling.draw() == Some(1)));
    }
}
