//! What a trail promises, over both databases.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use futures_util::TryStreamExt as _;
use unstale::testing::Folder;
use unstale_server::{
    audit::{
        Actor, Audit, AuditMetrics, AuditSettings, AuditTrail, Class, Entry, Expected, ExportFormat, Filter, Level,
        Operation, Outcome, export,
    },
    database, on_both_databases,
    testing::database::TestDatabase,
};

use super::world::{LIMIT, World, copy_spools, done, keys, start};

on_both_databases!(
    migrations_go_up_and_down_again,
    what_is_recorded_is_found_with_all_of_it,
    levels_decide_what_is_recorded_and_can_be_changed,
    intents_are_recorded_with_their_ends,
    what_a_run_leaves_is_shipped_by_the_next_once,
    a_spool_that_cannot_be_read_holds_up_no_other,
    what_is_synced_is_recorded_as_all_else,
    equal_reads_are_counted_and_none_is_lost,
    pages_follow_each_other_and_filters_hold,
    exports_hold_everything,
    nodes_extend_one_chain,
    a_chain_that_nobody_else_extends_is_not_read,
    old_records_go_and_the_chain_still_verifies,
    what_was_noted_outside_is_in_the_chain,
);

async fn migrations_go_up_and_down_again(database: TestDatabase) {
    let pool = database.open().await;
    for _ in 0..2 {
        database::migrate_up(&pool).await.unwrap();
        database::migrate_up(&pool).await.unwrap();
        assert!(database::migrations(&pool).await.unwrap().iter().all(|one| one.is_applied));
        database::migrate_down(&pool, None).await.unwrap();
    }
}

async fn what_is_recorded_is_found_with_all_of_it(database: TestDatabase) {
    let world = World::new(database).await;
    let subject = world.audit.subject("ada");
    let entry = Entry {
        at_ms: 1_700_000_000_123,
        agent: "mapping_agent",
        subject: Some(subject),
        status: 200,
        trace: u128::MAX,
        position: "1.2.3",
        detail: "it's \"quoted\", = and ünïcödé \0",
        ..done("acme", "flow:7")
    };
    world.audit.record(Class::Mutation, &entry).await.unwrap();
    world.shipped().await;
    let found = world.of("acme").await;
    assert_eq!(found.len(), 1);
    let record = &found[0].record;
    assert_eq!((found[0].number, record.at_ms, record.status, record.times), (1, entry.at_ms, 200, 1));
    assert_eq!((record.trace, record.subject, record.agent.as_str()), (u128::MAX, Some(subject), "mapping_agent"));
    assert_eq!((record.principal.as_str(), record.operation.as_str()), ("ada", "invalidate"));
    assert_eq!(record.detail, "it's \"quoted\", = and ünïcödé  ");
    // The installation's own chain says that this one has begun.
    assert_eq!(world.keys_of("").await, ["acme"]);
    let report = world.trail().verify(&[]).await.unwrap();
    assert_eq!((report.records, report.chains, report.faults.len()), (2, 2, 0));
}

async fn levels_decide_what_is_recorded_and_can_be_changed(database: TestDatabase) {
    let world = World::at(database, Level::Off).await;
    let by = Actor::new("root");
    for level in Level::ALL {
        world.audit.set_level(level, &by).await.unwrap();
        assert_eq!(world.audit.level(), level);
        for class in [Class::Mutation, Class::Sensitive, Class::Read] {
            let key = format!("{}/{}", level.as_str(), class.as_str());
            world.audit.record(class, &done("acme", &key)).await.unwrap();
        }
    }
    world.shipped().await;
    let expected = [
        "mutations/mutation",
        "sensitive/mutation",
        "sensitive/sensitive",
        "all/mutation",
        "all/sensitive",
        "all/read",
    ];
    assert_eq!(world.keys_of("acme").await, expected);
    let changes: Vec<String> = world.of("").await.into_iter().map(|one| one.record.detail).collect();
    assert!(changes.contains(&"audit level sensitive → all".to_owned()), "{changes:?}");
}

