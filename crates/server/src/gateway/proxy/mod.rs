//! Forwards a request to an upstream and streams the answer back: a tower service.
//!
//! The request says by extensions where it goes ([`Target`](super::upstream::Target)) and where it comes from
//! ([`ClientConnection`](super::listen::ClientConnection)); the listener puts the latter.
//!
//! *Decide* (pure): [`hop`] what concerns one connection only · [`forwarded`] who asked · [`failure`] how a failure is
//! told. *Do*: [`attempt`] asks servers until one answers · [`body`] the answer's body · [`tunnel`] switched protocols.
//!
//! # Invariants
//! - Both ways bodies are streamed at constant memory, with back-pressure, and trailers behind them.
//! - Whoever drops the answer's future or its body cancels what was asked.
//! - A failure is an answer with a problem that tells what to do, never an error of the service.
//!
//! # What it does not do
//! Choose an upstream, know a principal, or cache. An answer gets no `Via`: a gateway need not (RFC 9110 §7.6.3), and
//! clients have no use for it. WebSocket over HTTP/2 (RFC 8441) is not offered.

pub(crate) mod attempt;
mod body;
mod failure;
pub(crate) mod forwarded;
pub(crate) mod hop;
mod network;
mod tunnel;

use std::{
    convert::Infallible,
    fmt,
    net::IpAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body::Body;
use tower::Service;

pub use self::{
    body::{ForwardBody, ForwardError},
    network::{BadNetwork, Network},
};
use self::{forwarded::Via, tunnel::TunnelCounts};
use super::{
    listen::ClientConnection,
    upstream::{Target, Upstream},
};

/// How requests are forwarded, whatever the upstream.
#[derive(Clone, Debug)]
pub struct ForwardSettings {
    /// What the gateway calls itself in `Via` and `Proxy-Status`: a token.
    pub name: String,
    /// Peers whose `X-Forwarded-…` and `Forwarded` are believed.
    pub trusted: Vec<Network>,
    /// Whether servers get `Forwarded` (RFC 7239) beside `X-Forwarded-…`.
    pub forwarded: bool,
}

impl Default for ForwardSettings {
    fn default() -> Self {
        Self { name: "unstale".to_owned(), trusted: Vec::new(), forwarded: true }
    }
}

/// Forwards requests. Cheap to clone.
#[derive(Clone)]
pub struct Forward {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    settings: ForwardSettings,
    via: Via,
    tunnels: Arc<TunnelCounts>,
}

/// What went through upgraded connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelReport {
    /// Tunnels that are open.
    pub open: u64,
    /// Tunnels that were ever opened.
    pub opened: u64,
    /// Bytes from clients to servers.
    pub to_server_bytes: u64,
    /// Bytes from servers to clients.
    pub to_client_bytes: u64,
}

impl Forward {
    /// Forwards as these settings say.
    ///
    /// # Panics
    /// If the name cannot stand in a header.
    pub fn new(settings: ForwardSettings) -> Self {
        let via = Via::new(&settings.name).expect("the gateway's name is a token");
        Self { shared: Arc::new(Shared { settings, via, tunnels: Arc::default() }) }
    }

    /// Forwards a request to an upstream. As [`call`](Service::call), for who has the upstream at hand, and the connection
    /// if it came on one: an extension costs an allocation.
    pub(crate) fn forward<B>(
        &self,
        upstream: Arc<Upstream>,
        connection: Option<ClientConnection>,
        request: Request<B>,
    ) -> BoxFuture<'static, Result<Response<ForwardBody>, Infallible>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        attempt::forward(&self.shared, upstream, connection, request)
    }

    /// What went through upgraded connections.
    pub fn tunnels(&self) -> TunnelReport {
        let counts = &self.shared.tunnels;
        let (closed, opened) = (counts.closed.load(Relaxed), counts.opened.load(Relaxed));
        TunnelReport {
            open: opened.saturating_sub(closed),
            opened,
            to_server_bytes: counts.to_server_bytes.load(Relaxed),
            to_client_bytes: counts.to_client_bytes.load(Relaxed),
        }
    }
}

impl Shared {
    fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.is_some_and(|peer| self.settings.trusted.iter().any(|network| network.contains(peer)))
    }
}

impl<B> Service<Request<B>> for Forward
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<ForwardBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<ForwardBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let connection = request.extensions_mut().remove();
        match request.extensions_mut().remove() {
            Some(Target(upstream)) => self.forward(upstream, connection, request),
            None => attempt::no_target(&self.shared),
        }
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}
