//! Under every policy of eviction, a server with too little memory: whatever it throws away, nothing becomes stale and
//! the service goes on.

use std::{sync::Arc, time::Instant};

use unstale::{
    RedisStore,
    store::Store as _,
    testing::redis_server::{RedisServer, settings},
};

use crate::{
    fleet::{Fleet, PATIENCE, aside},
    world::acme,
};

/// Keys evicted, or writes refused, before a policy has been tried enough.
const ENOUGH: usize = 3_000;

/// Another tenant of the server writes more than there is room for, all of it expiring, while the fleet is at work.
async fn check(policy: &str, spares_the_state: bool) {
    let server = Arc::new(RedisServer::start_with(&["--maxmemory", "6mb", "--maxmemory-policy", policy]));
    let fleet = Fleet::over(|| settings(&server, "test")).await;
    let mut patient = settings(&server, "test");
    patient.limits.connect_timeout = PATIENCE;
    patient.limits.operation_timeout = PATIENCE;
    let store = RedisStore::new(patient).unwrap();
    let partition = store.partitions().of(&acme());
    let before = store.head(partition).await.unwrap();
    let pressed = server.clone();
    aside(move || press(&pressed)).await;
    if spares_the_state {
        assert_eq!(store.head(partition).await.unwrap().epoch, before.epoch, "{policy}");
    }
    fleet.end().await;
}

fn press(server: &RedisServer) {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let value = "x".repeat(20_000);
    let (end, mut refused) = (Instant::now() + PATIENCE, 0);
    for round in 0.. {
        for number in 0..100 {
            let key = format!("other:{}", round * 100 + number);
            let set = redis::cmd("SET").arg(key).arg(&value).arg("EX").arg(3600).query::<()>(&mut connection);
            refused += usize::from(set.is_err());
        }
        let evicted: usize = server.info("evicted_keys").parse().unwrap();
        if evicted + refused >= ENOUGH {
            return;
        }
        assert!(Instant::now() < end, "{evicted} evicted, {refused} refused");
    }
}

/// Nothing is evicted, and new entries are refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noeviction() {
    check("noeviction", true).await;
}

/// The state as well as any entry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn allkeys_random() {
    check("allkeys-random", false).await;
}

/// In principle what was not used for long; within a second, anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn allkeys_lru() {
    check("allkeys-lru", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn allkeys_lfu() {
    check("allkeys-lfu", false).await;
}

/// Only what expires, which the state does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn volatile_random() {
    check("volatile-random", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn volatile_lru() {
    check("volatile-lru", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn volatile_lfu() {
    check("volatile-lfu", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn volatile_ttl() {
    check("volatile-ttl", true).await;
}
