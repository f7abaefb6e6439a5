//! Nodes over sentinels and over a cluster, and what may happen to the servers while they read and write.
//!
//! A fleet reads and writes while a failover or a resharding goes on; the history is checked throughout. Afterwards,
//! without a restart of any node, writes are acknowledged and hits are possible again.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use unstale::{
    Bytes, RedisStore, StoreError,
    store::{Filled, Store as _},
    testing::redis_server::{RedisCluster, RedisSentinels, settings},
};

use crate::{
    fleet::{Fleet, PATIENCE, aside},
    troubles::{fill, store as patient},
    world::{acme, fact_tag, page},
};

/// A store's state key for the world's tenant.
fn state_key(store: &RedisStore, namespace: &str) -> String {
    format!("{{{namespace}:{}}}:state", store.partitions().of(&acme()).index())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_fail_over_and_back_in_peace() {
    let mut servers = aside(RedisSentinels::start).await;
    let fleet = Fleet::over(|| servers.settings("test")).await;
    for _ in 0..2 {
        servers = aside(move || {
            servers.fail_over();
            servers.wait_until_followed();
            servers
        })
        .await;
        fleet.recover().await;
    }
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_primary_is_replaced_and_comes_back_as_a_replica() {
    let mut servers = aside(RedisSentinels::start).await;
    let fleet = Fleet::over(|| servers.settings("test")).await;
    let primary = servers.primary();
    servers = aside(move || {
        servers.servers[primary].kill();
        servers.wait_for_another_than(primary);
        servers
    })
    .await;
    fleet.recover().await;
    servers = aside(move || {
        servers.servers[primary].start_again();
        servers.wait_until_followed();
        servers
    })
    .await;
    fleet.recover().await;
    fleet.end().await;
    drop(servers);
}

/// The old primary does not know that it was replaced until it goes on, and its connections never broke.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_primary_is_left_for_the_new_one() {
    let mut servers = aside(RedisSentinels::start).await;
    let fleet = Fleet::over(|| servers.settings("test")).await;
    let primary = servers.primary();
    servers = aside(move || {
        servers.servers[primary].pause();
        servers.wait_for_another_than(primary);
        servers
    })
    .await;
    fleet.recover().await;
    servers = aside(move || {
        servers.servers[primary].resume();
        servers.wait_until_followed();
        servers
    })
    .await;
    fleet.recover().await;
    fleet.end().await;
    drop(servers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_of_a_cluster_fails_over_in_peace_and_is_killed() {
    let mut cluster = aside(RedisCluster::start).await;
    let settings = cluster.settings("test");
    let slot = cluster.slot(&state_key(&RedisStore::new(settings.clone()).unwrap(), "test"));
    let fleet = Fleet::over(|| settings.clone()).await;
    cluster = aside(move || {
        cluster.fail_over(slot);
        cluster.wait_until_whole();
        cluster
    })
    .await;
    fleet.recover().await;
    cluster = aside(move || {
        let master = cluster.owner(slot).unwrap();
        cluster.servers[master].kill();
        cluster.wait_for_another_than(master, slot);
        cluster
    })
    .await;
    fleet.end().await;
    drop(cluster);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_is_moved_to_another_master_and_back_while_it_is_used() {
    let mut cluster = aside(RedisCluster::start).await;
    let settings = cluster.settings("test");
    let slot = cluster.slot(&state_key(&RedisStore::new(settings.clone()).unwrap(), "test"));
    let fleet = Fleet::over(|| settings.clone()).await;
    let home = cluster.owner(slot).unwrap();
    for to in [(home + 1) % 3, home] {
        cluster = aside(move || {
            // Time for every kind of operation to meet a slot of which some keys are here and some there.
            cluster.migrate(slot, to, || std::thread::sleep(Duration::from_millis(30)));
            cluster
        })
        .await;
        fleet.recover().await;
    }
    fleet.end().await;
    drop(cluster);
}

/// A slot on its way to the next server, key by key.
struct Migration {
    /// Told after each key; ends with the last one.
    moved: mpsc::Receiver<()>,
    /// The next key is moved when it is told.
    go_on: std::sync::mpsc::Sender<()>,
    running: JoinHandle<RedisCluster>,
}

fn migrate(cluster: RedisCluster, slot: u16) -> Migration {
    let (told, moved) = mpsc::channel(1);
    let (go_on, may_go_on) = std::sync::mpsc::channel();
    let running = tokio::task::spawn_blocking(move || {
        let to = (cluster.owner(slot).unwrap() + 1) % 3;
        cluster.migrate(slot, to, || {
            told.blocking_send(()).unwrap();
            may_go_on.recv().unwrap();
        });
        drop(told);
        cluster
    });
    Migration { moved, go_on, running }
}

/// Some keys of a batch here and some there: no server answers for all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_entries_are_read_while_their_slot_moves() {
    let cluster = aside(RedisCluster::start).await;
    let store = RedisStore::new(cluster.settings("test")).unwrap();
    let slot = cluster.slot(&state_key(&store, "test"));
    let base = until_answered(|| store.head(store.partitions().of(&acme()))).await;
    let keys: Vec<_> = (0..8).map(|number| page(&acme(), number).raw().clone()).collect();
    for number in 0..8 {
        assert_eq!(fill(&store, base, number, 10).await.unwrap(), Filled::Stored);
    }
    let Migration { mut moved, go_on, running } = migrate(cluster, slot);
    let mut halves = 0;
    while moved.recv().await.is_some() {
        let found = store.get(&keys).await.unwrap();
        assert!(found.iter().all(Option::is_some), "after {halves} keys: {found:?}");
        halves += 1;
        go_on.send(()).unwrap();
    }
    assert!(halves > 8, "each key moved alone");
    drop(running.await.unwrap());
}

/// Its state here and its log there: no server answers for both, and while nobody moves the rest, none will.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_on_a_slot_that_stays_half_moved_is_given_up_before_its_time_is_over() {
    let cluster = aside(RedisCluster::start).await;
    let store = patient(cluster.settings("test"));
    let slot = cluster.slot(&state_key(&store, "test"));
    append(&store).await;
    let Migration { mut moved, go_on, running } = migrate(cluster, slot);
    let mut answers = Vec::new();
    while moved.recv().await.is_some() {
        answers.push(store.head(store.partitions().of(&acme())).await);
        go_on.send(()).unwrap();
    }
    let [Ok(_), Err(half), _] = &answers[..] else { panic!("before, between and after two keys: {answers:?}") };
    assert!(["TRYAGAIN", "ASK"].iter().any(|said| half.to_string().contains(said)), "{half}");
    let cluster = running.await.unwrap();
    append(&store).await;
    drop(cluster);
}

/// The position before a failover is of an epoch that is over; nobody begins one twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_replica_begins_a_new_epoch_once() {
    let servers = Arc::new(aside(RedisSentinels::start).await);
    let stores: Vec<_> = (0..2).map(|_| RedisStore::new(servers.settings("test")).unwrap()).collect();
    let partition = stores[0].partitions().of(&acme());
    let before = append(&stores[0]).await;
    for _ in 0..2 {
        let group = servers.clone();
        aside(move || {
            group.fail_over();
            group.wait_until_followed();
        })
        .await;
        let after = append(&stores[0]).await;
        assert_ne!(after.epoch, before.epoch);
        for store in &stores {
            assert_eq!(until_answered(|| store.head(partition)).await, after, "both know the same epoch");
        }
    }
}

async fn append(store: &RedisStore) -> unstale::Position {
    let (partition, tag) = (store.partitions().of(&acme()), fact_tag(1).id());
    until_answered(|| store.append(partition, vec![tag], Bytes::new())).await
}

async fn until_answered<T, F: Future<Output = Result<T, StoreError>>>(ask: impl Fn() -> F) -> T {
    let asking = async {
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    timeout(PATIENCE, asking).await.expect("the servers answer again")
}

/// For seconds after a failover in peace, the old primary still takes itself for one. A node that has not heard of the
/// new one must not go on with the old log: what it acknowledged would be unknown to all others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_begins_with_the_new_primary_ends_the_old_ones_log() {
    let servers = Arc::new(aside(RedisSentinels::start).await);
    let informed = RedisStore::new(servers.settings("test")).unwrap();
    let old = servers.primary();
    let uninformed = RedisStore::new(settings(&servers.servers[old], "test")).unwrap();
    let partition = informed.partitions().of(&acme());
    let before = append(&informed).await;
    assert_eq!(append(&uninformed).await.epoch, before.epoch);
    let group = servers.clone();
    aside(move || group.fail_over()).await;
    let begun = append(&informed).await;
    assert_ne!(begun.epoch, before.epoch);
    assert_eq!(servers.servers[old].info("role"), "master", "sentinels let it be for some seconds");
    for _ in 0..3 {
        let error = uninformed.append(partition, vec![fact_tag(1).id()], Bytes::new()).await.unwrap_err();
        assert!(error.to_string().contains("was replaced"), "{error}");
        uninformed.read_log(before, 10).await.unwrap_err();
    }
    assert_eq!(append(&informed).await.epoch, begun.epoch, "the new log goes on");
}

/// A primary without replicas acknowledges nothing to who demands one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_wait_for_the_replicas_that_are_demanded() {
    let mut servers = aside(RedisSentinels::start).await;
    let mut settings = servers.settings("test");
    settings.limits.replicas_acknowledged_min = 2;
    let store = RedisStore::new(settings).unwrap();
    append(&store).await;
    let primary = servers.primary();
    let replica = (primary + 1) % servers.servers.len();
    servers.servers[replica].kill();
    let partition = store.partitions().of(&acme());
    let error = store.append(partition, vec![fact_tag(1).id()], Bytes::new()).await.unwrap_err();
    assert!(error.to_string().contains("too few replicas"), "{error}");
    // Reading is not held up by it.
    store.head(partition).await.unwrap();
    store.get(&[page(&acme(), 1).raw().clone()]).await.unwrap();
    servers.servers[replica].start_again();
    append(&store).await;
}
