//! What goes to Redis together: each caller gets its own answer, whatever becomes of the others. And what the store says
//! of itself: counters, and who has how much.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::join_all;
use unstale::{
    Bytes, Position, RedisStore, StoreError, Tag, Tenant, Timestamp,
    codec::Fingerprint,
    position::Epoch,
    store::{Filled, LogPage, Record, Seal, Store as _, StoredEntry},
    testing::redis_server::{RedisServer, settings},
};

use crate::world::{acme, page};

/// For what happens at once unless something is broken.
const PATIENCE: Duration = Duration::from_secs(20);

fn store(server: &RedisServer) -> Arc<RedisStore> {
    Arc::new(RedisStore::new(settings(server, "test")).unwrap())
}

fn tag(id: u64) -> Tag {
    Tag::of(&acme(), "fact", id)
}

fn entry(base: Position, tag_id: u64, value: impl Into<Bytes>) -> StoredEntry {
    StoredEntry {
        base,
        tags: [tag(tag_id).id(), tag(1_000).id()].into_iter().collect(),
        has_tenant_tags: true,
        loaded_at: Timestamp::from_millis(1_000),
        load_ms: 0,
        expires_at: Timestamp::from_millis(2_000),
        dead_at: Timestamp::from_millis(3_601_000),
        schema: Fingerprint::of("bytes"),
        value: Some(value.into()),
        subjects: 0,
        is_sensitive: false,
        seal: Seal::None,
    }
}

async fn head(store: &RedisStore) -> Position {
    store.head(store.partitions().of(&acme())).await.unwrap()
}

async fn append(store: &RedisStore, id: u64) -> Result<Position, StoreError> {
    let note = Bytes::from(format!("note of {id}"));
    store.append(store.partitions().of(&acme()), vec![tag(id).id(), tag(id + 1).id()], note).await
}

async fn fill(store: &RedisStore, number: u32, entry: StoredEntry) -> Result<Filled, StoreError> {
    store.fill(page(&acme(), number).raw(), entry).await
}

async fn value(store: &RedisStore, number: u32) -> Option<Bytes> {
    store.get(&[page(&acme(), number).raw().clone()]).await.unwrap()[0].as_ref().and_then(|entry| entry.value.clone())
}

