//! Time: the simulated one, which moves when nothing else can, and each node's idea of it.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use unstale::{Timestamp, time::TimeSource};

/// What every node's clock shows, but for its skew, when a run begins: some day in 2027.
const BEGINNING_MS: i64 = 1_800_000_000_000;

/// A node's clock: the simulated time, with skew and drift, and it may jump.
#[derive(Debug)]
pub(crate) struct NodeClock {
    started: Instant,
    hands: Mutex<Hands>,
}

#[derive(Clone, Copy, Debug)]
struct Hands {
    /// When they were last set, in microseconds since the start.
    set_at_us: i64,
    showing_us: i64,
    drift_ppm: i64,
    jumped_back_at: Option<Instant>,
    jumped_ms: u64,
}

impl NodeClock {
    pub(crate) fn new(started: Instant, skew_ms: i64, drift_ppm: i64) -> Self {
        let showing_us = (BEGINNING_MS + skew_ms) * 1000;
        let hands = Hands { set_at_us: 0, showing_us, drift_ppm, jumped_back_at: None, jumped_ms: 0 };
        Self { started, hands: Mutex::new(hands) }
    }

    /// Sets the clock forward, or back.
    pub(crate) fn jump(&self, by_ms: i64) {
        let (now_us, showing_us) = (self.elapsed_us(), self.showing_us());
        let mut hands = self.hands.lock();
        hands.set_at_us = now_us;
        hands.showing_us = showing_us + by_ms * 1000;
        hands.jumped_ms += by_ms.unsigned_abs();
        if by_ms < 0 {
            hands.jumped_back_at = Some(Instant::now());
        }
    }

    /// Whether it was set back less than `within` ago.
    pub(crate) fn jumped_back(&self, within: Duration) -> bool {
        self.hands.lock().jumped_back_at.is_some_and(|at| at.elapsed() <= within)
    }

    /// By how much it was set forward and back, altogether.
    pub(crate) fn jumped(&self) -> Duration {
        Duration::from_millis(self.hands.lock().jumped_ms)
    }

    fn elapsed_us(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_micros()).expect("a run does not last for ages")
    }

    fn showing_us(&self) -> i64 {
        let now_us = self.elapsed_us();
        let hands = *self.hands.lock();
        let passed_us = now_us - hands.set_at_us;
        hands.showing_us + passed_us + passed_us * hands.drift_ppm / 1_000_000
    }
}

impl TimeSource for NodeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(u64::try_from(self.showing_us() / 1000).expect("no clock goes back to 1970"))
    }
}
