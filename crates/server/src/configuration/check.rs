//! Whether a configuration makes sense: names that exist, numbers within bounds. *Decides*; all faults are told at once.

use std::{collections::BTreeMap, time::Duration};

use unstale::{KeyPattern, Tenant};

use super::document::{Configuration, EntrySettings, ModeSettings};
use crate::problem::FieldError;

/// Longest life of an entry, and of what may be served after it: 30 days.
const TTL_SECONDS_MAX: u64 = 30 * 24 * 3600;
/// Longest time that something may be served after its own: a day.
const GRACE_SECONDS_MAX: u64 = 24 * 3600;
/// Longest that a view may be used without being confirmed.
const BOUND_MILLIS_MAX: u64 = 60_000;
/// Tenants that may be named.
const TENANTS_MAX: usize = 10_000;
/// The least memory that a tenant can be given: less than that is no cache.
const TENANT_BYTES_MIN: u64 = 64 * 1024;
const WEIGHT_MAX: u32 = 1000;
const CHECKS_PER_SECOND_MAX: u32 = 1000;
const RETENTION_DAYS_MAX: u32 = 3650;
/// Names that an error lists.
const NAMES_LISTED_MAX: usize = 60;

/// What can be configured, and within which bounds.
#[derive(Clone, Debug)]
pub struct Known {
    entries: BTreeMap<String, Entry>,
    endpoints: BTreeMap<String, Entry>,
    is_watched: bool,
    tenant: fn(&str) -> Option<Tenant>,
}

impl Default for Known {
    fn default() -> Self {
        let tenant = |name: &str| Tenant::new(name).ok();
        Self { entries: BTreeMap::new(), endpoints: BTreeMap::new(), is_watched: true, tenant }
    }
}

/// A key pattern or a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// It is always read strictly.
    pub is_strict: bool,
    /// The longest life that it may have.
    pub ttl_max: Duration,
    /// How long it is kept is the service's to say, with each answer: no lifetime and no mode can be given.
    pub is_origins: bool,
}

impl Default for Entry {
    fn default() -> Self {
        Self { is_strict: false, ttl_max: Duration::from_secs(TTL_SECONDS_MAX), is_origins: false }
    }
}

impl Known {
    /// The key patterns of a catalogue.
    #[must_use]
    pub fn entries(mut self, patterns: &[KeyPattern], bounds: impl Fn(&str) -> Entry) -> Self {
        self.entries.extend(patterns.iter().map(|pattern| (pattern.name.to_owned(), bounds(pattern.name))));
        self
    }

