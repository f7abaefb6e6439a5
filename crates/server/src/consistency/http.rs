//! Watching responses: a GET that was a hit is asked again, as the same identity, past the cache.
//!
//! What an answer was made of is caught by an observer of the [`CacheLayer`](unstale_http::CacheLayer) below
//! ([`Watch::response_observer`]), on the thread that makes the answer: within the call if it was in memory, else while its
//! future is polled. Validators are compared, which the layer makes of a body whether it keeps it or not.

use std::{
    cell::RefCell,
    future::poll_fn,
    mem,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::{BoxFuture, Either, FutureExt as _};
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use tower::{Layer, Service, ServiceExt as _, util::BoxCloneSyncService};
use unstale::{Cache, Position, TagId, TagIds};
use unstale_http::{Answered, Identity, ServedObserver, ValidatedAsKept, WRITTEN_POSITION};

use super::{Served, Ticket, Truth, Watch};

tokio::task_local! {
    static PAST_THE_CACHE: ();
}

/// Whether what runs here is to load the truth: whoever reads through a cache goes past it.
pub fn is_past_the_cache() -> bool {
    PAST_THE_CACHE.try_with(|()| ()).is_ok()
}

/// What was told of an answer while it was made.
#[derive(Default)]
struct Caught {
    made_of: Option<(TagIds, Position)>,
    hit: Option<(String, Duration)>,
}

thread_local! {
    static CAUGHT: RefCell<Option<Caught>> = const { RefCell::new(None) };
}

/// Runs a part of what makes an answer; what is told of it on this thread meanwhile is caught.
fn catching<T>(caught: &mut Caught, part: impl FnOnce() -> T) -> T {
    CAUGHT.set(Some(mem::take(caught)));
    let done = part();
    *caught = CAUGHT.take().unwrap_or_default();
    done
}

struct Catcher;

impl ServedObserver for Catcher {
    #[inline]
    fn served(&self, _: &Identity, tags: &[TagId], base: Position) {
        CAUGHT.with_borrow_mut(|caught| {
            if let Some(caught) = caught {
                caught.made_of = Some((TagIds::from_slice(tags), base));
            }
        });
    }

    #[inline]
    fn answered(&self, answered: &Answered<'_>) {
        CAUGHT.with_borrow_mut(|caught| {
            if let (Some(caught), Some(fresh_for)) = (caught, answered.fresh_for) {
                caught.hit = Some((answered.entity.to_owned(), fresh_for));
            }
        });
    }
}

impl Watch {
    /// What the cache's layer has to tell what it serves.
    pub fn response_observer() -> Arc<dyn ServedObserver> {
        Arc::new(Catcher)
    }
}

/// Puts a [`WatchService`] around a cache's layer: inside of authentication.
pub struct WatchLayer<B, R> {
    shared: Arc<Shared<B, R>>,
}

struct Shared<B, R> {
    watch: Watch,
    cache: Cache,
    /// Kinds of response that move without an invalidation.
    timeless: &'static [&'static str],
    carry: Carry,
    again: Again<B, R>,
}

/// Takes from a request's extensions what its answer follows from, beside the identity.
type Carry = fn(&Extensions, &mut Extensions);

/// The service that answers once more: the same cache's layer and what is behind it. None before it is put together.
type Again<B, R> =
    Box<dyn Fn() -> Option<BoxCloneSyncService<Request<B>, Response<R>, std::convert::Infallible>> + Send + Sync>;

impl<B, R> WatchLayer<B, R> {
    /// A layer that asks `again` past the cache; `carry` takes along what authentication has put into the request's
    /// extensions (and nothing of a router's, which finds its way anew). Responses of the kinds `timeless` are not watched: they move without an
    /// invalidation.
    pub fn new(
        watch: Watch,
        cache: Cache,
        timeless: &'static [&'static str],
        carry: Carry,
        again: impl Fn() -> Option<BoxCloneSyncService<Request<B>, Response<R>, std::convert::Infallible>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self { shared: Arc::new(Shared { watch, cache, timeless, carry, again: Box::new(again) }) }
    }
}

impl<B, R> Clone for WatchLayer<B, R> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<S, B, R> Layer<S> for WatchLayer<B, R> {
    type Service = WatchService<S, B, R>;

    fn layer(&self, inner: S) -> Self::Service {
        WatchService { inner, shared: self.shared.clone() }
    }
}

