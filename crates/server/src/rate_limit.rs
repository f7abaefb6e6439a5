//! Limiting attempts: so many in a window per key, for sign-in and the like.
//!
//! *Decides*, does no IO: time is an argument. A key that is refused is told when to come again.
//!
//! # Invariants
//! - Between any two moments a window apart, a key gets at most `attempts_max` attempts (a sliding log, exact: the
//!   times of the last attempts are kept).
//! - No more than `keys_max` keys are held. When all places are taken by keys within their window, the key whose
//!   last attempt is oldest gives way: a flood of keys can make the limiter forget, never grow.
//!
//! It does not know addresses, users or passwords: a key is any text, and only its hash is kept.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use parking_lot::Mutex;
use unstale::Timestamp;

/// What an [`AttemptLimiter`] allows and holds.
#[derive(Clone, Copy, Debug)]
pub struct AttemptLimits {
    /// Attempts of one key within the window.
    pub attempts_max: usize,
    /// The window.
    pub window: Duration,
    /// Keys held.
    pub keys_max: usize,
}

impl Default for AttemptLimits {
    /// Ten attempts in five minutes, 50,000 keys.
    fn default() -> Self {
        Self { attempts_max: 10, window: Duration::from_secs(300), keys_max: 50_000 }
    }
}

/// Too many attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts; try again in {} s", retry_after.as_secs().max(1))]
pub struct TooManyAttempts {
    /// When the next attempt is allowed.
    pub retry_after: Duration,
}

/// Counts attempts by key.
#[derive(Debug)]
pub struct AttemptLimiter {
    limits: AttemptLimits,
    hasher: RandomState,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    attempts: HashMap<u64, VecDeque<Timestamp>>,
    /// Keys by their last attempt: the first is the next to go.
    by_age: BTreeSet<(Timestamp, u64)>,
}

impl AttemptLimiter {
    /// A limiter that has seen nothing.
    pub fn new(limits: AttemptLimits) -> Self {
        Self { limits, hasher: RandomState::new(), held: Mutex::default() }
    }

    /// Counts an attempt of `key` at `now`, unless there were too many; a refused attempt does not count.
    pub fn attempt(&self, key: &str, now: Timestamp) -> Result<(), TooManyAttempts> {
        let key = self.hasher.hash_one(key);
        let mut held = self.held.lock();
        held.forget_before(now, self.limits.window);
        let attempts = held.attempts.entry(key).or_default();
        let last = attempts.back().copied();
        while attempts.front().is_some_and(|oldest| *oldest + self.limits.window <= now) {
            attempts.pop_front();
        }
        if attempts.len() >= self.limits.attempts_max {
            let oldest = attempts.front().copied().unwrap_or(now);
            return Err(TooManyAttempts { retry_after: (oldest + self.limits.window).since(now) });
        }
        attempts.push_back(now);
        if let Some(last) = last {
            held.by_age.remove(&(last, key));
        }
        held.by_age.insert((now, key));
        if held.attempts.len() > self.limits.keys_max {
            held.forget_oldest();
        }
        Ok(())
    }

    /// Forgets the attempts of `key`, after one that succeeded.
    pub fn forgive(&self, key: &str) {
        let key = self.hasher.hash_one(key);
        let mut held = self.held.lock();
        if let Some(last) = held.attempts.remove(&key).and_then(|attempts| attempts.back().copied()) {
            held.by_age.remove(&(last, key));
        }
    }

    /// Keys held.
    pub fn len(&self) -> usize {
        self.held.lock().attempts.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Held {
    fn forget_before(&mut self, now: Timestamp, window: Duration) {
        while let Some((last, _)) = self.by_age.first()
            && *last + window <= now
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.by_age.pop_first() {
            self.attempts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn limiter(keys_max: usize) -> AttemptLimiter {
        AttemptLimiter::new(AttemptLimits { attempts_max: 3, window: Duration::from_secs(60), keys_max })
    }

    #[test]
    fn refuses_the_attempt_after_the_last_and_says_when_to_come_again() {
        let limiter = limiter(10);
        for second in [0, 10, 20] {
            limiter.attempt("ada", at(second)).unwrap();
        }
        assert_eq!(limiter.attempt("ada", at(30)), Err(TooManyAttempts { retry_after: Duration::from_secs(30) }));
        limiter.attempt("bob", at(30)).unwrap();
    }

    #[test]
    fn the_window_slides() {
        let limiter = limiter(10);
        for second in [0, 50, 55] {
            limiter.attempt("ada", at(second)).unwrap();
        }
        limiter.attempt("ada", at(60)).unwrap();
        assert_eq!(limiter.attempt("ada", at(61)), Err(TooManyAttempts { retry_after: Duration::from_secs(49) }));
    }

    #[test]
    fn success_forgives() {
        let limiter = limiter(10);
        (0..3).for_each(|second| limiter.attempt("ada", at(second)).unwrap());
        limiter.forgive("ada");
        assert!(limiter.is_empty());
        limiter.attempt("ada", at(3)).unwrap();
    }

    #[test]
    fn a_flood_of_keys_is_bounded_and_what_is_over_is_forgotten() {
        let limiter = limiter(100);
        for number in 0..10_000 {
            limiter.attempt(&format!("key{number}"), at(number / 1000)).unwrap();
        }
        assert_eq!(limiter.len(), 100);
        limiter.attempt("late", at(1000)).unwrap();
        assert_eq!(limiter.len(), 1);
    }
}
