//! What the tests share: a service behind the layer that does as it is told and counts, and a client.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode, request};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use tokio::sync::watch;
use tower::{Layer as _, Service as _, ServiceExt as _, util::BoxCloneSyncService};
use unstale::{
    Cache, CacheLimits, Event, MemoryStore, Observer, Policy, Position, TagId, Tenant, store::Store, time::ManualTime,
};
use unstale_http::{
    Answered, CacheLayer, CacheService, HttpLimits, Identity, RoutePolicies, RoutePolicy, ServedObserver,
};

pub(crate) type Body = UnsyncBoxBody<Bytes, &'static str>;
pub(crate) type Answer = Result<Response<Body>, &'static str>;
pub(crate) type Inner = BoxCloneSyncService<Request<String>, Response<Body>, &'static str>;

pub(crate) const SECRET: &[u8] = b"a secret of the tests";

pub(crate) struct World {
    pub(crate) layer: CacheLayer,
    pub(crate) cache: Cache,
    pub(crate) time: Arc<ManualTime>,
    pub(crate) calls: watch::Receiver<usize>,
    pub(crate) joined: watch::Receiver<usize>,
    /// How many loads of the engine have ended.
    pub(crate) loaded: watch::Receiver<usize>,
    pub(crate) watcher: Arc<Watcher>,
    service: CacheService<Inner>,
}

/// Entity, verdict, reason and status.
pub(crate) type Told = (String, &'static str, Option<&'static str>, u16);

/// Notes what the layer tells.
#[derive(Default)]
pub(crate) struct Watcher {
    pub(crate) served: Mutex<Vec<(String, usize)>>,
    pub(crate) answered: Mutex<Vec<Told>>,
}

impl ServedObserver for Watcher {
    fn served(&self, identity: &Identity, tags: &[TagId], _base: Position) {
        self.served.lock().unwrap().push((identity.principal().to_owned(), tags.len()));
    }

    fn answered(&self, told: &Answered<'_>) {
        self.answered.lock().unwrap().push((told.entity.to_owned(), told.verdict, told.reason, told.status.as_u16()));
    }
}

/// The body of a request, for the service behind: an extension of its head.
#[derive(Clone, Debug)]
pub(crate) struct SentBody(pub(crate) String);

/// Counts the readers who joined a load, and the loads that ended.
#[derive(Default)]
struct Flights {
    joined: watch::Sender<usize>,
    loaded: watch::Sender<usize>,
}

impl Observer for Flights {
    fn on_event(&self, event: &Event<'_>) {
        match event {
            Event::Joined { .. } => self.joined.send_modify(|count| *count += 1),
            Event::Loaded { .. } | Event::LoadFailed { .. } => self.loaded.send_modify(|count| *count += 1),
            _ => {}
        }
    }
}

/// A response as the client has it.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn x_cache(&self) -> &str {
        self.header("x-cache")
    }
}

impl World {
    /// `handler` answers what reaches the service behind the layer.
    pub(crate) async fn new<H>(routes: RoutePolicies, handler: H) -> Self
    where
        H: Fn(request::Parts) -> BoxFuture<'static, Answer> + Send + Sync + 'static,
    {
        Self::over(Arc::new(MemoryStore::default()), routes, handler).await
    }

    /// A node over a store that others may share.
    pub(crate) async fn over<H>(store: Arc<dyn Store>, routes: RoutePolicies, handler: H) -> Self
    where
        H: Fn(request::Parts) -> BoxFuture<'static, Answer> + Send + Sync + 'static,
    {
        Self::within(CacheLimits::default(), store, routes, handler).await
    }

    /// The same, with so much memory.
    pub(crate) async fn within<H>(limits: CacheLimits, store: Arc<dyn Store>, routes: RoutePolicies, handler: H) -> Self
    where
        H: Fn(request::Parts) -> BoxFuture<'static, Answer> + Send + Sync + 'static,
    {
        let time = Arc::new(ManualTime::default());
        let flights = Flights::default();
        let (joined, loaded) = (flights.joined.subscribe(), flights.loaded.subscribe());
        let builder = Cache::builder(store).limits(limits).time(time.clone()).observer(Arc::new(flights));
        let cache = builder.build().await.unwrap();
        let counter = watch::Sender::new(0);
        let calls = counter.subscribe();
        let inner = tower::service_fn({
            let (handler, counter) = (Arc::new(handler), Arc::new(counter));
            move |request: Request<String>| {
                counter.send_modify(|count| *count += 1);
                let (mut head, body) = request.into_parts();
                head.extensions.insert(SentBody(body));
                handler(head)
            }
        });
        let watcher = Arc::new(Watcher::default());
        let limits = HttpLimits { body_bytes_max: 1000, ..HttpLimits::default() };
        let layer = CacheLayer::new(cache.clone(), routes, SECRET).limits(limits).observer(watcher.clone());
        let service = layer.layer(BoxCloneSyncService::new(inner));
        Self { layer, cache, time, calls, joined, loaded, watcher, service }
    }

    /// The layer around its service.
    pub(crate) fn service(&self) -> CacheService<Inner> {
        self.service.clone()
    }

    pub(crate) fn calls(&self) -> usize {
        *self.calls.borrow()
    }

    pub(crate) async fn send(&self, request: Request<String>) -> Got {
        self.try_send(request).await.unwrap()
    }

    pub(crate) async fn try_send(&self, request: Request<String>) -> Result<Got, &'static str> {
        let mut service = self.service.clone();
        let response = service.ready().await?.call(request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Got { status: head.status, headers: head.headers, body: String::from_utf8(body.to_vec()).unwrap() })
    }

    pub(crate) async fn get(&self, identity: &Identity, uri: &str) -> Got {
        self.send(get(identity, uri, &[])).await
    }

    pub(crate) async fn get_with(&self, identity: &Identity, uri: &str, headers: &[(&str, &str)]) -> Got {
        self.send(get(identity, uri, headers)).await
    }
}

pub(crate) fn get(identity: &Identity, uri: &str, headers: &[(&str, &str)]) -> Request<String> {
    request("GET", Some(identity), uri, headers)
}

pub(crate) fn request(
    method: &str,
    identity: Option<&Identity>,
    uri: &str,
    headers: &[(&str, &str)],
) -> Request<String> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(String::new()).unwrap();
    if let Some(identity) = identity {
        request.extensions_mut().insert(identity.clone());
    }
    request
}

pub(crate) fn tenant(name: &str) -> Tenant {
    Tenant::new(name).unwrap()
}

pub(crate) fn user(tenant_name: &str, principal: &str) -> Identity {
    Identity::new(tenant(tenant_name), principal)
}

pub(crate) fn minute() -> Policy {
    Policy::ttl(std::time::Duration::from_secs(60))
}

/// `/cached/*` for each principal for a minute; `/uncached/*` not at all.
pub(crate) fn routes() -> RoutePolicies {
    RoutePolicies::builder()
        .route("/cached/*", RoutePolicy::cached("cached", minute()))
        .route("/uncached/*", RoutePolicy::uncached("uncached"))
        .build()
        .unwrap()
}

pub(crate) fn full(text: impl Into<String>) -> Body {
    Full::new(Bytes::from(text.into())).map_err(|never| match never {}).boxed_unsync()
}

pub(crate) fn ok(text: impl Into<String>) -> Answer {
    Ok(Response::new(full(text)))
}

/// A response with these headers.
pub(crate) fn with(status: u16, headers: &[(&str, &str)], text: &str) -> Answer {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Ok(response.body(full(text)).unwrap())
}