    /// The routes of a table.
    #[must_use]
    pub fn endpoints<'a>(mut self, routes: impl IntoIterator<Item = (&'a str, Entry)>) -> Self {
        self.endpoints.extend(routes.into_iter().map(|(pattern, bounds)| (pattern.to_owned(), bounds)));
        self
    }

    /// There is no consistency watch here: nothing can be said of it.
    #[must_use]
    pub fn unwatched(self) -> Self {
        Self { is_watched: false, ..self }
    }

    /// How a tenant is found by the name that people give it, if not by its own.
    #[must_use]
    pub fn tenants(self, tenant: fn(&str) -> Option<Tenant>) -> Self {
        Self { tenant, ..self }
    }

    /// The tenant that people call so.
    pub fn tenant(&self, name: &str) -> Option<Tenant> {
        (self.tenant)(name)
    }

    /// Every key pattern that can be named, with its bounds.
    pub fn each_entry(&self) -> impl Iterator<Item = (&str, Entry)> {
        self.entries.iter().map(|(name, entry)| (&**name, *entry))
    }

    /// Every route that can be named, with its bounds.
    pub fn each_endpoint(&self) -> impl Iterator<Item = (&str, Entry)> {
        self.endpoints.iter().map(|(name, entry)| (&**name, *entry))
    }

    /// Every fault of a configuration, each with its place.
    pub fn faults(&self, configuration: &Configuration) -> Vec<FieldError> {
        let mut faults = Faults(Vec::new());
        for (name, entry) in &configuration.entries {
            faults.entry("entries", name, self.entries.get(name), &self.entries, entry);
        }
        for (pattern, endpoint) in &configuration.endpoints {
            let (known, all) = (self.endpoints.get(pattern), &self.endpoints);
            faults.entry("endpoints", pattern, known, all, &endpoint.entry());
        }
        let tenants = &configuration.tenants;
        if tenants.len() > TENANTS_MAX {
            faults.add("tenants", format!("names {} tenants; at most {TENANTS_MAX} can be named", tenants.len()));
        }
        for (name, tenant) in tenants {
            let at = format!("tenants.{name}");
            if self.tenant(name).is_none() {
                let why = Tenant::new(name.as_str()).err();
                faults.add(&at, why.map_or_else(|| "is no name of a tenant".to_owned(), |why| why.to_string()));
            }
            let bytes = tenant.memory_bytes_max.map(|bytes| (bytes, TENANT_BYTES_MIN..=u64::MAX));
            faults.within(&at, "memory_bytes_max", bytes);
            faults.within(&at, "weight", tenant.weight.map(|weight| (weight, 1..=WEIGHT_MAX)));
        }
        let consistency = &configuration.consistency;
        faults.within("consistency", "sample_per_million", Some((consistency.sample_per_million, 0..=1_000_000)));
        let checks = Some((consistency.checks_per_second_max, 1..=CHECKS_PER_SECOND_MAX));
        faults.within("consistency", "checks_per_second_max", checks);
        if !self.is_watched && *consistency != super::ConsistencySettings::default() {
            faults.add("consistency", "must be left out: there is no consistency watch here".to_owned());
        }
        let retention = &configuration.retention;
        for (field, days) in [
            ("metadata_days", retention.metadata_days),
            ("performance_days", retention.performance_days),
            ("hourly_days", retention.hourly_days),
            ("daily_days", retention.daily_days),
        ] {
            faults.within("retention", field, Some((days, 1..=RETENTION_DAYS_MAX)));
        }
        // Days are made of hours: those that are gone cannot be added up any more.
        if retention.hourly_days < 2 {
            faults.add("retention.hourly_days", "must be at least 2: days are added up from hours".to_owned());
        }
        faults.0
    }

    /// The same without what is faulty: for a document that another build has stored.
    pub(super) fn without_faults(&self, mut configuration: Configuration) -> (Configuration, Vec<FieldError>) {
        let faults = self.faults(&configuration);
        let is_good =
            |at: &str| !faults.iter().any(|fault| fault.field == at || fault.field.starts_with(&format!("{at}.")));
        configuration.entries.retain(|name, _| is_good(&format!("entries.{name}")));
        configuration.endpoints.retain(|name, _| is_good(&format!("endpoints.{name}")));
        configuration.tenants.retain(|name, _| is_good(&format!("tenants.{name}")));
        if !is_good("consistency") {
            configuration.consistency = super::ConsistencySettings::default();
        }
        if !is_good("retention") {
            configuration.retention = super::Retention::default();
        }
        (configuration, faults)
    }
}

struct Faults(Vec<FieldError>);

impl Faults {
    fn add(&mut self, field: &str, message: String) {
        self.0.push(FieldError::new(field, message));
    }

    fn within<N: PartialOrd + std::fmt::Display>(
        &mut self,
        at: &str,
        field: &str,
        value: Option<(N, std::ops::RangeInclusive<N>)>,
    ) {
        if let Some((value, bounds)) = value.filter(|(value, bounds)| !bounds.contains(value)) {
            let (least, most) = bounds.into_inner();
            self.add(&format!("{at}.{field}"), format!("is {value}; give a number from {least} to {most}"));
        }
    }

