//! The body of a request as it comes from the client.
//!
//! # Invariants
//! - What the client may send ahead of its being read is bounded: what is read makes room for as much.
//! - A body that breaks off, or is not as long as its head says, is an error to whoever reads it, never an end.

use std::{
    fmt,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// The body of a request. It is read as the client sends it.
pub struct RequestBody(Kind);

enum Kind {
    None,
    Http1(Incoming),
    Http2(StreamBody),
}

/// The client's body broke off, or was not what its head said.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct RequestBodyError(#[from] Broken);

#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Http1(hyper::Error),
    #[error("the stream ended before its body: {0}")]
    Http2(#[source] h2::Error),
}

impl RequestBody {
    /// Of a request without one.
    pub(crate) fn none() -> Self {
        Self(Kind::None)
    }

    pub(crate) fn http1(body: Incoming) -> Self {
        Self(Kind::Http1(body))
    }

    /// Of a request with this head.
    pub(crate) fn http2(stream: RecvStream, headers: &HeaderMap) -> Self {
        Self(Kind::Http2(StreamBody::new(stream, headers)))
    }
}

struct StreamBody {
    stream: RecvStream,
    /// How much is still to come, if the head says it. The library holds the client to it.
    to_come: Option<u64>,
    data_ended: bool,
}

impl StreamBody {
    fn new(stream: RecvStream, headers: &HeaderMap) -> Self {
        let to_come = if stream.is_end_stream() {
            Some(0)
        } else {
            // The library has refused one that is no number, and several that differ.
            headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok())
        };
        Self { stream, to_come, data_ended: false }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.data_ended {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // If there is nobody any more to be given room, the next look says so.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    self.to_come = self.to_come.map(|to_come| to_come.saturating_sub(data.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(ended_by(error)),
                None => self.data_ended = true,
            }
        }
        Poll::Ready(match ready!(pin!(self.stream.trailers()).poll(cx)) {
            Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) => ended_by(error),
        })
    }
}

/// A stream that is reset for no error was answered before all of its request was read (RFC 9113, 8.1).
fn ended_by<T>(error: h2::Error) -> Option<Result<T, h2::Error>> {
    (error.reason() != Some(Reason::NO_ERROR)).then_some(Err(error))
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        match &mut self.0 {
            Kind::None => Poll::Ready(None),
            Kind::Http1(body) => Pin::new(body).poll_frame(cx).map_err(|error| Broken::Http1(error).into()),
            Kind::Http2(body) => body.poll_frame(cx).map_err(|error| Broken::Http2(error).into()),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::None => true,
            Kind::Http1(body) => body.is_end_stream(),
            Kind::Http2(body) => body.stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::None => SizeHint::with_exact(0),
            Kind::Http1(body) => body.size_hint(),
            Kind::Http2(body) => body.to_come.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestBody").field(&self.size_hint()).finish()
    }
}
