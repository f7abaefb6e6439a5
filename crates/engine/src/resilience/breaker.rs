//! The circuit breaker: a store that fails again and again is not asked for a while.
//!
//! *Decides*, does no IO: time and chance are arguments.
//!
//! ```text
//! Closed ── failures_max in a row ──▶ Open ── open_for (or a sign of life) ──▶ HalfOpen
//!   ▲                                  ▲                                          │
//!   │                                  └──────────────── a probe fails ───────────┤
//!   └─────────────────────────────────── successes_min probes succeed ────────────┘
//! ```
//!
//! # Invariants
//! - While it is open, nothing passes.
//! - While it is half-open, at most `probes_max` operations are under way that passed in this state.
//! - The outcome of an operation counts only in the state in which it was let through: an answer that comes late
//!   neither closes a breaker that opened meanwhile nor opens one that closed.

use std::time::Duration;

use crate::time::Timestamp;

/// When a breaker opens, and how it closes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerLimits {
    /// Failures in a row that open it. At least 1.
    pub failures_max: u32,
    /// How long it stays open before a probe is let through.
    pub open_for: Duration,
    /// How much longer, at most and by chance, in percent of `open_for`: the nodes of a fleet, whose breakers opened
    /// together, must not probe together.
    pub jitter_percent: u32,
    /// How long it stays open although the store gave a sign of life (its log was heard to move, or its wake-up
    /// channel was connected again).
    pub sign_of_life_after: Duration,
    /// Probes under way at once while it is half-open. At least 1.
    pub probes_max: u32,
    /// Probes that must succeed before it closes. At least 1.
    pub successes_min: u32,
}

impl Default for BreakerLimits {
    fn default() -> Self {
        Self {
            failures_max: 5,
            open_for: Duration::from_secs(60),
            jitter_percent: 10,
            sign_of_life_after: Duration::from_secs(1),
            probes_max: 2,
            successes_min: 1,
        }
    }
}

/// What a breaker does with operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// It lets them through.
    Closed,
    /// It refuses them.
    Open,
    /// It lets a few through, to see.
    HalfOpen,
}

impl BreakerState {
    /// The state as a short stable word, for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// The leave to run one operation; what becomes of it must be told to the breaker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Permit {
    /// The life of the state in which it was given.
    life: u64,
}

/// Why an operation that was let through never finds the breaker open and in the same life.
const OPEN: &str = "an open breaker lets nothing through";

/// One breaker.
#[derive(Debug)]
pub(crate) struct Breaker {
    limits: BreakerLimits,
    /// Changes with every change of state.
    life: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Closed { failures: u32 },
    Open { since: Timestamp, until: Timestamp },
    HalfOpen { under_way: u32, successes: u32 },
}

#[allow(clippy::needless_pass_by_value, reason = "what became of an operation is told once")]
impl Breaker {
    pub(crate) fn new(limits: BreakerLimits) -> Self {
        Self { limits, life: 0, state: State::Closed { failures: 0 } }
    }

    pub(crate) fn state(&self) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Whether an operation may run at `now`; none if it may not. `alive`: a sign of life was seen since it opened.
    pub(crate) fn ask(&mut self, now: Timestamp, alive: bool) -> Option<Permit> {
        if let State::Open { since, until } = &mut self.state
            && now < *since
        {
            // The clock was set back: it waits as long as it would have, but by the new time.
            (*since, *until) = (now, now + until.since(*since));
        }
        if let State::Open { since, until } = self.state
            && (now >= until || (alive && now.since(since) >= self.limits.sign_of_life_after))
        {
            self.change(State::HalfOpen { under_way: 0, successes: 0 });
        }
        match &mut self.state {
            State::Closed { .. } => {}
            State::Open { .. } => return None,
            State::HalfOpen { under_way, .. } if *under_way >= self.limits.probes_max.max(1) => return None,
            State::HalfOpen { under_way, .. } => *under_way += 1,
        }
        Some(Permit { life: self.life })
    }

    /// The operation did what it should, or the store refused it for a good reason.
    pub(crate) fn succeeded(&mut self, permit: Permit) {
        if permit.life != self.life {
            return;
        }
        match &mut self.state {
            State::Closed { failures } => *failures = 0,
            State::Open { .. } => unreachable!("{OPEN}"),
            State::HalfOpen { under_way, successes } => {
                *under_way -= 1;
                *successes += 1;
                if *successes >= self.limits.successes_min {
                    self.change(State::Closed { failures: 0 });
                }
            }
        }
    }

