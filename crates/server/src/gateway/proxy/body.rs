//! The body of an answer on its way to the client.
//!
//! # Invariants
//! - Nothing is read from a server that the client has not room for: memory per request is constant.
//! - A body that breaks off is an error to whoever reads it, never an end.
//! - At its end the connection goes back to the pool, and then the lease ends. Dropped before its end, the connection is
//!   closed: so the server learns that nobody listens.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::gateway::upstream::{Alarm, Arriving, BodyError, Lease, Link, Stream};

/// The body of an answer on its way to the client.
pub struct ForwardBody(Kind);

enum Kind {
    Empty,
    Link(Box<LinkBody>),
    Stream(Box<StreamBody>),
    Local(axum::body::Body),
}

struct LinkBody {
    body: Arriving,
    link: Option<Box<Link>>,
    lease: Option<Lease>,
    idle: Duration,
    waits: bool,
}

struct StreamBody {
    body: Incoming,
    idle: Duration,
    alarm: Option<Alarm>,
    waits: bool,
    _stream: Stream,
    _lease: Lease,
}

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off: {0}")]
pub struct ForwardError(Box<dyn std::error::Error + Send + Sync>);

impl ForwardBody {
    pub(crate) fn empty() -> Self {
        Self(Kind::Empty)
    }

    pub(crate) fn local(body: axum::body::Body) -> Self {
        Self(Kind::Local(body))
    }

    /// What comes on an HTTP/1.1 connection.
    pub(crate) fn link(body: Arriving, link: Box<Link>, lease: Lease, idle: Duration) -> Self {
        if body.is_end_stream() {
            lease.server.give_back(link);
            return Self::empty();
        }
        Self(Kind::Link(Box::new(LinkBody { body, link: Some(link), lease: Some(lease), idle, waits: false })))
    }

    /// What comes on an HTTP/2 connection.
    pub(crate) fn stream(body: Incoming, stream: Stream, lease: Lease, idle: Duration) -> Self {
        if body.is_end_stream() {
            return Self::empty();
        }
        let alarm = None;
        Self(Kind::Stream(Box::new(StreamBody { body, idle, alarm, waits: false, _stream: stream, _lease: lease })))
    }
}

impl LinkBody {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ForwardError>>> {
        let Some(link) = &mut self.link else { return Poll::Ready(None) };
        let polled = ready!(link.poll_frame(&mut self.body, &mut self.waits, self.idle, cx));
        match polled {
            Some(Ok(frame)) => {
                if self.body.is_end_stream() {
                    self.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            None => {
                self.finish();
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                self.link = None;
                self.lease = None;
                Poll::Ready(Some(Err(broken(error))))
            }
        }
    }

    fn finish(&mut self) {
        if let (Some(link), Some(lease)) = (self.link.take(), self.lease.take()) {
            lease.server.give_back(link);
        }
    }
}

impl StreamBody {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ForwardError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.waits = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(|error| broken(BodyError::Broken(error)))));
        }
        let idle = self.idle;
        let alarm = self.alarm.get_or_insert_with(|| Alarm::after(idle));
        if !self.waits {
            self.waits = true;
            alarm.set(idle);
        }
        ready!(alarm.poll(cx));
        Poll::Ready(Some(Err(broken(BodyError::Stalled))))
    }
}

fn broken(error: BodyError) -> ForwardError {
    tracing::debug!(%error, "an answer broke off");
    ForwardError(Box::new(error))
}

impl Body for ForwardBody {
    type Data = Bytes;
    type Error = ForwardError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ForwardError>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Link(body) => body.poll(cx),
            Kind::Stream(body) => body.poll(cx),
            Kind::Local(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|error| ForwardError(Box::new(error))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Link(body) => body.link.is_none() || body.body.is_end_stream(),
            Kind::Stream(body) => body.body.is_end_stream(),
            Kind::Local(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Link(body) => body.body.size_hint(),
            Kind::Stream(body) => body.body.size_hint(),
            Kind::Local(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for ForwardBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Kind::Empty => "empty",
            Kind::Link(_) => "HTTP/1.1",
            Kind::Stream(_) => "HTTP/2",
            Kind::Local(_) => "local",
        };
        f.debug_tuple("ForwardBody").field(&kind).finish()
    }
}
