//! What those who use pages get, lately: how long until a page shows its data, how many calls it makes, how often what
//! shows data is rendered, and what the database is asked for meanwhile. Of this node and the last hour; Prometheus has the rest.
//!
//! Those whom the flags send past the cache are counted by themselves, so that the two can be compared while both are used.

use std::{collections::VecDeque, sync::Mutex};

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use serde::Serialize;
use unstale_server::telemetry::DatabaseMetrics;
use utoipa::ToSchema;

/// How long it is remembered.
const MINUTES: i64 = 60;
/// Longest time that is believed: longer ones are a laptop that slept.
const SHOWN_MS_MAX: f64 = 600_000.0;
/// Most calls of a page that are believed.
const CALLS_MAX: f64 = 10_000.0;
/// Most renders of a page that are believed.
const RENDERS_MAX: f64 = 1_000_000.0;
/// Upper bounds of the times that are told apart, in milliseconds.
const BOUNDS_MS: [f64; 16] = [
    10.0,
    25.0,
    50.0,
    75.0,
    100.0,
    150.0,
    200.0,
    300.0,
    450.0,
    700.0,
    1_000.0,
    1_500.0,
    2_500.0,
    5_000.0,
    10_000.0,
    SHOWN_MS_MAX,
];

/// Something that a browser measured of a page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measured {
    /// It showed its data so many milliseconds after it was asked for.
    ShownMs(f64),
    /// It made so many calls to the API until another was asked for.
    Calls(f64),
    /// Components that show data of the API were rendered so often until another page was asked for.
    Renders(f64),
}

impl Measured {
    /// What a report says; none if it is about something else, or cannot be.
    pub fn of(name: &str, value: f64) -> Option<Self> {
        match name {
            "page-shown" => (0.0..=SHOWN_MS_MAX).contains(&value).then_some(Self::ShownMs(value)),
            "page-calls" => (0.0..=CALLS_MAX).contains(&value).then_some(Self::Calls(value)),
            "page-renders" => (0.0..=RENDERS_MAX).contains(&value).then_some(Self::Renders(value)),
            _ => None,
        }
    }
}

/// What pages took.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct PagesTook {
    /// Pages that showed their data.
    pub pages: u64,
    /// Calls of a page, on the average; none if no page was left yet.
    pub calls_mean: Option<f64>,
    /// Renders of components that show data of the API, of a page on the average, its first ones included.
    pub renders_mean: Option<f64>,
    /// Until half of the pages showed their data, in milliseconds.
    pub shown_ms_p50: Option<f64>,
    /// Until three of four pages did.
    pub shown_ms_p75: Option<f64>,
}

/// A minute of it, all pages together.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ExperienceMinute {
    pub at: DateTime<Utc>,
    pub pages: u64,
    pub calls: u64,
    /// Statements that read, whoever caused them.
    pub statements: u64,
}

/// The last hour of this node.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CacheExperience {
    /// Since when: a node that runs for less than an hour knows less.
    pub since: DateTime<Utc>,
    /// Of those whose answers come from the cache.
    pub cached: PagesTook,
    /// Of those whom flags send past it.
    pub uncached: PagesTook,
    /// Statements that read, whoever caused them.
    pub statements: u64,
    /// The oldest first; minutes without anything are left out.
    pub by_minute: Vec<ExperienceMinute>,
}

/// Remembers. All of it is bounded.
#[derive(Debug)]
pub struct Experience {
    database: DatabaseMetrics,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    started: DateTime<Utc>,
    minutes: VecDeque<Minute>,
    /// Statements that are in some minute already.
    statements: u64,
}

#[derive(Clone, Debug)]
struct Minute {
    at: DateTime<Utc>,
    statements: u64,
    cached: Tally,
    uncached: Tally,
}

#[derive(Clone, Debug, Default)]
struct Tally {
    shown: [u64; BOUNDS_MS.len()],
    calls: Counted,
    renders: Counted,
}

/// What pages that were left have counted.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    pages: u64,
    sum: f64,
}

impl Experience {
    /// Of a node that begins `now`.
    pub fn new(database: DatabaseMetrics, now: DateTime<Utc>) -> Self {
        let statements = database.reads_total();
        Self { database, kept: Mutex::new(Kept { started: now, minutes: VecDeque::new(), statements }) }
    }

