//! Accepts connections: HTTP/1.1 and HTTP/2 on one port, TLS, limits, and an orderly stop.
//!
//! ```no_run
//! # async fn start(gateway: unstale_server::gateway::proxy::Forward) -> Result<(), Box<dyn std::error::Error>> {
//! use unstale_server::{gateway::listen::{Listener, ListenSettings, Mounted}, run::stop_signal};
//!
//! let listener = Listener::bind(ListenSettings::new("0.0.0.0:8080".parse()?)).await?;
//! listener.run(Mounted(gateway), stop_signal()).await;
//! # Ok(())
//! # }
//! ```
//!
//! *Decide* (pure): [`hygiene`] whether a request is read alike by all · [`head`] whether it needs a library · [`state`] what
//! is due for a connection. *Do*: [`registry`] all open connections · [`connection`] one of them, of HTTP/1.1, [`plain`] as
//! long as it can be, or of [`http2`] · [`service`] each request of it ·
//! [`body`] what comes behind its head · [`serve`] what answers it · [`hints`] what goes ahead of its answer · [`stream`] its bytes ·
//! [`tls`] the certificate.
//!
//! # Invariants
//! - Before anything looks at a request, [`hygiene`] has passed it.
//! - With every request comes its [`ClientConnection`], with the peer's address, and its [`PeerCertificate`] if the client
//!   showed one.
//! - After the stop no connection is accepted, what runs may end within the drain limit, and then all is closed.

mod body;
mod connection;
pub(crate) mod head;
mod hints;
mod http2;
pub(crate) mod hygiene;
mod peer;
mod plain;
mod registry;
mod serve;
mod service;
mod settings;
mod state;
mod stream;
mod tls;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    task::{JoinSet, unconstrained, yield_now},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

pub use self::{
    body::{RequestBody, RequestBodyError},
    peer::{AlternativeName, ClientConnection, PeerAddress, PeerCertificate},
    serve::{Mounted, Serve},
    settings::{ClientAuthority, ListenSettings, ListenTls},
};
use self::{
    connection::{Connection, Protocols},
    registry::Registry,
    service::ConnectionService,
    state::Command,
    stream::{ClientStream, Watched},
    tls::{Certificates, Shown},
};
use super::tls::TlsError;

/// Connections that the system holds until they are accepted.
const BACKLOG: u32 = 4096;
/// Connections that are accepted at a stretch, before those that are open get their turn: as many as may wait.
const ACCEPTED_AT_ONCE: u32 = BACKLOG;
/// After a connection could not be accepted, for want of file descriptors, say.
const PAUSE: Duration = Duration::from_millis(50);
/// How long connections have to end after they were told to close.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Why a listener cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; is another server running there?")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Listens, and does not accept yet.
pub struct Listener {
    tcp: TcpListener,
    settings: ListenSettings,
    certificates: Option<Arc<Certificates>>,
    registry: Arc<Registry>,
}

/// A hold on a listener that runs.
#[derive(Clone)]
pub struct ListenHandle {
    certificates: Option<Arc<Certificates>>,
    registry: Arc<Registry>,
}

impl ListenHandle {
    /// Reads the certificate, the key, the clients' authorities and their revocation lists again. If they cannot be used, the
    /// old ones stay. Connections that are open go on, unless their client would not be let in any more: then its next
    /// request is refused.
    pub fn reload_certificates(&self) -> Result<(), TlsError> {
        self.certificates.as_ref().map_or(Ok(()), |certificates| certificates.reload())
    }

    /// Connections that are open, tunnels included.
    pub fn connections(&self) -> usize {
        self.registry.count()
    }
}

impl Listener {
    /// Begins to listen.
    pub async fn bind(settings: ListenSettings) -> Result<Self, ListenError> {
        let address = settings.address;
        let tcp = listen(address).map_err(|source| ListenError::Bind { address, source })?;
        let http2 = settings.http2;
        let certificates = match settings.tls.clone() {
            // Files are read off the threads on which others' requests run.
            Some(tls) => {
                let read = tokio::task::spawn_blocking(move || Certificates::new(tls, http2)).await;
                Some(Arc::new(read.expect("reading certificates does not panic")?))
            }
            None => None,
        };
        Ok(Self { tcp, registry: Registry::new(&settings), settings, certificates })
    }

