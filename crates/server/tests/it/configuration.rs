//! Changing the configuration of running nodes, over both databases.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use chrono::DateTime;
use serde_json::json;
use unstale::{Cache, KeyPattern, MemoryStore, Policy, Tenant};
use unstale_server::{
    configuration::{Change, ChangeError, Configuration, Entry, Known, LiveConfiguration},
    database::{migrate_down, migrate_up, migrations},
    testing::database::TestDatabase,
};

unstale_server::on_both_databases!(
    migrations_go_up_and_down,
    a_change_is_in_force_on_every_node,
    each_undo_takes_back_one_more_change,
    of_two_changes_of_one_version_the_second_is_refused,
    what_makes_no_sense_is_refused_and_changes_nothing,
    a_tenants_quota_comes_and_goes,
    what_can_be_configured_may_change_while_it_runs,
);

const FLOW: KeyPattern = KeyPattern { name: "flow", parts: &[] };
const POLICY: Policy = Policy::ttl(Duration::from_secs(300));

struct Node {
    configuration: LiveConfiguration,
    cache: Cache,
}

async fn node(database: &TestDatabase, store: &Arc<MemoryStore>) -> Node {
    let known = Known::default().entries(&[FLOW], |_| Entry::default());
    let configuration = LiveConfiguration::open(database.migrated().await, known).await.unwrap();
    let cache = Cache::builder(store.clone()).observer(configuration.observer()).build().await.unwrap();
    configuration.govern(&cache, |_| NonZeroU32::MIN);
    tokio::spawn(configuration.clone().follow());
    Node { configuration, cache }
}

fn change(based_on: Option<i64>) -> Change {
    let at = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
    Change { by: "ada".to_owned(), reason: "to see".to_owned(), based_on, at }
}

fn ttl(seconds: u64) -> Configuration {
    serde_json::from_value(json!({ "entries": { "flow": { "ttl_seconds": seconds } } })).unwrap()
}

impl Node {
    async fn put(&self, configuration: &Configuration) -> i64 {
        self.configuration.put(&self.cache, configuration, &change(None)).await.unwrap().version
    }

    async fn undo(&self) -> Result<i64, ChangeError> {
        self.configuration.undo(&self.cache, &change(None)).await.map(|version| version.version)
    }

    fn seconds(&self) -> u64 {
        self.configuration.policy("flow", &POLICY).ttl.as_secs()
    }

    /// Until it is of this version: it hears of it, and nobody has to wait for its next look.
    async fn is_at(&self, version: i64) {
        let reached = async {
            while self.configuration.effective().version != version {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), reached).await.expect("the node hears of the version");
    }
}

async fn migrations_go_up_and_down(database: TestDatabase) {
    let pool = database.open().await;
    for _ in 0..2 {
        migrate_up(&pool).await.unwrap();
        migrate_up(&pool).await.unwrap();
        assert!(migrations(&pool).await.unwrap().iter().all(|migration| migration.is_applied));
        migrate_down(&pool, None).await.unwrap();
        migrate_down(&pool, None).await.unwrap();
        assert!(migrations(&pool).await.unwrap().iter().all(|migration| !migration.is_applied));
    }
}

async fn a_change_is_in_force_on_every_node(database: TestDatabase) {
    let store = Arc::new(MemoryStore::default());
    let (one, other) = (node(&database, &store).await, node(&database, &store).await);
    assert_eq!((one.seconds(), other.seconds()), (300, 300));
    let version = one.put(&ttl(60)).await;
    assert_eq!(one.seconds(), 60, "before the answer");
    other.is_at(version).await;
    assert_eq!(other.seconds(), 60);
    let late = node(&database, &store).await;
    assert_eq!(late.seconds(), 60, "from its start on");
}

