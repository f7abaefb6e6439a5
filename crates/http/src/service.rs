//! The service: decides, without waiting, whether a request is answered from memory, passed on, or loaded.

use std::{
    borrow::Cow,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, header, request,
    uri::{Authority, PathAndQuery},
};
use http_body::Body;
use tower::Service;
use unstale::{Key, Loaded, Mode, Policy, PositionSet, ReadOptions, Tag, Tenant};

use crate::{
    answer::Asked,
    behind::{Behind, Ready, Told},
    body::CacheBody,
    compression::TakesEncoded,
    conditional::Preconditions,
    decide::{BypassReason, NotStoredReason, Wanted, may_look_up_noted},
    future::ResponseFuture,
    headers::{Account, BYPASS},
    identity::Identity,
    key::{self, Owner, Variant},
    layer::Shared,
    load::{self, Miss},
    named,
    notable::Notable,
    origin::{self, OriginRead},
    position::{self, AtLeast},
    problem::Problem,
    range::WantedRange,
    rfc9111::control::RequestControl,
    route::{Lifetime, Query, REVALIDATE, RouteId, RouteSettings, Sharing},
    searches::Searched,
    served::ValidatedAsKept,
    stored::StoredResponse,
    told::{self, ForOthers},
    url::{self, UrlProblem},
    writes::{Write, group_tag, path_tag, uri_tag},
};

/// Answers reads from the cache and passes everything else on. Made by [`CacheLayer`](crate::CacheLayer).
#[derive(Clone, Debug)]
pub struct CacheService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> CacheService<S> {
    pub(crate) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

/// What is known of a request before its answer is looked for.
#[derive(Debug, Default)]
pub struct RequestFacts {
    /// Its route, in the layer's own table.
    pub route: Option<RouteId>,
    /// Who sent it. The service behind finds it among the request's extensions, unless everybody gets the same.
    pub identity: Option<Identity>,
}

/// A read that may be answered from the cache.
#[derive(Clone)]
pub(crate) struct LookUp {
    pub(crate) key: Key<StoredResponse>,
    pub(crate) policy: Policy,
    pub(crate) sharing: Sharing,
    pub(crate) route: RouteId,
    /// Who asked, once that matters: what is found is answered without. Nobody, where everybody gets the same.
    pub(crate) identity: Option<Identity>,
    /// Whether the service behind says how long responses are fresh.
    pub(crate) is_origin: bool,
    /// What tells it apart from other variants of its URL that a route's `vary_on` selects, if anything does.
    pub(crate) variant: Option<u128>,
    /// The query, where responses of the path are for more than one. Boxed, as few have it and every look-up is moved.
    pub(crate) searched: Option<Box<Searched>>,
    /// The URL for the service behind, if some of it does not count.
    reduced: Option<Box<Uri>>,
}

impl LookUp {
    pub(crate) fn may_serve_stale(&self) -> bool {
        let Policy { grace, fail_safe, mode, .. } = &self.policy;
        !grace.is_zero() || !fail_safe.is_zero() || matches!(mode, Mode::StaleOk(_))
    }

    /// Adds what the response is known to depend on: its URI and its groups; and what the identity was made of, since
    /// what is loaded was made for it. What a route shares does not depend on who asked first.
    pub(crate) fn based(&self, loaded: Loaded<StoredResponse>, tags: Vec<Tag>) -> Loaded<StoredResponse> {
        let loaded = loaded.tags(tags);
        let identity = self.identity.as_ref().filter(|_| self.sharing == Sharing::PerPrincipal);
        match identity.and_then(Identity::known) {
            Some(facts) => loaded.tags(facts.tags.iter().cloned()).read_since(facts.read_since.clone()),
            None => loaded,
        }
    }

    /// What a response is known to depend on: its URI, and its groups, unless they cannot be told.
    pub(crate) fn tags(
        &self,
        shared: &Shared,
        target: &Uri,
        headers: &HeaderMap,
    ) -> (Vec<Tag>, Result<(), NotStoredReason>) {
        let route = shared.routes.route(self.route);
        let mut tags = vec![uri_tag(self.tenant(), route, target.path(), target.query())];
        if self.searched.is_some() {
            // It may be the answer for other queries, too: a write to any of them ends it.
            tags.push(path_tag(self.tenant(), target.path()));
        }
        let named = named::of_response(route, target.path(), headers, &shared.limits);
        tags.extend(named.iter().flatten().map(|name| group_tag(self.tenant(), name)));
        (tags, named.map(drop))
    }

