//! What an origin has answered: what the cache may have of it, on which terms, and what it depends on.

use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use http_body::Body;
use unstale::{Cached, Loaded, Tag};

use super::{
    asking::{Asking, validators},
    kept::Kept,
    seeker::{Seeker, locked},
};
use crate::{
    body::{CacheBody, collect},
    decide::Wanted,
    position::Written,
    problem::Problem,
    reasons::NotStoredReason,
    rfc9111::{
        Received, Terms,
        no_vary_search::Search,
        partial::Held,
        storing::{self, Keeper, may_keep},
        targeted,
        update::{self, Fields},
        validation::{self, Validated},
        vary,
    },
    route::Sharing,
    stored::StoredResponse,
};

/// What became of an answer.
pub(super) enum Brought<B: Body> {
    /// It, or what it confirmed, goes into the cache.
    Kept(Box<Loaded<StoredResponse>>),
    /// It is the caller's alone; and what it depends on.
    Passed(Box<Response<CacheBody<B>>>, NotStoredReason, Vec<Tag>),
    /// The origin failed, and what is stored may stand in.
    Failed(Box<Response<CacheBody<B>>>),
}

/// The circumstances of an answer.
pub(super) struct Arrived<'a> {
    pub(super) seeker: &'a Seeker,
    pub(super) target: Uri,
    pub(super) at: u64,
    pub(super) delay: u64,
}

/// What is to be kept, if it may be.
struct Candidate {
    status: StatusCode,
    fields: Fields,
    /// The whole head: the fields, and what counts of those that are not kept.
    headers: HeaderMap,
    /// It answers its request's range and no other.
    is_for_its_range: bool,
}