    /// The store did not answer. `chance`, from 0 to 1, draws the jitter should this open the breaker.
    pub(crate) fn failed(&mut self, permit: Permit, now: Timestamp, chance: f64) {
        if permit.life != self.life {
            return;
        }
        match &mut self.state {
            State::Closed { failures } => {
                *failures += 1;
                if *failures < self.limits.failures_max {
                    return;
                }
            }
            State::Open { .. } => unreachable!("{OPEN}"),
            State::HalfOpen { .. } => {}
        }
        let jitter =
            self.limits.open_for.mul_f64(f64::from(self.limits.jitter_percent) / 100.0 * chance.clamp(0.0, 1.0));
        self.change(State::Open { since: now, until: now + self.limits.open_for.saturating_add(jitter) });
    }

    /// Whoever wanted the answer went away before it came: nothing was learnt.
    pub(crate) fn abandoned(&mut self, permit: Permit) {
        if permit.life == self.life
            && let State::HalfOpen { under_way, .. } = &mut self.state
        {
            *under_way -= 1;
        }
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.life += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn limits() -> BreakerLimits {
        BreakerLimits { jitter_percent: 0, ..BreakerLimits::default() }
    }

    fn opened(limits: BreakerLimits) -> Breaker {
        let mut breaker = Breaker::new(limits);
        for _ in 0..limits.failures_max {
            let permit = breaker.ask(at(0), false).unwrap();
            breaker.failed(permit, at(0), 1.0);
        }
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it_for_a_minute() {
        let mut breaker = Breaker::new(limits());
        for failure in 0..9 {
            assert_eq!(breaker.state(), BreakerState::Closed, "after {failure} failures");
            let permit = breaker.ask(at(0), false).unwrap();
            // The fifth operation succeeds: the count begins anew.
            if failure == 4 { breaker.succeeded(permit) } else { breaker.failed(permit, at(0), 0.0) }
        }
        let permit = breaker.ask(at(0), false).unwrap();
        breaker.failed(permit, at(0), 0.0);
        assert_eq!(breaker.state(), BreakerState::Open);
        assert_eq!(breaker.ask(at(59_999), false), None);
        assert!(breaker.ask(at(60_000), false).is_some());
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
    }

    #[test]
    fn half_open_lets_few_through_and_the_first_answer_decides() {
        let mut breaker = opened(limits());
        let one = breaker.ask(at(60_000), false).unwrap();
        let two = breaker.ask(at(60_000), false).unwrap();
        assert_eq!(breaker.ask(at(60_000), false), None, "no more than two probes at once");
        breaker.abandoned(one);
        let three = breaker.ask(at(60_000), false).expect("the place of the one that went away");
        breaker.failed(two, at(60_001), 0.0);
        assert_eq!(breaker.state(), BreakerState::Open);
        breaker.succeeded(three);
        assert_eq!(breaker.state(), BreakerState::Open, "an answer of the state before says nothing");
        let four = breaker.ask(at(120_001), false).unwrap();
        breaker.succeeded(four);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_late_failure_does_not_open_it_again() {
        let mut breaker = Breaker::new(limits());
        let late: Vec<Permit> = (0..9).map(|_| breaker.ask(at(0), false).unwrap()).collect();
        let mut late = late.into_iter();
        for _ in 0..5 {
            breaker.failed(late.next().unwrap(), at(0), 0.0);
        }
        let probe = breaker.ask(at(60_000), false).unwrap();
        breaker.succeeded(probe);
        late.for_each(|permit| breaker.failed(permit, at(60_001), 0.0));
        assert_eq!(breaker.state(), BreakerState::Closed);
        let permit = breaker.ask(at(60_001), false).unwrap();
        breaker.failed(permit, at(60_001), 0.0);
        assert_eq!(breaker.state(), BreakerState::Closed, "none of the late failures was counted");
    }

    #[test]
    fn several_probes_may_have_to_succeed() {
        let mut breaker = opened(BreakerLimits { successes_min: 3, ..limits() });
        for succeeded in 0..3 {
            let permit = breaker.ask(at(60_000), false).expect("those that ended make room for others");
            assert_eq!(breaker.state(), BreakerState::HalfOpen, "after {succeeded} successes");
            breaker.succeeded(permit);
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert_eq!(
            [BreakerState::Closed, BreakerState::Open, BreakerState::HalfOpen].map(BreakerState::as_str),
            ["closed", "open", "half-open"]
        );
    }

    #[test]
    fn a_limit_of_no_probes_is_one_of_one() {
        let mut breaker = opened(BreakerLimits { probes_max: 0, ..limits() });
        let probe = breaker.ask(at(60_000), false).expect("else it would stay open for ever");
        assert_eq!(breaker.ask(at(60_000), false), None);
        breaker.succeeded(probe);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_sign_of_life_shortens_the_wait_but_not_to_nothing() {
        let mut breaker = opened(limits());
        assert_eq!(breaker.ask(at(999), true), None);
        assert_eq!(breaker.ask(at(1_000), false), None);
        assert!(breaker.ask(at(1_000), true).is_some());
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_keep_it_open_for_longer() {
        let mut breaker = Breaker::new(limits());
        for _ in 0..5 {
            let permit = breaker.ask(at(3_600_000), false).unwrap();
            breaker.failed(permit, at(3_600_000), 0.0);
        }
        assert_eq!(breaker.ask(at(1_000), true), None, "nobody knows how long it has been open");
        assert_eq!(breaker.ask(at(1_999), true), None);
        assert_eq!(breaker.ask(at(60_999), false), None);
        assert!(breaker.ask(at(61_000), false).is_some(), "and not only in an hour");
    }

    #[test]
    fn chance_lengthens_the_wait_within_its_share() {
        let jittery = BreakerLimits { jitter_percent: 10, ..limits() };
        assert_eq!(opened(jittery).ask(at(65_999), false), None);
        assert!(opened(jittery).ask(at(66_000), false).is_some());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Ask {
            alive: bool,
        },
        /// Of the operations under way, one ends.
        End {
            which: usize,
            how: u8,
        },
        Wait(u64),
    }

    /// The same in plain words: a list of what happened, looked through again each time.
    #[derive(Default)]
    struct Reference {
        failures_in_a_row: u32,
        opened_at: Option<u64>,
        probing: Option<Vec<usize>>,
        counting_since: usize,
        asked: usize,
    }

    impl Reference {
        fn ask(&mut self, now: u64, alive: bool, limits: &BreakerLimits) -> Option<usize> {
            let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap();
            if let Some(opened_at) = self.opened_at {
                let waited = now - opened_at;
                let due = waited >= millis(limits.open_for) || (alive && waited >= millis(limits.sign_of_life_after));
                if !due {
                    return None;
                }
                self.opened_at = None;
                self.probing = Some(Vec::new());
            }
            let number = self.asked;
            if let Some(probing) = &mut self.probing {
                if probing.len() >= usize::try_from(limits.probes_max).unwrap() {
                    return None;
                }
                probing.push(number);
            }
            self.asked += 1;
            Some(number)
        }

        fn end(&mut self, number: usize, how: u8, now: u64, limits: &BreakerLimits) {
            if let Some(probing) = &mut self.probing {
                let Some(place) = probing.iter().position(|probe| *probe == number) else { return };
                probing.remove(place);
                match how {
                    0 => {
                        self.probing = None;
                        self.failures_in_a_row = 0;
                        self.counting_since = self.asked;
                    }
                    1 => {
                        self.probing = None;
                        self.opened_at = Some(now);
                    }
                    _ => {}
                }
            } else if self.opened_at.is_none() && number >= self.counting_since {
                match how {
                    0 => self.failures_in_a_row = 0,
                    1 => self.failures_in_a_row += 1,
                    _ => {}
                }
                if self.failures_in_a_row >= limits.failures_max {
                    self.opened_at = Some(now);
                }
            }
        }

        fn state(&self) -> BreakerState {
            match (self.opened_at, &self.probing) {
                (Some(_), _) => BreakerState::Open,
                (None, Some(_)) => BreakerState::HalfOpen,
                (None, None) => BreakerState::Closed,
            }
        }
    }

    proptest! {
        #[test]
        fn it_does_what_the_plain_words_say(
            steps in proptest::collection::vec(
                prop_oneof![
                    4 => any::<bool>().prop_map(|alive| Step::Ask { alive }),
                    4 => (any::<usize>(), 0..3u8).prop_map(|(which, how)| Step::End { which, how }),
                    1 => (0..2_500u64).prop_map(Step::Wait),
                ],
                0..200,
            ),
            failures_max in 1..4u32,
            probes_max in 1..4u32,
        ) {
            let limits = BreakerLimits {
                failures_max, probes_max, open_for: Duration::from_secs(4), jitter_percent: 0, ..limits()
            };
            let (mut breaker, mut reference) = (Breaker::new(limits), Reference::default());
            let (mut under_way, mut now) = (Vec::new(), 0);
            for step in steps {
                match step {
                    Step::Ask { alive } => {
                        let (permit, number) = (breaker.ask(at(now), alive), reference.ask(now, alive, &limits));
                        prop_assert_eq!(permit.is_some(), number.is_some());
                        under_way.extend(permit.zip(number));
                    }
                    Step::End { which, how } if !under_way.is_empty() => {
                        let (permit, number) = under_way.swap_remove(which % under_way.len());
                        match how {
                            0 => breaker.succeeded(permit),
                            1 => breaker.failed(permit, at(now), 0.5),
                            _ => breaker.abandoned(permit),
                        }
                        reference.end(number, how, now, &limits);
                    }
                    Step::End { .. } => {}
                    Step::Wait(millis) => now += millis,
                }
                prop_assert_eq!(breaker.state(), reference.state());
            }
        }
    }
}
