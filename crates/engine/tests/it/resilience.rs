//! A store that is away, stalled or failing: what reads cost and answer. Time stands unless it is moved.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use unstale::{
    BreakerLimits, BreakerPer, BreakerState, BypassReason, Cache, CacheLimits, Event, FetchError, Fetched,
    InvalidateError, Invalidation, Loaded, MemoryLimits, MemoryStore, MissReason, Mode, Observer, Policy, PositionSet,
    ReadOptions, Resilience, ResilientStore, RetryLimits, StaleReason, StoreError, Tag, Verdict,
    position::PartitionCount,
    record,
    store::Store,
    testing::{DistantStore, Faults},
    time::ManualTime,
};

use crate::world::{Page, acme, page};

pub(crate) const POLICY: Policy = Policy::ttl(Duration::from_secs(3600));
pub(crate) const STRICT: Policy = POLICY.mode(Mode::Strict);
pub(crate) const AWAY: Faults = Faults { lost_requests_percent: 100, lost_answers_percent: 0 };
const OPEN: Verdict = Verdict::Bypass(BypassReason::StoreOpen);
const FAILED: Verdict = Verdict::Bypass(BypassReason::StoreFailed);
const SLOW: Verdict = Verdict::Bypass(BypassReason::StoreSlow);

/// No jitter and no repetitions, so that requests can be counted.
pub(crate) fn plain() -> Resilience {
    Resilience {
        breaker: BreakerLimits { jitter_percent: 0, ..BreakerLimits::default() },
        retry: RetryLimits { attempts_max: 1, ..RetryLimits::default() },
        ..Resilience::default()
    }
}

pub(crate) struct Node {
    pub(crate) cache: Cache,
    pub(crate) near: Arc<MemoryStore>,
    pub(crate) far: Arc<DistantStore>,
    pub(crate) time: Arc<ManualTime>,
    pub(crate) told: Arc<Told>,
}

/// What the cache told of its store.
#[derive(Default)]
pub(crate) struct Told {
    breaker: Mutex<Vec<BreakerState>>,
    pub(crate) notes: Mutex<Vec<String>>,
    pub(crate) skipped: AtomicUsize,
    pub(crate) waiting: AtomicUsize,
    failed: AtomicUsize,
}

impl Observer for Told {
    fn on_event(&self, event: &Event<'_>) {
        match event {
            Event::BreakerChanged { state, .. } => self.breaker.lock().push(*state),
            Event::Applied { record } => self.notes.lock().push(String::from_utf8_lossy(&record.note).into_owned()),
            Event::StoreFailed { .. } => _ = self.failed.fetch_add(1, SeqCst),
            Event::Skipped { .. } => _ = self.skipped.fetch_add(1, SeqCst),
            Event::InvalidationsPending { waiting, .. } => self.waiting.store(*waiting, SeqCst),
            _ => {}
        }
    }
}

impl Node {
    pub(crate) async fn new(resilience: Resilience) -> Self {
        Self::with(resilience, CacheLimits::default(), Self::store()).await
    }

    pub(crate) fn store() -> Arc<MemoryStore> {
        let limits = MemoryLimits {
            entry_bytes_max: 1 << 20,
            partitions: PartitionCount::new(4).unwrap(),
            ..MemoryLimits::default()
        };
        Arc::new(MemoryStore::new(limits))
    }

    pub(crate) async fn with(resilience: Resilience, limits: CacheLimits, near: Arc<MemoryStore>) -> Self {
        let far = Arc::new(DistantStore::new(near.clone(), 1));
        let (time, told) = (Arc::new(ManualTime::default()), Arc::new(Told::default()));
        let cache = Cache::builder(far.clone()).limits(limits).time(time.clone()).observer(told.clone());
        let cache = cache.resilience(resilience).seed(1).build().await.unwrap();
        Self { cache, near, far, time, told }
    }

    pub(crate) async fn read(&self, policy: &Policy, version: u64) -> Verdict {
        let answer = self.read_with(policy, move || async move { Ok(value(version)) }).await;
        answer.expect("the load does not fail").verdict
    }

    pub(crate) async fn read_with<L>(
        &self,
        policy: &Policy,
        load: impl FnOnce() -> L + Send + 'static,
    ) -> Result<Fetched<Page>, FetchError<String>>
    where
        L: Future<Output = Result<Loaded<Page>, String>> + Send + 'static,
    {
        self.cache.fetch(&page(&acme(), 1), policy, &ReadOptions::default(), load).await
    }

    pub(crate) async fn invalidate(&self, note: &str) -> Result<PositionSet, InvalidateError> {
        self.cache.invalidate(&Invalidation::of([tag()]).note(note.to_owned())).await
    }
}