async fn intents_are_recorded_with_their_ends(database: TestDatabase) {
    let world = World::new(database).await;
    let intents = world.audit.begin(Class::Mutation, &[done("acme", "a"), done("acme", "b")]).await.unwrap();
    intents.end(Outcome::Done, 204, "1.2.3");
    drop(world.audit.begin(Class::Mutation, &[done("acme", "c")]).await.unwrap());
    let open = world.audit.begin(Class::Mutation, &[done("acme", "d")]).await.unwrap();
    world.shipped().await;
    let told: Vec<_> = world.of("acme").await.into_iter().map(|it| (it.record.key, it.record.outcome)).collect();
    let expected = [("a", "done"), ("b", "done"), ("c", "unknown")];
    assert_eq!(told, expected.map(|(key, outcome)| (key.to_owned(), outcome.to_owned())));
    assert_eq!(world.of("acme").await[0].record.position, "1.2.3");
    open.end(Outcome::Refused, 409, "");
    world.shipped().await;
    assert_eq!(world.of("acme").await[3].record.outcome, "refused");
}

async fn what_a_run_leaves_is_shipped_by_the_next_once(database: TestDatabase) {
    let world = World::new(database).await;
    let World { audit, pool, folder, database } = world;
    audit.record(Class::Mutation, &done("acme", "shipped")).await.unwrap();
    assert!(audit.flush(LIMIT).await);
    audit.record(Class::Mutation, &done("acme", "left")).await.unwrap();
    let open = audit.begin(Class::Mutation, &[done("acme", "open")]).await.unwrap();
    // As if the process were killed now: it reaches the database no more, and a copy of its folder has nobody to hold its lock.
    pool.close().await.unwrap();
    let pool = database.open().await;
    let after = Folder::new();
    copy_spools(folder.path(), after.path());
    std::mem::forget(open);
    drop(audit);
    for _ in 0..2 {
        let next = start(after.path(), &pool, Level::All);
        next.record(Class::Mutation, &done("acme", "next")).await.unwrap();
        next.close(LIMIT).await;
    }
    assert_eq!(std::fs::read_dir(after.path()).unwrap().count(), 0, "what is shipped is deleted");
    let world = World { audit: start(after.path(), &pool, Level::All), pool, folder, database };
    let mut told = world.keys_of("acme").await;
    told.sort_unstable();
    assert_eq!(told, ["left", "next", "next", "open", "shipped"]);
    let open = world.of("acme").await.into_iter().find(|one| one.record.key == "open").unwrap();
    assert_eq!(open.record.outcome, "unknown");
    assert!(world.trail().verify(&[]).await.unwrap().faults.is_empty());
}

async fn a_spool_that_cannot_be_read_holds_up_no_other(database: TestDatabase) {
    let world = World::new(database).await;
    world.pool.clone().close().await.unwrap();
    world.done("acme", "left").await;
    let after = Folder::new();
    copy_spools(world.folder.path(), after.path());
    // Before and behind it: one has a folder in the place of a segment, the other a lock that cannot be opened.
    let (unreadable, unlockable) = (after.path().join("0".repeat(16)), after.path().join("f".repeat(16)));
    std::fs::create_dir_all(unreadable.join("00000001.audit")).unwrap();
    std::fs::write(unreadable.join("lock"), []).unwrap();
    std::fs::create_dir(&unlockable).unwrap();
    std::os::unix::fs::symlink("lock", unlockable.join("lock")).unwrap();
    let pool = world.database.open().await;
    let next = start(after.path(), &pool, Level::All);
    next.record(Class::Mutation, &done("acme", "next")).await.unwrap();
    assert!(next.flush(LIMIT).await);
    let world = World { audit: next, pool, ..world };
    assert_eq!(world.keys_of("acme").await, ["left", "next"]);
    assert!(unreadable.exists() && unlockable.exists(), "they are kept");
}

async fn what_is_synced_is_recorded_as_all_else(database: TestDatabase) {
    let pool = database.migrated().await;
    let folder = Folder::new();
    let settings = AuditSettings { syncs: true, ..AuditSettings::new(&folder.path().join("data/audit")) };
    let audit = Audit::start(&settings, AuditTrail::new(pool.clone(), keys()), AuditMetrics::default()).unwrap();
    audit.record(Class::Mutation, &done("acme", "a")).await.unwrap();
    let intents = audit.begin(Class::Mutation, &[done("acme", "b"), done("acme", "c")]).await.unwrap();
    intents.end_synced(Outcome::Done, 200, "").await;
    assert!(audit.flush(LIMIT).await);
    let world = World { audit, pool, folder, database };
    assert_eq!(world.keys_of("acme").await, ["a", "b", "c"]);
    assert!(world.trail().verify(&[]).await.unwrap().faults.is_empty());
}

