//! Adding up what was noted, until it is written. *Decides*; time is an argument.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use unstale::{RawKey, Tenant, Verdict};

use super::{Naming, bookkeeper::Note};
use crate::metadata::{Access, Accesses};

/// What was read and loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) hits: u64,
    pub(super) stale: u64,
    pub(super) misses: u64,
    pub(super) bypasses: u64,
    pub(super) loads: u64,
    pub(super) load_failures: u64,
    pub(super) load_micros: u64,
    pub(super) loaded_bytes: u64,
}

/// An hour, a tenant and a kind of entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Of {
    pub(super) hour: DateTime<Utc>,
    /// None: of all tenants that have no place of their own.
    pub(super) tenant: Option<Tenant>,
    pub(super) entity: Entity,
}

/// What stands for the tenants that have no place of their own; no tenant's name.
pub(super) const OTHER: &str = "(other)";

/// A kind of entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Entity {
    /// By its key's pattern.
    Pattern(&'static str),
    /// As its [`Naming`] calls it.
    Named(Arc<str>),
}

impl Entity {
    /// The kind of a key's entry.
    pub(crate) fn of(key: &RawKey, naming: Option<&Naming>) -> Self {
        let named = naming.and_then(|name| name(key));
        named.map_or(Self::Pattern(key.entity()), Self::Named)
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Pattern(name) => name,
            Self::Named(name) => name,
        }
    }
}

impl Of {
    pub(super) fn tenant(&self) -> &str {
        self.tenant.as_ref().map_or(OTHER, Tenant::as_str)
    }
}

/// What was added up and is not written.
pub(super) struct Ledger {
    /// Of the hours that are not over, or not written since: this node's totals.
    hours: HashMap<Of, (Sums, IsNew)>,
    pub(super) interval: Sums,
    pub(super) accesses: Accesses,
    pairs_max: usize,
    naming: Option<Naming>,
}

/// Whether it was added to since it was written.
type IsNew = bool;

impl Ledger {
    pub(super) fn new(pairs_max: usize, keys_max: usize) -> Self {
        let accesses = Accesses::new(keys_max);
        Self { hours: HashMap::new(), interval: Sums::default(), accesses, pairs_max, naming: None }
    }

    pub(super) fn name_by(&mut self, naming: Naming) {
        self.naming = Some(naming);
    }

    pub(super) fn naming(&self) -> Option<&Naming> {
        self.naming.as_ref()
    }

    /// Adds what was noted up to `now`.
    pub(super) fn add(&mut self, note: &Note, now: DateTime<Utc>) {
        match note {
            Note::Read { key, verdict, count } => {
                let count = u64::from(*count);
                self.sum(key, now, |sums| {
                    *match verdict {
                        Verdict::Hit => &mut sums.hits,
                        Verdict::Stale(_) => &mut sums.stale,
                        Verdict::Miss(_) => &mut sums.misses,
                        Verdict::Bypass(_) => &mut sums.bypasses,
                    } += count;
                });
                // The read that loads a value is told by its load.
                if matches!(verdict, Verdict::Hit | Verdict::Stale(_)) {
                    self.accesses.add(key, Access::Read { count, at: now });
                }
            }
            Note::Loaded { key, took, kept_until, bytes } => {
                let (micros, bytes) = (u64::try_from(took.as_micros()).unwrap_or(u64::MAX), *bytes as u64);
                self.sum(key, now, |sums| {
                    sums.loads += 1;
                    sums.load_micros += micros;
                    sums.loaded_bytes += bytes;
                });
                if let Some(expires_at) = kept_until {
                    self.accesses.add(key, Access::Kept { at: now, expires_at: *expires_at });
                }
            }
            Note::Failed { key, took } => {
                let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                self.sum(key, now, |sums| {
                    sums.load_failures += 1;
                    sums.load_micros += micros;
                });
            }
        }
    }

    fn sum(&mut self, key: &RawKey, now: DateTime<Utc>, add: impl Fn(&mut Sums)) {
        add(&mut self.interval);
        let hour = now.duration_trunc(TimeDelta::hours(1)).expect("an hour of the calendar");
        let mut of = Of { hour, tenant: Some(key.tenant().clone()), entity: Entity::of(key, self.naming()) };
        if self.hours.len() >= self.pairs_max && !self.hours.contains_key(&of) {
            of.tenant = None;
        }
        let (sums, is_new) = self.hours.entry(of).or_default();
        add(sums);
        *is_new = true;
    }

