//! One request of an HTTP/2 connection, as a task: until the service has answered, and then until the answer is sent.
//!
//! # Invariants
//! - Early hints go out ahead of the answer's head. If the client takes nothing, they are dropped.
//! - A client that resets the stream, or goes, cancels the service and the body, with all that they hold.
//! - What is dropped before its end is reset.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use h2::{Reason, server::SendResponse};
use http::{Response, StatusCode};
use pin_project_lite::pin_project;

use super::answer::{Answer, head_of, is_without_body};
use crate::gateway::listen::{
    hints::StreamHints,
    serve::Serve,
    service::{ServedBody, Serving},
    state::ConnectionState,
};

pin_project! {
    /// One request.
    pub(super) struct Stream<S: Serve> {
        #[pin]
        stage: Stage<S>,
        // What goes ahead of the answer; none if there cannot be anything, or the answer has begun.
        hints: Hints,
        reply: SendResponse<Bytes>,
        is_head: bool,
        state: Arc<ConnectionState>,
        write_timeout: Duration,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<S: Serve> {
        /// The service has not answered yet.
        Serving { #[pin] serving: Serving<S> },
        /// The head was sent, and the body goes behind it.
        Answering { #[pin] answer: Answer<ServedBody<S::Body>> },
    }
}

impl<S: Serve> Stream<S> {
    pub(super) fn new(
        serving: Serving<S>,
        hints: Option<Arc<StreamHints>>,
        reply: SendResponse<Bytes>,
        is_head: bool,
        state: Arc<ConnectionState>,
        write_timeout: Duration,
    ) -> Self {
        Self { stage: Stage::Serving { serving }, hints: Hints(hints), reply, is_head, state, write_timeout }
    }

    fn poll_to_end(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        let mut this = self.project();
        loop {
            match this.stage.as_mut().project() {
                StageProjection::Serving { serving } => {
                    let polled = serving.poll(cx);
                    if polled.is_pending() || this.hints.may_come() {
                        // Without this, nothing would wake the task when the client does not want the answer any more.
                        if let Poll::Ready(reason) = this.reply.poll_reset(cx) {
                            return Poll::Ready(Err(reason?.into()));
                        }
                        this.hints.send(this.reply, this.state, cx);
                    }
                    let Ok(answer) = ready!(polled);
                    this.hints.end();
                    let (head, body) = answer.into_parts();
                    let ends = is_without_body(&head, *this.is_head, &body);
                    let sent = match head_of(head, &body) {
                        Some(head) => this.reply.send_response(head, ends),
                        None => Err(Reason::INTERNAL_ERROR.into()),
                    };
                    let send = sent.inspect_err(|_| this.reply.send_reset(Reason::INTERNAL_ERROR))?;
                    if ends {
                        return Poll::Ready(Ok(()));
                    }
                    this.stage.set(Stage::Answering { answer: Answer::new(body, send) });
                }
                StageProjection::Answering { answer } => return answer.poll(this.state, *this.write_timeout, cx),
            }
        }
    }
}

/// The early hints of one request.
struct Hints(Option<Arc<StreamHints>>);

impl Hints {
    fn may_come(&self) -> bool {
        self.0.is_some()
    }

    /// Sends those that have come.
    fn send(&self, reply: &mut SendResponse<Bytes>, state: &ConnectionState, cx: &mut Context<'_>) {
        let come = self.0.as_ref().map(|hints| hints.take(cx.waker())).unwrap_or_default();
        for headers in come.into_iter().filter(|_| !state.is_blocked()) {
            let mut head = Response::new(());
            *head.status_mut() = StatusCode::EARLY_HINTS;
            *head.headers_mut() = headers;
            if let Err(error) = reply.send_informational(head) {
                tracing::debug!(%error, "a hint was not sent");
            }
        }
    }

    fn end(&mut self) {
        self.0.take().iter().for_each(|hints| hints.end());
    }
}

/// Who asks a server may do so longer than its client waits.
impl Drop for Hints {
    fn drop(&mut self) {
        self.end();
    }
}

impl<S: Serve> Future for Stream<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Err(error) = ready!(self.poll_to_end(cx)) {
            tracing::debug!(%error, "a stream ended before its answer");
        }
        Poll::Ready(())
    }
}
