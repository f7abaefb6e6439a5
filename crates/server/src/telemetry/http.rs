//! A tower layer: a span and the metrics of each request.

use std::{
    cell::OnceCell,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use axum::extract::MatchedPath;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, request};
use pin_project_lite::pin_project;
use tokio::task::futures::TaskLocalFuture;
use tower::{Layer, Service};
use tracing::{Instrument as _, Span, field, instrument::Instrumented};
use unstale::Tenant;
use unstale_http::CacheVerdict;

use super::{
    TraceContext,
    metrics::{Answered, Metrics, RouteCounters},
};

/// What the caller hung up on is counted with this status, as proxies do.
const CLIENT_CLOSED_REQUEST: u16 = 499;
/// The trace that a request belongs to.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Tells in an answer what the cache did.
const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
/// The route of requests that no route matched.
const UNMATCHED: &str = "(unmatched)";

tokio::task_local! {
    static CURRENT: Current;
}

/// What a request is counted as, where no router says it: an extension of the request, of a closed set.
#[derive(Clone, Debug)]
pub struct RouteLabel(pub Arc<str>);

/// A route that is known without a router. Its counters are found once, and then by every request.
#[derive(Debug)]
pub(crate) struct WatchedRoute {
    label: Arc<str>,
    counters: RouteCounters,
}

impl WatchedRoute {
    pub(crate) fn new(label: Arc<str>) -> Self {
        Self { label, counters: RouteCounters::default() }
    }
}

/// Where a request's label comes from.
#[derive(Clone, Debug)]
enum Label {
    Matched(MatchedPath),
    Given(Arc<str>),
    Watched(Arc<WatchedRoute>),
}

/// What a request is known by while it is answered.
#[derive(Debug)]
pub struct Current {
    span: Span,
    trace: Trace,
}

/// Where a request stands in a trace. A trace that no caller has begun begins when somebody asks for it: its ids take
/// random numbers, and who answers from memory has nobody to tell them to.
#[derive(Clone, Debug, Default)]
struct Trace(OnceCell<TraceContext>);

impl Trace {
    fn context(&self) -> TraceContext {
        *self.0.get_or_init(TraceContext::root)
    }
}

/// The trace id of the request that is being answered, if one is.
pub fn current_trace_id() -> Option<String> {
    CURRENT.try_with(|current| current.trace.context().trace_id()).ok()
}

/// The same as a number.
pub(crate) fn current_trace() -> Option<u128> {
    CURRENT.try_with(|current| current.trace.context().trace()).ok()
}

/// Notes the tenant for which the current request acts, once that is verified.
pub fn record_tenant(tenant: &Tenant) {
    let _ = CURRENT.try_with(|current| note(&current.span, "tenant", tenant.as_str()));
}

/// Records a field, unless nobody listens: its name is searched for even then.
fn note(span: &Span, field: &str, value: impl tracing::Value) {
    if !span.is_disabled() {
        span.record(field, value);
    }
}

/// Makes each request a span with its method, matched route, status and tenant, within the caller's trace, and counts
/// it. Put it on the router (`Router::layer`), so that the matched route is known.
///
/// Handlers find the [`TraceContext`] among the request's extensions, to send it on.
#[derive(Clone)]
pub struct HttpTelemetry {
    metrics: Arc<Metrics>,
}

impl HttpTelemetry {
    /// Counts in these metrics.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics }
    }
}

impl<S> Layer<S> for HttpTelemetry {
    type Service = HttpTelemetryService<S>;

    fn layer(&self, inner: S) -> HttpTelemetryService<S> {
        HttpTelemetryService { inner, metrics: self.metrics.clone() }
    }
}

/// The service of [`HttpTelemetry`].
#[derive(Clone)]
pub struct HttpTelemetryService<S> {
    inner: S,
    metrics: Arc<Metrics>,
}

impl<S, In, Out> Service<Request<In>> for HttpTelemetryService<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Out>;
    type Error = S::Error;
    type Future = Watched<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<In>) -> Self::Future {
        let route = label_of(request.extensions());
        let mut begun = Begun::of(&self.metrics, route, (request.method(), request.headers()));
        request.extensions_mut().insert(begun.trace.context());
        let inner = begun.call(|| self.inner.call(request));
        begun.watched(inner)
    }
}

