//! The version in force on this node, and how it comes to be.

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use sea_orm::{DatabaseConnection, DbErr};
use tokio::{sync::Notify, time::timeout};
use unstale::{Cache, Event, Invalidation, Observer, Policy, Tag, TagId};

use super::{
    check::Known,
    document::Configuration,
    effective::Effective,
    history::{self, Change, ChangeError, Row, Version},
};

/// How often the database is asked for a newer version: what bounds how long a node may not know of one, should word of
/// it be lost.
const POLL: Duration = Duration::from_secs(1);

/// Invalidated when there is a new version. No entry carries it: it is word from node to node.
fn changed() -> Tag {
    Tag::shared("unstale-configuration", "")
}

type OnChange = Box<dyn Fn(&Effective) + Send + Sync>;

/// The version in force. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct LiveConfiguration(Arc<Shared>);

struct Shared {
    pool: DatabaseConnection,
    known: Known,
    current: ArcSwap<Effective>,
    /// Held while a version is put into force, so that they come in their order.
    on_change: Mutex<Vec<OnChange>>,
    word: Arc<Word>,
}

/// Hears from the log that there is a new version.
struct Word {
    tag: TagId,
    heard: Notify,
}

impl Observer for Word {
    fn on_event(&self, event: &Event<'_>) {
        match event {
            Event::Applied { record } if record.tags.contains(&self.tag) => self.heard.notify_one(),
            // It may have been among what was missed.
            Event::Skipped { .. } => self.heard.notify_one(),
            _ => {}
        }
    }
}

impl LiveConfiguration {
    /// With the newest version in the database.
    pub async fn open(pool: DatabaseConnection, known: Known) -> Result<Self, DbErr> {
        let live = Self(Arc::new(Shared {
            pool,
            known,
            current: ArcSwap::default(),
            on_change: Mutex::default(),
            word: Arc::new(Word { tag: changed().id(), heard: Notify::new() }),
        }));
        live.catch_up().await?;
        Ok(live)
    }

    /// The version in force.
    #[inline]
    pub fn effective(&self) -> Guard<Arc<Effective>> {
        self.0.current.load()
    }

    /// The policy of a key pattern, whose default this is.
    #[inline]
    pub fn policy(&self, entity: &str, default: &Policy) -> Policy {
        self.effective().policy(entity, default)
    }

    /// What can be configured.
    pub fn known(&self) -> &Known {
        &self.0.known
    }

    /// Calls `apply` now, and whenever another version comes into force. It must be quick.
    pub fn on_change(&self, apply: impl Fn(&Effective) + Send + Sync + 'static) {
        let mut on_change = self.0.on_change.lock();
        apply(&self.effective());
        on_change.push(Box::new(apply));
    }

    /// Applies quotas of tenants to a cache, now and from now on.
    pub fn govern(&self, cache: &Cache) {
        let (cache, governed) = (cache.clone(), Mutex::new(Vec::new()));
        self.on_change(move |effective| {
            let mut governed = governed.lock();
            let tenants = &effective.configuration.tenants;
            let of_name = |name: &String| unstale::Tenant::new(name.as_str()).ok();
            for gone in governed.drain(..).filter(|name| !tenants.contains_key(name)) {
                if let Some(tenant) = of_name(&gone) {
                    cache.set_tenant_bytes_max(&tenant, None);
                    cache.set_tenant_weight(&tenant, std::num::NonZeroU32::MIN);
                }
            }
            for (name, settings) in tenants {
                if let Some(tenant) = of_name(name) {
                    cache.set_tenant_bytes_max(&tenant, settings.memory_bytes_max);
                    let weight = settings.weight.and_then(std::num::NonZeroU32::new);
                    cache.set_tenant_weight(&tenant, weight.unwrap_or(std::num::NonZeroU32::MIN));
                }
                governed.push(name.clone());
            }
        });
    }

    /// What hears of other nodes' changes: give it to the cache's builder.
    pub fn observer(&self) -> Arc<dyn Observer> {
        self.0.word.clone()
    }

    /// Follows what other nodes change, without end. A database that does not answer changes nothing: the version in
    /// force stays so.
    pub async fn follow(self) {
        let mut was_well = true;
        loop {
            let _ = timeout(POLL, self.0.word.heard.notified()).await;
            let outcome = self.catch_up().await;
            if let Err(error) = &outcome
                && was_well
            {
                tracing::warn!(%error, "the configuration cannot be read; version {} stays in force", self.version());
            }
            was_well = outcome.is_ok();
        }
    }

    /// Puts the database's newest version into force, if it is newer.
    pub async fn catch_up(&self) -> Result<(), DbErr> {
        if history::newest_number(&self.0.pool).await? > self.version()
            && let Some(row) = history::newest(&self.0.pool).await?
        {
            self.put_into_force(&row);
        }
        Ok(())
    }

    fn version(&self) -> i64 {
        self.effective().version
    }

    fn put_into_force(&self, row: &Row) {
        let (configuration, faults) = match row.configuration() {
            Ok(configuration) => self.0.known.without_faults(configuration),
            Err(error) => {
                tracing::error!(%error, version = row.version, "another build's configuration cannot be read; what was in force stays so");
                (self.effective().configuration.clone(), Vec::new())
            }
        };
        for fault in faults {
            tracing::warn!(
                version = row.version,
                field = fault.field,
                "left out of the configuration: {}",
                fault.message
            );
        }
        self.apply(Effective::new(row.version, configuration));
    }

    fn apply(&self, effective: Effective) {
        let on_change = self.0.on_change.lock();
        if effective.version <= self.version() {
            return;
        }
        tracing::info!(version = effective.version, "another version of the configuration is in force");
        let effective = Arc::new(effective);
        self.0.current.store(effective.clone());
        on_change.iter().for_each(|apply| apply(&effective));
    }

    /// Puts a configuration into force, on this node before it returns, on others when they hear of it.
    pub async fn put(
        &self,
        cache: &Cache,
        configuration: &Configuration,
        change: &Change,
    ) -> Result<Version, ChangeError> {
        let faults = self.0.known.faults(configuration);
        if !faults.is_empty() {
            return Err(ChangeError::Faulty(faults));
        }
        let version = history::put(&self.0.pool, configuration, change).await?;
        self.announce(cache, version).await
    }

    /// Takes back the last change that is not undone.
    pub async fn undo(&self, cache: &Cache, change: &Change) -> Result<Version, ChangeError> {
        let version = history::undo(&self.0.pool, change).await?;
        self.announce(cache, version).await
    }

    async fn announce(&self, cache: &Cache, version: Version) -> Result<Version, ChangeError> {
        // From the database, as other nodes: what this build leaves out, it leaves out here too.
        self.catch_up().await?;
        if let Err(error) = cache.invalidate(&Invalidation::of([changed()])).await {
            tracing::warn!(%error, "other nodes hear of the configuration's new version when they next look");
        }
        Ok(version)
    }

    /// The newest `limit` versions before `before`, the newest first.
    pub async fn history(&self, before: Option<i64>, limit: u64) -> Result<Vec<Version>, DbErr> {
        history::list(&self.0.pool, before, limit).await
    }
}

impl fmt::Debug for LiveConfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LiveConfiguration").field(&self.version()).finish()
    }
}
