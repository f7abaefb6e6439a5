//! The version in force on this node, and how it comes to be.

use std::{collections::HashSet, fmt, num::NonZeroU32, sync::Arc, time::Duration};

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use sea_orm::{DatabaseConnection, DbErr};
use tokio::{sync::Notify, time::timeout};
use unstale::{Cache, Event, Invalidation, Observer, Policy, Tag, TagId, Tenant};

use super::{
    check::Known,
    document::Configuration,
    effective::Effective,
    history::{self, Change, ChangeError, Row, Version},
};
use crate::problem::FieldError;

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
    known: ArcSwap<Known>,
    current: ArcSwap<Effective>,
    /// Held while something is put into force, so that versions come in their order.
    force: Mutex<Force>,
    word: Arc<Word>,
}

#[derive(Default)]
struct Force {
    /// What is in force as it is stored, with what was left out of it.
    stored: Configuration,
    on_change: Vec<OnChange>,
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
            known: ArcSwap::from_pointee(known),
            current: ArcSwap::default(),
            force: Mutex::default(),
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
    pub fn known(&self) -> Guard<Arc<Known>> {
        self.0.known.load()
    }

    /// The version in force as it would be if this could be configured.
    pub fn among(&self, known: &Known) -> Effective {
        let force = self.0.force.lock();
        let (configuration, _) = known.without_faults(force.stored.clone());
        Effective::new(self.version(), configuration)
    }

    /// Says that other things can be configured from now on, such as other routes. What is stored of those that are new
    /// counts at once; what is stored of others is left out.
    pub fn replace_known(&self, known: Known) {
        let force = self.0.force.lock();
        let (configuration, faults) = known.without_faults(force.stored.clone());
        left_out(self.version(), &faults);
        let effective = Arc::new(Effective::new(self.version(), configuration));
        self.0.known.store(Arc::new(known));
        self.0.current.store(effective.clone());
        force.on_change.iter().for_each(|apply| apply(&effective));
    }

    /// Calls `apply` now, and whenever another version comes into force. It must be quick.
    pub fn on_change(&self, apply: impl Fn(&Effective) + Send + Sync + 'static) {
        let mut force = self.0.force.lock();
        apply(&self.effective());
        force.on_change.push(Box::new(apply));
    }

    /// Applies quotas of tenants to a cache, now and from now on. What a tenant weighs of which the configuration says
    /// nothing, `usual` says.
    pub fn govern(&self, cache: &Cache, usual: impl Fn(&Tenant) -> NonZeroU32 + Send + Sync + 'static) {
        let (cache, shared) = (cache.clone(), Arc::downgrade(&self.0));
        let governed = Mutex::new(HashSet::<Tenant>::new());
        self.on_change(move |effective| {
            let Some(shared) = shared.upgrade() else { return };
            let known = shared.known.load();
            let mut governed = governed.lock();
            let tenants = &effective.configuration.tenants;
            let tenants: Vec<_> =
                tenants.iter().filter_map(|(name, settings)| Some((known.tenant(name)?, settings))).collect();
            for gone in governed.drain().filter(|gone| !tenants.iter().any(|(tenant, _)| tenant == gone)) {
                cache.set_tenant_bytes_max(&gone, None);
                cache.set_tenant_weight(&gone, usual(&gone));
            }
            for (tenant, settings) in tenants {
                cache.set_tenant_bytes_max(&tenant, settings.memory_bytes_max);
                let weight = settings.weight.and_then(NonZeroU32::new);
                cache.set_tenant_weight(&tenant, weight.unwrap_or_else(|| usual(&tenant)));
                governed.insert(tenant);
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
        let mut force = self.0.force.lock();
        if row.version <= self.version() {
            return;
        }
        match row.configuration() {
            Ok(stored) => force.stored = stored,
            Err(error) => {
                tracing::error!(%error, version = row.version, "another build's configuration cannot be read; what was in force stays so");
            }
        }
        let (configuration, faults) = self.known().without_faults(force.stored.clone());
        left_out(row.version, &faults);
        tracing::info!(version = row.version, "another version of the configuration is in force");
        let effective = Arc::new(Effective::new(row.version, configuration));
        self.0.current.store(effective.clone());
        force.on_change.iter().for_each(|apply| apply(&effective));
    }

    /// Puts a configuration into force, on this node before it returns, on others when they hear of it.
    pub async fn put(
        &self,
        cache: &Cache,
        configuration: &Configuration,
        change: &Change,
    ) -> Result<Version, ChangeError> {
        let faults = self.known().faults(configuration);
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

fn left_out(version: i64, faults: &[FieldError]) {
    for fault in faults {
        tracing::warn!(version, field = fault.field, "left out of the configuration: {}", fault.message);
    }
}

impl fmt::Debug for LiveConfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LiveConfiguration").field(&self.version()).finish()
    }
}
