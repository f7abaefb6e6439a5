//! From a stored response of an origin to what the client gets: the origin's own head, with `Age`.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::Body;
use unstale::{Fetched, Verdict};

use super::{
    now,
    suit::{Sought, Suit},
};
use crate::{
    answer::{Asked, OWN_HEADERS, insert_content_range},
    body::CacheBody,
    conditional::Condition,
    decide::Wanted,
    groups::cache_groups,
    headers::{Account, CACHE_GROUPS, Kept as Keeping, X_CACHE_HITS, X_CACHE_MISSES},
    problem::Problem,
    range::Part,
    rfc9111::control::RequestControl,
    route::{Sharing, VARY},
    searches::Searched,
    shared::Shared,
    stored::StoredResponse,
    validator::Audience,
};

/// How a stored response came to be the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// It was there and fresh, or somebody else's request had brought it.
    Fresh,
    /// It was there and is not fresh; why it may be used.
    Stale(&'static str),
    /// This request brought it; why what was there would not do.
    Asked(Option<&'static str>),
    /// This request had it validated.
    Validated,
}

impl Came {
    pub(super) fn of(suit: Suit) -> Self {
        match suit {
            Suit::Stale(how) => Self::Stale(how.as_str()),
            _ => Self::Fresh,
        }
    }

    /// Whether it was not there already.
    fn is_new(self) -> bool {
        matches!(self, Self::Asked(_) | Self::Validated)
    }
}

impl Asked {
    /// What of the request counts for whether a stored response suits it.
    pub(crate) fn sought<'a>(
        &'a self,
        headers: &'a HeaderMap,
        control: &'a RequestControl,
        searched: Option<&'a Searched>,
    ) -> Sought<'a> {
        Sought { headers, control, wanted: self.wanted.unwrap_or(Wanted::Get), range: &self.range, searched }
    }

    /// The answer from a stored response of an origin, and how it came about; none if there is no such.
    pub(crate) fn of_origin<B: Body>(
        &self,
        shared: &Shared,
        fetched: &Fetched<StoredResponse>,
        sought: &Sought<'_>,
        came: Came,
    ) -> Option<(Response<CacheBody<B>>, Account)> {
        let stored = fetched.value()?;
        let kept = stored.origin()?;
        let age = kept.terms.age(now(shared));
        let account = self.account_of_origin(fetched, came, kept.terms.lifetime, age);
        let condition = if kept.status.is_success() { self.condition(stored) } else { Condition::Send };
        let mut response = match condition {
            Condition::Send => match (kept.part, kept.status) {
                (Some(held), _) => {
                    // What the origin has just given is given on, whatever the cache makes of the request's range.
                    let all = came.is_new().then_some(0..stored.body().len());
                    part(stored, sought.place(stored).or(all)?, held.first, held.whole)
                }
                (None, StatusCode::OK) => match self.range.part(stored.etag(), stored.body().len()) {
                    Part::Bytes(place) if self.wanted == Some(Wanted::Get) => {
                        part(stored, place, 0, stored.body().len() as u64)
                    }
                    Part::Unsatisfiable if self.wanted == Some(Wanted::Get) => {
                        let mut response = Problem::Unsatisfiable.response();
                        insert_content_range(&mut response, format!("bytes */{}", stored.body().len()));
                        response
                    }
                    _ => whole(stored, kept.status, self.wanted),
                },
                (None, status) => whole(stored, status, self.wanted),
            },
            Condition::NotModified => not_modified(stored),
            Condition::Failed => Problem::PreconditionFailed.response(),
        };
        let status = response.status();
        if matches!(status, StatusCode::PRECONDITION_FAILED | StatusCode::RANGE_NOT_SATISFIABLE)
            && status != kept.status
        {
            self.tell(shared, &account, &mut response);
            return Some((response, account));
        }
        self.finish_head_of_origin(shared, &mut response);
        let headers = response.headers_mut();
        // What the origin has just given has the age that the origin says.
        if !matches!(came, Came::Asked(_)) {
            headers.insert(header::AGE, HeaderValue::from(age));
        }
        let hits = if came.is_new() { 0 } else { stored.count_hit() };
        headers.insert(X_CACHE_HITS, HeaderValue::from(hits));
        headers.insert(X_CACHE_MISSES, HeaderValue::from(stored.misses()));
        if let Some(tenant) = self.tenant(shared) {
            let make = || cache_groups(&shared.groups, tenant, fetched.tags(), shared.limits.groups_max);
            if let Some(groups) = stored.groups(make) {
                headers.insert(CACHE_GROUPS, groups.clone());
            }
        }
        self.tell_served(shared, fetched);
        self.tell(shared, &account, &mut response);
        Some((response, account))
    }

    fn condition(&self, stored: &StoredResponse) -> Condition {
        let last_modified = stored.header(&header::LAST_MODIFIED);
        self.preconditions.evaluate_dated(stored.etag().as_bytes(), last_modified, stored.header(&header::DATE))
    }

    fn account_of_origin(&self, fetched: &Fetched<StoredResponse>, came: Came, lifetime: u64, age: u64) -> Account {
        let seconds = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let ttl = seconds(lifetime) - seconds(age);
        match (came, fetched.verdict) {
            (Came::Fresh, Verdict::Hit | Verdict::Stale(_)) => Account::Hit { ttl: ttl.max(0) },
            (Came::Stale(reason), _) => Account::Stale { ttl: ttl.min(0), reason },
            (Came::Validated, _) => Account::Validated { took: self.began.elapsed() },
            (_, Verdict::Bypass(reason)) => Account::Bypass { reason: reason.as_str() },
            (_, verdict) => {
                let status = fetched.value().and_then(StoredResponse::origin).map_or(200, |kept| kept.status.as_u16());
                let of_engine = verdict.reason().filter(|reason| !["absent", "unsuitable"].contains(reason));
                let told = if let Came::Asked(Some(reason)) = came { Some(reason) } else { of_engine };
                let kept =
                    fetched.not_stored.map_or(Keeping::Stored(told), |reason| Keeping::NotStored(reason.as_str()));
                Account::Miss { status, collapsed: fetched.collapsed, kept, took: self.began.elapsed() }
            }
        }
    }

    /// The answer from a response of an origin that was not kept, with its own head.
    pub(crate) async fn pass_of_origin<B: Body<Data = Bytes>>(
        &self,
        shared: &Shared,
        response: Response<CacheBody<B>>,
        account: &Account,
        fetched: Option<&Fetched<StoredResponse>>,
    ) -> Response<CacheBody<B>> {
        let response = if response.headers().contains_key(header::ETAG) {
            self.conditioned(response)
        } else if self.wanted != Some(Wanted::Head) && self.deserves_validator(&response, shared) {
            // Of a HEAD the origin has sent no bytes that could be told apart.
            self.validated(shared, response).await
        } else {
            response
        };
        self.passed(shared, response, account, fetched)
    }

    /// Judges a response by the request's conditions and its own validators; its body need not be read for that.
    fn conditioned<B: Body<Data = Bytes>>(&self, mut response: Response<CacheBody<B>>) -> Response<CacheBody<B>> {
        let headers = response.headers();
        let Some(etag) = headers.get(header::ETAG).filter(|_| response.status() == StatusCode::OK) else {
            return response;
        };
        let last_modified = headers.get(header::LAST_MODIFIED);
        match self.preconditions.evaluate_dated(etag.as_bytes(), last_modified, None) {
            Condition::Send => response,
            Condition::Failed => Problem::PreconditionFailed.response(),
            Condition::NotModified => {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::CONTENT_ENCODING] {
                    response.headers_mut().remove(name);
                }
                response.map(|_| CacheBody::empty())
            }
        }
    }

    /// Sets what the origin left open: how browsers keep the response, and that it depends on who asks.
    pub(crate) fn finish_head_of_origin<B>(&self, shared: &Shared, response: &mut Response<B>) {
        let Some(route) = self.route.map(|id| shared.routes.route(id)) else { return };
        let headers = response.headers_mut();
        for name in route.policy.groups_from.iter().map(|header| header.name()) {
            headers.remove(name);
        }
        if !headers.contains_key(header::CACHE_CONTROL) && !headers.contains_key(header::EXPIRES) {
            headers.insert(header::CACHE_CONTROL, self.cache_control.clone());
        }
        if route.policy.sharing != Sharing::Public
            && !headers.get_all(VARY).iter().any(|vary| vary == shared.routes.vary())
        {
            headers.append(VARY, shared.routes.vary().clone());
        }
    }

    /// In whose name the validator of a response is made.
    pub(super) fn audience(&self) -> Audience<'_> {
        self.identity.as_ref().filter(|_| !self.is_public).map_or(Audience::Anybody, Audience::Principal)
    }
}

