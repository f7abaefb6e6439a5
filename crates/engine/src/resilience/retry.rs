//! Repeating what failed: how often, how soon, and for what share of all operations.
//!
//! *Decides*, does no IO. The **budget** is a token bucket: every operation puts a fraction of a token in, every
//! repetition takes one out. So when everything fails, the store is asked little more often than when nothing does,
//! and repeating cannot turn a slow store into a dead one.

use std::time::Duration;

use crate::time::Timestamp;

/// How operations are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryLimits {
    /// Attempts at one operation, the first included. 1 repeats nothing.
    pub attempts_max: u32,
    /// Repetitions allowed per hundred operations.
    pub budget_percent: u32,
    /// Repetitions allowed per second beside that: for a node that does little.
    pub budget_per_second: u32,
    /// Repetitions that may be saved up.
    pub budget_max: u32,
    /// The longest wait before the first repetition; it doubles with each further one. The wait itself is drawn
    /// between zero and that (full jitter).
    pub wait_first: Duration,
    /// The longest wait before any repetition.
    pub wait_max: Duration,
}

impl Default for RetryLimits {
    fn default() -> Self {
        Self {
            attempts_max: 3,
            budget_percent: 10,
            budget_per_second: 5,
            budget_max: 100,
            wait_first: Duration::from_millis(4),
            wait_max: Duration::from_millis(100),
        }
    }
}

/// How long to wait before attempt `failed + 1`, when `failed` attempts (at least one) have failed. `chance` is from
/// 0 to 1.
pub(crate) fn wait(first: Duration, max: Duration, failed: u32, chance: f64) -> Duration {
    let doublings = failed.saturating_sub(1).min(30);
    first.saturating_mul(1 << doublings).min(max).mul_f64(chance.clamp(0.0, 1.0))
}

/// Hundredths of a token, so that sums are exact.
type Hundredths = u64;
const TOKEN: Hundredths = 100;

/// How many repetitions are allowed at the moment.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: RetryLimits,
    held: Hundredths,
    filled_at: Timestamp,
}

impl Budget {
    /// A full one.
    pub(crate) fn new(limits: RetryLimits, now: Timestamp) -> Self {
        Self { limits, held: u64::from(limits.budget_max) * TOKEN, filled_at: now }
    }

    /// An operation begins.
    pub(crate) fn deposit(&mut self) {
        self.add(u64::from(self.limits.budget_percent));
    }

    /// Takes the right to repeat an operation, if there is one left.
    pub(crate) fn withdraw(&mut self, now: Timestamp) -> bool {
        let passed = u64::try_from(now.since(self.filled_at).as_millis()).unwrap_or(u64::MAX);
        let per_second = u64::from(self.limits.budget_per_second) * TOKEN;
        let gained = passed.saturating_mul(per_second) / 1000;
        if gained > 0 {
            self.add(gained);
            // What did not make up a hundredth yet is not lost.
            let spent = gained.saturating_mul(1000).div_ceil(per_second.max(1));
            self.filled_at = (self.filled_at + Duration::from_millis(spent)).min(now);
        }
        if self.held < TOKEN {
            return false;
        }
        self.held -= TOKEN;
        true
    }

    fn add(&mut self, amount: Hundredths) {
        self.held = self.held.saturating_add(amount).min(u64::from(self.limits.budget_max) * TOKEN);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_up_to_their_limit_and_chance_shortens_them() {
        let limits = RetryLimits::default();
        let wait = |failed, chance| wait(limits.wait_first, limits.wait_max, failed, chance).as_millis();
        assert_eq!([1, 2, 3, 4, 5, 6, 99].map(|failed| wait(failed, 1.0)), [4, 8, 16, 32, 64, 100, 100]);
        assert_eq!((wait(6, 0.0), wait(6, 0.5)), (0, 50));
    }

    #[test]
    fn what_was_saved_is_spent_and_comes_back_with_time_and_with_operations() {
        let limits = RetryLimits { budget_max: 3, budget_per_second: 2, budget_percent: 10, ..RetryLimits::default() };
        let at = Timestamp::from_millis;
        let mut budget = Budget::new(limits, at(0));
        assert_eq!([0; 4].map(|now| budget.withdraw(at(now))), [true, true, true, false]);
        assert!(!budget.withdraw(at(499)) && budget.withdraw(at(500)) && !budget.withdraw(at(501)));
        (0..9).for_each(|_| budget.deposit());
        assert!(!budget.withdraw(at(501)));
        budget.deposit();
        assert!(budget.withdraw(at(501)));
        assert_eq!([0; 4].map(|_| budget.withdraw(at(3_600_000))), [true, true, true, false], "no more than the limit");
    }

    #[test]
    fn a_clock_that_goes_back_and_forth_saves_nothing() {
        let limits = RetryLimits { budget_max: 1, budget_per_second: 1, ..RetryLimits::default() };
        let at = Timestamp::from_millis;
        let mut budget = Budget::new(limits, at(10_000));
        assert_eq!([10_000, 0, 10_000, 11_000].map(|now| budget.withdraw(at(now))), [true, false, false, true]);
    }

    proptest! {
        /// However operations and failures fall: repetitions ≤ what was saved + the share + the rate.
        #[test]
        fn repetitions_stay_within_their_share(
            steps in proptest::collection::vec((any::<bool>(), 0..50u64), 0..400),
            budget_percent in 0..50u32,
            budget_per_second in 0..20u32,
            budget_max in 0..20u32,
        ) {
            let limits = RetryLimits { budget_percent, budget_per_second, budget_max, ..RetryLimits::default() };
            let mut budget = Budget::new(limits, Timestamp::from_millis(0));
            let (mut now, mut operations, mut repeated) = (0, 0, 0);
            for (is_operation, millis) in steps {
                now += millis;
                if is_operation {
                    operations += 1;
                    budget.deposit();
                } else if budget.withdraw(Timestamp::from_millis(now)) {
                    repeated += 1;
                }
                let hundredths = u64::from(budget_max) * 100 + operations * u64::from(budget_percent)
                    + now * u64::from(budget_per_second) / 10;
                prop_assert!(repeated * 100 <= hundredths, "{} repetitions", repeated);
            }
        }
    }
}
