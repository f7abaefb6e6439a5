//! An HTTP/1.1 connection to a server, driven by whoever uses it.
//!
//! It begins [`plain`](super::plain): a GET without a body is written as it is, and an answer whose length is said is read
//! as it is. What needs more thought is the library's ([`driven`](super::driven)), from then on: a request's body, another
//! method, chunks, trailers, interim answers, a switch of protocols, a head that is no HTTP. If it is the answer that shows
//! this, the library is given the request and what was read so far as if nothing had been sent.
//!
//! No task runs a connection. It is part of the request's own future, and then of its answer's body, and whoever drops the
//! future or the body closes it, so that a client that goes away cancels what was asked for it.
//!
//! # Invariants
//! - While a link lies in the pool nobody polls it. That the server closed it is seen when it is taken out
//!   ([`Link::is_open`]) or when the pool is swept.
//! - A link goes back to the pool only after request and answer were over and nothing was left unread.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use hyper::{body::Incoming, client::conn::TrySendError};

use super::{
    alarm::Alarm,
    connect::UpstreamStream,
    driven::Driven,
    plain::{Came, Plain},
    sent::{SendProgress, SentBody},
    settings::Timeouts,
};

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
    wire: Wire,
    head_bytes_max: usize,
    alarm: Alarm,
    idle_since: Instant,
    reused: bool,
    /// The library has taken over a request that was not sent as a whole: there must be no other.
    last: bool,
    /// The head of what was sent, for as long as it may have to be sent again. Its room is used again, too.
    kept: Vec<(HeaderName, HeaderValue)>,
}

#[expect(clippy::large_enum_variant, reason = "a link lies in a box as a whole, and most are plain")]
enum Wire {
    Plain(Plain),
    Driven(Box<Driven>),
    /// The connection is of no use any more.
    Gone,
}

/// How a request is sent.
#[derive(Clone, Copy)]
pub(crate) struct Sending<'a> {
    pub(crate) timeouts: &'a Timeouts,
    /// The body waits until the server wants it.
    pub(crate) gated: bool,
    /// It may have to be sent again.
    pub(crate) keeps: bool,
}

/// The body of an answer that is being read.
pub(crate) enum Arriving {
    /// So many bytes are left.
    Counted(u64),
    Driven(Incoming),
}

impl Arriving {
    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            Self::Counted(left) => *left == 0,
            Self::Driven(body) => body.is_end_stream(),
        }
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Counted(left) => SizeHint::with_exact(*left),
            Self::Driven(body) => body.size_hint(),
        }
    }
}

impl Link {
    pub(crate) fn new(stream: UpstreamStream, head_bytes_max: usize) -> Self {
        Self {
            wire: Wire::Plain(Plain::new(stream, head_bytes_max)),
            head_bytes_max,
            alarm: Alarm::after(Duration::ZERO),
            idle_since: Instant::now(),
            reused: false,
            last: false,
            kept: Vec::new(),
        }
    }

    /// Sends a request and waits for the head of its answer. `prepare` is called before the library is given it, which
    /// tells of interim answers.
    pub(crate) async fn send(
        &mut self,
        mut request: Request<SentBody>,
        sending: Sending<'_>,
        prepare: impl FnOnce(&mut Request<SentBody>),
    ) -> Result<Response<Arriving>, SendError> {
        let Wire::Plain(plain) = &mut self.wire else { return self.send_driven(request, sending, prepare).await };
        let mut was_sent = false;
        if request.body().progress().is_none() && plain.begin(&request) {
            let alarm = &mut self.alarm;
            alarm.set(sending.timeouts.head);
            let came = poll_fn(|cx| match plain.poll_answer(&mut request, cx) {
                Poll::Pending => alarm.poll(cx).map(|()| None),
                Poll::Ready(came) => Poll::Ready(Some(came)),
            });
            let error = match came.await {
                Some(Came::Answer(answer, left)) => return Ok(answer.map(|()| Arriving::Counted(left))),
                Some(Came::Other) => {
                    self.last = !plain.is_sent();
                    was_sent = true;
                    None
                }
                Some(Came::Unsent) => {
                    self.wire = Wire::Gone;
                    return Err(SendError::Unsent(Box::new(request)));
                }
                Some(Came::Closed) => {
                    keep(&mut self.kept, request.headers());
                    Some(SendError::Closed)
                }
                Some(Came::Cut) => Some(SendError::Cut),
                None => Some(SendError::HeadTimeout),
            };
            if let Some(error) = error {
                self.wire = Wire::Gone;
                return Err(error);
            }
        }
        // Boxed, as all that is seldom: the futures of requests are small, since each is moved once.
        Box::pin(async move {
            self.hand_over(was_sent).await?;
            self.send_driven(request, sending, prepare).await
        })
        .await
    }

