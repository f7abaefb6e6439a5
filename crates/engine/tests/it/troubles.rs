//! What a real server says when it will not do what it is asked, and what becomes of it: each trouble has a message
//! that says what to do, and ends without a restart of the node.

use std::{
    fs,
    time::{Duration, Instant},
};

use unstale::{
    Bytes, Cache, Position, RedisSettings, RedisStore, Severity, StoreError, Timestamp,
    codec::Fingerprint,
    store::{AfterLease, Filled, Lease, LeaseRequest, LeaseToken, LogPage, Seal, Store as _, StoredEntry},
    testing::redis_server::{RedisCluster, RedisSentinels, RedisServer, settings},
};

use crate::world::{acme, fact_tag, page};

/// For what happens soon unless something is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Patient, so that what a busy machine delays is no trouble of the server's.
pub(crate) fn store(mut settings: RedisSettings) -> RedisStore {
    settings.limits.connect_timeout = PATIENCE / 4;
    settings.limits.operation_timeout = PATIENCE;
    RedisStore::new(settings).unwrap()
}

fn on(server: &RedisServer) -> RedisStore {
    store(settings(server, "test"))
}

/// With a login in the URL.
fn as_user(server: &RedisServer, login: &str) -> RedisStore {
    store(RedisSettings::new(format!("redis://{login}@127.0.0.1:{}", server.port()), "test"))
}

pub(crate) async fn head(store: &RedisStore) -> Result<Position, StoreError> {
    store.head(store.partitions().of(&acme())).await
}

pub(crate) async fn append(store: &RedisStore) -> Result<Position, StoreError> {
    store.append(store.partitions().of(&acme()), vec![fact_tag(1).id()], Bytes::new()).await
}

pub(crate) async fn fill(store: &RedisStore, base: Position, number: u32, bytes: usize) -> Result<Filled, StoreError> {
    let entry = StoredEntry {
        base,
        tags: [fact_tag(2).id()].into_iter().collect(),
        has_tenant_tags: true,
        loaded_at: Timestamp::from_millis(1_000),
        load_ms: 0,
        expires_at: Timestamp::from_millis(2_000),
        dead_at: Timestamp::from_millis(600_000),
        schema: Fingerprint::of("bytes"),
        value: Some(vec![7; bytes].into()),
        subjects: 0,
        is_sensitive: false,
        seal: Seal::None,
    };
    store.fill(page(&acme(), number).raw(), entry).await
}

