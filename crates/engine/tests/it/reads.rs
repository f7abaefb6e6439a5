//! What a read does, case by case: verdicts with reasons, flights, limits, and without a store.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use unstale::{
    BypassReason, Cache, CacheLimits, Event, FetchError, Fetched, InvalidateError, Invalidation, Loaded, MemoryLimits,
    MemoryStore, MissReason, NotStored, Observer, Policy, PositionSet, ReadOptions, Tag, Verdict,
    position::{Position, Sequence},
    record,
    testing::{DistantStore, Faults},
    time::ManualTime,
};

use crate::world::{Page, acme, page};

pub(crate) type Answer = Result<Fetched<Page>, FetchError<String>>;

pub(crate) struct Node {
    pub(crate) cache: Cache,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) time: Arc<ManualTime>,
    pub(crate) seen: Arc<Seen>,
}

/// Everything the cache told.
#[derive(Default)]
pub(crate) struct Seen(pub(crate) Mutex<Vec<String>>);

impl Observer for Seen {
    fn on_event(&self, event: &Event<'_>) {
        let told = match event {
            Event::Read { verdict, .. } => format!("read {verdict}"),
            Event::Loaded { not_stored, .. } => format!("loaded {not_stored:?}"),
            Event::LoadFailed { .. } => "load failed".into(),
            Event::Joined { .. } => "joined".into(),
            Event::Applied { .. } => "applied".into(),
            Event::Skipped { .. } => "skipped".into(),
            _ => "other".into(),
        };
        self.0.lock().push(told);
    }
}

pub(crate) const POLICY: Policy = Policy::ttl(Duration::from_secs(10));

impl Node {
    pub(crate) async fn new() -> Self {
        Self::with(CacheLimits::default()).await
    }

    pub(crate) async fn with(limits: CacheLimits) -> Self {
        let store = Arc::new(MemoryStore::new(MemoryLimits { entry_bytes_max: 1 << 20, ..MemoryLimits::default() }));
        let (time, seen) = (Arc::new(ManualTime::default()), Arc::new(Seen::default()));
        let cache = Cache::builder(store.clone()).limits(limits).time(time.clone()).observer(seen.clone());
        Self { cache: cache.build().await.unwrap(), store, time, seen }
    }

    pub(crate) async fn read(&self, policy: &Policy, load: Result<u64, &'static str>) -> Answer {
        self.read_with(policy, move || async move { load.map(value).map_err(str::to_owned) }).await
    }

