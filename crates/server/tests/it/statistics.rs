//! What is kept about the cache, over both databases.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::DatabaseConnection;
use unstale::{
    Cache, FetchError, Fetched, Loaded, MemoryLimits, MemoryStore, Policy, ReadOptions, Tenant, Verdict,
    time::ManualTime,
};
use unstale_server::{
    configuration::{Known, Retention},
    metadata,
    records::Records,
    statistics::{Aggregate, Bookkeeper, By, Filter, Limits, Writer, aggregates, performance},
    telemetry::{BuildInfo, Metrics, RecordMetrics},
    testing::database::TestDatabase,
};

unstale_server::on_both_databases!(
    a_key_is_one_row_whoever_reads_it,
    rows_are_found_by_tenant_entity_and_freshness,
    rows_that_name_somebody_are_forgotten,
    what_others_write_of_somebody_later_is_forgotten_too,
    what_was_searched_for_is_in_no_row,
    hours_of_several_nodes_add_up_and_days_are_made_of_them,
    what_is_written_again_is_not_counted_again,
    nothing_is_kept_longer_than_it_should_be,
    a_database_that_is_away_costs_no_read_and_loses_no_sum,
    each_interval_says_how_the_node_did,
    the_task_writes_by_itself,
);

unstale::catalogue! {
    /// Of these tests.
    const PATTERNS;
    /// A flow.
    fn flow(id) -> Text = "flow";
    /// A user.
    fn user(id) -> Text = "user";
    /// What a search finds.
    fn hits(search, page) -> Text = "hits";
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Text(String);
unstale::cacheable!(Text, "Text v1");

const POLICY: Policy = Policy::ttl(Duration::from_secs(3600));

fn acme() -> Tenant {
    Tenant::new("acme").unwrap()
}

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_003_200 + 12 * 3600 - 1_795_003_200 % 86_400, 0).unwrap()
}

struct Node {
    cache: Cache,
    writer: Writer,
    bookkeeper: Bookkeeper,
}

async fn node(pool: &DatabaseConnection, store: &Arc<MemoryStore>) -> Node {
    with(pool, store, Limits::default()).await
}

async fn with(pool: &DatabaseConnection, store: &Arc<MemoryStore>, limits: Limits) -> Node {
    let (bookkeeper, writer) = Writer::new(pool.clone(), limits, RecordMetrics::default());
    let time = Arc::new(ManualTime::default());
    let started = i64::try_from(unstale::time::TimeSource::now(&*time).as_millis()).unwrap();
    time.advance(Duration::from_millis(u64::try_from(noon().timestamp_millis() - started).unwrap()));
    let cache = Cache::builder(store.clone()).time(time).observer(bookkeeper.observer()).build().await.unwrap();
    Node { cache, writer, bookkeeper }
}

fn store() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(MemoryLimits { entry_bytes_max: 1 << 20, ..MemoryLimits::default() }))
}

impl Node {
    async fn read(&self, tenant: &str, id: u32, times: u32) -> Verdict {
        let mut verdict = Verdict::Hit;
        for _ in 0..times {
            let load = || async { Ok::<_, String>(Loaded::value(Text("x".to_owned()))) };
            let key = flow(&Tenant::new(tenant).unwrap(), id);
            let read: Result<Fetched<Text>, FetchError<String>> =
                self.cache.fetch(&key, &POLICY, &ReadOptions::default(), load).await;
            verdict = read.unwrap().verdict;
        }
        verdict
    }

    async fn fail(&self, tenant: &str) {
        let load = || async { Err::<Loaded<Text>, _>("no".to_owned()) };
        let key = user(&Tenant::new(tenant).unwrap(), 1);
        self.cache.fetch(&key, &POLICY, &ReadOptions::default(), load).await.unwrap_err();
    }

    async fn write(&mut self, at: DateTime<Utc>) {
        self.writer.write(&self.cache, at).await.unwrap();
    }
}

async fn rows(pool: &DatabaseConnection, filter: metadata::Filter) -> Vec<metadata::Metadata> {
    metadata::list(pool, &filter, 1, 100).await.unwrap().items
}

