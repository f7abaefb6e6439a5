//! What a reader is promised while the store is out of reach: each case is one that the simulation has found.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::sync::oneshot;
use unstale::{
    Cache, FetchError, Fetched, Invalidation, Key, Loaded, MemoryLimits, MemoryStore, Mode, Policy, PositionSet,
    ReadOptions, Tag, Tenant, Timestamp, catalogue, record,
    store::Store,
    testing::{DistantStore, Faults},
    time::{ManualTime, TimeSource},
};

use crate::world::acme;

catalogue! {
    /// Of these tests.
    const _PATTERNS;
    /// A number, as it stands in the database.
    fn number(name) -> Number = "number";
}

#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Number(u64);
unstale::cacheable!(Number, "Number v1");

fn tag() -> Tag {
    Tag::of(&acme(), "number", "")
}

/// Two nodes over one store, each with a way to it of its own.
struct Nodes {
    time: Arc<ManualTime>,
    store: Arc<MemoryStore>,
    ways: [Arc<DistantStore>; 2],
    caches: [Cache; 2],
    database: Arc<AtomicU64>,
}

impl Nodes {
    async fn new() -> Self {
        let store = Arc::new(MemoryStore::new(MemoryLimits { entry_bytes_max: 1 << 20, ..MemoryLimits::default() }));
        let time = Arc::new(ManualTime::default());
        let way = |seed| Arc::new(DistantStore::new(store.clone() as Arc<dyn Store>, seed));
        let ways = [way(1), way(2)];
        let build = |way: &Arc<DistantStore>| Cache::builder(way.clone()).time(time.clone()).build();
        let caches = [build(&ways[0]).await.unwrap(), build(&ways[1]).await.unwrap()];
        Self { time, store, ways, caches, database: Arc::default() }
    }

    fn cut_off(&self, node: usize) {
        self.ways[node].set_faults(Faults { lost_requests_percent: 100, lost_answers_percent: 0 });
    }

    /// Writes on node 0.
    async fn write(&self) -> PositionSet {
        self.database.fetch_add(1, SeqCst);
        self.caches[0].invalidate(&Invalidation::of([tag()])).await.unwrap()
    }

    /// The same in an epoch that only node 0 has heard of: no other is moved on by being told of the record.
    async fn write_in_new_epoch(&self) -> PositionSet {
        self.store.lose(self.store.partitions().of(&acme()));
        self.write().await
    }

    async fn read(&self, node: usize, mode: Mode) -> Fetched<Number> {
        let database = self.database.clone();
        let load = move || async move { look(&database) };
        self.caches[node].fetch(&key(), &policy(mode), &ReadOptions::default(), load).await.unwrap()
    }
}

fn key() -> Key<Number> {
    number(&acme(), "n")
}

fn policy(mode: Mode) -> Policy {
    Policy::ttl(Duration::from_secs(3600)).mode(mode)
}

#[allow(clippy::unnecessary_wraps, reason = "as loads return it")]
fn look(database: &AtomicU64) -> Result<Loaded<Number>, String> {
    record(&tag());
    Ok(Loaded::value(Number(database.load(SeqCst))))
}

const BOUNDED: Mode = Mode::Bounded(Duration::from_secs(1));

#[tokio::test]
async fn a_batch_that_carries_a_position_out_of_reach_is_loaded() {
    let nodes = Nodes::new().await;
    nodes.read(1, BOUNDED).await;
    let at_least = nodes.write_in_new_epoch().await;
    nodes.cut_off(1);
    let database = nodes.database.clone();
    let load = move |_| {
        let database = database.clone();
        async move { look(&database).map(|loaded| vec![loaded]) }
    };
    let read = nodes.caches[1].fetch_many(&[key()], &policy(BOUNDED), &ReadOptions { at_least }, load).await.unwrap();
    assert_eq!(read[0].value(), Some(&Number(1)), "{:?}", read[0].verdict);
    assert_eq!(read[0].verdict.to_string(), "BYPASS (out-of-reach)");
}

#[tokio::test]
async fn a_load_whose_reader_carries_a_position_out_of_reach_is_given_nothing_older() {
    let nodes = Nodes::new().await;
    nodes.read(1, BOUNDED).await;
    let at_least = nodes.write_in_new_epoch().await;
    nodes.cut_off(1);
    let (cache, database) = (nodes.caches[1].clone(), nodes.database.clone());
    let outer = number(&acme(), "outer");
    let load = move || async move {
        let inner = move || async move { look(&database) };
        let inner = cache.fetch(&key(), &policy(BOUNDED), &ReadOptions::default(), inner).await;
        inner.map(|inner| Loaded::value(*inner.value().unwrap())).map_err(|error: FetchError<String>| error.to_string())
    };
    let read = nodes.caches[1].fetch(&outer, &policy(BOUNDED), &ReadOptions { at_least }, load).await.unwrap();
    assert_eq!(read.value(), Some(&Number(1)));
}

