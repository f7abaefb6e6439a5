//! What each request of a connection goes through before the service, and each answer after it.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::response::IntoResponse as _;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use super::{hygiene, peer::ClientConnection, serve::Serve, state::ConnectionState};

/// The service of one connection.
#[derive(Clone)]
pub(crate) struct ConnectionService<S> {
    pub(crate) inner: S,
    pub(crate) connection: ClientConnection,
}

impl<S: Serve> hyper::service::Service<Request<Incoming>> for ConnectionService<S> {
    type Response = Response<ServedBody<S::Body>>;
    type Error = Infallible;
    type Future = Serving<S>;

    fn call(&self, request: Request<Incoming>) -> Serving<S> {
        let running = Running::begin(&self.connection.state);
        let (mut head, body) = request.into_parts();
        let kind = if let Err(refusal) = hygiene::clean(&mut head) {
            tracing::debug!(?refusal, "a request was refused");
            Kind::Refused { refusal: Some(refusal), version: head.version }
        } else {
            Kind::Called { answer: self.inner.serve(head, body, &self.connection) }
        };
        Serving { kind, running: Some(running) }
    }
}

/// Counts as running until it is dropped.
struct Running(Arc<ConnectionState>);

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
        running: Option<Running>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<S: Serve> {
        Called { #[pin] answer: S::Future },
        Refused { refusal: Option<hygiene::Refusal>, version: Version },
    }
}

impl<S: Serve> Future for Serving<S> {
    type Output = Result<Response<ServedBody<S::Body>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut running = || this.running.take().expect("a future is not polled after its end");
        Poll::Ready(Ok(match this.kind.project() {
            KindProjection::Called { answer } => {
                let Ok(answer) = ready!(answer.poll(cx));
                let running = running();
                if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                    running.0.switched();
                }
                answer.map(|body| ServedBody { inner: Some(body), refused: None, _running: running })
            }
            KindProjection::Refused { refusal, version } => {
                let refusal = refusal.take().expect("a future is not polled after its end");
                let mut answer = refusal.problem().into_response();
                if *version < Version::HTTP_2 {
                    // What follows on this connection cannot be trusted to begin where it seems to.
                    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                answer.map(|body| ServedBody { inner: None, refused: Some(body), _running: running() })
            }
        }))
    }
}

pin_project! {
    /// An answer's body; its request runs until it is dropped.
    pub(crate) struct ServedBody<B> {
        #[pin]
        inner: Option<B>,
        #[pin]
        refused: Option<axum::body::Body>,
        _running: Running,
    }
}

/// Why a body broke off.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

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
            return inner.poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)));
        }
        let Some(refused) = this.refused.as_pin_mut() else { return Poll::Ready(None) };
        refused.poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().map_or_else(|| self.refused.as_ref().is_none_or(Body::is_end_stream), Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let refused = || self.refused.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        self.inner.as_ref().map_or_else(refused, Body::size_hint)
    }
}
