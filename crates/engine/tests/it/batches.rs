//! Batches on one node: their answers, and what becomes of loads that fail or run already.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use parking_lot::Mutex;
use unstale::{FetchError, Invalidation, Loaded, ReadOptions, Tag, Verdict};

use crate::{
    reads::{INVALIDATED, Node, POLICY, value},
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