async fn sums(pool: &DatabaseConnection, by: By) -> Vec<Aggregate> {
    let (from, to) = (noon() - TimeDelta::days(10), noon() + TimeDelta::days(10));
    aggregates(pool, &Filter { from, to, by, client: None, entity: None }).await.unwrap()
}

async fn a_key_is_one_row_whoever_reads_it(database: TestDatabase) {
    let (pool, store) = (database.migrated().await, store());
    let (mut one, mut other) = (node(&pool, &store).await, node(&pool, &store).await);
    one.read("acme", 7, 3).await;
    one.write(noon()).await;
    other.read("acme", 7, 2).await;
    other.write(noon() + TimeDelta::seconds(5)).await;
    let all = rows(&pool, metadata::Filter::default()).await;
    let [row] = &*all else { panic!("{all:?}") };
    assert_eq!((&*row.cache_key, &*row.entity_type, row.entity_id.as_deref()), ("acme:flow/7", "flow", Some("7")));
    assert_eq!((&*row.client_account_id, row.access_count), ("acme", 4), "two hits here, two there");
    assert_eq!((row.created_at, row.last_accessed), (noon(), Some(noon() + TimeDelta::seconds(5))));
    assert_eq!(row.expires_at, noon() + TimeDelta::hours(1));
}

async fn rows_are_found_by_tenant_entity_and_freshness(database: TestDatabase) {
    let pool = database.migrated().await;
    let mut node = node(&pool, &store()).await;
    for (tenant, id, times) in [("acme", 1, 2), ("acme", 2, 4), ("globex", 1, 3)] {
        node.read(tenant, id, times).await;
    }
    node.write(noon()).await;
    let filter = metadata::Filter { client: Some("acme".to_owned()), ..metadata::Filter::default() };
    let ids: Vec<_> = rows(&pool, filter.clone()).await.into_iter().map(|row| row.entity_id.unwrap()).collect();
    assert_eq!(ids, ["2", "1"], "the most read first");
    let one = metadata::Filter { entity_id: Some("1".to_owned()), ..filter };
    assert_eq!(rows(&pool, one.clone()).await.len(), 1);
    assert_eq!(rows(&pool, metadata::Filter { entity_type: Some("user".to_owned()), ..one }).await, []);
    let later = metadata::Filter { fresh_at: Some(noon() + TimeDelta::hours(2)), ..metadata::Filter::default() };
    assert_eq!(rows(&pool, later).await, []);
    let page = metadata::list(&pool, &metadata::Filter::default(), 2, 2).await.unwrap();
    assert_eq!((page.items.len(), page.total, page.page, page.page_size), (1, 3, 2, 2));
}

async fn rows_that_name_somebody_are_forgotten(database: TestDatabase) {
    let pool = database.migrated().await;
    let mut node = node(&pool, &store()).await;
    for id in [17, 18] {
        node.read("acme", id, 1).await;
    }
    node.write(noon()).await;
    for nobody in ["1_", "%", "\\"] {
        assert_eq!(metadata::forget(&pool, &[nobody.to_owned()]).await.unwrap(), 0, "{nobody} is no pattern");
    }
    assert_eq!(metadata::forget(&pool, &[]).await.unwrap(), 0);
    let texts = ["nobody", "FLOW/17"].map(str::to_owned);
    assert_eq!(metadata::forget(&pool, &texts).await.unwrap(), 1, "written in either case");
    assert_eq!(rows(&pool, metadata::Filter::default()).await.len(), 1);
}

async fn what_others_write_of_somebody_later_is_forgotten_too(database: TestDatabase) {
    let (pool, store) = (database.migrated().await, store());
    let limits = Limits { write_every: Duration::from_millis(50), ..Limits::default() };
    let metrics = Metrics::new(&BuildInfo { version: "0", commit: "0" });
    let (records, writer) = Records::open(pool.clone(), Known::default(), limits, &metrics).await.unwrap();
    let mut other = node(&pool, &store).await;
    let cache = records.observe(Cache::builder(store.clone())).build().await.unwrap();
    let tasks = records.start(&cache, writer, |_| NonZeroU32::MIN);
    other.read("acme", 17, 2).await;
    other.read("acme", 18, 2).await;
    let load = || async { Ok::<_, String>(Loaded::value(Text("x".to_owned()))) };
    cache.fetch(&flow(&Tenant::new("globex").unwrap(), 17), &POLICY, &ReadOptions::default(), load).await.unwrap();
    assert_eq!(records.forget(&["flow/17".to_owned()]).await.unwrap(), 1, "noted here, and not written before");
    other.write(noon()).await;
    assert_eq!(rows(&pool, metadata::Filter::default()).await.len(), 2);
    let forgotten = async {
        while rows(&pool, metadata::Filter::default()).await.len() > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), forgotten).await.expect("it is looked for once more");
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}