/// The future of a request that is watched.
pub type Watched<F> = TaskLocalFuture<Current, Instrumented<Telling<F>>>;

impl HttpTelemetry {
    /// Watches a request that `call` answers, for who knows its route without a router. An answer that is there at once
    /// is told of at once: nothing has to be kept for it until it is polled.
    pub(crate) fn watch<Out, E, F>(
        &self,
        route: Option<Arc<WatchedRoute>>,
        head: request::Parts,
        call: impl FnOnce(request::Parts) -> F,
    ) -> WatchedAnswer<F>
    where
        F: Future<Output = Result<Response<Out>, E>> + AtOnce,
    {
        let mut begun = Begun::of(&self.metrics, route.map(Label::Watched), (&head.method, &head.headers));
        let answer = begun.call(|| call(head));
        match answer.at_once() {
            Some(told) => {
                begun.counted.answered(told);
                WatchedAnswer::Told { answer }
            }
            None => WatchedAnswer::Coming { answer: Box::pin(begun.watched(answer)) },
        }
    }
}

/// An answer that may be there before it is waited for.
pub(crate) trait AtOnce {
    /// What there is to tell of it, if it is.
    fn at_once(&self) -> Option<Told<'_>>;
}

/// What is told of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    pub(crate) status: StatusCode,
    /// What the cache did, if it was asked.
    pub(crate) verdict: Option<&'a str>,
}

impl<'a> Told<'a> {
    /// Of an answer.
    pub(crate) fn of<B>(response: &'a Response<B>) -> Self {
        let verdict = response.headers().get(X_CACHE).and_then(|verdict| verdict.to_str().ok());
        let verdict = verdict.or_else(|| response.extensions().get::<CacheVerdict>().map(|verdict| verdict.0));
        Self { status: response.status(), verdict }
    }
}

pin_project! {
    /// The answer to a request that is watched.
    #[project = WatchedProjection]
    pub(crate) enum WatchedAnswer<F> {
        /// It is there, and was told of.
        Told { #[pin] answer: F },
        /// It is to come. Boxed, so that it is not moved wherever an answer is that is there.
        Coming { answer: Pin<Box<Watched<F>>> },
    }
}

impl<F, Out, E> Future for WatchedAnswer<F>
where
    F: Future<Output = Result<Response<Out>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project() {
            WatchedProjection::Told { answer } => answer.poll(cx),
            WatchedProjection::Coming { answer } => answer.as_mut().poll(cx),
        }
    }
}

/// A request whose answer has begun.
struct Begun {
    trace: Trace,
    span: Span,
    counted: Counted,
}

impl Begun {
    #[inline]
    fn of(metrics: &Arc<Metrics>, route: Option<Label>, (method, headers): (&Method, &HeaderMap)) -> Self {
        let trace = trace_of(headers);
        let method = method_label(method);
        let span = tracing::debug_span!(
            "http.request",
            method,
            route = route_label(route.as_ref()),
            status = field::Empty,
            tenant = field::Empty,
            cache.verdict = field::Empty,
            trace_id = trace.context().trace_id(),
            span_id = trace.context().span_id(),
        );
        let (metrics, told_to) = (metrics.clone(), span.clone());
        let counted = Counted { metrics, span: told_to, method, route, began: Instant::now(), told: false };
        Self { trace, span, counted }
    }

    /// What is called knows what it is a part of.
    #[inline]
    fn call<F>(&mut self, call: impl FnOnce() -> F) -> F {
        let current = Current { span: self.span.clone(), trace: mem::take(&mut self.trace) };
        let (answer, trace) = CURRENT.sync_scope(current, || (call(), CURRENT.with(|current| current.trace.clone())));
        self.trace = trace;
        answer
    }

    /// An answer that is to come.
    fn watched<F, Out, E>(self, inner: F) -> Watched<F>
    where
        F: Future<Output = Result<Response<Out>, E>>,
    {
        let Self { trace, span, counted } = self;
        let current = Current { span: span.clone(), trace };
        CURRENT.scope(current, Telling { inner, counted }.instrument(span))
    }
}

