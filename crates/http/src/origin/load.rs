//! A read that was not in memory, or not as it was wanted: the origin is asked, with what is stored at hand.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body::Body;
use tower::Service;
use unstale::{Cached, FetchError, Fetched, Key, Loaded, ReadOptions, Tag, Verdict};

use super::{
    OriginRead,
    answer::Came,
    kept::Kept,
    now, refresh,
    suit::{Sought, Suit},
};
use crate::{
    answer::Asked,
    body::{CacheBody, collect},
    decide::{BypassReason, NotStoredReason, Wanted},
    headers::{Account, Kept as Keeping},
    layer::Shared,
    load::{self, Failed, Handed, Handover, Miss},
    position::Written,
    problem::Problem,
    rfc9111::{
        Received, Terms,
        no_vary_search::Search,
        partial::Held,
        reuse::StaleUse,
        storing::{self, Keeper, may_keep},
        targeted,
        update::{self, Fields},
        validation::{self, Validated, Validators},
        vary,
    },
    route::Sharing,
    service::LookUp,
    stored::StoredResponse,
};

/// What a load needs of its request, besides the request itself.
pub(super) struct Seeker {
    pub(super) shared: Arc<Shared>,
    pub(super) asked: Asked,
    pub(super) look_up: LookUp,
    pub(super) options: ReadOptions,
    pub(super) read: Box<OriginRead>,
    /// Why there is no answer but another step.
    note: Mutex<Option<Note>>,
    /// What of the origin's head is given to the one who asked, and not kept.
    once: Mutex<Fields>,
    /// Why what was there would not do.
    refused: Mutex<Option<&'static str>>,
    /// The origin has confirmed what was there.
    validated: AtomicBool,
}

/// Why a load has brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Note {
    /// The request selects another variant.
    OtherVariant(u128),
    /// The request wants nothing that must be asked for.
    NotStored,
}

/// How a load has asked.
enum Asking {
    Anew,
    /// Whether what is stored is still good.
    Validating(Cached<StoredResponse>),
    /// For the rest of the whole.
    Completing(Cached<StoredResponse>, Held),
}

impl Seeker {
    pub(super) fn sought(&self) -> Sought<'_> {
        self.asked.sought(&self.read.headers, &self.read.control, self.look_up.searched.as_ref())
    }

    pub(super) fn suits(&self, fetched: &Fetched<StoredResponse>) -> Suit {
        fetched.value().map_or(Suit::TooLittle, |stored| self.sought().judge(stored, now(&self.shared)))
    }

    /// Whether the reader takes a response that it did not ask the origin for.
    fn takes(&self, fetched: &Fetched<StoredResponse>) -> bool {
        if fetched.verdict == Verdict::Stale(unstale::StaleReason::FailSafe) {
            return fetched.value().is_some_and(|stored| self.sought().may_stand_in(stored, now(&self.shared)));
        }
        let suit = self.suits(fetched);
        *locked(&self.refused) = suit.reason();
        matches!(suit, Suit::Fresh | Suit::Stale(StaleUse::MaxStale))
    }

    fn note(&self, note: Note) {
        *locked(&self.note) = Some(note);
    }

    pub(super) fn key(&self, variant: Option<u128>) -> Key<StoredResponse> {
        match variant {
            None => self.look_up.key.clone(),
            Some(digest) => self.read.key(&self.shared, &self.look_up, digest),
        }
    }
}

/// Answers a read that was not in memory as it was wanted.
pub(crate) async fn answer<S, ReqBody, ResBody>(
    miss: Miss,
    read: Box<OriginRead>,
    inner: S,
    request: Request<ReqBody>,
) -> Result<Response<CacheBody<ResBody>>, S::Error>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ReqBody: Send + 'static,
    ResBody: Body<Data = Bytes> + Send + 'static,
    ResBody::Error: Send,
{
    let Miss { shared, asked, look_up, options } = miss;
    let mut variant = read.variant;
    let seeker = Arc::new(Seeker {
        shared,
        asked,
        look_up,
        options,
        read,
        note: Mutex::default(),
        once: Mutex::default(),
        refused: Mutex::default(),
        validated: AtomicBool::default(),
    });
    let handover = Arc::new(Handover::new(inner, request));
    loop {
        if let Some(stale) = refresh::stale(&seeker, variant, &handover) {
            return Ok(stale);
        }
        let fetched = fetch(&seeker, variant, &handover, Seeker::takes).await;
        let note = locked(&seeker.note).take();
        match note {
            Some(Note::OtherVariant(digest)) if variant.is_none() => {
                variant = Some(digest);
                continue;
            }
            Some(Note::NotStored) => {
                return Ok(seeker.asked.problem(&seeker.shared, Problem::NotStored, "only-if-cached"));
            }
            _ => {}
        }
        return finish(&seeker, &handover, fetched).await;
    }
}

