//! The store of record that the settings name: in this process, or on a Redis that several nodes share.

use std::{sync::Arc, time::Duration};

use unstale::{
    BreakerLimits, BreakerPer, Cache, CacheBuilder, InvalidRedisSettings, MemoryLimits, MemoryStore, RedisSettings,
    RedisStore, Resilience, Severity, store::Store,
};

use crate::settings::CommonSettings;

/// How long a node's view of a shared log may go without being confirmed: a third of the bound within which a read
/// may miss another node's write, unless its policy says otherwise.
const CONFIRM_EVERY: Duration = Duration::from_millis(300);

/// Bytes of entries in the embedded store, where memory holds nothing sensitive in clear.
const SEALED_BYTES_MAX: u64 = 128 << 20;

/// How long a process that stops may still try to record invalidations that wait for the store.
pub const RECORD_LIMIT: Duration = Duration::from_secs(5);
/// The wait between two attempts.
const RECORD_WAIT: Duration = Duration::from_millis(200);

/// Records what the store did not take while the process served, before that is lost with the process: tries for at most
/// `limit`, and says in the log what remains. Call it when no request is answered any more. Returns how many remain.
pub async fn record_pending(cache: &Cache, limit: Duration) -> usize {
    let waiting = cache.pending_invalidations();
    if waiting == 0 {
        return 0;
    }
    let recording = async {
        while let Err(error) = cache.record_all_pending().await {
            tracing::debug!(%error, "invalidations wait for the cache's store");
            tokio::time::sleep(RECORD_WAIT).await;
        }
    };
    // What the time cuts off stays counted among those that wait.
    let _ = tokio::time::timeout(limit, recording).await;
    let remaining = cache.pending_invalidations();
    if remaining == 0 {
        tracing::info!(recorded = waiting, "the invalidations that waited for the cache's store are recorded");
    } else {
        tracing::error!(
            remaining,
            limit_s = limit.as_secs_f64(),
            "invalidations were not recorded, because the cache's store does not answer: until their time is over, other \
             nodes may answer with what was before them; raise CACHE_VERSION, or empty the store, to be sure"
        );
    }
    remaining
}

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
        let Some(redis) = &settings.redis else {
            // What memory must not hold in clear has its place here, sealed.
            let entry_bytes_max = if settings.sealing.is_memory_sealed { SEALED_BYTES_MAX } else { 0 };
            let limits = MemoryLimits { entry_bytes_max, ..MemoryLimits::default() };
            return Ok(Self::Embedded(Arc::new(MemoryStore::new(limits))));
        };
        let version = settings.cache_version.clone();
        let settings = RedisSettings {
            version,
            tls: redis.tls.clone(),
            sentinel_login: redis.sentinel_login.clone(),
            ..RedisSettings::new(redis.url.expose(), &redis.namespace)
        };
        Ok(Self::Redis(Arc::new(RedisStore::new(settings)?)))
    }

    /// A cache over it, to be configured further: on Redis behind `breaker`, with bounded waits.
    pub fn cache(&self, breaker: BreakerLimits) -> CacheBuilder {
        let builder = Cache::builder(self.store());
        match self {
            Self::Embedded(_) => builder,
            Self::Redis(store) => builder.resilience(resilience(store, breaker)),
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

/// A cluster has a breaker for each partition: a primary that is away opens none for the others.
fn resilience(store: &RedisStore, breaker: BreakerLimits) -> Resilience {
    let breaker_per = if store.is_cluster() { BreakerPer::Partition } else { BreakerPer::Store };
    Resilience { breaker, breaker_per, ..Resilience::default() }
}

#[cfg(test)]
mod tests {
    use unstale::{
        Invalidation, Tag, Tenant,
        testing::{DistantStore, Faults},
    };

    use super::*;

    async fn with_one_waiting() -> (Arc<DistantStore>, Cache) {
        let store = Arc::new(DistantStore::new(Arc::new(MemoryStore::default()), 1));
        let cache = Cache::builder(store.clone()).build().await.unwrap();
        store.set_faults(Faults { lost_requests_percent: 100, lost_answers_percent: 0 });
        let tag = Tag::of(&Tenant::new("acme").unwrap(), "flow", 1);
        cache.invalidate(&Invalidation::of([tag])).await.unwrap_err();
        assert_eq!(cache.pending_invalidations(), 1);
        (store, cache)
    }

    #[tokio::test]
    async fn partitions_that_can_be_away_alone_have_breakers_of_their_own() {
        let breaker = BreakerLimits { failures_max: 7, ..BreakerLimits::default() };
        let of = |url| {
            let store = RedisStore::new(RedisSettings::new(url, "unstale")).unwrap();
            let Resilience { breaker, breaker_per, .. } = resilience(&store, breaker);
            (breaker.failures_max, breaker_per)
        };
        for url in ["redis://127.0.0.1:1", "redis+sentinel://127.0.0.1:1/main"] {
            assert_eq!(of(url), (7, BreakerPer::Store), "{url}");
        }
        assert_eq!(of("redis+cluster://127.0.0.1:1"), (7, BreakerPer::Partition));
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_stops_records_what_waits_as_soon_as_the_store_is_back() {
        let (store, cache) = with_one_waiting().await;
        let back = async {
            tokio::time::sleep(RECORD_LIMIT / 2).await;
            store.set_faults(Faults::default());
        };
        let (remaining, ()) = tokio::join!(record_pending(&cache, RECORD_LIMIT), back);
        assert_eq!((remaining, cache.pending_invalidations()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn it_does_not_wait_without_end_and_says_what_remains() {
        let (_store, cache) = with_one_waiting().await;
        let began = tokio::time::Instant::now();
        assert_eq!(record_pending(&cache, RECORD_LIMIT).await, 1);
        assert_eq!(began.elapsed(), RECORD_LIMIT);
    }
}