pin_project! {
    /// An answer on its way; tells of it when it comes. Not boxed: every request has one.
    #[derive(Debug)]
    pub struct Telling<F> {
        #[pin]
        inner: F,
        counted: Counted,
    }
}

impl<F, Out, E> Future for Telling<F>
where
    F: Future<Output = Result<Response<Out>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let answered = ready!(this.inner.poll(cx));
        if let Ok(response) = &answered {
            this.counted.answered(Told::of(response));
        }
        Poll::Ready(answered)
    }
}

/// Counts a request once, also when its future is dropped because the caller hung up.
#[derive(Debug)]
struct Counted {
    metrics: Arc<Metrics>,
    span: Span,
    method: &'static str,
    route: Option<Label>,
    began: Instant,
    told: bool,
}

impl Counted {
    fn answered(&mut self, Told { status, verdict }: Told<'_>) {
        let status = status.as_u16();
        note(&self.span, "status", status);
        if let Some(verdict) = verdict {
            note(&self.span, "cache.verdict", verdict);
        }
        self.tell(status, verdict);
    }

    fn tell(&mut self, status: u16, verdict: Option<&str>) {
        self.told = true;
        let answered = Answered { method: self.method, status, verdict, took: self.began.elapsed() };
        let counters = match &self.route {
            Some(Label::Watched(route)) => Some(&route.counters),
            _ => None,
        };
        self.metrics.answered(route_label(self.route.as_ref()), counters, &answered);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if !self.told {
            let status = if std::thread::panicking() {
                StatusCode::INTERNAL_SERVER_ERROR.as_u16()
            } else {
                CLIENT_CLOSED_REQUEST
            };
            self.tell(status, None);
        }
    }
}

/// The caller's trace goes on; a malformed or missing header begins a new one.
fn trace_of(headers: &HeaderMap) -> Trace {
    // Most callers send none: one look at all names costs less than a search.
    if !headers.keys().any(|name| *name == TRACEPARENT) {
        return Trace::default();
    }
    let mut sent = headers.get_all(TRACEPARENT).iter();
    let caller = match (sent.next(), sent.next()) {
        (Some(one), None) => one.to_str().ok().and_then(TraceContext::parse),
        _ => None,
    };
    Trace(caller.map_or_else(OnceCell::new, |caller| caller.child().into()))
}

fn label_of(extensions: &http::Extensions) -> Option<Label> {
    let given = || extensions.get::<RouteLabel>().map(|label| Label::Given(label.0.clone()));
    extensions.get::<MatchedPath>().cloned().map(Label::Matched).or_else(given)
}

fn route_label(route: Option<&Label>) -> &str {
    match route {
        None => UNMATCHED,
        Some(Label::Matched(path)) => path.as_str(),
        Some(Label::Given(label)) => label,
        Some(Label::Watched(route)) => &route.label,
    }
}

