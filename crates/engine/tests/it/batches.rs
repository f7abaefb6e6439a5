//! Batches on one node: their answers, and what becomes of loads that fail or run already.

use std::{
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use parking_lot::Mutex;
use unstale::{
    BypassReason, FetchError, Fetched, Invalidation, Loaded, NotStored, ReadOptions, Tag, Verdict, store::Store as _,
};

use crate::{
    reads::{ABSENT, INVALIDATED, Node, POLICY, value},
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
