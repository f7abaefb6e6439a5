//! The servers behind: which one gets a request, over which connection, and whether it is well.
//!
//! *Decide* (pure, time is an argument): [`balance`] whom to ask · [`health`] who may be asked · [`retry`] whether to ask
//! once more · [`head`] which exchanges are plain. *Do*: [`connect`] TCP and TLS · [`link`] HTTP/1.1, by [`plain`] or
//! [`driven`] · [`multiplex`] HTTP/2 · [`server`] one server and its
//! connections · [`probe`] asks whether servers are well.
//!
//! An [`Upstream`] works for nobody in particular: requests name it by the extension [`Target`].

mod alarm;
mod balance;
mod connect;
mod driven;
pub(crate) mod head;
mod health;
mod link;
mod multiplex;
mod plain;
mod probe;
mod retry;
mod sent;
mod server;
mod settings;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

pub use self::settings::{
    BadServerAddress, CertificateFiles, EjectionSettings, HealthSettings, RetrySettings, STREAMS_PER_CONNECTION,
    SentHost, ServerAddress, Timeouts, UpstreamSettings, UpstreamTls,
};
pub(crate) use self::{
    alarm::Alarm,
    connect::ConnectError,
    health::Standing,
    link::{Arriving, BodyError, Link, SendError, Sending},
    multiplex::Stream,
    retry::{Budget, Failed, Reached, may_retry},
    sent::{BoxError, SendProgress, SentBody},
    server::{Channel, Lease, LeaseError, Server},
};
use super::tls::TlsError;

/// Why an upstream cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// There is nothing to ask.
    #[error("upstream {0:?} has no server: give it at least one (servers)")]
    NoServer(String),
    /// TLS to its servers cannot be set up.
    #[error("upstream {name:?}: {source}")]
    Tls {
        /// The upstream.
        name: String,
        /// What is wrong.
        source: TlsError,
    },
}

/// For which upstream a request is: an extension of the request.
#[derive(Clone, Debug)]
pub struct Target(pub Arc<Upstream>);

/// Servers that answer alike.
pub struct Upstream {
    settings: UpstreamSettings,
    servers: Vec<Arc<Server>>,
    /// Where the choice begins to look, one further each time.
    turn: AtomicUsize,
    budget: Budget,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    retries: AtomicU64,
    failures: AtomicU64,
}

/// What an upstream did so far, and how it is.
#[derive(Clone, Debug)]
pub struct UpstreamReport {
    /// Requests that came for it.
    pub requests: u64,
    /// Requests that were sent once more.
    pub retries: u64,
    /// Requests that were answered by the gateway, since no server did.
    pub failures: u64,
    /// Its servers.
    pub servers: Vec<ServerReport>,
}

/// How a server is.
#[derive(Clone, Debug)]
pub struct ServerReport {
    /// Where it is.
    pub address: ServerAddress,
    /// Whether it gets requests, as far as it has room.
    pub well: bool,
    /// Requests that run on it or wait for it.
    pub running: usize,
    /// HTTP/1.1 connections that are kept for the next request.
    pub connections_unused: usize,
}

impl Upstream {
    /// Reads the certificates, and begins to ask the servers whether they are well. Must be called within a Tokio
    /// runtime. It ends when the last handle is dropped.
    pub fn new(settings: UpstreamSettings) -> Result<Arc<Self>, UpstreamError> {
        if settings.servers.is_empty() {
            return Err(UpstreamError::NoServer(settings.name));
        }
        let servers: Result<Vec<_>, _> =
            settings.servers.iter().map(|address| Server::new(address.clone(), &settings).map(Arc::new)).collect();
        let servers = servers.map_err(|source| UpstreamError::Tls { name: settings.name.clone(), source })?;
        let budget = Budget::new(settings.retry.budget_percent);
        let upstream =
            Arc::new(Self { settings, servers, turn: AtomicUsize::new(0), budget, counts: Counts::default() });
        probe::start(&upstream);
        Ok(upstream)
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// What it was told.
    pub fn settings(&self) -> &UpstreamSettings {
        &self.settings
    }

    /// What it did so far, and how its servers are.
    pub fn report(&self) -> UpstreamReport {
        let now = Instant::now();
        let server = |server: &Arc<Server>| ServerReport {
            address: server.address.clone(),
            well: server.standing(now) == Standing::Well,
            running: server.running(),
            connections_unused: server.connections_unused(),
        };
        UpstreamReport {
            requests: self.counts.requests.load(Relaxed),
            retries: self.counts.retries.load(Relaxed),
            failures: self.counts.failures.load(Relaxed),
            servers: self.servers.iter().map(server).collect(),
        }
    }

    /// The server to ask, unless all are down.
    pub(crate) fn pick(&self, tried: &[Arc<Server>]) -> Option<&Arc<Server>> {
        if let [only] = self.servers.as_slice()
            && !only.is_down()
        {
            return Some(only);
        }
        let now = Instant::now();
        let candidates = self.servers.iter().map(|server| balance::Candidate {
            standing: server.standing(now),
            running: server.running(),
            tried: tried.iter().any(|tried| Arc::ptr_eq(tried, server)),
        });
        balance::pick(candidates, self.turn.fetch_add(1, Relaxed)).map(|place| &self.servers[place])
    }

    /// When a server that is down may be up again.
    pub(crate) fn retry_after(&self) -> Duration {
        self.settings.health.as_ref().map_or(Duration::from_secs(1), |health| health.every * health.healthy_after)
    }

    pub(crate) fn began(&self) {
        self.counts.requests.fetch_add(1, Relaxed);
        self.budget.add();
    }

    pub(crate) fn retried(&self) {
        self.counts.retries.fetch_add(1, Relaxed);
    }

    pub(crate) fn gave_up(&self) {
        self.counts.failures.fetch_add(1, Relaxed);
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("name", &self.settings.name).finish_non_exhaustive()
    }
}