async fn what_was_searched_for_is_in_no_row(database: TestDatabase) {
    let pool = database.migrated().await;
    let mut node = node(&pool, &store()).await;
    node.writer = node.writer.concealing(metadata::Concealed::by([7; 32]).part(&PATTERNS[2], "search"));
    for key in [hits(&acme(), "Ada", 1), hits(&acme(), "Eve", 1), hits(&acme(), "", 1), hits(&acme(), "Ada", 1)] {
        let load = || async { Ok::<_, String>(Loaded::value(Text("x".to_owned()))) };
        node.cache.fetch(&key, &POLICY, &ReadOptions::default(), load).await.unwrap();
    }
    node.write(noon()).await;
    let told: Vec<_> = rows(&pool, metadata::Filter::default()).await.into_iter().map(|row| row.cache_key).collect();
    assert_eq!(told.len(), 3, "equal ones are one: {told:?}");
    assert!(told.contains(&"acme:hits//1".to_owned()), "{told:?}");
    assert!(told.iter().all(|key| !key.contains("Ada") && !key.contains("Eve")), "{told:?}");
}

async fn hours_of_several_nodes_add_up_and_days_are_made_of_them(database: TestDatabase) {
    let (pool, store) = (database.migrated().await, store());
    let (mut one, mut other) = (node(&pool, &store).await, node(&pool, &store).await);
    one.read("acme", 1, 4).await;
    one.fail("acme").await;
    one.write(noon()).await;
    other.read("acme", 1, 2).await;
    other.write(noon()).await;
    one.read("acme", 1, 5).await;
    one.write(noon() + TimeDelta::hours(1)).await;
    let hours = sums(&pool, By::Hour).await;
    let told: Vec<_> = hours.iter().map(|row| (row.at, &*row.entity_type, row.hits, row.misses, row.loads)).collect();
    let later = noon() + TimeDelta::hours(1);
    assert_eq!(told, [(noon(), "flow", 5, 1, 1), (noon(), "user", 0, 0, 0), (later, "flow", 5, 0, 0)]);
    assert_eq!(hours[1].load_failures, 1);
    assert!((hours[0].hit_ratio - 5.0 / 6.0).abs() < 1e-9);
    for _ in 0..2 {
        one.writer.tidy_up(later, Retention::default()).await.unwrap();
        let days = sums(&pool, By::Day).await;
        let told: Vec<_> = days.iter().map(|row| (row.at, &*row.entity_type, row.hits)).collect();
        let day = noon() - TimeDelta::hours(12);
        assert_eq!(told, [(day, "flow", 10), (day, "user", 0)], "adding up again changes nothing");
    }
    let filter = Filter {
        from: noon(),
        to: later,
        by: By::Hour,
        client: Some("acme".to_owned()),
        entity: Some("flow".to_owned()),
    };
    assert_eq!(aggregates(&pool, &filter).await.unwrap().len(), 1, "an hour before its end, one pair");
    assert_eq!(aggregates(&pool, &Filter { client: Some("globex".to_owned()), ..filter }).await.unwrap(), []);
}

async fn what_is_written_again_is_not_counted_again(database: TestDatabase) {
    let pool = database.migrated().await;
    let mut node = node(&pool, &store()).await;
    for seconds in 0..3 {
        node.read("acme", 1, 2).await;
        node.write(noon() + TimeDelta::seconds(seconds)).await;
    }
    node.write(noon() + TimeDelta::seconds(9)).await;
    let hours = sums(&pool, By::Hour).await;
    assert_eq!((hours[0].hits, hours[0].misses), (5, 1));
}

