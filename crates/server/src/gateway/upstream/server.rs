//! One server of an upstream: its connections, the limit on them, and what is known of its health.
//!
//! # Invariants
//! - At most `connections_max` requests hold a [`Lease`]; a request takes an unused connection before it opens one, and
//!   gives it back before its lease ends. So there are never more connections than leases may be.
//! - Unused connections are taken last in, first out: those that are not needed grow old and are closed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    connect::{ConnectError, Connector, UpstreamStream},
    health::{Change, Health, Standing},
    link::{Arriving, Link, SendError, Sending, keep},
    multiplex::{Multiplex, Stream},
    sent::SentBody,
    settings::{STREAMS_PER_CONNECTION, ServerAddress, Timeouts, UpstreamSettings},
};
use crate::gateway::tls::TlsError;

/// One server of an upstream.
pub(crate) struct Server {
    pub(crate) address: ServerAddress,
    /// Its own name, as in `Host`.
    pub(crate) authority: HeaderValue,
    upstream: String,
    connector: Connector,
    http2: bool,
    head_bytes_max: usize,
    waiting_max: usize,
    health: Mutex<Health>,
    /// Whether a success would change nothing: then `health` need not be locked.
    clean: AtomicBool,
    permits: Arc<Semaphore>,
    running: AtomicUsize,
    waiting: AtomicUsize,
    #[expect(clippy::vec_box, reason = "a link is large and goes in and out with every request")]
    unused: Mutex<Vec<Box<Link>>>,
    multiplex: Multiplex,
    /// The server did not agree to HTTP/2.
    only_http1: AtomicBool,
}

/// The right to ask a server. It counts as running until it is dropped.
pub(crate) struct Lease {
    pub(crate) server: Arc<Server>,
    _permit: OwnedSemaphorePermit,
}

/// Why there is no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LeaseError {
    #[error("too many requests wait for a connection")]
    TooManyWait,
    #[error("no connection became free in time")]
    TimedOut,
}

/// A connection that is ready for a request.
pub(crate) enum Channel {
    Link(Box<Link>),
    Stream(Stream),
}

impl Channel {
    /// Whether it carried a request before: then the server may have closed it meanwhile.
    pub(crate) fn is_reused(&self) -> bool {
        match self {
            Self::Link(link) => link.is_reused(),
            Self::Stream(stream) => stream.is_reused(),
        }
    }

    /// The head that was kept.
    pub(crate) fn take_kept(&mut self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in self.kept().drain(..) {
            headers.append(name, value);
        }
        headers
    }

    fn kept(&mut self) -> &mut Vec<(HeaderName, HeaderValue)> {
        match self {
            Self::Link(link) => link.kept(),
            Self::Stream(stream) => stream.kept(),
        }
    }

    /// Sends a request and waits for the head of its answer. `prepare` is called before the library is given it.
    pub(crate) async fn send(
        &mut self,
        mut request: Request<SentBody>,
        sending: Sending<'_>,
        prepare: impl FnOnce(&mut Request<SentBody>),
    ) -> Result<Response<Arriving>, SendError> {
        match self {
            Self::Link(link) => link.send(request, sending, prepare).await,
            Self::Stream(stream) => {
                if sending.keeps {
                    keep(stream.kept(), request.headers());
                }
                prepare(&mut request);
                let answer = Box::pin(stream.send(request, sending.timeouts, sending.gated)).await?;
                Ok(answer.map(Arriving::Driven))
            }
        }
    }
}

impl Server {
    pub(crate) fn new(address: ServerAddress, settings: &UpstreamSettings) -> Result<Self, TlsError> {
        let leases_max = if settings.http2 {
            settings.connections_max.saturating_mul(STREAMS_PER_CONNECTION)
        } else {
            settings.connections_max
        };
        let authority = HeaderValue::try_from(address.authority()).expect("an address was read from a URL");
        Ok(Self {
            connector: Connector::new(address.clone(), settings)?,
            authority,
            upstream: settings.name.clone(),
            http2: settings.http2,
            head_bytes_max: settings.head_bytes_max,
            waiting_max: settings.waiting_max,
            health: Mutex::new(Health::new(settings.health.as_ref(), settings.ejection)),
            clean: AtomicBool::new(true),
            permits: Arc::new(Semaphore::new(leases_max.clamp(1, Semaphore::MAX_PERMITS))),
            running: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            unused: Mutex::default(),
            multiplex: Multiplex::default(),
            only_http1: AtomicBool::new(false),
            address,
        })
    }

    /// Waits, bounded, for the right to ask.
    pub(crate) async fn lease(self: &Arc<Self>, timeouts: &Timeouts) -> Result<Lease, LeaseError> {
        let permit = match self.permits.clone().try_acquire_owned() {
            Ok(permit) => permit,
            // Boxed, as all that is seldom: the futures of requests are small, since each is moved once.
            Err(_) => Box::pin(self.wait(timeouts.queue)).await?,
        };
        self.running.fetch_add(1, Relaxed);
        Ok(Lease { server: self.clone(), _permit: permit })
    }

