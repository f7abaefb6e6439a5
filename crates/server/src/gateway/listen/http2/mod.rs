//! HTTP/2 connections, on `h2` itself: the library above it, which serves HTTP/1.1 here, lets a server send no interim
//! answer over HTTP/2 (ADR 0031).
//!
//! [`Http2`] takes requests in · [`stream`] is one of them, a task · [`answer`] sends what it is answered ·
//! [`stall`] ends it when its client takes nothing.
//!
//! # Invariants
//! - Streams, heads, what is taken in and what is held to be sent are bounded, each by a number below.
//! - A stream that fails, or whose service panics, ends alone.
//!
//! # What it does not do
//! Ping: what a client that is gone holds, it holds for as long as one may that takes nothing. Push, or speak another
//! protocol on a stream (RFC 8441): `CONNECT` is refused as any other method that is not served.

mod answer;
mod stall;
mod stream;

use std::{
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use h2::{
    RecvStream,
    server::{Builder, Connection, Handshake, SendResponse},
};
use http::{Method, Request};

use self::stream::Stream;
use super::{body::RequestBody, serve::Serve, service::ConnectionService, settings::ListenSettings, stream::Watched};

/// What an HTTP/2 connection begins with.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What is held of an answer that the client does not take, at most: with as much again that was read and waits for it.
const SEND_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// What a client may send of one request before it is taken.
const STREAM_WINDOW_BYTES: u32 = 128 * 1024;
/// The same for all requests of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 512 * 1024;
/// Streams that were reset here for a client's fault, before its connection is ended.
const FAULTY_STREAMS_MAX: usize = 1024;
/// Streams that a client may have reset before they were looked at.
const RESET_STREAMS_MAX: usize = 20;

/// How HTTP/2 connections of a listener are served.
#[derive(Debug)]
pub(super) struct Http2Settings {
    builder: Builder,
    /// How long a client may take nothing of an answer.
    write_timeout: Duration,
}

impl Http2Settings {
    pub(super) fn new(settings: &ListenSettings) -> Self {
        let mut builder = Builder::new();
        builder
            .max_concurrent_streams(settings.streams_max)
            .max_header_list_size(u32::try_from(settings.head_bytes_max).unwrap_or(u32::MAX))
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buffer_size(SEND_BUFFER_BYTES_MAX)
            .max_local_error_reset_streams(Some(FAULTY_STREAMS_MAX))
            .max_pending_accept_reset_streams(RESET_STREAMS_MAX);
        Self { builder, write_timeout: settings.write_timeout }
    }
}

/// One connection.
pub(super) struct Http2<S: Serve> {
    stage: Stage,
    service: ConnectionService<S>,
    write_timeout: Duration,
    finishing: bool,
}

#[allow(clippy::large_enum_variant, reason = "the connection is boxed as a whole")]
enum Stage {
    Begun(Handshake<Watched, Bytes>),
    Open(Connection<Watched, Bytes>),
}

impl<S: Serve> Http2<S> {
    pub(super) fn new(settings: &Http2Settings, stream: Watched, service: ConnectionService<S>) -> Self {
        let stage = Stage::Begun(settings.builder.handshake(stream));
        Self { stage, service, write_timeout: settings.write_timeout, finishing: false }
    }

    /// Takes no more requests, and ends when those that run have.
    pub(super) fn finish(&mut self) {
        self.finishing = true;
        if let Stage::Open(connection) = &mut self.stage {
            connection.graceful_shutdown();
        }
    }

    /// Is over when the connection is.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        loop {
            match &mut self.stage {
                Stage::Begun(handshake) => {
                    let mut connection = ready!(Pin::new(handshake).poll(cx))?;
                    if self.finishing {
                        connection.graceful_shutdown();
                    }
                    self.stage = Stage::Open(connection);
                }
                Stage::Open(connection) => {
                    let accepted = ready!(pin!(connection.accept()).poll(cx));
                    let Some(request) = accepted else { return Poll::Ready(Ok(())) };
                    let (request, reply) = request?;
                    self.begin(request, reply);
                }
            }
        }
    }

    fn begin(&mut self, request: Request<RecvStream>, reply: SendResponse<Bytes>) {
        let (head, body) = request.into_parts();
        let is_head = head.method == Method::HEAD;
        let body = RequestBody::http2(body, &head.headers);
        let state = self.service.connection.state.clone();
        let serving = self.service.begin(head, body);
        let hints = self.service.connection.take_hints();
        tokio::spawn(Stream::new(serving, hints, reply, is_head, state, self.write_timeout));
    }
}
