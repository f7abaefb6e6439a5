//! From what the cache or the service brought to the response that the client gets.

use std::{ops::Range, time::Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::Body;
use unstale::{Fetched, Tenant, Timestamp, Verdict};

use crate::{
    body::{CacheBody, collect},
    conditional::{Condition, Preconditions},
    decide::Wanted,
    groups::cache_groups,
    headers::{
        self, Account, CACHE_GROUPS, Kept, Seconds, WRITTEN_POSITION, X_CACHE, X_CACHE_HITS, X_CACHE_MISSES, number,
    },
    identity::Identity,
    position::{self, Written},
    problem::Problem,
    range::{Part, WantedRange},
    ready::{self, Differing, Form, ReadyHit},
    route::{REVALIDATE, RouteId, VARY},
    served::{Answered, CacheVerdict},
    shared::Shared,
    stored::StoredResponse,
    validator::Audience,
};

/// An answer from what was kept.
pub(crate) enum Found<B: Body> {
    /// It is made only if somebody wants it: who sends it may have no need of it.
    Ready(Box<ReadyHit>),
    Made(Box<Response<CacheBody<B>>>),
}

impl<B: Body> Found<B> {
    pub(crate) fn response(self) -> Response<CacheBody<B>> {
        match self {
            Self::Ready(hit) => hit.response(),
            Self::Made(response) => *response,
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Ready(hit) => hit.status(),
            Self::Made(response) => response.status(),
        }
    }
}

/// What is remembered of a request until it is answered.
#[allow(clippy::struct_excessive_bools, reason = "each says something else of the request")]
pub(crate) struct Asked {
    pub(crate) route: Option<RouteId>,
    /// A read of a route whose lifetimes are the origin's.
    pub(crate) is_origin: bool,
    pub(crate) cache_control: HeaderValue,
    /// For how many seconds the browser need not ask, if that is what `cache_control` says.
    pub(crate) browser_max_age: Option<u64>,
    pub(crate) identity: Option<Identity>,
    /// Whether the answer is for everybody.
    pub(crate) is_public: bool,
    pub(crate) preconditions: Preconditions,
    pub(crate) range: WantedRange,
    pub(crate) is_get: bool,
    pub(crate) is_read: bool,
    /// The validator of what is passed on is that of what is kept.
    pub(crate) as_kept: bool,
    /// The head says what the cache did.
    pub(crate) tells: bool,
    /// Somebody outside of the layer may encode the answer.
    pub(crate) takes_encoded: bool,
    /// What a request that may be looked up wants.
    pub(crate) wanted: Option<Wanted>,
    pub(crate) began: Instant,
}

/// Names in the head of a response that the layer sets, besides those it stored.
pub(crate) const OWN_HEADERS: usize = 11;

impl Asked {
    /// The answer from what the cache brought, and how it came about; none if it brought no response.
    pub(crate) fn stored<B: Body>(
        &self,
        shared: &Shared,
        fetched: &Fetched<StoredResponse>,
    ) -> Option<(Found<B>, Account)> {
        let stored = fetched.value()?;
        let now = shared.cache.now();
        let account = self.account(fetched, now);
        let age = stored.age(now.as_millis() / 1000);
        let condition = if self.preconditions.is_empty() {
            Condition::Send
        } else {
            self.preconditions.evaluate(stored.etag().as_bytes(), stored.header(&header::LAST_MODIFIED))
        };
        let part = match condition {
            Condition::Send => self.range.part(stored.etag(), stored.body().len()),
            Condition::NotModified | Condition::Failed => Part::Whole,
        };
        let form = match (&condition, &part, &account) {
            (Condition::Send, Part::Whole, Account::Hit { .. }) => Some(Form::Whole),
            (Condition::NotModified, _, Account::Hit { .. }) => Some(Form::NotModified),
            _ => None,
        };
        let form = form.filter(|_| self.tells);
        if let Some(hit) = form.and_then(|form| self.ready(shared, stored, &account, form, age)) {
            self.tell_served(shared, fetched);
            self.tell_observers(shared, &account, hit.status());
            return Some((Found::Ready(hit), account));
        }
        let mut response = match (condition, part) {
            (Condition::Send, Part::Whole) => self.whole(stored),
            (Condition::Send, Part::Bytes(part)) => partial(stored, part),
            (Condition::Send, Part::Unsatisfiable) => unsatisfiable(stored),
            (Condition::NotModified, _) => not_modified(stored),
            (Condition::Failed, _) => Problem::PreconditionFailed.response(),
        };
        if response.status().is_client_error() {
            self.tell(shared, &account, &mut response);
            return Some((Found::Made(Box::new(response)), account));
        }
        let passed_on = matches!(account, Account::Hit { .. } | Account::Stale { .. });
        let hits = if passed_on { stored.count_hit() } else { 0 };
        let headers = response.headers_mut();
        headers.insert(header::ETAG, stored.etag().clone());
        // What is stale must not get another life in the browser.
        let is_stale = matches!(account, Account::Stale { .. });
        let control = if is_stale { REVALIDATE } else { self.control_at(age).unwrap_or(self.cache_control.clone()) };
        headers.insert(header::CACHE_CONTROL, control);
        headers.insert(VARY, shared.routes.vary().clone());
        // What has just been made is of no age.
        if let Some(age) = age.filter(|age| passed_on || *age > 0) {
            headers.insert(header::AGE, headers::age(age));
        }
        headers.insert(X_CACHE_HITS, number(hits));
        headers.insert(X_CACHE_MISSES, number(stored.misses()));
        if let Some(tenant) = self.tenant(shared) {
            let make = || cache_groups(&shared.groups, tenant, fetched.tags(), shared.limits.groups_max);
            if let Some(groups) = stored.groups(make) {
                headers.insert(CACHE_GROUPS, groups.clone());
            }
        }
        self.tell_served(shared, fetched);
        self.tell(shared, &account, &mut response);
        if let Some(form) = form.filter(|_| hits >= ready::HITS_MIN && self.tenant(shared).is_some()) {
            let head = (response.headers(), response.body().whole().map_or(0, Bytes::len));
            stored.ready().keep(&shared.heads, form, head, &self.cache_control, shared.routes.vary());
        }
        Some((Found::Made(Box::new(response)), account))
    }

    /// The answer to a hit, if its head is there already.
    fn ready(
        &self,
        shared: &Shared,
        stored: &StoredResponse,
        account: &Account,
        form: Form,
        age: Option<u64>,
    ) -> Option<Box<ReadyHit>> {
        let ready = stored.ready().get(form, &self.cache_control, shared.routes.vary())?;
        self.tenant(shared)?;
        let has_body = form == Form::Whole && self.wanted != Some(Wanted::Head);
        Some(Box::new(ReadyHit {
            ready: ready.clone(),
            form,
            differing: Differing {
                cache_control: self.control_at(age),
                age: age.map(headers::age),
                hits: number(stored.count_hit()),
                status: account.status(),
            },
            body: if has_body { stored.body().clone() } else { Bytes::new() },
            encoded: (form == Form::Whole && self.takes_encoded).then(|| stored.encoded().clone()),
        }))
    }

    /// `Cache-Control` of an answer that is so old, where that says something else than of a new one: a browser counts `max-age`
    /// from when an answer was made, and the route from when it is given.
    fn control_at(&self, age: Option<u64>) -> Option<HeaderValue> {
        let (max_age, age) = (self.browser_max_age?, age?);
        Some(headers::browser_max_age(max_age.saturating_add(age)))
    }

    fn whole<B: Body>(&self, stored: &StoredResponse) -> Response<CacheBody<B>> {
        let mut response = whole(stored, self.wanted);
        if self.takes_encoded {
            response.extensions_mut().insert(stored.encoded().clone());
        }
        response
    }

    /// In which tenant's groups the answer is.
    pub(crate) fn tenant<'a>(&'a self, shared: &'a Shared) -> Option<&'a Tenant> {
        if self.is_public { Some(&shared.public_tenant) } else { self.identity.as_ref().map(Identity::tenant) }
    }

    /// Tells the observers what the principal was given. What is for everybody is of another tenant's log than the
    /// principal's, in which nobody listens.
    pub(crate) fn tell_served(&self, shared: &Shared, fetched: &Fetched<StoredResponse>) {
        if let Some(identity) = self.identity.as_ref().filter(|_| !self.is_public) {
            shared.observers.served(identity, fetched.tags(), fetched.base());
        }
    }

    fn account(&self, fetched: &Fetched<StoredResponse>, now: Timestamp) -> Account {
        let ttl = seconds(fetched.expires_at(), now);
        match fetched.verdict {
            Verdict::Hit => Account::Hit { ttl },
            Verdict::Stale(reason) => Account::Stale { ttl: ttl.min(0), reason: reason.as_str() },
            Verdict::Bypass(reason) => Account::Bypass { reason: reason.as_str() },
            Verdict::Miss(reason) => {
                let told = (reason != unstale::MissReason::Absent).then(|| reason.as_str());
                let kept = fetched.not_stored.map_or(Kept::Stored(told), |reason| Kept::NotStored(reason.as_str()));
                Account::Miss { status: 200, collapsed: fetched.collapsed, kept, took: self.began.elapsed() }
            }
        }
    }

    /// As [`passed`](Self::passed), with a validator where the response deserves one.
    pub(crate) async fn pass<B: Body<Data = Bytes>>(
        &self,
        shared: &Shared,
        response: Response<CacheBody<B>>,
        account: &Account,
        fetched: Option<&Fetched<StoredResponse>>,
    ) -> Response<CacheBody<B>> {
        if self.is_origin {
            return self.pass_of_origin(shared, response, account, fetched).await;
        }
        let deserves = self.deserves_validator(&response, shared);
        let response = if deserves { self.validated(shared, response).await } else { response };
        self.passed(shared, response, account, fetched)
    }

    /// The answer from a response of the service that was not kept; `fetched` knows what it was seen to read.
    pub(crate) fn passed<B: Body<Data = Bytes>>(
        &self,
        shared: &Shared,
        mut response: Response<CacheBody<B>>,
        account: &Account,
        fetched: Option<&Fetched<StoredResponse>>,
    ) -> Response<CacheBody<B>> {
        self.finish_head(shared, &mut response);
        if self.is_read {
            let misses = u64::from(matches!(account, Account::Miss { .. }));
            response.headers_mut().insert(X_CACHE_HITS, number(0));
            response.headers_mut().insert(X_CACHE_MISSES, number(misses));
        }
        if self.wanted == Some(Wanted::Head) {
            // To an origin it was a HEAD: its bytes are not there to be counted.
            response = if self.is_origin { response.map(|_| CacheBody::empty()) } else { beheaded(response) };
        }
        let known = self.tenant(shared).zip(fetched).filter(|_| is_data(response.status()));
        if let Some((tenant, fetched)) = known {
            let groups = cache_groups(&shared.groups, tenant, fetched.tags(), shared.limits.groups_max);
            if let Some(groups) = groups {
                response.headers_mut().insert(CACHE_GROUPS, groups);
            }
            self.tell_served(shared, fetched);
        }
        self.tell(shared, account, &mut response);
        response
    }

    /// Whether a response that is passed on is to get a validator and be judged by the request's conditions: only
    /// what is known to be short, so that no stream is held up.
    pub(crate) fn deserves_validator<B: Body>(&self, response: &Response<B>, shared: &Shared) -> bool {
        let no_store = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains("no-store"));
        (self.is_get || self.wanted.is_some())
            && (self.route.is_some() || shared.validates_unrouted)
            && response.status() == StatusCode::OK
            && !response.headers().contains_key(header::SET_COOKIE)
            && !response.headers().get_all(header::CACHE_CONTROL).iter().any(no_store)
            && response.body().size_hint().exact().is_some_and(|length| length <= shared.limits.body_bytes_max as u64)
    }

    /// Gives a response its validator, and judges it by the request's conditions.
    pub(crate) async fn validated<B: Body<Data = Bytes>>(
        &self,
        shared: &Shared,
        response: Response<CacheBody<B>>,
    ) -> Response<CacheBody<B>> {
        let (mut head, body) = response.into_parts();
        let collected = match body.into_inner() {
            Ok(body) => collect(body, shared.limits.body_bytes_max).await.map_err(|(body, _)| body),
            Err(body) => Err(body),
        };
        let bytes = match collected {
            Ok(bytes) => bytes,
            Err(body) => return Response::from_parts(head, body),
        };
        let identity = self.identity.as_ref().filter(|_| !self.is_public);
        let kept_for = self.route.filter(|_| self.as_kept).map(|id| shared.routes.route(id).policy.sharing);
        let audience = match (identity, kept_for) {
            (None, _) => Audience::Anybody,
            (Some(identity), None) => Audience::Principal(identity),
            (Some(identity), Some(sharing)) => Audience::of(identity, sharing),
        };
        let etag = shared.validators.validator(audience, &head.headers, &bytes);
        let condition = self.preconditions.evaluate(etag.as_bytes(), head.headers.get(header::LAST_MODIFIED));
        head.headers.insert(header::ETAG, etag);
        let body = match condition {
            Condition::Send => CacheBody::full(bytes),
            Condition::Failed => return Problem::PreconditionFailed.response(),
            Condition::NotModified => {
                head.status = StatusCode::NOT_MODIFIED;
                for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::CONTENT_ENCODING] {
                    head.headers.remove(name);
                }
                CacheBody::empty()
            }
        };
        Response::from_parts(head, body)
    }

    /// Sets what a response that is passed on does not say for itself.
    fn finish_head<B>(&self, shared: &Shared, response: &mut Response<B>) {
        let status = response.status();
        if let Some(written) = response.extensions().get::<Written>().map(position::header) {
            response.headers_mut().insert(WRITTEN_POSITION, written);
        }
        if self.is_origin {
            return self.finish_head_of_origin(shared, response);
        }
        let headers = response.headers_mut();
        // Groups are told in their opaque form or not at all.
        for header in self.route.iter().flat_map(|id| &shared.routes.route(*id).policy.groups_from) {
            headers.remove(header.name());
        }
        if !headers.contains_key(header::CACHE_CONTROL) && status != StatusCode::SWITCHING_PROTOCOLS {
            let control = if self.is_read && is_data(status) {
                self.cache_control.clone()
            } else {
                HeaderValue::from_static("no-store")
            };
            headers.insert(header::CACHE_CONTROL, control);
        }
        if self.is_read && !headers.get_all(VARY).iter().any(|vary| vary == shared.routes.vary()) {
            headers.append(VARY, shared.routes.vary().clone());
        }
    }

    /// Writes the account into the head and tells the observers.
    pub(crate) fn tell<B>(&self, shared: &Shared, account: &Account, response: &mut Response<B>) {
        if self.tells {
            account.tell(response.headers_mut());
        } else {
            for name in [X_CACHE, X_CACHE_HITS, X_CACHE_MISSES] {
                response.headers_mut().remove(name);
            }
            response.extensions_mut().insert(CacheVerdict(account.verdict()));
        }
        self.tell_observers(shared, account, response.status());
    }

    fn tell_observers(&self, shared: &Shared, account: &Account, status: StatusCode) {
        if shared.observers.0.is_empty() {
            return;
        }
        shared.observers.answered(&Answered {
            entity: self.route.map_or("-", |id| &shared.routes.route(id).policy.entity),
            verdict: account.verdict(),
            reason: account.reason(),
            status,
            fresh_for: account.fresh_for(),
            elapsed: self.began.elapsed(),
        });
    }

    /// The answer to a request that takes only what is stored, where nothing is.
    pub(crate) fn not_stored<B: Body>(&self, shared: &Shared) -> Response<CacheBody<B>> {
        self.problem(shared, Problem::NotStored, "only-if-cached")
    }

    /// An answer of the layer's own.
    pub(crate) fn problem<B: Body>(
        &self,
        shared: &Shared,
        problem: Problem,
        reason: &'static str,
    ) -> Response<CacheBody<B>> {
        let mut response = problem.response();
        self.tell(shared, &Account::Bypass { reason }, &mut response);
        response
    }
}

