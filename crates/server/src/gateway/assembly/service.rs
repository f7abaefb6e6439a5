//! The way of a request: its route, who sent it, the cache, the backend.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::response::IntoResponse as _;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request};
use http_body::Body;
use http_body_util::{Either, Limited};
use pin_project_lite::pin_project;
use tower::Service;
use unstale_http::{CacheBody, Identity, RequestFacts, ResponseFuture, RouteId, may_be_another_method};

use super::{
    forwarding::Goes,
    routing::{PathRoutes, Route},
    state::{Shared, State},
};
use crate::{
    audit::{AuditFuture, Class, Reading},
    gateway::{
        config::file::OnCredentials,
        identity::{Identified, Outcome, Peer, Stranger},
        listen::{ClientConnection, RequestBody, Serve},
        proxy::{ForwardBody, forwarded},
        upstream::{Target, Upstream},
    },
    problem::Problem,
    telemetry::{AtOnce, HttpTelemetry, Told, WatchedAnswer, record_tenant},
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Forwarded = BoxFuture<'static, Result<Response<ForwardBody>, Infallible>>;

/// The body of an answer: of the cache or a backend, or the gateway's own.
pub(crate) type GatewayBody = Either<CacheBody<ForwardBody>, axum::body::Body>;

/// Answers requests. Cheap to clone.
#[derive(Clone)]
pub(crate) struct GatewayService {
    shared: Arc<Shared>,
    telemetry: HttpTelemetry,
}

impl GatewayService {
    pub(crate) fn new(shared: &Arc<Shared>, telemetry: &HttpTelemetry) -> Self {
        Self { shared: shared.clone(), telemetry: telemetry.clone() }
    }
}

impl GatewayService {
    fn answer<B>(
        &self,
        head: request::Parts,
        body: B,
        connection: Option<&ClientConnection>,
    ) -> WatchedAnswer<Answering>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let state = self.shared.current.load();
        let place = state.routing.find(head.uri.path());
        let watched = place.map(|place| state.routing.at(place).watched.clone());
        self.telemetry.watch(watched, head, |head| {
            let passage = Passage { shared: &self.shared, state: &state, place, connection };
            passage.begin(head, body).unwrap_or_else(|refusal| Answering::ready(self.shared.refuse(refusal)))
        })
    }
}

impl Serve for GatewayService {
    type Body = GatewayBody;
    type Future = WatchedAnswer<Answering>;

    fn serve(&self, head: request::Parts, body: RequestBody, connection: &ClientConnection) -> Self::Future {
        self.answer(head, body, Some(connection))
    }

    fn is_ready(answer: &Self::Future) -> bool {
        answer.is_ready()
    }

    fn write(answer: &mut Self::Future, out: &mut Vec<u8>) -> Option<Bytes> {
        match answer {
            WatchedAnswer::Told { answer: Answering { kind: Kind::Cached { answer } } } => answer.write_hit(out),
            WatchedAnswer::Told { .. } | WatchedAnswer::Coming { .. } => None,
        }
    }

    fn whole(body: &GatewayBody) -> Option<&Bytes> {
        match body {
            Either::Left(body) => body.whole(),
            Either::Right(_) => None,
        }
    }
}

/// Of requests that came on no connection: the gateway's own.
impl<B> Service<Request<B>> for GatewayService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<GatewayBody>;
    type Error = Infallible;
    type Future = WatchedAnswer<Answering>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        self.answer(head, body, None)
    }
}

/// Why the gateway refuses.
#[derive(Clone, Debug)]
enum Refusal {
    NoRoute,
    Method(String),
    Stranger,
    TooLarge,
    HeadersTooLarge,
    Unauthorized,
    Unverifiable,
}

impl Shared {
    fn refuse(&self, refusal: Refusal) -> Response<GatewayBody> {
        let (reason, problem) = match refusal {
            Refusal::NoRoute => ("no-route", Problem::not_found()),
            Refusal::Method(allowed) => {
                let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed")
                    .detail("This address does not take this method. The Allow header names those it takes.");
                let allowed = HeaderValue::try_from(allowed).expect("names of methods make a header");
                ("method", problem.header(header::ALLOW, allowed))
            }
            Refusal::Stranger => {
                ("stranger", Problem::forbidden("A header of this request is only a proxy's to set. Leave it out."))
            }
            Refusal::TooLarge => ("too-large", Problem::too_large()),
            Refusal::HeadersTooLarge => {
                let (status, title) = (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The header fields are too large");
                let problem = Problem::new(status, "headers-too-large", title);
                (
                    "headers-too-large",
                    problem.detail("Send fewer or shorter fields: large cookies, for example, are seldom needed here."),
                )
            }
            Refusal::Unauthorized => ("unauthorized", Problem::unauthorized()),
            Refusal::Unverifiable => {
                let detail = "Who you are cannot be verified now, and this request changes what others may read. Nothing was done; try again.";
                ("unverifiable", Problem::unavailable(detail).retry_after(Duration::from_secs(1)))
            }
        };
        self.build.metrics.refused(reason);
        problem.into_response().map(Either::Right)
    }
}

/// One request on its way.
#[derive(Clone, Copy)]
struct Passage<'a> {
    shared: &'a Arc<Shared>,
    state: &'a Arc<State>,
    place: Option<RouteId>,
    connection: Option<&'a ClientConnection>,
}

