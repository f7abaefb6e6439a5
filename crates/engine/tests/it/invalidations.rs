//! What an invalidation is in the log, and who hears of it.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use unstale::{Cache, Invalidation, PositionSet, Tag, store::Store};

use crate::{
    reads::{INVALIDATED, Node, POLICY, check, settle, tag},
    world::acme,
};

#[tokio::test]
async fn following_the_log_tells_observers_without_a_reader() {
    let node = Node::new().await;
    let other = Cache::builder(node.store.clone()).build().await.unwrap();
    let following = node.cache.clone();
    let follower = tokio::spawn(async move { following.follow(Duration::from_secs(60)).await });
    tokio::task::yield_now().await;
    let reached = other.invalidate(&Invalidation::of([tag()])).await.unwrap();
    settle().await;
    assert_eq!(PositionSet::from(node.cache.frontier(&acme())), reached);
    assert!(node.seen.0.lock().contains(&"applied".to_owned()));
    follower.abort();
}

#[tokio::test]
async fn an_invalidation_too_large_for_one_record_takes_several() {
    let node = Node::new().await;
    let tags: Vec<Tag> = (0..600).map(|id| Tag::of(&acme(), "fact", id)).collect();
    node.read(&POLICY, Ok(1)).await.unwrap();
    let before = node.cache.frontier(&acme()).sequence.as_u64();
    node.cache.invalidate(&Invalidation::of(tags)).await.unwrap();
    assert_eq!(node.cache.frontier(&acme()).sequence.as_u64() - before, 3);
    check(&node.read(&POLICY, Ok(2)).await, INVALIDATED, 2);
    assert!(node.cache.invalidate(&Invalidation::of([tag()]).note(vec![b'x'; 5000])).await.is_err());
}

#[tokio::test]
async fn a_shared_tag_reaches_every_partition() {
    let node = Node::new().await;
    let shared = Tag::shared("client", 1);
    let reached = node.cache.invalidate(&Invalidation::of([shared])).await.unwrap();
    assert_eq!(reached.iter().count(), node.store.partitions().all().len());
}

/// Of a change that one partition has heard of and another not yet, each tells what it knows.
#[tokio::test]
async fn a_shared_fact_has_changed_anywhere_as_soon_as_one_partition_knows() {
    let node = Node::new().await;
    let partitions = node.store.partitions();
    let other = partitions.all().find(|other| *other != partitions.of(&acme())).unwrap();
    let (fact, before) = ([Tag::shared("user", 1)], node.cache.frontiers());
    assert!(!node.cache.has_changed_anywhere(&acme(), &fact, &before));
    node.store.append(other, vec![fact[0].id()], Bytes::new()).await.unwrap();
    let followed = node.cache.follow(Duration::from_secs(1)).now_or_never();
    assert!(followed.is_none(), "it follows for ever");
    assert!(!node.cache.has_changed(&acme(), &fact, &before), "the tenant's partition has not heard of it");
    assert!(node.cache.has_changed_anywhere(&acme(), &fact, &before));
    assert!(!node.cache.has_changed_anywhere(&acme(), &fact, &node.cache.frontiers()));
    assert!(node.cache.has_changed_anywhere(&acme(), &fact, &PositionSet::default()), "nothing can be known");
}