fn whole<B: Body>(stored: &StoredResponse, wanted: Option<Wanted>) -> Response<CacheBody<B>> {
    described(stored, whole_body(stored, wanted), stored.body().len())
}

fn whole_body<B: Body>(stored: &StoredResponse, wanted: Option<Wanted>) -> CacheBody<B> {
    if wanted == Some(Wanted::Head) { CacheBody::empty() } else { CacheBody::full(stored.body().clone()) }
}

/// RFC 9110, 15.3.7.
fn partial<B: Body>(stored: &StoredResponse, part: Range<usize>) -> Response<CacheBody<B>> {
    let content_range = format!("bytes {}-{}/{}", part.start, part.end - 1, stored.body().len());
    let bytes = stored.body().slice(part);
    let length = bytes.len();
    let mut response = described(stored, CacheBody::full(bytes), length);
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    insert_content_range(&mut response, content_range);
    response
}

/// RFC 9110, 15.5.17.
fn unsatisfiable<B: Body>(stored: &StoredResponse) -> Response<CacheBody<B>> {
    let mut response = Problem::Unsatisfiable.response();
    insert_content_range(&mut response, format!("bytes */{}", stored.body().len()));
    response
}

pub(crate) fn insert_content_range<B>(response: &mut Response<B>, content_range: String) {
    let value = HeaderValue::try_from(content_range).expect("words and digits make a header");
    response.headers_mut().insert(header::CONTENT_RANGE, value);
}