    /// Lets the library speak from now on. What was sent, it will send once more, to nobody.
    async fn hand_over(&mut self, was_sent: bool) -> Result<(), SendError> {
        let Wire::Plain(plain) = std::mem::replace(&mut self.wire, Wire::Gone) else { return Ok(()) };
        let (mut stream, read) = plain.into_parts();
        if was_sent {
            stream.repeat(read);
        }
        let driven = Driven::new(stream, self.head_bytes_max).await.map_err(SendError::Protocol)?;
        self.wire = Wire::Driven(Box::new(driven));
        Ok(())
    }

    async fn send_driven(
        &mut self,
        mut request: Request<SentBody>,
        sending: Sending<'_>,
        prepare: impl FnOnce(&mut Request<SentBody>),
    ) -> Result<Response<Arriving>, SendError> {
        let Wire::Driven(driven) = &mut self.wire else { return Err(SendError::Unsent(Box::new(request))) };
        if sending.keeps {
            keep(&mut self.kept, request.headers());
        }
        prepare(&mut request);
        let mut watch = Watch::new(request.body().progress(), sending.timeouts, sending.gated);
        self.alarm.set(watch.first());
        Ok(driven.send(request, &mut watch, &mut self.alarm).await?.map(Arriving::Driven))
    }

    /// The next part of an answer's body.
    pub(crate) fn poll_frame(
        &mut self,
        body: &mut Arriving,
        waits: &mut bool,
        idle: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = match (&mut self.wire, body) {
            (_, Arriving::Counted(0)) => Poll::Ready(None),
            (Wire::Plain(plain), Arriving::Counted(left)) => {
                plain.poll_body(left, cx).map(|bytes| Some(bytes.map(Frame::data).ok_or(BodyError::Ended)))
            }
            (Wire::Driven(driven), Arriving::Driven(body)) => driven.poll_frame(body, cx),
            _ => Poll::Ready(Some(Err(BodyError::Ended))),
        };
        if polled.is_ready() {
            *waits = false;
            return polled;
        }
        if !*waits {
            *waits = true;
            self.alarm.set(idle);
        }
        ready!(self.alarm.poll(cx));
        Poll::Ready(Some(Err(BodyError::Stalled)))
    }

    /// Whether it can carry a request. Sees whether the server has closed it.
    pub(crate) fn is_open(&mut self) -> bool {
        match &mut self.wire {
            Wire::Plain(plain) => plain.is_open(),
            Wire::Driven(driven) => driven.is_open(),
            Wire::Gone => false,
        }
    }

    /// Whether it can carry another request, now that an answer is over.
    pub(crate) fn is_done(&mut self) -> bool {
        !self.last
            && match &mut self.wire {
                Wire::Plain(plain) => plain.is_done(),
                Wire::Driven(driven) => driven.is_ready() || driven.is_open(),
                Wire::Gone => false,
            }
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
    pub(crate) async fn into_stream(self) -> Option<(UpstreamStream, Bytes)> {
        match self.wire {
            Wire::Plain(plain) => Some(plain.into_parts()),
            Wire::Driven(driven) => driven.into_stream().await,
            Wire::Gone => None,
        }
    }
}

/// Keeps the head of a request that may have to be sent again. A list in room that is there already costs a third of what
/// a copy of the map does.
pub(crate) fn keep(kept: &mut Vec<(HeaderName, HeaderValue)>, headers: &HeaderMap) {
    kept.clear();
    kept.extend(headers.iter().map(|(name, value)| (name.clone(), value.clone())));
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
