//! What may be looked up and what may be stored: pure decisions over heads of messages, with their reasons.
//!
//! What the origin said binds: a route's policy can only shorten the life of what an origin gave.

use std::{fmt, time::Duration};

use http::{HeaderMap, HeaderName, Method, StatusCode, header, request};

use crate::{
    headers::WRITTEN_POSITION,
    notable::Notable,
    rfc9111::{
        age::{age_value, initial_age},
        freshness,
    },
    route::{Sharing, VARY},
};

/// Why a request is passed on without a look at the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BypassReason {
    /// Nobody was verified.
    NoIdentity,
    /// No route covers the path, or its policy keeps nothing.
    Route,
    /// The route was switched off.
    Off,
    /// The identity's tenant is the one that public responses are kept in.
    PublicTenant,
    /// Neither GET nor HEAD.
    Method,
    /// The request says `no-store`.
    NoStore,
    /// The request has a body, which is no part of the key.
    RequestBody,
    /// The request wants another protocol.
    Upgrade,
    /// The request wants to be read as another method or URL.
    OverrideHeader,
    /// Servers read the URL in more than one way.
    Url,
    /// The URL is longer than the limit.
    UrlTooLong,
    /// The request is marked as [`Uncached`](crate::Uncached).
    Uncached,
    /// The cache itself could not take part.
    Engine,
}

/// Why a response is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStoredReason {
    /// Its status is not 200.
    Status,
    /// The origin said `no-store`.
    NoStore,
    /// The origin said `no-cache`.
    NoCache,
    /// The origin said `private`, and the route shares.
    Private,
    /// The origin said `must-revalidate`, and the policy may serve stale.
    MustRevalidate,
    /// The origin gave it no life.
    Expired,
    /// It sets a cookie.
    SetCookie,
    /// It varies on everything.
    VaryAny,
    /// It varies on a request header that is no part of the key.
    VaryUncounted,
    /// It is a stream of events.
    EventStream,
    /// Its body is larger than the limit.
    TooLarge,
    /// Its headers are larger than the limit.
    HeadersTooLarge,
    /// It has trailers.
    Trailers,
    /// A write was made while it was produced.
    Written,
    /// Its body broke off.
    BodyFailed,
    /// Its status is not one that is known, and the origin says that it must be.
    NotUnderstood,
    /// The request said `no-store`.
    RequestNoStore,
    /// It answers an `Authorization`, and the origin does not say that others may have it.
    Authorization,
    /// The origin gave it no life, and nothing to validate it by or a status of which nothing may be assumed.
    NoLifetime,
    /// It answers a HEAD, and so has no body.
    Head,
    /// It is a part that was not asked for.
    Unasked,
    /// It names more groups than the limit.
    TooManyGroups,
    /// It names a group that is longer than the limit.
    GroupTooLong,
    /// The header that names its groups cannot be read.
    BadGroups,
}

impl NotStoredReason {
    /// Whether the origin has said that nobody, or no other, may have what it answers with.
    pub(crate) fn is_of_origin(self) -> bool {
        matches!(self, Self::NoStore | Self::Private | Self::SetCookie | Self::VaryAny | Self::Authorization)
    }
}

