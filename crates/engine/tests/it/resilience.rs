//! A store that is away, stalled or failing: what reads cost and answer, what becomes of writes, and that nothing is
//! stale during and after it. Time stands unless it is moved.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use parking_lot::Mutex;
use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::time::Instant;
use unstale::{
    BreakerLimits, BreakerPer, BreakerState, BypassReason, Cache, CacheLimits, Event, FetchError, Fetched,
    InvalidateError, Invalidation, Loaded, MemoryLimits, MemoryStore, MissReason, Mode, Observer, PendingLimits,
    Policy, PositionSet, ReadOptions, Resilience, ResilientStore, RetryLimits, StaleReason, StoreError, Tag, Tenant,
    Verdict,
    position::PartitionCount,
    record,
    store::Store,
    testing::{DistantStore, Faults, Sabotage, Violation},
    time::ManualTime,
};

use crate::world::{FACTS, Page, World, acme, page, read_page};

const POLICY: Policy = Policy::ttl(Duration::from_secs(3600));
const STRICT: Policy = POLICY.mode(Mode::Strict);
const AWAY: Faults = Faults { lost_requests_percent: 100, lost_answers_percent: 0 };
const OPEN: Verdict = Verdict::Bypass(BypassReason::StoreOpen);
const FAILED: Verdict = Verdict::Bypass(BypassReason::StoreFailed);
const SLOW: Verdict = Verdict::Bypass(BypassReason::StoreSlow);

/// No jitter and no repetitions, so that requests can be counted.
fn plain() -> Resilience {
    Resilience {
        breaker: BreakerLimits { jitter_percent: 0, ..BreakerLimits::default() },
        retry: RetryLimits { attempts_max: 1, ..RetryLimits::default() },
        ..Resilience::default()
    }
}

struct Node {
    cache: Cache,
    near: Arc<MemoryStore>,
    far: Arc<DistantStore>,
    time: Arc<ManualTime>,
    told: Arc<Told>,
}

/// What the cache told of its store.
#[derive(Default)]
struct Told {
    breaker: Mutex<Vec<BreakerState>>,
    notes: Mutex<Vec<String>>,
    skipped: AtomicUsize,
    waiting: AtomicUsize,
}

impl Observer for Told {
    fn on_event(&self, event: &Event<'_>) {
        match event {
            Event::BreakerChanged { state, .. } => self.breaker.lock().push(*state),
            Event::Applied { record } => self.notes.lock().push(String::from_utf8_lossy(&record.note).into_owned()),
            Event::Skipped { .. } => _ = self.skipped.fetch_add(1, SeqCst),
            Event::InvalidationsPending { waiting, .. } => self.waiting.store(*waiting, SeqCst),
            _ => {}
        }
    }
}

impl Node {
    async fn new(resilience: Resilience) -> Self {
        Self::with(resilience, CacheLimits::default(), Self::store()).await
    }

    fn store() -> Arc<MemoryStore> {
        let limits = MemoryLimits {
            entry_bytes_max: 1 << 20,
            partitions: PartitionCount::new(4).unwrap(),
            ..MemoryLimits::default()
        };
        Arc::new(MemoryStore::new(limits))
    }

    async fn with(resilience: Resilience, limits: CacheLimits, near: Arc<MemoryStore>) -> Self {
        let far = Arc::new(DistantStore::new(near.clone(), 1));
        let (time, told) = (Arc::new(ManualTime::default()), Arc::new(Told::default()));
        let cache = Cache::builder(far.clone()).limits(limits).time(time.clone()).observer(told.clone());
        let cache = cache.resilience(resilience).seed(1).build().await.unwrap();
        Self { cache, near, far, time, told }
    }

    async fn read(&self, policy: &Policy, version: u64) -> Verdict {
        let answer = self.read_with(policy, move || async move { Ok(value(version)) }).await;
        answer.expect("the load does not fail").verdict
    }