    /// The tenant in which the response is kept.
    pub(crate) fn tenant(&self) -> &Tenant {
        self.key.raw().tenant()
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for CacheService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ReqBody: Body + Send + 'static,
    ResBody: Body<Data = Bytes> + Send + 'static,
    ResBody::Error: Send,
{
    type Response = Response<CacheBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, ResBody, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let known = RequestFacts {
            route: self.shared.routes.find(request.uri().path()),
            identity: request.extensions().get::<Identity>().cloned(),
        };
        let (head, body) = request.into_parts();
        answer(&self.shared, head, body, known, Ready(&mut self.inner))
    }
}

impl<S> CacheService<S> {
    /// As [`call`](Service::call), for who has taken the request apart, knows route and sender already, and has a service
    /// behind that is always ready. It is cloned, and `tell` tells the clone of the request, only where it is called: a
    /// hit takes neither.
    pub fn answer<ReqBody, ResBody>(
        &self,
        head: request::Parts,
        body: ReqBody,
        known: RequestFacts,
        tell: impl FnOnce(&mut S),
    ) -> ResponseFuture<S::Future, ResBody, S::Error>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        ReqBody: Body + Send + 'static,
        ResBody: Body<Data = Bytes> + Send + 'static,
        ResBody::Error: Send,
    {
        answer(&self.shared, head, body, known, Told(&self.inner, tell))
    }
}

fn answer<S, ReqBody, ResBody>(
    shared: &Arc<Shared>,
    mut head: request::Parts,
    body: ReqBody,
    known: RequestFacts,
    behind: impl Behind<S>,
) -> ResponseFuture<S::Future, ResBody, S::Error>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ReqBody: Body + Send + 'static,
    ResBody: Body<Data = Bytes> + Send + 'static,
    ResBody::Error: Send,
{
    let began = Instant::now();
    let notable = Notable::of(&head.headers);
    let tuned = known.route.map_or_else(RouteSettings::default, |id| shared.tuning.of(id));
    let mut asked = asked(shared, (&head, notable), known, &tuned, began);
    let demanded = if notable.position { position::demanded(&head.headers) } else { Ok(PositionSet::default()) };
    let Ok(at_least) = demanded else {
        let response = asked.problem(shared, Problem::BadPosition, "bad-position");
        return ResponseFuture::ready(Box::new(response), BYPASS);
    };
    match look_up(shared, &head, notable, (&asked, &tuned), !body.is_end_stream()) {
        Err(reason) => {
            if reason == BypassReason::Url {
                // The service may read the URL as one that another route covers.
                asked.cache_control = REVALIDATE;
            }
            asked.as_kept = reason == BypassReason::NoStore && head.extensions.get::<ValidatedAsKept>().is_some();
            name_sender(&mut head, asked.identity.as_ref());
            let write = Write::of(shared, &head);
            demand(&mut head, at_least);
            let passed = behind.called(|inner| inner.call(Request::from_parts(head, body)));
            match write {
                None => ResponseFuture::passed(passed, asked, reason, shared.clone()),
                Some(write) => {
                    let account = Account::passed(reason);
                    ResponseFuture::boxed(write.answer(passed, asked, account, shared.clone()))
                }
            }
        }
        Ok((wanted, mut look_up)) => {
            asked.wanted = Some(wanted);
            asked.is_public = look_up.sharing == Sharing::Public;
            let options = ReadOptions { at_least };
            let who = asked.identity.as_ref().filter(|_| !asked.is_public);
            let origin = if look_up.is_origin {
                look_up.identity = who.cloned();
                // What selects variants is what the origin is given.
                strip(&mut head, shared, &look_up);
                match origin_hit(shared, &asked, (&head, notable), &look_up, &options) {
                    Ok((response, account)) => return ResponseFuture::ready(Box::new(response), account.verdict()),
                    Err(read) => Some(read),
                }
            } else {
                if let Some(hit) = shared.cache.hit(&look_up.key, &look_up.policy, &options)
                    && let Some((response, account)) = asked.stored(shared, &hit)
                {
                    return ResponseFuture::ready(response, account.verdict());
                }
                // What is not here at once is not looked for: that would be a load, which others may be waiting for.
                if notable.directives && RequestControl::of(&head.headers).only_if_cached {
                    let response = asked.problem(shared, Problem::NotStored, "only-if-cached");
                    return ResponseFuture::ready(Box::new(response), BYPASS);
                }
                look_up.identity = who.cloned();
                strip(&mut head, shared, &look_up);
                None
            };
            if !asked.is_public {
                name_sender(&mut head, asked.identity.as_ref());
            }
            if look_up.sharing != Sharing::PerPrincipal {
                head.extensions.insert(ForOthers);
            }
            Preconditions::strip(&mut head.headers);
            match &origin {
                None => head.method = Method::GET,
                Some(read) if asked.range.is_plain() => read.restore_range(&mut head.headers),
                Some(_) => {}
            }
            demand(&mut head, options.at_least.clone());
            if let Some(reduced) = look_up.reduced.as_deref() {
                head.uri = reduced.clone();
            }
            let inner = behind.taken();
            let request = Request::from_parts(head, body);
            let miss = Miss { shared: shared.clone(), asked, look_up, options };
            match origin {
                None => ResponseFuture::boxed(load::answer(miss, inner, request)),
                Some(read) => ResponseFuture::boxed(origin::answer(miss, read, inner, request)),
            }
        }
    }
}

/// The answer from memory to a read whose lifetimes are the origin's, or what it takes to ask the origin.
fn origin_hit<B: Body>(
    shared: &Shared,
    asked: &Asked,
    (head, notable): (&request::Parts, Notable),
    look_up: &LookUp,
    options: &ReadOptions,
) -> Result<(Response<CacheBody<B>>, Account), Box<OriginRead>> {
    let route = &shared.routes.route(look_up.route).policy;
    let url = || url::normalise(&head.uri, &route.query, shared.limits.url_bytes_max).ok();
    let place = |digest| {
        let owner = owner(shared, look_up.sharing, look_up.identity.as_ref()).ok()?;
        let (host, variant) = (place_of(head, notable).ok()?, Variant::selected(digest));
        Some(match &look_up.searched {
            Some(searched) => key::of(owner, &host, &searched.url, variant),
            None => key::of(owner, &host, &url()?, variant),
        })
    };
    let variant = match origin::hit(shared, asked, head, look_up, options, place) {
        Ok(answered) => return Ok(answered),
        Err(variant) => variant,
    };
    let Lifetime::Origin(lifetime) = route.lifetime else { unreachable!("the look-up says whose lifetimes they are") };
    Err(Box::new(OriginRead {
        lifetime,
        control: RequestControl::of(&head.headers),
        headers: head.headers.clone(),
        host: place_of(head, notable).unwrap_or_default().into_owned(),
        url: match &look_up.searched {
            Some(searched) => searched.url.clone(),
            None => url().map_or_else(String::new, |url| url.to_string()),
        },
        variant,
    }))
}

/// Tells the service behind who sent the request.
fn name_sender(head: &mut request::Parts, identity: Option<&Identity>) {
    if let Some(identity) = identity.filter(|_| head.extensions.get::<Identity>().is_none()) {
        head.extensions.insert(identity.clone());
    }
}

/// Tells the service behind what its answer must have seen. Most requests demand nothing, and an extension costs an
/// allocation.
fn demand(head: &mut request::Parts, at_least: PositionSet) {
    if !at_least.is_empty() {
        head.extensions.insert(AtLeast(at_least));
    }
}

fn asked(
    shared: &Shared,
    (head, notable): (&request::Parts, Notable),
    known: RequestFacts,
    tuned: &RouteSettings,
    began: Instant,
) -> Asked {
    let RequestFacts { route, identity } = known;
    let is_read = head.method == Method::GET || head.method == Method::HEAD;
    let is_of_origin = |id| matches!(shared.routes.route(id).policy.lifetime, Lifetime::Origin(_));
    Asked {
        route,
        is_origin: is_read && route.is_some_and(is_of_origin),
        cache_control: route.map_or(REVALIDATE, |id| shared.routes.route(id).cache_control.clone()),
        browser_max_age: route.and_then(|id| shared.routes.route(id).policy.browser.max_age()),
        is_public: false,
        identity,
        // Without a validator there is nothing to judge by them: they are the service's.
        preconditions: if notable.conditions && is_read && (route.is_some() || shared.validates_unrouted) {
            Preconditions::of(&head.headers)
        } else {
            Preconditions::default()
        },
        // `If-Range` is nothing without `Range`.
        range: if notable.range && head.method == Method::GET {
            WantedRange::of(&head.headers)
        } else {
            WantedRange::default()
        },
        is_get: head.method == Method::GET,
        is_read,
        as_kept: false,
        tells: tuned.tells,
        takes_encoded: head.extensions.get::<TakesEncoded>().is_some(),
        wanted: None,
        began,
    }
}

/// Whether and where to look.
fn look_up(
    shared: &Shared,
    head: &request::Parts,
    notable: Notable,
    (asked, tuned): (&Asked, &RouteSettings),
    has_body: bool,
) -> Result<(Wanted, LookUp), BypassReason> {
    let wanted = may_look_up_noted(head, notable)?;
    if has_body {
        // In HTTP/2, nothing in the head need tell of it.
        return Err(BypassReason::RequestBody);
    }
    let id = asked.route.ok_or(BypassReason::Route)?;
    let route = shared.routes.route(id);
    if !tuned.is_on {
        return Err(BypassReason::Off);
    }
    let (policy, origin) = match tuned.lifetime(route.policy.lifetime) {
        Lifetime::Uncached => return Err(BypassReason::Route),
        Lifetime::Route(policy) => (policy, None),
        Lifetime::Origin(lifetime) => (lifetime.policy(), Some(lifetime)),
    };
    let policy = Policy { uses_store: policy.uses_store && tuned.uses_store, ..policy };
    let sharing = route.policy.sharing;
    let owner = owner(shared, sharing, asked.identity.as_ref())?;
    let query = &route.policy.query;
    let url = url::normalise(&head.uri, query, shared.limits.url_bytes_max).map_err(|problem| match problem {
        UrlProblem::TooLong => BypassReason::UrlTooLong,
        UrlProblem::Ambiguous => BypassReason::Url,
    })?;
    let reduced = match query {
        Query::Only(_) if url.query() != head.uri.query() => Some(Box::new(reduced(&head.uri, &url)?)),
        _ => None,
    };
    let is_origin = origin.is_some();
    let variant = if is_origin { Variant::FIRST } else { Variant::of(&head.headers, shared.routes.vary_on()) };
    let place = place_of(head, notable)?;
    let searched = origin
        .filter(|lifetime| lifetime.reads_no_vary_search)
        .and_then(|_| shared.searches.of(owner.tenant(), &place, &url))
        .map(Box::new);
    let key = match &searched {
        Some(searched) => key::of(owner, &place, &searched.url, variant),
        None => key::of(owner, &place, &url, variant),
    };
    let variant = variant.digest();
    Ok((wanted, LookUp { key, policy, sharing, route: id, identity: None, is_origin, variant, searched, reduced }))
}

/// Whose the response is.
pub(crate) fn owner<'a>(
    shared: &'a Shared,
    sharing: Sharing,
    identity: Option<&'a Identity>,
) -> Result<Owner<'a>, BypassReason> {
    Ok(match (sharing, identity) {
        (_, Some(identity)) if *identity.tenant() == shared.public_tenant => return Err(BypassReason::PublicTenant),
        (Sharing::Public, _) => Owner::Public(&shared.public_tenant),
        (_, None) => return Err(BypassReason::NoIdentity),
        (Sharing::Tenant, Some(identity)) => Owner::Tenant(identity.tenant()),
        (Sharing::PerPrincipal, Some(identity)) => Owner::Principal(identity),
    })
}