    /// Where it listens; the port is known even if 0 was asked for.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// A hold on it for when it runs.
    pub fn handle(&self) -> ListenHandle {
        ListenHandle { certificates: self.certificates.clone(), registry: self.registry.clone() }
    }

    /// Answers requests until `stop` is over and what runs has ended.
    pub async fn run(self, service: impl Serve, stop: impl Future<Output = ()> + Send) {
        let Self { tcp, settings, certificates, registry } = self;
        let watched = async {
            match &certificates {
                Some(certificates) => certificates.watch().await,
                None => std::future::pending().await,
            }
        };
        let drain_limit = settings.drain_limit;
        // Among the connections, not beside them: on a thread of its own it would have to share the processor with all
        // of them, and of thousands that come at once the last would wait the longer.
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(tcp, settings, certificates.clone(), registry.clone(), service));
        let ended = async {
            tokio::select! {
                _ = accepting.join_next() => {}
                () = stop => {}
            }
            accepting.shutdown().await;
            registry.tell_all(Command::Finish);
            if timeout(drain_limit, registry.empty()).await.is_err() {
                let limit_s = drain_limit.as_secs();
                tracing::warn!(limit_s, open = registry.count(), "connections were cut off: the drain limit is over");
                registry.tell_all(Command::Close);
                let _ = timeout(CLOSE_LIMIT, registry.empty()).await;
            }
        };
        tokio::select! {
            () = ended => {}
            () = registry.watch() => {}
            () = watched => {}
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A server that starts anew must not wait for connections of the old one to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept(
    tcp: TcpListener,
    settings: ListenSettings,
    certificates: Option<Arc<Certificates>>,
    registry: Arc<Registry>,
    service: impl Serve,
) {
    let protocols = Arc::new(Protocols::new(&settings));
    let mut at_a_stretch = 0;
    loop {
        if at_a_stretch == ACCEPTED_AT_ONCE {
            at_a_stretch = 0;
            yield_now().await;
        }
        // The runtime's own limit is lower: after some dozens, the next one would wait behind all that were accepted.
        let place = unconstrained(registry.place()).await;
        let accepted = if let Some(accepted) = unconstrained(tcp.accept()).now_or_never() {
            at_a_stretch += 1;
            accepted
        } else {
            at_a_stretch = 0;
            unconstrained(tcp.accept()).await
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        // Small answers must not wait for more to come (Nagle); a socket that refuses the option still works.
        let _ = stream.set_nodelay(true);
        let state = registry.open(place, certificates.is_some());
        let connection = ClientConnection::new(state, PeerAddress(peer));
        let service = ConnectionService::new(service.clone(), connection);
        let protocols = protocols.clone();
        match &certificates {
            None => {
                let stream = Watched::new(ClientStream::Plain(stream), service.connection.state.clone());
                tokio::spawn(Connection::new(stream, service, protocols));
            }
            Some(certificates) => {
                let (certificates, limit) = (certificates.clone(), settings.head_timeout);
                tokio::spawn(serve_tls(certificates, stream, limit, service, protocols));
            }
        }
    }
}

async fn serve_tls(
    certificates: Arc<Certificates>,
    stream: TcpStream,
    limit: Duration,
    mut service: ConnectionService<impl Serve>,
    protocols: Arc<Protocols>,
) {
    let acceptor = TlsAcceptor::from(certificates.current());
    let stream = match timeout(limit, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, peer = %service.connection.peer.0, "a TLS handshake failed"),
        Err(_) => return tracing::debug!(peer = %service.connection.peer.0, "a TLS handshake took too long"),
    };
    if let Some(chain) = stream.get_ref().1.peer_certificates() {
        service.connection.certificate = chain.first().and_then(PeerCertificate::read);
        service.connection.shown = Some(Arc::new(Shown::new(chain, &certificates)));
    }
    let stream = Watched::new(ClientStream::Tls(Box::new(stream)), service.connection.state.clone());
    Connection::new(stream, service, protocols).await;
}
