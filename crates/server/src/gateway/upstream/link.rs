//! An HTTP/1.1 connection to a server, driven by whoever uses it.
//!
//! The usual client runs each connection in a task of its own; request, answer and every part of a body then cross
//! from task to task, which costs more than all else that a proxy does. Here the connection is part of the request's
//! own future, and then of its answer's body: no task, no channel between threads, and whoever drops the future or the
//! body closes the connection, so that a client that goes away cancels what was asked for it.
//!
//! # Invariants
//! - While a link lies in the pool nobody polls it. That the server closed it is seen when it is taken out
//!   ([`Link::is_open`]) or when the pool is swept.
//! - What is polled with a waker that does nothing (the answer, the body's parts) can only become ready by polling the
//!   connection, which happens right before, with the real waker, in the same task.
//! - A link goes back to the pool only after request and answer were over and nothing was left unread.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::{Body as _, Frame};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;
use tokio::task::unconstrained;

use super::{
    alarm::Alarm,
    connect::{ConnectError, UpstreamStream},
    sent::{SendProgress, SentBody},
    settings::Timeouts,
};

/// What is read of an answer before it is taken, and written of a request before it is sent.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// No byte of the request was sent: here it is.
    #[error("the connection was closed before the request was sent")]
    Unsent(Box<Request<SentBody>>),
    #[error("the connection ended before the answer began")]
    Closed,
    #[error("the connection ended within the head of the answer")]
    Cut,
    #[error("the answer is no HTTP: {0}")]
    Protocol(hyper::Error),
    #[error("there was no answer in time")]
    HeadTimeout,
    #[error("the server did not take the request's body in time")]
    ServerStalled,
    #[error("the client did not send the request's body in time")]
    ClientStalled,
    #[error("the request's body ended too early: {0}")]
    ClientBody(hyper::Error),
}

/// An HTTP/1.1 connection.
pub(crate) struct Link {
    sender: http1::SendRequest<SentBody>,
    /// Gone when it is over and its stream is of no use.
    conn: Option<http1::Connection<TokioIo<UpstreamStream>, SentBody>>,
    over: bool,
    alarm: Alarm,
    idle_since: Instant,
    reused: bool,
    /// The head of what was sent, for as long as it may have to be sent again. Its room is used again, too.
    kept: Vec<(HeaderName, HeaderValue)>,
    heard: Arc<AtomicBool>,
}