/// Takes out of a request what must not shape an answer that is shared.
fn strip(head: &mut request::Parts, shared: &Shared, look_up: &LookUp) {
    if look_up.sharing != Sharing::PerPrincipal {
        told::strip_client(&mut head.headers);
    }
    if look_up.sharing == Sharing::Public {
        strip_credentials(head, shared, look_up.route);
    }
}

/// Takes out of a request whatever tells who sent it, as far as the layer knows: what comes of it is for everybody.
fn strip_credentials(head: &mut request::Parts, shared: &Shared, route: RouteId) {
    let lifetime = &shared.routes.route(route).policy.lifetime;
    // The one exception, where the operator wants it and RFC 9111, 3.5, is heeded.
    let stays = |name: &HeaderName| {
        *name == header::AUTHORIZATION && matches!(lifetime, Lifetime::Origin(own) if own.shares_authorized)
    };
    let named = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];
    for name in named.iter().chain(shared.routes.identified_by()).filter(|name| !stays(name)) {
        head.headers.remove(name);
    }
    head.extensions.remove::<Identity>();
}

/// Whom the request is for: of HTTP/2 and proxies in the URL, of HTTP/1.1 in `Host`. Where both say it, they must agree:
/// the service may go by either.
pub(crate) fn host(head: &request::Parts) -> Result<&str, BypassReason> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let (host, authority) = (hosts.next(), head.uri.authority().map(Authority::as_str));
    let disagrees = |host: &HeaderValue| {
        authority.is_some_and(|authority| !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()))
    };
    if hosts.next().is_some() || host.is_some_and(disagrees) {
        return Err(BypassReason::Url);
    }
    let host = match host {
        Some(host) => host.to_str().map_err(|_| BypassReason::Url)?,
        None => authority.unwrap_or_default(),
    };
    if host.bytes().all(|byte| byte.is_ascii_graphic()) { Ok(host) } else { Err(BypassReason::Url) }
}

/// The host as part of a key, with what else the request says of where its client has asked. A blank parts them, which
/// no host has.
fn place_of(head: &request::Parts, notable: Notable) -> Result<Cow<'_, str>, BypassReason> {
    let host = host(head)?;
    let told = notable.told.then(|| told::digest(&head.headers)).flatten();
    Ok(told.map_or(Cow::Borrowed(host), |told| Cow::Owned(format!("{host} {told:032x}"))))
}

fn reduced(uri: &Uri, url: &url::NormalUrl<'_>) -> Result<Uri, BypassReason> {
    let text = url.to_string();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).map_err(|_| BypassReason::Url)?);
    Uri::from_parts(parts).map_err(|_| BypassReason::Url)
}
