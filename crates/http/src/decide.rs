//! What may be looked up and what may be stored: pure decisions over heads of messages, with their reasons.
//!
//! What the origin said binds: a route's policy can only shorten the life of what an origin gave.

use std::time::Duration;

use http::{HeaderMap, HeaderName, Method, StatusCode, header, request};

use crate::{
    headers::WRITTEN_POSITION,
    notable::Notable,
    reasons::{BypassReason, NotStoredReason},
    rfc9111::{
        age::{age_value, initial_age},
        control::RequestControl,
        freshness::{self, Reckoning},
        storing::is_event_stream,
        targeted::{self, CDN_CACHE_CONTROL},
    },
    route::{Sharing, VARY},
};

/// What a request that may be looked up wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The response.
    Get,
    /// Its head alone.
    Head,
}

/// A request extension: this request is to go past the cache, as if there were none. What a write declares wrong is
/// declared all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uncached;

/// A request extension: this request is answered from this node's memory or by the origin, and its answer goes no further
/// than that memory, whatever the route's policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unshared;

/// Whether a request may be answered from the cache, as far as its head tells.
///
/// `no-cache`, `max-age` and `min-fresh` in a request change nothing: stored entries are coherent, so the answer is as new as
/// the origin's, a browser that revalidates gets its 304, and no client can have the origin asked in its place.
pub fn may_look_up(head: &request::Parts) -> Result<Wanted, BypassReason> {
    may_look_up_noted(head, Notable::of(&head.headers))
}

/// As [`may_look_up`], for who knows what the head has.
pub(crate) fn may_look_up_noted(head: &request::Parts, notable: Notable) -> Result<Wanted, BypassReason> {
    let wanted = match head.method {
        Method::GET => Wanted::Get,
        Method::HEAD => Wanted::Head,
        _ => return Err(BypassReason::Method),
    };
    if head.extensions.get::<Uncached>().is_some() {
        return Err(BypassReason::Uncached);
    }
    let headers = &head.headers;
    if notable.more_than_read {
        if headers.contains_key(header::UPGRADE) {
            return Err(BypassReason::Upgrade);
        }
        let empty = |length: &http::HeaderValue| length.as_bytes() == b"0";
        // `Expect` tells of a body that is to come, and of nothing else.
        let tells_of_body = [header::TRANSFER_ENCODING, header::EXPECT].iter().any(|name| headers.contains_key(name));
        if tells_of_body || !headers.get_all(header::CONTENT_LENGTH).iter().all(empty) {
            return Err(BypassReason::RequestBody);
        }
    }
    if notable.overrides {
        return Err(BypassReason::OverrideHeader);
    }
    if notable.directives && RequestControl::of(headers).no_store {
        return Err(BypassReason::NoStore);
    }
    Ok(wanted)
}

/// What the route allows with a response.
#[derive(Clone, Copy, Debug)]
pub struct Allowed<'a> {
    /// Who would share it.
    pub sharing: Sharing,
    /// Whether the policy may serve it beyond its life.
    pub may_serve_stale: bool,
    /// The request headers in the key.
    pub vary_on: &'a [HeaderName],
    /// How many bytes of headers are kept at most.
    pub header_bytes_max: usize,
}

/// Whether a response may be kept, as far as its head tells; and if so, for how long at most: what is left of the life that
/// the origin gave. It was received `at` (seconds since 1970), `delay` seconds after it was asked for.
pub fn may_store(
    status: StatusCode,
    headers: &HeaderMap,
    allowed: &Allowed<'_>,
    at: u64,
    delay: u64,
) -> Result<Option<Duration>, NotStoredReason> {
    if status != StatusCode::OK {
        return Err(NotStoredReason::Status);
    }
    if headers.contains_key(header::SET_COOKIE) {
        return Err(NotStoredReason::SetCookie);
    }
    if headers.contains_key(&WRITTEN_POSITION) {
        return Err(NotStoredReason::Written);
    }
    may_vary(headers, allowed.vary_on)?;
    if is_event_stream(headers) {
        return Err(NotStoredReason::EventStream);
    }
    if headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>() > allowed.header_bytes_max {
        return Err(NotStoredReason::HeadersTooLarge);
    }
    lifetime(headers, allowed, at, delay)
}