    /// This node's totals that were added to since they were written.
    pub(super) fn totals(&self) -> Vec<(Of, Sums)> {
        let new = self.hours.iter().filter(|(_, (_, is_new))| *is_new);
        new.map(|(of, (sums, _))| (of.clone(), *sums)).collect()
    }

    /// Notes that these totals were written, and forgets hours that are over.
    pub(super) fn written(&mut self, totals: &[(Of, Sums)], now: DateTime<Utc>) {
        for (of, sums) in totals {
            if let Some((current, is_new)) = self.hours.get_mut(of) {
                *is_new = current != sums;
            }
        }
        self.hours.retain(|of, (_, is_new)| *is_new || of.hour + TimeDelta::hours(1) > now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use unstale::MissReason;

    use super::*;

    unstale::catalogue! {
        /// Of these tests.
        const _PATTERNS;
        /// A flow.
        fn flow(id) -> String = "flow";
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_003_200 + seconds, 0).unwrap()
    }

    #[test]
    fn who_knows_better_names_what_was_read() {
        let mut ledger = Ledger::new(10, 10);
        ledger.name_by(Arc::new(|key| key.as_str().ends_with('1').then(|| "/flows/{id}".into())));
        let other = flow(&Tenant::new("acme").unwrap(), 2).raw().clone();
        for key in [key("acme"), other] {
            ledger.add(&Note::Read { key, verdict: Verdict::Hit, count: 1 }, at(0));
        }
        let mut named: Vec<_> = ledger.totals().iter().map(|(of, _)| of.entity.as_str().to_owned()).collect();
        named.sort();
        assert_eq!(named, ["/flows/{id}", "flow"]);
    }

    fn key(tenant: &str) -> RawKey {
        flow(&Tenant::new(tenant).unwrap(), 1).raw().clone()
    }

    fn read(tenant: &str, verdict: Verdict, count: u32) -> Note {
        Note::Read { key: key(tenant), verdict, count }
    }

    #[test]
    fn notes_are_added_up_by_hour_and_tenant() {
        let mut ledger = Ledger::new(100, 100);
        ledger.add(&read("acme", Verdict::Hit, 5), at(0));
        ledger.add(&read("acme", Verdict::Miss(MissReason::Absent), 1), at(10));
        let (took, bytes) = (Duration::from_micros(70), 9);
        ledger.add(&Note::Loaded { key: key("acme"), took, kept_until: None, bytes }, at(10));
        ledger.add(&Note::Failed { key: key("acme"), took }, at(20));
        ledger.add(&read("other", Verdict::Hit, 1), at(3600));
        let mut totals = ledger.totals();
        totals.sort_by_key(|(of, _)| of.hour);
        let acme = Sums {
            hits: 5,
            misses: 1,
            loads: 1,
            load_failures: 1,
            load_micros: 140,
            loaded_bytes: 9,
            ..Sums::default()
        };
        assert_eq!((totals[0].0.hour, totals[0].1), (at(0), acme));
        assert_eq!((totals[1].0.hour, totals[1].0.tenant()), (at(3600), "other"));
        assert_eq!(ledger.interval.hits, 6);
    }

    #[test]
    fn totals_go_on_growing_after_they_were_written() {
        let mut ledger = Ledger::new(100, 100);
        ledger.add(&read("acme", Verdict::Hit, 5), at(0));
        let totals = ledger.totals();
        // Noted while it was being written.
        ledger.add(&read("acme", Verdict::Hit, 1), at(1));
        ledger.written(&totals, at(1));
        let again = ledger.totals();
        assert_eq!(again[0].1.hits, 6, "the total, and not what was added");
        ledger.written(&again, at(2));
        assert_eq!(ledger.totals(), []);
        ledger.written(&[], at(3600));
        assert!(ledger.hours.is_empty(), "the hour is over and written");
    }

    #[test]
    fn an_hour_that_could_not_be_written_is_kept_until_it_is() {
        let mut ledger = Ledger::new(100, 100);
        ledger.add(&read("acme", Verdict::Hit, 5), at(0));
        ledger.written(&[], at(100_000));
        assert_eq!(ledger.totals().len(), 1);
    }

    #[test]
    fn tenants_beyond_the_limit_are_added_up_together() {
        let mut ledger = Ledger::new(2, 100);
        for tenant in ["a", "b", "c", "d", "a"] {
            ledger.add(&read(tenant, Verdict::Hit, 1), at(0));
        }
        let mut told: Vec<_> = ledger.totals().iter().map(|(of, sums)| (of.tenant().to_owned(), sums.hits)).collect();
        told.sort();
        assert_eq!(told, [("(other)".to_owned(), 2), ("a".to_owned(), 2), ("b".to_owned(), 1)]);
    }
}