async fn equal_reads_are_counted_and_none_is_lost(database: TestDatabase) {
    const READS: u32 = 20_000;
    let world = World::new(database).await;
    let reads = async |who: &'static str| {
        for number in 0..READS {
            let key = format!("/flows/{}", number % 3);
            let entry = Entry { principal: who, key: &key, ..Entry::new("acme", Operation::READ, Outcome::Hit) };
            let ticket = world.audit.read(Class::Read, &entry).expect("there is room");
            world.audit.written(ticket);
            if number % 100 == 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::join!(reads("ada"), reads("eve"));
    world.shipped().await;
    let found = world.of("acme").await;
    let of = |who: &str| found.iter().filter(|it| it.record.principal == who).map(|it| it.record.times).sum::<u32>();
    assert_eq!((of("ada"), of("eve")), (READS, READS));
    assert!(found.len() < 1000, "{} rows", found.len());
    assert!(world.trail().verify(&[]).await.unwrap().faults.is_empty());
}

async fn pages_follow_each_other_and_filters_hold(database: TestDatabase) {
    let world = World::new(database).await;
    for number in 0..25_u64 {
        let (tenant, principal) = (if number % 2 == 0 { "acme" } else { "globex" }, format!("user-{}", number % 5));
        let (key, at_ms) = (format!("flow:{number}"), 1000 + number / 4);
        let subject = (number == 7).then(|| world.audit.subject("ada"));
        let entry = Entry { at_ms, principal: &principal, subject, ..done(tenant, &key) };
        world.audit.record(Class::Mutation, &entry).await.unwrap();
    }
    world.shipped().await;
    let trail = world.trail();
    let own = Filter { operation: Some("invalidate".into()), ..Filter::default() };
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = trail.search(&own, after.as_ref(), 7).await.unwrap();
        seen.extend(page.found);
        // What comes in between moves nothing.
        world.audit.record(Class::Mutation, &Entry { operation: Operation::PURGE, ..done("acme", "x") }).await.unwrap();
        world.shipped().await;
        match page.next {
            Some(next) => after = Some(next.to_string().parse().unwrap()),
            None => break,
        }
    }
    assert_eq!(seen.len(), 25);
    assert!(seen.is_sorted_by_key(|it| std::cmp::Reverse((it.record.at_ms, it.record.tenant.clone(), it.number))));
    let count = async |filter: Filter| trail.search(&filter, None, 1000).await.unwrap().found.len();
    let by = |filter: Filter| Filter { operation: Some("invalidate".into()), ..filter };
    assert_eq!(count(by(Filter { tenant: Some("acme".into()), ..Filter::default() })).await, 13);
    assert_eq!(count(by(Filter { principal: Some("user-3".into()), ..Filter::default() })).await, 5);
    assert_eq!(count(by(Filter { subject: Some(trail.subject("ada")), ..Filter::default() })).await, 1);
    assert_eq!(count(by(Filter { subject: Some(trail.subject("eve")), ..Filter::default() })).await, 0);
    assert_eq!(count(by(Filter { since_ms: Some(1002), until_ms: Some(1004), ..Filter::default() })).await, 8);
    assert_eq!(count(by(Filter { key: Some("flow:7".into()), ..Filter::default() })).await, 1);
    let all = Filter { tenant: Some("globex".into()), principal: Some("user-2".into()), ..Filter::default() };
    assert_eq!(count(by(all)).await, 2);
}

async fn exports_hold_everything(database: TestDatabase) {
    let world = World::new(database).await;
    for number in 0..1200 {
        world.done("acme", &format!("=flow:{number}")).await;
    }
    world.shipped().await;
    let filter = Filter { tenant: Some("acme".into()), ..Filter::default() };
    for (format, lines) in [(ExportFormat::Csv, 1201), (ExportFormat::JsonLines, 1200)] {
        let pieces: Vec<_> = export(world.trail(), filter.clone(), format).try_collect().await.unwrap();
        assert!(pieces.len() > 1, "it comes in pieces");
        let text = String::from_utf8(pieces.concat()).unwrap();
        assert_eq!(text.lines().count(), lines);
        match format {
            ExportFormat::Csv => assert!(text.contains("\"'=flow:7\"") && !text.contains("\"=flow:7\"")),
            ExportFormat::JsonLines => {
                let each = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
                assert!(each.into_iter().any(|record| record["key"] == "=flow:7" && record["number"] == 8));
            }
        }
    }
}

