//! What a write guarantees: all or nothing, announced with what it saved, and no way round it.

use std::{sync::Arc, time::Duration};

use platform::{
    coherence::{Change, Triggers, Views, WriteError, catalogue, tags},
    store::{
        StoreError,
        repositories::{flows, flows::FlowUpdate, users},
    },
    views::FlowStatus,
};
use sea_orm::ConnectionTrait as _;
use unstale::{Cache, CacheLimits, Invalidation, MemoryStore, PendingLimits, ReadOptions};

use crate::support::{
    database::Database,
    on_both_databases,
    world::{World, at, new_user},
};

on_both_databases!(
    what_is_not_committed_is_taken_back_and_not_announced,
    reading_connections_cannot_write,
    a_writer_sees_its_write_on_another_node,
    a_caller_that_goes_away_leaves_nothing_unannounced,
    statements_are_counted,
    a_trigger_works_without_a_repository,
);

fn cancelled() -> FlowUpdate {
    FlowUpdate { status: Some(FlowStatus::Cancelled), ..FlowUpdate::default() }
}

async fn what_is_not_committed_is_taken_back_and_not_announced(database: Database) {
    let world = World::build(database.migrated().await).await;
    let views = Views::new(world.store.clone(), world.cache.clone());
    let options = ReadOptions::default();
    views.flow(world.acme, world.acme_flow, &options).await.unwrap();
    let mut w = world.store.begin().await.unwrap();
    flows::update(&mut w, world.acme, world.acme_flow, &cancelled(), at(30)).await.unwrap();
    assert_eq!(w.changes().len(), 1);
    drop(w);
    let flow = views.flow(world.acme, world.acme_flow, &options).await.unwrap();
    assert_eq!(flow.verdict.as_str(), "HIT");
    let flow = flows::by_id(world.store.read(), world.acme, world.acme_flow).await.unwrap();
    assert_eq!(flow.summary.status, FlowStatus::AwaitingReview);
}

async fn reading_connections_cannot_write(database: Database) {
    let world = World::build(database.migrated().await).await;
    assert!(world.store.read().execute_unprepared("DELETE FROM assets").await.is_err());
    let w = world.store.begin().await.unwrap();
    assert!(w.read().execute_unprepared("DELETE FROM assets").await.is_err());
}

async fn a_writer_sees_its_write_on_another_node(database: Database) {
    let world = World::build(database.migrated().await).await;
    let log = Arc::new(MemoryStore::default());
    let here = Cache::builder(log.clone()).build().await.unwrap();
    let there = Views::new(world.store.clone(), Cache::builder(log).build().await.unwrap());
    let flow = async |options: &ReadOptions| {
        there.flow(world.acme, world.acme_flow, options).await.unwrap().value().unwrap().summary.status
    };
    flow(&ReadOptions::default()).await;
    let mut w = world.store.begin().await.unwrap();
    flows::update(&mut w, world.acme, world.acme_flow, &cancelled(), at(30)).await.unwrap();
    let position = w.commit(&here).await.unwrap();
    assert_eq!(flow(&ReadOptions { at_least: position }).await, FlowStatus::Cancelled);
}

async fn a_caller_that_goes_away_leaves_nothing_unannounced(database: Database) {
    let world = World::build(database.migrated().await).await;
    let views = Views::new(world.store.clone(), world.cache.clone());
    let options = ReadOptions::default();
    views.flow(world.acme, world.acme_flow, &options).await.unwrap();
    let before = world.cache.frontier(&world.acme.tenant());
    let mut w = world.store.begin().await.unwrap();
    flows::update(&mut w, world.acme, world.acme_flow, &cancelled(), at(30)).await.unwrap();
    {
        // Polled once, so that the commit has begun, and dropped: as a server does whose client hangs up.
        let commit = std::pin::pin!(w.commit(&world.cache));
        let _ = futures_util::future::select(commit, std::future::ready(())).await;
    }
    // The write goes on by itself; the next one, which waits for its lock, comes after it.
    let frontier = async || {
        while world.cache.frontier(&world.acme.tenant()) == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), frontier()).await.expect("the write was announced");
    let flow = views.flow(world.acme, world.acme_flow, &options).await.unwrap();
    assert_eq!(flow.value().unwrap().summary.status, FlowStatus::Cancelled);
}

