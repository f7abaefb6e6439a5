//! What a read does, case by case: verdicts with reasons, grace, fail-safe, flights, batches, limits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use unstale::{
    BypassReason, Cache, CacheLimits, Event, FetchError, Fetched, InvalidateError, Invalidation, L1Limits, Loaded,
    MemoryLimits, MemoryStore, MissReason, Mode, NotStored, Observer, Policy, PositionSet, ReadOptions, StaleReason,
    TAGS_MAX, Tag, Tenant, Verdict, record,
    store::Store,
    testing::{DistantStore, Faults},
    time::ManualTime,
};

use crate::world::{Page, acme, page};

type Answer = Result<Fetched<Page>, FetchError<String>>;

struct Node {
    cache: Cache,
    store: Arc<MemoryStore>,
    time: Arc<ManualTime>,
    seen: Arc<Seen>,
}

/// Everything the cache told.
#[derive(Default)]
struct Seen(Mutex<Vec<String>>);

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

const POLICY: Policy = Policy::ttl(Duration::from_secs(10));

impl Node {
    async fn new() -> Self {
        Self::with(CacheLimits::default()).await
    }

    async fn with(limits: CacheLimits) -> Self {
        let store = Arc::new(MemoryStore::new(MemoryLimits { entry_bytes_max: 1 << 20, ..MemoryLimits::default() }));
        let (time, seen) = (Arc::new(ManualTime::default()), Arc::new(Seen::default()));
        let cache = Cache::builder(store.clone()).limits(limits).time(time.clone()).observer(seen.clone());
        Self { cache: cache.build().await.unwrap(), store, time, seen }
    }

    async fn read(&self, policy: &Policy, load: Result<u64, &'static str>) -> Answer {
        self.read_with(policy, move || async move { load.map(value).map_err(str::to_owned) }).await
    }

