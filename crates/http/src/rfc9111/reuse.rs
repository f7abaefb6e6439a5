//! May a stored response be used? (RFC 9111, 4; RFC 5861; RFC 8246)

use super::{control::RequestControl, terms::Terms};

/// What may be done with a stored response that was selected for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// It is fresh enough for the request.
    Fresh,
    /// It is not fresh, and may be used all the same.
    Stale(StaleUse),
    /// The origin must be asked.
    Revalidate(Why),
}

/// Why a response that is not fresh may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaleUse {
    /// The request allows it.
    MaxStale,
    /// The origin allows it while it is asked.
    WhileRevalidating,
}

/// Why the origin must be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The response is too old.
    Stale,
    /// The response says so, once it is too old.
    MustRevalidate,
    /// The response says so.
    NoCache,
    /// The request says so.
    RequestNoCache,
    /// The request wants none so old.
    RequestMaxAge,
    /// The request wants one that stays fresh longer.
    RequestMinFresh,
}

impl StaleUse {
    /// As a short stable word, for headers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaxStale => "max-stale",
            Self::WhileRevalidating => "stale-while-revalidate",
        }
    }
}

impl Why {
    /// As a short stable word, for headers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stale => "expired",
            Self::MustRevalidate => "must-revalidate",
            Self::NoCache => "no-cache",
            Self::RequestNoCache => "request-no-cache",
            Self::RequestMaxAge => "request-max-age",
            Self::RequestMinFresh => "request-min-fresh",
        }
    }
}

/// Judges a response with these terms at `now`, in seconds since 1970.
pub fn judge(terms: &Terms, request: &RequestControl, now: u64) -> Reuse {
    let age = terms.age(now);
    let is_fresh = age < terms.lifetime;
    if terms.no_cache {
        return Reuse::Revalidate(Why::NoCache);
    }
    if request.no_cache {
        return Reuse::Revalidate(Why::RequestNoCache);
    }
    // A reload sends `max-age=0`; what does not change need not be asked for (RFC 8246, 2).
    let is_settled = terms.immutable && is_fresh;
    if !is_settled && request.max_age.is_some_and(|most| age > most || most == 0) {
        return Reuse::Revalidate(Why::RequestMaxAge);
    }
    if request.min_fresh.is_some_and(|least| terms.lifetime.saturating_sub(age) < least) {
        return Reuse::Revalidate(Why::RequestMinFresh);
    }
    let late = age.saturating_sub(terms.lifetime);
    if is_fresh {
        Reuse::Fresh
    } else if terms.must_revalidate {
        Reuse::Revalidate(Why::MustRevalidate)
    } else if request.max_stale.is_some_and(|most| late <= most) {
        Reuse::Stale(StaleUse::MaxStale)
    } else if late < terms.stale_while_revalidate {
        Reuse::Stale(StaleUse::WhileRevalidating)
    } else {
        Reuse::Revalidate(Why::Stale)
    }
}