impl Passage<'_> {
    fn begin<B>(self, mut head: request::Parts, body: B) -> Result<Answering, Refusal>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let peer = Peer {
            address: self.connection.map(|connection| connection.peer().0.ip()),
            certificate: self.connection.and_then(ClientConnection::certificate),
            last_token: self.connection.map(ClientConnection::last_token),
        };
        if !self.state.believes(peer.address) {
            // Before anything is looked up: it neither shapes an answer nor makes an entry of its own.
            forwarded::drop_told(&mut head.headers);
        }
        self.state.identities.strip(&mut head, peer).map_err(|Stranger| Refusal::Stranger)?;
        let (_, body_bytes_max) = self.target(&head.method)?;
        let headers_bytes_max = self.route(&head.method).and_then(|route| route.headers_bytes_max);
        if headers_bytes_max.is_some_and(|most| bytes_of(&head.headers) > most) {
            return Err(Refusal::HeadersTooLarge);
        }
        if body.size_hint().lower() > body_bytes_max {
            return Err(Refusal::TooLarge);
        }
        let body = Limited::new(body, usize::try_from(body_bytes_max).unwrap_or(usize::MAX));
        // The names of headers are looked through only where it matters whose groups a write would concern.
        let is_plain_read = |path: &PathRoutes| is_safe(&head.method) && (!path.invalidates() || is_read(&head));
        if self.path().is_none_or(|path| path.is_public && is_plain_read(path)) || is_preflight(&head) {
            // No route: passed on, whoever it is. Or the same for everybody: nobody needs to be known. Or nobody can be.
            return Ok(self.pass(head, body, None));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        match self.state.identities.identify(&head, peer, now) {
            Identified::Now(outcome) => self.go_on(outcome, head, body),
            Identified::Later(outcome) => {
                let (shared, state, place) = (self.shared.clone(), self.state.clone(), self.place);
                let connection = self.connection.cloned();
                Ok(Answering::later(async move {
                    let outcome = outcome.await;
                    let connection = connection.as_ref();
                    let passage = Passage { shared: &shared, state: &state, place, connection };
                    match passage.go_on(outcome, head, body) {
                        Ok(answering) => answering.await,
                        Err(refusal) => Ok(shared.refuse(refusal)),
                    }
                }))
            }
        }
    }

    fn path(&self) -> Option<&PathRoutes> {
        self.place.map(|place| self.state.routing.at(place))
    }

    fn route(&self, method: &Method) -> Option<&Route> {
        self.path().and_then(|path| path.find(method))
    }

    /// Where the request goes, and how large its body may be.
    fn target(&self, method: &Method) -> Result<(&Arc<Upstream>, u64), Refusal> {
        let usual = self.state.plan.file.listen.request_body_max.0;
        match (self.route(method), &self.state.fallback, self.path()) {
            (Some(route), ..) => Ok((&route.upstream, route.body_bytes_max)),
            (None, Some(fallback), _) => Ok((fallback, usual)),
            (None, None, Some(path)) => Err(Refusal::Method(path.methods())),
            (None, None, None) => Err(Refusal::NoRoute),
        }
    }

    /// Goes on with what is known of the sender.
    fn go_on<B>(self, outcome: Outcome, head: request::Parts, body: B) -> Result<Answering, Refusal>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.shared.build.metrics.identified(outcome.as_str());
        let identity = match outcome {
            Outcome::Known(identity) => {
                record_tenant(identity.tenant());
                Some(identity)
            }
            Outcome::Anonymous if self.state.on_none() == OnCredentials::Unauthorized => {
                return Err(Refusal::Unauthorized);
            }
            Outcome::Bad if self.state.on_bad() == OnCredentials::Unauthorized => return Err(Refusal::Unauthorized),
            Outcome::Anonymous | Outcome::Bad | Outcome::Unknown(_) if is_read(&head) => None,
            outcome => self.unverified_write(&outcome, &head)?,
        };
        Ok(self.pass(head, body, identity))
    }

    /// A write of somebody who is not known: what it declares wrong is that of the tenant by rule. If there is no rule
    /// and the sender could not be found out *now*, the write must wait: it would be done, and nobody would be told.
    /// It declares wrong the groups of its route, and at any rate its own URL (RFC 9111, 4.4): where nothing of that is
    /// kept, it may go. Public answers are of no tenant, and are told of whoever has sent it.
    fn unverified_write(&self, outcome: &Outcome, head: &request::Parts) -> Result<Option<Identity>, Refusal> {
        // Of a rule it is not known whether the sender's own tenant would be another, had who says it answered.
        let is_other = outcome.is_passing() && self.state.identities.names_tenants();
        if let Some(tenant) = self.state.identities.tenant_by_rule(head).filter(|_| !is_other) {
            // Nothing is looked up for a write; this says only whose groups it concerns.
            return Ok(Some(Identity::new(tenant, "unverified")));
        }
        let has_groups = if is_safe(&head.method) {
            // Which method it will be taken for, nobody knows.
            self.path().is_some_and(PathRoutes::invalidates)
        } else {
            self.route(&head.method).is_some_and(|route| route.invalidates)
        };
        if has_groups || self.path().is_some_and(|path| path.is_kept) {
            if outcome.is_passing() {
                return Err(Refusal::Unverifiable);
            }
            self.shared.build.metrics.write_untold();
        }
        Ok(None)
    }

    /// Where the request goes if it is forwarded.
    fn goes(&self, method: &Method) -> Option<Goes> {
        let (upstream, _) = self.target(method).ok()?;
        let tag = self.path().map(|path| path.tag.clone());
        Some(Goes { target: Target(upstream.clone()), tag, connection: self.connection.cloned() })
    }

    fn pass<B>(self, head: request::Parts, body: B, identity: Option<Identity>) -> Answering
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let method = head.method.clone();
        let audit = self.shared.build.audit.as_ref();
        let is_safe = is_safe(&method) && (audit.is_none() || is_read(&head));
        let audit = audit.filter(|it| it.records(if is_safe { Class::Sensitive } else { Class::Mutation }));
        let reading = audit.map(|audit| {
            let label = self.path().map(|path| path.label.clone());
            let is_sensitive = self.path().is_some_and(|path| self.state.is_sensitive(&path.label));
            Reading::labelled(audit, &head, identity.as_ref(), label, is_sensitive)
        });
        let known = RequestFacts { route: self.place, identity };
        let service = &self.state.service;
        match reading {
            Some(reading) if !is_safe => {
                let (service, goes) = (service.clone(), self.goes(&method));
                Answering::later(reading.write(move || service.answer(head, body, known, |inner| inner.goes = goes)))
            }
            reading => {
                let answer = service.answer(head, body, known, |inner| inner.goes = self.goes(&method));
                match reading {
                    None => Answering { kind: Kind::Cached { answer } },
                    Some(reading) => Answering::later(AuditFuture::read(reading, answer)),
                }
            }
        }
    }
}

