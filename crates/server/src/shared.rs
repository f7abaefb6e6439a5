//! The store of record that the settings name: in this process, or on a Redis that several nodes share.

use std::{sync::Arc, time::Duration};

use unstale::{
    Cache, CacheBuilder, InvalidRedisSettings, MemoryStore, RedisSettings, RedisStore, Resilience, Severity,
    store::Store,
};

use crate::settings::CommonSettings;

/// How long a node's view of a shared log may go without being confirmed: a third of the bound within which a read
/// may miss another node's write, unless its policy says otherwise.
const CONFIRM_EVERY: Duration = Duration::from_millis(300);

/// The store of record, opened.
#[derive(Clone, Debug)]
pub enum SharedStore {
    /// Of this process alone.
    Embedded(Arc<MemoryStore>),
    /// On a Redis that several nodes share.
    Redis(Arc<RedisStore>),
}

impl SharedStore {
    /// Opens the store that the settings name. Redis need not be reachable: until it is, everything is loaded.
    pub fn open(settings: &CommonSettings) -> Result<Self, InvalidRedisSettings> {
        let Some(redis) = &settings.redis else { return Ok(Self::Embedded(Arc::new(MemoryStore::default()))) };
        let version = settings.cache_version.clone();
        let settings = RedisSettings { version, ..RedisSettings::new(redis.url.expose(), &redis.namespace) };
        Ok(Self::Redis(Arc::new(RedisStore::new(settings)?)))
    }

    /// A cache over it, to be configured further: on Redis behind a breaker, with bounded waits.
    pub fn cache(&self) -> CacheBuilder {
        let builder = Cache::builder(self.store());
        match self {
            Self::Embedded(_) => builder,
            Self::Redis(_) => builder.resilience(Resilience::default()),
        }
    }

    /// The store itself.
    pub fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Redis(store) => store.clone(),
        }
    }

    /// What has to run beside requests, if anything: keeps this node's view of a shared log up to date, so that live
    /// events hear of other nodes' writes whether or not anybody reads; and says in the log what is risky about the
    /// server. Spawn it.
    pub async fn keep_up(self, cache: Cache) {
        let Self::Redis(store) = self else { return };
        tokio::join!(cache.follow(CONFIRM_EVERY), tell_findings(&store));
    }
}

async fn tell_findings(store: &RedisStore) {
    for finding in store.check().await {
        match finding.severity {
            Severity::Wrong => tracing::error!("Redis: {finding}"),
            Severity::Risk => tracing::warn!("Redis: {finding}"),
            Severity::Note => tracing::info!("Redis: {finding}"),
        }
    }
}