async fn statements_are_counted(database: Database) {
    let world = World::build(database.migrated().await).await;
    let views = Views::new(world.store.clone(), world.cache.clone());
    let counted = async || {
        let before = world.store.queries().statements();
        views.flow(world.acme, world.acme_flow, &ReadOptions::default()).await.unwrap();
        world.store.queries().statements() - before
    };
    assert_eq!(counted().await, 1);
    assert_eq!(counted().await, 0);
    assert_eq!(world.store.queries().failed(), 0);
}

async fn a_trigger_works_without_a_repository(database: Database) {
    let world = World::build(database.migrated().await).await;
    let views = Views::new(world.store.clone(), world.cache.clone());
    let options = ReadOptions::default();
    views.field_mappings(world.acme, world.acme_import, &options).await.unwrap();
    let triggers = Triggers::new(world.cache.clone());
    let position = triggers.on_field_mapping_bulk_operation(world.acme, world.acme_import).await.unwrap();
    assert_eq!(position.iter().count(), 1, "a change within one tenant is one record");
    let again = views.field_mappings(world.acme, world.acme_import, &options).await.unwrap();
    assert_eq!(again.verdict.to_string(), "MISS (invalidated)");
}

#[tokio::test]
async fn an_announcement_that_cannot_be_made_says_that_the_change_is_saved() {
    let database = Database::sqlite();
    let world = World::build(database.migrated().await).await;
    let silent = || Cache::builder(Arc::new(silent_log::SilentLog::default()));
    // The cache keeps what its store does not take: the write is good, and claims no position.
    let mut w = world.store.begin().await.unwrap();
    users::create_active(&mut w, &new_user("kept"), false, at(0)).await.unwrap();
    let keeping = silent().build().await.unwrap();
    assert!(w.commit(&keeping).await.unwrap().is_empty());
    assert!(keeping.pending_invalidations() > 0);
    let pending = PendingLimits { records_max: 0, ..PendingLimits::default() };
    let cache = silent().limits(CacheLimits { pending, ..CacheLimits::default() }).build().await.unwrap();
    let mut w = world.store.begin().await.unwrap();
    users::create_active(&mut w, &new_user("new"), false, at(0)).await.unwrap();
    // From here on only the announcement waits by the clock.
    tokio::time::pause();
    let error = w.commit(&cache).await.unwrap_err();
    assert!(matches!(error, WriteError::NotVisible(_)), "{error}");
    assert!(error.to_string().contains("saved but not yet visible"), "{error}");
    tokio::time::resume();
    assert!(users::credentials(world.store.read(), "NEW@example.com ").await.unwrap().is_some());
    let taken = world.refused(async |w| users::create_active(w, &new_user("new"), false, at(0)).await).await;
    assert!(matches!(taken, StoreError::Conflict(_)), "{taken}");
}

#[tokio::test]
async fn changes_of_one_write_that_say_the_same_are_announced_together() {
    let cache = Cache::builder(Arc::new(MemoryStore::default())).build().await.unwrap();
    let tenant = platform::coherence::platform_tenant();
    let (user, clients) = (uuid::Uuid::now_v7(), [1, 2].map(uuid::Uuid::from_u128));
    let before = cache.frontier(&tenant).sequence.as_u64();
    let change = |client| Change::UserUpdated { user, clients: vec![client] };
    Triggers::new(cache.clone()).publish(&clients.map(change)).await.unwrap();
    assert_eq!(cache.frontier(&tenant).sequence.as_u64(), before + 1);
    // A change that concerns no tag costs nothing.
    Triggers::new(cache.clone()).publish(&[Change::UserSeen { user }]).await.unwrap();
    assert_eq!(cache.frontier(&tenant).sequence.as_u64(), before + 1);
}