    async fn read_with<L>(
        &self,
        policy: &Policy,
        load: impl FnOnce() -> L + Send + 'static,
    ) -> Result<Fetched<Page>, FetchError<String>>
    where
        L: Future<Output = Result<Loaded<Page>, String>> + Send + 'static,
    {
        self.cache.fetch(&page(&acme(), 1), policy, &ReadOptions::default(), load).await
    }

    async fn invalidate(&self, note: &str) -> Result<PositionSet, InvalidateError> {
        self.cache.invalidate(&Invalidation::of([tag()]).note(note.to_owned())).await
    }
}

fn tag() -> Tag {
    Tag::of(&acme(), "fact", 1)
}

fn value(version: u64) -> Loaded<Page> {
    record(&tag());
    Loaded::value(Page { saw: vec![(1, version)] })
}

/// Lets tasks that were spawned run until they wait.
async fn settle() {
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

/// What a client of the property tests does.
#[derive(Clone, Debug)]
enum Step {
    Read {
        node: usize,
        page: u32,
    },
    Write(Vec<u32>),
    /// The second node's store.
    Faults(Faults),
    Lose,
    Trim,
}

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let faults = |lost_requests_percent, lost_answers_percent| Faults { lost_requests_percent, lost_answers_percent };
    let step = prop_oneof![
        12 => (0..2usize, 0..3u32).prop_map(|(node, page)| Step::Read { node, page }),
        6 => proptest::collection::vec(0..FACTS as u32, 1..3).prop_map(Step::Write),
        3 => prop_oneof![Just(AWAY), Just(Faults::default()), Just(faults(0, 100)), Just(faults(30, 30))].prop_map(Step::Faults),
        1 => Just(Step::Lose),
        1 => Just(Step::Trim),
    ];
    proptest::collection::vec(proptest::collection::vec(step, 1..20), 2..6)
}

/// Who is bound by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    /// Strict reads on both nodes, of which the second may be cut off, see what the first one was acknowledged.
    Strict,
    /// Reads on the node that writes, and may be cut off, see also what waits for the store.
    OwnWrites,
}

struct Pair {
    promise: Promise,
    world: Arc<World>,
    near: Arc<MemoryStore>,
    far: Arc<DistantStore>,
    nodes: [Cache; 2],
}

impl Pair {
    async fn new(promise: Promise, seed: u64, sabotage: Sabotage) -> Arc<Self> {
        let limits = MemoryLimits {
            partitions: PartitionCount::new(2).unwrap(),
            entry_bytes_max: 1 << 20,
            log_records_max: 8,
            ..MemoryLimits::default()
        };
        let near = Arc::new(MemoryStore::new(limits));
        let well = Arc::new(DistantStore::new(near.clone(), seed));
        let far = Arc::new(DistantStore::new(near.clone(), seed ^ 1));
        // Time stands: a breaker lets probes through at once, or only when the log was heard to move.
        let open_for = if seed.is_multiple_of(2) { Duration::ZERO } else { Duration::from_secs(3600) };
        let breaker =
            BreakerLimits { failures_max: 3, open_for, sign_of_life_after: Duration::ZERO, ..BreakerLimits::default() };
        let guard = Resilience { breaker, ..Resilience::default() };
        let pending = PendingLimits { records_max: 4, ..PendingLimits::default() };
        let limits = CacheLimits { pending, ..CacheLimits::default() };
        let node = async |store: Arc<DistantStore>| {
            Cache::builder(store).limits(limits).resilience(guard).seed(seed).sabotage(sabotage).build().await.unwrap()
        };
        let nodes = [node(well).await, node(far.clone()).await];
        Arc::new(Self { promise, world: World::new(seed), near, far, nodes })
    }

