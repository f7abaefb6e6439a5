//! What an invalidation is in the log, and who hears of it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;
use unstale::{
    Cache, Explanation, Invalidation, Loaded, MemoryLimits, MemoryStore, PositionSet, ReadOptions, Tag,
    position::{Partition, PartitionCount},
    store::Store,
    testing::{DistantStore, Faults, Trouble},
};

use crate::{
    reads::{INVALIDATED, Node, POLICY, check, settle, tag},
    world::{Page, acme, page},
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

/// As when servers hang: they are asked, and never answer.
#[tokio::test(start_paused = true)]
async fn partitions_that_hang_keep_nobody_from_hearing_of_the_others() {
    let partitions = PartitionCount::new(128).unwrap();
    let store = Arc::new(MemoryStore::new(MemoryLimits { partitions, ..MemoryLimits::default() }));
    let far = Arc::new(DistantStore::new(store.clone(), 1));
    let cache = Cache::builder(far.clone()).build().await.unwrap();
    let other = Cache::builder(store.clone()).build().await.unwrap();
    // All but one.
    let hang: Vec<Partition> = partitions.all().filter(|partition| *partition != partitions.of(&acme())).collect();
    far.set_troubles(hang.iter().map(|partition| (*partition, Trouble::Hangs)).collect());
    let following = cache.clone();
    tokio::spawn(async move { following.follow(Duration::from_secs(1)).await });
    settle().await;
    for round in 0..3 {
        // One that hangs moves too, and by which record is not said: so its log is asked.
        store.append(hang[0], vec![tag().id()], Bytes::new()).await.unwrap();
        far.moves().source().note(hang[0]);
        settle().await;
        let reached = other.invalidate(&Invalidation::of([tag()])).await.unwrap();
        settle().await;
        assert_eq!(PositionSet::from(cache.frontier(&acme())), reached, "round {round}");
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let asked = far.requests();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(far.requests() - asked >= 9, "nor from confirming them");
    far.set_troubles(Vec::new());
    settle().await;
    let heads = Cache::builder(store).build().await.unwrap().frontiers();
    assert_eq!(cache.frontiers(), heads, "what hung is caught up with");
}

/// By more than is read from the log at once: the last of what was read is then not the last there is.
#[tokio::test]
async fn a_node_that_is_far_behind_follows_the_log_to_its_end_before_it_judges() {
    let node = Node::new().await;
    node.read(&POLICY, Ok(1)).await.unwrap();
    let (partition, other) = (node.store.partitions().of(&acme()), Tag::of(&acme(), "fact", 2));
    for tag in std::iter::repeat_n(other, 600).chain([tag()]) {
        node.store.append(partition, vec![tag.id()], Bytes::new()).await.unwrap();
    }
    check(&node.read(&POLICY, Ok(2)).await, INVALIDATED, 2);
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

#[tokio::test]
async fn an_explanation_says_what_the_view_knows_of_the_facts_behind_a_value() {
    let node = Node::new().await;
    let read = node.read(&POLICY, Ok(1)).await.unwrap();
    let before = node.cache.explain(read.base(), read.tags());
    assert_eq!((before.frontier, &before.clocks[..], before.is_pending), (read.base(), &[][..], false));
    assert_eq!(before.floor, read.base().sequence, "the view begins there");
    assert!(before.holds_for(read.base()));
    let reached = node.invalidate().await;
    let after = node.cache.explain(read.base(), read.tags());
    assert_eq!(PositionSet::from(after.frontier), reached);
    assert_eq!(after.clocks, [(tag().id(), after.frontier.sequence)]);
    assert!(!after.holds_for(read.base()));
    assert!(after.purges.is_empty() && !after.is_purged_for(read.base()), "invalid, and given where a policy likes it");
}

#[tokio::test]
async fn an_explanation_says_what_was_purged() {
    let node = Node::new().await;
    let read = node.read(&POLICY, Ok(1)).await.unwrap();
    node.cache.invalidate(&Invalidation::of([tag()]).purging()).await.unwrap();
    let after = node.cache.explain(read.base(), read.tags());
    assert_eq!(after.purges, [(tag().id(), after.frontier.sequence)]);
    assert!(after.is_purged_for(read.base()) && !after.is_purged_for(after.frontier));
    assert_eq!(after.purges_floor, read.base().sequence, "the view begins there");
}

#[tokio::test]
async fn an_invalidation_that_waits_is_part_of_the_explanation() {
    let far = Arc::new(DistantStore::new(Arc::new(MemoryStore::default()), 1));
    let cache = Cache::builder(far.clone()).build().await.unwrap();
    let base = cache.frontier(&acme());
    far.set_faults(Faults { lost_requests_percent: 100, lost_answers_percent: 0 });
    cache.invalidate(&Invalidation::of([tag()])).await.unwrap_err();
    let waits = |known: Explanation| (known.is_pending, known.is_purge_pending);
    assert_eq!(waits(cache.explain(base, &[tag().id()])), (true, false));
    assert_eq!(waits(cache.explain(base, &[Tag::of(&acme(), "fact", 2).id()])), (false, false));
    cache.invalidate(&Invalidation::of([tag()]).purging()).await.unwrap_err();
    assert_eq!(waits(cache.explain(base, &[tag().id()])), (true, true));
}

#[tokio::test]
async fn a_view_catches_up_when_it_is_asked_to_and_says_if_it_cannot() {
    let store = Arc::new(MemoryStore::default());
    let far = Arc::new(DistantStore::new(store.clone(), 1));
    let cache = Cache::builder(far.clone()).build().await.unwrap();
    let other = Cache::builder(store).build().await.unwrap();
    let reached = other.invalidate(&Invalidation::of([tag()])).await.unwrap();
    far.set_faults(Faults { lost_requests_percent: 100, lost_answers_percent: 0 });
    assert!(!cache.catch_up(&acme()).await);
    assert_ne!(PositionSet::from(cache.frontier(&acme())), reached);
    far.set_faults(Faults::default());
    assert!(cache.catch_up(&acme()).await);
    assert_eq!(PositionSet::from(cache.frontier(&acme())), reached);
}

#[tokio::test]
async fn what_the_store_does_not_remove_is_told_and_goes_from_memory_all_the_same() {
    let far = Arc::new(DistantStore::new(Arc::new(MemoryStore::default()), 1));
    let cache = Cache::builder(far.clone()).build().await.unwrap();
    for number in 0..3 {
        let load = move || async move { Ok::<_, String>(Loaded::value(Page { saw: Vec::new() }).tags([tag()])) };
        cache.fetch(&page(&acme(), number), &POLICY, &ReadOptions::default(), load).await.unwrap();
    }
    assert_eq!(cache.count_tagged(&[tag()], usize::MAX).entries, 3);
    far.set_faults(Faults { lost_requests_percent: 100, lost_answers_percent: 0 });
    assert!(cache.remove_tagged(&[tag()], usize::MAX).await.is_err());
    assert_eq!(cache.size().entries, 0);
}
