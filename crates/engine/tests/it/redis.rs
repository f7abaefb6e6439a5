//! Nodes over one Redis server, and what may happen to it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use unstale::{
    Bytes, Cache, CacheVersion, Event, FetchError, Fetched, InvalidRedisSettings, Observer, Policy, Position,
    PositionSet, RedisStore, StoreError, Timestamp, Verdict,
    codec::Fingerprint,
    position::PartitionCount,
    store::{Filled, LogPage, Seal, Store as _, StoredEntry},
    testing::redis_server::{RedisServer, settings},
};

use crate::world::{FACTS, Page, World, acme, fact_tag, page, read_page};

/// Strict, so that every read is bound by every acknowledged write.
const STRICT: Policy = Policy::ttl(Duration::from_secs(3600)).mode(unstale::Mode::Strict);
/// Unbounded, so that nothing but a position or the follower moves a view on.
const PATIENT: Policy = Policy::ttl(Duration::from_secs(3600)).mode(unstale::Mode::Bounded(Duration::MAX));
/// For what happens at once unless something is broken.
const PATIENCE: Duration = Duration::from_secs(20);

fn store(server: &RedisServer) -> Arc<RedisStore> {
    Arc::new(RedisStore::new(settings(server, "test")).unwrap())
}

async fn node(server: &RedisServer) -> Cache {
    Cache::builder(store(server)).build().await.unwrap()
}

fn none() -> PositionSet {
    PositionSet::default()
}

/// Reads a page on a node, and has the history check it.
async fn read(world: &Arc<World>, node: &Cache, policy: &Policy, number: u32, at_least: PositionSet) -> Verdict {
    let promised_from = world.history.now();
    let fetched: Result<Fetched<Page>, FetchError<String>> = read_page(world, node, policy, number, at_least).await;
    let fetched = fetched.expect("the world's loads do not fail");
    world.history.read("a reader", promised_from, fetched.value().unwrap().saw.clone());
    fetched.verdict
}

#[track_caller]
fn check_nothing_stale(world: &World) {
    assert_eq!(world.history.violations(), vec![]);
}

fn is_miss(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Miss(_))
}

#[tokio::test]
async fn another_node_answers_from_redis_until_the_value_is_invalidated() {
    let server = RedisServer::start();
    let (one, two, world) = (node(&server).await, node(&server).await, World::new(1));
    assert!(is_miss(read(&world, &one, &PATIENT, 1, none()).await));
    assert_eq!(read(&world, &two, &PATIENT, 1, none()).await, Verdict::Hit);
    assert_eq!(world.loads.load(SeqCst), 1);

    let written = world.write(&one, &[1]).await.unwrap();
    assert!(is_miss(read(&world, &two, &PATIENT, 1, written).await), "the position moves the other node on");
    assert_eq!(read(&world, &one, &PATIENT, 1, none()).await, Verdict::Hit, "what the other node filled");
    check_nothing_stale(&world);
}

struct Applied(mpsc::UnboundedSender<Position>);

impl Observer for Applied {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::Applied { record } = event {
            let _ = self.0.send(record.position);
        }
    }
}

#[tokio::test]
async fn a_following_node_is_woken_by_an_append_elsewhere() {
    let server = RedisServer::start();
    let (send, mut applied) = mpsc::unbounded_channel();
    let two = Cache::builder(store(&server)).observer(Arc::new(Applied(send))).build().await.unwrap();
    let following = two.clone();
    // Never by the clock: only a wake-up moves this view on.
    let follower = tokio::spawn(async move { following.follow(Duration::from_secs(3600)).await });
    let (one, world) = (node(&server).await, World::new(1));
    for _ in 0..20 {
        read(&world, &two, &PATIENT, 1, none()).await;
        let written = world.write(&one, &[1]).await.unwrap();
        let seen = tokio::time::timeout(PATIENCE, applied.recv()).await.expect("the wake-up comes").unwrap();
        assert_eq!(PositionSet::from(seen), written);
        assert!(is_miss(read(&world, &two, &PATIENT, 1, none()).await));
    }
    follower.abort();
    check_nothing_stale(&world);
}

