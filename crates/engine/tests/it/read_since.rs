//! Values of which some facts were read before their load began: what they are worth depends on what has changed since.

use std::sync::Arc;

use tokio::sync::oneshot;
use unstale::{Fetched, Invalidation, Loaded, NotStored, PositionSet, ReadOptions, Tag, Verdict, store::Store as _};

use crate::{
    reads::{ABSENT, INVALIDATED, Node, POLICY, check, settle, value},
    world::{Page, acme, page},
};

/// Reads a value whose facts were read since `since`.
async fn read(node: &Node, since: PositionSet, version: u64) -> Fetched<Page> {
    node.read_with(&POLICY, move || async move { Ok(value(version).read_since(since)) }).await.unwrap()
}

/// An invalidation of something else.
async fn invalidate_other(node: &Node) {
    node.cache.invalidate(&Invalidation::of([Tag::of(&acme(), "unrelated", 1)])).await.unwrap();
}

#[tokio::test]
async fn what_has_not_changed_since_is_kept_and_goes_back_to_where_it_was_read() {
    let node = Node::new().await;
    let since = node.cache.frontiers();
    invalidate_other(&node).await;
    let read = read(&node, since.clone(), 1).await;
    assert_eq!(
        (read.not_stored, PositionSet::from(read.base())),
        (None, since.in_partition(read.base().partition).unwrap().into())
    );
    check(&node.read(&POLICY, Ok(2)).await, Verdict::Hit, 1);
    node.invalidate().await;
    check(&node.read(&POLICY, Ok(3)).await, INVALIDATED, 3);
}

#[tokio::test]
async fn what_was_read_after_the_load_began_is_no_newer_than_the_load() {
    let node = Arc::new(Node::new().await);
    let (loading, before) = (node.clone(), node.cache.frontier(&acme()));
    let load = move || async move {
        invalidate_other(&loading).await;
        Ok(value(1).read_since(loading.cache.frontiers()))
    };
    let read = node.read_with(&POLICY, load).await.unwrap();
    assert_eq!((read.not_stored, read.base()), (None, before));
}

#[tokio::test]
async fn what_has_changed_since_is_not_kept_although_it_was_loaded_afterwards() {
    let node = Node::new().await;
    let since = node.cache.frontiers();
    node.invalidate().await;
    assert_eq!(read(&node, since, 1).await.not_stored, Some(NotStored::ReadBefore));
    check(&node.read(&POLICY, Ok(2)).await, ABSENT, 2);
}

#[tokio::test]
async fn of_another_epoch_nothing_is_known_to_stand() {
    let node = Node::new().await;
    // So that its sequence is beyond the new epoch's.
    for _ in 0..3 {
        invalidate_other(&node).await;
    }
    let since = node.cache.frontiers();
    node.store.lose(node.store.partitions().of(&acme()));
    invalidate_other(&node).await;
    assert_eq!(read(&node, since, 1).await.not_stored, Some(NotStored::ReadBefore));
}

/// Two readers of one value whose facts were read before both: the second must not be given it.
async fn check_is_not_shared(since: impl AsyncFnOnce(&Node) -> PositionSet) {
    let node = Arc::new(Node::new().await);
    let since = since(&node).await;
    node.invalidate().await;
    let (release, released) = oneshot::channel::<()>();
    let first = node.clone();
    let load = move || async move {
        let _ = released.await;
        Ok(value(1).read_since(since))
    };
    let leading = tokio::spawn(async move { first.read_with(&POLICY, load).await });
    settle().await;
    let second = node.clone();
    let joining = tokio::spawn(async move { second.read(&POLICY, Ok(2)).await });
    settle().await;
    release.send(()).unwrap();
    let leading = leading.await.unwrap();
    check(&leading, ABSENT, 1);
    check(&joining.await.unwrap(), ABSENT, 2);
    check(&node.read(&POLICY, Ok(3)).await, Verdict::Hit, 2);
    assert_eq!(leading.unwrap().not_stored, Some(NotStored::ReadBefore));
}

#[tokio::test]
async fn what_has_changed_since_goes_to_its_own_reader_only() {
    check_is_not_shared(async |node| node.cache.frontiers()).await;
}

#[tokio::test]
async fn what_was_read_nobody_knows_when_goes_to_its_own_reader_only() {
    check_is_not_shared(async |_| PositionSet::default()).await;
}

#[tokio::test]
async fn what_has_changed_since_makes_no_part_of_a_value_that_is_kept() {
    for is_known in [true, false] {
        let node = Arc::new(Node::new().await);
        let since = if is_known { node.cache.frontiers() } else { PositionSet::default() };
        node.invalidate().await;
        let inner = node.clone();
        // The outer load begins after the change, so its own base says nothing of it.
        let load = move || async move {
            let part = read(&inner, since, 1).await;
            Ok::<_, String>(Loaded::value(part.value().unwrap().clone()))
        };
        let key = page(&acme(), "outer");
        let outer = node.cache.fetch(&key, &POLICY, &ReadOptions::default(), load).await.unwrap();
        assert_eq!(outer.not_stored, Some(NotStored::ReadBefore));
        assert!(node.cache.peek(&key).is_none());
    }
}

/// However it is refused otherwise, which alone would leave it fit to be a part.
#[tokio::test]
async fn what_is_not_kept_for_another_reason_is_no_part_either() {
    let node = Arc::new(Node::new().await);
    let since = node.cache.frontiers();
    node.invalidate().await;
    let off = POLICY.on(false);
    let load = move || async move { Ok(value(1).read_since(since)) };
    assert_eq!(node.read_with(&off, load).await.unwrap().not_stored, Some(NotStored::ReadBefore));
}
