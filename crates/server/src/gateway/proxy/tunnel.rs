//! A connection whose protocol was switched (WebSocket and others): bytes go both ways, unread.
//!
//! # Invariants
//! - It ends when both sides have ended, when either fails, when nothing went either way for the idle time, or when the
//!   listener closes the client's connection.
//! - As long as it lasts it holds its lease on the server, and counts as an open connection of the listener.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf, copy_bidirectional_with_sizes};

use crate::gateway::{
    listen::ClientConnection,
    upstream::{Lease, Link},
};

/// What is copied at a time, each way.
const COPY_BYTES: usize = 8 * 1024;

/// What went through tunnels.
#[derive(Debug, Default)]
pub(crate) struct TunnelCounts {
    pub(crate) opened: AtomicU64,
    pub(crate) closed: AtomicU64,
    pub(crate) to_server_bytes: AtomicU64,
    pub(crate) to_client_bytes: AtomicU64,
}

pub(crate) struct Tunnel {
    pub(crate) client: OnUpgrade,
    pub(crate) connection: Option<ClientConnection>,
    pub(crate) link: Box<Link>,
    pub(crate) lease: Lease,
    pub(crate) idle: Duration,
    pub(crate) counts: Arc<TunnelCounts>,
}

impl Tunnel {
    /// Runs it in a task of its own, beginning when the client has been told.
    pub(crate) fn spawn(self) {
        tokio::spawn(async move {
            self.counts.opened.fetch_add(1, Relaxed);
            let counts = self.counts.clone();
            let ended = match self.connection.clone() {
                Some(connection) => tokio::select! {
                    ended = self.run() => ended,
                    () = connection.closed() => Err(io::Error::other("the gateway stops")),
                },
                None => self.run().await,
            };
            counts.closed.fetch_add(1, Relaxed);
            if let Err(error) = ended {
                tracing::debug!(%error, "a tunnel ended");
            }
        });
    }

    async fn run(self) -> io::Result<()> {
        let Self { client, connection: _connection, link, lease: _lease, idle, counts } = self;
        let gone = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let client = TokioIo::new(client.await.map_err(io::Error::other)?);
        let (server, begun): (_, Bytes) = link.into_stream().await.ok_or_else(gone)?;
        let moved = Arc::new(AtomicU64::new(0));
        let mut client =
            Counted { inner: client, read: |n| counts.to_server_bytes.fetch_add(n, Relaxed), moved: &moved };
        let mut server =
            Counted { inner: server, read: |n| counts.to_client_bytes.fetch_add(n, Relaxed), moved: &moved };
        if !begun.is_empty() {
            counts.to_client_bytes.fetch_add(begun.len() as u64, Relaxed);
            client.write_all(&begun).await?;
        }
        tokio::select! {
            copied = copy_bidirectional_with_sizes(&mut client, &mut server, COPY_BYTES, COPY_BYTES) => copied.map(|_| ()),
            () = quiet(&moved, idle) => Err(io::Error::new(io::ErrorKind::TimedOut, "nothing went either way for too long")),
        }
    }
}

/// Is over when nothing was moved for this long; it may take up to twice as long.
async fn quiet(moved: &AtomicU64, idle: Duration) {
    let mut before = moved.load(Relaxed);
    loop {
        tokio::time::sleep(idle).await;
        let now = moved.load(Relaxed);
        if now == before {
            return;
        }
        before = now;
    }
}

/// Counts what is read.
struct Counted<'a, T, F> {
    inner: T,
    read: F,
    moved: &'a AtomicU64,
}

impl<T: AsyncRead + Unpin, F: Fn(u64) -> u64 + Unpin> AsyncRead for Counted<'_, T, F> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        let read = (buf.filled().len() - before) as u64;
        if read > 0 {
            (self.read)(read);
            self.moved.fetch_add(read, Relaxed);
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin, F: Unpin> AsyncWrite for Counted<'_, T, F> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