/// Each key of the cache deleted alone, at each moment between a few operations.
#[tokio::test]
async fn whichever_key_is_lost_nothing_becomes_stale() {
    const MOMENTS: usize = 6;
    let server = RedisServer::start();
    let mut lost = 0;
    for moment in 0..MOMENTS {
        for which in 0.. {
            server.run::<()>(&["FLUSHALL"]);
            let (one, two, world) = (node(&server).await, node(&server).await, World::new(which as u64));
            for number in 0..3 {
                read(&world, &one, &PATIENT, number, none()).await;
            }
            let partition = store(&server).partitions().of(&acme()).index();
            let mut more = true;
            let mut written = none();
            for at in 0..MOMENTS {
                if at == moment {
                    let keys = server.keys(&format!("{{test:{partition}}}:*"));
                    more = which + 1 < keys.len();
                    server.run::<()>(&["DEL", &keys[which.min(keys.len() - 1)]]);
                    lost += 1;
                }
                match at {
                    0 | 3 => written = world.write(&one, &[at as u32 % FACTS as u32, 1]).await.unwrap(),
                    1 | 4 => {
                        read(&world, &two, &PATIENT, 1, written.clone()).await;
                        read(&world, &two, &PATIENT, 2, written.clone()).await;
                    }
                    _ => {
                        for node in [&one, &two] {
                            for number in 0..3 {
                                read(&world, node, &STRICT, number, none()).await;
                            }
                        }
                    }
                }
            }
            assert_eq!(read(&world, &two, &STRICT, 1, none()).await, Verdict::Hit, "a hit becomes possible again");
            check_nothing_stale(&world);
            if !more {
                break;
            }
        }
    }
    assert!(lost > MOMENTS * 3, "state, log and entries were among the {lost} keys lost");
}

#[tokio::test]
async fn a_flushed_server_begins_anew() {
    let server = RedisServer::start();
    let (one, two, world) = (node(&server).await, node(&server).await, World::new(1));
    for round in 0..4 {
        read(&world, &one, &STRICT, 1, none()).await;
        read(&world, &two, &STRICT, 1, none()).await;
        if round % 2 == 0 {
            server.run::<()>(&["FLUSHALL"]);
        }
        world.write(&one, &[1]).await.unwrap();
        if round % 2 == 1 {
            server.run::<()>(&["FLUSHALL"]);
        }
        assert!(is_miss(read(&world, &two, &STRICT, 1, none()).await));
        assert_eq!(read(&world, &one, &STRICT, 1, none()).await, Verdict::Hit);
    }
    check_nothing_stale(&world);
}

#[tokio::test]
async fn while_the_server_is_away_reads_load_and_writes_fail_and_then_all_is_well() {
    let mut server = RedisServer::start();
    let (one, two, world) = (node(&server).await, node(&server).await, World::new(1));
    read(&world, &one, &STRICT, 1, none()).await;
    server.kill();
    for _ in 0..3 {
        assert_ne!(read(&world, &one, &STRICT, 1, none()).await, Verdict::Hit);
        assert!(world.write(&one, &[1]).await.is_none(), "what is not recorded is not acknowledged");
    }
    server.start_again();
    let recovery = async {
        // The first operation on a connection may find the old one broken.
        while world.write(&one, &[1]).await.is_none() {}
        while is_miss(read(&world, &two, &STRICT, 1, none()).await) {}
        while is_miss(read(&world, &one, &STRICT, 1, none()).await) {}
    };
    tokio::time::timeout(PATIENCE, recovery).await.expect("nodes recover without a restart");
    check_nothing_stale(&world);
}

#[tokio::test]
async fn a_server_restarted_from_an_old_snapshot_is_not_believed() {
    let mut server = RedisServer::start();
    let (store, tag) = (store(&server), fact_tag(1).id());
    let partition = store.partitions().of(&acme());
    let append = async || store.append(partition, vec![tag], Bytes::new()).await;
    append().await.unwrap();
    server.run::<()>(&["SAVE"]);
    let forgotten = append().await.unwrap();
    server.kill();
    server.start_again();
    assert!(!server.keys("*").is_empty(), "the snapshot was loaded");
    // As many records as were forgotten: the sequence alone would not show it.
    let until_connected = async {
        loop {
            if let Ok(position) = append().await {
                return position;
            }
        }
    };
    let again = tokio::time::timeout(PATIENCE, until_connected).await.expect("the server is back");
    assert_ne!(again.epoch, forgotten.epoch);
    assert!(matches!(store.read_log(forgotten, 10).await.unwrap(), LogPage::NewEpoch { .. }));
}

