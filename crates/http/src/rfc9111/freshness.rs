//! How long a response is fresh (RFC 9111, 4.2.1 and 4.2.2).

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, StatusCode, header};

use super::{SECONDS_MAX, control::ResponseControl, status::is_heuristically_cacheable};

/// A date of a header, in seconds since 1970; none if there is none or it is no date.
pub fn date(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    parse(headers.get(name)?.to_str().ok()?)
}

fn parse(text: &str) -> Option<u64> {
    let date: SystemTime = httpdate::parse_http_date(text).ok()?;
    date.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// How a lifetime came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// The origin said so: seconds.
    Explicit(u64),
    /// It was guessed from when the response was last modified: seconds.
    Heuristic(u64),
    /// The origin said nothing, and nothing may be guessed.
    None,
}

impl Lifetime {
    /// In seconds; none if nothing is known.
    pub fn seconds(self) -> Option<u64> {
        match self {
            Self::Explicit(seconds) | Self::Heuristic(seconds) => Some(seconds),
            Self::None => None,
        }
    }
}

/// Who uses a response, and what may be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reckoning {
    /// Whether more than one user is served from the cache: then `s-maxage` counts.
    pub is_shared: bool,
    /// Whether `Expires` counts: not where a targeted field was read in place of `Cache-Control` (RFC 9213, 2.2).
    pub reads_expires: bool,
    /// Hundredths of the time since `Last-Modified` for which a response is taken to be fresh that does not say; zero:
    /// nothing is guessed.
    pub heuristic_percent: u64,
}

/// A heuristic lifetime is no longer than this (RFC 9111, 4.2.2, leaves it open): a day.
pub const HEURISTIC_SECONDS_MAX: u64 = 24 * 3600;

/// Whether anything may be assumed of the lifetime of a response that says nothing of it (RFC 9111, 3 and 4.2.2).
pub fn may_assume(status: StatusCode, control: &ResponseControl) -> bool {
    is_heuristically_cacheable(status) || control.public
}

/// The lifetime of a response that was received at `received_at` (seconds since 1970).
pub fn lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    control: &ResponseControl,
    received_at: u64,
    reckoning: Reckoning,
) -> Lifetime {
    if let Some(seconds) = control.s_maxage.filter(|_| reckoning.is_shared).or(control.max_age) {
        return Lifetime::Explicit(seconds);
    }
    let dated = date(headers, &header::DATE).unwrap_or(received_at);
    let mut expires = headers.get_all(header::EXPIRES).iter();
    match (expires.next().filter(|_| reckoning.reads_expires), expires.next()) {
        // What is no date is long past (5.3), and of two nobody knows which is meant (4.2.1).
        (Some(line), None) => {
            let until = line.to_str().ok().and_then(parse).unwrap_or(0);
            return Lifetime::Explicit(until.saturating_sub(dated).min(SECONDS_MAX));
        }
        (Some(_), Some(_)) => return Lifetime::Explicit(0),
        (None, _) => {}
    }
    let may_guess = reckoning.heuristic_percent > 0 && may_assume(status, control);
    let modified = date(headers, &header::LAST_MODIFIED).filter(|_| may_guess && !control.is_no_cache());
    modified.map_or(Lifetime::None, |modified| {
        let guess = dated.saturating_sub(modified).saturating_mul(reckoning.heuristic_percent) / 100;
        Lifetime::Heuristic(guess.min(HEURISTIC_SECONDS_MAX))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rfc9111::testing::headers;

    const NOON: &str = "Fri, 20 Nov 2026 12:00:00 GMT";
    const MINUTE_PAST: &str = "Fri, 20 Nov 2026 12:01:00 GMT";
    const SHARED: Reckoning = Reckoning { is_shared: true, reads_expires: true, heuristic_percent: 0 };

    fn noon() -> u64 {
        parse(NOON).unwrap()
    }

    fn check_with(reckoning: Reckoning, status: u16, lines: &[(&str, &str)], expected: Lifetime) {
        let headers = headers(lines);
        let control = ResponseControl::of(&headers);
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(lifetime(status, &headers, &control, noon(), reckoning), expected, "{status} {lines:?}");
    }

    fn check(lines: &[(&str, &str)], expected: u64) {
        check_with(SHARED, 200, lines, Lifetime::Explicit(expected));
    }

    #[test]
    fn s_maxage_goes_before_max_age_and_that_before_expires() {
        check(&[("cache-control", "max-age=1, s-maxage=3600"), ("expires", NOON)], 3600);
        check(&[("cache-control", "max-age=0"), ("expires", MINUTE_PAST), ("date", NOON)], 0);
        check(&[("cache-control", "max-age=60"), ("expires", "0")], 60);
        let private = Reckoning { is_shared: false, ..SHARED };
        check_with(private, 200, &[("cache-control", "s-maxage=3600, max-age=1")], Lifetime::Explicit(1));
        check_with(private, 200, &[("cache-control", "s-maxage=3600")], Lifetime::None);
    }

    #[test]
    fn expires_counts_from_date() {
        check(&[("expires", MINUTE_PAST), ("date", NOON)], 60);
        check(&[("expires", MINUTE_PAST)], 60);
        check(&[("expires", MINUTE_PAST), ("date", "foo")], 60);
        check(&[("expires", NOON), ("date", MINUTE_PAST)], 0);
        check(&[("expires", "Friday, 20-Nov-26 12:01:00 GMT"), ("date", NOON)], 60);
        check(&[("expires", "Fri Nov 20 12:01:00 2026"), ("date", NOON)], 60);
    }

    #[test]
    fn an_expires_that_is_none_or_two_is_past() {
        check(&[("expires", "0"), ("date", NOON)], 0);
        check(&[("expires", "\u{e9}"), ("date", NOON)], 0);
        check(&[("expires", MINUTE_PAST), ("expires", MINUTE_PAST), ("date", NOON)], 0);
        let targeted = Reckoning { reads_expires: false, ..SHARED };
        check_with(targeted, 200, &[("expires", MINUTE_PAST)], Lifetime::None);
    }

    #[test]
    fn nothing_is_guessed_unless_it_was_asked_for() {
        let modified = [("last-modified", "Fri, 20 Nov 2026 11:50:00 GMT"), ("date", NOON)];
        check_with(SHARED, 200, &modified, Lifetime::None);
        let guessing = Reckoning { heuristic_percent: 10, ..SHARED };
        check_with(guessing, 200, &modified, Lifetime::Heuristic(60));
        check_with(guessing, 404, &modified, Lifetime::Heuristic(60));
        check_with(guessing, 403, &modified, Lifetime::None);
        check_with(guessing, 599, &modified, Lifetime::None);
        check_with(guessing, 200, &[], Lifetime::None);
        let marked = [modified[0], modified[1], ("cache-control", "public")];
        check_with(guessing, 599, &marked, Lifetime::Heuristic(60));
        for modified in ["Fri, 20 Nov 2020 11:50:00 GMT", "Tue, 10 Nov 2026 11:59:50 GMT"] {
            let old = [("last-modified", modified), ("date", NOON)];
            check_with(guessing, 200, &old, Lifetime::Heuristic(24 * 3600));
        }
        let younger = [("last-modified", "Tue, 10 Nov 2026 12:00:10 GMT"), ("date", NOON)];
        check_with(guessing, 200, &younger, Lifetime::Heuristic(24 * 3600 - 1));
    }
}
