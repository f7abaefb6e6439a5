//! Records about a cache, put together: the configuration in force and the books, in one database.
//!
//! What keeps them is [`configuration`](crate::configuration), [`statistics`](crate::statistics) and
//! [`metadata`](crate::metadata); an application opens them before its cache, lets them observe it, and starts them.
//!
//! # Invariants
//! - Nothing here is asked while a request waits: connections are the records' own, few, and used beside the reads.
//! - A database that is away costs sums their writing, not the reads their answers; what was in force stays so.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use sea_orm::{DatabaseConnection, DbErr};
use unstale::{Cache, CacheBuilder, Tenant};
use unstale_http::ServedObserver;

use crate::{
    configuration::{Known, LiveConfiguration},
    database::PoolLimits,
    metadata,
    statistics::{Bookkeeper, Flushed, Limits, Writer},
    telemetry::Metrics,
};

/// Connections for records: few, so that they never take one that a request waits for.
const CONNECTIONS_MAX: u32 = 2;
/// After how many times the interval at which nodes write, all have written what they had noted before.
const WRITES_UNTIL_ALL: u32 = 3;
/// How long the end waits for the last records to be written.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// The limits of a pool of the records' own.
pub fn pool_limits() -> PoolLimits {
    PoolLimits { connections_max: CONNECTIONS_MAX, ..PoolLimits::default() }
}

/// Configuration and books. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Records {
    /// How the cache is used, changed while it runs.
    pub configuration: LiveConfiguration,
    /// Where they are: a pool of their own.
    pub pool: DatabaseConnection,
    /// What takes note.
    pub bookkeeper: Bookkeeper,
    flushed: Flushed,
    write_every: Duration,
}

impl Records {
    /// Opens them in a database that has this crate's tables; what is kept is written by what is returned beside.
    pub async fn open(
        pool: DatabaseConnection,
        known: Known,
        limits: Limits,
        metrics: &Metrics,
    ) -> Result<(Self, Writer), DbErr> {
        let configuration = LiveConfiguration::open(pool.clone(), known).await?;
        let (bookkeeper, writer) = Writer::new(pool.clone(), limits, metrics.records());
        let version = metrics.records().configuration_version;
        configuration.on_change(move |effective| _ = version.set(effective.version));
        let (flushed, write_every) = (writer.flushed(), limits.write_every);
        Ok((Self { configuration, pool, bookkeeper, flushed, write_every }, writer))
    }

    /// Lets them observe a cache that is to be built.
    pub fn observe(&self, cache: CacheBuilder) -> CacheBuilder {
        cache.observer(self.configuration.observer()).observer(self.bookkeeper.observer())
    }

    /// What a layer has to tell of what it serves.
    pub fn response_observer(&self) -> Arc<dyn ServedObserver> {
        Arc::new(self.bookkeeper.clone())
    }

    /// Begins to govern a cache, and to write about it. `usual` says what a tenant weighs of which the configuration
    /// says nothing. What is returned ends when its tasks are aborted.
    pub fn start(
        &self,
        cache: &Cache,
        writer: Writer,
        usual: impl Fn(&Tenant) -> NonZeroU32 + Send + Sync + 'static,
    ) -> [tokio::task::JoinHandle<()>; 2] {
        self.configuration.govern(cache, usual);
        let following = tokio::spawn(self.configuration.clone().follow());
        let configuration = self.configuration.clone();
        let retention = move || configuration.effective().configuration.retention;
        [following, tokio::spawn(writer.run(cache.clone(), retention))]
    }

    /// Removes the rows of keys that hold one of `texts`, such as the id of somebody who is erased: now, with what this node
    /// has noted, and once more in the background when the others have written what they had. Returns how many it found now.
    pub async fn forget(&self, texts: &[String]) -> Result<u64, DbErr> {
        // What is not written in time is found the second time.
        self.flushed.within(FLUSH_LIMIT).await;
        let removed = metadata::forget(&self.pool, texts).await?;
        let (pool, texts, wait) = (self.pool.clone(), texts.to_vec(), self.write_every * WRITES_UNTIL_ALL);
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            if let Err(error) = metadata::forget(&pool, &texts).await {
                tracing::warn!(%error, "rows of keys that are to be forgotten stay until their time is over");
            }
        });
        Ok(removed)
    }

    /// Writes what is left.
    pub async fn finish(&self) {
        if !self.flushed.within(FLUSH_LIMIT).await {
            tracing::warn!("the last records about the cache could not be written");
        }
    }
}