async fn records(store: &RedisStore, after: Position) -> Vec<Arc<Record>> {
    match store.read_log(after, 10_000).await.unwrap() {
        LogPage::Records(records) => records,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check_is(record: &Record, id: u64) {
    assert_eq!(record.tags, [tag(id).id(), tag(id + 1).id()]);
    assert_eq!(record.note, format!("note of {id}"));
}

#[tokio::test]
async fn appends_that_go_together_get_positions_of_their_own_and_keep_their_notes_and_tags() {
    const RECORDS: u64 = 300;
    let server = RedisServer::start();
    let (one, two) = (store(&server), store(&server));
    let before = head(&one).await;
    // From two nodes at a time.
    let appends = (0..RECORDS).map(|id| append(if id % 3 == 0 { &two } else { &one }, id));
    let positions: Vec<Position> = join_all(appends).await.into_iter().map(Result::unwrap).collect();
    let distinct: BTreeSet<u64> = positions.iter().map(|position| position.sequence.as_u64()).collect();
    assert_eq!(distinct, (1..=RECORDS).collect(), "consecutive, and each given once");
    let log = records(&one, before).await;
    for (id, position) in positions.iter().enumerate() {
        let record = &log[usize::try_from(position.sequence.as_u64()).unwrap() - 1];
        assert_eq!(record.position, *position);
        check_is(record, id as u64);
    }
    let groups = one.stats().append_groups;
    assert_eq!(groups.items, 200);
    assert!(groups.calls < 100 && groups.largest > 2, "{groups:?}");
    // Every tag's clock is that of its last record, also where that was not the last record of its call.
    for id in 0..RECORDS {
        let carriers = [id.saturating_sub(1), id].map(|id| positions[id as usize]);
        let last = carriers.into_iter().max_by_key(|position| position.sequence).unwrap();
        let behind = Position { sequence: last.sequence.previous(), ..last };
        assert_eq!(fill_with(&one, last, id).await, Filled::Stored, "tag {id} has moved no further than {last:?}");
        assert_eq!(fill_with(&one, behind, id).await, Filled::Overtaken, "tag {id} has moved to {last:?}");
    }
}

async fn fill_with(store: &RedisStore, base: Position, tag_id: u64) -> Filled {
    let entry = StoredEntry { tags: [tag(tag_id).id()].into_iter().collect(), ..entry(base, 0, "x") };
    // A name of its own: what is stored under a newer base would refuse it, too.
    let key = page(&acme(), format!("{tag_id}-{}", base.sequence.as_u64()));
    store.fill(key.raw(), entry).await.unwrap()
}

#[tokio::test]
async fn a_server_that_dies_is_told_to_every_caller_of_a_group() {
    let mut server = RedisServer::start();
    let (store, before) = (store(&server), head(&store(&server)).await);
    server.run::<()>(&["CLIENT", "PAUSE", "600000", "ALL"]);
    let asking: Vec<_> = (0..100)
        .map(|id| {
            let store = store.clone();
            tokio::spawn(async move {
                match id % 2 {
                    0 => append(&store, id).await.map(|_| ()),
                    _ => fill(&store, id as u32, entry(before, id, "x")).await.map(|_| ()),
                }
            })
        })
        .collect();
    tokio::task::yield_now().await;
    server.kill();
    let answers = tokio::time::timeout(PATIENCE, join_all(asking)).await.expect("nobody is left waiting");
    assert!(answers.into_iter().all(|answer| answer.unwrap().is_err()));
    let stats = store.stats();
    assert_eq!((stats.append.failed, stats.fill.failed), (50, 50));

    server.start_again();
    let until_connected = async { while append(&store, 1).await.is_err() {} };
    tokio::time::timeout(PATIENCE, until_connected).await.expect("and then it goes on");
}

#[tokio::test]
async fn a_full_server_keeps_nothing_of_a_group_and_leaves_nothing_behind() {
    let server = RedisServer::start();
    let (store, before) = (store(&server), head(&store(&server)).await);
    server.run::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let fills = join_all((0..50).map(|number| fill(&store, number, entry(before, 0, "x")))).await;
    // The log is bounded by its own limits and goes on.
    let appends = join_all((0..50).map(|id| append(&store, id))).await;
    assert!(appends.iter().all(Result::is_ok), "{appends:?}");
    assert!(fills.into_iter().all(|filled| filled.unwrap() == Filled::NotKept), "it answers, and has no room");
    assert_eq!(store.stats().not_kept, 50);
    assert_eq!(server.keys("*v1*"), Vec::<String>::new());
    server.run::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(append(&store, 1).await.unwrap().sequence.as_u64(), before.sequence.as_u64() + 51);
    assert_eq!(fill(&store, 1, entry(head(&store).await, 9, "x")).await.unwrap(), Filled::Stored);
}

#[tokio::test]
async fn a_server_that_has_forgotten_the_scripts_stores_nothing_that_was_not_judged() {
    let server = RedisServer::start();
    let store = store(&server);
    let before = head(&store).await;
    append(&store, 1).await.unwrap();
    assert_eq!(fill(&store, 3, entry(head(&store).await, 9, "newer")).await.unwrap(), Filled::Stored);
    append(&store, 50).await.unwrap();
    for _ in 0..3 {
        server.run::<()>(&["SCRIPT", "FLUSH"]);
        let fills = [(1, 1, "overtaken"), (2, 9, "valid"), (3, 9, "older")]
            .map(|(number, tag_id, value)| fill(&store, number, entry(before, tag_id, value)));
        let filled: Vec<Filled> = join_all(fills).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(filled, [Filled::Overtaken, Filled::Stored, Filled::NewerStored]);
        assert_eq!(value(&store, 1).await, None);
        assert_eq!(value(&store, 2).await.unwrap(), "valid");
        assert_eq!(value(&store, 3).await.unwrap(), "newer");
        server.run::<()>(&["SCRIPT", "FLUSH"]);
        let appended = join_all((100..120).map(|id| append(&store, id))).await;
        assert!(appended.into_iter().all(|position| position.is_ok()), "an unknown script has done nothing");
    }
    assert_eq!(records(&store, before).await.len(), 62);
}

#[tokio::test]
async fn callers_that_go_away_cost_the_others_nothing() {
    let server = RedisServer::start();
    let store = store(&server);
    let before = head(&store).await;
    let asking: Vec<_> = (0..200)
        .map(|id| {
            let store = store.clone();
            tokio::spawn(async move { append(&store, id).await })
        })
        .collect();
    tokio::task::yield_now().await;
    asking.iter().step_by(2).for_each(tokio::task::JoinHandle::abort);
    let mut given = BTreeSet::new();
    for (id, answer) in join_all(asking).await.into_iter().enumerate() {
        if let Ok(position) = answer {
            assert!(given.insert((position.unwrap().sequence.as_u64(), id as u64)));
        }
    }
    assert!(given.len() >= 100);
    let log = records(&store, before).await;
    given.iter().for_each(|(sequence, id)| check_is(&log[*sequence as usize - 1], *id));
}

#[tokio::test]
async fn a_group_of_fills_stores_those_that_the_rule_allows() {
    let server = RedisServer::start();
    let store = store(&server);
    let old = head(&store).await;
    let new = append(&store, 7).await.unwrap();
    assert_eq!(fill(&store, 20, entry(new, 9, "newer")).await.unwrap(), Filled::Stored);
    let last = append(&store, 500).await.unwrap();
    let elsewhere = Position { epoch: Epoch::random(), ..last };
    // By number: what is filled, and what becomes of it.
    let case = |number: u32| match number {
        20 => (entry(old, 9, "older"), Filled::NewerStored),
        number if number % 5 == 0 => (entry(old, 7, "overtaken"), Filled::Overtaken),
        number if number % 7 == 0 => (entry(elsewhere, 9, "of another epoch"), Filled::Overtaken),
        number if number % 2 == 0 => (entry(new, 7, "valid"), Filled::Stored),
        _ => (entry(last, 9, "valid"), Filled::Stored),
    };
    for _ in 0..2 {
        let filled = join_all((1..60).map(|number| fill(&store, number, case(number).0))).await;
        for (number, filled) in (1..60).zip(filled) {
            assert_eq!(filled.unwrap(), case(number).1, "fill {number}");
        }
        for number in 1..60 {
            let expected = match case(number).1 {
                Filled::Stored => Some("valid"),
                Filled::NewerStored => Some("newer"),
                _ => None,
            };
            assert_eq!(value(&store, number).await.as_deref(), expected.map(str::as_bytes), "entry {number}");
        }
    }
    let stats = store.stats();
    assert!(stats.fill_groups.largest > 5 && stats.fill_groups.items == 119, "{:?}", stats.fill_groups);
    assert_eq!(stats.malformed + stats.corrupt, 0, "what refuses a fill for a moment is no entry");
    // And it goes away by itself.
    let gone = async {
        while server.keys("*v1:acme*").len() > stats.stored as usize {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("nothing stays of what was refused");
}

#[tokio::test]
async fn the_same_key_twice_in_a_group_is_stored_once() {
    let server = RedisServer::start();
    let store = store(&server);
    let base = head(&store).await;
    let filled = join_all((0..20).map(|_| fill(&store, 1, entry(base, 1, "same")))).await;
    let stored = filled.into_iter().filter(|filled| *filled.as_ref().unwrap() == Filled::Stored).count();
    assert!((1..=20).contains(&stored));
    assert_eq!(value(&store, 1).await.unwrap(), "same");
}

#[tokio::test]
async fn large_values_come_back_and_take_less_room() {
    let server = RedisServer::start();
    let store = store(&server);
    let base = head(&store).await;
    let row = |number: usize| format!("{{\"id\":{},\"status\":\"active\",\"owner\":null}}\n", number * 7919);
    for (number, rows) in [(1, 10), (2, 200), (3, 10_000)] {
        let written: Bytes = (0..rows).map(row).collect::<String>().into();
        assert_eq!(fill(&store, number, entry(base, 1, written.clone())).await.unwrap(), Filled::Stored);
        assert_eq!(value(&store, number).await.unwrap(), written);
        let stored: usize = server.run(&["STRLEN", &server.keys(&format!("*:page/{number}"))[0]]);
        assert_eq!(stored < written.len() / 2, written.len() > 1024, "{stored} of {} bytes", written.len());
    }
}

#[tokio::test]
async fn other_bytes_than_were_written_are_a_counted_miss() {
    let server = RedisServer::start();
    let store = store(&server);
    let base = head(&store).await;
    for number in [1, 2] {
        assert_eq!(fill(&store, number, entry(base, 1, format!("value {number}"))).await.unwrap(), Filled::Stored);
    }
    let names = server.keys("*v1:acme*");
    server.run::<()>(&["COPY", &names[0], &names[1], "REPLACE"]);
    server.run::<()>(&["SETRANGE", &names[0], "70", "X"]);
    assert_eq!((value(&store, 1).await, value(&store, 2).await), (None, None));
    let stats = store.stats();
    assert_eq!((stats.corrupt, stats.malformed, stats.hits, stats.misses), (2, 0, 0, 2));
    assert_eq!(fill(&store, 1, entry(base, 1, "again")).await.unwrap(), Filled::Stored);
    assert_eq!(value(&store, 1).await.unwrap(), "again");
}

#[tokio::test]
async fn operations_are_counted_and_timed() {
    let server = RedisServer::start();
    let store = store(&server);
    let base = head(&store).await;
    append(&store, 1).await.unwrap();
    assert_eq!(fill(&store, 1, entry(base, 1, "overtaken")).await.unwrap(), Filled::Overtaken);
    assert_eq!(fill(&store, 2, entry(base, 9, "valid")).await.unwrap(), Filled::Stored);
    let too_large = Bytes::from(vec![0; 9 << 20]);
    assert_eq!(fill(&store, 3, entry(base, 9, too_large)).await.unwrap(), Filled::NotKept);
    let keys: Vec<_> = (1..=3).map(|number| page(&acme(), number).raw().clone()).collect();
    store.get(&keys).await.unwrap();
    store.remove(&keys[1]).await.unwrap();
    let stats = store.stats();
    let counts = [&stats.get, &stats.fill, &stats.append, &stats.log, &stats.remove].map(|kind| kind.latency.count());
    assert_eq!(counts, [1, 3, 1, 1, 1]);
    assert_eq!((stats.hits, stats.misses), (1, 2));
    assert_eq!((stats.stored, stats.overtaken, stats.newer_stored, stats.not_kept), (1, 1, 0, 1));
    assert!(stats.get.latency.sum > Duration::ZERO && stats.get.failed + stats.timed_out == 0);

    let mut impatient = settings(&server, "test");
    impatient.limits.operation_timeout = Duration::from_millis(50);
    let impatient = RedisStore::new(impatient).unwrap();
    server.run::<()>(&["CLIENT", "PAUSE", "600000", "ALL"]);
    assert!(append(&impatient, 1).await.unwrap_err().to_string().contains("no answer within 50ms"));
    assert_eq!((impatient.stats().append.failed, impatient.stats().timed_out), (1, 1));
}

#[tokio::test]
async fn tenants_are_told_what_they_have() {
    let server = RedisServer::start();
    // As it is: the figures are those of what stands in Redis.
    let mut uncompressed = settings(&server, "test");
    uncompressed.limits.compress_bytes_min = usize::MAX;
    let store = RedisStore::new(uncompressed).unwrap();
    let other = RedisStore::new(settings(&server, "other")).unwrap();
    let empty = store.tenant_usage(u64::MAX).await.unwrap();
    assert!(empty.complete && empty.tenants.is_empty(), "{empty:?}");
    let tenants = ["small", "large", "none"].map(|name| Tenant::new(name).unwrap());
    let fill = async |store: &RedisStore, tenant: &Tenant, number: usize, bytes: usize| {
        let base = store.head(store.partitions().of(tenant)).await.unwrap();
        let filled = store.fill(page(tenant, number).raw(), entry(base, 1, vec![7; bytes])).await.unwrap();
        assert_eq!(filled, Filled::Stored);
    };
    for number in 0..20 {
        fill(&store, &tenants[0], number, 100).await;
        fill(&store, &tenants[1], number, 3_000).await;
        fill(&other, &tenants[2], number, 100).await;
    }
    let usage = store.tenant_usage(u64::MAX).await.unwrap();
    assert!(usage.complete && usage.names_seen >= 60, "{usage:?}");
    let told: Vec<_> = usage.tenants.iter().map(|usage| (usage.tenant.as_str(), usage.entries)).collect();
    assert_eq!(told, [("large", 20), ("small", 20)]);
    assert!((60_000..70_000).contains(&usage.tenants[0].bytes), "{usage:?}");
    assert_eq!(usage.scale().to_bits(), 1.0_f64.to_bits());

    // What Redis drops is no longer counted.
    server.delete("*:large:page/1*");
    let usage = store.tenant_usage(u64::MAX).await.unwrap();
    assert_eq!(usage.tenants[0].entries, 9);

    // A walk with an end says that it has not seen everything.
    for number in 0..3_000 {
        server.run::<()>(&["SET", &format!("other program's {number}"), "x"]);
    }
    let usage = store.tenant_usage(1).await.unwrap();
    assert!(!usage.complete && usage.names_seen < 1_000 && usage.scale() > 2.0, "{usage:?}");
    let looked = store.keys_tagged(tag(1).id(), 1).await.unwrap();
    assert!(!looked.is_complete, "{looked:?}");
    let found = store.keys_tagged(tag(1).id(), usize::MAX).await.unwrap();
    assert_eq!((found.keys.len(), found.looked_at, found.is_complete), (29, 29, true));
}