impl Arrived<'_> {
    /// Reads what came: it goes into the cache, or to the caller alone, or what is stored stands in for it.
    pub(super) async fn read<B: Body<Data = Bytes>>(
        &self,
        response: Response<B>,
        asking: Asking,
        old: Option<&Cached<StoredResponse>>,
    ) -> Brought<B> {
        let (head, body) = response.into_parts();
        let status = head.status;
        let seeker = self.seeker;
        let is_written = head.extensions.get::<Written>().is_some();
        if let (Asking::Validating(old), Validated::Good) = (&asking, validation::read(status)) {
            return self.freshened(old, &head.headers);
        }
        let stands_in = old.is_some_and(|old| seeker.sought().may_stand_in(old, self.at));
        if validation::read(status) == Validated::Failed && stands_in {
            return Brought::Failed(Box::new(Response::from_parts(head, CacheBody::inner(body))));
        }
        if seeker.asked.wanted == Some(Wanted::Head) {
            let same = old.filter(|old| old.origin().is_some_and(|kept| kept.part.is_none() && kept.status == status));
            // What a write has declared wrong is not right because nothing speaks against it.
            let same = same.filter(|old| !old.is_outdated() || has_tag_of(&head.headers, old));
            if let Some(old) = same.filter(|old| update::is_of_same(described(old), &head.headers)) {
                return self.freshened(old, &head.headers);
            }
            let response = Response::from_parts(head, CacheBody::inner(body));
            return Brought::Passed(Box::new(response), NotStoredReason::Head, Vec::new());
        }
        let (control, _) = targeted::control(&head.headers, &seeker.read.lifetime.targeted());
        let fields = update::kept(&head.headers, &control, self.is_shared());
        *locked(&seeker.once) = update::given_once(&head.headers, &control, self.is_shared());
        let mut candidate = Candidate { status, fields, headers: head.headers.clone(), is_for_its_range: false };
        let judged = if is_written { Err(NotStoredReason::Written) } else { self.judge(&candidate) };
        let (terms, tags) = match judged {
            Ok(judged) => judged,
            Err(reason) => {
                let (tags, _) = self.tags(&head.headers);
                return Brought::Passed(Box::new(Response::from_parts(head, CacheBody::inner(body))), reason, tags);
            }
        };
        let body = match collect(body, seeker.shared.limits.body_bytes_max).await {
            Ok(body) => body,
            Err((body, reason)) => {
                return Brought::Passed(Box::new(Response::from_parts(head, body)), reason, tags);
            }
        };
        let mut part = Held::of(status, &candidate.headers, body.len());
        // A part that cannot be cut is for those who ask for the very same.
        candidate.is_for_its_range = status == StatusCode::PARTIAL_CONTENT && part.is_none();
        let mut body = body;
        if let (Asking::Completing(old, before), Some(rest)) = (&asking, part)
            && has_tag_of(&head.headers, old)
            && let Some(joined) = before.joined(&rest)
        {
            body = joined.bytes(old.body(), &body).into();
            candidate.fields = update::freshened(old.headers(), candidate.fields, &control, self.is_shared());
            part = Some(joined.held);
        }
        if matches!(asking, Asking::Completing(..)) && part.is_some_and(|held| !held.is_whole()) {
            // A part of something else, against the request's word (RFC 9110, 13.1.5): of no use to anybody.
            return Brought::Passed(Box::new(Problem::NoAnswer.response()), NotStoredReason::Unasked, tags);
        }
        if part.is_some_and(|held| held.is_whole()) {
            part = None;
            candidate.status = StatusCode::OK;
        }
        let is_cut = status == StatusCode::PARTIAL_CONTENT && !candidate.is_for_its_range;
        candidate.fields.retain(|(name, _)| *name != header::CONTENT_RANGE || !is_cut);
        Brought::Kept(Box::new(self.loaded(candidate, terms, tags, part, body)))
    }

    /// A stored response that an answer has confirmed.
    fn freshened<B: Body<Data = Bytes>>(&self, old: &StoredResponse, answer: &HeaderMap) -> Brought<B> {
        let seeker = self.seeker;
        let kept = old.origin().expect("a response of an origin was asked for");
        seeker.validated.store(true, Relaxed);
        let (control, _) = targeted::control(answer, &seeker.read.lifetime.targeted());
        let mut said = update::kept(answer, &control, self.is_shared());
        if !answer.contains_key(header::DATE) && old.header(&header::DATE).is_some() {
            // Without a date it is of when it was received (RFC 9110, 6.6.1).
            said.push((header::DATE, date(self.at)));
        }
        let fields = update::freshened(old.headers(), said, &control, self.is_shared());
        let mut headers: HeaderMap = HeaderMap::with_capacity(fields.len() + 1);
        for (name, value) in &fields {
            headers.append(name.clone(), value.clone());
        }
        for age in answer.get_all(header::AGE) {
            headers.append(header::AGE, age.clone());
        }
        let candidate = Candidate { status: kept.status, fields, headers, is_for_its_range: kept.is_for_its_range() };
        match self.judge(&candidate) {
            Ok((terms, tags)) => Brought::Kept(Box::new(self.loaded(candidate, terms, tags, None, old.body().clone()))),
            Err(reason) => {
                let mut response = Response::new(CacheBody::full(old.body().clone()));
                *response.status_mut() = kept.status;
                *response.headers_mut() = candidate.headers;
                let (tags, _) = self.tags(response.headers());
                Brought::Passed(Box::new(response), reason, tags)
            }
        }
    }

    fn is_shared(&self) -> bool {
        self.seeker.look_up.sharing != Sharing::PerPrincipal
    }

    /// Whether a response may be kept, on which terms, and what it depends on.
    fn judge(&self, candidate: &Candidate) -> Result<(Terms, Vec<Tag>), NotStoredReason> {
        let Seeker { shared, asked: of_client, read, .. } = self.seeker;
        let lifetime = &read.lifetime;
        let (control, is_targeted) = targeted::control(&candidate.headers, &lifetime.targeted());
        let received = Received {
            status: candidate.status,
            headers: &candidate.headers,
            control: &control,
            is_targeted,
            at: self.at,
            delay: self.delay,
        };
        let (terms, life) = Terms::of(&received, self.is_shared(), &lifetime.defaults());
        let asked = storing::Asked {
            // Within a tenant the route's word is the operator's, who verified everybody that is served from it; and
            // what was taken out of a request made no difference.
            is_authorized: self.seeker.look_up.sharing == Sharing::Public
                && lifetime.shares_authorized
                && read.headers.contains_key(header::AUTHORIZATION),
            control: read.control,
            is_ranged: of_client.range.is_any(),
            head_bytes: read.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum(),
        };
        let keeper = Keeper {
            is_shared: self.is_shared(),
            keeps_cookies: lifetime.keeps_cookies,
            header_bytes_max: shared.limits.header_bytes_max,
        };
        may_keep(&asked, candidate.status, &candidate.headers, &control, (&terms, life), &keeper)?;
        let (tags, named) = self.tags(&candidate.headers);
        named.map(|()| (terms, tags))
    }

    /// What a response depends on, and whether all of that can be told.
    fn tags(&self, headers: &HeaderMap) -> (Vec<Tag>, Result<(), NotStoredReason>) {
        self.seeker.look_up.tags(&self.seeker.shared, &self.target, headers)
    }

    /// What a response says of queries, and the one that it was made for, where it is kept for more than one. The next
    /// request of the path goes by what it says.
    fn search(&self, headers: &HeaderMap) -> Option<(Search, Option<String>)> {
        let Seeker { shared, look_up, read, .. } = self.seeker;
        if !read.lifetime.reads_no_vary_search {
            return None;
        }
        let said = Search::of(headers);
        if !said.is_default() {
            shared.searches.learn(look_up.tenant(), &read.host, self.target.path(), said.clone());
        }
        look_up.searched.as_ref().map(|searched| (said, searched.query.clone()))
    }

    fn loaded(
        &self,
        candidate: Candidate,
        terms: Terms,
        tags: Vec<Tag>,
        part: Option<Held>,
        body: Bytes,
    ) -> Loaded<StoredResponse> {
        let Seeker { shared, asked, look_up, read, .. } = self.seeker;
        let etag = match candidate.headers.get(header::ETAG) {
            Some(own) => own.clone(),
            // Of a part's bytes no tag of the whole can be made.
            None if candidate.status == StatusCode::PARTIAL_CONTENT => StoredResponse::NO_ETAG,
            None => shared.validators.validator(asked.audience(), &candidate.headers, &body),
        };
        let mut names = vary::names(&candidate.headers).unwrap_or_default();
        if candidate.is_for_its_range {
            names.extend(Kept::RANGE);
        }
        let selection = vary::digest(&names, &read.headers);
        let life = Duration::from_secs(terms.useful_for()) + read.lifetime.retain;
        let search = self.search(&candidate.headers);
        let kept = Kept::new(candidate.status, terms, (names, selection), part).searched(search);
        let misses = shared.cache.peek(&look_up.key).map_or(0, |old| old.misses()) + 1;
        let stored = StoredResponse::of_origin(etag, candidate.fields, body, misses, kept);
        look_up.based(Loaded::value(stored), tags).ttl(life)
    }
}

/// A time as a header says it.
fn date(seconds: u64) -> HeaderValue {
    let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
    HeaderValue::try_from(text).expect("a date makes a header")
}

/// Whether a head names the strong tag of a stored response, and so says that it is of the very same bytes.
fn has_tag_of(head: &HeaderMap, stored: &StoredResponse) -> bool {
    validators(stored).strong().is_some_and(|etag| head.get(header::ETAG) == Some(etag))
}

/// A stored response's validators and length.
fn described(stored: &StoredResponse) -> (Option<&HeaderValue>, Option<&HeaderValue>, usize) {
    (stored.header(&header::ETAG), stored.header(&header::LAST_MODIFIED), stored.body().len())
}
