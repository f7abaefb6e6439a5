//! The store of record that the settings name: in this process, or on a Redis that several nodes share.

use std::{sync::Arc, time::Duration};

use unstale::{Cache, InvalidRedisSettings, MemoryStore, RedisSettings, RedisStore, store::Store};

use crate::settings::CommonSettings;

/// How long a node's view of a shared log may go without being confirmed: a third of the bound within which a read
/// may miss another node's write, unless its policy says otherwise.
const CONFIRM_EVERY: Duration = Duration::from_millis(300);

/// Opens the store that the settings name. Redis need not be reachable: until it is, everything is loaded.
pub fn open_store(settings: &CommonSettings) -> Result<Arc<dyn Store>, InvalidRedisSettings> {
    let Some(redis) = &settings.redis else { return Ok(Arc::new(MemoryStore::default())) };
    let version = settings.cache_version.clone();
    let store = RedisStore::new(RedisSettings { version, ..RedisSettings::new(redis.url.expose(), &redis.namespace) })?;
    Ok(Arc::new(store))
}

/// Keeps this node's view of a shared log up to date, for as long as it is polled: spawn it. What other nodes write
/// is then heard by this node's live events, whether or not anybody reads.
pub async fn follow(cache: Cache) {
    cache.follow(CONFIRM_EVERY).await;
}
