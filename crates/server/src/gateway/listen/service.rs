//! What each request of a connection goes through before the service, and each answer after it.

use std::{
    cell::Cell,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::response::IntoResponse as _;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Version, header, request};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use super::{body::RequestBody, head, hygiene, peer::ClientConnection, serve::Serve, state::ConnectionState};
use crate::problem::Problem;

/// The service of one connection.
pub(crate) struct ConnectionService<S: Serve> {
    pub(crate) inner: S,
    pub(crate) connection: ClientConnection,
    /// Begun before the library has read the request.
    begun: Cell<Option<Serving<S>>>,
}

/// An answer whose request runs until its body is dropped.
pub(crate) type Answer<S> = Response<ServedBody<<S as Serve>::Body>>;

impl<S: Serve> hyper::service::Service<Request<Incoming>> for ConnectionService<S> {
    type Response = Answer<S>;
    type Error = Infallible;
    type Future = Serving<S>;

    fn call(&self, request: Request<Incoming>) -> Serving<S> {
        if let Some(begun) = self.begun.take() {
            return begun;
        }
        let (head, body) = request.into_parts();
        let is_plain = head::is_plain(&head);
        let serving = self.begin(head, RequestBody::http1(body));
        Serving { plain: is_plain && serving.is_ready(), ..serving }
    }
}

impl<S: Serve> ConnectionService<S> {
    pub(crate) fn new(inner: S, connection: ClientConnection) -> Self {
        Self { inner, connection, begun: Cell::new(None) }
    }

    /// The request that comes next is the one that this answers.
    pub(crate) fn resume(&self, begun: Serving<S>) {
        self.begun.set(Some(begun));
    }

    /// Begins to answer a request.
    pub(crate) fn begin(&self, mut head: request::Parts, body: RequestBody) -> Serving<S> {
        let running = Running::begin(&self.connection.state);
        let http2 = head.version == Version::HTTP_2;
        let kind = if let Err(refusal) = hygiene::clean(&mut head) {
            tracing::debug!(?refusal, "a request was refused");
            Kind::Refused { problem: Some(Box::new(refusal.problem())) }
        } else if !self.connection.is_accepted() {
            tracing::debug!("a request was refused: the client's certificate is not good any more");
            let detail = "This connection's certificate is not accepted any more. Connect again with one that is.";
            Kind::Refused { problem: Some(Box::new(Problem::forbidden(detail))) }
        } else {
            Kind::Called { answer: self.inner.serve(head, body, &self.connection) }
        };
        Serving { kind, http2, plain: false, running: Some(running) }
    }
}

/// Counts as running until it is dropped.
pub(crate) struct Running(Arc<ConnectionState>);

impl Running {
    fn begin(state: &Arc<ConnectionState>) -> Self {
        state.request_began();
        Self(state.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.request_ended();
    }
}

pin_project! {
    /// An answer on its way.
    pub(crate) struct Serving<S: Serve> {
        #[pin]
        kind: Kind<S>,
        http2: bool,
        // Whether it would have needed no library: such a request, and an answer that is there at once.
        plain: bool,
        running: Option<Running>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<S: Serve> {
        Called { #[pin] answer: S::Future },
        Refused { problem: Option<Box<Problem>> },
        Answered { answer: Option<Box<Answer<S>>> },
    }
}

impl<S: Serve> Serving<S> {
    /// One that is there.
    pub(crate) fn answered(answer: Answer<S>) -> Self {
        Self { kind: Kind::Answered { answer: Some(Box::new(answer)) }, http2: false, plain: false, running: None }
    }

    /// Writes the head of what is there already, and returns the body, and what keeps its request running.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>) -> Option<(Bytes, Running)> {
        let Kind::Called { answer } = &mut self.kind else { return None };
        let body = S::write(answer, out)?;
        let running = self.running.take().expect("a future is not asked after its end");
        running.0.hints().answered();
        Some((body, running))
    }

    /// Whether the service has answered, and the answer is there when it is asked for.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(&self.kind, Kind::Called { answer } if S::is_ready(answer))
    }
}

impl<S: Serve> Future for Serving<S> {
    type Output = Result<Response<ServedBody<S::Body>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (http2, plain) = (*this.http2, *this.plain);
        let mut running = || {
            let running = this.running.take().expect("a future is not polled after its end");
            if !http2 {
                running.0.hints().answered();
            }
            running
        };
        Poll::Ready(Ok(match this.kind.project() {
            KindProjection::Called { answer } => {
                let Ok(answer) = ready!(answer.poll(cx));
                let running = running();
                if answer.status() == StatusCode::SWITCHING_PROTOCOLS && !http2 {
                    running.0.switched();
                }
                let stays = !answer.headers().contains_key(header::CONNECTION);
                running.0.note_plain(plain && stays && S::whole(answer.body()).is_some());
                served(answer.map(|body| (Some(body), None)), running)
            }
            KindProjection::Refused { problem } => {
                let problem = problem.take().expect("a future is not polled after its end");
                let mut answer = problem.into_response();
                if !http2 {
                    // What follows on this connection cannot be trusted to begin where it seems to, or to be of whom it is.
                    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                served(answer.map(|body| (None, Some(body))), running())
            }
            KindProjection::Answered { answer } => *answer.take().expect("a future is not polled after its end"),
        }))
    }
}

fn served<B>(answer: Response<(Option<B>, Option<axum::body::Body>)>, running: Running) -> Response<ServedBody<B>> {
    answer.map(|(inner, refused)| ServedBody { inner, refused, running: Some(running) })
}

pin_project! {
    /// An answer's body; its request runs until it is dropped.
    pub(crate) struct ServedBody<B> {
        #[pin]
        inner: Option<B>,
        #[pin]
        refused: Option<axum::body::Body>,
        running: Option<Running>,
    }
}

impl<B> ServedBody<B> {
    /// What keeps the request running, for who sends its answer without it.
    pub(crate) fn take_running(&mut self) -> Option<Running> {
        self.running.take()
    }

    /// All bytes of it, if the service knows them.
    pub(crate) fn whole<S: Serve<Body = B>>(&self) -> Option<&Bytes> {
        self.inner.as_ref().and_then(S::whole)
    }
}

/// Why a body broke off.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl<B> Body for ServedBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        if let Some(inner) = this.inner.as_pin_mut() {
            inner.poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
        } else if let Some(refused) = this.refused.as_pin_mut() {
            refused.poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
        } else {
            Poll::Ready(None)
        }
    }

    fn is_end_stream(&self) -> bool {
        let refused = || self.refused.as_ref().is_none_or(Body::is_end_stream);
        self.inner.as_ref().map_or_else(refused, Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let refused = || self.refused.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        self.inner.as_ref().map_or_else(refused, Body::size_hint)
    }
}
