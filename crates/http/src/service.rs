//! The service: decides, without waiting, whether a request is answered from memory, passed on, or loaded.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, header, request};
use http_body::Body;
use tower::Service;
use unstale::{PositionSet, ReadOptions};

use crate::{
    answer::{Asked, Found},
    behind::{Behind, Ready, Told},
    body::CacheBody,
    compression::TakesEncoded,
    conditional::Preconditions,
    future::ResponseFuture,
    headers::{Account, BYPASS},
    identity::Identity,
    key::{self, Variant},
    load::{self, Miss},
    look_up::{LookUp, look_up, owner},
    notable::Notable,
    origin::{self, OriginRead},
    place::place_of,
    position::{self, AtLeast},
    problem::Problem,
    range::WantedRange,
    reasons::BypassReason,
    rfc9111::control::RequestControl,
    route::{Lifetime, REVALIDATE, RouteId, RouteSettings, Sharing},
    served::ValidatedAsKept,
    shared::Shared,
    told::{self, ForOthers},
    url,
    writes::Write,
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
        return ResponseFuture::ready(Found::Made(Box::new(response)), BYPASS);
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
                    Ok((response, account)) => {
                        return ResponseFuture::ready(Found::Made(Box::new(response)), account.verdict());
                    }
                    Err(read) => Some(read),
                }
            } else {
                if let Some(hit) = shared.cache.hit(&look_up.key, &look_up.policy, &options)
                    && let Some((found, account)) = asked.stored(shared, &hit)
                {
                    return ResponseFuture::ready(found, account.verdict());
                }
                look_up.identity = who.cloned();
                strip(&mut head, shared, &look_up);
                None
            };
            if notable.directives && RequestControl::of(&head.headers).only_if_cached {
                let miss = Miss { shared: shared.clone(), asked, look_up, options };
                return ResponseFuture::boxed(async {
                    Ok(match origin {
                        None => load::answer_stored(miss).await,
                        Some(read) => origin::answer_stored(miss, read).await,
                    })
                });
            }
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
