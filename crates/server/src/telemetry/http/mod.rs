//! A tower layer: a span and the metrics of each request.

#[cfg(test)]
mod tests;

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

impl<F> WatchedAnswer<F> {
    /// Whether it is there.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self, Self::Told { .. })
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
