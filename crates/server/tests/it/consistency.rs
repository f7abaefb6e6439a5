//! The watch finds planted faults, and raises no alarm where there are none.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use unstale::{
    Cache, FetchError, Invalidation, Loaded, MemoryLimits, MemoryStore, Policy, ReadOptions, Tag, Tenant, record,
    testing::Sabotage,
};
use unstale_server::{
    configuration::ConsistencySettings,
    consistency::{Finding, Kind, Limits, Outcome, Truth, Watch},
    telemetry::ConsistencyMetrics,
};

unstale::catalogue! {
    /// Of these tests.
    const _PATTERNS;
    /// A page.
    fn page(number) -> Page = "page";
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Page {
    version: u64,
}
unstale::cacheable!(Page, "Page v1");

const POLICY: Policy = Policy::ttl(Duration::from_secs(3600));
/// All of it has been looked at after this.
const OVER: Duration = Duration::from_secs(100);

fn acme() -> Tenant {
    Tenant::new("acme").unwrap()
}

fn tag(number: u64) -> Tag {
    Tag::of(&acme(), "page", number)
}

/// The truth, and nodes that cache it.
#[derive(Clone, Default)]
struct Database(Arc<Mutex<BTreeMap<u64, u64>>>);

impl Database {
    fn get(&self, number: u64) -> u64 {
        self.0.lock().get(&number).copied().unwrap_or(0)
    }

    /// A change that nobody declares: a hidden `UPDATE`.
    fn change(&self, number: u64) {
        *self.0.lock().entry(number).or_default() += 1;
    }
}

#[derive(Clone)]
struct Node {
    database: Database,
    cache: Cache,
    watch: Watch,
    metrics: ConsistencyMetrics,
}

fn store() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(MemoryLimits { entry_bytes_max: 1 << 20, ..MemoryLimits::default() }))
}

impl Node {
    async fn new(database: &Database, store: &Arc<MemoryStore>, sabotage: Sabotage) -> Self {
        let cache = Cache::builder(store.clone()).sabotage(sabotage).build().await.unwrap();
        let metrics = ConsistencyMetrics::default();
        let watch = Watch::new(Limits::default(), metrics.clone());
        watch.tune(&ConsistencySettings { sample_per_million: 1_000_000, checks_per_second_max: 1000 });
        Self { database: database.clone(), cache, watch, metrics }
    }

    async fn read(&self, number: u64) -> u64 {
        self.read_slowly(number, || async {}).await
    }

