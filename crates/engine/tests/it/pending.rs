//! Invalidations that the store did not take: kept, said again, and bound to at once. Time stands unless it is moved.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use futures_util::FutureExt as _;
use unstale::{
    BreakerPer, Cache, CacheLimits, InvalidateError, Invalidation, Loaded, MemoryLimits, MemoryStore, MissReason, Mode,
    PendingLimits, Policy, PositionSet, ReadOptions, Resilience, StaleReason, StoreError, Tag, Tenant, Verdict,
    position::PartitionCount,
    store::Store,
    testing::{Faults, Trouble},
};

use crate::{
    resilience::{AWAY, Node, POLICY, plain, settle, tag, value},
    world::{Page, acme, page},
};

#[tokio::test(start_paused = true)]
async fn invalidations_that_cannot_be_recorded_are_kept_in_order_and_bind_this_node_at_once() {
    let node = Node::new(plain()).await;
    node.read(&POLICY, 1).await;
    assert_eq!(node.read(&POLICY, 1).await, Verdict::Hit);
    node.far.set_faults(AWAY);
    for note in ["a", "b", "c"] {
        let told = node.invalidate(note).await.unwrap_err();
        assert!(matches!(told, InvalidateError::Pending { wanted: 1, .. }), "{told}");
    }
    assert_eq!((node.cache.pending_invalidations(), node.told.waiting.load(SeqCst)), (3, 3));
    assert_ne!(node.read(&POLICY, 2).await, Verdict::Hit);
    node.far.set_faults(Faults::default());
    // The fourth finds the store back: those before it go first.
    let reached = node.invalidate("d").await.unwrap();
    assert_eq!(*node.told.notes.lock(), ["a", "b", "c", "d"]);
    assert_eq!((node.cache.pending_invalidations(), node.told.waiting.load(SeqCst)), (0, 0));
    assert_eq!(PositionSet::from(node.cache.frontier(&acme())), reached);
    assert_eq!(node.read(&POLICY, 3).await, Verdict::Miss(MissReason::Invalidated));
    assert_eq!(node.read(&POLICY, 3).await, Verdict::Hit);
}

/// What this node may give on as stale is purged while the store is away, and given on neither then nor when that is back.
async fn purge_while_away(node: &Node, policy: &Policy) {
    let never = || async { Err::<Loaded<Page>, _>("away".to_owned()) };
    assert_eq!(node.read_with(policy, never).await.unwrap().verdict, Verdict::Stale(StaleReason::Invalidated));
    node.cache.invalidate(&Invalidation::of([tag()]).purging()).await.unwrap_err();
    assert!(node.read_with(policy, never).await.is_err());
    node.far.set_faults(Faults::default());
    node.time.advance(Duration::from_secs(61));
    node.cache.record_all_pending().await.unwrap();
    assert!(node.read_with(policy, never).await.is_err());
}

/// Where staleness is allowed, what waits is no more than stale; unless it is a purge, which stays one in the log.
#[tokio::test(start_paused = true)]
async fn a_purge_that_waits_is_one_already_and_is_recorded_as_one() {
    let policy = POLICY.mode(Mode::StaleOk(Duration::from_secs(600)));
    let node = Node::new(plain()).await;
    let other = Cache::builder(node.near.clone()).time(node.time.clone()).build().await.unwrap();
    node.read(&policy, 1).await;
    let read_other = async |version| {
        let load = move || async move { Ok::<_, String>(value(version)) };
        other.fetch(&page(&acme(), 1), &policy, &ReadOptions::default(), load).await.unwrap().verdict
    };
    assert_eq!(read_other(2).await, Verdict::Hit);
    node.far.set_faults(AWAY);
    node.invalidate("kept").await.unwrap_err();
    purge_while_away(&node, &policy).await;
    assert!(other.catch_up(&acme()).await);
    assert_eq!(read_other(3).await, Verdict::Miss(MissReason::Invalidated));
}