macro_rules! reasons {
    ($type:ident: $($variant:ident => $text:literal),* $(,)?) => {
        impl $type {
            /// The reason as a short stable word, for headers and metrics.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

reasons!(BypassReason: NoIdentity => "no-identity", Route => "route", Off => "off", PublicTenant => "public-tenant", Method => "method", NoStore => "no-store",
    RequestBody => "request-body", Upgrade => "upgrade", OverrideHeader => "override-header", Url => "url",
    UrlTooLong => "url-too-long", Uncached => "uncached", Engine => "engine");
reasons!(NotStoredReason: Status => "status", NoStore => "origin-no-store", NoCache => "origin-no-cache",
    Private => "origin-private", MustRevalidate => "origin-must-revalidate", Expired => "origin-expired",
    SetCookie => "set-cookie", VaryAny => "vary-any", VaryUncounted => "vary-uncounted", EventStream => "event-stream",
    TooLarge => "too-large", HeadersTooLarge => "headers-too-large", Trailers => "trailers", Written => "written",
    BodyFailed => "body-failed", TooManyGroups => "too-many-groups", GroupTooLong => "group-too-long",
    BadGroups => "bad-groups", NotUnderstood => "not-understood", RequestNoStore => "request-no-store",
    Authorization => "authorization", NoLifetime => "no-lifetime", Head => "head",
    Unasked => "unasked");

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

/// Request headers by which some servers read a request as one of another method.
pub(crate) const METHOD_OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// Request headers by which some servers read a request as one of another URL.
pub(crate) const URL_OVERRIDES: [&str; 5] =
    ["x-original-url", "x-rewrite-url", "x-original-uri", "x-original-path", "x-envoy-original-path"];

/// Whether a server may read a request as one of another method: then it is a write, whatever it says it is.
pub fn may_be_another_method(headers: &HeaderMap) -> bool {
    names_one_of(headers, &METHOD_OVERRIDES)
}

/// Whether a request has one of these headers, which nearly none has: a look at its names costs less than asking the
/// map for each.
fn names_one_of(headers: &HeaderMap, rare: &[&str]) -> bool {
    headers.keys().map(HeaderName::as_str).any(|name| name.starts_with("x-") && rare.contains(&name))
}

/// Whether some servers read a request with a field of this name as one of another method or URL.
pub(crate) fn is_override(name: &str) -> bool {
    METHOD_OVERRIDES.contains(&name) || URL_OVERRIDES.contains(&name)
}

/// The paths and queries of other URLs that a server may read a request as one of.
pub(crate) fn urls_in_headers(headers: &HeaderMap) -> impl Iterator<Item = (&str, Option<&str>)> {
    let values = URL_OVERRIDES.iter().flat_map(|name| headers.get_all(*name)).filter_map(|value| value.to_str().ok());
    values.map(|url| {
        let absolute = url.split_once("://").filter(|(scheme, _)| !scheme.contains(['/', '?']));
        let local = absolute.map_or(url, |(_, rest)| rest.find(['/', '?']).map_or("/", |at| &rest[at..]));
        match local.split_once('?') {
            Some(("", query)) => ("/", Some(query)),
            Some((path, query)) => (path, Some(query)),
            None => (local, None),
        }
    })
}

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
    if notable.directives
        && directives(headers, &header::CACHE_CONTROL).any(|(name, _)| name.eq_ignore_ascii_case("no-store"))
    {
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

/// Whether a response is a stream of events, which ends when somebody goes away.
pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.as_bytes().get(..17));
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
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
    let mut life: Option<u64> = None;
    for (name, value) in directives(headers, &header::CACHE_CONTROL) {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        if is("no-store") {
            return Err(NotStoredReason::NoStore);
        } else if is("no-cache") {
            return Err(NotStoredReason::NoCache);
        } else if is("private") && allowed.sharing != Sharing::PerPrincipal {
            return Err(NotStoredReason::Private);
        } else if allowed.may_serve_stale && (is("must-revalidate") || is("proxy-revalidate")) {
            return Err(NotStoredReason::MustRevalidate);
        } else if is("max-age") || is("s-maxage") {
            // What is no number is no life (RFC 9111, 4.2.1, encourages to take it as stale).
            let given = value.and_then(|value| value.trim_matches('"').parse().ok()).unwrap_or(0);
            life = Some(life.map_or(given, |life| life.min(given)));
        }
    }
    if life.is_none() {
        life = headers.contains_key(header::EXPIRES).then(|| {
            let dated = freshness::date(headers, &header::DATE).unwrap_or(at);
            freshness::date(headers, &header::EXPIRES).map_or(0, |expires| expires.saturating_sub(dated))
        });
    }
    let Some(life) = life else { return Ok(None) };
    match life.saturating_sub(age_at(headers, at, delay)) {
        0 => Err(NotStoredReason::Expired),
        left => Ok(Some(Duration::from_secs(left))),
    }
}

/// How old a response was when it was received (RFC 9111, 4.2.3).
pub(crate) fn age_at(headers: &HeaderMap, at: u64, delay: u64) -> u64 {
    initial_age(age_value(headers), freshness::date(headers, &header::DATE), at, delay)
}

/// The directives of all lines of a header, with what follows `=`.
fn directives<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
    // A line that is no text says `no-store`, as far as we are to know.
    let lines = headers.get_all(name).into_iter().map(|line| line.to_str().unwrap_or("no-store"));
    lines.flat_map(|line| line.split(',')).map(|directive| match directive.split_once('=') {
        Some((name, value)) => (name.trim(), Some(value.trim())),
        None => (directive.trim(), None),
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};

    use super::*;

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

    #[test]
    fn few_headers_make_it_another_method() {
        let lines = |name| crate::rfc9111::testing::headers(&[("accept", "*/*"), ("x-a", "b"), (name, "PUT")]);
        for name in METHOD_OVERRIDES {
            assert!(may_be_another_method(&lines(name)), "{name}");
        }
        for name in ["x-http-methods", "x-original-url", "method"] {
            assert!(!may_be_another_method(&lines(name)), "{name}");
        }
    }

    #[test]
    fn a_header_may_name_another_url() {
        let check = |value: &str, expected| {
            for name in URL_OVERRIDES {
                let headers = crate::rfc9111::testing::headers(&[("host", "a"), (name, value)]);
                assert_eq!(urls_in_headers(&headers).collect::<Vec<_>>(), [expected], "{name}: {value}");
            }
        };
        check("/a", ("/a", None));
        check("/a?b=1", ("/a", Some("b=1")));
        check("http://host/a?b", ("/a", Some("b")));
        check("https://host", ("/", None));
        check("https://host?b=/c", ("/", Some("b=/c")));
        // What stands in the query is no scheme.
        check("/a?to=http://host/b", ("/a", Some("to=http://host/b")));
        check("/a://b/c", ("/a://b/c", None));
        let both =
            crate::rfc9111::testing::headers(&[("x-rewrite-url", "/b"), ("x-original-url", "/a"), ("x-a", "/c")]);
        assert_eq!(urls_in_headers(&both).collect::<Vec<_>>(), [("/a", None), ("/b", None)]);
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