async fn nothing_is_kept_longer_than_it_should_be(database: TestDatabase) {
    let pool = database.migrated().await;
    let mut node = node(&pool, &store()).await;
    node.read("acme", 1, 2).await;
    node.write(noon()).await;
    let retention = Retention { metadata_days: 3, performance_days: 2, hourly_days: 2, daily_days: 5 };
    let remaining = async |days| {
        let now = noon() + TimeDelta::days(days);
        node.writer.tidy_up(now, retention).await.unwrap();
        let rows = rows(&pool, metadata::Filter::default()).await.len();
        let (from, to) = (noon() - TimeDelta::days(1), now);
        let intervals = performance(&pool, from, to, 100).await.unwrap().len();
        (rows, intervals, sums(&pool, By::Hour).await.len(), sums(&pool, By::Day).await.len())
    };
    assert_eq!(remaining(1).await, (1, 1, 1, 1));
    assert_eq!(remaining(3).await, (1, 0, 0, 1), "the day is kept although its hours are gone");
    assert_eq!(remaining(4).await, (0, 0, 0, 1));
    assert_eq!(remaining(6).await, (0, 0, 0, 0));
}

async fn a_database_that_is_away_costs_no_read_and_loses_no_sum(database: TestDatabase) {
    // Its tables are not there: as good as away.
    let pool = database.open().await;
    let mut node = node(&pool, &store()).await;
    for _ in 0..3 {
        node.read("acme", 1, 2).await;
        node.writer.write(&node.cache, noon()).await.unwrap_err();
    }
    unstale_server::database::migrate_up(&pool).await.unwrap();
    node.read("acme", 1, 1).await;
    node.write(noon() + TimeDelta::seconds(1)).await;
    assert_eq!(sums(&pool, By::Hour).await[0].hits, 6);
    assert_eq!(rows(&pool, metadata::Filter::default()).await[0].access_count, 6);
    assert_eq!(node.bookkeeper.dropped(), 0);
}

async fn each_interval_says_how_the_node_did(database: TestDatabase) {
    let pool = database.migrated().await;
    let mut node = node(&pool, &store()).await;
    node.read("acme", 1, 3).await;
    node.fail("acme").await;
    node.bookkeeper.answered(Duration::from_micros(40));
    node.bookkeeper.checked(false);
    node.bookkeeper.checked(true);
    node.write(noon()).await;
    node.write(noon() + TimeDelta::seconds(10)).await;
    let intervals = performance(&pool, noon(), noon() + TimeDelta::hours(1), 10).await.unwrap();
    let [second, first] = &*intervals else { panic!("{intervals:?}") };
    assert_eq!((first.hits, first.misses, first.loads, first.load_failures), (2, 1, 1, 1));
    assert_eq!((first.checks, first.incorrect, first.entries), (2, 1, 1));
    assert!((40..=50).contains(&first.request_micros_p99.unwrap()) && first.load_micros_p50.is_some());
    assert_eq!((second.hits, second.request_micros_p50, second.load_micros_p50), (0, None, None));
}

async fn the_task_writes_by_itself(database: TestDatabase) {
    let pool = database.migrated().await;
    let Node { cache, writer, bookkeeper } = with(&pool, &store(), Limits::default()).await;
    let flushed = writer.flushed();
    tokio::spawn(writer.run(cache.clone(), Retention::default));
    let reader = Node {
        cache: cache.clone(),
        writer: Writer::new(pool.clone(), Limits::default(), RecordMetrics::default()).1,
        bookkeeper,
    };
    reader.read("acme", 1, 3).await;
    assert!(flushed.within(Duration::from_secs(60)).await);
    assert_eq!(rows(&pool, metadata::Filter::default()).await[0].access_count, 2);
}

#[tokio::test]
async fn what_finds_no_place_is_dropped_and_counted() {
    let pool = TestDatabase::sqlite().migrated().await;
    let mut node = with(&pool, &store(), Limits { queue_max: 4, keys_max: 1, ..Limits::default() }).await;
    node.read("acme", 1, 6).await;
    assert_eq!(node.bookkeeper.dropped(), 3, "a load, its read and five hits want seven places");
    node.write(noon()).await;
    node.read("acme", 2, 1).await;
    node.read("acme", 3, 1).await;
    node.write(noon()).await;
    assert_eq!(node.writer.keys_dropped(), 1);
}
