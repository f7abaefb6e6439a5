//! A tower layer: records reads as they are answered, and says to what runs within a write who acts.
//!
//! Mount it inside of authentication and outside of the cache. A read's record is taken when its answer is there, and the
//! answer waits until it is written: one turn of the runtime, in which all that are answered meanwhile are written with
//! it. So a system call is shared by as many answers as there are, and nobody waits for a clock.
//!
//! # What it must not know
//! What a write changes: where the application does not record that itself ([`Writes::ByLayer`]), the request is recorded.

use std::{
    borrow::Cow,
    mem,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    body::Body,
    extract::MatchedPath,
    response::{IntoResponse as _, Response as AxumResponse},
};
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Uri, request, uri::PathAndQuery};
use http_body_util::Either;
use pin_project_lite::pin_project;
use tower::{Layer, Service};
use unstale::Tenant;
use unstale_http::{Identity, WRITTEN_POSITION};

use super::{
    Audit, AuditRefused, Ticket,
    actor::{Actor, agent_of},
    record::{Class, Entry, Operation, Outcome},
};
use crate::{problem::Problem, telemetry::RouteLabel};

/// Tells in an answer what the cache did.
const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// Who records what a request changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Writes {
    /// The application, which knows. The layer records what is refused.
    #[default]
    ByApplication,
    /// The layer: the request, with how it was answered.
    ByLayer,
}

/// Puts an [`AuditService`] around a service. Cheap to clone: one pointer, because every request has a copy.
#[derive(Clone)]
pub struct AuditLayer(Arc<Rules>);

#[derive(Clone)]
struct Rules {
    audit: Audit,
    writes: Writes,
    is_sensitive: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    subject_parameter: Option<Box<str>>,
}

impl AuditLayer {
    /// Records in this trail.
    pub fn new(audit: Audit, writes: Writes) -> Self {
        Self(Arc::new(Rules { audit, writes, is_sensitive: Arc::new(|_| false), subject_parameter: None }))
    }

    /// Says which routes are sensitive, by the path with which they are mounted.
    #[must_use]
    pub fn sensitive(mut self, is_sensitive: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.0).is_sensitive = Arc::new(is_sensitive);
        self
    }

    /// Says which parameter of routes names whose data a request is about, such as `user_id`: it is recorded as a subject,
    /// and stands in no key.
    #[must_use]
    pub fn subject_parameter(mut self, name: &str) -> Self {
        Arc::make_mut(&mut self.0).subject_parameter = Some(format!("{{{name}}}").into());
        self
    }

    /// What is to be done with a request.
    fn plan<B>(&self, request: &Request<B>) -> Plan {
        let Rules { audit, is_sensitive, subject_parameter, .. } = &*self.0;
        let is_read = is_read(request.method());
        if is_read && !audit.records(Class::Sensitive) {
            return Plan::Pass;
        }
        let extensions = request.extensions();
        let matched = extensions.get::<MatchedPath>().cloned().map(RouteName::Matched);
        let given = || extensions.get::<RouteLabel>().map(|label| RouteName::Given(label.0.clone()));
        let route = matched.or_else(given).unwrap_or(RouteName::Unknown);
        let identity = extensions.get::<Identity>();
        let of = (request.uri(), request.headers());
        let mut reading = Reading::of(audit, of, identity, route, |route| is_sensitive(route));
        reading.subject = subject_parameter
            .as_deref()
            .and_then(|parameter| SubjectPlace::of(parameter, reading.route.as_str(), request.uri().path()));
        if is_read { Plan::Read(reading) } else { Plan::Write(reading) }
    }
}

enum Plan {
    Pass,
    Read(Reading),
    Write(Reading),
}

/// The name of a route.
#[derive(Clone, Debug)]
enum RouteName {
    Matched(MatchedPath),
    Given(Arc<str>),
    Unknown,
}

impl RouteName {
    fn as_str(&self) -> &str {
        match self {
            Self::Matched(path) => path.as_str(),
            Self::Given(label) => label,
            Self::Unknown => "",
        }
    }
}

/// What is kept of a request until it is answered.
pub struct Reading {
    audit: Audit,
    class: Class,
    who: Option<(Tenant, Arc<str>)>,
    agent: Option<Box<str>>,
    route: RouteName,
    target: Option<PathAndQuery>,
    subject: Option<SubjectPlace>,
}

/// Where a path names whose data it is about, and where its route has the parameter for it.
struct SubjectPlace {
    path: Range<usize>,
    route: Range<usize>,
}