    pub(crate) async fn read_with<L>(&self, policy: &Policy, load: impl FnOnce() -> L + Send + 'static) -> Answer
    where
        L: Future<Output = Result<Loaded<Page>, String>> + Send + 'static,
    {
        self.cache.fetch(&page(&acme(), 1), policy, &ReadOptions::default(), load).await
    }

    pub(crate) async fn invalidate(&self) -> PositionSet {
        self.cache.invalidate(&Invalidation::of([tag()])).await.unwrap()
    }

    pub(crate) async fn purge(&self) -> PositionSet {
        self.cache.invalidate(&Invalidation::of([tag()]).purging()).await.unwrap()
    }
}

pub(crate) fn tag() -> Tag {
    Tag::of(&acme(), "fact", 1)
}

pub(crate) fn value(version: u64) -> Loaded<Page> {
    record(&tag());
    Loaded::value(Page { saw: vec![(1, version)] })
}

#[track_caller]
pub(crate) fn check(answer: &Answer, verdict: Verdict, version: u64) {
    let answer = answer.as_ref().expect("an answer");
    assert_eq!((answer.verdict, answer.value().unwrap().saw[0].1), (verdict, version));
}

pub(crate) const ABSENT: Verdict = Verdict::Miss(MissReason::Absent);
pub(crate) const INVALIDATED: Verdict = Verdict::Miss(MissReason::Invalidated);
pub(crate) const EXPIRED: Verdict = Verdict::Miss(MissReason::Expired);

#[tokio::test]
async fn a_value_is_loaded_once_until_its_tag_is_invalidated_or_its_time_is_over() {
    let node = Node::new().await;
    check(&node.read(&POLICY, Ok(1)).await, ABSENT, 1);
    check(&node.read(&POLICY, Ok(2)).await, Verdict::Hit, 1);
    node.invalidate().await;
    check(&node.read(&POLICY, Ok(3)).await, INVALIDATED, 3);
    check(&node.read(&POLICY, Ok(4)).await, Verdict::Hit, 3);
    node.time.advance(POLICY.ttl);
    check(&node.read(&POLICY, Ok(5)).await, EXPIRED, 5);
    assert_eq!(
        *node.seen.0.lock(),
        [
            "loaded None",
            "read MISS (absent)",
            "read HIT",
            "applied",
            "loaded None",
            "read MISS (invalidated)",
            "read HIT",
            "loaded None",
            "read MISS (expired)"
        ]
    );
}

#[tokio::test]
async fn an_invalidation_that_meets_a_running_load_wins() {
    let node = Node::new().await;
    let (started, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (started, release) = (started.clone(), release.clone());
        node.read_with(&POLICY, move || async move {
            let loaded = value(1);
            started.notify_one();
            release.notified().await;
            Ok(loaded)
        })
    };
    let race = async {
        started.notified().await;
        node.invalidate().await;
        release.notify_one();
    };
    let (first, ()) = tokio::join!(slow, race);
    // It goes to the one who began before the write, and to nobody else.
    assert_eq!(first.as_ref().unwrap().not_stored, Some(NotStored::Overtaken));
    check(&first, ABSENT, 1);
    check(&node.read(&POLICY, Ok(2)).await, ABSENT, 2);
}

#[tokio::test]
async fn many_readers_of_one_key_load_once() {
    let node = Arc::new(Node::new().await);
    let loads = Arc::new(AtomicUsize::new(0));
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let (node, loads) = (node.clone(), loads.clone());
        readers.spawn(async move {
            node.read_with(&POLICY, move || async move {
                loads.fetch_add(1, SeqCst);
                tokio::task::yield_now().await;
                Ok(value(1))
            })
            .await
            .unwrap()
            .collapsed
        });
    }
    let collapsed = readers.join_all().await.into_iter().filter(|collapsed| *collapsed).count();
    assert_eq!((loads.load(SeqCst), collapsed), (1, 999));
}

#[tokio::test]
async fn a_reader_who_goes_away_takes_nothing_from_those_who_wait() {
    let node = Arc::new(Node::new().await);
    let (release, released) = oneshot::channel::<()>();
    let (first, second) = (node.clone(), node.clone());
    let leader = tokio::spawn(async move {
        first
            .read_with(&POLICY, move || async move {
                let _ = released.await;
                Ok(value(1))
            })
            .await
    });
    tokio::task::yield_now().await;
    let waiting = tokio::spawn(async move { second.read(&POLICY, Ok(2)).await });
    tokio::task::yield_now().await;
    leader.abort();
    let _ = release.send(());
    let answer = waiting.await.unwrap();
    assert!(answer.as_ref().unwrap().collapsed);
    check(&answer, ABSENT, 1);
}

#[tokio::test]
async fn a_reader_who_needs_a_newer_position_does_not_join_an_older_load() {
    let node = Arc::new(Node::new().await);
    let (release, released) = oneshot::channel::<()>();
    let slow = node.clone();
    let old = tokio::spawn(async move {
        slow.read_with(&POLICY, move || async move {
            let _ = released.await;
            Ok(value(1))
        })
        .await
    });
    tokio::task::yield_now().await;
    let at_least = node.cache.invalidate(&Invalidation::of([Tag::of(&acme(), "unrelated", 1)])).await.unwrap();
    let load = || async { Ok::<_, String>(value(2)) };
    let new = node.cache.fetch(&page(&acme(), 1), &POLICY, &ReadOptions { at_least }, load).await;
    check(&new, ABSENT, 2);
    let _ = release.send(());
    check(&old.await.unwrap(), ABSENT, 1);
    // The older load must not have put its value over the newer one.
    check(&node.read(&POLICY, Ok(3)).await, Verdict::Hit, 2);
}

