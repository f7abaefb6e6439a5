//! A real failover that loses the newest records: the primary dies before its replicas have them.

use std::{sync::Arc, time::Duration};

use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};
use unstale::{
    Cache, Loaded, Policy, PositionSet, ReadOptions, RedisStore, Tag, Verdict, catalogue, record,
    testing::{
        History,
        redis_server::{RedisSentinels, RedisServer},
    },
};
use unstale_server::{
    on_both_databases,
    outbox::{Epochs, Relay},
    testing::database::TestDatabase,
};

use super::world::{Heard, SHELF, World, acme, tag};

on_both_databases!(what_a_failover_lost_is_published_again_and_nothing_is_stale);

const NAMESPACE: &str = "outbox";
const PATIENCE: Duration = Duration::from_secs(60);
/// Long: nothing but invalidations ends an entry.
const POLICY: Policy = Policy::ttl(Duration::from_secs(3600));
const ITEMS: u32 = 4;

catalogue! {
    /// Every key of this test.
    const PATTERNS;
    /// The version of an item.
    fn version_of(item) -> Version = "version";
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Version(u64);
unstale::cacheable!(Version, "outbox failover: Version v1");

/// A cache over the primary, and what it hears of the log.
struct Node {
    cache: Cache,
    heard: Arc<Heard>,
}

impl Node {
    async fn start(servers: &RedisSentinels) -> Self {
        let heard = Arc::new(Heard::default());
        let store = Arc::new(RedisStore::new(servers.settings(NAMESPACE)).unwrap());
        let cache = Cache::builder(store).observer(heard.clone()).build().await.unwrap();
        let following = cache.clone();
        tokio::spawn(async move { following.follow(Duration::from_millis(100)).await });
        Self { cache, heard }
    }

    /// Reads an item, having seen `since`; whether it was a hit.
    async fn read(&self, pool: &DatabaseConnection, item: u32, since: &PositionSet) -> (u64, bool) {
        let options = ReadOptions { at_least: since.clone() };
        let pool = pool.clone();
        let load = move || async move {
            record(&Tag::of(&acme(), "item", item));
            let sql = format!("SELECT name FROM items WHERE id = {item}");
            let row = pool.query_one_raw(Statement::from_string(pool.get_database_backend(), sql)).await?.unwrap();
            let name: String = row.try_get("", "name")?;
            Ok::<_, sea_orm::DbErr>(Loaded::value(Version(name.parse().unwrap())))
        };
        let fetched = self.cache.fetch(&version_of(&acme(), item), &POLICY, &options, load).await.unwrap();
        let is_hit = matches!(fetched.verdict, Verdict::Hit);
        (fetched.into_value().unwrap().0, is_hit)
    }
}

/// Records that a server's log holds, of all partitions.
fn records(server: &RedisServer) -> u64 {
    server.keys("*:log").iter().map(|log| server.run::<u64>(&["LLEN", log])).sum()
}

/// What waits for servers waits beside the runtime.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Published again, as soon as the cache knows the new primary.
async fn published_again(relay: &Relay, epochs: &mut Epochs, at_least: u64) -> u64 {
    let publishing = async {
        let mut count = 0;
        while count < at_least {
            count += relay.publish_again(epochs).await.unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        count
    };
    tokio::time::timeout(PATIENCE, publishing).await.expect("what was lost is published again")
}

async fn what_a_failover_lost_is_published_again_and_nothing_is_stale(database: TestDatabase) {
    assert_eq!(PATTERNS.len(), 1);
    let servers = aside(RedisSentinels::start).await;
    let (one, two) = (Node::start(&servers).await, Node::start(&servers).await);
    let world = World::build(database).await;
    let world = World { cache: one.cache.clone(), ..world };
    for item in 0..ITEMS {
        world.insert(item, SHELF, "1").await;
    }
    let (relay, mut epochs) = (world.relay(), Epochs::default());
    relay.drain().await.unwrap();
    let history = History::default();
    for item in 0..ITEMS {
        history.acknowledged(item, 1);
        for node in [&one, &two] {
            node.read(&world.pool, item, &PositionSet::default()).await;
        }
    }
    relay.publish_again(&mut epochs).await.unwrap();

    // The replicas hear nothing any more: their connections end, and they are too still to make new ones.
    let primary = servers.primary();
    let servers = aside(move || {
        for (_, replica) in servers.servers.iter().enumerate().filter(|(at, _)| *at != primary) {
            replica.pause();
        }
        servers.servers[primary].run::<i64>(&["CLIENT", "KILL", "TYPE", "replica"]);
        servers
    })
    .await;
    let mut written = PositionSet::default();
    for item in 0..ITEMS {
        let sql = format!("UPDATE items SET name = '2' WHERE id = {item}");
        let declared = [format!("acme/item/{item}"), format!("acme/on_shelf/{SHELF}"), "*/called/2".to_owned()];
        let declared: Vec<&str> = declared.iter().map(String::as_str).collect();
        written.extend(&world.write(&sql, &declared).await);
        history.acknowledged(item, 2);
        for node in [&one, &two] {
            let since = history.now();
            let (version, _) = node.read(&world.pool, item, &written).await;
            history.read("before", since, [(item, version)]);
        }
    }
    world.outbox.flush().await;
    assert_eq!(world.pending().await, 0, "everything is published");
    assert_eq!(relay.publish_again(&mut epochs).await.unwrap(), 0, "and held");
    one.heard.take();
    two.heard.take();

    let (servers, held, left) = aside(move || {
        let mut servers = servers;
        let held = records(&servers.servers[primary]);
        servers.servers[primary].kill();
        servers.servers.iter().enumerate().filter(|(at, _)| *at != primary).for_each(|(_, server)| server.resume());
        let left = records(&servers.servers[(primary + 1) % servers.servers.len()]);
        servers.wait_for_another_than(primary);
        (servers, held, left)
    })
    .await;
    assert!(left + u64::from(ITEMS) <= held, "nothing was lost: {left} of {held} records");

    let again = published_again(&relay, &mut epochs, u64::from(ITEMS)).await;
    assert!(again >= u64::from(ITEMS), "{again}");
    let lost: Vec<_> = (0..ITEMS).map(|item| tag(&format!("acme/item/{item}")).id()).collect();
    // Each node hears of it: the other one, too.
    for node in [&one, &two] {
        let mut heard = Vec::new();
        let hearing = async {
            while !lost.iter().all(|tag| heard.contains(tag)) {
                heard.extend(node.heard.take());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, hearing).await.expect("every node hears of what was lost");
    }
    // Kept again, and right; also after a further write.
    for round in 2..4 {
        for item in 0..ITEMS {
            if round > 2 {
                let sql = format!("UPDATE items SET name = '{round}' WHERE id = {item}");
                written = world.write(&sql, &[&format!("acme/item/{item}")]).await;
                history.acknowledged(item, round);
            }
            for node in [&one, &two] {
                let until_kept = async {
                    loop {
                        let since = history.now();
                        let (version, is_hit) = node.read(&world.pool, item, &written).await;
                        history.read("after", since, [(item, version)]);
                        if is_hit {
                            return;
                        }
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                };
                tokio::time::timeout(PATIENCE, until_kept).await.expect("the cache works again");
            }
        }
    }
    assert!(history.reads() >= 6 * usize::try_from(ITEMS).unwrap());
    assert!(history.violations().is_empty(), "{:?}", history.violations());
    aside(move || drop(servers)).await;
}