    /// `pause` is between what the load reads of the database and its end.
    async fn read_slowly<P>(&self, number: u64, pause: impl FnOnce() -> P + Send + 'static) -> u64
    where
        P: Future<Output = ()> + Send + 'static,
    {
        let (key, database) = (page(&acme(), number), self.database.clone());
        let ticket = self.watch.begin(&self.cache, &acme());
        let before = self.cache.peek(&key);
        let load = move || async move {
            record(&tag(number));
            let version = database.get(number);
            pause().await;
            Ok::<_, String>(Loaded::value(Page { version }))
        };
        let fetched: Result<_, FetchError<String>> =
            self.cache.fetch(&key, &POLICY, &ReadOptions::default(), load).await;
        let fetched = fetched.unwrap();
        let served = fetched.value().unwrap().version;
        if let Some(ticket) = ticket {
            let database = self.database.clone();
            let truth: Truth = Arc::new(move || {
                let truth = database.get(number);
                let differs = if truth == served { Vec::new() } else { vec!["/version".to_owned()] };
                async move { Ok(differs) }.boxed()
            });
            self.watch.fetched(ticket, &self.cache, (&key, before.is_some()), &fetched, truth);
        }
        served
    }

    async fn write(&self, number: u64) {
        self.database.change(number);
        // Between the commit and its declaration, readers come by.
        sleep(Duration::from_millis(number % 7 * 10)).await;
        self.cache.invalidate(&Invalidation::of([tag(number)])).await.unwrap();
    }

    fn checks(&self, outcome: Outcome) -> u64 {
        self.metrics.checks("page", outcome)
    }

    async fn findings(&self) -> Vec<Finding> {
        sleep(OVER).await;
        assert_eq!(self.watch.watched(), 0, "everything has been looked at");
        self.watch.findings()
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_true_is_found_correct_three_times() {
    let node = Node::new(&Database::default(), &store(), Sabotage::None).await;
    node.read(1).await;
    node.read(1).await;
    assert_eq!(node.findings().await, []);
    assert_eq!((node.checks(Outcome::Correct), node.checks(Outcome::Changed)), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_bypasses_invalidation_is_found_with_its_why() {
    let node = Node::new(&Database::default(), &store(), Sabotage::None).await;
    node.read(1).await;
    node.database.change(1);
    assert_eq!(node.read(1).await, 0, "a stale answer");
    let findings = node.findings().await;
    let [finding] = &*findings else { panic!("{findings:?}") };
    assert_eq!((finding.kind, &*finding.entity, &*finding.key), (Kind::Value, "page", "acme:page/1"));
    assert_eq!((&*finding.client_account_id, &*finding.tier), ("acme", "memory"));
    assert_eq!(finding.differs, ["/version"]);
    assert_eq!(finding.tags.len(), 1);
    assert_eq!(finding.base, finding.frontier, "nothing was declared since");
    assert!((1.0..10.0).contains(&finding.after_seconds), "at the first look: {}", finding.after_seconds);
    assert_eq!(node.checks(Outcome::Incorrect), 1);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_hidden_later_is_found_later() {
    let node = Node::new(&Database::default(), &store(), Sabotage::None).await;
    node.read(1).await;
    node.read(1).await;
    sleep(Duration::from_secs(5)).await;
    node.database.change(1);
    let findings = node.findings().await;
    assert!((10.0..60.0).contains(&findings[0].after_seconds));
    assert_eq!((node.checks(Outcome::Correct), findings.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_declared_change_is_no_finding_however_late_it_is_declared() {
    let node = Node::new(&Database::default(), &store(), Sabotage::None).await;
    node.read(1).await;
    node.read(1).await;
    sleep(Duration::from_millis(999)).await;
    node.database.change(1);
    // The first look falls in between.
    sleep(Duration::from_secs(2)).await;
    node.cache.invalidate(&Invalidation::of([tag(1)])).await.unwrap();
    assert_eq!(node.findings().await, []);
    assert_eq!((node.checks(Outcome::Correct), node.checks(Outcome::Changed)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_base_that_is_stamped_after_the_load_is_found() {
    let node = Node::new(&Database::default(), &store(), Sabotage::StampAfterLoad).await;
    let (has_read, goes_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (node, has_read, goes_on) = (node.clone(), has_read.clone(), goes_on.clone());
        let pause = || async move {
            has_read.notify_one();
            goes_on.notified().await;
        };
        tokio::spawn(async move { node.read_slowly(1, pause).await })
    };
    has_read.notified().await;
    node.write(1).await;
    goes_on.notify_one();
    slow.await.unwrap();
    assert_eq!(node.read(1).await, 0, "the stale-set race");
    let findings = node.findings().await;
    let [finding] = &*findings else { panic!("{findings:?}") };
    assert_eq!(finding.kind, Kind::Value);
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_is_not_applied_is_found_at_once() {
    let (database, store) = (Database::default(), store());
    let first = Node::new(&database, &store, Sabotage::None).await;
    let other = Node::new(&database, &store, Sabotage::TrustStore).await;
    first.read(1).await;
    other.write(1).await;
    assert_eq!(other.read(1).await, 0, "what the store holds is served without being judged");
    let [finding] = &*other.watch.findings() else { panic!("{:?}", other.watch.findings()) };
    assert_eq!((finding.kind, &*finding.tier), (Kind::Rule, "store"));
    assert_eq!(finding.tags[0].clock, Some(1));
    assert_ne!(finding.base, finding.frontier_at_read);
}

#[tokio::test(start_paused = true)]
async fn a_correct_run_under_concurrent_writes_raises_nothing() {
    let (database, store) = (Database::default(), store());
    let nodes =
        [Node::new(&database, &store, Sabotage::None).await, Node::new(&database, &store, Sabotage::None).await];
    let mut tasks = Vec::new();
    let reads = Arc::new(AtomicU64::new(0));
    for (at, node) in nodes.iter().cloned().enumerate() {
        let writer = node.clone();
        tasks.push(tokio::spawn(async move {
            for round in 0..600u64 {
                writer.write((round * 5 + at as u64) % 12).await;
                sleep(Duration::from_millis(30 + round % 11 * 17)).await;
            }
        }));
        for reader in 0..4u64 {
            let (node, reads) = (node.clone(), reads.clone());
            tasks.push(tokio::spawn(async move {
                for round in 0..600u64 {
                    let pause = Duration::from_millis((round + reader) % 5 * 9);
                    node.read_slowly((round * 7 + reader) % 13, move || sleep(pause)).await;
                    reads.fetch_add(1, SeqCst);
                    sleep(Duration::from_millis(40 + reader * 13)).await;
                }
            }));
        }
    }
    for task in tasks {
        timeout(Duration::from_secs(3600), task).await.unwrap().unwrap();
    }
    let (mut correct, mut changed) = (0, 0);
    for node in &nodes {
        assert_eq!(node.findings().await, []);
        correct += node.checks(Outcome::Correct);
        changed += node.checks(Outcome::Changed);
    }
    assert_eq!(reads.load(SeqCst), 4800);
    assert!(correct > 100 && changed > 100, "{correct} correct, {changed} changed: the run says something");
}

#[tokio::test(start_paused = true)]
async fn it_keeps_to_its_budget_and_to_its_places_and_can_be_switched_off() {
    let node = Node::new(&Database::default(), &store(), Sabotage::None).await;
    node.watch.tune(&ConsistencySettings { sample_per_million: 1_000_000, checks_per_second_max: 2 });
    node.read(1).await;
    for _ in 0..300 {
        node.read(1).await;
    }
    assert_eq!(node.watch.watched(), Limits::default().watched_max);
    node.findings().await;
    assert_eq!(node.checks(Outcome::Correct), 3 * 2, "three looks, two loads a second");
    node.watch.tune(&ConsistencySettings { sample_per_million: 0, checks_per_second_max: 2 });
    node.read(1).await;
    assert_eq!(node.watch.watched(), 0);
}
