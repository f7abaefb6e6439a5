//! Batches on one node: their answers, and what becomes of loads that fail or run already.

use std::{
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::oneshot, task::JoinHandle};
use unstale::{
    BypassReason, CacheLimits, FetchError, Fetched, Invalidation, Loaded, NotStored, ReadOptions, StaleReason, Tag,
    Verdict, record, store::Store as _,
};

use crate::{
    reads::{ABSENT, Answer, INVALIDATED, Node, POLICY, check, settle, tag, value},
    world::{Page, acme, page},
};

#[tokio::test]
async fn a_batch_answers_in_order_and_loads_only_what_is_missing() {
    let node = Node::new().await;
    let keys: Vec<_> = (0..5).map(|number| page(&acme(), number)).collect();
    node.read(&POLICY, Ok(1)).await.unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let options = ReadOptions::default();
    let read = || {
        let asked = asked.clone();
        node.cache.fetch_many(&keys, &POLICY, &options, move |places: Vec<usize>| {
            asked.lock().push(places.clone());
            let pages = places.into_iter().map(|place| {
                let own = Tag::of(&acme(), "page", place);
                Loaded::value(Page { saw: vec![(1, place as u64 * 10)] }).tags([own])
            });
            let loaded = pages.collect();
            async move { Ok::<Vec<_>, String>(loaded) }
        })
    };
    let first = read().await.unwrap();
    assert_eq!(first.iter().map(|page| page.value().unwrap().saw[0].1).collect::<Vec<_>>(), [0, 1, 20, 30, 40]);
    assert_eq!(first[1].verdict, Verdict::Hit);
    assert!(read().await.unwrap().iter().all(|page| page.verdict == Verdict::Hit));
    node.cache.invalidate(&Invalidation::of([Tag::of(&acme(), "page", 3)])).await.unwrap();
    let third = read().await.unwrap();
    assert_eq!(third.iter().position(|page| page.verdict == INVALIDATED), Some(3));
    assert_eq!(*asked.lock(), [vec![0, 2, 3, 4], vec![3]]);
}

#[tokio::test]
async fn a_batch_joins_single_loads_and_is_joined_by_them() {
    let node = Arc::new(Node::new().await);
    let loads = Arc::new(AtomicUsize::new(0));
    let keys = [page(&acme(), 1), page(&acme(), 2)];
    let batch = {
        let (node, loads) = (node.clone(), loads.clone());
        async move {
            let load = move |places: Vec<usize>| {
                loads.fetch_add(places.len(), SeqCst);
                async move {
                    tokio::task::yield_now().await;
                    Ok::<_, String>(places.iter().map(|_| value(1)).collect())
                }
            };
            node.cache.fetch_many(&keys, &POLICY, &ReadOptions::default(), load).await.unwrap()
        }
    };
    let (pages, single) = tokio::join!(batch, node.read(&POLICY, Ok(9)));
    assert_eq!(loads.load(SeqCst) + usize::from(!single.unwrap().collapsed), 2);
    assert_eq!(pages.len(), 2);
}

#[tokio::test]
async fn a_batch_that_fails_fails_for_all_and_leaves_no_flight() {
    let node = Node::new().await;
    let keys = [page(&acme(), 1), page(&acme(), 2)];
    let options = ReadOptions::default();
    let failing = |_: Vec<usize>| async { Err::<Vec<Loaded<Page>>, _>("away".to_owned()) };
    let failed = node.cache.fetch_many(&keys, &POLICY, &options, failing).await;
    assert_eq!(failed.unwrap_err(), FetchError::Load("away".into()));
    let short = |_: Vec<usize>| async { Ok::<_, String>(vec![value(1)]) };
    let too_few = node.cache.fetch_many(&keys, &POLICY, &options, short).await;
    assert_eq!(too_few.unwrap_err(), FetchError::Aborted, "a loader that forgets a key is noticed");
    assert_eq!(node.cache.size().flights, 0);
}

/// A load of a batch that brings `version` for each key, and notes how many keys it was asked for.
fn loads(counts: &Counts, version: u64) -> impl Fn(Vec<usize>) -> Ready<Result<Vec<Loaded<Page>>, String>> + use<> {
    let counts = counts.clone();
    move |places| {
        counts.lock().push(places.len());
        ready(Ok(places.iter().map(|_| value(version)).collect()))
    }
}

type Counts = Arc<Mutex<Vec<usize>>>;

fn versions(read: &[Fetched<Page>]) -> Vec<u64> {
    read.iter().map(|page| page.value().unwrap().saw[0].1).collect()
}