/// Whether the response may be used where the origin failed to give another (RFC 5861, 4): not if it or the request
/// demands that the origin agree.
pub fn may_stand_in(terms: &Terms, request: &RequestControl, now: u64) -> bool {
    if terms.no_cache || terms.must_revalidate || request.no_cache {
        return false;
    }
    let window = terms.stale_if_error.max(request.stale_if_error.unwrap_or(0));
    terms.age(now) < terms.lifetime.saturating_add(window)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Received at 1,000, fresh for 60 seconds.
    fn minute() -> Terms {
        Terms {
            received_at: 1_000,
            initial_age: 0,
            lifetime: 60,
            stale_while_revalidate: 0,
            stale_if_error: 0,
            no_cache: false,
            must_revalidate: false,
            immutable: false,
        }
    }

    fn check(terms: Terms, request: RequestControl, age: u64, expected: Reuse) {
        assert_eq!(judge(&terms, &request, 1_000 + age), expected, "{age} {terms:?} {request:?}");
    }

    fn anything() -> RequestControl {
        RequestControl::default()
    }

    /// They stand in `Cache-Status` and count in metrics.
    #[test]
    fn every_reason_has_its_word() {
        for (why, word) in [
            (Why::Stale, "expired"),
            (Why::MustRevalidate, "must-revalidate"),
            (Why::NoCache, "no-cache"),
            (Why::RequestNoCache, "request-no-cache"),
            (Why::RequestMaxAge, "request-max-age"),
            (Why::RequestMinFresh, "request-min-fresh"),
        ] {
            assert_eq!(why.as_str(), word);
        }
        assert_eq!(StaleUse::MaxStale.as_str(), "max-stale");
        assert_eq!(StaleUse::WhileRevalidating.as_str(), "stale-while-revalidate");
    }

    #[test]
    fn fresh_until_its_lifetime_is_reached() {
        check(minute(), anything(), 59, Reuse::Fresh);
        check(minute(), anything(), 60, Reuse::Revalidate(Why::Stale));
        check(Terms { initial_age: 30, ..minute() }, anything(), 30, Reuse::Revalidate(Why::Stale));
        check(Terms { no_cache: true, ..minute() }, anything(), 0, Reuse::Revalidate(Why::NoCache));
    }

    #[test]
    fn a_request_may_want_it_fresher() {
        let asks = |request, age, why| check(minute(), request, age, Reuse::Revalidate(why));
        asks(RequestControl { no_cache: true, ..anything() }, 0, Why::RequestNoCache);
        asks(RequestControl { max_age: Some(0), ..anything() }, 0, Why::RequestMaxAge);
        asks(RequestControl { max_age: Some(5), ..anything() }, 6, Why::RequestMaxAge);
        let lasting = RequestControl { min_fresh: Some(10), ..anything() };
        asks(lasting, 51, Why::RequestMinFresh);
        // No less than its age and what is wanted (RFC 9111, 5.2.1.3).
        check(minute(), lasting, 50, Reuse::Fresh);
        check(minute(), RequestControl { max_age: Some(5), min_fresh: Some(10), ..anything() }, 5, Reuse::Fresh);
    }

    #[test]
    fn what_does_not_change_is_not_asked_for_at_a_reload() {
        let settled = Terms { immutable: true, ..minute() };
        let reload = RequestControl { max_age: Some(0), ..anything() };
        check(settled, reload, 5, Reuse::Fresh);
        check(settled, reload, 60, Reuse::Revalidate(Why::RequestMaxAge));
        check(settled, RequestControl { no_cache: true, ..anything() }, 5, Reuse::Revalidate(Why::RequestNoCache));
    }

    #[test]
    fn a_request_may_take_it_stale_unless_the_origin_forbids() {
        let patient = RequestControl { max_stale: Some(10), ..anything() };
        check(minute(), patient, 70, Reuse::Stale(StaleUse::MaxStale));
        check(minute(), patient, 71, Reuse::Revalidate(Why::Stale));
        check(Terms { must_revalidate: true, ..minute() }, patient, 60, Reuse::Revalidate(Why::MustRevalidate));
    }

    #[test]
    fn the_origin_may_allow_it_while_it_is_asked() {
        let graceful = Terms { stale_while_revalidate: 10, ..minute() };
        check(graceful, anything(), 69, Reuse::Stale(StaleUse::WhileRevalidating));
        check(graceful, anything(), 70, Reuse::Revalidate(Why::Stale));
        let strict = Terms { must_revalidate: true, ..graceful };
        check(strict, anything(), 60, Reuse::Revalidate(Why::MustRevalidate));
    }

    #[test]
    fn it_stands_in_for_a_failure_within_its_window() {
        let stands = |terms: Terms, request, age: u64| may_stand_in(&terms, &request, 1_000 + age);
        let kept = Terms { stale_if_error: 10, ..minute() };
        assert!(stands(kept, anything(), 69) && !stands(kept, anything(), 70) && !stands(minute(), anything(), 60));
        assert!(stands(minute(), RequestControl { stale_if_error: Some(10), ..anything() }, 69));
        for bound in [Terms { must_revalidate: true, ..kept }, Terms { no_cache: true, ..kept }] {
            assert!(!stands(bound, anything(), 0));
        }
        assert!(!stands(kept, RequestControl { no_cache: true, ..anything() }, 0));
    }
}