impl SubjectPlace {
    fn of(parameter: &str, route: &str, path: &str) -> Option<Self> {
        // Most routes have no parameter at all, which is seen at once; to look for a word takes longer.
        if !route.contains('{') {
            return None;
        }
        let at = route.find(parameter)?;
        let segments = route[..at].matches('/').count();
        let start = path.match_indices('/').nth(segments.checked_sub(1)?).map(|(at, _)| at + 1)?;
        let end = path[start..].find('/').map_or(path.len(), |length| start + length);
        Some(Self { path: start..end, route: at..at + parameter.len() })
    }
}

impl Reading {
    fn of(
        audit: &Audit,
        (uri, headers): (&Uri, &HeaderMap),
        identity: Option<&Identity>,
        route: RouteName,
        is_sensitive: impl Fn(&str) -> bool,
    ) -> Self {
        Self {
            audit: audit.clone(),
            class: if is_sensitive(route.as_str()) { Class::Sensitive } else { Class::Read },
            who: identity.map(|identity| (identity.tenant().clone(), identity.principal_shared())),
            agent: agent_of(headers).map(Into::into),
            route,
            target: uri.path_and_query().cloned(),
            subject: None,
        }
    }

    /// Of a request whose route has this label, for who knows routes without a router.
    pub(crate) fn labelled(
        audit: &Audit,
        head: &request::Parts,
        identity: Option<&Identity>,
        label: Option<Arc<str>>,
        is_sensitive: bool,
    ) -> Self {
        let route = label.map_or(RouteName::Unknown, RouteName::Given);
        Self::of(audit, (&head.uri, &head.headers), identity, route, |_| is_sensitive)
    }

    /// Who acts.
    pub(crate) fn actor(&self) -> Actor {
        Actor {
            principal: self.who.as_ref().map_or_else(Arc::default, |(_, principal)| principal.clone()),
            agent: self.agent.as_deref().map_or_else(Arc::default, Arc::from),
            trace: crate::telemetry::current_trace().unwrap_or_default(),
        }
    }

    fn entry<'a>(&'a self, operation: Operation, outcome: Outcome, key: &'a str) -> Entry<'a> {
        let subject = self.subject.as_ref().zip(self.target.as_ref());
        let subject = subject.map(|(place, target)| self.audit.subject(&target.path()[place.path.clone()]));
        let (tenant, principal) = self.who.as_ref().map_or(("", ""), |(tenant, who)| (tenant.as_str(), who));
        Entry {
            principal,
            agent: self.agent.as_deref().unwrap_or_default(),
            entity: self.route.as_str(),
            key,
            subject,
            ..Entry::new(tenant, operation, outcome)
        }
    }

    /// The path; and of a query, which may hold anything, only what tells it from others.
    fn key(&self) -> Cow<'_, str> {
        let Some(target) = &self.target else { return "".into() };
        let path = match &self.subject {
            None => target.path().into(),
            Some(SubjectPlace { path: place, route }) => {
                let mut path = target.path().to_owned();
                path.replace_range(place.clone(), &self.route.as_str()[route.clone()]);
                Cow::Owned(path)
            }
        };
        match target.query() {
            None => path,
            Some(query) => format!("{path}?~{}", self.audit.trail().keys.opaque(query)).into(),
        }
    }

    /// Takes in how a read was answered.
    fn answered<B>(&self, response: &Response<B>) -> Option<Ticket> {
        let status = response.status();
        let class = if is_refusal(status) { Class::Sensitive } else { self.class };
        if !self.audit.records(class) {
            return None;
        }
        let verdict = response.headers().get(X_CACHE).map_or(Outcome::Bypass, |it| Outcome::of_verdict(it.as_bytes()));
        let outcome = if is_refusal(status) { Outcome::Refused } else { verdict };
        let key = self.key();
        self.audit.read(class, &Entry { status: status.as_u16(), ..self.entry(Operation::READ, outcome, &key) })
    }

    /// Sees a write through that the application records.
    async fn application_write<B, E>(
        self,
        answer: impl Future<Output = Result<Response<B>, E>>,
    ) -> Result<Response<B>, E> {
        let response = self.actor().scope(answer).await?;
        let status = response.status();
        if is_refusal(status) && self.audit.records(Class::Sensitive) {
            let key = self.key();
            let refused = self.entry(Operation::WRITE, Outcome::Refused, &key);
            if let Some(ticket) = self.audit.read(Class::Sensitive, &Entry { status: status.as_u16(), ..refused }) {
                self.audit.written(ticket);
            }
        }
        Ok(response)
    }

    /// Sees a write through that nobody else records: refused, if it cannot be recorded.
    pub(crate) async fn write<B, E, F>(self, answer: impl FnOnce() -> F) -> Result<Response<Either<B, Body>>, E>
    where
        F: Future<Output = Result<Response<B>, E>>,
    {
        let key = self.key();
        let entry = self.entry(Operation::WRITE, Outcome::Unknown, &key);
        let intent = match self.audit.begin(Class::Mutation, &[entry]).await {
            Ok(intent) => intent,
            Err(refused) => return Ok(refusal(&refused).map(Either::Right)),
        };
        let response = self.actor().scope(answer()).await?;
        let status = response.status();
        let position = response.headers().get(WRITTEN_POSITION).and_then(|it| it.to_str().ok()).unwrap_or_default();
        intent.end_synced(outcome_of(status), status.as_u16(), position).await;
        Ok(response.map(Either::Left))
    }
}