    fn entry(
        &mut self,
        list: &str,
        name: &str,
        known: Option<&Entry>,
        all: &BTreeMap<String, Entry>,
        settings: &EntrySettings,
    ) {
        let at = format!("{list}.{name}");
        let Some(known) = known else {
            let names: Vec<&str> = all.keys().take(NAMES_LISTED_MAX).map(String::as_str).collect();
            let more = if all.len() > NAMES_LISTED_MAX { ", …" } else { "" };
            return self.add(&at, format!("is not known; use one of {}{more}", names.join(", ")));
        };
        let EntrySettings { ttl_seconds, grace_seconds, fail_safe_seconds, mode, .. } = settings;
        let numbers = [ttl_seconds, grace_seconds, fail_safe_seconds];
        if known.is_origins && (mode.is_some() || numbers.into_iter().any(Option::is_some)) {
            let message = "can be told \"cache\", \"store\" and \"headers\" only: how long its answers are kept is the service's to say, with each";
            return self.add(&at, message.to_owned());
        }
        self.within(&at, "ttl_seconds", settings.ttl_seconds.map(|ttl| (ttl, 1..=known.ttl_max.as_secs())));
        // What the code limits the life of is told wrong by nothing but time: grace is a part of that life.
        let life = known.ttl_max.as_secs();
        let left = life.saturating_sub(settings.ttl_seconds.unwrap_or(life));
        let most = if life < TTL_SECONDS_MAX { left.min(GRACE_SECONDS_MAX) } else { GRACE_SECONDS_MAX };
        let grace = |seconds: Option<u64>| seconds.map(|seconds| (seconds, 0..=most));
        self.within(&at, "grace_seconds", grace(settings.grace_seconds));
        self.within(&at, "fail_safe_seconds", grace(settings.fail_safe_seconds));
        match settings.mode {
            Some(ModeSettings::Bounded { milliseconds }) => {
                self.within(&at, "mode.milliseconds", Some((milliseconds, 0..=BOUND_MILLIS_MAX)));
            }
            Some(ModeSettings::StaleOk { seconds }) => {
                self.within(&at, "mode.seconds", Some((seconds, 1..=GRACE_SECONDS_MAX)));
            }
            Some(ModeSettings::Strict) | None => {}
        }
        let is_loosened = settings.mode.is_some_and(|mode| mode != ModeSettings::Strict)
            || settings.grace_seconds.is_some_and(|grace| grace > 0)
            || settings.fail_safe_seconds.is_some_and(|fail_safe| fail_safe > 0);
        if known.is_strict && is_loosened {
            self.add(&format!("{at}.mode"), "must stay strict, without grace: access is decided from it".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn known() -> Known {
        let strict = Entry { is_strict: true, ..Entry::default() };
        let seen = Entry { ttl_max: Duration::from_secs(60), ..Entry::default() };
        let patterns = ["flow", "session", "users"].map(|name| KeyPattern { name, parts: &[] });
        Known::default()
            .entries(&patterns, |name| match name {
                "session" => strict,
                "users" => seen,
                _ => Entry::default(),
            })
            .endpoints([("/flows", Entry::default())])
    }

    fn check(configuration: serde_json::Value, expected: &[(&str, &str)]) {
        let configuration: Configuration = serde_json::from_value(configuration).unwrap();
        let faults = known().faults(&configuration);
        let told: Vec<(&str, &str)> = faults.iter().map(|fault| (&*fault.field, &*fault.message)).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn what_makes_sense_is_taken() {
        check(json!({}), &[]);
        check(
            json!({
                "switches": { "cache": false },
                "entries": {
                    "flow": { "ttl_seconds": 60, "mode": { "kind": "stale_ok", "seconds": 30 } },
                    "session": { "ttl_seconds": 5, "mode": { "kind": "strict" } },
                },
                "endpoints": { "/flows": { "mode": { "kind": "bounded", "milliseconds": 0 }, "headers": false } },
                "tenants": { "acme": { "memory_bytes_max": 65536, "weight": 3 } },
                "consistency": { "sample_per_million": 0 },
            }),
            &[],
        );
    }

    #[test]
    fn a_name_that_is_not_known_is_told_with_those_that_are() {
        check(
            json!({ "entries": { "flows": {} }, "endpoints": { "/flow": {} } }),
            &[
                ("entries.flows", "is not known; use one of flow, session, users"),
                ("endpoints./flow", "is not known; use one of /flows"),
            ],
        );
    }

    #[test]
    fn numbers_have_bounds_and_all_faults_are_told() {
        check(
            json!({
                "entries": {
                    "flow": { "ttl_seconds": 0, "grace_seconds": 86401 },
                    "users": { "ttl_seconds": 61, "mode": { "kind": "bounded", "milliseconds": 60001 } },
                },
                "tenants": { "a b": { "weight": 0 } },
                "consistency": { "checks_per_second_max": 0 },
                "retention": { "hourly_days": 1 },
            }),
            &[
                ("entries.flow.ttl_seconds", "is 0; give a number from 1 to 2592000"),
                ("entries.flow.grace_seconds", "is 86401; give a number from 0 to 86400"),
                ("entries.users.ttl_seconds", "is 61; give a number from 1 to 60"),
                ("entries.users.mode.milliseconds", "is 60001; give a number from 0 to 60000"),
                ("tenants.a b", &Tenant::new("a b").unwrap_err().to_string()),
                ("tenants.a b.weight", "is 0; give a number from 1 to 1000"),
                ("consistency.checks_per_second_max", "is 0; give a number from 1 to 1000"),
                ("retention.hourly_days", "must be at least 2: days are added up from hours"),
            ],
        );
    }

    #[test]
    fn grace_does_not_lengthen_a_life_that_the_code_limits() {
        let users = |settings: serde_json::Value| json!({ "entries": { "users": settings } });
        check(users(json!({ "ttl_seconds": 40, "grace_seconds": 20, "fail_safe_seconds": 20 })), &[]);
        let told = "is 21; give a number from 0 to 20";
        check(users(json!({ "ttl_seconds": 40, "grace_seconds": 21 })), &[("entries.users.grace_seconds", told)]);
        check(
            users(json!({ "fail_safe_seconds": 1 })),
            &[("entries.users.fail_safe_seconds", "is 1; give a number from 0 to 0")],
        );
    }

    #[test]
    fn what_access_is_decided_from_stays_strict() {
        let told = "must stay strict, without grace: access is decided from it";
        for loosened in [json!({ "mode": { "kind": "bounded", "milliseconds": 1 } }), json!({ "fail_safe_seconds": 1 })]
        {
            check(json!({ "entries": { "session": loosened } }), &[("entries.session.mode", told)]);
        }
    }

    #[test]
    fn of_answers_whose_lifetimes_are_the_services_none_can_be_given() {
        let origins = Entry { is_origins: true, ..Entry::default() };
        let known = Known::default().endpoints([("/files", origins)]);
        let faults = |endpoint: serde_json::Value| {
            known.faults(&serde_json::from_value(json!({ "endpoints": { "/files": endpoint } })).unwrap())
        };
        assert_eq!(faults(json!({ "cache": false, "store": false, "headers": false })), []);
        for lifetime in
            [json!({ "ttl_seconds": 1 }), json!({ "mode": { "kind": "strict" } }), json!({ "grace_seconds": 0 })]
        {
            let told = faults(lifetime);
            assert!(told.len() == 1 && told[0].message.contains("the service's to say"), "{told:?}");
        }
    }

    #[test]
    fn what_is_not_there_cannot_be_configured() {
        let known = Known::default().unwatched().tenants(|name| Tenant::new(name.replace(' ', "-")).ok());
        let faults = |configuration| known.faults(&serde_json::from_value(configuration).unwrap());
        assert_eq!(faults(json!({ "tenants": { "Acme Inc": { "weight": 2 } } })), []);
        let told = faults(json!({ "consistency": { "sample_per_million": 1 }, "tenants": { "": {} } }));
        assert_eq!(told.iter().map(|fault| &*fault.field).collect::<Vec<_>>(), ["tenants.", "consistency"]);
    }

    #[test]
    fn of_another_builds_document_the_faulty_parts_are_left_out() {
        let configuration: Configuration = serde_json::from_value(json!({
            "switches": { "store": false },
            "entries": { "flow": { "ttl_seconds": 9 }, "gone": { "ttl_seconds": 9 }, "users": { "ttl_seconds": 99 } },
        }))
        .unwrap();
        let (good, faults) = known().without_faults(configuration);
        assert_eq!(good.entries.keys().collect::<Vec<_>>(), ["flow"]);
        assert!(!good.switches.store);
        assert_eq!(faults.len(), 2);
    }
}