    async fn client(self: Arc<Self>, name: String, steps: Vec<Step>) {
        let own = self.promise == Promise::OwnWrites;
        for step in steps {
            self.world.dawdle().await;
            match step {
                Step::Read { node, page } => self.read(&name, if own { 1 } else { node }, page).await,
                Step::Write(facts) if own => _ = self.world.write_here(&self.nodes[1], &facts).await,
                Step::Write(facts) => _ = self.world.write(&self.nodes[0], &facts).await,
                Step::Faults(faults) => self.far.set_faults(faults),
                Step::Lose => self.near.lose(self.near.partitions().of(&acme())),
                Step::Trim => self.near.trim_log(self.near.partitions().of(&acme())),
            }
        }
    }

    async fn read(&self, name: &str, node: usize, number: u32) {
        let promised_from = self.world.history.now();
        let patient = POLICY.mode(Mode::Bounded(Duration::MAX));
        let saw = if self.promise == Promise::OwnWrites {
            read_page(&self.world, &self.nodes[node], &patient, number, PositionSet::default()).await
        } else {
            // A page that is made of another, whose own policy would be content with memory.
            let (world, cache) = (self.world.clone(), self.nodes[node].clone());
            let load = move || async move {
                let inner = read_page(&world, &cache, &patient, number, PositionSet::default()).await?;
                Ok::<_, FetchError<String>>(Loaded::value(inner.value().expect("a page").clone()))
            };
            let (key, options) = (page(&acme(), number + 100), ReadOptions::default());
            let outer = self.nodes[node].fetch(&key, &STRICT, &options, load).await;
            outer.map_err(|error| match error {
                FetchError::Load(inner) => inner,
                _ => FetchError::Aborted,
            })
        };
        let saw = saw.expect("the world's loads do not fail").value().expect("a page").saw.clone();
        self.world.history.read(&format!("{name} on node {node}"), promised_from, saw);
    }
}

fn run(promise: Promise, seed: u64, sabotage: Sabotage, clients: Vec<Vec<Step>>) -> Vec<Violation> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async move {
        let pair = Pair::new(promise, seed, sabotage).await;
        let mut running = tokio::task::JoinSet::new();
        for (at, steps) in clients.into_iter().enumerate() {
            running.spawn(pair.clone().client(format!("client {at}"), steps));
        }
        while let Some(ended) = running.join_next().await {
            ended.expect("a client ended");
        }
        // The store is well again: what waits is recorded, and nothing is stale then either.
        pair.far.set_faults(Faults::default());
        let other = pair.nodes[0].invalidate(&Invalidation::of([tag()])).await;
        other.expect("the first node's store was never away");
        while pair.nodes[1].pending_invalidations() > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        for page in 0..3 {
            pair.read("afterwards", 1, page).await;
        }
        pair.world.history.violations()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a_node_that_is_cut_off_serves_strict_readers_nothing_old(seed: u64, clients in steps()) {
        prop_assert_eq!(run(Promise::Strict, seed, Sabotage::None, clients), vec![]);
    }

    #[test]
    fn a_node_sees_its_own_writes_also_those_that_wait(seed: u64, clients in steps()) {
        prop_assert_eq!(run(Promise::OwnWrites, seed, Sabotage::None, clients), vec![]);
    }
}

/// A checker that has never failed proves nothing.
#[test]
fn breaches_that_show_only_without_a_store_are_caught() {
    for sabotage in Sabotage::AWAY {
        let caught = (0..400).find(|seed| {
            [Promise::Strict, Promise::OwnWrites]
                .into_iter()
                .any(|promise| !run(promise, *seed, sabotage, busy_clients(*seed)).is_empty())
        });
        assert!(caught.is_some(), "{sabotage:?} was not caught by the history checker in 400 runs");
    }
}

fn busy_clients(seed: u64) -> Vec<Vec<Step>> {
    let mut random: StdRng = StdRng::seed_from_u64(seed);
    let mut step = || match random.random_range(0..20) {
        0..12 => Step::Read { node: 1, page: random.random_range(0..2) },
        12..18 => Step::Write(vec![random.random_range(0..FACTS as u32)]),
        18 => Step::Faults(AWAY),
        _ => Step::Faults(Faults::default()),
    };
    (0..5).map(|_| (0..24).map(|_| step()).collect()).collect()
}