/// Neither while it waits as a part of everything, nor after: by the new epoch nobody can tell what was purged.
#[tokio::test(start_paused = true)]
async fn a_purge_among_more_than_may_wait_is_not_forgotten() {
    let policy = POLICY.mode(Mode::StaleOk(Duration::from_secs(600)));
    let pending = PendingLimits { records_max: 3, ..PendingLimits::default() };
    let node = Node::with(plain(), CacheLimits { pending, ..CacheLimits::default() }, Node::store()).await;
    node.read(&policy, 1).await;
    node.far.set_faults(AWAY);
    for _ in 0..4 {
        node.invalidate("kept").await.unwrap_err();
    }
    purge_while_away(&node, &policy).await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_recorded_without_anybody_asking() {
    let node = Node::new(plain()).await;
    let other = Cache::builder(node.near.clone()).build().await.unwrap();
    node.far.set_faults(AWAY);
    node.invalidate("kept").await.unwrap_err();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(node.cache.pending_invalidations(), 1);
    node.far.set_faults(Faults::default());
    // The breaker opened meanwhile; its minute is by the cache's clock.
    node.time.advance(Duration::from_secs(61));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(node.cache.pending_invalidations(), 0);
    let load = || async { Ok::<_, String>(value(1)) };
    other.fetch(&page(&acme(), 1), &POLICY, &ReadOptions::default(), load).await.unwrap();
    assert_eq!(other.frontier(&acme()), node.cache.frontier(&acme()));
}

#[tokio::test(start_paused = true)]
async fn more_than_may_wait_declares_everything_wrong_instead() {
    let pending = PendingLimits { records_max: 3, ..PendingLimits::default() };
    let node = Node::with(plain(), CacheLimits { pending, ..CacheLimits::default() }, Node::store()).await;
    let read_other = |version| async move { Ok::<_, String>(Loaded::value(Page { saw: vec![(2, version)] })) };
    let other = async |version| {
        let options = ReadOptions::default();
        node.cache.fetch(&page(&acme(), 2), &POLICY, &options, move || read_other(version)).await.unwrap().verdict
    };
    other(1).await;
    node.far.set_faults(AWAY);
    for _ in 0..3 {
        node.invalidate("kept").await.unwrap_err();
    }
    assert_eq!(other(1).await, Verdict::Hit, "it has nothing to do with what waits");
    for _ in 0..100 {
        node.invalidate("one too many").await.unwrap_err();
    }
    assert!(node.cache.pending_invalidations() <= 3);
    assert_ne!(other(2).await, Verdict::Hit, "now everything of the tenant's partition is suspect");
    node.far.set_faults(Faults::default());
    node.time.advance(Duration::from_secs(61));
    node.cache.record_all_pending().await.unwrap();
    assert_eq!(node.told.skipped.load(SeqCst), 1, "observers are told that they cannot know");
    assert_eq!(other(3).await, Verdict::Miss(MissReason::EpochChanged));
    assert_eq!(other(4).await, Verdict::Hit);
}

#[tokio::test(start_paused = true)]
async fn who_keeps_an_outbox_is_told_to_say_it_again() {
    let pending = PendingLimits { records_max: 0, ..PendingLimits::default() };
    let node = Node::with(plain(), CacheLimits { pending, ..CacheLimits::default() }, Node::store()).await;
    node.far.set_faults(AWAY);
    let told = node.invalidate("mine").await.unwrap_err();
    assert!(matches!(told, InvalidateError::NotRecorded { .. }), "{told}");
    assert_eq!(node.cache.pending_invalidations(), 0);
}

#[tokio::test(start_paused = true)]
async fn in_some_partitions_only() {
    let node = Node::new(Resilience { breaker_per: BreakerPer::Partition, ..plain() }).await;
    let globex = (0..).map(|number| Tenant::new(format!("globex{number}")).unwrap());
    let partitions = node.near.partitions();
    let globex = globex.into_iter().find(|tenant| partitions.of(tenant) != partitions.of(&acme())).unwrap();
    // One tenant's breaker is open, the others' are not.
    node.far.set_faults(AWAY);
    for _ in 0..5 {
        node.invalidate("acme's").await.unwrap_err();
    }
    node.far.set_faults(Faults::default());
    let both = Invalidation::of([tag(), Tag::of(&globex, "fact", 1)]);
    let told = node.cache.invalidate(&both).await.unwrap_err();
    let InvalidateError::Pending { recorded, wanted: 2, source: StoreError::Open } = told else { panic!("{told}") };
    assert_eq!(recorded, PositionSet::from(node.cache.frontier(&globex)));
    node.time.advance(Duration::from_secs(60));
    node.cache.record_all_pending().await.unwrap();
    assert_eq!(node.told.notes.lock().iter().filter(|note| !note.is_empty()).count(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_away_holds_up_no_other() {
    let node = Node::new(Resilience { breaker_per: BreakerPer::Partition, ..plain() }).await;
    let partitions: Vec<_> = node.near.partitions().all().collect();
    node.far.set_faults(AWAY);
    node.cache.invalidate(&Invalidation::of([Tag::shared("rates", 1)])).await.unwrap_err();
    assert_eq!(node.cache.pending_invalidations(), partitions.len());
    node.far.set_faults(Faults::default());
    node.far.set_troubles(vec![(partitions[0], Trouble::Fails)]);
    let told = node.cache.record_all_pending().await.unwrap_err();
    assert!(matches!(told, StoreError::Unavailable(_)), "{told}");
    assert_eq!(node.cache.pending_invalidations(), 1, "only what the partition that is away does not take");
    node.far.set_troubles(Vec::new());
    node.cache.record_all_pending().await.unwrap();
    assert_eq!(node.cache.pending_invalidations(), 0);
}

/// A web server drops a request whose client has left; the write was committed all the same.
#[tokio::test(start_paused = true)]
async fn an_invalidation_that_nobody_waits_for_any_more_is_kept() {
    let node = Node::new(plain()).await;
    node.read(&POLICY, 1).await;
    node.far.set_stalled(true);
    assert!(node.invalidate("left").now_or_never().is_none());
    assert_eq!(node.cache.pending_invalidations(), 1, "it binds this node at once");
    node.far.set_stalled(false);
    node.cache.record_all_pending().await.unwrap();
    assert_eq!((node.cache.pending_invalidations(), &**node.told.notes.lock()), (0, &["left".to_owned()][..]));
    assert_eq!(node.read(&POLICY, 2).await, Verdict::Miss(MissReason::Invalidated));
}

/// Dropped wherever it waits: before the store, while its record is read, or with others waiting before it.
#[tokio::test(start_paused = true)]
async fn wherever_an_invalidation_is_dropped_it_is_not_lost() {
    for polls in 1..60 {
        let node = Node::new(plain()).await;
        node.read(&POLICY, 1).await;
        let large: Vec<Tag> = (2..400).map(|id| Tag::of(&acme(), "fact", id)).chain([tag()]).collect();
        let invalidation = Invalidation::of(large);
        let mut invalidating = Box::pin(node.cache.invalidate(&invalidation));
        let ended = (0..polls).any(|_| (&mut invalidating).now_or_never().is_some());
        drop(invalidating);
        assert_ne!(node.read(&POLICY, 2).await, Verdict::Hit, "after {polls} polls");
        node.cache.record_all_pending().await.unwrap();
        assert_eq!(node.cache.pending_invalidations(), 0);
        node.read(&POLICY, 3).await;
        assert_eq!(node.read(&POLICY, 4).await, Verdict::Hit);
        if ended {
            return;
        }
    }
    panic!("it ends some time");
}

/// More partitions than are appended to at once: those that were not begun with are kept, too.
#[tokio::test(start_paused = true)]
async fn a_shared_invalidation_that_is_dropped_is_kept_in_every_partition() {
    let partitions = PartitionCount::new(128).unwrap();
    let store = Arc::new(MemoryStore::new(MemoryLimits { partitions, ..MemoryLimits::default() }));
    let node = Node::with(plain(), CacheLimits::default(), store).await;
    node.far.set_stalled(true);
    let shared = Invalidation::of([Tag::shared("rates", 1)]);
    assert!(node.cache.invalidate(&shared).now_or_never().is_none());
    assert_eq!(node.cache.pending_invalidations(), 128);
    node.far.set_stalled(false);
    settle().await;
    node.cache.record_all_pending().await.unwrap();
    assert_eq!(node.cache.pending_invalidations(), 0);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_kept_a_dropped_invalidation_is_not_either() {
    let pending = PendingLimits { records_max: 0, ..PendingLimits::default() };
    let node = Node::with(plain(), CacheLimits { pending, ..CacheLimits::default() }, Node::store()).await;
    node.far.set_stalled(true);
    assert!(node.invalidate("mine").now_or_never().is_none());
    assert_eq!(node.cache.pending_invalidations(), 0, "an outbox says it again");
}
