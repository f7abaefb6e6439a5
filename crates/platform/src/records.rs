//! What is kept about the cache, how it is governed, and the watch over it: the platform's part of it.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{body::Body, http::Extensions};
use sea_orm::DatabaseConnection;
use unstale::{Cache, CacheBuilder};
use unstale_http::{CacheLayer, Lifetime, ServedObserver};
use unstale_server::{
    configuration::{Effective, Known, LiveConfiguration},
    consistency::{self, Watch, WatchLayer},
    database::{PoolLimits, connect},
    statistics::{Bookkeeper, Flushed, Limits, Writer},
    telemetry::Metrics,
};

use crate::{
    api::{Platform, policies},
    auth::Caller,
    coherence::{catalogue, governed},
    store::Store,
};

/// Connections for records: few, so that they never take one that a request waits for.
const CONNECTIONS_MAX: u32 = 2;
/// How long the end waits for the last records to be written.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);
/// Kinds of response that show when somebody was last seen, which moves without an invalidation.
const TIMELESS: &[&str] = &["active_users", "admin_users"];

/// Configuration, watch and books. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    pub(crate) configuration: LiveConfiguration,
    pub(crate) watch: Watch,
    pub(crate) pool: DatabaseConnection,
    bookkeeper: Bookkeeper,
    flushed: Flushed,
}

impl Records {
    /// Opens them; what is kept is written by what is returned beside.
    pub(crate) async fn open(url: &str, store: &Store, metrics: &Metrics) -> anyhow::Result<(Self, Writer)> {
        // A database in memory is one connection's own.
        let pool = if url.contains(":memory:") || url.contains("mode=memory") {
            store.pool().clone()
        } else {
            let limits = PoolLimits { connections_max: CONNECTIONS_MAX, ..PoolLimits::default() };
            connect(url, "platform records", &limits).await.context("the database cannot be opened for records")?
        };
        let known = known().context("the table of routes is not sound")?;
        let configuration =
            LiveConfiguration::open(pool.clone(), known).await.context("the cache's configuration cannot be read")?;
        let (bookkeeper, writer) = Writer::new(pool.clone(), Limits::default(), metrics.records());
        let books = bookkeeper.clone();
        let told = move |is_incorrect| books.checked(is_incorrect);
        let watch = Watch::telling(consistency::Limits::default(), metrics.consistency(), told);
        let (tuned, version) = (watch.clone(), metrics.records().configuration_version);
        configuration.on_change(move |effective| {
            tuned.tune(&effective.configuration.consistency);
            version.set(effective.version);
        });
        let flushed = writer.flushed();
        Ok((Self { configuration, watch, pool, bookkeeper, flushed }, writer))
    }

    /// Lets them observe a cache that is to be built.
    pub(crate) fn observe(&self, cache: CacheBuilder) -> CacheBuilder {
        cache.observer(self.configuration.observer()).observer(self.bookkeeper.observer())
    }

    /// Begins to govern a cache, and to write about it.
    pub(crate) fn start(&self, cache: &Cache, writer: Writer) {
        self.configuration.govern(cache);
        tokio::spawn(self.configuration.clone().follow());
        let configuration = self.configuration.clone();
        let retention = move || configuration.effective().configuration.retention;
        tokio::spawn(writer.run(cache.clone(), retention));
    }

    /// What a layer has to tell of what it serves.
    pub(crate) fn response_observers(&self) -> [Arc<dyn ServedObserver>; 2] {
        [Arc::new(self.bookkeeper.clone()), Watch::response_observer()]
    }

    /// Governs a layer's routes.
    pub(crate) fn tune(&self, layer: &CacheLayer) {
        let layer = layer.clone();
        self.configuration.on_change(move |effective| layer.tune(|pattern, policy| route(effective, pattern, policy)));
    }

    /// What watches the responses of a layer below it.
    pub(crate) fn watch_layer(&self, platform: &Platform) -> WatchLayer<Body, Body> {
        let (again, cache) = (platform.clone(), platform.cache.clone());
        let carry = |from: &Extensions, to: &mut Extensions| {
            if let Some(caller) = from.get::<Caller>() {
                to.insert(caller.clone());
            }
        };
        WatchLayer::new(self.watch.clone(), cache, TIMELESS, carry, move || again.inner.get().cloned())
    }

    /// Writes what is left.
    pub(crate) async fn finish(&self) {
        if !self.flushed.within(FLUSH_LIMIT).await {
            tracing::warn!("the last records about the cache could not be written");
        }
    }
}

fn route(effective: &Effective, pattern: &str, policy: &unstale_http::RoutePolicy) -> unstale_http::RouteSettings {
    let default = match &policy.lifetime {
        Lifetime::Route(policy) => Some(policy),
        Lifetime::Uncached | Lifetime::Origin(_) => None,
    };
    effective.route(pattern, default)
}

/// What can be configured.
fn known() -> Result<Known, unstale_http::RouteError> {
    let table = policies::table()?;
    let routes = table.iter().filter_map(|(pattern, policy)| match policy.lifetime {
        Lifetime::Route(policy) => Some((pattern, governed::endpoint(policy.ttl))),
        Lifetime::Uncached | Lifetime::Origin(_) => None,
    });
    Ok(Known::default().entries(catalogue::PATTERNS, governed::entry).endpoints(routes))
}