#[tokio::test]
async fn a_position_from_before_a_failover_does_not_take_the_place_of_one_from_after() {
    let nodes = Nodes::new().await;
    let early = nodes.write().await;
    nodes.read(1, Mode::Strict).await;
    nodes.store.lose(nodes.store.partitions().of(&acme()));
    let mut at_least = nodes.write().await;
    // Word of the early write comes late, from somebody else.
    at_least.extend(&early);
    let database = nodes.database.clone();
    let load = move || async move { look(&database) };
    let read = nodes.caches[1].fetch(&key(), &policy(BOUNDED), &ReadOptions { at_least }, load).await.unwrap();
    assert_eq!(read.value(), Some(&Number(2)), "{read:?}");
}

/// A reader that cannot ask whether anything has changed must not be given the value of a load that began before
/// what it was promised to see.
async fn a_running_load_is_too_old(mode: Mode, age: Duration) {
    let nodes = Nodes::new().await;
    let (looked, has_looked) = oneshot::channel();
    let (goes_on, go_on) = oneshot::channel::<()>();
    let (cache, database) = (nodes.caches[1].clone(), nodes.database.clone());
    let slow = tokio::spawn(async move {
        let load = move || async move {
            let loaded = look(&database);
            looked.send(()).unwrap();
            go_on.await.unwrap();
            loaded
        };
        cache.fetch(&key(), &policy(BOUNDED), &ReadOptions::default(), load).await.unwrap()
    });
    has_looked.await.unwrap();
    nodes.write().await;
    nodes.time.advance(age);
    nodes.cut_off(1);
    let lands = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        goes_on.send(()).unwrap();
    };
    let (read, ()) = tokio::join!(nodes.read(1, mode), lands);
    assert_eq!(read.value(), Some(&Number(1)), "{read:?}");
    slow.await.unwrap();
}

#[tokio::test]
async fn a_strict_reader_out_of_reach_joins_no_running_load() {
    a_running_load_is_too_old(Mode::Strict, Duration::ZERO).await;
}

#[tokio::test]
async fn a_bounded_reader_out_of_reach_joins_no_load_that_is_older_than_its_bound() {
    a_running_load_is_too_old(BOUNDED, Duration::from_millis(1_001)).await;
}

#[tokio::test]
async fn a_page_of_another_tenants_page_does_not_outlive_an_invalidation_that_was_recorded_in_halves() {
    let nodes = Nodes::new().await;
    let store = &nodes.ways[0];
    let partitions = store.partitions();
    let globex = (0..).map(|at| Tenant::new(format!("globex-{at}")).unwrap());
    let globex = globex.into_iter().find(|globex| partitions.of(globex) != partitions.of(&acme())).unwrap();
    let fact = Tag::shared("number", "");
    let database = nodes.database.clone();
    let read_inner = |cache: Cache, key: Key<Number>| {
        let database = database.clone();
        let load = move || async move {
            record(&Tag::shared("number", ""));
            Ok::<_, String>(Loaded::value(Number(database.load(SeqCst))))
        };
        async move { cache.fetch(&key, &policy(Mode::Strict), &ReadOptions::default(), load).await }
    };
    let read_outer = || {
        let inner = Box::pin(read_inner(nodes.caches[0].clone(), number(&globex, "inner")));
        let load =
            move || async move { inner.await.map(|inner| Loaded::value(*inner.value().unwrap())).map_err(|_| ()) };
        let cache = nodes.caches[0].clone();
        async move { cache.fetch(&number(&acme(), "outer"), &policy(Mode::Strict), &ReadOptions::default(), load).await }
    };
    read_inner(nodes.caches[0].clone(), number(&globex, "inner")).await.unwrap();
    nodes.database.store(1, SeqCst);
    store.append(partitions.of(&acme()), vec![fact.id()], unstale::Bytes::new()).await.unwrap();
    read_outer().await.unwrap();
    store.append(partitions.of(&globex), vec![fact.id()], unstale::Bytes::new()).await.unwrap();
    let read = read_outer().await.unwrap();
    assert_eq!(read.value(), Some(&Number(1)), "{read:?}");
}

/// A clock that can be set.
#[derive(Debug)]
struct Settable(AtomicU64);

impl TimeSource for Settable {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(SeqCst))
    }
}

#[tokio::test]
async fn a_clock_that_comes_to_the_last_confirmation_again_confirms_nothing() {
    let nodes = Nodes::new().await;
    let clock = Arc::new(Settable(AtomicU64::new(60_000)));
    let cache = Cache::builder(nodes.ways[1].clone()).time(clock.clone()).build().await.unwrap();
    let read = async |name: &str, mode| {
        let database = nodes.database.clone();
        let load = move || async move { look(&database) };
        cache.fetch(&number(&acme(), name), &policy(mode), &ReadOptions::default(), load).await.unwrap()
    };
    read("n", Mode::Strict).await;
    nodes.write().await;
    nodes.cut_off(1);
    clock.0.store(50_000, SeqCst);
    read("another", BOUNDED).await;
    clock.0.store(60_500, SeqCst);
    assert_eq!(read("n", BOUNDED).await.value(), Some(&Number(1)));
}