/// A response with the stored head, whose body has (or would have) `length` bytes.
fn described<B: Body>(stored: &StoredResponse, status: StatusCode, body: CacheBody<B>) -> Response<CacheBody<B>> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let mut headers = HeaderMap::with_capacity(stored.headers().len() + OWN_HEADERS);
    for (name, value) in stored.headers() {
        headers.append(name.clone(), value.clone());
    }
    *response.headers_mut() = headers;
    insert_etag(&mut response, stored);
    response
}

/// The validator that was made for a response that had none; its own is among its headers.
fn insert_etag<B>(response: &mut Response<B>, stored: &StoredResponse) {
    if !response.headers().contains_key(header::ETAG) && *stored.etag() != StoredResponse::NO_ETAG {
        response.headers_mut().insert(header::ETAG, stored.etag().clone());
    }
}

fn whole<B: Body>(stored: &StoredResponse, status: StatusCode, wanted: Option<Wanted>) -> Response<CacheBody<B>> {
    let length = stored.body().len();
    let body = if wanted == Some(Wanted::Head) { CacheBody::empty() } else { CacheBody::full(stored.body().clone()) };
    let mut response = described(stored, status, body);
    if status != StatusCode::NO_CONTENT {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

/// RFC 9110, 15.3.7. The stored bytes begin at `first` of a whole of `complete` bytes.
fn part<B: Body>(
    stored: &StoredResponse,
    place: std::ops::Range<usize>,
    first: u64,
    complete: u64,
) -> Response<CacheBody<B>> {
    let (from, to) = (first + place.start as u64, first + place.end as u64 - 1);
    let bytes = stored.body().slice(place);
    let length = bytes.len();
    let mut response = described(stored, StatusCode::PARTIAL_CONTENT, CacheBody::full(bytes));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    insert_content_range(&mut response, format!("bytes {from}-{to}/{complete}"));
    response
}

/// What a 304 says again (RFC 9110, 15.4.5).
const SAID_AGAIN: [HeaderName; 5] =
    [header::CACHE_CONTROL, header::CONTENT_LOCATION, header::DATE, header::EXPIRES, header::VARY];

fn not_modified<B: Body>(stored: &StoredResponse) -> Response<CacheBody<B>> {
    let mut response = Response::new(CacheBody::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    let mut headers = HeaderMap::with_capacity(OWN_HEADERS + SAID_AGAIN.len());
    for (name, value) in stored.headers().iter().filter(|(name, _)| SAID_AGAIN.contains(name)) {
        headers.append(name.clone(), value.clone());
    }
    *response.headers_mut() = headers;
    insert_etag(&mut response, stored);
    response
}