/// A response with the stored headers, whose body has (or would have) `length` bytes.
fn described<B: Body>(stored: &StoredResponse, body: CacheBody<B>, length: usize) -> Response<CacheBody<B>> {
    let mut response = Response::new(body);
    let mut headers = HeaderMap::with_capacity(stored.headers().len() + OWN_HEADERS);
    for (name, value) in stored.headers() {
        headers.append(name.clone(), value.clone());
    }
    // Said explicitly, because a HEAD's empty body does not tell.
    headers.insert(header::CONTENT_LENGTH, number(length as u64));
    *response.headers_mut() = headers;
    response
}

/// RFC 9110, 15.4.5: what a cache needs to go on using its copy, and nothing that describes a body.
fn not_modified<B: Body>(stored: &StoredResponse) -> Response<CacheBody<B>> {
    let mut response = Response::new(CacheBody::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    let mut headers = HeaderMap::with_capacity(OWN_HEADERS + 2);
    for name in [header::CONTENT_LOCATION, header::DATE] {
        if let Some(value) = stored.header(&name) {
            headers.insert(name, value.clone());
        }
    }
    *response.headers_mut() = headers;
    response
}

/// Takes the body away and leaves what the head says about it.
pub(crate) fn beheaded<B: Body<Data = Bytes>>(response: Response<CacheBody<B>>) -> Response<CacheBody<B>> {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact().filter(|_| !head.headers.contains_key(header::CONTENT_LENGTH)) {
        head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(head, CacheBody::empty())
}

fn is_data(status: StatusCode) -> bool {
    status.is_success() || status == StatusCode::NOT_MODIFIED
}

fn seconds(until: Timestamp, now: Timestamp) -> Seconds {
    let (until, now) = (until.as_millis(), now.as_millis());
    let whole = |millis: u64| Seconds::try_from(millis / 1000).unwrap_or(Seconds::MAX);
    if until >= now { whole(until - now) } else { -whole((now - until).saturating_add(999)) }
}