#[tokio::test]
async fn off_means_for_a_batch_too_that_nothing_is_looked_up_and_nothing_kept() {
    let (node, counts) = (Node::new().await, Counts::default());
    let (keys, options) = ([page(&acme(), 1), page(&acme(), 2)], ReadOptions::default());
    node.cache.fetch_many(&keys, &POLICY, &options, loads(&counts, 1)).await.unwrap();
    // The store has them, and memory too.
    for policy in [POLICY.on(false), POLICY.on(false).lease(false)] {
        let read = node.cache.fetch_many(&keys, &policy, &options, loads(&counts, 2)).await.unwrap();
        assert_eq!(versions(&read), [2, 2]);
        for read in read {
            assert_eq!((read.verdict, read.not_stored), (Verdict::Bypass(BypassReason::Off), Some(NotStored::Off)));
        }
    }
    assert_eq!(*counts.lock(), [2, 2, 2]);
    let read = node.cache.fetch_many(&keys, &POLICY, &options, loads(&counts, 3)).await.unwrap();
    assert_eq!(versions(&read), [1, 1], "what was kept before stays");
}

#[tokio::test]
async fn a_key_too_long_is_served_to_a_batch_and_not_kept() {
    let (node, counts) = (Node::new().await, Counts::default());
    let keys = [page(&acme(), "x".repeat(5000)), page(&acme(), 2)];
    for round in 0..2 {
        let read = node.cache.fetch_many(&keys, &POLICY, &ReadOptions::default(), loads(&counts, round)).await.unwrap();
        assert_eq!((read[0].verdict, versions(&read)), (Verdict::Bypass(BypassReason::KeyTooLong), vec![round, 0]));
        assert_eq!(read[1].verdict, if round == 0 { ABSENT } else { Verdict::Hit });
    }
    assert_eq!(*counts.lock(), [2, 1]);
    assert!(
        node.cache.peek(&keys[0]).is_none() && node.store.get(&[keys[0].raw().clone()]).await.unwrap()[0].is_none()
    );
}

/// A single read of key 1 that ends when it is told how.
fn slow(node: &Arc<Node>) -> (oneshot::Sender<Result<u64, String>>, JoinHandle<Answer>) {
    let (end, ended) = oneshot::channel::<Result<u64, String>>();
    let node = node.clone();
    let load = move || async move {
        record(&tag());
        ended.await.unwrap().map(value)
    };
    (end, tokio::spawn(async move { node.read_with(&POLICY, load).await }))
}

/// A batch of keys 1 and 2 in a task of its own, once it has gone as far as it gets.
async fn begin(
    node: &Arc<Node>,
    counts: &Counts,
    version: u64,
) -> JoinHandle<Result<Vec<Fetched<Page>>, FetchError<String>>> {
    let (node, load) = (node.clone(), loads(counts, version));
    let batch = tokio::spawn(async move {
        let keys = [page(&acme(), 1), page(&acme(), 2)];
        node.cache.fetch_many(&keys, &POLICY, &ReadOptions::default(), load).await
    });
    settle().await;
    batch
}

#[tokio::test]
async fn a_batch_that_joined_an_overtaken_load_loads_that_key_again() {
    let (node, counts) = (Arc::new(Node::new().await), Counts::default());
    let (end, single) = slow(&node);
    settle().await;
    let batch = begin(&node, &counts, 2).await;
    assert_eq!(*counts.lock(), [1], "the other key is loaded at once");
    node.invalidate().await;
    end.send(Ok(1)).unwrap();
    let read = batch.await.unwrap().unwrap();
    assert_eq!((versions(&read), read[0].collapsed), (vec![2, 2], false));
    assert_eq!(*counts.lock(), [1, 1]);
    check(&single.await.unwrap(), ABSENT, 1);
}

#[tokio::test]
async fn a_batch_that_joined_a_load_that_fails_fails_with_it() {
    let (node, counts) = (Arc::new(Node::new().await), Counts::default());
    let (end, _single) = slow(&node);
    settle().await;
    let batch = begin(&node, &counts, 2).await;
    end.send(Err("away".to_owned())).unwrap();
    assert_eq!(batch.await.unwrap().unwrap_err(), FetchError::Load("away".to_owned()));
}

