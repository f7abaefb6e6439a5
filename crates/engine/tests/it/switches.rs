//! What can be switched while a cache is in use: the cache, its store, a tenant's part of memory.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use unstale::{
    BypassReason, Cache, FetchError, Fetched, Invalidation, Loaded, MemoryLimits, MemoryStore, Mode, NotStored, Policy,
    ReadOptions, Verdict, testing::DistantStore,
};

use crate::{
    nodes::{Origin, tag},
    world::{Page, acme, page},
};

const POLICY: Policy = Policy::ttl(Duration::from_secs(60));

async fn node(store: &Arc<MemoryStore>) -> Cache {
    Cache::builder(store.clone()).build().await.unwrap()
}

fn store() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(MemoryLimits { entry_bytes_max: 1 << 20, ..MemoryLimits::default() }))
}

async fn read(cache: &Cache, origin: &Arc<Origin>, number: usize, policy: &Policy) -> Fetched<Page> {
    let origin = origin.clone();
    let load = move || origin.load(Duration::ZERO);
    let read: Result<_, FetchError<String>> =
        cache.fetch(&page(&acme(), number), policy, &ReadOptions::default(), load).await;
    read.unwrap()
}

#[tokio::test]
async fn off_means_that_nothing_is_looked_up_and_nothing_kept() {
    let (cache, origin) = (node(&store()).await, Arc::new(Origin::default()));
    read(&cache, &origin, 1, &POLICY).await;
    let off = POLICY.on(false);
    for loads in 2..4 {
        let got = read(&cache, &origin, 1, &off).await;
        assert_eq!((got.verdict, got.not_stored), (Verdict::Bypass(BypassReason::Off), Some(NotStored::Off)));
        assert_eq!(origin.loads(), loads);
    }
    assert_eq!(read(&cache, &origin, 1, &POLICY).await.verdict, Verdict::Hit, "what was kept before stays");
}

#[tokio::test]
async fn what_is_made_of_a_value_that_is_off_is_kept_and_depends_on_what_it_read() {
    let (cache, origin) = (node(&store()).await, Arc::new(Origin::default()));
    let outer = || {
        let (cache, origin) = (cache.clone(), origin.clone());
        async move {
            let inner = (cache.clone(), origin.clone());
            let load = move || async move {
                let part = read(&inner.0, &inner.1, 1, &POLICY.on(false)).await;
                Ok::<_, String>(Loaded::value(part.value().unwrap().clone()))
            };
            cache.fetch(&page(&acme(), 2), &POLICY, &ReadOptions::default(), load).await.unwrap()
        }
    };
    assert_eq!(outer().await.not_stored, None);
    assert_eq!(outer().await.verdict, Verdict::Hit);
    cache.invalidate(&Invalidation::of([tag()])).await.unwrap();
    origin.version.store(7, SeqCst);
    assert_eq!(outer().await.value().unwrap().saw[0].1, 7);
}

/// As strict as it would be with the cache, although nothing is asked for the outer read itself.
#[tokio::test]
async fn a_strict_read_past_the_cache_is_made_of_nothing_older_than_its_beginning() {
    let (store, origin) = (store(), Arc::new(Origin::default()));
    let far = async |seed| Cache::builder(Arc::new(DistantStore::new(store.clone(), seed))).build().await.unwrap();
    let (one, other) = (far(1).await, far(2).await);
    let patient = POLICY.mode(Mode::Bounded(Duration::MAX));
    let strict = POLICY.mode(Mode::Strict).on(false);
    let write = async |version: u64| {
        origin.version.store(version, SeqCst);
        one.invalidate(&Invalidation::of([tag()])).await.unwrap();
    };
    let part = move |(cache, origin): (Cache, Arc<Origin>)| async move {
        Loaded::value(read(&cache, &origin, 1, &patient).await.value().unwrap().clone())
    };
    let (key, inner) = (page(&acme(), 2), (other.clone(), origin.clone()));
    let options = ReadOptions::default();
    read(&other, &origin, 1, &patient).await;
    write(1).await;
    let its = inner.clone();
    let load = move || async move { Ok::<_, String>(part(its).await) };
    assert_eq!(other.fetch(&key, &strict, &options, load).await.unwrap().value().unwrap().saw[0].1, 1);
    write(2).await;
    let load = move |_| {
        let its = inner.clone();
        async move { Ok::<_, String>(vec![part(its).await]) }
    };
    assert_eq!(other.fetch_many(&[key], &strict, &options, load).await.unwrap()[0].value().unwrap().saw[0].1, 2);
}

#[tokio::test]
async fn without_the_store_each_node_loads_for_itself_and_hears_of_invalidations_all_the_same() {
    let (store, origin) = (store(), Arc::new(Origin::default()));
    let (one, other) = (node(&store).await, node(&store).await);
    let local = POLICY.uses_store(false);
    read(&one, &origin, 1, &local).await;
    read(&other, &origin, 1, &local).await;
    assert_eq!(origin.loads(), 2);
    one.invalidate(&Invalidation::of([tag()])).await.unwrap();
    origin.version.store(7, SeqCst);
    assert_eq!(read(&other, &origin, 1, &local).await.value().unwrap().saw[0].1, 7);
    assert_eq!(read(&one, &origin, 1, &POLICY).await.value().unwrap().saw[0].1, 7);
    assert_eq!(origin.loads(), 4, "nothing was in the store");
}

#[tokio::test]
async fn a_tenants_own_limit_holds_at_once_and_is_taken_back() {
    let (cache, origin) = (node(&store()).await, Arc::new(Origin::default()));
    for number in 0..20 {
        read(&cache, &origin, number, &POLICY).await;
    }
    let full = cache.tenant_bytes(&acme());
    cache.set_tenant_bytes_max(&acme(), Some(full / 4));
    assert!(cache.tenant_bytes(&acme()) <= full / 4 && cache.tenant_bytes(&acme()) > 0);
    assert_eq!(cache.tenant_quota(&acme()), full / 4);
    for number in 0..20 {
        read(&cache, &origin, number, &POLICY).await;
    }
    assert!(cache.tenant_bytes(&acme()) <= full / 4);
    cache.set_tenant_bytes_max(&acme(), None);
    for number in 0..20 {
        read(&cache, &origin, number, &POLICY).await;
    }
    assert_eq!(cache.tenant_bytes(&acme()), full);
}
