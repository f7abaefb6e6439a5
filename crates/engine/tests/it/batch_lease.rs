//! Leases of batches: over several nodes each key is loaded once, and no two batches wait for each other.
//!
//! In paused time unless a real server is asked, so a wait costs nothing and comes to its end for certain.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use unstale::{
    Cache, Event, Fetched, Invalidation, Loaded, Observer, Policy, Position, ReadOptions, Resilience, WaitedFor,
    record,
    store::{AfterLease, Lease, LeaseRequest, LeaseToken, Store as _},
    testing::{Delays, Faults},
};

use crate::{
    nodes::{LOAD, Nodes, POLICY, TTL, settle, tag},
    world::{Page, acme, page},
};

/// What the origin was asked for: each load's pages, and how long one takes.
#[derive(Clone, Default)]
struct Loads(Arc<Mutex<Vec<Vec<u32>>>>);

impl Loads {
    /// How often each page was loaded, sorted by page.
    fn of_pages(&self) -> Vec<(u32, usize)> {
        let mut pages: Vec<u32> = self.0.lock().iter().flatten().copied().collect();
        pages.sort_unstable();
        pages.chunk_by(|one, other| one == other).map(|same| (same[0], same.len())).collect()
    }

    fn count(&self) -> usize {
        self.0.lock().len()
    }
}

async fn read(
    cache: &Cache,
    loads: &Loads,
    pages: Vec<u32>,
    policy: Policy,
    takes: Duration,
    version: u64,
) -> Vec<Fetched<Page>> {
    let keys: Vec<_> = pages.iter().map(|number| page(&acme(), *number)).collect();
    let loads = loads.clone();
    let load = move |places: Vec<usize>| {
        let wanted: Vec<u32> = places.iter().map(|place| pages[*place]).collect();
        loads.0.lock().push(wanted.clone());
        async move {
            record(&tag());
            sleep(takes).await;
            let value = |number: u32| Loaded::value(Page { saw: vec![(number, version)] });
            Ok::<_, String>(wanted.into_iter().map(value).collect())
        }
    };
    cache.fetch_many(&keys, &policy, &ReadOptions::default(), load).await.unwrap()
}

/// Reads in a task of its own; it has begun, and gone as far as it gets, when this returns.
async fn begin(nodes: &Nodes, node: usize, loads: &Loads, pages: Range<u32>) -> JoinHandle<Vec<Fetched<Page>>> {
    let (cache, loads) = (nodes.all[node].cache.clone(), loads.clone());
    let version = nodes.origin.version.load(SeqCst);
    let reading = tokio::spawn(async move { read(&cache, &loads, pages.collect(), POLICY, LOAD, version).await });
    settle().await;
    reading
}

fn once(pages: Range<u32>) -> Vec<(u32, usize)> {
    pages.map(|number| (number, 1)).collect()
}

fn collapsed(answers: &[Fetched<Page>]) -> Vec<bool> {
    answers.iter().map(|answer| answer.collapsed).collect()
}

