//! What an origin allows with a response: read once, when it is received.

use http::{HeaderMap, StatusCode, header};

use super::{
    SECONDS_MAX,
    age::{age_value, initial_age},
    control::ResponseControl,
    freshness::{Lifetime, Reckoning, date, lifetime, may_assume},
};

/// What a cache adds where the origin says nothing. Times in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// The lifetime of what has none, where one may be [assumed](super::freshness::may_assume).
    pub lifetime: u64,
    /// No lifetime is longer; none: no such limit.
    pub lifetime_max: Option<u64>,
    /// Hundredths of the time since `Last-Modified`, see [`Reckoning::heuristic_percent`].
    pub heuristic_percent: u64,
    /// How long a response may be used stale while it is revalidated, if the origin does not say.
    pub stale_while_revalidate: u64,
    /// How long a response may be used stale when the origin fails, if the origin does not say.
    pub stale_if_error: u64,
}

/// What an origin allows with a response. Times in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// When it was received, since 1970.
    pub received_at: u64,
    /// How old it was then.
    pub initial_age: u64,
    /// Up to which age it is fresh.
    pub lifetime: u64,
    /// How long after that it may be used while it is revalidated.
    pub stale_while_revalidate: u64,
    /// How long after that it may be used when the origin fails.
    pub stale_if_error: u64,
    /// It must not be used without asking the origin.
    pub no_cache: bool,
    /// It must not be used stale, whatever a request allows.
    pub must_revalidate: bool,
    /// It does not change while it is fresh.
    pub immutable: bool,
}

/// A response when it was received.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// What it says to this cache.
    pub control: &'a ResponseControl,
    /// Whether that was said in a targeted field.
    pub is_targeted: bool,
    /// When, in seconds since 1970.
    pub at: u64,
    /// How long the origin took to answer, in seconds.
    pub delay: u64,
}

impl Terms {
    /// The terms of a response, and how its lifetime came about.
    pub fn of(received: &Received<'_>, is_shared: bool, defaults: &Defaults) -> (Self, Lifetime) {
        let Received { status, headers, control, is_targeted, at, delay } = *received;
        let reckoning =
            Reckoning { is_shared, reads_expires: !is_targeted, heuristic_percent: defaults.heuristic_percent };
        let life = lifetime(status, headers, control, at, reckoning);
        let assumed = if may_assume(status, control) { defaults.lifetime } else { 0 };
        let most = defaults.lifetime_max.unwrap_or(SECONDS_MAX);
        // Being told to is what s-maxage means besides its number (RFC 9111, 5.2.2.10).
        let proxy_revalidate = is_shared && (control.proxy_revalidate || control.s_maxage.is_some());
        let terms = Self {
            received_at: at,
            initial_age: initial_age(age_value(headers), date(headers, &header::DATE), at, delay),
            lifetime: life.seconds().unwrap_or(assumed).min(most),
            stale_while_revalidate: control.stale_while_revalidate.unwrap_or(defaults.stale_while_revalidate),
            stale_if_error: control.stale_if_error.unwrap_or(defaults.stale_if_error),
            no_cache: control.is_no_cache(),
            must_revalidate: control.must_revalidate || proxy_revalidate,
            immutable: control.immutable,
        };
        (terms, life)
    }

    /// How old the response is at `now` (RFC 9111, 4.2.3).
    pub fn age(&self, now: u64) -> u64 {
        self.initial_age.saturating_add(now.saturating_sub(self.received_at)).min(SECONDS_MAX)
    }