/// Reads a variant, asking the origin with the caller's request where nothing suits.
pub(super) async fn fetch<S, ReqBody, ResBody>(
    seeker: &Arc<Seeker>,
    variant: Option<u128>,
    handover: &Arc<Handover<S, ReqBody, ResBody, S::Error>>,
    takes: fn(&Seeker, &Fetched<StoredResponse>) -> bool,
) -> Result<Fetched<StoredResponse>, FetchError<Failed>>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ReqBody: Send + 'static,
    ResBody: Body<Data = Bytes> + Send + 'static,
    ResBody::Error: Send,
{
    let accept = {
        let seeker = seeker.clone();
        move |fetched: &Fetched<StoredResponse>| takes(&seeker, fetched)
    };
    let load = {
        let (seeker, handover) = (seeker.clone(), handover.clone());
        move |old| load(seeker, handover, variant, old)
    };
    let key = seeker.key(variant);
    seeker.shared.cache.fetch_accepting(&key, &seeker.look_up.policy, &seeker.options, accept, load).await
}

async fn finish<S, ReqBody, ResBody>(
    seeker: &Seeker,
    handover: &Handover<S, ReqBody, ResBody, S::Error>,
    fetched: Result<Fetched<StoredResponse>, FetchError<Failed>>,
) -> Result<Response<CacheBody<ResBody>>, S::Error>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
{
    let Seeker { shared, asked, .. } = seeker;
    if let Ok(fetched) = &fetched {
        let came = match fetched.verdict {
            Verdict::Stale(unstale::StaleReason::FailSafe) => Came::Stale("stale-if-error"),
            Verdict::Hit | Verdict::Stale(_) => Came::of(seeker.suits(fetched)),
            _ if fetched.collapsed => Came::Fresh,
            _ if seeker.validated.load(Relaxed) => Came::Validated,
            _ => Came::Asked(*locked(&seeker.refused)),
        };
        if let Some(mut response) = asked.of_origin(shared, fetched, &seeker.sought(), came) {
            if matches!(came, Came::Asked(_)) {
                put_before(response.headers_mut(), &locked(&seeker.once));
            }
            return Ok(response);
        }
    }
    match (handover.take_answer(), fetched) {
        (Some(Handed::Error(error)), _) => Err(error),
        (Some(Handed::Response(response, reason)), fetched) => {
            let fetched = fetched.ok();
            let (status, took) = (response.status().as_u16(), asked.began.elapsed());
            let kept = Keeping::NotStored(reason.as_str());
            let account = Account::Miss { status, collapsed: false, kept, took };
            Ok(asked.pass_of_origin(shared, *response, &account, fetched.as_ref()).await)
        }
        (None, Err(FetchError::TimedOut)) => Ok(asked.problem(shared, Problem::TimedOut, "timed-out")),
        (None, _) => match handover.take_request() {
            Some((mut inner, request)) => {
                let response = inner.call(request).await?.map(CacheBody::inner);
                let account = Account::Bypass { reason: BypassReason::Engine.as_str() };
                Ok(asked.pass_of_origin(shared, response, &account, None).await)
            }
            None => Ok(asked.problem(shared, Problem::NoAnswer, "no-answer")),
        },
    }
}

fn locked<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds an origin's fields to a head, before the cache's own of the same names: lists are in the order of the way.
fn put_before(headers: &mut HeaderMap, fields: &Fields) {
    let names: HashSet<HeaderName> = fields.iter().map(|(name, _)| name.clone()).collect();
    for name in names {
        let own: Vec<HeaderValue> = headers.get_all(&name).iter().cloned().collect();
        headers.remove(&name);
        let origins = fields.iter().filter(|(other, _)| *other == name).map(|(_, value)| value.clone());
        for value in origins.chain(own) {
            headers.append(&name, value);
        }
    }
}

