//! What the layer says about itself in a response: `X-Cache`, `Cache-Status` (RFC 9211) and `Server-Timing`.

use std::{cell::RefCell, fmt::Write as _, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::reasons::BypassReason;

/// Groups of a response (RFC 9875).
pub const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
/// Groups that a write declares wrong (RFC 9875).
pub const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");
/// Groups of a response, as words.
pub const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
/// What caches did with a request (RFC 9211).
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// Where the time went.
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// `HIT`, `MISS`, `STALE` or `BYPASS`.
pub const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
/// How often this stored response was served, this time included.
pub const X_CACHE_HITS: HeaderName = HeaderName::from_static("x-cache-hits");
/// How often this resource had to be loaded, as far as this node knows.
pub const X_CACHE_MISSES: HeaderName = HeaderName::from_static("x-cache-misses");
/// In a request: what the answer must have seen. In an answer: what the write has reached.
pub const WRITTEN_POSITION: HeaderName = HeaderName::from_static("unstale-position");

/// The verdict where the cache took no part.
pub(crate) const BYPASS: &str = "BYPASS";

/// How a response came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Account {
    /// A fresh stored response.
    Hit {
        /// For how long it stays fresh.
        ttl: Seconds,
    },
    /// A stored response that is not fresh.
    Stale {
        /// For how long it stays fresh: none, so at most zero, and the more so the longer it is over.
        ttl: Seconds,
        /// Why it was served.
        reason: &'static str,
    },
    /// It was loaded.
    Miss {
        /// The status that was loaded.
        status: u16,
        /// Whether another request had begun the load.
        collapsed: bool,
        /// What of it was kept.
        kept: Kept,
        /// How long it took.
        took: Duration,
    },
    /// A stored response that the origin has confirmed.
    Validated {
        /// How long that took.
        took: Duration,
    },
    /// The cache took no part.
    Bypass {
        /// Why.
        reason: &'static str,
    },
    /// The cache took no part because of the request's method.
    Method {
        /// What else there is to say.
        detail: Option<&'static str>,
    },
}

/// Whether a loaded response was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It was; and why there was nothing to serve before, if that says something.
    Stored(Option<&'static str>),
    /// It was not, for this reason.
    NotStored(&'static str),
}

/// Whole seconds, signed.
pub(crate) type Seconds = i64;

impl Account {
    /// Of a request that was passed on without a look at the cache.
    pub(crate) fn passed(reason: BypassReason) -> Self {
        match reason {
            BypassReason::Method => Self::Method { detail: None },
            reason => Self::Bypass { reason: reason.as_str() },
        }
    }

    /// `HIT`, `MISS`, `STALE` or `BYPASS`. Errors count as passed by, whichever way they came.
    pub(crate) fn verdict(&self) -> &'static str {
        match self {
            Self::Hit { .. } => "HIT",
            Self::Stale { .. } => "STALE",
            Self::Miss { status: 400.., .. } | Self::Bypass { .. } | Self::Method { .. } => BYPASS,
            Self::Miss { .. } | Self::Validated { .. } => "MISS",
        }
    }

    /// Why, as a short stable word; none for a hit, and for a miss of what was never there.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Hit { .. } => None,
            Self::Validated { .. } => Some("validated"),
            Self::Method { detail } => Some(detail.unwrap_or("method")),
            Self::Stale { reason, .. } | Self::Bypass { reason } | Self::Miss { kept: Kept::NotStored(reason), .. } => {
                Some(reason)
            }
            Self::Miss { kept: Kept::Stored(reason), .. } => *reason,
        }
    }

    /// For how long a hit stays fresh.
    pub(crate) fn fresh_for(&self) -> Option<Duration> {
        match self {
            Self::Hit { ttl } => u64::try_from(*ttl).ok().map(Duration::from_secs),
            _ => None,
        }
    }

    /// The same, if the cache took no part, and there is more to say.
    pub(crate) fn because(self, reason: &'static str) -> Self {
        match self {
            Self::Method { .. } => Self::Method { detail: Some(reason) },
            Self::Bypass { .. } => Self::Bypass { reason },
            other => other,
        }
    }

    /// Writes `X-Cache`, `Cache-Status` and `Server-Timing` into a response's headers.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        headers.insert(X_CACHE, HeaderValue::from_static(self.verdict()));
        // The origin's caches come first in the list (RFC 9211, 2).
        headers.append(CACHE_STATUS, self.status());
        headers.append(SERVER_TIMING, self.timing());
    }

    /// `Cache-Status`.
    pub(crate) fn status(&self) -> HeaderValue {
        match self {
            Self::Hit { ttl } => return hit_status(*ttl),
            Self::Bypass { reason } => return bypass_status(reason),
            _ => {}
        }
        let mut text = String::with_capacity(64);
        let _ = match self {
            Self::Hit { ttl } => write!(text, "{HIT_STATUS}{ttl}"),
            Self::Stale { ttl, reason } => write!(text, "Unstale; hit; ttl={ttl}; detail={reason}"),
            Self::Miss { status, collapsed, kept, .. } => {
                let stored = if matches!(kept, Kept::Stored(_)) { "; stored" } else { "" };
                let collapsed = if *collapsed { "; collapsed" } else { "" };
                let _ = write!(text, "Unstale; fwd=miss; fwd-status={status}{stored}{collapsed}");
                self.reason().map_or(Ok(()), |reason| write!(text, "; detail={reason}"))
            }
            Self::Validated { .. } => write!(text, "Unstale; fwd=stale; fwd-status=304; stored; detail=validated"),
            Self::Bypass { reason } => write!(text, "{BYPASS_STATUS}{reason}"),
            Self::Method { detail: None } => return HeaderValue::from_static("Unstale; fwd=method"),
            Self::Method { detail: Some(detail) } => write!(text, "Unstale; fwd=method; detail={detail}"),
        };
        HeaderValue::try_from(text).expect("words and digits make a header")
    }

    fn timing(&self) -> HeaderValue {
        match self.verdict() {
            "HIT" => HeaderValue::from_static("cache;desc=\"HIT\""),
            "STALE" => HeaderValue::from_static("cache;desc=\"STALE\""),
            verdict => match self {
                Self::Miss { took, .. } | Self::Validated { took } => {
                    let took = took.as_secs_f64() * 1000.0;
                    let text = format!("cache;desc=\"{verdict}\", load;dur={took:.3}");
                    HeaderValue::try_from(text).expect("words and digits make a header")
                }
                _ => HeaderValue::from_static("cache;desc=\"BYPASS\""),
            },
        }
    }
}