    async fn read_with<L>(&self, policy: &Policy, load: impl FnOnce() -> L + Send + 'static) -> Answer
    where
        L: Future<Output = Result<Loaded<Page>, String>> + Send + 'static,
    {
        self.cache.fetch(&page(&acme(), 1), policy, &ReadOptions::default(), load).await
    }

    async fn invalidate(&self) -> PositionSet {
        self.cache.invalidate(&Invalidation::of([tag()])).await.unwrap()
    }
}

fn tag() -> Tag {
    Tag::of(&acme(), "fact", 1)
}

fn value(version: u64) -> Loaded<Page> {
    record(&tag());
    Loaded::value(Page { saw: vec![(1, version)] })
}

#[track_caller]
fn check(answer: &Answer, verdict: Verdict, version: u64) {
    let answer = answer.as_ref().expect("an answer");
    assert_eq!((answer.verdict, answer.value().unwrap().saw[0].1), (verdict, version));
}

const ABSENT: Verdict = Verdict::Miss(MissReason::Absent);
const INVALIDATED: Verdict = Verdict::Miss(MissReason::Invalidated);
const EXPIRED: Verdict = Verdict::Miss(MissReason::Expired);

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
async fn within_grace_the_old_value_is_served_and_one_refresh_runs() {
    let node = Node::new().await;
    let policy = POLICY.grace(Duration::from_secs(5));
    node.read(&policy, Ok(1)).await.unwrap();
    node.time.advance(policy.ttl);
    check(&node.read(&policy, Ok(2)).await, Verdict::Stale(StaleReason::Grace), 1);
    check(&node.read(&policy, Ok(3)).await, Verdict::Stale(StaleReason::Grace), 1);
    settle().await;
    check(&node.read(&policy, Ok(4)).await, Verdict::Hit, 2);
}

#[tokio::test]
async fn a_refresh_that_failed_is_tried_again_after_a_rest() {
    let node = Node::new().await;
    let policy = POLICY.grace(Duration::from_secs(5)).fail_safe_retry(Duration::from_secs(1));
    node.read(&policy, Ok(1)).await.unwrap();
    node.time.advance(policy.ttl);
    check(&node.read(&policy, Err("away")).await, Verdict::Stale(StaleReason::Grace), 1);
    settle().await;
    for _ in 0..3 {
        node.time.advance(Duration::from_millis(300));
        check(&node.read(&policy, Ok(2)).await, Verdict::Stale(StaleReason::Grace), 1);
        settle().await;
    }
    node.time.advance(Duration::from_millis(300));
    check(&node.read(&policy, Ok(3)).await, Verdict::Stale(StaleReason::Grace), 1);
    settle().await;
    check(&node.read(&policy, Ok(4)).await, Verdict::Hit, 3);
}

#[tokio::test]
async fn fail_safe_serves_the_old_value_when_loading_fails_but_never_an_invalidated_one() {
    let node = Node::new().await;
    let policy = POLICY.fail_safe(Duration::from_secs(60));
    node.read(&policy, Ok(1)).await.unwrap();
    node.time.advance(policy.ttl);
    check(&node.read(&policy, Err("away")).await, Verdict::Stale(StaleReason::FailSafe), 1);
    node.invalidate().await;
    assert_eq!(node.read(&policy, Err("away")).await.unwrap_err(), FetchError::Load("away".into()));
}

#[tokio::test]
async fn an_origin_that_is_down_is_asked_once_per_rest_and_not_by_every_read() {
    let node = Node::new().await;
    let policy = POLICY.fail_safe(Duration::from_secs(60)).fail_safe_retry(Duration::from_secs(2));
    node.read(&policy, Ok(1)).await.unwrap();
    node.time.advance(policy.ttl);
    let loads = Arc::new(AtomicUsize::new(0));
    let down = || {
        let loads = loads.clone();
        node.read_with(&policy, move || async move {
            loads.fetch_add(1, SeqCst);
            Err("down".into())
        })
    };
    for _ in 0..40 {
        check(&down().await, Verdict::Stale(StaleReason::FailSafe), 1);
        node.time.advance(Duration::from_millis(100));
    }
    assert_eq!(loads.load(SeqCst), 2, "4 seconds, 40 reads");
    // Also where the old value comes from the store each time.
    node.cache.clear_memory();
    node.time.advance(Duration::from_secs(2));
    for _ in 0..10 {
        check(&down().await, Verdict::Stale(StaleReason::FailSafe), 1);
    }
    assert_eq!(loads.load(SeqCst), 3);
    // An invalidation ends it: what is known to be wrong is no fallback, rest or not.
    node.invalidate().await;
    assert_eq!(down().await.unwrap_err(), FetchError::Load("down".into()));
}

#[tokio::test]
async fn an_invalidation_during_a_failing_load_takes_the_fail_safe_away() {
    let node = Arc::new(Node::new().await);
    let policy = POLICY.fail_safe(Duration::from_secs(60));
    node.read(&policy, Ok(1)).await.unwrap();
    node.time.advance(policy.ttl);
    let meanwhile = node.clone();
    let answer = node.read_with(&policy, move || async move {
        meanwhile.invalidate().await;
        Err("away".into())
    });
    assert_eq!(answer.await.unwrap_err(), FetchError::Load("away".into()));
}

#[tokio::test]
async fn where_staleness_is_allowed_an_invalidated_value_is_served_while_it_is_young() {
    let node = Node::new().await;
    let policy = POLICY.mode(Mode::StaleOk(Duration::from_secs(5)));
    node.read(&policy, Ok(1)).await.unwrap();
    node.invalidate().await;
    check(&node.read(&policy, Ok(2)).await, Verdict::Stale(StaleReason::Invalidated), 1);
    settle().await;
    check(&node.read(&policy, Ok(3)).await, Verdict::Hit, 2);
}

#[tokio::test]
async fn absences_are_kept_for_their_own_time_if_at_all() {
    let node = Node::new().await;
    let absent = || async {
        record(&tag());
        Ok(Loaded::absent())
    };
    let forgotten = node.read_with(&POLICY, absent).await.unwrap();
    assert_eq!((forgotten.value(), forgotten.not_stored), (None, Some(NotStored::AbsenceNotKept)));
    let policy = POLICY.negative_ttl(Duration::from_secs(2));
    node.read_with(&policy, absent).await.unwrap();
    let kept = node.read_with(&policy, absent).await.unwrap();
    assert_eq!((kept.verdict, kept.value()), (Verdict::Hit, None));
    node.invalidate().await;
    check(&node.read(&policy, Ok(1)).await, INVALIDATED, 1);
    node.invalidate().await;
    node.read_with(&policy, absent).await.unwrap();
    node.time.advance(Duration::from_secs(2));
    check(&node.read(&policy, Ok(2)).await, EXPIRED, 2);
}

type Load = Box<dyn Fn() -> Loaded<Page> + Send + Sync>;

#[tokio::test]
async fn what_cannot_be_judged_is_neither_kept_nor_shared() {
    let globex = Tenant::new("globex").unwrap();
    let cases: [(NotStored, Load); 4] = [
        (
            NotStored::TooManyTags,
            Box::new(|| {
                (0..=TAGS_MAX).for_each(|row| record(&Tag::of(&acme(), "row", row)));
                value(1)
            }),
        ),
        (NotStored::ForeignTag, Box::new(move || value(1).tags([Tag::of(&globex, "fact", 1)]))),
        (NotStored::Declined, Box::new(|| value(1).declined())),
        (
            NotStored::Declined,
            Box::new(|| {
                unstale::decline();
                value(1)
            }),
        ),
    ];
    for (reason, load) in cases {
        let node = Arc::new(Node::new().await);
        let loads = Arc::new(AtomicUsize::new(0));
        let load = Arc::new(load);
        let readers = (0..3).map(|_| {
            let (node, loads, load) = (node.clone(), loads.clone(), load.clone());
            async move {
                let counted = move || async move {
                    loads.fetch_add(1, SeqCst);
                    tokio::task::yield_now().await;
                    Ok(load())
                };
                node.read_with(&POLICY, counted).await.unwrap()
            }
        });
        for answer in futures_util::future::join_all(readers).await {
            assert_eq!((answer.not_stored, answer.collapsed), (Some(reason), false));
        }
        assert_eq!(loads.load(SeqCst), 3, "{reason} was shared");
        assert_eq!(node.cache.size().entries, 0, "{reason} was kept");
    }
}

#[tokio::test]
async fn a_value_too_large_is_served_and_not_kept() {
    let l1 = L1Limits { value_bytes_max: 16, ..L1Limits::default() };
    let node = Node::with(CacheLimits { l1, ..CacheLimits::default() }).await;
    let large = || async { Ok(Loaded::value(Page { saw: vec![(1, 1); 100] })) };
    assert_eq!(node.read_with(&POLICY, large).await.unwrap().not_stored, Some(NotStored::TooLarge));
    assert_eq!(node.cache.size().entries, 0);
}

#[tokio::test]
async fn a_loader_may_set_its_own_time() {
    let node = Node::new().await;
    let short = || async { Ok(value(1).ttl(Duration::from_secs(1))) };
    node.read_with(&POLICY, short).await.unwrap();
    node.time.advance(Duration::from_secs(1));
    check(&node.read(&POLICY, Ok(2)).await, EXPIRED, 2);
    node.invalidate().await;
    let none = || async { Ok(value(3).ttl(Duration::ZERO)) };
    assert_eq!(node.read_with(&POLICY, none).await.unwrap().not_stored, Some(NotStored::NoLifetime));
}

#[tokio::test]
async fn an_entry_made_of_entries_depends_on_all_they_depend_on() {
    let node = Arc::new(Node::new().await);
    let outer = |version: u64| {
        let node = node.clone();
        async move {
            let inner = node.clone();
            let load = move || async move {
                let part = inner.read(&POLICY.ttl_of(3), Ok(version)).await?;
                Ok::<_, FetchError<String>>(Loaded::value(part.value().unwrap().clone()))
            };
            node.cache.fetch(&page(&acme(), "outer"), &POLICY, &ReadOptions::default(), load).await.unwrap()
        }
    };
    assert_eq!(outer(1).await.verdict, ABSENT);
    assert_eq!(outer(2).await.verdict, Verdict::Hit);
    node.invalidate().await;
    let again = outer(3).await;
    assert_eq!((again.verdict, again.value().unwrap().saw[0].1), (INVALIDATED, 3));
    node.time.advance(Duration::from_secs(3));
    assert_eq!(outer(4).await.verdict, EXPIRED, "the outer entry outlived the inner one");
}

trait TtlOf {
    fn ttl_of(self, seconds: u64) -> Policy;
}

impl TtlOf for Policy {
    fn ttl_of(self, seconds: u64) -> Policy {
        Policy { ttl: Duration::from_secs(seconds), ..self }
    }
}

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
async fn a_key_too_long_is_served_and_not_kept() {
    let node = Node::new().await;
    let key = page(&acme(), "x".repeat(5000));
    let load = || async { Ok::<_, String>(value(1)) };
    let answer = node.cache.fetch(&key, &POLICY, &ReadOptions::default(), load).await.unwrap();
    assert_eq!(answer.verdict, Verdict::Bypass(BypassReason::KeyTooLong));
    assert_eq!(node.cache.size().entries, 0);
}

#[tokio::test]
async fn what_another_node_stored_is_a_hit_here_if_the_rule_allows_it() {
    let node = Node::new().await;
    let other = Cache::builder(node.store.clone()).time(node.time.clone()).build().await.unwrap();
    node.read(&POLICY, Ok(1)).await.unwrap();
    let load = || async { Ok::<_, String>(value(2)) };
    let options = ReadOptions::default();
    check(&other.fetch(&page(&acme(), 1), &POLICY, &options, load).await, Verdict::Hit, 1);
    node.invalidate().await;
    check(&other.fetch(&page(&acme(), 1), &POLICY, &options, load).await, INVALIDATED, 2);
    check(&node.read(&POLICY, Ok(3)).await, Verdict::Hit, 2);
}

#[tokio::test]
async fn a_value_of_another_schema_is_a_miss() {
    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    struct PageV2 {
        title: String,
    }
    unstale::cacheable!(PageV2, "Page v2");
    unstale::catalogue! {
        /// The next build's.
        const _NEXT;
        /// The same key with another type.
        fn page(number) -> PageV2 = "page";
    }
    let node = Node::new().await;
    node.read(&POLICY, Ok(1)).await.unwrap();
    let other = Cache::builder(node.store.clone()).time(node.time.clone()).build().await.unwrap();
    let load = || async { Ok::<_, String>(Loaded::value(PageV2 { title: "new".into() })) };
    let answer = other.fetch(&page(&acme(), 1), &POLICY, &ReadOptions::default(), load).await.unwrap();
    assert_eq!((answer.verdict, &answer.value().unwrap().title[..]), (Verdict::Miss(MissReason::Schema), "new"));
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

/// Lets tasks that were spawned run to their end.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}