#[tokio::test]
async fn failures_are_the_callers_own_and_are_not_kept() {
    let node = Node::new().await;
    assert_eq!(node.read(&POLICY, Err("database away")).await.unwrap_err(), FetchError::Load("database away".into()));
    let panicking = node.read_with(&POLICY, || async { panic!("a bug in the loader") }).await;
    assert_eq!(panicking.unwrap_err(), FetchError::Aborted);
    check(&node.read(&POLICY, Ok(1)).await, ABSENT, 1);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_takes_too_long_is_told_so_to_all() {
    let node = Node::new().await;
    let forever = || async { std::future::pending().await };
    let (one, two) = tokio::join!(node.read_with(&POLICY, forever), node.read_with(&POLICY, forever));
    assert_eq!((one.unwrap_err(), two.unwrap_err()), (FetchError::TimedOut, FetchError::TimedOut));
}

#[tokio::test]
async fn more_waiters_than_the_limit_load_for_themselves() {
    let node = Arc::new(Node::with(CacheLimits { waiters_max: 1, ..CacheLimits::default() }).await);
    let readers = (0..4).map(|_| {
        let node = node.clone();
        async move {
            let slow = || async {
                tokio::task::yield_now().await;
                Ok(value(1))
            };
            node.read_with(&POLICY, slow).await.unwrap().verdict
        }
    });
    let verdicts = futures_util::future::join_all(readers).await;
    let full = verdicts.iter().filter(|verdict| **verdict == Verdict::Bypass(BypassReason::TooManyWaiters)).count();
    assert_eq!(full, 2);
}

#[tokio::test]
async fn without_an_answer_from_the_store_reads_go_to_the_loader_and_writes_are_told() {
    let near = Arc::new(MemoryStore::default());
    let far = Arc::new(DistantStore::new(near, 1));
    let time = Arc::new(ManualTime::default());
    let cache = Cache::builder(far.clone()).time(time.clone()).build().await.unwrap();
    let load = |version| move || async move { Ok::<_, String>(value(version)) };
    let read = |version| {
        let cache = cache.clone();
        async move { cache.fetch(&page(&acme(), 1), &POLICY, &ReadOptions::default(), load(version)).await }
    };
    check(&read(1).await, ABSENT, 1);
    far.set_faults(Faults { lost_requests_percent: 100, lost_answers_percent: 0 });
    check(&read(2).await, Verdict::Hit, 1);
    // Beyond the bound the view is unconfirmed: not fresh, whatever it says.
    time.advance(Duration::from_millis(1001));
    let failed = Verdict::Bypass(BypassReason::StoreFailed);
    check(&read(3).await, failed, 3);
    far.set_faults(Faults::default());
    check(&read(4).await, Verdict::Hit, 3);
    far.set_faults(Faults { lost_requests_percent: 100, lost_answers_percent: 0 });
    let told = cache.invalidate(&Invalidation::of([tag()])).await.unwrap_err();
    assert!(matches!(told, InvalidateError::Pending { wanted: 1, .. }), "{told}");
    // This node knows better at once, and keeps nothing that the record, once it is there, may contradict.
    check(&read(5).await, failed, 5);
    check(&read(6).await, failed, 6);
    far.set_faults(Faults::default());
    cache.record_all_pending().await.unwrap();
    assert_eq!(cache.pending_invalidations(), 0);
    check(&read(7).await, INVALIDATED, 7);
    check(&read(8).await, Verdict::Hit, 7);
}

#[tokio::test]
async fn a_position_of_no_partition_demands_nothing() {
    let node = Node::new().await;
    let load = || async { Ok::<_, String>(value(1)) };
    for text in ["3ff.1.1", "0.1.ffffffffffffffff"] {
        let options = ReadOptions { at_least: text.parse().unwrap() };
        node.cache.fetch(&page(&acme(), 1), &POLICY, &options, load).await.unwrap();
    }
}

#[tokio::test]
async fn a_position_that_nothing_was_acknowledged_with_is_no_reason_to_load_alone() {
    let node = Node::new().await;
    let mut at_least = node.invalidate().await;
    let position = *at_least.iter().next().unwrap();
    at_least.add(Position { sequence: Sequence::from_u64(1 << 40), ..position });
    let (options, loads) = (ReadOptions { at_least }, Arc::new(AtomicUsize::new(0)));
    let key = page(&acme(), 1);
    let readers = (0..100).map(|_| {
        let loads = loads.clone();
        node.cache.fetch(&key, &POLICY, &options, move || async move {
            loads.fetch_add(1, SeqCst);
            tokio::task::yield_now().await;
            Ok::<_, String>(value(1))
        })
    });
    assert!(futures_util::future::join_all(readers).await.into_iter().all(|answer| answer.is_ok()));
    assert_eq!(loads.load(SeqCst), 1);
}

#[tokio::test]
async fn a_value_lives_no_longer_in_memory_because_the_clock_of_who_loaded_it_is_ahead() {
    let limits = MemoryLimits { entry_bytes_max: 1 << 20, ..MemoryLimits::default() };
    let store = Arc::new(DistantStore::new(Arc::new(MemoryStore::new(limits)), 1));
    let ahead = Arc::new(ManualTime::default());
    ahead.advance(Duration::from_secs(3600));
    let time = Arc::new(ManualTime::default());
    let there = Cache::builder(store.clone()).time(ahead).build().await.unwrap();
    let here = Cache::builder(store).time(time.clone()).build().await.unwrap();
    let read = async |cache: &Cache, policy: &Policy, version| {
        let load = move || async move { Ok::<_, String>(value(version)) };
        cache.fetch(&page(&acme(), 1), policy, &ReadOptions::default(), load).await
    };
    check(&read(&there, &POLICY, 1).await, ABSENT, 1);
    settle().await;
    check(&read(&here, &POLICY, 2).await, Verdict::Hit, 1);
    time.advance(POLICY.ttl);
    // What the store holds ends by the store's own clock.
    check(&read(&here, &Policy { uses_store: false, ..POLICY }, 3).await, EXPIRED, 3);
}

/// What a node that starts makes of an entry that another one stored before `records` were told, `of_the_fact` after it.
async fn at_a_start(records: usize, of_the_fact: bool) -> Verdict {
    let limits = MemoryLimits { entry_bytes_max: 1 << 20, log_records_max: 1000, ..MemoryLimits::default() };
    let store = Arc::new(DistantStore::new(Arc::new(MemoryStore::new(limits)), 1));
    let node = async || Cache::builder(store.clone()).build().await.unwrap();
    let read = async |cache: &Cache| {
        let load = || async { Ok::<_, String>(value(1)) };
        cache.fetch(&page(&acme(), 1), &POLICY, &ReadOptions::default(), load).await.unwrap().verdict
    };
    let old = node().await;
    assert_eq!(read(&old).await, ABSENT);
    settle().await;
    for number in 0..records {
        let told = if of_the_fact && number == 0 { tag() } else { Tag::of(&acme(), "unrelated", number) };
        old.invalidate(&Invalidation::of([told])).await.unwrap();
    }
    read(&node().await).await
}

#[tokio::test]
async fn a_node_that_starts_judges_what_others_stored_as_they_do_while_the_log_reaches_back() {
    for records in [0, 1, 900] {
        assert_eq!(at_a_start(records, false).await, Verdict::Hit, "{records}");
    }
    for records in [1, 900] {
        assert_eq!(at_a_start(records, true).await, INVALIDATED, "{records}");
    }
    // What lies before all that the log holds, nobody can judge any more.
    for of_the_fact in [false, true] {
        assert_eq!(at_a_start(1100, of_the_fact).await, Verdict::Miss(MissReason::BelowFloor));
    }
}

#[tokio::test]
async fn memory_can_be_cleared_and_entries_removed() {
    let node = Node::new().await;
    node.read(&POLICY, Ok(1)).await.unwrap();
    assert_eq!(node.cache.size().entries, 1);
    assert!(node.cache.tenant_bytes(&acme()) > 0);
    node.cache.remove(&page(&acme(), 1)).await.unwrap();
    check(&node.read(&POLICY, Ok(2)).await, ABSENT, 2);
    node.cache.clear_memory();
    assert_eq!((node.cache.size().entries, node.cache.tenant_bytes(&acme())), (0, 0));
}

/// Lets tasks that were spawned run to their end.
pub(crate) async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn whoever_joined_a_load_and_knows_nothing_of_its_error_is_told_that_it_ended() {
    let node = Arc::new(Node::new().await);
    let (end, ended) = oneshot::channel::<()>();
    let first = node.clone();
    let leading = tokio::spawn(async move {
        let load = move || async move {
            let _ = ended.await;
            Err("away".to_owned())
        };
        first.read_with(&POLICY, load).await
    });
    settle().await;
    let second = node.clone();
    let joining = tokio::spawn(async move {
        let load = || async { Err::<Loaded<Page>, u32>(7) };
        second.cache.fetch(&page(&acme(), 1), &POLICY, &ReadOptions::default(), load).await
    });
    settle().await;
    end.send(()).unwrap();
    assert_eq!(leading.await.unwrap().unwrap_err(), FetchError::Load("away".to_owned()));
    assert_eq!(joining.await.unwrap().unwrap_err(), FetchError::Aborted);
}