/// What says of a hit for how long it stays fresh, but for the number.
const HIT_STATUS: &str = "Unstale; hit; ttl=";
/// How many values of one kind each thread keeps.
const NUMBERED_MAX: usize = 64;

/// Values that end in a number of seconds. Of the hits of one second, most have one of few.
struct Numbered(RefCell<[Option<(Seconds, HeaderValue)>; NUMBERED_MAX]>);

thread_local! {
    static HITS: Numbered = const { Numbered::new() };
    static AGES: Numbered = const { Numbered::new() };
    static BROWSERS: Numbered = const { Numbered::new() };
}

impl Numbered {
    const fn new() -> Self {
        Self(RefCell::new([const { None }; NUMBERED_MAX]))
    }

    fn value(&self, words: &'static str, seconds: Seconds) -> HeaderValue {
        let kept = &mut *self.0.borrow_mut();
        let place = usize::try_from(seconds.unsigned_abs()).unwrap_or_default() % NUMBERED_MAX;
        match &kept[place] {
            Some((of, value)) if *of == seconds => value.clone(),
            _ => {
                let value = HeaderValue::try_from(format!("{words}{seconds}")).expect("words and digits make a header");
                kept[place].insert((seconds, value)).1.clone()
            }
        }
    }
}

fn hit_status(ttl: Seconds) -> HeaderValue {
    HITS.with(|kept| kept.value(HIT_STATUS, ttl))
}

/// `Age`.
pub(crate) fn age(seconds: u64) -> HeaderValue {
    AGES.with(|kept| kept.value("", Seconds::try_from(seconds).unwrap_or(Seconds::MAX)))
}

/// `Cache-Control` for a browser that need not ask before an answer is so old.
pub(crate) fn browser_max_age(seconds: u64) -> HeaderValue {
    BROWSERS.with(|kept| kept.value("private, max-age=", Seconds::try_from(seconds).unwrap_or(Seconds::MAX)))
}

/// What says that the cache took no part, but for the reason.
const BYPASS_STATUS: &str = "Unstale; fwd=bypass; detail=";
/// How many of such values each thread keeps: more than there are reasons.
const BYPASS_STATUSES: usize = 32;