pub(crate) fn tag() -> Tag {
    Tag::of(&acme(), "fact", 1)
}

pub(crate) fn value(version: u64) -> Loaded<Page> {
    record(&tag());
    Loaded::value(Page { saw: vec![(1, version)] })
}

/// Lets tasks that were spawned run until they wait.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_asks_nothing_is_no_miss_and_closes_by_itself() {
    let node = Node::new(plain()).await;
    assert_eq!(node.read(&STRICT, 1).await, Verdict::Miss(MissReason::Absent));
    node.far.set_faults(AWAY);
    let before = node.far.requests();
    // Each asks for the log, loads, and offers the value.
    for _ in 0..3 {
        assert_eq!(node.read(&STRICT, 2).await, FAILED);
    }
    assert_eq!(node.far.requests() - before, 5, "five failures open it");
    let before = node.far.requests();
    for _ in 0..100 {
        assert_eq!(node.read(&STRICT, 3).await, OPEN);
    }
    assert_eq!(node.far.requests(), before, "an open breaker asks nothing");

    node.far.set_faults(Faults::default());
    node.time.advance(Duration::from_millis(59_999));
    assert_eq!(node.read(&STRICT, 4).await, OPEN);
    node.time.advance(Duration::from_millis(1));
    assert_eq!(node.read(&STRICT, 5).await, Verdict::Hit, "what was loaded while it was open, and shown valid since");
    assert_eq!(*node.told.breaker.lock(), [BreakerState::Open, BreakerState::HalfOpen, BreakerState::Closed]);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_whose_store_is_heard_of_again_does_not_wait_for_its_minute() {
    let node = Node::new(plain()).await;
    node.far.set_faults(AWAY);
    for _ in 0..6 {
        node.read(&STRICT, 1).await;
    }
    node.far.set_faults(Faults::default());
    node.time.advance(Duration::from_secs(1));
    assert_eq!(node.read(&STRICT, 2).await, OPEN);
    // Another node writes: the log moves.
    let other = Cache::builder(node.near.clone()).build().await.unwrap();
    other.invalidate(&Invalidation::of([tag()])).await.unwrap();
    assert_eq!(node.read(&STRICT, 3).await, Verdict::Miss(MissReason::Invalidated));
    assert_eq!(node.read(&STRICT, 4).await, Verdict::Hit);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_store_costs_a_read_its_patience_and_soon_nothing() {
    let node = Node::new(plain()).await;
    node.read(&STRICT, 1).await;
    node.far.set_stalled(true);
    let mut verdicts = Vec::new();
    for version in 0..400 {
        let began = Instant::now();
        let verdict = node.read(&STRICT, version).await;
        let took = began.elapsed();
        // What is asked before the load, and what is given after it. The timer is exact to a millisecond.
        assert!(took <= Duration::from_millis(50), "{took:?}");
        assert!(version < 300 || took <= Duration::from_millis(1), "{took:?}, and the breaker must be open by now");
        verdicts.push(verdict);
    }
    assert_eq!((verdicts[0], verdicts[399]), (SLOW, OPEN));
    node.far.set_stalled(false);
    settle().await;
    node.time.advance(Duration::from_secs(60));
    node.read(&STRICT, 1).await;
    assert_eq!(node.read(&STRICT, 1).await, Verdict::Hit);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_fills_memory_where_the_load_brought_nothing() {
    let (near, one) = (Node::store(), plain());
    let filling = Node::with(one, CacheLimits::default(), near.clone()).await;
    filling.read(&POLICY, 7).await;
    let node = Node::with(one, CacheLimits::default(), near).await;
    // The view is confirmed; only the entry is asked for.
    node.cache
        .fetch(&page(&acme(), 2), &POLICY, &ReadOptions::default(), || async { Ok::<_, String>(value(1)) })
        .await
        .unwrap();
    node.far.set_stalled(true);
    let answer = node.read_with(&POLICY, || async { Err("no".into()) }).await;
    assert_eq!(answer.unwrap_err(), FetchError::Load("no".into()));
    node.far.set_stalled(false);
    settle().await;
    let late = node.cache.hit(&page(&acme(), 1), &POLICY, &ReadOptions::default()).expect("it came in the end");
    assert_eq!(late.value().unwrap().saw, [(1, 7)]);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_does_not_take_the_place_of_what_was_loaded_meanwhile() {
    let node = Node::new(plain()).await;
    let policy = POLICY.mode(Mode::Bounded(Duration::MAX));
    node.read(&policy, 7).await;
    node.cache.clear_memory();
    node.time.advance(Duration::from_secs(1));
    node.far.set_stalled(true);
    assert_eq!(node.read(&policy, 8).await, SLOW);
    node.far.set_stalled(false);
    settle().await;
    let held = node.cache.peek(&page(&acme(), 1)).expect("it was loaded");
    assert_eq!(held.saw, [(1, 8)]);
}

#[tokio::test(start_paused = true)]
async fn where_staleness_is_allowed_the_old_value_is_given_soon_and_not_loaded_by_every_read() {
    let stale_ok = POLICY.mode(Mode::StaleOk(Duration::from_secs(60)));
    let node = Node::new(plain()).await;
    node.read(&stale_ok, 1).await;
    node.time.advance(Duration::from_secs(2));
    node.far.set_stalled(true);
    let began = Instant::now();
    assert_eq!(node.read(&stale_ok, 2).await, Verdict::Stale(StaleReason::Unconfirmed));
    assert!(began.elapsed() <= Duration::from_millis(9), "{:?}", began.elapsed());
    settle().await;
    let loads = Arc::new(AtomicU64::new(0));
    for _ in 0..20 {
        let counted = loads.clone();
        let answer = node.read_with(&stale_ok, move || async move {
            counted.fetch_add(1, SeqCst);
            Ok(value(3))
        });
        let answer = answer.await.unwrap();
        assert_eq!(answer.verdict, Verdict::Stale(StaleReason::Unconfirmed));
        assert_eq!(answer.value().unwrap().saw, [(1, 2)], "what the first one's refresh brought");
        settle().await;
    }
    assert_eq!(loads.load(SeqCst), 0, "loaded a moment ago");
}

#[tokio::test(start_paused = true)]
async fn by_mode_reads_degrade_as_far_as_they_may() {
    let node = Node::new(plain()).await;
    let fail_safe = POLICY.ttl_of(Duration::from_secs(5)).fail_safe(Duration::from_secs(60));
    let bounded = POLICY.mode(Mode::Bounded(Duration::from_secs(10)));
    node.read(&bounded, 1).await;
    node.far.set_faults(AWAY);
    assert_eq!(node.read(&bounded, 2).await, Verdict::Hit, "confirmed within its bound");
    assert_eq!(node.read(&STRICT, 3).await, FAILED);
    node.time.advance(Duration::from_secs(11));
    assert_eq!(node.read(&bounded, 4).await, FAILED, "beyond its bound memory is not believed");
    // What cannot be loaded either: an old value that was not invalidated, where the policy allows it.
    let node = Node::new(plain()).await;
    node.read(&fail_safe, 1).await;
    node.cache.frontier(&acme());
    node.far.set_faults(AWAY);
    node.time.advance(Duration::from_secs(6));
    let down = node.read_with(&fail_safe, || async { Err("down".into()) }).await;
    assert_eq!(down.unwrap_err(), FetchError::Load("down".into()), "nothing shows that it is still valid");
    let patient = fail_safe.mode(Mode::Bounded(Duration::from_secs(3600)));
    let down = node.read_with(&patient, || async { Err("down".into()) }).await;
    assert_eq!(down.unwrap().verdict, Verdict::Stale(StaleReason::FailSafe));
}

trait TtlOf {
    fn ttl_of(self, ttl: Duration) -> Policy;
}

impl TtlOf for Policy {
    fn ttl_of(self, ttl: Duration) -> Policy {
        Policy { ttl, ..self }
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_be_repeated_is_until_the_budget_is_spent() {
    let near = Node::store();
    let far = Arc::new(DistantStore::new(near, 1));
    let retry = RetryLimits {
        attempts_max: 3,
        budget_max: 4,
        budget_percent: 0,
        budget_per_second: 0,
        ..RetryLimits::default()
    };
    let breaker = BreakerLimits { failures_max: u32::MAX, ..BreakerLimits::default() };
    let store = ResilientStore::new(far.clone(), Resilience { retry, breaker, ..Resilience::default() });
    let partition = store.partitions().of(&acme());
    far.set_faults(AWAY);
    let mut asked = Vec::new();
    for _ in 0..4 {
        let before = far.requests();
        assert!(matches!(store.head(partition).await, Err(StoreError::Unavailable(_))));
        asked.push(far.requests() - before);
    }
    assert_eq!(asked, [3, 3, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_is_given_up_ends_by_its_hard_time_out() {
    let far = Arc::new(DistantStore::new(Node::store(), 1));
    let store = ResilientStore::new(far.clone(), Resilience::default());
    far.set_stalled(true);
    let began = Instant::now();
    let error = store.head(store.partitions().of(&acme())).await.unwrap_err();
    assert!(error.to_string().contains("no answer within 1s"), "{error}");
    assert!(began.elapsed() <= Duration::from_millis(1001), "given up is not tried again: {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_breaker_per_partition_leaves_the_others_alone() {
    let far = Arc::new(DistantStore::new(Node::store(), 1));
    let store = ResilientStore::new(far.clone(), Resilience { breaker_per: BreakerPer::Partition, ..plain() });
    let mut partitions = store.partitions().all();
    let (one, other) = (partitions.next().unwrap(), partitions.next().unwrap());
    far.set_faults(AWAY);
    for _ in 0..5 {
        store.head(one).await.unwrap_err();
    }
    far.set_faults(Faults::default());
    assert!(matches!(store.head(one).await, Err(StoreError::Open)));
    store.head(other).await.unwrap();
    assert_eq!((store.breaker(one), store.breaker(other)), (BreakerState::Open, BreakerState::Closed));
}

#[tokio::test(start_paused = true)]
async fn without_a_store_too_many_readers_are_served_by_few_loads() {
    let node = Arc::new(Node::new(plain()).await);
    node.far.set_faults(AWAY);
    for _ in 0..6 {
        node.read(&STRICT, 1).await;
    }
    let loads = Arc::new(AtomicU64::new(0));
    let began = Arc::new(AtomicU64::new(0));
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let (node, counted, began) = (node.clone(), loads.clone(), began.clone());
        readers.spawn(async move {
            let asked = began.load(SeqCst);
            let answer = node.read_with(&STRICT, move || async move {
                counted.fetch_add(1, SeqCst);
                let number = began.fetch_add(1, SeqCst);
                tokio::time::sleep(Duration::from_millis(10)).await;
                Ok(value(number))
            });
            let answer = answer.await.unwrap();
            assert!(answer.value().unwrap().saw[0].1 >= asked, "from a load that began before it was asked for");
            answer.verdict
        });
        if loads.load(SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    }
    let verdicts = readers.join_all().await;
    assert!(verdicts.iter().all(|verdict| *verdict == OPEN));
    assert_eq!(loads.load(SeqCst), 2, "one that ran when most came, and one for all of those");
}

#[tokio::test(start_paused = true)]
async fn once_patience_is_over_the_store_is_asked_no_more() {
    let node = Node::new(plain()).await;
    let stale_ok = POLICY.mode(Mode::StaleOk(Duration::from_secs(5)));
    node.read(&stale_ok, 1).await;
    // Too old to be given by a view that cannot be confirmed.
    node.time.advance(Duration::from_secs(6));
    node.far.set_stalled(true);
    let (asked, began) = (node.far.requests(), Instant::now());
    let far = node.far.clone();
    let load = move || async move {
        assert_eq!(far.requests() - asked, 1, "for the log; the entry is not asked for any more");
        Ok(value(2).declined())
    };
    assert_eq!(node.read_with(&stale_ok, load).await.unwrap().verdict, SLOW);
    assert!(began.elapsed() <= Duration::from_millis(101), "{:?}", began.elapsed());
}

/// Reads what only the store has, and is not answered in time.
async fn read_late(node: &Node, policy: &Policy) {
    node.cache.clear_memory();
    node.far.set_stalled(true);
    let unkept = node.read_with(policy, || async { Ok(value(9).declined()) }).await.unwrap();
    assert_eq!(unkept.verdict, SLOW);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_that_is_in_grace_is_left_for_the_next_read_to_refresh() {
    let node = Node::new(plain()).await;
    let policy = Policy::ttl(Duration::from_secs(10)).grace(Duration::from_secs(60)).mode(Mode::Bounded(Duration::MAX));
    node.read(&policy, 1).await;
    node.time.advance(Duration::from_secs(10));
    read_late(&node, &policy).await;
    node.far.set_stalled(false);
    settle().await;
    let grace = Verdict::Stale(StaleReason::Grace);
    assert_eq!(node.read(&policy, 2).await, grace);
    settle().await;
    let read = node.read_with(&policy, || async { Ok(value(3)) }).await.unwrap();
    assert_eq!((read.verdict, read.value().unwrap().saw[0].1), (Verdict::Hit, 2), "it was refreshed");
}

#[tokio::test(start_paused = true)]
async fn a_late_failure_is_told() {
    let node = Node::new(plain()).await;
    let policy = POLICY.mode(Mode::Bounded(Duration::MAX)).lease(false);
    read_late(&node, &policy).await;
    assert_eq!(node.told.failed.load(SeqCst), 0);
    // Its hard time-out.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(node.told.failed.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn no_more_late_answers_are_waited_for_than_may_be() {
    for late_operations_max in [0, 1] {
        let node = Node::new(Resilience { late_operations_max, ..plain() }).await;
        let policy = POLICY.mode(Mode::Bounded(Duration::MAX));
        node.read(&policy, 1).await;
        read_late(&node, &policy).await;
        node.far.set_stalled(false);
        settle().await;
        let is_there = node.cache.peek(&page(&acme(), 1)).is_some();
        assert_eq!(is_there, late_operations_max == 1);
    }
}