#[tokio::test]
async fn a_state_put_back_within_a_run_is_seen_by_who_is_ahead_of_it() {
    let server = RedisServer::start();
    let (store, tag) = (store(&server), fact_tag(1).id());
    let partition = store.partitions().of(&acme());
    store.append(partition, vec![tag], Bytes::new()).await.unwrap();
    let state = format!("{{test:{}}}:state", partition.index());
    server.run::<()>(&["COPY", &state, "kept"]);
    let ahead = store.append(partition, vec![tag], Bytes::new()).await.unwrap();
    server.run::<()>(&["COPY", "kept", &state, "REPLACE"]);
    assert!(matches!(store.read_log(ahead, 10).await.unwrap(), LogPage::NewEpoch { .. }));
    assert_eq!(store.fill(page(&acme(), 1).raw(), entry(ahead, Bytes::new())).await.unwrap(), Filled::Overtaken);
}

fn entry(base: Position, value: Bytes) -> StoredEntry {
    StoredEntry {
        base,
        tags: [fact_tag(1).id()].into_iter().collect(),
        has_tenant_tags: true,
        loaded_at: Timestamp::from_millis(1_000),
        load_ms: 0,
        expires_at: Timestamp::from_millis(2_000),
        dead_at: Timestamp::from_millis(61_000),
        schema: Fingerprint::of("bytes"),
        value: Some(value),
        subjects: 0,
        is_sensitive: false,
        seal: Seal::None,
    }
}

#[tokio::test]
async fn what_is_no_entry_is_absent_and_counted() {
    let server = RedisServer::start();
    let (store, key, other) = (store(&server), page(&acme(), 1), page(&acme(), 2));
    let base = store.head(store.partitions().of(&acme())).await.unwrap();
    assert_eq!(store.fill(key.raw(), entry(base, Bytes::from_static(b"x"))).await.unwrap(), Filled::Stored);
    let stored = server.keys("*acme*");
    assert_eq!(stored.len(), 1);
    let lifetime_ms: u64 = server.run(&["PTTL", &stored[0]]);
    assert!((30_000..=60_000).contains(&lifetime_ms), "dead in {lifetime_ms} ms");

    let one = [key.raw().clone()];
    let both = [key.raw().clone(), other.raw().clone()];
    for (at, foreign) in [&["SET", &stored[0], "foreign"][..], &["SETRANGE", &stored[0], "0", "Us"]].iter().enumerate()
    {
        server.run::<()>(foreign);
        assert!(store.get(&one).await.unwrap()[0].is_none());
        assert!(store.get(&both).await.unwrap()[0].is_none());
        assert_eq!(store.malformed_entries(), at as u64 * 2 + 2);
    }
    server.run::<()>(&["DEL", &stored[0]]);
    server.run::<()>(&["LPUSH", &stored[0], "a list"]);
    assert!(store.get(&one).await.unwrap()[0].is_none());
    assert_eq!(store.malformed_entries(), 5);
    assert_eq!(store.fill(key.raw(), entry(base, Bytes::from_static(b"y"))).await.unwrap(), Filled::Stored);
    assert_eq!(store.get(&both).await.unwrap()[0].as_ref().unwrap().value.as_deref(), Some(&b"y"[..]));
}

#[tokio::test]
async fn versions_share_the_log_but_not_the_entries() {
    let server = RedisServer::start();
    let newer = unstale::RedisSettings { version: CacheVersion::new("v2").unwrap(), ..settings(&server, "test") };
    let two = Cache::builder(Arc::new(RedisStore::new(newer).unwrap())).build().await.unwrap();
    let (one, world) = (node(&server).await, World::new(1));
    read(&world, &one, &STRICT, 1, none()).await;
    assert!(is_miss(read(&world, &two, &STRICT, 1, none()).await));
    world.write(&two, &[1]).await.unwrap();
    assert!(is_miss(read(&world, &one, &STRICT, 1, none()).await), "a write by a node of the next version");
    check_nothing_stale(&world);
}

