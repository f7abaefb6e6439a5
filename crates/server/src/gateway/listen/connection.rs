//! One connection, from its first byte to its last.
//!
//! # Invariants
//! - A connection of HTTP/1.1 holds no buffers until something comes that is not plain, and none after it has rested.
//! - What was begun ahead of the library's reading its request is what the library is given for it.
//! - It does at once what it is told by its state: rest, finish, close.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWrite as _;

use super::{
    head::HeadLimits,
    http2::{Http2, Http2Settings},
    plain::{Next, Plain},
    serve::Serve,
    service::ConnectionService,
    settings::ListenSettings,
    state::{Command, ConnectionState, Phase},
    stream::Watched,
};

/// What a connection of HTTP/1.1 may hold of an answer that the client does not take, and at most of a request.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// How connections of a listener are served.
pub(crate) struct Protocols {
    plain: HeadLimits,
    http1: http1::Builder,
    http2: Option<Http2Settings>,
}

impl Protocols {
    pub(crate) fn new(settings: &ListenSettings) -> Self {
        let mut http1 = http1::Builder::new();
        http1.max_buf_size(BUFFER_BYTES_MAX.max(settings.head_bytes_max)).max_header_size(settings.head_bytes_max);
        // The listener has its own, which costs no timer per request.
        http1.header_read_timeout(None);
        if settings.headers_max != 100 {
            http1.max_headers(settings.headers_max);
        }
        let http2 = settings.http2.then(|| Http2Settings::new(settings));
        let plain = HeadLimits { head_bytes_max: settings.head_bytes_max, headers_max: settings.headers_max };
        Self { plain, http1, http2 }
    }
}

type Http1<S> = http1::UpgradeableConnection<TokioIo<Watched>, ConnectionService<S>>;

/// One connection; a future that is over when it is.
pub(crate) struct Connection<S: Serve> {
    stage: Stage<S>,
    state: Arc<ConnectionState>,
    protocols: Arc<Protocols>,
    finishing: bool,
}

enum Stage<S: Serve> {
    /// Nothing has come but what is plain.
    Plain(Box<Plain<S>>),
    Http1(Box<Http1<S>>),
    Http2(Box<Http2<S>>),
    /// Nothing is answered any more. The client is told, where TLS has words for it.
    Closing(Box<Watched>),
    Over,
}

impl<S: Serve> Connection<S> {
    pub(crate) fn new(stream: Watched, service: ConnectionService<S>, protocols: Arc<Protocols>) -> Self {
        let state = service.connection.state.clone();
        let mut connection = Self { stage: Stage::Over, state, protocols, finishing: false };
        if stream.agreed_on_http2() {
            connection.begin_http2(stream, service);
        } else {
            connection.begin_plain(stream, service);
        }
        connection
    }

    fn begin_plain(&mut self, stream: Watched, service: ConnectionService<S>) {
        self.stage = Stage::Plain(Box::new(Plain::new(stream, service)));
    }

    fn begin_http1(&mut self, stream: Watched, service: ConnectionService<S>) {
        self.state.set_awake(true);
        let http1 = self.protocols.http1.serve_connection(TokioIo::new(stream), service).with_upgrades();
        self.stage = Stage::Http1(Box::new(http1));
    }

    fn begin_http2(&mut self, mut stream: Watched, mut service: ConnectionService<S>) {
        let Some(http2) = &self.protocols.http2 else { return };
        stream.set_http2();
        service.connection.set_http2();
        self.stage = Stage::Http2(Box::new(Http2::new(http2, stream, service)));
    }

    /// Goes on after what was plain.
    fn go_on(&mut self, next: Next) {
        let Stage::Plain(plain) = std::mem::replace(&mut self.stage, Stage::Over) else { return };
        let (stream, service) = plain.into_parts();
        match next {
            Next::Http1 => self.begin_http1(stream, service),
            Next::Http2 => self.begin_http2(stream, service),
            Next::End => self.stage = Stage::Closing(Box::new(stream)),
        }
    }

    /// Takes a connection out of the library's hands, on which nothing is under way.
    fn leave_http1(&mut self) {
        let Stage::Http1(_) = &self.stage else { return };
        let Stage::Http1(http1) = std::mem::replace(&mut self.stage, Stage::Over) else { return };
        // Nothing is left of one that became a tunnel.
        let Some(parts) = http1.into_parts() else { return };
        let mut stream = parts.io.into_inner();
        if parts.read_buf.is_empty() {
            self.begin_plain(stream, parts.service);
        } else {
            stream.begin_with(&parts.read_buf);
            self.begin_http1(stream, parts.service);
        }
    }

    /// Gives back what only a connection in use needs, if nothing is under way.
    fn rest(&mut self) {
        if self.finishing || self.state.phase() != Phase::Unused || self.state.is_blocked() {
            return;
        }
        self.leave_http1();
        if let Stage::Plain(_) = &self.stage {
            self.state.set_awake(false);
        }
    }

    fn finish(&mut self) {
        if std::mem::replace(&mut self.finishing, true) {
            return;
        }
        match &mut self.stage {
            Stage::Plain(plain) => plain.finish(),
            Stage::Http1(http1) => Pin::new(&mut **http1).graceful_shutdown(),
            Stage::Http2(http2) => http2.finish(),
            Stage::Closing(_) | Stage::Over => {}
        }
    }
}

impl<S: Serve> Future for Connection<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        match this.state.told(cx) {
            Command::Go => {}
            Command::Rest => this.rest(),
            Command::Finish => this.finish(),
            Command::Close => return Poll::Ready(()),
        }
        loop {
            let ended = match &mut this.stage {
                Stage::Plain(plain) => {
                    let protocols = &this.protocols;
                    let next = ready!(plain.poll(protocols.plain, protocols.http2.is_some(), cx));
                    this.go_on(next);
                    continue;
                }
                Stage::Http1(http1) => match Pin::new(&mut **http1).poll(cx) {
                    // What comes next may well be plain, too.
                    Poll::Pending if this.state.is_plain() && !this.finishing => {
                        this.leave_http1();
                        continue;
                    }
                    polled => ready!(polled).map_err(|error| error.to_string()),
                },
                Stage::Http2(http2) => ready!(http2.poll(cx)).map_err(|error| error.to_string()),
                Stage::Closing(stream) => {
                    ready!(Pin::new(&mut **stream).poll_shutdown(cx)).map_err(|error| error.to_string())
                }
                Stage::Over => Ok(()),
            };
            if let Err(error) = ended {
                tracing::debug!(error, "a client's connection ended");
            }
            return Poll::Ready(());
        }
    }
}