async fn each_undo_takes_back_one_more_change(database: TestDatabase) {
    let node = node(&database, &Arc::default()).await;
    assert!(matches!(node.undo().await, Err(ChangeError::NothingToUndo)));
    for seconds in [10, 20, 30] {
        node.put(&ttl(seconds)).await;
    }
    node.undo().await.unwrap();
    assert_eq!(node.seconds(), 20);
    node.put(&ttl(40)).await;
    for expected in [20, 10, 300] {
        node.undo().await.unwrap();
        assert_eq!(node.seconds(), expected);
    }
    assert!(matches!(node.undo().await, Err(ChangeError::NothingToUndo)));
    let history = node.configuration.history(None, 100).await.unwrap();
    let told: Vec<_> = history.iter().rev().map(|version| (version.version, version.restores)).collect();
    let expected = [(1, None), (2, None), (3, None), (4, Some(2)), (5, None), (6, Some(2)), (7, Some(1)), (8, Some(0))];
    assert_eq!(told, expected);
    assert_eq!((&*history[0].changed_by, &*history[0].reason), ("ada", "to see"));
    assert_eq!(history[0].changed_at, change(None).at);
    let page = node.configuration.history(Some(3), 1).await.unwrap();
    assert_eq!((page.len(), page[0].version, &page[0].configuration), (1, 2, &ttl(20)));
}

async fn of_two_changes_of_one_version_the_second_is_refused(database: TestDatabase) {
    let store = Arc::new(MemoryStore::default());
    let (one, other) = (node(&database, &store).await, node(&database, &store).await);
    one.configuration.put(&one.cache, &ttl(10), &change(Some(0))).await.unwrap();
    let late = other.configuration.put(&other.cache, &ttl(20), &change(Some(0))).await;
    assert!(matches!(late, Err(ChangeError::Outdated { in_force: 1 })), "{late:?}");
    let (thirty, forty, change) = (ttl(30), ttl(40), change(Some(1)));
    let both = tokio::join!(
        one.configuration.put(&one.cache, &thirty, &change),
        other.configuration.put(&other.cache, &forty, &change),
    );
    assert!(both.0.is_ok() != both.1.is_ok(), "{both:?}");
}

async fn what_makes_no_sense_is_refused_and_changes_nothing(database: TestDatabase) {
    let node = node(&database, &Arc::default()).await;
    let refused = node.configuration.put(&node.cache, &ttl(0), &change(None)).await;
    let Err(ChangeError::Faulty(faults)) = refused else { panic!("{refused:?}") };
    assert_eq!(faults[0].field, "entries.flow.ttl_seconds");
    assert_eq!((node.seconds(), node.configuration.history(None, 1).await.unwrap().len()), (300, 0));
}

async fn a_tenants_quota_comes_and_goes(database: TestDatabase) {
    let node = node(&database, &Arc::default()).await;
    let acme = Tenant::new("acme").unwrap();
    let whole = node.cache.tenant_quota(&acme);
    node.put(&serde_json::from_value(json!({ "tenants": { "acme": { "memory_bytes_max": 70_000 } } })).unwrap()).await;
    assert_eq!(node.cache.tenant_quota(&acme), 70_000);
    node.undo().await.unwrap();
    assert_eq!(node.cache.tenant_quota(&acme), whole);
}

async fn what_can_be_configured_may_change_while_it_runs(database: TestDatabase) {
    let node = node(&database, &Arc::default()).await;
    let stored: Configuration = serde_json::from_value(json!({
        "entries": { "flow": { "ttl_seconds": 60 } }, "tenants": { "acme": { "memory_bytes_max": 70_000 } },
    }))
    .unwrap();
    let version = node.put(&stored).await;
    node.configuration.replace_known(Known::default());
    assert_eq!((node.seconds(), node.configuration.effective().version), (300, version), "it cannot be named now");
    assert_eq!(node.cache.tenant_quota(&Tenant::new("acme").unwrap()), 70_000, "and the rest counts");
    let again = Known::default().entries(&[FLOW], |_| Entry::default());
    assert_eq!(node.configuration.among(&again).policy("flow", &POLICY).ttl.as_secs(), 60);
    assert_eq!(node.seconds(), 300, "it was only asked for");
    node.configuration.replace_known(again);
    assert_eq!(node.seconds(), 60, "nothing that is stored was lost");
}