#[tokio::test]
async fn a_batch_for_which_there_is_no_place_in_a_flight_loads_for_itself() {
    let node = Arc::new(Node::with(CacheLimits { waiters_max: 0, ..CacheLimits::default() }).await);
    let counts = Counts::default();
    let (end, single) = slow(&node);
    settle().await;
    let read = begin(&node, &counts, 2).await.await.unwrap().unwrap();
    assert_eq!(read[0].verdict, Verdict::Bypass(BypassReason::TooManyWaiters));
    assert_eq!((versions(&read), read[1].verdict), (vec![2, 2], ABSENT));
    assert_eq!(*counts.lock(), [2]);
    end.send(Ok(1)).unwrap();
    single.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_batch_serves_what_is_in_grace_and_leaves_its_refresh_to_the_next_read() {
    let (node, counts) = (Node::new().await, Counts::default());
    let policy = POLICY.grace(Duration::from_secs(5));
    node.read(&policy, Ok(1)).await.unwrap();
    node.time.advance(policy.ttl);
    let read = node.cache.fetch_many(&[page(&acme(), 1)], &policy, &ReadOptions::default(), loads(&counts, 2)).await;
    let read = read.unwrap();
    assert_eq!((read[0].verdict, versions(&read)), (Verdict::Stale(StaleReason::Grace), vec![1]));
    settle().await;
    assert_eq!(*counts.lock(), [] as [usize; 0]);
    check(&node.read(&policy, Ok(3)).await, Verdict::Stale(StaleReason::Grace), 1);
    settle().await;
    check(&node.read(&policy, Ok(4)).await, Verdict::Hit, 3);
}

#[tokio::test]
async fn a_batch_whose_load_fails_serves_what_fail_safe_allows() {
    let node = Node::new().await;
    let policy = POLICY.fail_safe(Duration::from_secs(60)).fail_safe_retry(Duration::from_secs(2));
    let (counts, options) = (Counts::default(), ReadOptions::default());
    let keys = [page(&acme(), 1), page(&acme(), 2)];
    node.cache.fetch_many(&keys, &policy, &options, loads(&counts, 1)).await.unwrap();
    node.time.advance(policy.ttl);
    let asked = Arc::new(AtomicUsize::new(0));
    let failing = || {
        let asked = asked.clone();
        move |_: Vec<usize>| {
            asked.fetch_add(1, SeqCst);
            ready(Err::<Vec<Loaded<Page>>, _>("away".to_owned()))
        }
    };
    for _ in 0..3 {
        let read = node.cache.fetch_many(&keys, &policy, &options, failing()).await.unwrap();
        assert_eq!(versions(&read), [1, 1]);
        assert!(read.iter().all(|page| page.verdict == Verdict::Stale(StaleReason::FailSafe)), "{read:?}");
    }
    assert_eq!(asked.load(SeqCst), 1, "an origin that is down is asked once per rest");
    // One that there is no old value of fails the batch; what is known to be wrong is no fallback.
    node.time.advance(policy.fail_safe_retry);
    let more = [page(&acme(), 1), page(&acme(), 3)];
    let failed = node.cache.fetch_many(&more, &policy, &options, failing()).await;
    assert_eq!(failed.unwrap_err(), FetchError::Load("away".to_owned()));
    node.invalidate().await;
    let failed = node.cache.fetch_many(&keys, &policy, &options, failing()).await;
    assert_eq!(failed.unwrap_err(), FetchError::Load("away".to_owned()));
}

#[tokio::test]
async fn a_batch_that_joined_a_load_that_fails_serves_what_fail_safe_allows() {
    let (node, counts) = (Arc::new(Node::new().await), Counts::default());
    let policy = POLICY.fail_safe(Duration::from_secs(60));
    node.read(&policy, Ok(1)).await.unwrap();
    node.time.advance(policy.ttl);
    let (end, ended) = oneshot::channel::<()>();
    let reading = node.clone();
    let single = tokio::spawn(async move {
        let load = move || async move {
            ended.await.unwrap();
            Err("away".to_owned())
        };
        reading.read_with(&policy, load).await
    });
    settle().await;
    let (batching, load) = (node.clone(), loads(&counts, 2));
    let batch = tokio::spawn(async move {
        let keys = [page(&acme(), 1), page(&acme(), 2)];
        batching.cache.fetch_many(&keys, &policy, &ReadOptions::default(), load).await
    });
    settle().await;
    end.send(()).unwrap();
    let read = batch.await.unwrap().unwrap();
    assert_eq!((read[0].verdict, versions(&read)), (Verdict::Stale(StaleReason::FailSafe), vec![1, 2]));
    check(&single.await.unwrap(), Verdict::Stale(StaleReason::FailSafe), 1);
}