fn may_vary(headers: &HeaderMap, vary_on: &[HeaderName]) -> Result<(), NotStoredReason> {
    for value in headers.get_all(VARY) {
        let Ok(names) = value.to_str() else { return Err(NotStoredReason::VaryUncounted) };
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if name == "*" {
                return Err(NotStoredReason::VaryAny);
            }
            if !vary_on.iter().any(|counted| name.eq_ignore_ascii_case(counted.as_str())) {
                return Err(NotStoredReason::VaryUncounted);
            }
        }
    }
    Ok(())
}

/// What is left of the life that the origin gives: the shorter of `max-age` and `s-maxage`, else from `Date` until `Expires`;
/// without what has gone by on the way here.
fn lifetime(
    headers: &HeaderMap,
    allowed: &Allowed<'_>,
    at: u64,
    delay: u64,
) -> Result<Option<Duration>, NotStoredReason> {
    let (control, is_targeted) = targeted::control(headers, &[CDN_CACHE_CONTROL]);
    let refused = |condition: bool, reason| if condition { Err(reason) } else { Ok(()) };
    // A 200 is understood, and nothing else comes here (RFC 9111, 5.2.2.3).
    refused(control.no_store && !control.must_understand, NotStoredReason::NoStore)?;
    refused(control.no_cache.is_some(), NotStoredReason::NoCache)?;
    let is_shared = allowed.sharing != Sharing::PerPrincipal;
    refused(control.private.is_some() && is_shared, NotStoredReason::Private)?;
    let must_revalidate = control.must_revalidate || control.proxy_revalidate;
    refused(must_revalidate && allowed.may_serve_stale, NotStoredReason::MustRevalidate)?;
    let reckoning = Reckoning { is_shared: true, reads_expires: !is_targeted, heuristic_percent: 0 };
    let life = freshness::lifetime(StatusCode::OK, headers, &control, at, reckoning).seconds();
    let Some(life) = life else { return Ok(None) };
    let life = control.max_age.map_or(life, |shorter| shorter.min(life));
    match life.saturating_sub(age_at(headers, at, delay)) {
        0 => Err(NotStoredReason::Expired),
        left => Ok(Some(Duration::from_secs(left))),
    }
}