/// A method from a closed set, as a caller can make up any other.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::{Extension, Router, body::Body, routing::get};
    use futures_util::{FutureExt as _, future::BoxFuture};
    use http_body_util::BodyExt as _;
    use parking_lot::Mutex;
    use tower::ServiceExt as _;

    use super::*;
    use crate::telemetry::BuildInfo;

    fn app(metrics: &Arc<Metrics>) -> Router {
        Router::new()
            .route(
                "/flows/{id}",
                get(|Extension(context): Extension<TraceContext>| async move {
                    assert_eq!(current_trace_id(), Some(context.trace_id()));
                    ([("x-cache", "HIT")], context.to_string())
                }),
            )
            .route("/slow", get(std::future::pending::<()>))
            .layer(HttpTelemetry::new(metrics.clone()))
    }

    fn metrics() -> Arc<Metrics> {
        Arc::new(Metrics::new(&BuildInfo { version: "1", commit: "c" }))
    }

    fn request(path: &str, traceparent: &str) -> Request<Body> {
        Request::get(path).header("traceparent", traceparent).body(Body::empty()).unwrap()
    }

    async fn text(response: Response<Body>) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn the_callers_trace_goes_on_and_a_malformed_one_does_not() {
        let metrics = metrics();
        let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let got = text(app(&metrics).oneshot(request("/flows/1", sent)).await.unwrap()).await;
        assert!(got.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && !got.contains("00f067aa0ba902b7"), "{got}");
        let got = text(app(&metrics).oneshot(request("/flows/1", "nonsense")).await.unwrap()).await;
        assert!(TraceContext::parse(&got).is_some() && !got.contains("4bf92f"), "{got}");
    }

    #[tokio::test]
    async fn requests_are_counted_by_matched_route_and_by_verdict() {
        let metrics = metrics();
        for id in 0..3 {
            app(&metrics).oneshot(request(&format!("/flows/{id}"), "")).await.unwrap();
        }
        app(&metrics)
            .oneshot(Request::builder().method("BREW").uri("/pot").body(Body::empty()).unwrap())
            .await
            .unwrap();
        let told = metrics.render();
        assert!(told.contains(r#"http_requests_total{method="GET",route="/flows/{id}",status="200"} 3"#), "{told}");
        assert!(told.contains(r#"http_requests_total{method="OTHER",route="(unmatched)",status="404"} 1"#), "{told}");
        assert!(told.contains(r#"cache_hit_rate{endpoint="/flows/{id}",cache_type="http"} 1.0"#), "{told}");
    }

    /// An answer of a service that may have it at once.
    enum Answer {
        There(Option<Response<()>>),
        Coming(BoxFuture<'static, Result<Response<()>, Infallible>>),
    }

    impl AtOnce for Answer {
        fn at_once(&self) -> Option<Told<'_>> {
            match self {
                Self::There(response) => response.as_ref().map(Told::of),
                Self::Coming(_) => None,
            }
        }
    }

    impl Future for Answer {
        type Output = Result<Response<()>, Infallible>;

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            match self.get_mut() {
                Self::There(response) => Poll::Ready(Ok(response.take().unwrap())),
                Self::Coming(answer) => answer.as_mut().poll(cx),
            }
        }
    }

    fn watched(metrics: &Arc<Metrics>, call: impl FnOnce() -> Answer) -> WatchedAnswer<Answer> {
        let route = Arc::new(WatchedRoute::new("/items/{id}".into()));
        HttpTelemetry::new(metrics.clone()).watch(Some(route), request("/items/7", "").into_parts().0, |_| call())
    }

    #[tokio::test]
    async fn an_answer_is_counted_once_whether_it_is_there_or_to_come() {
        let hit = || Response::builder().header("x-cache", "HIT").body(()).unwrap();
        for coming in [false, true] {
            let metrics = metrics();
            let answer = watched(&metrics, || {
                if coming { Answer::Coming(std::future::ready(Ok(hit())).boxed()) } else { Answer::There(Some(hit())) }
            });
            let told_of = metrics.render().contains("/items/{id}");
            assert_eq!(told_of, !coming, "what is to come is not told of yet");
            answer.await.unwrap();
            let told = metrics.render();
            assert!(told.contains(r#"http_requests_total{method="GET",route="/items/{id}",status="200"} 1"#), "{told}");
            assert!(told.contains(r#"cache_hit_rate{endpoint="/items/{id}",cache_type="http"} 1.0"#), "{told}");
        }
    }

    #[tokio::test]
    async fn a_trace_that_begins_while_a_service_is_called_goes_on_while_its_answer_is_waited_for() {
        let (asked, ids) = (Arc::new(Mutex::new(Vec::new())), || current_trace_id().unwrap());
        let noted = asked.clone();
        let answer = watched(&metrics(), || {
            noted.lock().push(ids());
            Answer::Coming(Box::pin(async move {
                noted.lock().extend([ids(), ids()]);
                Ok(Response::new(()))
            }))
        });
        assert_eq!(current_trace_id(), None);
        answer.await.unwrap();
        let asked = asked.lock();
        assert!(asked.len() == 3 && asked.iter().all(|id| *id == asked[0]), "{asked:?}");
    }

    #[tokio::test]
    async fn a_caller_who_hangs_up_is_counted() {
        let metrics = metrics();
        let mut answer = app(&metrics).oneshot(request("/slow", "")).boxed();
        assert!((&mut answer).now_or_never().is_none());
        drop(answer);
        assert!(metrics.render().contains(r#"route="/slow",status="499"} 1"#));
    }
}