    /// Notes what a browser measured.
    pub fn note(&self, now: DateTime<Utc>, is_cached: bool, measured: &[Measured]) {
        let statements = self.database.reads_total();
        let mut kept = self.kept.lock().expect("nothing panics while it is held");
        let minute = kept.minute(now, statements);
        let tally = if is_cached { &mut minute.cached } else { &mut minute.uncached };
        measured.iter().for_each(|measured| tally.add(*measured));
    }

    /// What is remembered.
    pub fn last_hour(&self, now: DateTime<Utc>) -> CacheExperience {
        let statements = self.database.reads_total();
        let mut kept = self.kept.lock().expect("nothing panics while it is held");
        kept.minute(now, statements);
        let (mut cached, mut uncached) = (Tally::default(), Tally::default());
        for minute in &kept.minutes {
            cached.merge(&minute.cached);
            uncached.merge(&minute.uncached);
        }
        let by_minute = kept.minutes.iter().map(Minute::shown).filter(|minute| !minute.is_empty()).collect();
        CacheExperience {
            since: kept.started.max(now - TimeDelta::minutes(MINUTES)),
            cached: cached.took(),
            uncached: uncached.took(),
            statements: kept.minutes.iter().map(|minute| minute.statements).sum(),
            by_minute,
        }
    }
}

impl Kept {
    /// The present minute, with the statements that were run since the last look.
    fn minute(&mut self, now: DateTime<Utc>, statements: u64) -> &mut Minute {
        let at = now.duration_trunc(TimeDelta::minutes(1)).unwrap_or(now);
        let oldest = at - TimeDelta::minutes(MINUTES);
        while self.minutes.front().is_some_and(|minute| minute.at <= oldest) {
            self.minutes.pop_front();
        }
        if self.minutes.back().is_none_or(|minute| minute.at < at) {
            let (cached, uncached) = (Tally::default(), Tally::default());
            self.minutes.push_back(Minute { at, statements: 0, cached, uncached });
        }
        let minute = self.minutes.back_mut().expect("one was put there");
        minute.statements += statements.saturating_sub(self.statements);
        self.statements = statements;
        minute
    }
}

impl Minute {
    fn shown(&self) -> ExperienceMinute {
        let (cached, uncached) = (&self.cached, &self.uncached);
        ExperienceMinute {
            at: self.at,
            pages: cached.pages() + uncached.pages(),
            calls: whole(cached.calls.sum + uncached.calls.sum),
            statements: self.statements,
        }
    }
}

impl ExperienceMinute {
    fn is_empty(&self) -> bool {
        self.pages + self.calls + self.statements == 0
    }
}

impl Tally {
    fn add(&mut self, measured: Measured) {
        match measured {
            Measured::ShownMs(ms) => {
                let bucket = BOUNDS_MS.iter().position(|bound| ms <= *bound).unwrap_or(BOUNDS_MS.len() - 1);
                self.shown[bucket] += 1;
            }
            Measured::Calls(calls) => self.calls.add(1, calls),
            Measured::Renders(renders) => self.renders.add(1, renders),
        }
    }

    fn merge(&mut self, other: &Self) {
        self.shown.iter_mut().zip(other.shown).for_each(|(mine, theirs)| *mine += theirs);
        self.calls.add(other.calls.pages, other.calls.sum);
        self.renders.add(other.renders.pages, other.renders.sum);
    }

    fn pages(&self) -> u64 {
        self.shown.iter().sum()
    }

    fn took(&self) -> PagesTook {
        PagesTook {
            pages: self.pages(),
            calls_mean: self.calls.mean(),
            renders_mean: self.renders.mean(),
            shown_ms_p50: self.quantile(0.5),
            shown_ms_p75: self.quantile(0.75),
        }
    }

    /// By linear interpolation within a bucket.
    #[expect(clippy::cast_precision_loss, reason = "pages of an hour are far below 2^52")]
    fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = share * self.pages() as f64;
        let (mut below, mut lower) = (0.0, 0.0);
        for (count, bound) in self.shown.iter().zip(BOUNDS_MS) {
            let count = *count as f64;
            if count > 0.0 && below + count >= wanted {
                return Some(lower + (bound - lower) * (wanted - below) / count);
            }
            (below, lower) = (below + count, bound);
        }
        None
    }
}

