//! Early refresh: a hot value is replaced before anybody has to wait for it, once, and not too soon.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::sleep;
use unstale::{
    Cache, CacheLimits, Event, Loaded, MemoryStore, MissReason, Observer, Policy, ReadOptions, Tenant, Verdict,
    store::Store as _, time::ManualTime,
};

use crate::{
    nodes::{LOAD, Nodes, POLICY, settle, version},
    world::{Page, acme, page},
};

/// So eager that every read in the second half of the life is due.
const EAGER: Policy = POLICY.early_refresh(1_000_000);
const HALF: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn a_hit_near_the_end_is_served_and_one_load_replaces_it() {
    let nodes = Nodes::new().await;
    nodes.read(0, EAGER).await;
    nodes.origin.version.store(1, SeqCst);
    nodes.time.advance(Duration::from_millis(4_999));
    for _ in 0..100 {
        assert_eq!(nodes.read(0, EAGER).await.verdict, Verdict::Hit);
    }
    settle().await;
    assert_eq!(nodes.origin.loads(), 1, "it is young");

    nodes.time.advance(Duration::from_millis(1));
    assert_eq!(nodes.read(0, POLICY).await.verdict, Verdict::Hit);
    settle().await;
    assert_eq!(nodes.origin.loads(), 1, "the policy does not say so");

    for _ in 0..100 {
        let served = nodes.read(0, EAGER).await;
        assert_eq!((served.verdict, version(&served)), (Verdict::Hit, 0));
    }
    settle().await;
    assert_eq!(nodes.origin.loads(), 2);
    sleep(LOAD * 2).await;
    assert_eq!(version(&nodes.read(0, EAGER).await), 1);
    assert_eq!(nodes.origin.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn other_nodes_find_the_new_value_when_the_time_of_theirs_is_over() {
    let nodes = Nodes::new().await;
    for node in 0..3 {
        nodes.read(node, EAGER).await;
    }
    nodes.origin.version.store(1, SeqCst);
    nodes.time.advance(Duration::from_millis(9_999));
    for node in 0..3 {
        assert_eq!(nodes.read(node, EAGER).await.verdict, Verdict::Hit);
    }
    sleep(LOAD * 2).await;
    nodes.time.advance(Duration::from_millis(1));
    for node in 0..3 {
        let fresh = nodes.read(node, EAGER).await;
        assert_eq!((fresh.verdict, version(&fresh)), (Verdict::Hit, 1), "on node {node}");
    }
    assert_eq!(nodes.origin.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_holds_the_same_value_refreshes_once_with_the_others() {
    let nodes = Nodes::new().await;
    // Each has loaded it, so each knows what a load takes.
    for node in 0..3 {
        nodes.read(node, EAGER.lease(false)).await;
        nodes.store.remove(page(&acme(), 1).raw()).await.unwrap();
    }
    let before = nodes.origin.loads();
    nodes.origin.version.store(1, SeqCst);
    nodes.time.advance(HALF);
    for node in 0..3 {
        assert_eq!(nodes.read(node, EAGER).await.verdict, Verdict::Hit);
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!(nodes.origin.loads() - before, 1, "through the lease");
    for node in 0..3 {
        assert_eq!(version(&nodes.read(node, POLICY).await), 1, "on node {node}");
    }
}

/// Whoever took the value from the store knows from there how long its load took.
#[tokio::test(start_paused = true)]
async fn a_node_that_has_not_loaded_the_value_refreshes_it_too() {
    let nodes = Nodes::new().await;
    nodes.read(0, EAGER).await;
    assert_eq!(nodes.read(1, EAGER).await.verdict, Verdict::Hit, "from the store");
    nodes.origin.version.store(1, SeqCst);
    nodes.time.advance(HALF);
    assert_eq!(nodes.read(1, EAGER).await.verdict, Verdict::Hit);
    sleep(LOAD * 2).await;
    assert_eq!((nodes.origin.loads(), version(&nodes.read(1, EAGER).await)), (2, 1));
}

#[derive(Default)]
struct Skipped(Mutex<Vec<String>>);

impl Observer for Skipped {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::RefreshSkipped { key } = event {
            self.0.lock().push(key.as_str().to_owned());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn few_refreshes_run_at_once_and_the_others_are_left_to_later_reads() {
    let (time, skipped) = (Arc::new(ManualTime::default()), Arc::new(Skipped::default()));
    let limits = CacheLimits { refreshes_max: 1, ..CacheLimits::default() };
    let cache = Cache::builder(Arc::new(MemoryStore::default())).limits(limits).time(time.clone());
    let cache = cache.observer(skipped.clone()).build().await.unwrap();
    let read = async |number: u32, version: u64| {
        let load = move || async move {
            sleep(LOAD).await;
            Ok::<_, String>(Loaded::value(Page { saw: vec![(1, version)] }))
        };
        cache.fetch(&page(&acme(), number), &EAGER, &ReadOptions::default(), load).await.unwrap()
    };
    for number in 0..2 {
        read(number, 0).await;
    }
    time.advance(HALF);
    for number in 0..2 {
        assert_eq!(read(number, 1).await.verdict, Verdict::Hit);
    }
    assert_eq!(*skipped.0.lock(), ["acme:page/1"]);
    sleep(LOAD * 2).await;
    assert_eq!([read(0, 2).await, read(1, 2).await].map(|page| version(&page)), [1, 0]);
    sleep(LOAD * 2).await;
    assert_eq!(version(&read(1, 3).await), 2, "the next read began it");
}

#[tokio::test(start_paused = true)]
async fn a_tenant_whose_refreshes_take_long_leaves_some_to_others() {
    let (time, globex) = (Arc::new(ManualTime::default()), Tenant::new("globex").unwrap());
    let limits = CacheLimits { refreshes_max: 8, ..CacheLimits::default() };
    let cache = Cache::builder(Arc::new(MemoryStore::default())).limits(limits).time(time.clone());
    let cache = cache.build().await.unwrap();
    let read = async |tenant: &Tenant, number: u32, version: u64, takes: Duration| {
        let load = move || async move {
            sleep(takes).await;
            Ok::<_, String>(Loaded::value(Page { saw: vec![(1, version)] }))
        };
        cache.fetch(&page(tenant, number), &EAGER, &ReadOptions::default(), load).await.unwrap()
    };
    for number in 0..20 {
        read(&acme(), number, 0, LOAD).await;
    }
    read(&globex, 1, 0, LOAD).await;
    time.advance(HALF);
    for number in 0..20 {
        read(&acme(), number, 1, LOAD * 100).await;
    }
    read(&globex, 1, 1, LOAD).await;
    sleep(LOAD * 2).await;
    assert_eq!(version(&read(&globex, 1, 2, LOAD).await), 1, "it was refreshed beside the others' slow ones");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_takes_nothing_away() {
    let nodes = Nodes::new().await;
    nodes.read(0, EAGER).await;
    nodes.time.advance(HALF);
    let failing = async || {
        let load = || async { Err::<Loaded<Page>, _>("away".to_owned()) };
        nodes.all[0].cache.fetch(&page(&acme(), 1), &EAGER, &ReadOptions::default(), load).await
    };
    for _ in 0..3 {
        assert_eq!(failing().await.unwrap().verdict, Verdict::Hit);
        settle().await;
    }
    nodes.time.advance(HALF);
    assert!(failing().await.is_err());
    assert_eq!(nodes.read(0, EAGER).await.verdict, Verdict::Miss(MissReason::Expired));
}
