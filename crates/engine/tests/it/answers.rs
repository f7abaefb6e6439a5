//! What an answer tells of itself, and values that are held on to beside the cache.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use unstale::{
    Cache, CacheLimits, Invalidation, L1Limits, Loaded, MemoryStore, PositionSet, ReadOptions, Tag, Tenant, Timestamp,
    Verdict,
};

use crate::{
    reads::{ABSENT, Node, POLICY, tag, value},
    world::{Page, acme, page},
};

#[tokio::test]
async fn an_answer_tells_its_facts_its_base_and_its_time() {
    let node = Node::new().await;
    node.time.advance(Duration::from_millis(500));
    let before = node.cache.frontier(&acme());
    let other = Tag::of(&acme(), "fact", 2);
    let load = || async { Ok(value(1).tags([Tag::of(&acme(), "fact", 2)])) };
    let read = node.read_with(&POLICY, load).await.unwrap();
    assert_eq!(read.tags(), [tag().id(), other.id()]);
    assert_eq!(read.base(), before);
    assert_eq!(read.loaded_at(), Timestamp::from_millis(500));
    assert_eq!(read.expires_at(), Timestamp::from_millis(500) + POLICY.ttl);
    let told = format!("{read:?}");
    assert_eq!(told, "Fetched(MISS (absent), Some(Page { saw: [(1, 1)] }), collapsed: false, not stored: None)");
    // What is shown valid beyond its base is based there from then on.
    let reached = node.cache.invalidate(&Invalidation::of([Tag::of(&acme(), "unrelated", 1)])).await.unwrap();
    let again = node.read(&POLICY, Ok(2)).await.unwrap();
    assert_eq!(again.verdict, Verdict::Hit);
    assert!([before.into(), reached].contains(&PositionSet::from(again.base())), "{:?}", again.base());
}

#[tokio::test]
async fn a_value_that_is_held_on_to_stays_whatever_becomes_of_its_entry() {
    let node = Node::new().await;
    let read = node.read(&POLICY, Ok(1)).await.unwrap();
    let (first, second) = (read.cached().unwrap(), read.into_value().unwrap());
    assert!(first.is_same(&second) && first.is_same(&first.clone()));
    node.invalidate().await;
    let newer = node.read(&POLICY, Ok(2)).await.unwrap().into_value().unwrap();
    assert!(!first.is_same(&newer));
    assert_eq!((first.saw[0].1, newer.saw[0].1), (1, 2));
    assert_eq!(format!("{first:?}"), "Page { saw: [(1, 1)] }");
}

#[tokio::test]
async fn of_an_absence_there_is_nothing_to_hold_on_to() {
    let node = Node::new().await;
    let policy = POLICY.negative_ttl(Duration::from_secs(1));
    let absent = || async { Ok(Loaded::from(None::<Page>)) };
    let read = node.read_with(&policy, absent).await.unwrap();
    assert_eq!((read.verdict, read.not_stored), (ABSENT, None));
    assert!(read.value().is_none() && read.cached().is_none() && read.into_value().is_none());
    let there = || async { Ok::<_, String>(Loaded::from(Some(Page { saw: vec![(1, 7)] }))) };
    let read = node.cache.fetch(&page(&acme(), 2), &policy, &ReadOptions::default(), there).await.unwrap();
    assert_eq!(read.value().unwrap().saw, [(1, 7)]);
}

#[tokio::test]
async fn a_tenants_weight_can_be_changed_while_it_runs() {
    let l1 = L1Limits { bytes_max: 1 << 20, ..L1Limits::default() };
    let limits = CacheLimits { l1, ..CacheLimits::default() };
    let cache = Cache::builder(Arc::new(MemoryStore::default())).limits(limits).build().await.unwrap();
    let globex = Tenant::new("globex").unwrap();
    for tenant in [acme(), globex.clone()] {
        let load = || async { Ok::<_, String>(Loaded::value(Page { saw: Vec::new() })) };
        cache.fetch(&page(&tenant, 1), &POLICY, &ReadOptions::default(), load).await.unwrap();
    }
    assert_eq!(cache.tenant_quota(&acme()), cache.tenant_quota(&globex));
    cache.set_tenant_weight(&acme(), NonZeroU32::new(3).unwrap());
    assert_eq!(cache.tenant_quota(&acme()), 3 * cache.tenant_quota(&globex));
}

#[tokio::test]
async fn a_tenants_own_fact_has_changed_where_the_tenant_is() {
    let node = Node::new().await;
    let globex = (0..).map(|number| Tenant::new(format!("globex{number}")).unwrap());
    let partitions = unstale::store::Store::partitions(&*node.store);
    let globex = globex.into_iter().find(|tenant| partitions.of(tenant) != partitions.of(&acme())).unwrap();
    let (fact, before) = ([Tag::of(&globex, "fact", 1)], node.cache.frontiers());
    assert!(!node.cache.has_changed(&acme(), &fact, &before));
    node.cache.invalidate(&Invalidation::of(fact.clone())).await.unwrap();
    assert!(
        node.cache.has_changed(&acme(), &fact, &before),
        "whoever asks: the fact's own tenant says where it stands"
    );
}

#[tokio::test]
async fn a_cache_prints_what_it_stands_on_and_no_value() {
    let node = Node::new().await;
    node.read(&POLICY, Ok(77)).await.unwrap();
    let told = format!("{:?}", node.cache);
    assert!(told.starts_with("Cache { store: MemoryStore") && told.contains("entries: 1"), "{told}");
    assert!(!told.contains("(1, 77)"), "{told}");
}