#[track_caller]
fn check_pages(answers: &[Fetched<Page>], pages: Range<u32>, version: u64) {
    let shown: Vec<_> = answers.iter().map(|answer| answer.value().unwrap().saw[0]).collect();
    assert_eq!(shown, pages.map(|number| (number, version)).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn batches_on_three_nodes_load_each_key_once() {
    let (nodes, loads) = (Nodes::new().await, Loads::default());
    let first = begin(&nodes, 0, &loads, 0..4).await;
    let second = begin(&nodes, 1, &loads, 2..6).await;
    let third = begin(&nodes, 2, &loads, 0..6).await;
    check_pages(&first.await.unwrap(), 0..4, 0);
    let second = second.await.unwrap();
    check_pages(&second, 2..6, 0);
    assert_eq!(collapsed(&second), [true, true, false, false], "two came from the other node");
    let third = third.await.unwrap();
    check_pages(&third, 0..6, 0);
    assert_eq!(collapsed(&third), [true; 6]);
    assert_eq!(loads.of_pages(), once(0..6));
    assert_eq!(*nodes.all[2].waits.0.lock(), [WaitedFor::Fill; 6]);
    settle().await;
    for number in 0..6 {
        assert_eq!(lease(&nodes, number, 1).await, None, "nobody holds a lease any more");
    }
}

/// Each has what the other wants, in the other order.
#[tokio::test(start_paused = true)]
async fn batches_that_hold_each_others_keys_load_what_they_have_and_then_wait() {
    let (nodes, loads) = (Nodes::new().await, Loads::default());
    let began = Instant::now();
    // The first gets page 1 only; before it asks again, the second gets page 2.
    assert_eq!(lease(&nodes, 2, 7).await, None);
    let first = begin(&nodes, 0, &loads, 1..3).await;
    nodes.store.release(page(&acme(), 2).raw(), LeaseToken::from_u128(7), AfterLease::Free).await.unwrap();
    let second = begin(&nodes, 1, &loads, 1..3).await;
    assert_eq!(*loads.0.lock(), [[1], [2]], "each loads at once what it has");
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    check_pages(&first, 1..3, 0);
    check_pages(&second, 1..3, 0);
    assert_eq!([collapsed(&first), collapsed(&second)], [[false, true], [true, false]]);
    assert_eq!(loads.count(), 2);
    assert!(began.elapsed() < LOAD * 2, "nobody waited for a lease to run out: {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_for_single_reads_of_other_nodes_and_of_its_own() {
    let (nodes, loads) = (Nodes::new().await, Loads::default());
    let (one, two) = (&nodes.all[0].cache, &nodes.all[1].cache);
    let single = |cache: &Cache, number: u32| {
        let (cache, loads) = (cache.clone(), loads.clone());
        tokio::spawn(async move { read(&cache, &loads, vec![number], POLICY, LOAD, 0).await })
    };
    let began = Instant::now();
    let (first, second) = (single(one, 1), single(two, 2));
    settle().await;
    let (both, other) = (begin(&nodes, 0, &loads, 1..4).await, begin(&nodes, 1, &loads, 1..4).await);
    for reading in [first, second] {
        reading.await.unwrap();
    }
    check_pages(&both.await.unwrap(), 1..4, 0);
    check_pages(&other.await.unwrap(), 1..4, 0);
    assert_eq!(loads.of_pages(), once(1..4));
    assert!(began.elapsed() < LOAD * 3, "nobody waited for a lease to run out: {:?}", began.elapsed());
}

async fn lease(nodes: &Nodes, number: u32, token: u128) -> Option<Lease> {
    let base = nodes.store.head(nodes.store.partitions().of(&acme())).await.unwrap();
    let lease = Lease { token: LeaseToken::from_u128(token), base };
    let request = LeaseRequest { lease, ttl: TTL, over: None };
    nodes.store.lease(page(&acme(), number).raw(), &request).await.unwrap().held_by
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_died_is_waited_for_until_its_lease_ends_and_what_is_free_is_loaded_before() {
    let (nodes, loads) = (Nodes::new().await, Loads::default());
    assert_eq!(lease(&nodes, 1, 7).await, None);
    let reading = begin(&nodes, 0, &loads, 0..3).await;
    assert_eq!(*loads.0.lock(), [vec![0, 2]], "at once");
    check_pages(&reading.await.unwrap(), 0..3, 0);
    assert_eq!(*loads.0.lock(), [vec![0, 2], vec![1]]);
}

#[tokio::test(start_paused = true)]
async fn a_holder_without_end_is_not_waited_for_without_end() {
    let (nodes, loads) = (Nodes::new().await, Loads::default());
    let slow = {
        let (cache, loads) = (nodes.all[0].cache.clone(), loads.clone());
        let policy = POLICY.load_timeout(Duration::from_secs(60));
        tokio::spawn(async move { read(&cache, &loads, vec![1], policy, Duration::from_secs(30), 0).await })
    };
    settle().await;
    let began = Instant::now();
    let policy = POLICY.load_timeout(Duration::from_secs(60));
    check_pages(&read(&nodes.all[1].cache, &loads, vec![0, 1], policy, LOAD, 0).await, 0..2, 0);
    let took = began.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_secs(6)).contains(&took), "{took:?}");
    assert!(!slow.is_finished());
    assert_eq!(loads.of_pages(), [(0, 1), (1, 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_load_from_before_a_write_is_taken_over_and_not_waited_for() {
    let (nodes, loads) = (Nodes::new().await, Loads::default());
    begin(&nodes, 1, &loads, 0..3).await.await.unwrap();
    nodes.all[1].cache.clear_memory();
    nodes.write(0).await;
    // From before the next write, of which the second node knows.
    let old = begin(&nodes, 0, &loads, 0..3).await;
    nodes.write(1).await;
    let new = begin(&nodes, 1, &loads, 0..3).await;
    let third = begin(&nodes, 2, &loads, 0..3).await;
    check_pages(&new.await.unwrap(), 0..3, 2);
    check_pages(&third.await.unwrap(), 0..3, 2);
    check_pages(&old.await.unwrap(), 0..3, 1);
    assert_eq!(loads.count(), 3, "{:?}", loads.0.lock());
}

#[tokio::test(start_paused = true)]
async fn values_that_are_not_kept_hold_nobody_up() {
    let (nodes, loads) = (Nodes::new().await, Loads::default());
    for number in 0..3 {
        nodes.store.release(page(&acme(), number).raw(), LeaseToken::from_u128(9), AfterLease::Free).await.unwrap();
    }
    let keys: Vec<_> = (0..3).map(|number| page(&acme(), number)).collect();
    for node in 0..3 {
        let began = Instant::now();
        let load = |places: Vec<usize>| async move {
            let value = |_| Loaded::value(Page { saw: vec![] }).declined();
            Ok::<_, String>(places.into_iter().map(value).collect())
        };
        nodes.all[node].cache.fetch_many(&keys, &POLICY, &ReadOptions::default(), load).await.unwrap();
        settle().await;
        assert_eq!(began.elapsed(), Duration::ZERO, "on node {node}");
    }
    assert_eq!(loads.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_the_store_or_without_leases_a_batch_loads_all_at_once() {
    let (nodes, loads) = (Nodes::new().await, Loads::default());
    assert_eq!(lease(&nodes, 1, 7).await, None);
    read(&nodes.all[0].cache, &loads, vec![0, 1], POLICY.lease(false), LOAD, 0).await;
    assert_eq!(*loads.0.lock(), [vec![0, 1]]);
    nodes.all[1].far.set_faults(Faults { lost_requests_percent: 100, lost_answers_percent: 0 });
    read(&nodes.all[1].cache, &loads, vec![2, 1], POLICY, LOAD, 0).await;
    assert_eq!(loads.0.lock()[1], [2, 1]);
}

#[tokio::test(start_paused = true)]
async fn leases_of_a_batch_are_one_question_and_are_kept_while_it_loads() {
    let (nodes, loads) = (Nodes::new().await, Loads::default());
    let before = nodes.all[0].far.requests();
    let (cache, its) = (nodes.all[0].cache.clone(), loads.clone());
    let reading = tokio::spawn(async move { read(&cache, &its, (0..40).collect(), POLICY, TTL * 3, 0).await });
    settle().await;
    // The log's head, the entries, the leases.
    assert_eq!(nodes.all[0].far.requests() - before, 3);
    let other = begin(&nodes, 1, &loads, 10..12).await;
    sleep(TTL * 2).await;
    assert!(!other.is_finished(), "the leases stand although their time is over");
    reading.await.unwrap();
    other.await.unwrap();
    assert_eq!(loads.of_pages(), once(0..40));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_fails_lets_the_next_node_try() {
    let nodes = Nodes::new().await;
    let keys = [page(&acme(), 1), page(&acme(), 2)];
    let failing = |_| async {
        sleep(LOAD).await;
        Err::<Vec<Loaded<Page>>, _>("away".to_owned())
    };
    let cache = nodes.all[0].cache.clone();
    let (its, policy) = (keys.clone(), POLICY);
    let failed = tokio::spawn(async move { cache.fetch_many(&its, &policy, &ReadOptions::default(), failing).await });
    settle().await;
    let loads = Loads::default();
    let other = begin(&nodes, 1, &loads, 1..3).await;
    assert!(failed.await.unwrap().is_err());
    let began = Instant::now();
    check_pages(&other.await.unwrap(), 1..3, 0);
    assert!(began.elapsed() < TTL, "the leases were given back: {:?}", began.elapsed());
    nodes.all[0].cache.invalidate(&Invalidation::of([tag()])).await.unwrap();
}

/// A way to the store on which a lease takes so long.
fn slow_lease(lease: Duration) -> Delays {
    Delays { lease, ..Delays::default() }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_say_who_loads_costs_a_batch_its_patience_and_no_more() {
    let (nodes, loads) = (Nodes::guarded().await, Loads::default());
    nodes.all[0].far.set_delays(slow_lease(Duration::from_secs(30)));
    let began = Instant::now();
    check_pages(&read(&nodes.all[0].cache, &loads, vec![0, 1], POLICY, LOAD, 0).await, 0..2, 0);
    assert!(began.elapsed() <= LOAD + Duration::from_millis(51), "{:?}", began.elapsed());
    assert_eq!(*loads.0.lock(), [[0, 1]], "in one load");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_to_say_who_loads_is_told_and_costs_a_batch_nothing() {
    let guard = Resilience { operation_wait: Duration::from_millis(20), ..Resilience::default() };
    let nodes = Nodes::built(|builder| builder.resilience(guard)).await;
    let (loads, failures) = (Loads::default(), Arc::new(Failures::default()));
    let far = nodes.all[0].far.clone();
    far.set_delays(slow_lease(Duration::from_secs(30)));
    let node = Cache::builder(far).resilience(guard).observer(failures.clone()).build().await.unwrap();
    let began = Instant::now();
    check_pages(&read(&node, &loads, vec![0, 1], POLICY, LOAD, 0).await, 0..2, 0);
    assert!(began.elapsed() < LOAD + Duration::from_millis(50), "{:?}", began.elapsed());
    assert_eq!((loads.count(), failures.0.load(SeqCst)), (1, 1));
}

#[derive(Default)]
struct Failures(AtomicUsize);

impl Observer for Failures {
    fn on_event(&self, event: &Event<'_>) {
        if matches!(event, Event::StoreFailed { .. }) {
            self.0.fetch_add(1, SeqCst);
        }
    }
}

/// Of page 0, which node 1 knows to have changed since, another node has the lease from before that: node 1 is about to take
/// it over, and asking for leases takes it so long.
async fn about_to_take_over(
    nodes: &Nodes,
    loads: &Loads,
    takes: Duration,
) -> (Position, JoinHandle<Vec<Fetched<Page>>>) {
    begin(nodes, 1, loads, 0..1).await.await.unwrap();
    nodes.write(1).await;
    let old = nodes.store.head(nodes.store.partitions().of(&acme())).await.unwrap();
    // Known to be wrong, with its tags: read anew, and wrong again.
    begin(nodes, 1, loads, 0..1).await.await.unwrap();
    settle().await;
    assert_eq!(lease(nodes, 0, 7).await, None);
    nodes.write(1).await;
    nodes.all[1].far.set_delays(slow_lease(takes));
    let reading = begin(nodes, 1, loads, 0..1).await;
    // Told of the holder; the next question is on its way.
    sleep(takes + takes / 2).await;
    (old, reading)
}

async fn take_over(nodes: &Nodes, token: u128, base: Position) {
    let lease = Lease { token: LeaseToken::from_u128(token), base };
    let request = LeaseRequest { lease, ttl: TTL * 60, over: Some(LeaseToken::from_u128(7)) };
    assert_eq!(nodes.store.lease(page(&acme(), 0).raw(), &request).await.unwrap().held_by, None);
}

#[tokio::test(start_paused = true)]
async fn who_is_too_slow_to_take_a_lease_over_waits_for_a_faster_one_that_will_do() {
    let (nodes, loads) = (Nodes::new().await, Loads::default());
    let (_, reading) = about_to_take_over(&nodes, &loads, LOAD).await;
    let before = loads.count();
    let newest = nodes.store.head(nodes.store.partitions().of(&acme())).await.unwrap();
    take_over(&nodes, 8, newest).await;
    sleep(LOAD * 3).await;
    assert_eq!((loads.count(), reading.is_finished()), (before, false), "it waits");
    nodes.store.release(page(&acme(), 0).raw(), LeaseToken::from_u128(8), AfterLease::Free).await.unwrap();
    check_pages(&reading.await.unwrap(), 0..1, 2);
}

#[tokio::test(start_paused = true)]
async fn who_is_too_slow_to_take_a_lease_over_does_not_wait_for_another_that_is_too_old() {
    for token in [8, 0] {
        let (nodes, loads) = (Nodes::new().await, Loads::default());
        let (old, reading) = about_to_take_over(&nodes, &loads, LOAD).await;
        // The open lease is nobody's, whatever its base.
        let newest = nodes.store.head(nodes.store.partitions().of(&acme())).await.unwrap();
        take_over(&nodes, token, if token == 0 { newest } else { old }).await;
        let before = loads.count();
        sleep(LOAD).await;
        assert_eq!(loads.count(), before + 1, "it loads at once");
        check_pages(&reading.await.unwrap(), 0..1, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_taken_over_in_time_is_done_without() {
    let (nodes, loads) = (Nodes::guarded().await, Loads::default());
    // Quick enough for the first question.
    let takes = Duration::from_millis(20);
    begin(&nodes, 1, &loads, 0..1).await.await.unwrap();
    settle().await;
    assert_eq!(lease(&nodes, 0, 7).await, None);
    nodes.write(1).await;
    nodes.all[1].far.set_delays(slow_lease(takes));
    let reading = begin(&nodes, 1, &loads, 0..1).await;
    nodes.all[1].far.set_delays(slow_lease(Duration::from_secs(30)));
    let (began, before) = (Instant::now(), loads.count());
    check_pages(&reading.await.unwrap(), 0..1, 1);
    assert!(began.elapsed() <= LOAD + takes + Duration::from_millis(51), "{:?}", began.elapsed());
    assert_eq!(loads.count(), before + 1);
}

#[cfg(feature = "redis")]
mod redis {
    use futures_util::future::join_all;
    use unstale::{
        CacheLimits, LeaseLimits, RedisStore,
        testing::redis_server::{RedisServer, settings},
    };

    use super::*;

    #[tokio::test]
    async fn batches_on_three_nodes_load_each_key_once() {
        let server = RedisServer::start();
        let mut caches = Vec::new();
        for _ in 0..3 {
            let mut settings = settings(&server, "test");
            // Patient, so that what a busy machine delays is no trouble of the server's.
            settings.limits.operation_timeout = Duration::from_secs(60);
            // The same of leases: they are counted here, not waited for.
            let lease = LeaseLimits { ttl: TTL * 30, wait_max: TTL * 60, ..LeaseLimits::default() };
            let limits = CacheLimits { lease, ..CacheLimits::default() };
            let store = Arc::new(RedisStore::new(settings).unwrap());
            caches.push(Cache::builder(store).limits(limits).build().await.unwrap());
        }
        for round in 1..=3 {
            let loads = Loads::default();
            // More than one call of the store takes, and overlapping.
            let parts = [0..150, 50..200, 0..200].map(|pages: Range<u32>| pages.collect::<Vec<_>>());
            let reading =
                caches.iter().zip(parts).map(|(cache, pages)| read(cache, &loads, pages, POLICY, LOAD, round));
            let answers = join_all(reading).await;
            check_pages(&answers[2], 0..200, round);
            assert_eq!(loads.of_pages(), once(0..200));
            assert!(answers.iter().flatten().any(|answer| answer.collapsed));
            caches[0].invalidate(&Invalidation::of([tag()])).await.unwrap();
        }
    }
}