impl Counted {
    fn add(&mut self, pages: u64, sum: f64) {
        self.pages += pages;
        self.sum += sum;
    }

    #[expect(clippy::cast_precision_loss, reason = "pages of an hour are far below 2^52")]
    fn mean(self) -> Option<f64> {
        (self.pages > 0).then(|| self.sum / self.pages as f64)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative, and bounded")]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_020 + seconds, 0).unwrap()
    }

    fn select(database: &DatabaseMetrics, count: usize) {
        (0..count).for_each(|_| database.ran("SELECT 1", Duration::ZERO, false));
    }

    #[test]
    fn pages_are_told_apart_by_whether_the_cache_answers() {
        let experience = Experience::new(DatabaseMetrics::default(), at(0));
        let fast = [Measured::ShownMs(60.0), Measured::ShownMs(70.0), Measured::Calls(1.0), Measured::Calls(0.0)];
        experience.note(at(1), true, &fast);
        experience.note(at(2), true, &[Measured::Renders(20.0), Measured::Renders(10.0)]);
        experience.note(at(61), false, &[Measured::ShownMs(240.0), Measured::Calls(4.0), Measured::Renders(90.0)]);
        let hour = experience.last_hour(at(62));
        let cached = PagesTook {
            pages: 2,
            calls_mean: Some(0.5),
            renders_mean: Some(15.0),
            shown_ms_p50: Some(62.5),
            shown_ms_p75: Some(68.75),
        };
        assert_eq!(hour.cached, cached);
        assert_eq!((hour.uncached.pages, hour.uncached.calls_mean), (1, Some(4.0)));
        assert_eq!(hour.uncached.renders_mean, Some(90.0));
        let minutes: Vec<_> = hour.by_minute.iter().map(|minute| (minute.pages, minute.calls)).collect();
        assert_eq!((minutes, hour.since), (vec![(2, 1), (1, 4)], at(0)));
    }

    #[test]
    fn statements_count_from_the_beginning_and_in_the_minute_in_which_they_are_seen() {
        let database = DatabaseMetrics::default();
        select(&database, 5);
        let experience = Experience::new(database.clone(), at(0));
        select(&database, 2);
        experience.note(at(1), true, &[]);
        select(&database, 3);
        let hour = experience.last_hour(at(61));
        assert_eq!(hour.statements, 5);
        assert_eq!(hour.by_minute.iter().map(|minute| minute.statements).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn an_hour_is_remembered() {
        let experience = Experience::new(DatabaseMetrics::default(), at(0));
        for minute in 0..200 {
            experience.note(at(60 * minute), true, &[Measured::ShownMs(10.0)]);
        }
        let hour = experience.last_hour(at(60 * 199));
        assert_eq!((hour.cached.pages, hour.by_minute.len()), (60, 60));
        assert_eq!(hour.since, at(60 * 139));
        assert_eq!(experience.last_hour(at(60 * 300)).cached.pages, 0);
    }

    #[test]
    fn nothing_is_said_of_nothing_and_what_cannot_be_is_not_believed() {
        let experience = Experience::new(DatabaseMetrics::default(), at(0));
        let nothing =
            PagesTook { pages: 0, calls_mean: None, renders_mean: None, shown_ms_p50: None, shown_ms_p75: None };
        let hour = experience.last_hour(at(1));
        assert_eq!((hour.cached, hour.by_minute), (nothing, vec![]));
        for (name, value) in [("page-shown", -1.0), ("page-calls", f64::NAN), ("page-shown", 1e9), ("LCP", 1.0)] {
            assert_eq!(Measured::of(name, value), None, "{name} {value}");
        }
        assert_eq!(Measured::of("page-calls", 3.0), Some(Measured::Calls(3.0)));
        assert_eq!(Measured::of("page-renders", 3.0), Some(Measured::Renders(3.0)));
        assert_eq!(Measured::of("page-renders", 1e9), None);
    }
}