    /// For how many seconds after its receipt it can be of use by its time alone: fresh, or stale where that is
    /// allowed.
    pub fn useful_for(&self) -> u64 {
        let stale = if self.must_revalidate || self.no_cache {
            0
        } else {
            self.stale_while_revalidate.max(self.stale_if_error)
        };
        let fresh = if self.no_cache { 0 } else { self.lifetime };
        fresh.saturating_add(stale).saturating_sub(self.initial_age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rfc9111::testing::headers;

    fn terms(lines: &[(&str, &str)], is_shared: bool, defaults: Defaults) -> Terms {
        terms_of(StatusCode::OK, lines, is_shared, defaults)
    }

    fn terms_of(status: StatusCode, lines: &[(&str, &str)], is_shared: bool, defaults: Defaults) -> Terms {
        let headers = headers(lines);
        let control = ResponseControl::of(&headers);
        let received =
            Received { status, headers: &headers, control: &control, is_targeted: false, at: 1_000_000, delay: 1 };
        Terms::of(&received, is_shared, &defaults).0
    }

    #[test]
    fn age_goes_on_from_what_it_was() {
        let terms = terms(&[("age", "30"), ("cache-control", "max-age=60")], true, Defaults::default());
        assert_eq!((terms.initial_age, terms.lifetime), (31, 60));
        assert_eq!(terms.age(1_000_010), 41);
        assert_eq!(terms.age(0), 31, "a clock that was set back makes nothing younger");
        assert_eq!(terms.useful_for(), 29);
    }

    #[test]
    fn the_origin_goes_before_the_defaults_and_the_limit_before_both() {
        let defaults = Defaults { lifetime: 5, lifetime_max: Some(50), stale_if_error: 7, ..Defaults::default() };
        assert_eq!(terms(&[], true, defaults).lifetime, 5);
        assert_eq!(terms(&[("cache-control", "max-age=20")], true, defaults).lifetime, 20);
        assert_eq!(terms(&[("cache-control", "max-age=60")], true, defaults).lifetime, 50);
        assert_eq!(terms(&[], true, defaults).stale_if_error, 7);
        assert_eq!(terms(&[("cache-control", "stale-if-error=0")], true, defaults).stale_if_error, 0);
    }

    /// RFC 9213, 2.2.
    #[test]
    fn a_targeted_field_goes_before_expires() {
        let headers = headers(&[("expires", "Fri, 20 Nov 2026 12:00:00 GMT")]);
        let control = ResponseControl::default();
        let received = Received {
            status: StatusCode::OK,
            headers: &headers,
            control: &control,
            is_targeted: true,
            at: 1_000_000,
            delay: 0,
        };
        assert_eq!(Terms::of(&received, true, &Defaults::default()).1, Lifetime::None);
        let general = Received { is_targeted: false, ..received };
        assert!(matches!(Terms::of(&general, true, &Defaults::default()).1, Lifetime::Explicit(1..)));
    }

    /// RFC 9111, 3 and 4.2.2.
    #[test]
    fn nothing_is_assumed_of_a_status_that_is_not_heuristically_cacheable() {
        let defaults = Defaults { lifetime: 5, ..Defaults::default() };
        let lifetime = |status, lines: &[_]| terms_of(status, lines, false, defaults).lifetime;
        assert_eq!(lifetime(StatusCode::NOT_FOUND, &[]), 5);
        assert_eq!(lifetime(StatusCode::FORBIDDEN, &[("cache-control", "private")]), 0);
        assert_eq!(lifetime(StatusCode::FORBIDDEN, &[("cache-control", "public")]), 5);
        assert_eq!(lifetime(StatusCode::FORBIDDEN, &[("cache-control", "max-age=9")]), 9);
    }

    #[test]
    fn s_maxage_binds_shared_caches_to_ask() {
        let lines = [("cache-control", "s-maxage=5, stale-while-revalidate=9")];
        assert!(terms(&lines, true, Defaults::default()).must_revalidate);
        assert!(!terms(&lines, false, Defaults::default()).must_revalidate);
        assert_eq!(terms(&lines, true, Defaults::default()).useful_for(), 4);
        assert_eq!(terms(&[("cache-control", "no-cache, max-age=9")], true, Defaults::default()).useful_for(), 0);
    }
}