/// As with any key of the cache that somebody else has written: it is taken for lost.
#[tokio::test]
async fn something_else_in_the_place_of_a_log_begins_a_new_epoch() {
    let server = RedisServer::start();
    let (one, two, world) = (node(&server).await, node(&server).await, World::new(1));
    read(&world, &two, &STRICT, 1, none()).await;
    let before = world.write(&one, &[1]).await.unwrap();
    for foreign in [["SET", "x"].as_slice(), &["HSET", "x", "y"]] {
        let log = server.keys("*:log").pop().unwrap();
        server.run::<()>(&["DEL", &log]);
        server.run::<()>(&[&[foreign[0], &log], &foreign[1..]].concat());
        let written = world.write(&one, &[1]).await.expect("the log is begun anew");
        assert_ne!(written.iter().next().unwrap().epoch, before.iter().next().unwrap().epoch);
        assert!(is_miss(read(&world, &two, &STRICT, 1, none()).await));
        assert_eq!(read(&world, &two, &STRICT, 1, none()).await, Verdict::Hit);
    }
    check_nothing_stale(&world);
}

#[tokio::test]
async fn nodes_that_disagree_on_the_partitions_are_told() {
    let server = RedisServer::start();
    let _sixteen = node(&server).await;
    let mut settings = settings(&server, "test");
    settings.limits.partitions = PartitionCount::new(32).unwrap();
    let error = Cache::builder(Arc::new(RedisStore::new(settings).unwrap())).build().await.unwrap_err();
    assert!(error.to_string().contains("the log has 16 partitions, this node is set to 32"), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for() {
    let server = RedisServer::start();
    let mut settings = settings(&server, "test");
    settings.limits.operation_timeout = Duration::from_millis(50);
    let store = RedisStore::new(settings).unwrap();
    let partition = store.partitions().of(&acme());
    server.run::<()>(&["CLIENT", "PAUSE", "600000", "ALL"]);
    let StoreError::Unavailable(told) = store.head(partition).await.unwrap_err() else { panic!("a refusal") };
    assert!(told.contains("no answer within 50ms"), "{told}");
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_and_passwords_are_not_shown() {
    let new = |url: &str, namespace: &str, clocks_max| {
        let mut settings = unstale::RedisSettings::new(url, namespace);
        settings.limits.clocks_max = clocks_max;
        RedisStore::new(settings)
    };
    assert!(matches!(new("http://x", "a", 1), Err(InvalidRedisSettings::Url(_))));
    for namespace in ["", "a}b", "a b"] {
        assert!(matches!(new("redis://localhost", namespace, 1), Err(InvalidRedisSettings::Namespace(_))));
    }
    assert!(matches!(new("redis://localhost", "a", 0), Err(InvalidRedisSettings::Zero("clocks_max"))));
    let grouping = |items_max| {
        let mut settings = unstale::RedisSettings::new("redis://localhost:1", "a");
        settings.limits.group_items_max = items_max;
        RedisStore::new(settings).map(drop)
    };
    grouping(1024).unwrap();
    let told = grouping(1025).unwrap_err().to_string();
    assert_eq!(told, "group_items_max is 1025, more than 1024; lower it");
    let shown = format!("{:?}", new("redis://user:secret@localhost:1", "a", 1).unwrap());
    assert!(shown.contains("localhost:1") && !shown.contains("secret"), "{shown}");
}

#[tokio::test]
async fn a_cache_starts_without_its_server_and_needs_no_restart_when_it_comes() {
    let mut server = RedisServer::start();
    server.kill();
    let (one, two, world) = (node(&server).await, node(&server).await, World::new(1));
    for node in [&one, &two] {
        for policy in [&STRICT, &PATIENT] {
            let verdict = read(&world, node, policy, 1, none()).await;
            assert_ne!(verdict, Verdict::Hit, "a view that never was confirmed answers nothing");
        }
        assert!(world.write(node, &[1]).await.is_none());
    }
    server.start_again();
    let recovery = async {
        while world.write(&one, &[1]).await.is_none() {
            tokio::task::yield_now().await;
        }
        while is_miss(read(&world, &two, &STRICT, 1, none()).await) {}
        while is_miss(read(&world, &one, &STRICT, 1, none()).await) {}
    };
    tokio::time::timeout(PATIENCE, recovery).await.expect("nodes recover without a restart");
    check_nothing_stale(&world);
}

/// While there is no store, a load is still shared by those who wait for it.
#[tokio::test]
async fn without_a_server_concurrent_misses_load_once() {
    let mut server = RedisServer::start();
    server.kill();
    let (node, world) = (node(&server).await, World::new(1));
    let reads = (0..50).map(|_| read(&world, &node, &STRICT, 1, none()));
    let verdicts = futures_util::future::join_all(reads).await;
    assert!(verdicts.into_iter().all(|verdict| verdict != Verdict::Hit));
    assert_eq!(world.loads.load(SeqCst), 1);
}

/// Lets through what nodes say to the server, or holds it back until both words were said.
struct Gate {
    port: u16,
    holds: Arc<AtomicBool>,
}

impl Gate {
    async fn before(server: &RedisServer, words: [&'static str; 2]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, to, holds) =
            (listener.local_addr().unwrap().port(), server.port(), Arc::new(AtomicBool::new(false)));
        let held = holds.clone();
        tokio::spawn(async move {
            while let Ok((node, _)) = listener.accept().await {
                let held = held.clone();
                tokio::spawn(async move {
                    let (mut said, mut heard) = node.into_split();
                    let (mut answers, mut on) = TcpStream::connect(("127.0.0.1", to)).await.unwrap().into_split();
                    tokio::spawn(async move { tokio::io::copy(&mut answers, &mut heard).await });
                    let mut kept = Vec::new();
                    while said.read_buf(&mut kept).await.is_ok_and(|bytes| bytes > 0) {
                        let text = String::from_utf8_lossy(&kept);
                        if words.iter().all(|word| text.contains(word)) {
                            // What is read may end within a word: the rest must not wait.
                            held.store(false, SeqCst);
                        }
                        if !held.load(SeqCst) {
                            on.write_all(&kept).await.unwrap();
                            kept.clear();
                        }
                    }
                });
            }
        });
        Self { port, holds }
    }

    async fn node(&self) -> Cache {
        let settings = unstale::RedisSettings::new(format!("redis://127.0.0.1:{}", self.port), "test");
        Cache::builder(Arc::new(RedisStore::new(settings).unwrap())).build().await.unwrap()
    }
}

/// The log and the entry are asked for at once: no answer comes before both were asked for.
#[tokio::test]
async fn a_strict_read_of_an_entry_in_the_store_is_one_round_trip() {
    let server = RedisServer::start();
    let (one, world) = (node(&server).await, World::new(1));
    let gate = Gate::before(&server, ["EVALSHA", "\r\nGET\r\n"]).await;
    let two = gate.node().await;
    read(&world, &one, &STRICT, 1, none()).await;
    read(&world, &two, &STRICT, 2, none()).await;
    // A reader has its answer before the store has it.
    while server.keys("*:v1:*").len() < 2 {
        tokio::task::yield_now().await;
    }
    gate.holds.store(true, SeqCst);
    assert_eq!(read(&world, &two, &STRICT, 1, none()).await, Verdict::Hit);
    check_nothing_stale(&world);
}

/// What was written after the entry was asked for, and before it came, is seen all the same.
#[tokio::test]
async fn a_strict_read_sees_what_is_written_while_it_asks() {
    let server = RedisServer::start();
    let (one, two, world) = (node(&server).await, node(&server).await, World::new(1));
    for round in 0..200 {
        read(&world, &one, &STRICT, 1, none()).await;
        let (written, verdict) = tokio::join!(world.write(&one, &[1]), read(&world, &two, &STRICT, 1, none()));
        assert!(written.is_some(), "round {round}: {verdict:?}");
        two.clear_memory();
    }
    check_nothing_stale(&world);
}
