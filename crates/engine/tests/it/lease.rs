//! Leases: several nodes, one load; and what becomes of it when owners die, sleep, fail or are overtaken.
//!
//! In paused time unless a real server is asked, so a wait costs nothing and comes to its end for certain.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::sleep};
use unstale::{
    Cache, CacheLimits, CacheVersion, Event, FetchError, Invalidation, KeyRing, LeaseLimits, Loaded, MissReason,
    Observer, ReadOptions, Sealing, SealingLimits, StaleReason, Tag, Verdict, WaitedFor, record_subject,
    sealing::MemorySubjectKeys,
    store::{AfterLease, LeaseToken, Store as _},
    testing::{DistantStore, Faults, Sabotage},
};

use crate::{
    nodes::{Answer, LOAD, Nodes, POLICY, TTL, none, read, settle, stampede, version},
    world::{Page, acme, page},
};

#[tokio::test(start_paused = true)]
async fn ten_thousand_misses_on_three_nodes_load_once() {
    let distant = Nodes::new().await;
    let mut near = Vec::new();
    for _ in 0..3 {
        near.push(Cache::builder(distant.store.clone()).build().await.unwrap());
    }
    let far: Vec<Cache> = distant.all.iter().map(|node| node.cache.clone()).collect();
    for caches in [far, near] {
        distant.write(0).await;
        let before = distant.origin.loads();
        let answers = stampede(&caches, &distant.origin, 10_000).await;
        assert_eq!(distant.origin.loads() - before, 1);
        assert_eq!(answers.iter().filter(|answer| !answer.collapsed).count(), 1, "one of them loaded");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_served_what_the_other_node_filled() {
    let nodes = Nodes::new().await;
    let first = nodes.begin(0, POLICY, none()).await;
    let second = nodes.begin(1, POLICY, none()).await;
    let (first, second) = (first.await.unwrap().unwrap(), second.await.unwrap().unwrap());
    assert_eq!((first.collapsed, second.collapsed), (false, true));
    assert_eq!((nodes.origin.loads(), second.verdict), (1, Verdict::Miss(MissReason::Absent)));
    assert_eq!(*nodes.all[1].waits.0.lock(), [WaitedFor::Fill]);
    assert_eq!(nodes.read(1, POLICY).await.verdict, Verdict::Hit, "it is in the other node's memory too");
    settle().await;
    assert_eq!(nodes.lease(1).await, None, "nobody holds a lease any more");
}

#[tokio::test(start_paused = true)]
async fn after_a_dead_owner_one_of_the_others_loads() {
    let nodes = Nodes::new().await;
    assert_eq!(nodes.lease(1).await, None);
    let caches: Vec<Cache> = nodes.all.iter().map(|node| node.cache.clone()).collect();
    let answers = stampede(&caches, &nodes.origin, 300).await;
    assert_eq!((answers.len(), nodes.origin.loads()), (300, 1));
}

#[tokio::test(start_paused = true)]
async fn a_slow_load_keeps_its_lease_and_is_not_waited_for_without_end() {
    let nodes = Nodes::new().await;
    // Longer than a lease stands by itself, shorter than others wait.
    let slow = nodes.begin_taking(0, POLICY, none(), TTL * 3).await;
    assert!(nodes.read(1, POLICY).await.collapsed, "it was waited for");
    slow.await.unwrap().unwrap();
    assert_eq!(nodes.origin.loads(), 1);

    nodes.write(2).await;
    let slower = nodes.begin_taking(0, POLICY, none(), Duration::from_secs(20)).await;
    assert!(!nodes.read(1, POLICY).await.collapsed);
    assert!(!slower.is_finished(), "the other node loaded before this one was done");
    slower.await.unwrap().unwrap();
    assert_eq!(nodes.origin.loads(), 3);
}

/// The owner hears and says nothing for longer than its lease stands, and comes back while the next owner loads. Then
/// a third node misses.
async fn paused_owner(sabotage: Sabotage) -> Nodes {
    let nodes = Nodes::with(CacheLimits::default(), sabotage).await;
    let paused = nodes.begin_taking(0, POLICY, none(), TTL * 2).await;
    nodes.all[0].far.set_faults(Faults { lost_requests_percent: 100, lost_answers_percent: 0 });
    sleep(TTL + TTL / 2).await;
    let next = nodes.begin_taking(1, POLICY, none(), TTL).await;
    assert_eq!(nodes.origin.loads(), 2, "the lease has run out");
    nodes.all[0].far.set_faults(Faults::default());
    nodes.origin.most_at_once.store(0, SeqCst);
    paused.await.unwrap().unwrap();
    // Its late fill is there, and is right. Remove it, so that the third must load or wait.
    settle().await;
    nodes.store.remove(page(&acme(), 1).raw()).await.unwrap();
    let third = nodes.begin_taking(2, POLICY, none(), TTL).await;
    next.await.unwrap().unwrap();
    third.await.unwrap().unwrap();
    nodes
}

#[tokio::test(start_paused = true)]
async fn an_earlier_owner_does_not_end_the_lease_of_the_next() {
    let nodes = paused_owner(Sabotage::None).await;
    assert_eq!((nodes.origin.loads(), nodes.origin.most_at_once.load(SeqCst)), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn without_owners_it_does_and_two_load_at_once() {
    let nodes = paused_owner(Sabotage::LeaseWithoutOwner).await;
    assert_eq!((nodes.origin.loads(), nodes.origin.most_at_once.load(SeqCst)), (3, 2), "the breach was not noticed");
}

#[tokio::test(start_paused = true)]
async fn a_load_overtaken_by_a_write_is_followed_by_one_load_and_not_by_many() {
    let nodes = Nodes::new().await;
    let overtaken = nodes.begin(0, POLICY, none()).await;
    let before = nodes.begin(1, POLICY, none()).await;
    nodes.write(2).await;
    let caches: Vec<Cache> = nodes.all.iter().map(|node| node.cache.clone()).collect();
    let after = stampede(&caches, &nodes.origin, 300).await;
    assert!(after.iter().all(|answer| version(answer) == 1), "nobody who came after the write sees the old value");
    assert_eq!(version(&overtaken.await.unwrap().unwrap()), 0, "who came before it may");
    assert_eq!(version(&before.await.unwrap().unwrap()), 1, "from the store, which has only the new one");
    assert_eq!(nodes.origin.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_waited_for_an_overtaken_load_loads_what_can_be_kept() {
    let nodes = Nodes::new().await;
    let overtaken = nodes.begin(0, POLICY, none()).await;
    let waiting = nodes.begin(1, POLICY, none()).await;
    // The one who waits hears of it from nobody: it follows no log while it waits.
    nodes.write(2).await;
    overtaken.await.unwrap().unwrap();
    assert_eq!(version(&waiting.await.unwrap().unwrap()), 1);
    assert_eq!(nodes.read(2, POLICY).await.verdict, Verdict::Hit, "its fill was not refused");
}

#[tokio::test(start_paused = true)]
async fn a_load_too_old_for_a_reader_is_not_waited_for() {
    let nodes = Nodes::new().await;
    let old = nodes.begin_taking(0, POLICY, none(), Duration::from_secs(20)).await;
    let unrelated = Invalidation::of([Tag::of(&acme(), "unrelated", 1)]);
    let at_least = nodes.all[2].cache.invalidate(&unrelated).await.unwrap();
    // In the time that a load takes: no wait for the old one.
    let new = nodes.begin(1, POLICY, at_least.clone()).await;
    assert_eq!(nodes.origin.loads(), 2);
    let third = nodes.begin(2, POLICY, at_least).await;
    assert!(!new.await.unwrap().unwrap().collapsed && third.await.unwrap().unwrap().collapsed);
    assert!(!old.is_finished());
    old.await.unwrap().unwrap();
    assert_eq!(nodes.read(0, POLICY).await.verdict, Verdict::Hit);
    assert_eq!(nodes.origin.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_brings_nothing_gives_its_lease_back_at_once() {
    let nodes = Nodes::new().await;
    let policy = POLICY.load_timeout(Duration::from_millis(50));
    let cache = &nodes.all[0].cache;
    let key = page(&acme(), 1);
    let failing = || async { Err("away".to_owned()) };
    assert!(cache.fetch(&key, &policy, &ReadOptions::default(), failing).await.is_err());
    settle().await;
    assert_eq!(nodes.lease(1).await, None);
    nodes.store.release(key.raw(), LeaseToken::from_u128(1), AfterLease::Free).await.unwrap();

    assert_eq!(nodes.begin(0, policy, none()).await.await.unwrap().unwrap_err(), FetchError::TimedOut);
    settle().await;
    assert_eq!(nodes.lease(2).await, None);
    nodes.store.release(key.raw(), LeaseToken::from_u128(2), AfterLease::Free).await.unwrap();

    let panicking = || async { panic!("a bug in the loader") };
    let aborted: Answer = cache.fetch(&key, &policy, &ReadOptions::default(), panicking).await;
    assert_eq!(aborted.unwrap_err(), FetchError::Aborted);
    settle().await;
    assert_eq!(nodes.lease(3).await, None);
}

#[tokio::test(start_paused = true)]
async fn failing_loads_are_tried_one_node_after_the_other() {
    let nodes = Nodes::new().await;
    let mut running = JoinSet::new();
    for node in &nodes.all {
        let (cache, origin) = (node.cache.clone(), nodes.origin.clone());
        running.spawn(async move {
            let failing = move || async move { origin.load(LOAD).await.and(Err::<Loaded<Page>, _>("away".to_owned())) };
            cache.fetch(&page(&acme(), 1), &POLICY, &ReadOptions::default(), failing).await.unwrap_err()
        });
    }
    assert_eq!(running.join_all().await.len(), 3);
    assert_eq!((nodes.origin.loads(), nodes.origin.most_at_once.load(SeqCst)), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_kept_is_not_waited_for_again() {
    let nodes = Nodes::new().await;
    let decline = async |node: usize| {
        let (cache, origin) = (nodes.all[node].cache.clone(), nodes.origin.clone());
        let load = move || async move { origin.load(LOAD).await.map(Loaded::declined) };
        cache.fetch(&page(&acme(), 1), &POLICY, &ReadOptions::default(), load).await.unwrap()
    };
    decline(0).await;
    settle().await;
    assert_eq!(nodes.lease(1).await.map(|lease| lease.token), Some(LeaseToken::NOBODY));
    tokio::join!(decline(0), decline(1), decline(2));
    assert_eq!(nodes.origin.most_at_once.load(SeqCst), 3, "one after the other would be slower for nothing");
}

#[tokio::test(start_paused = true)]
async fn an_absence_is_shared_like_a_value() {
    let nodes = Nodes::new().await;
    let policy = POLICY.negative_ttl(Duration::from_secs(2));
    let absent = async |node: usize| {
        let (cache, origin) = (nodes.all[node].cache.clone(), nodes.origin.clone());
        let load = move || async move { origin.load(LOAD).await.map(|_| Loaded::absent()) };
        cache.fetch(&page(&acme(), 1), &policy, &ReadOptions::default(), load).await.unwrap()
    };
    let (one, two) = tokio::join!(absent(0), absent(1));
    assert_eq!((one.value(), two.value(), nodes.origin.loads()), (None, None, 1));
    let third = absent(2).await;
    assert_eq!((third.verdict, third.value()), (Verdict::Hit, None));
    nodes.write(1).await;
    assert_eq!(absent(2).await.verdict, Verdict::Miss(MissReason::Invalidated));
    nodes.time.advance(policy.negative_ttl);
    assert_eq!(absent(2).await.verdict, Verdict::Miss(MissReason::Expired));
}

#[tokio::test(start_paused = true)]
async fn without_leases_or_a_store_that_answers_every_node_loads_at_once() {
    let nodes = Nodes::new().await;
    let policy = POLICY.lease(false);
    tokio::join!(nodes.read(0, policy), nodes.read(1, policy));
    assert_eq!((nodes.origin.loads(), nodes.origin.most_at_once.load(SeqCst)), (2, 2));

    nodes.write(0).await;
    for node in &nodes.all {
        node.far.set_faults(Faults { lost_requests_percent: 100, lost_answers_percent: 0 });
    }
    // Where the view cannot be confirmed either, and where it need not be.
    let unbounded = POLICY.mode(unstale::Mode::Bounded(Duration::MAX));
    tokio::join!(nodes.read(0, unbounded), nodes.read(1, POLICY), nodes.read(2, POLICY));
    assert_eq!((nodes.origin.loads(), nodes.origin.most_at_once.load(SeqCst)), (5, 3));
}

#[tokio::test(start_paused = true)]
async fn in_grace_one_node_refreshes_for_all() {
    let nodes = Nodes::new().await;
    let policy = POLICY.grace(Duration::from_secs(5));
    for node in 0..3 {
        nodes.read(node, policy).await;
    }
    nodes.time.advance(policy.ttl);
    nodes.origin.version.store(1, SeqCst);
    for node in 0..3 {
        let served = nodes.read(node, policy).await;
        assert_eq!((served.verdict, version(&served)), (Verdict::Stale(StaleReason::Grace), 0));
    }
    sleep(TTL).await;
    assert_eq!(nodes.origin.loads(), 2);
    for node in 0..3 {
        let fresh = nodes.read(node, policy).await;
        assert_eq!((fresh.verdict, version(&fresh)), (Verdict::Hit, 1), "on node {node}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_loading_fails_a_node_falls_back_on_what_another_one_stored() {
    let nodes = Nodes::new().await;
    let policy = POLICY.fail_safe(Duration::from_secs(5));
    nodes.read(0, policy).await;
    let failing = async |node: usize| {
        let load = || async { Err::<Loaded<Page>, _>("away".to_owned()) };
        nodes.all[node].cache.fetch(&page(&acme(), 1), &policy, &ReadOptions::default(), load).await
    };
    nodes.time.advance(policy.ttl);
    for node in [1, 0, 2] {
        assert_eq!(failing(node).await.unwrap().verdict, Verdict::Stale(StaleReason::FailSafe), "on node {node}");
    }
    nodes.write(0).await;
    for node in [1, 0, 2] {
        assert!(failing(node).await.is_err(), "an invalidated value on node {node}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_strict_reader_who_cannot_ask_takes_nothing_that_began_before_it() {
    let nodes = Nodes::new().await;
    let old = nodes.begin(0, POLICY, none()).await;
    nodes.write(1).await;
    nodes.all[0].far.set_faults(Faults { lost_requests_percent: 100, lost_answers_percent: 0 });
    // This node has not heard of the write and cannot: only its own load is sure to have seen it.
    let new = nodes.read(0, POLICY).await;
    assert_eq!((version(&new), new.collapsed), (1, false));
    assert_eq!(version(&old.await.unwrap().unwrap()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_cannot_ask_takes_no_load_that_began_before_its_bound() {
    let nodes = Nodes::new().await;
    let bounded = POLICY.mode(unstale::Mode::Bounded(Duration::from_secs(1)));
    let old = nodes.begin(0, bounded, none()).await;
    nodes.write(1).await;
    nodes.time.advance(Duration::from_millis(1001));
    nodes.all[0].far.set_faults(Faults { lost_requests_percent: 100, lost_answers_percent: 0 });
    assert_eq!(version(&nodes.read(0, bounded).await), 1);
    assert_eq!(version(&old.await.unwrap().unwrap()), 0);
}

/// The way to the store opens again after so many failures.
struct Heals {
    far: Arc<DistantStore>,
    failures: AtomicUsize,
}

impl Observer for Heals {
    fn on_event(&self, event: &Event<'_>) {
        if matches!(event, Event::StoreFailed { .. }) && self.failures.fetch_add(1, SeqCst) == 1 {
            self.far.set_faults(Faults::default());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_could_not_follow_the_log_takes_nothing_from_the_others() {
    let nodes = Nodes::new().await;
    let far = Arc::new(DistantStore::new(nodes.store.clone(), 7));
    let heals = Arc::new(Heals { far: far.clone(), failures: AtomicUsize::new(0) });
    let behind = Cache::builder(far.clone()).time(nodes.time.clone()).observer(heals).build().await.unwrap();
    let bounded = POLICY.mode(unstale::Mode::Bounded(Duration::from_secs(1)));
    nodes.read(1, bounded).await;
    nodes.write(2).await;
    nodes.time.advance(Duration::from_millis(1001));
    // Neither log nor entry can be asked for, the lease then can: it comes with the old value, which only a view that
    // holds the write can tell.
    far.set_faults(Faults { lost_requests_percent: 100, lost_answers_percent: 0 });
    let answer = read(&behind, &nodes.origin, &bounded, none(), LOAD).await.unwrap();
    assert_eq!(version(&answer), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_another_node_is_at_for_too_long_is_left_to_later_reads() {
    let lease = LeaseLimits { wait_max: LOAD, ..LeaseLimits::default() };
    let nodes = Nodes::with(CacheLimits { lease, ..CacheLimits::default() }, Sabotage::None).await;
    let policy = POLICY.grace(Duration::from_secs(60));
    nodes.read(0, policy).await;
    settle().await;
    nodes.time.advance(policy.ttl);
    assert_eq!(nodes.lease(7).await, None, "as if another node had just begun");
    assert_eq!(nodes.read(0, policy).await.verdict, Verdict::Stale(StaleReason::Grace));
    sleep(LOAD * 2).await;
    assert_eq!((nodes.origin.loads(), nodes.all[0].cache.size().flights), (1, 0), "nobody waits, so nobody loads");
    let token = LeaseToken::from_u128(7);
    nodes.store.release(page(&acme(), 1).raw(), token, AfterLease::Free).await.unwrap();
    assert_eq!(nodes.read(0, policy).await.verdict, Verdict::Stale(StaleReason::Grace));
    sleep(LOAD * 2).await;
    assert_eq!((nodes.origin.loads(), nodes.read(0, policy).await.verdict), (2, Verdict::Hit));
}

/// The value is kept in this node's memory, but no other node need wait for the next one to come by the store.
#[tokio::test(start_paused = true)]
async fn what_the_store_does_not_keep_is_not_waited_for_again() {
    let (nodes, subjects) = (Nodes::new().await, Arc::new(MemorySubjectKeys::default()));
    let node = |first: u8| {
        let ring = KeyRing::new([std::array::from_fn(|at| if at == 0 { first } else { 7 })]).unwrap();
        let sealing = Sealing::new(ring, subjects.clone(), CacheVersion::default(), SealingLimits::default());
        Cache::builder(nodes.store.clone()).time(nodes.time.clone()).sealing(sealing).build()
    };
    let read = async |cache: &Cache, number: u32| {
        let load = || async {
            record_subject(&Tag::shared("user", 1));
            Ok::<_, String>(Loaded::value(Page { saw: vec![(1, 1)] }))
        };
        let read = cache.fetch(&page(&acme(), number), &POLICY, &ReadOptions::default(), load).await.unwrap();
        assert_eq!(read.not_stored, None);
        settle().await;
    };
    read(&node(1).await.unwrap(), 2).await;
    // The person's key is wrapped by a master key that this one has not.
    read(&node(2).await.unwrap(), 1).await;
    let stored = nodes.store.get(&[1, 2].map(|number| page(&acme(), number).raw().clone())).await.unwrap();
    assert!(stored[0].is_none() && stored[1].is_some());
    assert_eq!(nodes.lease(7).await.unwrap().token, LeaseToken::NOBODY, "it is open");
}

#[cfg(feature = "redis")]
mod on_redis {
    use tokio::sync::Notify;
    use unstale::{
        RedisStore,
        testing::redis_server::{RedisServer, settings},
    };

    use super::*;
    use crate::nodes::{Origin, tag};

    /// Patient, so that a machine with much else to do is not taken for a store that is away.
    async fn node(server: &RedisServer) -> Cache {
        let mut settings = settings(server, "lease");
        settings.limits.operation_timeout = Duration::from_secs(60);
        let store = RedisStore::new(settings).unwrap();
        let lease = LeaseLimits { ttl: TTL * 3, wait_max: TTL * 60, ..LeaseLimits::default() };
        let limits = CacheLimits { lease, ..CacheLimits::default() };
        Cache::builder(Arc::new(store)).limits(limits).build().await.unwrap()
    }

    #[tokio::test]
    async fn ten_thousand_misses_on_three_nodes_load_once() {
        let server = RedisServer::start();
        let caches = [node(&server).await, node(&server).await, node(&server).await];
        let origin = Arc::new(Origin::default());
        for round in 1..=3 {
            let answers = stampede(&caches, &origin, 10_000).await;
            assert_eq!((answers.len(), origin.loads()), (10_000, round));
            caches[round % 3].invalidate(&Invalidation::of([tag()])).await.unwrap();
        }
    }

    /// Its whole process is gone: it gives nothing back.
    #[test]
    fn a_node_that_dies_in_its_load_keeps_others_waiting_for_its_leases_time() {
        let server = Arc::new(RedisServer::start());
        let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (began, origin) = (Arc::new(Notify::new()), Arc::new(Origin::default()));
        let dying = runtime();
        let (loading, its_server) = (began.clone(), server.clone());
        dying.spawn(async move {
            let load = move || async move {
                loading.notify_one();
                std::future::pending::<Result<Loaded<Page>, String>>().await
            };
            node(&its_server).await.fetch(&page(&acme(), 1), &POLICY, &ReadOptions::default(), load).await
        });
        runtime().block_on(async {
            began.notified().await;
            dying.shutdown_background();
            assert_eq!(server.keys("*lease/*").len(), 1, "its lease is left behind");
            let caches = [node(&server).await, node(&server).await];
            assert_eq!(stampede(&caches, &origin, 100).await.len(), 100);
        });
        assert_eq!(origin.loads(), 1);
    }
}
