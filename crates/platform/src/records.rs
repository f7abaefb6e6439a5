//! What is kept about the cache, how it is governed, and the watch over it: the platform's part of it.

use std::{num::NonZeroU32, sync::Arc};

use anyhow::Context as _;
use axum::{body::Body, http::Extensions};
use sea_orm::{DatabaseConnection, DbErr};
use unstale::{Cache, CacheBuilder};
use unstale_http::{CacheLayer, Lifetime, ServedObserver};
use unstale_server::{
    configuration::{Effective, Known, LiveConfiguration},
    consistency::{self, Watch, WatchLayer},
    database::connect,
    metadata::Concealed,
    records,
    secret::{Purpose, Secret},
    statistics::{Limits, Writer},
    telemetry::Metrics,
};
use uuid::Uuid;

use crate::{
    api::{Platform, policies},
    auth::Caller,
    coherence::{catalogue, governed},
    store::Store,
};

/// Kinds of response that show when somebody was last seen, which moves without an invalidation.
const TIMELESS: &[&str] = &["active_users", "admin_users"];

/// Configuration, watch and books. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    pub(crate) configuration: LiveConfiguration,
    pub(crate) watch: Watch,
    pub(crate) pool: DatabaseConnection,
    kept: records::Records,
}

impl Records {
    /// Opens them; what is kept is written by what is returned beside.
    pub(crate) async fn open(
        url: &str,
        store: &Store,
        secret: &Secret,
        metrics: &Metrics,
    ) -> anyhow::Result<(Self, Writer)> {
        // A database in memory is one connection's own.
        let pool = if url.contains(":memory:") || url.contains("mode=memory") {
            store.pool().clone()
        } else {
            let pool = connect(url, "platform records", &records::pool_limits()).await;
            pool.context("the database cannot be opened for records")?
        };
        let known = known().context("the table of routes is not sound")?;
        let opened = records::Records::open(pool.clone(), known, Limits::default(), metrics).await;
        let (kept, writer) = opened.context("the cache's configuration cannot be read")?;
        let writer = writer.concealing(concealed(secret));
        let books = kept.bookkeeper.clone();
        let told = move |is_incorrect| books.checked(is_incorrect);
        let watch = Watch::telling(consistency::Limits::default(), metrics.consistency(), told);
        let tuned = watch.clone();
        kept.configuration.on_change(move |effective| tuned.tune(&effective.configuration.consistency));
        Ok((Self { configuration: kept.configuration.clone(), watch, pool, kept }, writer))
    }

    /// Lets them observe a cache that is to be built.
    pub(crate) fn observe(&self, cache: CacheBuilder) -> CacheBuilder {
        self.kept.observe(cache)
    }

    /// Begins to govern a cache, and to write about it.
    pub(crate) fn start(&self, cache: &Cache, writer: Writer) {
        self.kept.start(cache, writer, |_| NonZeroU32::MIN);
    }

    /// What a layer has to tell of what it serves.
    pub(crate) fn response_observers(&self) -> [Arc<dyn ServedObserver>; 2] {
        [self.kept.response_observer(), Watch::response_observer()]
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

    /// Removes what is noted of keys with somebody's id, in either way in which it may be written in a URL.
    pub(crate) async fn forget(&self, user: Uuid) -> Result<u64, DbErr> {
        self.kept.forget(&[user.to_string(), user.simple().to_string()]).await
    }

    /// Writes what is left.
    pub(crate) async fn finish(&self) {
        self.kept.finish().await;
    }
}

fn route(effective: &Effective, pattern: &str, policy: &unstale_http::RoutePolicy) -> unstale_http::RouteSettings {
    let default = match &policy.lifetime {
        Lifetime::Route(policy) => Some(policy),
        Lifetime::Uncached | Lifetime::Origin(_) => None,
    };
    effective.route(pattern, default)
}

/// What people search for is nobody's to read afterwards: it may be a name.
fn concealed(secret: &Secret) -> Concealed {
    let assets = catalogue::PATTERNS.iter().find(|pattern| pattern.name == "assets:page");
    Concealed::by(secret.key(Purpose::Records)).part(assets.expect("the catalogue has the pages of assets"), "search")
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