/// Asks the origin with the caller's request, and says what the cache may have of its answer.
async fn load<S, ReqBody, ResBody>(
    seeker: Arc<Seeker>,
    handover: Arc<Handover<S, ReqBody, ResBody, S::Error>>,
    variant: Option<u128>,
    old: Option<Cached<StoredResponse>>,
) -> Result<Loaded<StoredResponse>, Failed>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
{
    let nothing = || Ok(Loaded::absent().declined());
    let old = match old.as_ref().and_then(|old| old.origin()) {
        Some(kept) if !kept.is_selected_by(&seeker.read.headers, seeker.look_up.searched.as_ref()) => {
            if variant.is_none() {
                let searched = seeker.look_up.searched.as_ref();
                seeker.note(Note::OtherVariant(kept.other(&seeker.read.headers, searched)));
                return nothing();
            }
            None
        }
        Some(_) => old,
        None => None,
    };
    if seeker.read.control.only_if_cached {
        seeker.note(Note::NotStored);
        return nothing();
    }
    let Some((mut inner, mut request)) = handover.take_request() else { return Err(Failed) };
    let target = request.uri().clone();
    seeker.read.lifetime.tell(request.headers_mut());
    let asking = asking(&seeker, request.headers_mut(), old.clone());
    let sent_at = seeker.shared.cache.now();
    let response = match inner.call(request).await {
        Ok(response) => response,
        Err(error) => {
            handover.put(Handed::Error(error));
            return Err(Failed);
        }
    };
    let delay = seeker.shared.cache.now().since(sent_at).as_secs();
    let arrived = Arrived { seeker: &seeker, target, at: now(&seeker.shared), delay };
    let brought = arrived.read(response, asking, old.as_deref()).await;
    match brought {
        Brought::Kept(loaded) => {
            if let Some(digest) = variant {
                load::make_room(&seeker.shared, &seeker.key(variant), digest).await;
            }
            Ok(*loaded)
        }
        Brought::Passed(response, reason, tags) => {
            handover.put(Handed::Response(Box::new(*response), reason));
            Ok(seeker.look_up.based(Loaded::absent().declined(), tags))
        }
        Brought::Failed(response) => {
            handover.put(Handed::Response(Box::new(*response), NotStoredReason::Status));
            Err(Failed)
        }
    }
}

/// Makes the request ask what is to be known, in place of what the client asked of its own copy.
fn asking(seeker: &Seeker, request: &mut HeaderMap, old: Option<Cached<StoredResponse>>) -> Asking {
    let Some(old) = old else { return Asking::Anew };
    let Some(kept) = old.origin() else { return Asking::Anew };
    let validators = validators(&old);
    match kept.part {
        None if validators.is_any() && seeker.asked.wanted == Some(Wanted::Get) => {
            validators.ask(request);
            Asking::Validating(old)
        }
        Some(held) if seeker.asked.wanted == Some(Wanted::Get) && !seeker.asked.range.is_any() => {
            match (validators.strong(), held.missing()) {
                (Some(etag), Some(range)) => {
                    request.insert(header::RANGE, range);
                    request.insert(header::IF_RANGE, etag.clone());
                    Asking::Completing(old.clone(), held)
                }
                _ => Asking::Anew,
            }
        }
        _ => Asking::Anew,
    }
}

/// By what the origin can tell a stored response again.
fn validators(stored: &StoredResponse) -> Validators {
    Validators {
        etag: stored.header(&header::ETAG).cloned(),
        last_modified: stored.header(&header::LAST_MODIFIED).cloned(),
    }
}

/// What became of an answer.
enum Brought<B: Body> {
    /// It, or what it confirmed, goes into the cache.
    Kept(Box<Loaded<StoredResponse>>),
    /// It is the caller's alone; and what it depends on.
    Passed(Box<Response<CacheBody<B>>>, NotStoredReason, Vec<Tag>),
    /// The origin failed, and what is stored may stand in.
    Failed(Box<Response<CacheBody<B>>>),
}

/// The circumstances of an answer.
struct Arrived<'a> {
    seeker: &'a Seeker,
    target: Uri,
    at: u64,
    delay: u64,
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
    async fn read<B: Body<Data = Bytes>>(
        &self,
        response: Response<B>,
        asking: Asking,
        old: Option<&StoredResponse>,
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
        if let (Asking::Completing(old, before), Some(rest)) = (&asking, part) {
            let is_same = validators(old).strong().is_some_and(|etag| head.headers.get(header::ETAG) == Some(etag));
            if let Some(joined) = before.joined(&rest).filter(|_| is_same) {
                body = joined.bytes(old.body(), &body).into();
                candidate.fields = update::freshened(old.headers(), candidate.fields);
                part = Some(joined.held);
            }
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
        let fields = update::freshened(old.headers(), update::kept(answer, &control, self.is_shared()));
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
            has_default: !lifetime.default_ttl.is_zero(),
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
            None => shared.validators.validator(asked.audience(), &candidate.headers, &body),
        };
        let mut names = vary::names(&candidate.headers).unwrap_or_default();
        if candidate.is_for_its_range {
            names.extend(Kept::RANGE);
        }
        let selection = vary::digest(&names, &read.headers);
        let life = std::time::Duration::from_secs(terms.useful_for()) + read.lifetime.retain;
        let search = self.search(&candidate.headers);
        let kept = Kept::new(candidate.status, terms, (names, selection), part).searched(search);
        let misses = shared.cache.peek(&look_up.key).map_or(0, |old| old.misses()) + 1;
        let stored = StoredResponse::of_origin(etag, candidate.fields, body, misses, kept);
        look_up.based(Loaded::value(stored), tags).ttl(life)
    }
}

/// A stored response's validators and length.
fn described(stored: &StoredResponse) -> (Option<&HeaderValue>, Option<&HeaderValue>, usize) {
    (stored.header(&header::ETAG), stored.header(&header::LAST_MODIFIED), stored.body().len())
}
