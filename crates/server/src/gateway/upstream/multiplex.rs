//! HTTP/2 connections to a server: few, each shared by many requests, each run by a task of its own.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use http::{HeaderName, HeaderValue, Request, Response};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;

use super::{
    alarm::Alarm,
    connect::{ConnectError, UpstreamStream},
    link::{SendError, Watch, send_error},
    sent::SentBody,
    settings::{STREAMS_PER_CONNECTION, Timeouts},
};

/// How often a server with requests running is asked whether it is still there, and how long it may take to answer.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// What a server may send of one answer before it is taken: memory per request.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// The same for all answers of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// The connections to one server.
#[derive(Default)]
pub(crate) struct Multiplex {
    shared: Mutex<Vec<Stream>>,
    /// Whoever connects holds it, so that many requests at once do not open many connections.
    pub(crate) connecting: tokio::sync::Mutex<()>,
}

/// A place on a connection.
pub(crate) struct Stream {
    sender: http2::SendRequest<SentBody>,
    running: Arc<AtomicUsize>,
    taken: bool,
    reused: bool,
    kept: Vec<(HeaderName, HeaderValue)>,
}

impl Stream {
    fn take(&self, reused: bool) -> Self {
        self.running.fetch_add(1, Relaxed);
        Self { sender: self.sender.clone(), running: self.running.clone(), taken: true, reused, kept: Vec::new() }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.taken {
            self.running.fetch_sub(1, Relaxed);
        }
    }
}

impl Multiplex {
    /// A place on a connection that is there.
    pub(crate) fn take(&self) -> Option<Stream> {
        let mut shared = self.shared.lock();
        shared.retain(|connection| !connection.sender.is_closed());
        let free = shared.iter().find(|connection| connection.running.load(Relaxed) < STREAMS_PER_CONNECTION);
        free.map(|connection| connection.take(true))
    }

    /// Adds a connection and takes a place on it.
    pub(crate) async fn add(&self, stream: UpstreamStream, head_bytes_max: usize) -> Result<Stream, ConnectError> {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(u32::try_from(head_bytes_max).unwrap_or(u32::MAX))
            .handshake(TokioIo::new(stream))
            .await
            .map_err(ConnectError::Handshake)?;
        // It ends when the server closes it, or when nobody holds a sender any more.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP/2 connection to an upstream ended");
            }
        });
        let connection = Stream { sender, running: Arc::default(), taken: false, reused: false, kept: Vec::new() };
        let taken = connection.take(false);
        self.shared.lock().push(connection);
        Ok(taken)
    }

    /// Lets unused connections end.
    pub(crate) fn sweep(&self) {
        self.shared.lock().retain(|connection| !connection.sender.is_closed());
    }
}

impl Stream {
    /// What is kept of the request's head.
    pub(crate) fn kept(&mut self) -> &mut Vec<(HeaderName, HeaderValue)> {
        &mut self.kept
    }

    /// Whether others used the connection before.
    pub(crate) fn is_reused(&self) -> bool {
        self.reused
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(
        &mut self,
        request: Request<SentBody>,
        timeouts: &Timeouts,
        gated: bool,
    ) -> Result<Response<Incoming>, SendError> {
        let mut watch = Watch::new(request.body().progress(), timeouts, gated);
        let mut alarm = Alarm::after(watch.first());
        let mut answer = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(answer.map_err(send_error)),
            Poll::Pending => watch.poll(&mut alarm, cx).map(Err),
        })
        .await
    }
}