/// How old a response was when it was received (RFC 9111, 4.2.3).
pub(crate) fn age_at(headers: &HeaderMap, at: u64, delay: u64) -> u64 {
    initial_age(age_value(headers), freshness::date(headers, &header::DATE), at, delay)
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};

    use super::*;
    use crate::rfc9111::SECONDS_MAX;

    fn check_request(method: &str, headers: &[(&str, &str)], expected: Result<Wanted, BypassReason>) {
        let mut request = Request::builder().method(method).uri("/a");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(may_look_up(&head), expected, "{method} {headers:?}");
    }

    #[test]
    fn plain_reads_are_looked_up() {
        check_request("GET", &[], Ok(Wanted::Get));
        check_request("HEAD", &[("content-length", "0")], Ok(Wanted::Head));
        check_request("GET", &[("authorization", "Bearer x"), ("cookie", "a=b")], Ok(Wanted::Get));
        check_request("GET", &[("cache-control", "no-cache"), ("pragma", "no-cache")], Ok(Wanted::Get));
        check_request("GET", &[("cache-control", "max-age=0")], Ok(Wanted::Get));
    }

    #[test]
    fn what_is_no_plain_read_is_passed_on() {
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE", "get"] {
            check_request(method, &[], Err(BypassReason::Method));
        }
        check_request("GET", &[("cache-control", "max-age=0, No-Store")], Err(BypassReason::NoStore));
        check_request("GET", &[("content-length", "3")], Err(BypassReason::RequestBody));
        check_request("GET", &[("transfer-encoding", "chunked")], Err(BypassReason::RequestBody));
        check_request("GET", &[("expect", "100-continue")], Err(BypassReason::RequestBody));
        check_request("GET", &[("upgrade", "websocket")], Err(BypassReason::Upgrade));
        check_request("GET", &[("x-http-method-override", "DELETE")], Err(BypassReason::OverrideHeader));
        check_request("GET", &[("x-original-url", "/admin")], Err(BypassReason::OverrideHeader));
    }

    fn judged(
        status: u16,
        headers: &[(&str, &str)],
        sharing: Sharing,
        stale: bool,
    ) -> Result<Option<Duration>, NotStoredReason> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::try_from(*name).unwrap();
            map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let vary_on = [header::ACCEPT];
        let allowed = Allowed { sharing, may_serve_stale: stale, vary_on: &vary_on, header_bytes_max: 200 };
        let now = httpdate::parse_http_date("Fri, 20 Nov 2026 18:00:00 GMT").unwrap();
        let at = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        may_store(StatusCode::from_u16(status).unwrap(), &map, &allowed, at, 2)
    }

    fn check(headers: &[(&str, &str)], expected: Result<Option<u64>, NotStoredReason>) {
        let expected = expected.map(|life| life.map(Duration::from_secs));
        assert_eq!(judged(200, headers, Sharing::PerPrincipal, false), expected, "{headers:?}");
    }

    #[test]
    fn only_a_200_is_kept() {
        for status in [201, 203, 204, 206, 301, 304, 404, 410, 500, 503] {
            let judged = judged(status, &[], Sharing::PerPrincipal, false);
            assert_eq!(judged, Err(NotStoredReason::Status), "{status}");
        }
        check(&[], Ok(None));
    }

    #[test]
    fn what_the_origin_said_binds() {
        check(&[("cache-control", "no-store")], Err(NotStoredReason::NoStore));
        check(&[("cache-control", "max-age=9"), ("cache-control", "NO-STORE")], Err(NotStoredReason::NoStore));
        check(&[("cache-control", "public, no-cache=\"x\"")], Err(NotStoredReason::NoCache));
        check(&[("cache-control", "\u{e9}")], Err(NotStoredReason::NoStore));
        check(&[("set-cookie", "a=b")], Err(NotStoredReason::SetCookie));
        check(&[("unstale-position", "1.2.3")], Err(NotStoredReason::Written));
        check(&[("content-type", "Text/Event-Stream; charset=utf-8")], Err(NotStoredReason::EventStream));
        check(&[("x-large", &"x".repeat(200 - 7))], Ok(None));
        check(&[("x-large", &"x".repeat(200 - 7 + 1))], Err(NotStoredReason::HeadersTooLarge));
    }

    #[test]
    fn the_origins_life_is_a_limit() {
        // It took two seconds to come.
        check(&[("cache-control", "max-age=60")], Ok(Some(58)));
        check(&[("cache-control", "max-age=60, s-maxage=\"30\"")], Ok(Some(28)));
        check(&[("cache-control", "max-age=60"), ("expires", "0")], Ok(Some(58)));
        check(&[("expires", "Fri, 20 Nov 2026 18:00:10 GMT")], Ok(Some(8)));
        let dated = ("expires", "Fri, 20 Nov 2026 18:00:10 GMT");
        check(&[dated, dated], Err(NotStoredReason::Expired));
        for gone in [
            ("cache-control", "max-age=0"),
            ("cache-control", "max-age=2"),
            ("cache-control", "max-age=x"),
            ("cache-control", "max-age"),
            ("expires", "0"),
            ("expires", "Fri, 20 Nov 2026 18:00:00 GMT"),
        ] {
            check(&[gone], Err(NotStoredReason::Expired));
        }
    }

    #[test]
    fn what_is_said_to_this_cache_takes_the_place_of_what_is_said_to_all() {
        let general = ("cache-control", "no-store, max-age=9");
        for (told, expected) in [
            ("max-age=60", Ok(Some(58))),
            ("must-revalidate", Ok(None)),
            ("no-store", Err(NotStoredReason::NoStore)),
            ("no-cache=(\"a\")", Err(NotStoredReason::NoCache)),
            ("max-age=0", Err(NotStoredReason::Expired)),
            // It is no dictionary, and so not there.
            ("max-age=60,", Err(NotStoredReason::NoStore)),
        ] {
            check(&[general, ("cdn-cache-control", told)], expected);
        }
        check(&[("expires", "0"), ("cdn-cache-control", "public")], Ok(None));
        let private = [("cache-control", "max-age=9"), ("cdn-cache-control", "private")];
        assert_eq!(judged(200, &private, Sharing::Tenant, false), Err(NotStoredReason::Private));
    }

    /// RFC 9111, 5.2.2.3: of a 200 it is known what it asks of a cache.
    #[test]
    fn what_must_be_understood_is() {
        check(&[("cache-control", "must-understand, no-store, max-age=60")], Ok(Some(58)));
        check(&[("cache-control", "must-understand, no-cache")], Err(NotStoredReason::NoCache));
    }

    #[test]
    fn what_stands_in_quotes_says_nothing() {
        check(&[("cache-control", "x=\"a, no-store, y\", max-age=60")], Ok(Some(58)));
        check(&[("cache-control", "max-age=60, x=\"a")], Err(NotStoredReason::NoStore));
        check(&[("cache-control", "max-age=+60")], Err(NotStoredReason::Expired));
        check(&[("cache-control", "max-age=99999999999999999999999")], Ok(Some(SECONDS_MAX - 2)));
        check_request("GET", &[("cache-control", "x=\"a, no-store\"")], Ok(Wanted::Get));
    }

    /// RFC 9111, 4.2.1 and 4.2.3.
    #[test]
    fn what_has_gone_by_on_the_way_is_no_life() {
        let minute = ("cache-control", "max-age=60");
        check(&[minute, ("age", "50")], Ok(Some(8)));
        check(&[minute, ("age", "58")], Err(NotStoredReason::Expired));
        check(&[minute, ("age", "many")], Err(NotStoredReason::Expired));
        check(&[minute, ("date", "Fri, 20 Nov 2026 17:59:30 GMT")], Ok(Some(31)));
        // By the origin's clock, which is slow or fast, it has ten seconds.
        let until = ("expires", "Fri, 20 Nov 2026 18:10:10 GMT");
        check(&[until, ("date", "Fri, 20 Nov 2026 18:10:00 GMT")], Ok(Some(8)));
        let until = ("expires", "Fri, 20 Nov 2026 17:50:10 GMT");
        check(&[until, ("date", "Fri, 20 Nov 2026 17:50:00 GMT")], Err(NotStoredReason::Expired));
    }

    #[test]
    fn private_is_for_one_principal() {
        let private = [("cache-control", "private, max-age=5")];
        check(&private, Ok(Some(3)));
        for sharing in [Sharing::Tenant, Sharing::Public] {
            assert_eq!(judged(200, &private, sharing, false), Err(NotStoredReason::Private));
        }
    }

    #[test]
    fn must_revalidate_forbids_only_what_may_be_served_stale() {
        let headers = [("cache-control", "must-revalidate")];
        check(&headers, Ok(None));
        assert_eq!(judged(200, &headers, Sharing::PerPrincipal, true), Err(NotStoredReason::MustRevalidate));
    }

    #[test]
    fn what_varies_beyond_the_key_is_not_kept() {
        check(&[("vary", "Accept"), ("vary", " , accept")], Ok(None));
        check(&[("vary", "accept, *")], Err(NotStoredReason::VaryAny));
        check(&[("vary", "accept, origin")], Err(NotStoredReason::VaryUncounted));
        check(&[("vary", "cookie")], Err(NotStoredReason::VaryUncounted));
        check(&[("vary", "\u{e9}")], Err(NotStoredReason::VaryUncounted));
    }
}