/// What a caller is told whose request cannot be recorded.
fn refusal(refused: &AuditRefused) -> AxumResponse {
    Problem::from_refused_audit(refused).into_response()
}

impl Problem {
    /// What a caller is told whose request cannot be recorded: nothing of where and why, which is for operators.
    pub fn from_refused_audit(refused: &AuditRefused) -> Self {
        tracing::error!(%refused, "a request was refused because it cannot be recorded");
        Self::unavailable("What this request changes cannot be recorded now, so nothing was done. Try again later.")
            .retry_after(std::time::Duration::from_secs(5))
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND)
}

fn outcome_of(status: StatusCode) -> Outcome {
    match status {
        // Of what a gateway could not get an answer to, nobody knows.
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Outcome::Unknown,
        _ if status.is_client_error() => Outcome::Refused,
        _ if status.is_server_error() => Outcome::Failed,
        _ => Outcome::Done,
    }
}

impl<S> Layer<S> for AuditLayer {
    type Service = AuditService<S>;

    fn layer(&self, inner: S) -> AuditService<S> {
        AuditService { layer: self.clone(), inner }
    }
}

/// The service of [`AuditLayer`].
#[derive(Clone)]
pub struct AuditService<S> {
    layer: AuditLayer,
    inner: S,
}

impl<S, In, B> Service<Request<In>> for AuditService<S>
where
    S: Service<Request<In>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    In: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<Either<B, Body>>;
    type Error = S::Error;
    type Future = AuditFuture<S::Future, B, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        match self.layer.plan(&request) {
            Plan::Pass => AuditFuture::passed(self.inner.call(request)),
            Plan::Read(reading) => AuditFuture::read(reading, self.inner.call(request)),
            Plan::Write(reading) => {
                // The clone takes the place of the one that is ready.
                let clone = self.inner.clone();
                let mut inner = mem::replace(&mut self.inner, clone);
                match self.layer.0.writes {
                    Writes::ByApplication => AuditFuture::boxed(async move {
                        let response = reading.application_write(inner.call(request)).await?;
                        Ok(response.map(Either::Left))
                    }),
                    Writes::ByLayer => {
                        AuditFuture::boxed(async move { reading.write(move || inner.call(request)).await })
                    }
                }
            }
        }
    }
}

pin_project! {
    /// The future of an [`AuditService`].
    pub struct AuditFuture<F, B, E> {
        #[pin]
        kind: Kind<F, B, E>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<F, B, E> {
        Passed { #[pin] inner: F },
        Read { #[pin] inner: F, reading: Reading, answered: Option<(Response<B>, Ticket)> },
        Boxed { answer: BoxFuture<'static, Result<Response<Either<B, Body>>, E>> },
    }
}

impl<F, B, E> AuditFuture<F, B, E> {
    /// Of a request that is not recorded.
    pub(crate) fn passed(inner: F) -> Self {
        Self { kind: Kind::Passed { inner } }
    }

    /// Of a read.
    pub(crate) fn read(reading: Reading, inner: F) -> Self {
        Self { kind: Kind::Read { inner, reading, answered: None } }
    }

    /// Of something else.
    pub(crate) fn boxed(answer: impl Future<Output = Result<Response<Either<B, Body>>, E>> + Send + 'static) -> Self {
        Self { kind: Kind::Boxed { answer: Box::pin(answer) } }
    }
}

impl<F, B, E> Future for AuditFuture<F, B, E>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Either<B, Body>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::Passed { inner } => Poll::Ready(Ok(ready!(inner.poll(cx))?.map(Either::Left))),
            KindProjection::Boxed { answer } => answer.as_mut().poll(cx),
            KindProjection::Read { inner, reading, answered } => {
                if let Some((response, ticket)) = answered.take() {
                    reading.audit.written(ticket);
                    return Poll::Ready(Ok(response.map(Either::Left)));
                }
                let response = ready!(inner.poll(cx))?;
                let Some(ticket) = reading.answered(&response) else {
                    return Poll::Ready(Ok(response.map(Either::Left)));
                };
                // Behind everything that can run now: what is answered there is written together with this.
                *answered = Some((response, ticket));
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}