#[track_caller]
pub(crate) fn check<T: std::fmt::Debug>(answer: Result<T, StoreError>, refused: bool, says: &str) {
    let error = answer.unwrap_err();
    assert_eq!(matches!(error, StoreError::Refused(_)), refused, "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

async fn until_answered(store: &RedisStore) -> Position {
    let end = Instant::now() + PATIENCE;
    loop {
        match append(store).await {
            Ok(position) => return position,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

const APP: &[&str] = &["--user", "app", "on", ">right", "~{test:*", "&{test:*", "+@all"];

#[tokio::test]
async fn a_wrong_password_is_refused_with_advice_and_does_not_hammer() {
    let server = RedisServer::start_with(APP);
    head(&as_user(&server, "app:right")).await.unwrap();
    let store = as_user(&server, "app:wrong");
    let before: u64 = server.info("total_connections_received").parse().unwrap();
    for _ in 0..500 {
        check(head(&store).await, true, "correct them in its URL");
    }
    let after: u64 = server.info("total_connections_received").parse().unwrap();
    assert!(after - before < 10, "{} connections for 500 operations", after - before);
    let error = Cache::builder(std::sync::Arc::new(store)).build().await.unwrap_err();
    assert!(error.to_string().contains("WRONGPASS"), "a cache does not start with it: {error}");
}

#[tokio::test]
async fn a_password_that_is_missing_or_allows_too_little_is_told() {
    let server = RedisServer::start_with(&["--requirepass", "secret"]);
    check(head(&on(&server)).await, true, "put user:password@ before the host");
    head(&as_user(&server, ":secret")).await.unwrap();
    let server = RedisServer::start_with(&["--user", "app", "on", ">right", "~*", "&*", "+@all", "-spublish"]);
    head(&as_user(&server, "app:right")).await.unwrap();
    let server = RedisServer::start_with(&["--user", "app", "on", ">right", "~other:*", "&*", "+@all"]);
    check(head(&as_user(&server, "app:right")).await, true, "the user may not do this");
}

#[tokio::test]
async fn a_password_that_is_changed_under_way_stops_the_node_until_it_is_right_again() {
    let server = RedisServer::start_with(APP);
    let store = as_user(&server, "app:right");
    let before = append(&store).await.unwrap();
    server.run::<()>(&["ACL", "SETUSER", "app", "resetpass", ">new"]);
    server.run::<()>(&["CLIENT", "KILL", "USER", "app"]);
    let end = Instant::now() + PATIENCE;
    while !matches!(append(&store).await, Err(StoreError::Refused(_))) {
        assert!(Instant::now() < end);
    }
    server.run::<()>(&["ACL", "SETUSER", "app", ">right"]);
    let after = until_answered(&store).await;
    assert_eq!(after.epoch, before.epoch, "the server was the same all the time");
}

#[tokio::test]
async fn a_replica_is_neither_written_nor_believed() {
    let primary = RedisServer::start();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &primary.port().to_string()]);
    check(head(&on(&replica)).await, false, "use redis+sentinel://");
    check(append(&on(&replica)).await, false, "use redis+sentinel://");
}

#[tokio::test]
async fn a_primary_that_becomes_a_replica_is_not_believed_and_its_next_reign_is_another_epoch() {
    let (server, other) = (RedisServer::start(), RedisServer::start());
    let store = on(&server);
    let before = append(&store).await.unwrap();
    server.run::<()>(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]);
    // It has the log still, and its scripts; and it follows another log already.
    check(store.read_log(before, 10).await, false, "read-only replica");
    check(append(&store).await, false, "read-only replica");
    server.run::<()>(&["REPLICAOF", "NO", "ONE"]);
    let after = until_answered(&store).await;
    assert_ne!(after.epoch, before.epoch);
    assert!(matches!(store.read_log(before, 10).await.unwrap(), LogPage::NewEpoch { .. }));
}

/// A reign ends and begins, and the state came through untouched: still, somebody may have written meanwhile.
#[tokio::test]
async fn a_state_that_another_reign_has_begun_is_not_gone_on_with() {
    let (server, replica) = (RedisServer::start(), RedisServer::start());
    let store = on(&server);
    let before = append(&store).await.unwrap();
    replica.run::<()>(&["REPLICAOF", "127.0.0.1", &server.port().to_string()]);
    let end = Instant::now() + PATIENCE;
    while replica.keys("*") != server.keys("*") {
        assert!(Instant::now() < end);
    }
    replica.run::<()>(&["REPLICAOF", "NO", "ONE"]);
    server.run::<()>(&["REPLICAOF", "127.0.0.1", &replica.port().to_string()]);
    while server.info("master_link_status") != "up" {
        assert!(Instant::now() < end);
    }
    server.run::<()>(&["REPLICAOF", "NO", "ONE"]);
    // As sentinels do when they make a primary.
    server.run::<()>(&["CLIENT", "KILL", "TYPE", "normal"]);
    assert_ne!(until_answered(&store).await.epoch, before.epoch);
}

/// Whose scripts are of the reign before has nothing to begin: another node has begun the epoch of the new one.
#[tokio::test]
async fn who_learns_of_a_reign_after_others_goes_on_with_their_log_and_begins_nothing() {
    let server = RedisServer::start();
    let (first, second) = (on(&server), on(&server));
    let before = append(&first).await.unwrap();
    server.run::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    server.run::<()>(&["REPLICAOF", "NO", "ONE"]);
    let begun = append(&second).await.unwrap();
    assert_ne!(begun.epoch, before.epoch);
    server.run::<()>(&["CONFIG", "RESETSTAT"]);
    let after = append(&first).await.unwrap();
    assert_eq!((after.epoch, after.sequence), (begun.epoch, begun.sequence.next()));
    let scripts = server.info("cmdstat_evalsha");
    assert!(scripts.starts_with("calls=2,"), "the old append and the new one: {scripts}");
}

#[tokio::test]
async fn a_primary_cut_off_from_its_replicas_answers_nothing_if_it_demands_them() {
    let server = RedisServer::start();
    let store = on(&server);
    let before = append(&store).await.unwrap();
    server.run::<()>(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    check(append(&store).await, false, "min-replicas-to-write");
    check(store.read_log(before, 10).await, false, "min-replicas-to-write");
    server.run::<()>(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    assert_eq!(until_answered(&store).await.epoch, before.epoch);
}

#[tokio::test]
async fn a_server_that_loads_its_data_is_waited_for() {
    let slow = ["--enable-debug-command", "local", "--key-load-delay", "5000"];
    let server = RedisServer::start_with(&[&slow[..], &["--loading-process-events-interval-bytes", "1024"]].concat());
    for number in 0..400 {
        server.run::<()>(&["SET", &format!("other:{number}"), &"x".repeat(200)]);
    }
    let store = on(&server);
    append(&store).await.unwrap();
    let server = std::sync::Arc::new(server);
    let reloading = server.clone();
    let reload = tokio::task::spawn_blocking(move || reloading.run::<()>(&["DEBUG", "RELOAD"]));
    let end = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < end, "it was never seen loading");
        if append(&store).await.is_err_and(|error| error.to_string().contains("loads its data")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    reload.await.unwrap();
    until_answered(&store).await;
}

#[tokio::test]
async fn a_full_server_takes_invalidations_but_no_entries() {
    let server = RedisServer::start_with(&["--maxmemory-policy", "noeviction"]);
    let store = on(&server);
    let base = append(&store).await.unwrap();
    server.run::<()>(&["SET", "other", &"x".repeat(3_000_000)]);
    server.run::<()>(&["CONFIG", "SET", "maxmemory", "3mb"]);
    assert_eq!(fill(&store, base, 1, 10_000).await.unwrap(), Filled::NotKept);
    for _ in 0..100 {
        append(&store).await.unwrap();
    }
    let LogPage::Records(records) = store.read_log(base, 500).await.unwrap() else { panic!("records") };
    assert_eq!(records.len(), 100);
    server.run::<()>(&["DEL", "other"]);
    assert_eq!(fill(&store, base, 1, 10_000).await.unwrap(), Filled::Stored);
}

#[tokio::test]
async fn a_full_server_leases_nothing_and_gives_what_it_holds() {
    let server = RedisServer::start_with(&["--maxmemory-policy", "noeviction"]);
    let store = on(&server);
    let base = append(&store).await.unwrap();
    let [held, stored, nothing] = [1, 2, 3].map(|number| page(&acme(), number).raw().clone());
    let request =
        |token, over| LeaseRequest { lease: Lease { token: LeaseToken::from_u128(token), base }, ttl: PATIENCE, over };
    assert_eq!(store.lease(&held, &request(7, None)).await.unwrap().held_by, None);
    assert_eq!(fill(&store, base, 2, 100).await.unwrap(), Filled::Stored);
    server.run::<()>(&["SET", "other", &"x".repeat(3_000_000)]);
    server.run::<()>(&["CONFIG", "SET", "maxmemory", "3mb"]);
    let all = [&held, &stored, &nothing].map(|key| (key.clone(), request(8, None)));
    let mut answers = store.lease_many(&all).await.unwrap();
    for (key, request) in &all {
        answers.push(store.lease(key, request).await.unwrap());
    }
    for (at, leased) in answers.into_iter().enumerate() {
        // As a lease that is open: nobody is waited for.
        assert_eq!(leased.held_by.unwrap().token, LeaseToken::NOBODY);
        assert_eq!(leased.entry.is_some(), at % 3 == 1, "{at}");
    }
    let kept = store.lease(&held, &request(7, Some(LeaseToken::from_u128(7)))).await.unwrap();
    assert_eq!(kept.held_by.unwrap().token, LeaseToken::NOBODY);
    store.release(&held, LeaseToken::from_u128(7), AfterLease::Open(PATIENCE)).await.unwrap();
    server.run::<()>(&["DEL", "other"]);
    assert_eq!(store.lease(&held, &request(9, None)).await.unwrap().held_by, None, "it was given back all the same");
}

#[tokio::test]
async fn a_server_that_cannot_save_says_so() {
    let server = RedisServer::start_with(&["--save", "3600 1"]);
    let store = on(&server);
    append(&store).await.unwrap();
    fs::remove_dir_all(server.folder()).unwrap();
    server.run::<()>(&["BGSAVE"]);
    let end = Instant::now() + PATIENCE;
    while server.info("rdb_last_bgsave_status") != "err" {
        assert!(Instant::now() < end);
    }
    check(append(&store).await, false, "could not save to disk");
    let found = store.check().await;
    assert_eq!(found[0].severity, Severity::Wrong);
    assert!(found[0].to_string().contains("could not save"), "{found:?}");
    server.run::<()>(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"]);
    append(&store).await.unwrap();
}

#[tokio::test]
async fn a_url_of_another_topology_is_refused_with_advice() {
    let server = RedisServer::start();
    let url = |scheme: &str, path: &str| format!("{scheme}://127.0.0.1:{}{path}", server.port());
    check(head(&store(RedisSettings::new(url("redis+cluster", ""), "test"))).await, true, "use redis://");
    let wrong = store(RedisSettings::new(url("redis+sentinel", "/main"), "test"));
    assert!(head(&wrong).await.is_err());
    let clustered = RedisServer::start_with(&["--cluster-enabled", "yes", "--cluster-port", "0"]);
    assert!(head(&on(&clustered)).await.is_err(), "no slot is served");
    // Half of the slots have an owner; it may be down for a moment yet.
    clustered.run::<()>(&["CLUSTER", "ADDSLOTSRANGE", "0", "8191"]);
    let half = store(RedisSettings::new(format!("redis+cluster://127.0.0.1:{}", clustered.port()), "test"));
    let mut said = Vec::new();
    for partition in half.partitions().all() {
        said.extend(half.head(partition).await.err().map(|error| error.to_string()));
    }
    let unowned = said.iter().filter(|said| said.contains("the cluster has no owner for a slot")).count();
    assert!((1..half.partitions().all().len()).contains(&unowned), "{said:?}");
}

#[tokio::test]
async fn an_unknown_service_is_refused_and_sentinels_are_found() {
    let group = tokio::task::spawn_blocking(RedisSentinels::start).await.unwrap();
    let url = group.url().replace("/main", "/other");
    check(head(&store(RedisSettings::new(url, "test"))).await, true, "no service of this name");
    // One sentinel that is gone does not matter.
    let url = group.url().replace("redis+sentinel://", "redis+sentinel://127.0.0.1:1,");
    head(&store(RedisSettings::new(url, "test"))).await.unwrap();
    let found = store(group.settings("test")).check().await;
    assert!(found.iter().any(|finding| finding.what.contains("min-replicas-to-write 0")), "{found:?}");
}

#[tokio::test]
async fn servers_are_looked_at() {
    let server = RedisServer::start_with(&[&["--maxmemory", "64mb"], APP].concat());
    let found = on(&server).check().await;
    assert!(found[0].to_string().contains("noeviction"), "{found:?}");
    assert!(found.iter().any(|finding| finding.what.starts_with("Redis 7") || finding.what.starts_with("Valkey")));
    server.run::<()>(&["ACL", "SETUSER", "app", "-config"]);
    let found = as_user(&server, "app:right").check().await;
    assert!(found.iter().any(|finding| finding.what.contains("CONFIG is forbidden")), "{found:?}");
    let cluster = tokio::task::spawn_blocking(RedisCluster::start).await.unwrap();
    let found = store(cluster.settings("test")).check().await;
    let masters: std::collections::BTreeSet<_> = found.iter().map(|finding| &finding.server).collect();
    assert_eq!(masters.len(), 3, "{found:?}");
    // A node that takes one of its masters for a server of its own.
    let alone = on(&cluster.servers[0]);
    let mut elsewhere = Vec::new();
    for partition in alone.partitions().all() {
        elsewhere.extend(alone.head(partition).await.err());
    }
    assert!(!elsewhere.is_empty(), "two thirds of the slots are other masters'");
    for error in elsewhere {
        check::<()>(Err(error), true, "use redis+cluster://");
    }
    for (url, target) in [
        ("redis://127.0.0.1:1", "127.0.0.1:1"),
        ("redis+cluster://127.0.0.1:1", "127.0.0.1:1"),
        ("redis+sentinel://127.0.0.1:1/main", "main"),
    ] {
        let found = store(RedisSettings::new(url, "test")).check().await;
        assert!(found.len() == 1 && found[0].severity == Severity::Wrong, "{found:?}");
        assert!(found[0].server.contains(target), "{found:?}");
    }
}
