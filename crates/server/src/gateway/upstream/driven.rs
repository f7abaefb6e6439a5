//! An HTTP/1.1 connection to a server as the library speaks it, driven by whoever uses it.
//!
//! The usual client runs each connection in a task of its own; request, answer and every part of a body then cross
//! from task to task, which costs more than all else that a proxy does. Here the connection is part of the request's
//! own future, and then of its answer's body: no task, no channel between threads.
//!
//! # Invariants
//! - What is polled with a waker that does nothing (the answer, the body's parts) can only become ready by polling the
//!   connection, which happens right before, with the real waker, in the same task.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::task::unconstrained;

use super::{
    alarm::Alarm,
    connect::UpstreamStream,
    link::{BodyError, SendError, Watch, send_error},
    sent::SentBody,
};

/// What is read of an answer before it is taken, and written of a request before it is sent.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// A connection.
pub(crate) struct Driven {
    sender: http1::SendRequest<SentBody>,
    /// Gone when it is over and its stream is of no use.
    conn: Option<http1::Connection<TokioIo<UpstreamStream>, SentBody>>,
    over: bool,
    heard: Arc<AtomicBool>,
}

impl Driven {
    pub(crate) async fn new(stream: UpstreamStream, head_bytes_max: usize) -> Result<Self, hyper::Error> {
        let mut builder = http1::Builder::new();
        builder.max_header_size(head_bytes_max).max_buf_size(BUFFER_BYTES_MAX.max(head_bytes_max));
        let heard = stream.heard();
        let (sender, conn) = builder.handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, conn: Some(conn), over: false, heard })
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
        watch: &mut Watch<'_>,
        alarm: &mut Alarm,
    ) -> Result<Response<Incoming>, SendError> {
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
                Poll::Pending => watch.poll(alarm, cx).map(Err),
            }
        })
        .await
    }

    /// How the connection ended before there was an answer.
    fn ended(&self) -> SendError {
        if self.heard.load(Relaxed) { SendError::Cut } else { SendError::Closed }
    }

    /// The next part of an answer's body; pending if there is none yet.
    pub(crate) fn poll_frame(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut unheard = Context::from_waker(Waker::noop());
        let mut polled = Pin::new(&mut *body).poll_frame(&mut unheard);
        if polled.is_pending() {
            self.drive(cx);
            polled = Pin::new(body).poll_frame(&mut unheard);
        }
        match polled {
            Poll::Ready(frame) => Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken))),
            Poll::Pending if self.over => Poll::Ready(Some(Err(BodyError::Ended))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether it can carry a request. Sees whether the server has closed it.
    pub(crate) fn is_open(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.is_ready()
    }

    /// The same, as far as was seen.
    pub(crate) fn is_ready(&self) -> bool {
        !self.over && self.sender.is_ready()
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
