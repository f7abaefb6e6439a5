//! Connecting to a server: addresses, TCP, TLS, and which version of HTTP was agreed on.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::settings::{ServerAddress, UpstreamSettings};
use crate::gateway::tls::{self, TlsError};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("the name cannot be looked up: {0}")]
    Name(io::Error),
    #[error("{0}")]
    Refused(io::Error),
    #[error("TLS was not agreed on: {0}")]
    Tls(io::Error),
    #[error("it took too long")]
    TimedOut,
    #[error("HTTP was not agreed on: {0}")]
    Handshake(hyper::Error),
}

/// How one server is connected to.
#[derive(Clone)]
pub(crate) struct Connector {
    address: ServerAddress,
    tls: Option<Tls>,
    http2: bool,
    limit: std::time::Duration,
}

#[derive(Clone)]
struct Tls {
    name: ServerName<'static>,
    /// Offers what the upstream may speak.
    any: TlsConnector,
    /// Offers HTTP/1.1 only, for upgrades.
    http1: TlsConnector,
}

/// A connection, and whether HTTP/2 is spoken on it.
pub(crate) struct Connected {
    pub(crate) stream: UpstreamStream,
    pub(crate) http2: bool,
}

impl Connector {
    pub(crate) fn new(address: ServerAddress, settings: &UpstreamSettings) -> Result<Self, TlsError> {
        let tls = if address.tls {
            let name = settings.tls.server_name.clone().unwrap_or_else(|| address.host.clone());
            let server_name = ServerName::try_from(name.clone()).map_err(|_| TlsError::ServerName(name))?;
            let mut config = client_config(settings)?;
            let http1 = TlsConnector::from(Arc::new(config.clone()));
            if settings.http2 {
                config.alpn_protocols.insert(0, b"h2".into());
            }
            Some(Tls { name: server_name, any: TlsConnector::from(Arc::new(config)), http1 })
        } else {
            None
        };
        Ok(Self { address, tls, http2: settings.http2, limit: settings.timeouts.connect })
    }

    /// Connects, within the limit.
    pub(crate) async fn connect(&self) -> Result<Connected, ConnectError> {
        let connected = timeout(self.limit, self.connect_unbounded(self.tls.as_ref().map(|tls| &tls.any)));
        connected.await.unwrap_or(Err(ConnectError::TimedOut))
    }

    /// Connects, within the limit, and speaks HTTP/1.1.
    pub(crate) async fn connect_http1(&self) -> Result<UpstreamStream, ConnectError> {
        let connected = timeout(self.limit, self.connect_unbounded(self.tls.as_ref().map(|tls| &tls.http1)));
        Ok(connected.await.unwrap_or(Err(ConnectError::TimedOut))?.stream)
    }

    async fn connect_unbounded(&self, connector: Option<&TlsConnector>) -> Result<Connected, ConnectError> {
        let stream = self.connect_tcp().await?;
        // Small requests must not wait for more to come (Nagle); a socket that refuses the option still works.
        let _ = stream.set_nodelay(true);
        let (Some(connector), Some(Tls { name, .. })) = (connector, &self.tls) else {
            return Ok(Connected { stream: UpstreamStream::new(Kind::Plain(stream)), http2: self.http2 });
        };
        let stream = connector.connect(name.clone(), stream).await.map_err(ConnectError::Tls)?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Connected { stream: UpstreamStream::new(Kind::Tls(Box::new(stream))), http2 })
    }

    async fn connect_tcp(&self) -> Result<TcpStream, ConnectError> {
        let ServerAddress { host, port, .. } = &self.address;
        let addresses = lookup_host((host.as_str(), *port)).await.map_err(ConnectError::Name)?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(ConnectError::Refused(last))
    }
}

fn client_config(settings: &UpstreamSettings) -> Result<ClientConfig, TlsError> {
    let roots = match &settings.tls.ca {
        Some(path) => tls::authorities(path)?,
        None => tls::system_authorities()?,
    };
    let builder = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut config = match &settings.tls.identity {
        Some(files) => {
            builder.with_client_auth_cert(tls::certificates(&files.certificate)?, tls::private_key(&files.key)?)?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".into()];
    Ok(config)
}

/// A connection to a server.
pub(crate) struct UpstreamStream {
    kind: Kind,
    heard: Arc<AtomicBool>,
    repeats: Option<Box<Repeats>>,
}

/// A request was sent already, and this much of its answer read: who takes over sends and reads the same once more.
struct Repeats {
    answer: Bytes,
    request: Swallowed,
}

#[derive(PartialEq, Eq)]
enum Swallowed {
    Nothing,
    Some,
    Whole,
}

enum Kind {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl UpstreamStream {
    fn new(kind: Kind) -> Self {
        Self { kind, heard: Arc::default(), repeats: None }
    }

    /// Lets a request that was sent be sent once more, to nobody, and then the beginning of its answer be read once more.
    pub(crate) fn repeat(&mut self, answer: Bytes) {
        self.repeats = Some(Box::new(Repeats { answer, request: Swallowed::Nothing }));
    }

    /// Whether what is sent is swallowed; notes it.
    fn swallows(&mut self) -> bool {
        let swallows = self.repeats.as_mut().filter(|repeats| repeats.request != Swallowed::Whole);
        swallows.map(|repeats| repeats.request = Swallowed::Some).is_some()
    }

    /// Reads what was read before; nothing, if all of it was.
    fn read_again(&mut self, buf: &mut ReadBuf<'_>) -> Option<Poll<io::Result<()>>> {
        let repeats = self.repeats.as_mut()?;
        if repeats.request != Swallowed::Whole {
            // Who asks is woken when the request is flushed.
            return Some(Poll::Pending);
        }
        let length = repeats.answer.len().min(buf.remaining());
        buf.put_slice(&repeats.answer.split_to(length));
        if repeats.answer.is_empty() {
            self.repeats = None;
        }
        Some(Poll::Ready(Ok(())))
    }

    /// Becomes true when the server says something.
    pub(crate) fn heard(&self) -> Arc<AtomicBool> {
        self.heard.clone()
    }
}

impl AsyncRead for UpstreamStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.repeats.is_some()
            && let Some(polled) = this.read_again(buf)
        {
            this.heard.store(polled.is_ready(), Relaxed);
            return polled;
        }
        let Self { kind, heard, .. } = this;
        let before = buf.filled().len();
        let polled = match kind {
            Kind::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Kind::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        if buf.filled().len() > before {
            heard.store(true, Relaxed);
        }
        polled
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.repeats.is_some() && this.swallows() {
            return Poll::Ready(Ok(buf.len()));
        }
        match &mut this.kind {
            Kind::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Kind::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.repeats.is_some() && this.swallows() {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        match &mut this.kind {
            Kind::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Kind::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.kind {
            Kind::Plain(stream) => stream.is_write_vectored(),
            Kind::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(repeats) = &mut this.repeats
            && repeats.request == Swallowed::Some
        {
            repeats.request = Swallowed::Whole;
            cx.waker().wake_by_ref();
        }
        match &mut this.kind {
            Kind::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Kind::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().kind {
            Kind::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Kind::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