thread_local! {
    static BYPASSES: RefCell<Vec<(&'static str, HeaderValue)>> = const { RefCell::new(Vec::new()) };
}

fn bypass_status(reason: &'static str) -> HeaderValue {
    BYPASSES.with_borrow_mut(|kept| {
        if let Some((_, value)) = kept.iter().find(|(of, _)| *of == reason) {
            return value.clone();
        }
        let value = HeaderValue::try_from(format!("{BYPASS_STATUS}{reason}")).expect("words make a header");
        if kept.len() < BYPASS_STATUSES {
            kept.push((reason, value.clone()));
        }
        value
    })
}

/// A number as a header, in one allocation.
pub(crate) fn number(mut number: u64) -> HeaderValue {
    static DIGITS: [HeaderValue; 10] = [
        HeaderValue::from_static("0"),
        HeaderValue::from_static("1"),
        HeaderValue::from_static("2"),
        HeaderValue::from_static("3"),
        HeaderValue::from_static("4"),
        HeaderValue::from_static("5"),
        HeaderValue::from_static("6"),
        HeaderValue::from_static("7"),
        HeaderValue::from_static("8"),
        HeaderValue::from_static("9"),
    ];
    if let Some(digit) = usize::try_from(number).ok().and_then(|number| DIGITS.get(number)) {
        return digit.clone();
    }
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + u8::try_from(number % 10).expect("a digit");
        number /= 10;
        if number == 0 {
            return HeaderValue::from_bytes(&digits[first..]).expect("digits make a header");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(account: Account, verdict: &str, status: &str, timing: &str) {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_STATUS, HeaderValue::from_static("Origin; hit"));
        account.tell(&mut headers);
        let all = headers.get_all(CACHE_STATUS).iter().collect::<Vec<_>>();
        assert_eq!((all[0].to_str().unwrap(), all[1].to_str().unwrap()), ("Origin; hit", status));
        assert_eq!(headers[X_CACHE], verdict);
        assert_eq!(headers[SERVER_TIMING], timing);
    }

    #[test]
    fn numbers_are_written_as_they_are() {
        for of in [0, 7, 10, 1997, u64::MAX] {
            assert_eq!(number(of), of.to_string());
        }
    }

    #[test]
    fn a_hits_number_is_its_own() {
        for ttl in [0, 64, 0, 3600, 3536, -1, i64::MAX, i64::MIN, 64] {
            check(Account::Hit { ttl }, "HIT", &format!("Unstale; hit; ttl={ttl}"), "cache;desc=\"HIT\"");
        }
    }

    #[test]
    fn a_bypass_tells_its_own_reason() {
        for reason in ["no-identity", "route", "off", "route", "no-identity"] {
            let status = format!("Unstale; fwd=bypass; detail={reason}");
            check(Account::Bypass { reason }, "BYPASS", &status, "cache;desc=\"BYPASS\"");
        }
    }

    #[test]
    fn only_a_hit_is_fresh_for_some_time() {
        let seconds = |account: Account| account.fresh_for().map(|left| left.as_secs());
        assert_eq!(seconds(Account::Hit { ttl: 297 }), Some(297));
        assert_eq!(seconds(Account::Hit { ttl: -1 }), None);
        assert_eq!(seconds(Account::Stale { ttl: -1, reason: "grace" }), None);
        assert_eq!(seconds(Account::Bypass { reason: "route" }), None);
    }

    #[test]
    fn every_way_has_its_words() {
        check(Account::Hit { ttl: 297 }, "HIT", "Unstale; hit; ttl=297", "cache;desc=\"HIT\"");
        let stale = Account::Stale { ttl: -3, reason: "grace" };
        check(stale, "STALE", "Unstale; hit; ttl=-3; detail=grace", "cache;desc=\"STALE\"");
        let miss =
            |status, collapsed, kept| Account::Miss { status, collapsed, kept, took: Duration::from_micros(1500) };
        let timing = "cache;desc=\"MISS\", load;dur=1.500";
        check(miss(200, false, Kept::Stored(None)), "MISS", "Unstale; fwd=miss; fwd-status=200; stored", timing);
        check(
            miss(200, true, Kept::Stored(Some("invalidated"))),
            "MISS",
            "Unstale; fwd=miss; fwd-status=200; stored; collapsed; detail=invalidated",
            timing,
        );
        check(
            miss(200, false, Kept::NotStored("set-cookie")),
            "MISS",
            "Unstale; fwd=miss; fwd-status=200; detail=set-cookie",
            timing,
        );
        check(
            miss(404, false, Kept::NotStored("status")),
            "BYPASS",
            "Unstale; fwd=miss; fwd-status=404; detail=status",
            "cache;desc=\"BYPASS\", load;dur=1.500",
        );
        let validated = Account::Validated { took: Duration::from_micros(1500) };
        check(validated, "MISS", "Unstale; fwd=stale; fwd-status=304; stored; detail=validated", timing);
        let bypass = Account::Bypass { reason: "no-identity" };
        check(bypass, "BYPASS", "Unstale; fwd=bypass; detail=no-identity", "cache;desc=\"BYPASS\"");
        let method = Account::Method { detail: None };
        check(method, "BYPASS", "Unstale; fwd=method", "cache;desc=\"BYPASS\"");
        let pending = "Unstale; fwd=method; detail=invalidation-pending";
        check(method.because("invalidation-pending"), "BYPASS", pending, "cache;desc=\"BYPASS\"");
    }
}
