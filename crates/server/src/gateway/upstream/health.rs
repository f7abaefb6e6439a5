//! Whether a server gets requests.
//!
//! *Decides*, does no IO: time is an argument. Two things count, each by itself: what the server answers when it is
//! asked (*probes*), and what becomes of real requests (*outcomes*).
//!
//! # Invariants
//! - A server is *down* from `unhealthy_after` failed probes in a row until `healthy_after` good ones in a row.
//! - A server is *ejected* for a while after so many failed requests in a row. The while doubles from one ejection to
//!   the next, up to a bound; a request that succeeds makes the next one short again.
//! - Down is known, ejected is guessed: when no server is left, those that are ejected are tried all the same
//!   (see [`balance`](super::balance)), and those that are down are not.

use std::time::{Duration, Instant};

use super::settings::{EjectionSettings, HealthSettings};

/// What is known of a server.
#[derive(Debug)]
pub(crate) struct Health {
    ejection: EjectionSettings,
    probe: Option<(u32, u32)>,
    down: bool,
    /// Probes in a row that say the contrary of `down`.
    streak: u32,
    failures: u32,
    ejections: u32,
    ejected_until: Option<Instant>,
}

/// Whether a server may be given requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Well,
    /// Requests failed; until then others come first.
    Ejected(Instant),
    /// It does not answer when it is asked.
    Down,
}

/// Something to tell the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    WentDown,
    CameUp,
    Ejected(Duration),
}

impl Health {
    pub(crate) fn new(probe: Option<&HealthSettings>, ejection: EjectionSettings) -> Self {
        Self {
            ejection,
            probe: probe.map(|probe| (probe.unhealthy_after.max(1), probe.healthy_after.max(1))),
            down: false,
            streak: 0,
            failures: 0,
            ejections: 0,
            ejected_until: None,
        }
    }

    /// A probe was answered well, or not.
    pub(crate) fn probed(&mut self, good: bool) -> Option<Change> {
        let (unhealthy_after, healthy_after) = self.probe?;
        if good != self.down {
            self.streak = 0;
            return None;
        }
        self.streak += 1;
        let enough = if self.down { healthy_after } else { unhealthy_after };
        if self.streak < enough {
            return None;
        }
        self.streak = 0;
        self.down = !self.down;
        if self.down {
            return Some(Change::WentDown);
        }
        // What failed before it went down says nothing of now.
        self.succeeded();
        Some(Change::CameUp)
    }

    /// A request was answered.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
        self.ejections = 0;
        self.ejected_until = None;
    }

    /// A request was not answered.
    pub(crate) fn failed(&mut self, now: Instant) -> Option<Change> {
        if self.ejection.failures == 0 || self.standing(now) != Standing::Well {
            return None;
        }
        self.failures += 1;
        if self.failures < self.ejection.failures {
            return None;
        }
        self.failures = 0;
        let doubled = self.ejection.first.saturating_mul(1 << self.ejections.min(20));
        let length = doubled.min(self.ejection.max);
        self.ejections += 1;
        self.ejected_until = Some(now + length);
        Some(Change::Ejected(length))
    }

    pub(crate) fn standing(&self, now: Instant) -> Standing {
        match self.ejected_until {
            _ if self.down => Standing::Down,
            Some(until) if now < until => Standing::Ejected(until),
            _ => Standing::Well,
        }
    }

    /// Whether there is nothing that a success would change.
    pub(crate) fn is_clean(&self) -> bool {
        !self.down && self.failures == 0 && self.ejections == 0 && self.ejected_until.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EJECTION: EjectionSettings =
        EjectionSettings { failures: 2, first: Duration::from_secs(5), max: Duration::from_secs(15) };

    fn probed() -> Health {
        Health::new(
            Some(&HealthSettings { unhealthy_after: 3, healthy_after: 2, ..HealthSettings::new("/") }),
            EJECTION,
        )
    }

    #[test]
    fn goes_down_after_failures_in_a_row_and_up_after_good_answers_in_a_row() {
        let now = Instant::now();
        let mut health = probed();
        let told: Vec<_> = [false, false, true, false, false, false, true, false, true, true]
            .map(|good| health.probed(good))
            .into_iter()
            .enumerate()
            .filter_map(|(nth, change)| Some((nth, change?)))
            .collect();
        assert_eq!(told, [(5, Change::WentDown), (9, Change::CameUp)]);
        assert_eq!(health.standing(now), Standing::Well);
    }

    #[test]
    fn is_ejected_after_failures_in_a_row_each_time_longer() {
        let start = Instant::now();
        let mut health = probed();
        let mut now = start;
        let mut lengths = Vec::new();
        for _ in 0..4 {
            assert_eq!(health.failed(now), None);
            let Some(Change::Ejected(length)) = health.failed(now) else { panic!("not ejected") };
            assert_eq!(health.standing(now), Standing::Ejected(now + length));
            now += length;
            assert_eq!(health.standing(now), Standing::Well);
            lengths.push(length.as_secs());
        }
        assert_eq!(lengths, [5, 10, 15, 15]);
        health.succeeded();
        assert!(health.is_clean());
        assert_eq!(health.failed(now), None);
        assert_eq!(health.failed(now), Some(Change::Ejected(Duration::from_secs(5))));
    }

    #[test]
    fn a_success_between_failures_begins_the_count_anew() {
        let now = Instant::now();
        let mut health = probed();
        assert_eq!((health.failed(now), health.is_clean()), (None, false));
        health.succeeded();
        assert_eq!((health.failed(now), health.standing(now)), (None, Standing::Well));
    }

    #[test]
    fn without_probes_nothing_is_down_and_without_a_threshold_nothing_is_ejected() {
        let now = Instant::now();
        let mut health = Health::new(None, EjectionSettings { failures: 0, ..EJECTION });
        assert!((0..9).all(|_| health.probed(false).is_none() && health.failed(now).is_none()));
        assert_eq!(health.standing(now), Standing::Well);
    }
}