/// Of names and values.
fn bytes_of(headers: &HeaderMap) -> u64 {
    headers.iter().map(|(name, value)| (name.as_str().len() + value.len()) as u64).sum()
}

/// A method that changes nothing (RFC 9110, 9.2.1). `TRACE`, the other one, is refused by the listener.
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether a request changes nothing, as every server reads it.
fn is_read(head: &request::Parts) -> bool {
    is_safe(&head.method) && !may_be_another_method(&head.headers)
}

/// A browser's question of whether another site's page may ask for something (CORS). It never has credentials, and the
/// service alone knows the answer.
fn is_preflight(head: &request::Parts) -> bool {
    head.method == Method::OPTIONS
        && head.headers.contains_key(header::ORIGIN)
        && head.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

pin_project! {
    /// An answer on its way.
    pub(crate) struct Answering {
        #[pin]
        kind: Kind,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind {
        Ready { response: Option<Box<Response<GatewayBody>>> },
        Cached { #[pin] answer: ResponseFuture<Forwarded, ForwardBody, Infallible> },
        Later { answer: BoxFuture<'static, Result<Response<GatewayBody>, Infallible>> },
    }
}

impl Answering {
    fn ready(response: Response<GatewayBody>) -> Self {
        Self { kind: Kind::Ready { response: Some(Box::new(response)) } }
    }

    fn later(answer: impl Future<Output = Result<Response<GatewayBody>, Infallible>> + Send + 'static) -> Self {
        Self { kind: Kind::Later { answer: Box::pin(answer) } }
    }
}

impl AtOnce for Answering {
    fn at_once(&self) -> Option<Told<'_>> {
        match &self.kind {
            Kind::Ready { response } => response.as_deref().map(Told::of),
            Kind::Cached { answer } => {
                answer.at_once().map(|(status, verdict)| Told { status, verdict: Some(verdict) })
            }
            Kind::Later { .. } => None,
        }
    }
}

impl Future for Answering {
    type Output = Result<Response<GatewayBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::Ready { response } => {
                Poll::Ready(Ok(*response.take().expect("a future is not polled after its end")))
            }
            KindProjection::Cached { answer } => {
                let Ok(response) = ready!(answer.poll(cx));
                Poll::Ready(Ok(response.map(Either::Left)))
            }
            KindProjection::Later { answer } => answer.as_mut().poll(cx),
        }
    }
}