impl Link {
    pub(crate) async fn new(stream: UpstreamStream, head_bytes_max: usize) -> Result<Self, ConnectError> {
        let mut builder = http1::Builder::new();
        builder.max_header_size(head_bytes_max).max_buf_size(BUFFER_BYTES_MAX.max(head_bytes_max));
        let heard = stream.heard();
        let (sender, conn) = builder.handshake(TokioIo::new(stream)).await.map_err(ConnectError::Handshake)?;
        let alarm = Alarm::after(Duration::ZERO);
        Ok(Self {
            sender,
            conn: Some(conn),
            over: false,
            alarm,
            idle_since: Instant::now(),
            reused: false,
            kept: Vec::new(),
            heard,
        })
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(conn) = &mut self.conn
            && !self.over
        {
            // An error is told to who waits for the answer, or for its body.
            self.over = conn.poll_without_shutdown(cx).is_ready();
        }
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(
        &mut self,
        request: Request<SentBody>,
        timeouts: &Timeouts,
        gated: bool,
    ) -> Result<Response<Incoming>, SendError> {
        let mut watch = Watch::new(request.body().progress(), timeouts, gated);
        self.alarm.set(watch.first());
        self.heard.store(false, Relaxed);
        // Without a budget of its own, so that it cannot say "not yet" to a waker that does nothing.
        let mut answer = pin!(unconstrained(self.sender.try_send_request(request)));
        poll_fn(|cx| {
            let mut unheard = Context::from_waker(Waker::noop());
            self.drive(cx);
            let mut polled = answer.as_mut().poll(&mut unheard);
            if polled.is_pending() && self.over {
                // A request that nobody took out of the queue comes back when the connection is dropped.
                self.conn = None;
                polled = answer.as_mut().poll(&mut unheard);
                if polled.is_pending() {
                    return Poll::Ready(Err(self.ended()));
                }
            }
            match polled {
                Poll::Ready(answer) => Poll::Ready(answer.map_err(|failed| match send_error(failed) {
                    SendError::Closed => self.ended(),
                    other => other,
                })),
                Poll::Pending => watch.poll(&mut self.alarm, cx).map(Err),
            }
        })
        .await
    }

    /// How the connection ended before there was an answer.
    fn ended(&self) -> SendError {
        if self.heard.load(Relaxed) { SendError::Cut } else { SendError::Closed }
    }

    /// The next part of an answer's body.
    pub(crate) fn poll_frame(
        &mut self,
        body: &mut Incoming,
        waits: &mut bool,
        idle: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut unheard = Context::from_waker(Waker::noop());
        let mut polled = Pin::new(&mut *body).poll_frame(&mut unheard);
        if polled.is_pending() {
            self.drive(cx);
            polled = Pin::new(body).poll_frame(&mut unheard);
        }
        match polled {
            Poll::Ready(frame) => {
                *waits = false;
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)))
            }
            Poll::Pending if self.over => Poll::Ready(Some(Err(BodyError::Ended))),
            Poll::Pending => {
                if !*waits {
                    *waits = true;
                    self.alarm.set(idle);
                }
                ready!(self.alarm.poll(cx));
                Poll::Ready(Some(Err(BodyError::Stalled)))
            }
        }
    }

    /// Whether it can carry a request. Sees whether the server has closed it.
    pub(crate) fn is_open(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.over && self.sender.is_ready()
    }

    /// Whether it can carry another request, now that an answer is over.
    pub(crate) fn is_done(&mut self) -> bool {
        (!self.over && self.sender.is_ready()) || self.is_open()
    }

    /// Since when it lies unused.
    pub(crate) fn idle_since(&self) -> Instant {
        self.idle_since
    }

    /// What is kept of the request's head.
    pub(crate) fn kept(&mut self) -> &mut Vec<(HeaderName, HeaderValue)> {
        &mut self.kept
    }

    /// Whether it carried a request before.
    pub(crate) fn is_reused(&self) -> bool {
        self.reused
    }

    /// It is unused from now on.
    pub(crate) fn rest(&mut self, now: Instant) {
        self.reused = true;
        self.kept.clear();
        self.idle_since = now;
    }

    /// The stream, after the server has switched protocols, with what was read of the new one.
    pub(crate) async fn into_stream(mut self) -> Option<(UpstreamStream, Bytes)> {
        poll_fn(|cx| {
            self.drive(cx);
            if self.over { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let parts = self.conn?.into_parts();
        Some((parts.io.into_inner(), parts.read_buf))
    }
}

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the connection to the server broke: {0}")]
    Broken(hyper::Error),
    #[error("the server ended the connection")]
    Ended,
    #[error("the server sent nothing for too long")]
    Stalled,
}

pub(crate) fn send_error(failed: TrySendError<Request<SentBody>>) -> SendError {
    let mut failed = failed;
    if let Some(request) = failed.take_message() {
        return SendError::Unsent(Box::new(request));
    }
    let error = failed.into_error();
    if error.is_user() {
        SendError::ClientBody(error)
    } else if error.is_parse() {
        SendError::Protocol(error)
    } else {
        SendError::Closed
    }
}

/// Watches a request being sent: which time-out holds, and whose fault it is.
pub(crate) struct Watch<'a> {
    progress: Option<Arc<SendProgress>>,
    timeouts: &'a Timeouts,
    frames: u32,
    sent: bool,
    /// Goes off when a body is to be sent without the server's consent.
    gate: Option<Alarm>,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(progress: Option<Arc<SendProgress>>, timeouts: &'a Timeouts, gated: bool) -> Self {
        let gate = (gated && progress.is_some()).then(|| Alarm::after(timeouts.expect));
        Self { sent: progress.is_none(), progress, timeouts, frames: 0, gate }
    }

    /// The time-out to begin with.
    pub(crate) fn first(&self) -> Duration {
        if self.sent { self.timeouts.head } else { self.timeouts.body_idle }
    }

    /// Is ready when it took too long.
    pub(crate) fn poll(&mut self, alarm: &mut Alarm, cx: &mut Context<'_>) -> Poll<SendError> {
        if let Some(progress) = self.progress.as_ref().filter(|_| !self.sent) {
            if self.gate.as_mut().is_some_and(|gate| gate.poll(cx).is_ready()) {
                self.gate = None;
                progress.open();
            }
            let frames = progress.frames();
            if progress.ended() {
                self.sent = true;
                alarm.set(self.timeouts.head);
            } else if frames != self.frames {
                self.frames = frames;
                alarm.set(self.timeouts.body_idle);
            }
        }
        ready!(alarm.poll(cx));
        Poll::Ready(match &self.progress {
            Some(progress) if !self.sent && progress.awaits_client() => SendError::ClientStalled,
            Some(_) if !self.sent => SendError::ServerStalled,
            _ => SendError::HeadTimeout,
        })
    }
}
