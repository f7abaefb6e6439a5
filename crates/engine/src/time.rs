//! Time as a value, and where it comes from.
//!
//! Nothing is ordered by time (positions do that); time only bounds how long a value may be used. So a clock that
//! ticks in milliseconds is enough, and a skewed one cannot make a read incoherent.

use std::{
    fmt,
    ops::{Add, Sub},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A moment: milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The far future: never reached.
    pub const NEVER: Self = Self(u64::MAX);

    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it is still to come.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    /// Earlier by `duration`, at least the Unix epoch.
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Later by `duration`, at most [`Timestamp::NEVER`].
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Where the cache reads the time; a test or a simulation brings its own.
///
/// It should not go back. If it does, views of the log are confirmed anew before they are used, and those that
/// were confirmed before may seem younger than they are until then, by as much as it went back.
pub trait TimeSource: Send + Sync + fmt::Debug + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The system's time, to some milliseconds: the wall clock when the process started, moved on by the coarse
/// monotonic clock, which costs 5 ns instead of 20 and never goes back.
#[derive(Debug)]
pub struct SystemTimeSource {
    started_at: Timestamp,
    started: coarsetime::Instant,
}

impl Default for SystemTimeSource {
    fn default() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started_at: Timestamp::default() + wall, started: coarsetime::Instant::now() }
    }
}

impl TimeSource for SystemTimeSource {
    fn now(&self) -> Timestamp {
        // `Instant::now` also writes what it read to a place that all threads share, which nobody here reads: each hit
        // would take that cache line from the other cores.
        let now = coarsetime::Instant::now_without_cache_update();
        Timestamp(self.started_at.0 + now.duration_since(self.started).as_millis())
    }
}

/// A clock that stands until it is told to go on.
#[derive(Debug, Default)]
pub struct ManualTime(AtomicU64);

impl ManualTime {
    /// Goes on by `duration`.
    pub fn advance(&self, duration: Duration) {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.0.fetch_add(millis, Ordering::AcqRel);
    }
}

impl TimeSource for ManualTime {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_stops_at_never_and_the_past_is_zero() {
        assert_eq!(Timestamp::NEVER + Duration::MAX, Timestamp::NEVER);
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
        assert_eq!((Timestamp(5) + Duration::from_millis(4)).since(Timestamp(5)), Duration::from_millis(4));
    }

    #[test]
    fn the_system_time_is_the_wall_clock_to_a_second() {
        let wall = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
        let ours = SystemTimeSource::default().now().as_millis();
        assert!(ours.abs_diff(wall) < 60_000, "{ours} is not near {wall}");
    }

    #[test]
    fn subtracting_stops_at_the_epoch() {
        assert_eq!(Timestamp(5) - Duration::from_millis(2), Timestamp(3));
        assert_eq!(Timestamp(5) - Duration::from_millis(6), Timestamp(0));
        assert_eq!(Timestamp::NEVER - Duration::MAX, Timestamp(0));
    }
}