/// Watches what its inner service answers.
pub struct WatchService<S, B, R> {
    inner: S,
    shared: Arc<Shared<B, R>>,
}

impl<S: Clone, B, R> Clone for WatchService<S, B, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), shared: self.shared.clone() }
    }
}

impl<S, B, R, Body> Service<Request<B>> for WatchService<S, B, R>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    Body: Send + 'static,
    B: Default + Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, BoxFuture<'static, Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = &self.shared;
        let identity = request.extensions().get::<Identity>().filter(|_| *request.method() == Method::GET);
        let Some(ticket) = identity.and_then(|identity| shared.watch.begin(&shared.cache, identity.tenant())) else {
            return Either::Left(self.inner.call(request));
        };
        let (head, body) = request.into_parts();
        let question = Question::of(&head, shared.carry);
        let mut caught = Caught::default();
        let answering = catching(&mut caught, || self.inner.call(Request::from_parts(head, body)));
        let tier = if caught.hit.is_some() { "memory" } else { "store" };
        let shared = shared.clone();
        let watching = async move {
            let mut answering = pin!(answering);
            let response = poll_fn(|context| catching(&mut caught, || answering.as_mut().poll(context))).await?;
            shared.watched(ticket, question, (caught, tier), &response);
            Ok(response)
        };
        Either::Right(watching.boxed())
    }
}

/// What was asked.
#[derive(Clone)]
struct Question {
    uri: Uri,
    headers: HeaderMap,
    identity: Identity,
    carried: Extensions,
}

impl Question {
    fn of(head: &http::request::Parts, carry: Carry) -> Self {
        let mut carried = Extensions::new();
        carry(&head.extensions, &mut carried);
        let identity = head.extensions.get::<Identity>().expect("looked at before").clone();
        Self { uri: head.uri.clone(), headers: head.headers.clone(), identity, carried }
    }
}

impl<B, R> Shared<B, R>
where
    B: Default + Send + 'static,
    R: Send + 'static,
{
    fn watched<Body>(
        &self,
        ticket: Ticket,
        question: Question,
        (caught, tier): (Caught, &'static str),
        response: &Response<Body>,
    ) {
        let etag = response.headers().get(header::ETAG).cloned();
        let (Some((tags, base)), Some((entity, fresh_for)), Some(etag)) = (caught.made_of, caught.hit, etag) else {
            return;
        };
        if self.timeless.contains(&&*entity) {
            return;
        }
        let Some(again) = (self.again)() else { return };
        let tenant = question.identity.tenant().clone();
        let served = Served {
            entity,
            tenant,
            key: question.uri.path().to_owned(),
            tags,
            base,
            expires_at: self.cache.now() + fresh_for,
            age: None,
            tier,
        };
        let truth: Truth = Arc::new(move || {
            let (again, request) = (again.clone(), past_the_cache(&question));
            let etag = etag.clone();
            PAST_THE_CACHE.scope((), async move { compared(again.oneshot(request).await, &etag) }).boxed()
        });
        self.watch.served(ticket, &self.cache, served, truth);
    }
}

/// The same question, without conditions, and with a word that the layer heeds: it passes it on, and makes a validator.
fn past_the_cache<B: Default>(question: &Question) -> Request<B> {
    let mut request = Request::new(B::default());
    request.uri_mut().clone_from(&question.uri);
    request.headers_mut().clone_from(&question.headers);
    request.extensions_mut().clone_from(&question.carried);
    request.extensions_mut().insert(question.identity.clone());
    request.extensions_mut().insert(ValidatedAsKept);
    let headers = request.headers_mut();
    for name in [
        header::IF_NONE_MATCH,
        header::IF_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_UNMODIFIED_SINCE,
        header::IF_RANGE,
        header::RANGE,
        header::CACHE_CONTROL,
        WRITTEN_POSITION,
    ] {
        headers.remove(name);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    request
}

fn compared<R>(
    answer: Result<Response<R>, std::convert::Infallible>,
    etag: &HeaderValue,
) -> Result<Vec<String>, String> {
    let Ok(response) = answer;
    let status = response.status();
    if status.is_server_error() {
        return Err(format!("answered with {status}"));
    }
    Ok(match response.headers().get(header::ETAG) {
        Some(now) if status.is_success() && now == etag => Vec::new(),
        Some(_) if status.is_success() => vec!["etag".to_owned()],
        None if status.is_success() => return Err("answered without a validator".to_owned()),
        _ => vec![format!("status {}", status.as_u16())],
    })
}