    async fn wait(&self, limit: Duration) -> Result<OwnedSemaphorePermit, LeaseError> {
        let waiting = Waiting::new(&self.waiting);
        if waiting.others >= self.waiting_max {
            return Err(LeaseError::TooManyWait);
        }
        let acquired = timeout(limit, self.permits.clone().acquire_owned()).await;
        Ok(acquired.map_err(|_| LeaseError::TimedOut)?.expect("the permits are never closed"))
    }

    /// A connection: one that is there, unless `fresh`, or a new one.
    pub(crate) async fn channel(&self, fresh: bool) -> Result<Channel, ConnectError> {
        if !self.http2 || self.only_http1.load(Relaxed) {
            if !fresh && let Some(link) = self.take_unused() {
                return Ok(Channel::Link(link));
            }
            return Box::pin(self.new_channel()).await;
        }
        if let Some(stream) = self.multiplex.take() {
            return Ok(Channel::Stream(stream));
        }
        Box::pin(self.shared_channel()).await
    }

    async fn new_channel(&self) -> Result<Channel, ConnectError> {
        Ok(self.link(self.connector.connect().await?.stream))
    }

    /// A connection on which the protocol can be switched, which is possible in HTTP/1.1 only; none if the server is
    /// known to speak nothing but HTTP/2.
    pub(crate) async fn switchable_channel(&self) -> Result<Option<Channel>, ConnectError> {
        if self.http2 && !self.address.tls {
            return Ok(None);
        }
        let stream = self.connector.connect_http1().await?;
        Ok(Some(self.link(stream)))
    }

    async fn shared_channel(&self) -> Result<Channel, ConnectError> {
        let _connecting = self.multiplex.connecting.lock().await;
        if let Some(stream) = self.multiplex.take() {
            return Ok(Channel::Stream(stream));
        }
        let connected = self.connector.connect().await?;
        if connected.http2 {
            return self.multiplex.add(connected.stream, self.head_bytes_max).await.map(Channel::Stream);
        }
        self.only_http1.store(true, Relaxed);
        Ok(self.link(connected.stream))
    }

    fn link(&self, stream: UpstreamStream) -> Channel {
        Channel::Link(Box::new(Link::new(stream, self.head_bytes_max)))
    }

    fn take_unused(&self) -> Option<Box<Link>> {
        loop {
            let mut link = self.unused.lock().pop()?;
            if link.is_open() {
                return Some(link);
            }
        }
    }

    /// Takes a connection back, if it can carry another request.
    pub(crate) fn give_back(&self, mut link: Box<Link>) {
        if link.is_done() {
            link.rest(Instant::now());
            self.unused.lock().push(link);
        }
    }

    /// Closes connections that were closed by the server, and those unused since before `oldest`.
    pub(crate) fn sweep(&self, oldest: Instant) {
        let swept: Vec<_> = {
            let mut unused = self.unused.lock();
            unused.extract_if(.., |link| link.idle_since() < oldest || !link.is_open()).collect()
        };
        drop(swept);
        self.multiplex.sweep();
    }

    pub(crate) fn standing(&self, now: Instant) -> Standing {
        if self.clean.load(Relaxed) { Standing::Well } else { self.health.lock().standing(now) }
    }

    pub(crate) fn is_down(&self) -> bool {
        !self.clean.load(Relaxed) && self.health.lock().standing(Instant::now()) == Standing::Down
    }

    /// Requests that run on it or wait for it.
    pub(crate) fn running(&self) -> usize {
        self.running.load(Relaxed) + self.waiting.load(Relaxed)
    }

    pub(crate) fn connections_unused(&self) -> usize {
        self.unused.lock().len()
    }

    pub(crate) fn succeeded(&self) {
        if !self.clean.load(Relaxed) {
            self.judge(|health| {
                // A success of a request says nothing against what probes say.
                health.succeeded();
                None
            });
        }
    }

    pub(crate) fn failed(&self) {
        self.judge(|health| health.failed(Instant::now()));
    }

    pub(crate) fn probed(&self, good: bool) {
        self.judge(|health| health.probed(good));
    }

    fn judge(&self, judge: impl FnOnce(&mut Health) -> Option<Change>) {
        let change = {
            let mut health = self.health.lock();
            let change = judge(&mut health);
            self.clean.store(health.is_clean(), Relaxed);
            change
        };
        let (upstream, server) = (self.upstream.as_str(), &self.address);
        match change {
            None => {}
            Some(Change::CameUp) => tracing::info!(upstream, %server, "a server is well again"),
            Some(Change::WentDown) => {
                tracing::warn!(upstream, %server, "a server does not answer; it gets no requests");
            }
            Some(Change::Ejected(length)) => {
                tracing::warn!(upstream, %server, for_s = length.as_secs(), "requests failed; others come first for a while");
            }
        }
    }

    pub(crate) fn connector(&self) -> &Connector {
        &self.connector
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.server.running.fetch_sub(1, Relaxed);
    }
}

/// Counts who waits.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    others: usize,
}

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        Self { count, others: count.fetch_add(1, Relaxed) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Relaxed);
    }
}