async fn a_chain_that_nobody_else_extends_is_not_read(database: TestDatabase) {
    let mut pool = database.migrated().await;
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = reads.clone();
    pool.set_metric_callback(move |info| {
        counted.fetch_add(usize::from(info.statement.sql.starts_with("SELECT")), Relaxed);
    });
    let folder = Folder::new();
    let audit = start(folder.path(), &pool, Level::All);
    let record = async |key| {
        let before = reads.load(Relaxed);
        for tenant in ["acme", "globex"] {
            audit.record(Class::Mutation, &done(tenant, key)).await.unwrap();
        }
        assert!(audit.flush(LIMIT).await);
        reads.load(Relaxed) - before
    };
    assert!(record("first").await > 0, "how far the chains go is not known");
    assert_eq!(record("second").await, 0);
    let elsewhere = Folder::new();
    let other = start(elsewhere.path(), &pool, Level::All);
    other.record(Class::Mutation, &done("acme", "another's")).await.unwrap();
    assert!(other.flush(LIMIT).await);
    // Once more after it: whoever extends a chain in turn with others looks first.
    assert!(record("third").await > 0);
    assert!(record("fourth").await > 0);
    assert_eq!(record("fifth").await, 0);
    let world = World { audit, pool, folder, database };
    assert_eq!(world.keys_of("acme").await, ["first", "second", "another's", "third", "fourth", "fifth"]);
    assert!(world.trail().verify(&[]).await.unwrap().faults.is_empty());
}

async fn nodes_extend_one_chain(database: TestDatabase) {
    const EACH: usize = 60;
    let world = World::new(database).await;
    let other = Folder::new();
    let pool = world.database.open().await;
    let beside = start(other.path(), &pool, Level::All);
    let write = async |audit: &Audit, name: &str| {
        for number in 0..EACH {
            for tenant in ["acme", "globex", "initech"] {
                audit.record(Class::Mutation, &done(tenant, &format!("{name}:{number}"))).await.unwrap();
            }
            if number % 10 == 0 {
                assert!(audit.flush(LIMIT).await);
            }
        }
        assert!(audit.flush(LIMIT).await);
    };
    tokio::join!(write(&world.audit, "here"), write(&beside, "there"));
    for tenant in ["acme", "globex", "initech"] {
        assert_eq!(world.of(tenant).await.len(), 2 * EACH);
    }
    let report = world.trail().verify(&[]).await.unwrap();
    assert_eq!((usize::try_from(report.records).unwrap(), report.faults), (6 * EACH + 3, vec![]));
}

async fn old_records_go_and_the_chain_still_verifies(database: TestDatabase) {
    let world = World::new(database).await;
    for at_ms in [1000, 2000, 3000, 4000] {
        let key = at_ms.to_string();
        world.audit.record(Class::Mutation, &Entry { at_ms, ..done("acme", &key) }).await.unwrap();
    }
    world.shipped().await;
    assert_eq!(world.audit.prune(3000, &Actor::new("root")).await.unwrap(), 2);
    assert_eq!(world.audit.prune(3000, &Actor::new("root")).await.unwrap(), 0);
    world.shipped().await;
    assert_eq!(world.keys_of("acme").await, ["3000", "4000", "acme"]);
    assert_eq!(world.of("acme").await[2].record.operation, "retention");
    assert!(world.trail().verify(&[]).await.unwrap().faults.is_empty());
    // All of it may go.
    assert_eq!(world.audit.prune(u64::MAX, &Actor::new("root")).await.unwrap(), 3);
    world.done("acme", "later").await;
    world.shipped().await;
    assert!(world.trail().verify(&[]).await.unwrap().faults.is_empty());
}

async fn what_was_noted_outside_is_in_the_chain(database: TestDatabase) {
    let world = World::new(database).await;
    world.done("acme", "a").await;
    world.shipped().await;
    let noted: Vec<Expected> =
        world.trail().heads().await.unwrap().iter().map(|head| Expected::parse(&head.to_string()).unwrap()).collect();
    assert_eq!(noted.iter().map(|one| one.tenant.as_str()).collect::<Vec<_>>(), ["", "acme"]);
    world.done("acme", "b").await;
    world.shipped().await;
    assert!(world.trail().verify(&noted).await.unwrap().faults.is_empty());
    assert_eq!(keys().subject("x"), world.audit.subject("x"));
}