#[tokio::test]
async fn credentials_are_never_kept() {
    let database = Database::sqlite();
    let world = World::build(database.migrated().await).await;
    let (store, tenant) = (world.store.clone(), world.acme.tenant());
    let key = catalogue::user_context(&tenant, world.carl);
    let load = move || async move {
        users::credentials(store.read(), "carl@example.com").await?;
        let context = platform::store::repositories::context::me(store.read(), Some(world.acme), world.carl).await;
        context.map(unstale::Loaded::value)
    };
    let policy = platform::coherence::policies::CONTEXT;
    let fetched = world.cache.fetch(&key, &policy, &ReadOptions::default(), load).await.unwrap();
    assert_eq!(fetched.not_stored, Some(unstale::NotStored::Declined));
    world.cache.invalidate(&Invalidation::of([tags::user(world.carl)])).await.unwrap();
}

/// A log that can be read and takes nothing.
mod silent_log {
    use std::sync::Arc;

    use futures_util::future::{BoxFuture, FutureExt as _};
    use unstale::{
        Bytes, MemoryStore, RawKey, StoreError, TagId,
        position::{Partition, PartitionCount, Position},
        store::{
            AfterLease, Filled, LeaseRequest, LeaseToken, Leased, LocalHeads, LogPage, MovesWatcher, Store,
            StoredEntry, TaggedKeys,
        },
    };

    #[derive(Debug, Default)]
    pub(super) struct SilentLog(MemoryStore);

    impl Store for SilentLog {
        fn partitions(&self) -> PartitionCount {
            self.0.partitions()
        }

        fn local_heads(&self) -> Option<Arc<LocalHeads>> {
            self.0.local_heads()
        }

        fn head(&self, partition: Partition) -> BoxFuture<'_, Result<Position, StoreError>> {
            self.0.head(partition)
        }

        fn append(&self, _: Partition, _: Vec<TagId>, _: Bytes) -> BoxFuture<'_, Result<Position, StoreError>> {
            async { Err(StoreError::Unavailable("it is silent".to_owned())) }.boxed()
        }

        fn read_log(&self, after: Position, records_max: usize) -> BoxFuture<'_, Result<LogPage, StoreError>> {
            self.0.read_log(after, records_max)
        }

        fn start_anew(&self, partition: Partition) -> BoxFuture<'_, Result<Position, StoreError>> {
            self.0.start_anew(partition)
        }

        fn moves(&self) -> MovesWatcher {
            self.0.moves()
        }

        fn get<'a>(&'a self, keys: &'a [RawKey]) -> BoxFuture<'a, Result<Vec<Option<StoredEntry>>, StoreError>> {
            self.0.get(keys)
        }

        fn fill<'a>(&'a self, key: &'a RawKey, entry: StoredEntry) -> BoxFuture<'a, Result<Filled, StoreError>> {
            self.0.fill(key, entry)
        }

        fn remove<'a>(&'a self, key: &'a RawKey) -> BoxFuture<'a, Result<(), StoreError>> {
            self.0.remove(key)
        }

        fn shares_entries(&self) -> bool {
            self.0.shares_entries()
        }

        fn keys_tagged(&self, tag: TagId, looks_max: usize) -> BoxFuture<'_, Result<TaggedKeys, StoreError>> {
            self.0.keys_tagged(tag, looks_max)
        }

        fn lease<'a>(
            &'a self,
            key: &'a RawKey,
            request: &'a LeaseRequest,
        ) -> BoxFuture<'a, Result<Leased, StoreError>> {
            self.0.lease(key, request)
        }

        fn release<'a>(
            &'a self,
            key: &'a RawKey,
            owner: LeaseToken,
            after: AfterLease,
        ) -> BoxFuture<'a, Result<(), StoreError>> {
            self.0.release(key, owner, after)
        }
    }

    const _: fn() -> Arc<dyn Store> = || Arc::new(SilentLog::default());
}
