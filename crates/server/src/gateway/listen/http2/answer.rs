//! An answer on its way into a stream.
//!
//! # Invariants
//! - Of a body no more is read than one piece ahead of what the client has room for, and no byte of it is copied.
//! - A body that breaks off resets the stream: its client never takes what has come for the whole.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use chrono::Utc;
use h2::{Reason, SendStream};
use http::{HeaderValue, Response, StatusCode, header, response};
use http_body::Body;
use pin_project_lite::pin_project;

use super::{SEND_BUFFER_BYTES_MAX, stall::Stall};
use crate::gateway::{
    date,
    listen::{service::BoxError, state::ConnectionState},
    proxy::hop,
};

/// What is handed to the library of a body at a time, at most: when it has room for more, the client has taken this.
const PIECE_BYTES_MAX: usize = SEND_BUFFER_BYTES_MAX;

/// Whether nothing follows the head: there is no body, or one that the method or the status does not allow.
pub(super) fn is_without_body(head: &response::Parts, is_head: bool, body: &impl Body) -> bool {
    is_head || !allows_body(head.status) || body.is_end_stream()
}

fn allows_body(status: StatusCode) -> bool {
    !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The head as it is sent; none for an answer that is none.
pub(super) fn head_of(mut head: response::Parts, body: &impl Body) -> Option<Response<()>> {
    if head.status.is_informational() {
        tracing::warn!(status = head.status.as_u16(), "an interim answer was given for the answer");
        return None;
    }
    hop::strip_framing(&mut head.headers);
    date::add(&mut head.headers, Utc::now);
    let has_length = !body.is_end_stream() && allows_body(head.status);
    if let Some(length) = body.size_hint().exact().filter(|_| has_length) {
        head.headers.entry(header::CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
    Some(Response::from_parts(head, ()))
}

pin_project! {
    /// A body, and the stream that it is sent by.
    pub(super) struct Answer<B> {
        #[pin]
        body: B,
        send: SendStream<Bytes>,
        // What was read of it and not handed on yet.
        ahead: Bytes,
        stall: Stall,
    }
}

impl<B> Answer<B>
where
    B: Body<Data = Bytes, Error = BoxError>,
{
    pub(super) fn new(body: B, send: SendStream<Bytes>) -> Self {
        Self { body, send, ahead: Bytes::new(), stall: Stall::default() }
    }

    /// Is over when all is handed on, or the stream is.
    pub(super) fn poll(
        self: Pin<&mut Self>,
        state: &ConnectionState,
        write_timeout: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), h2::Error>> {
        let mut this = self.project();
        loop {
            if !this.ahead.is_empty() {
                while this.send.capacity() == 0 {
                    let Poll::Ready(room) = this.send.poll_capacity(cx) else {
                        ready!(this.stall.poll(state, write_timeout, cx));
                        tracing::debug!("a client takes nothing of an answer: its stream is reset");
                        this.send.send_reset(Reason::CANCEL);
                        return Poll::Ready(Ok(()));
                    };
                    // None: the stream is closed.
                    room.unwrap_or_else(|| Err(Reason::CANCEL.into()))?;
                }
                this.stall.moved();
                let piece = this.ahead.split_to(this.ahead.len().min(PIECE_BYTES_MAX));
                let is_last = this.ahead.is_empty() && this.body.is_end_stream();
                this.send.send_data(piece, is_last)?;
                if is_last {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            let Poll::Ready(frame) = this.body.as_mut().poll_frame(cx) else {
                // Without this, nothing would wake the task when the client does not want the answer any more.
                return this.send.poll_reset(cx).map(|reason| Err(reason?.into()));
            };
            let frame = match frame {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    tracing::debug!(%error, "an answer breaks off: its stream is reset");
                    this.send.send_reset(Reason::INTERNAL_ERROR);
                    return Poll::Ready(Ok(()));
                }
                None => return Poll::Ready(this.send.send_data(Bytes::new(), true)),
            };
            match frame.into_data() {
                Ok(data) => {
                    this.stall.moved();
                    // Of the connection's window as little as makes it come: what is claimed for one stream, no other gets.
                    this.send.reserve_capacity(usize::from(!data.is_empty()));
                    *this.ahead = data;
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        this.send.reserve_capacity(0);
                        return Poll::Ready(this.send.send_trailers(trailers));
                    }
                }
            }
        }
    }
}
