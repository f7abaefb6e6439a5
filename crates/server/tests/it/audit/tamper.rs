//! Whoever can write to the database, and has not the key, is found.

use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};
use unstale::testing::Folder;
use unstale_server::{
    audit::{Actor, AuditTrail, Class, Entry, Expected, Fault, Found, Level, Report},
    database, on_both_databases,
    testing::database::TestDatabase,
};

use super::world::{LIMIT, World, copy_spools, done, keys, start};

on_both_databases!(
    any_column_of_a_record_that_is_altered_is_found,
    removed_inserted_and_moved_records_are_found,
    heads_that_are_altered_are_found,
    what_is_written_after_it_hides_nothing,
    a_database_that_was_put_back_is_found_by_what_was_noted,
    what_was_altered_is_not_taken_out,
    the_installations_own_chain_is_taken_out_and_names_the_others_all_the_same,
    that_a_mark_was_altered_is_said_for_good,
    a_spool_that_is_said_to_be_shipped_is_shipped_all_the_same,
    how_far_a_living_spool_is_shipped_cannot_be_altered_unseen,
    a_spool_of_a_version_that_did_not_seal_is_shipped_once,
);

async fn written(database: TestDatabase) -> World {
    let world = World::new(database).await;
    let subject = Some(world.audit.subject("ada"));
    for key in ["1", "2", "3", "4", "5"] {
        let entry = Entry { subject, status: 200, trace: 7, position: "1.2.3", detail: "x", ..done("acme", key) };
        world.audit.record(Class::Mutation, &entry).await.unwrap();
        world.done("globex", key).await;
    }
    world.shipped().await;
    world
}

async fn run(pool: &DatabaseConnection, sql: &str) {
    pool.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// What is found after a change, which is then taken back.
async fn found_after(world: &World, change: &str) -> Report {
    for table in ["cache_audit", "cache_audit_heads"] {
        run(&world.pool, &format!("CREATE TABLE saved_{table} AS SELECT * FROM {table}")).await;
    }
    for statement in change.split(';') {
        run(&world.pool, statement).await;
    }
    let report = world.trail().verify(&[]).await.unwrap();
    for table in ["cache_audit", "cache_audit_heads"] {
        run(&world.pool, &format!("DELETE FROM {table}")).await;
        run(&world.pool, &format!("INSERT INTO {table} SELECT * FROM saved_{table}")).await;
        run(&world.pool, &format!("DROP TABLE saved_{table}")).await;
    }
    assert!(world.trail().verify(&[]).await.unwrap().faults.is_empty(), "it was taken back");
    report
}

#[track_caller]
fn only(report: &Report, tenant: &str, fault: &Fault) {
    assert_eq!(report.faults, [(tenant.to_owned(), fault.clone())]);
}

async fn any_column_of_a_record_that_is_altered_is_found(database: TestDatabase) {
    let world = written(database).await;
    let texts = ["principal", "agent", "operation", "outcome", "entity", "key", "position", "detail", "spool"];
    let mut changes: Vec<String> = texts.iter().map(|name| format!("{name} = {name} || 'x'")).collect();
    let numbers = ["at_ms", "status", "times", "spool_number"];
    changes.extend(numbers.iter().map(|name| format!("{name} = {name} + 1")));
    changes.extend(numbers.iter().map(|name| format!("{name} = -{name} - 1")));
    changes.extend(["subject", "trace_id"].iter().flat_map(|name| {
        [format!("{name} = NULL"), format!("{name} = '{}'", "0".repeat(32)), format!("{name} = upper({name} || 'a')")]
    }));
    changes.push("mac = 'x'".into());
    changes.push(format!("mac = '{}'", "0".repeat(64)));
    changes.push("mac = (SELECT mac FROM cache_audit WHERE tenant = 'globex' AND number = 3)".into());
    for change in changes {
        let change = format!("UPDATE cache_audit SET {change} WHERE tenant = 'acme' AND number = 3");
        let report = found_after(&world, &change).await;
        assert_eq!(report.faults, [("acme".to_owned(), Fault::Altered { number: 3 })], "{change}");
    }
    let renamed = "UPDATE cache_audit SET tenant = 'evil' WHERE tenant = 'acme' AND number = 3";
    let report = found_after(&world, renamed).await;
    let expected =
        [("acme".to_owned(), Fault::Missing { expected: 3, found: 4 }), ("evil".to_owned(), Fault::HeadMissing)];
    assert_eq!(report.faults, expected);
    let renumbered = "UPDATE cache_audit SET number = 9 WHERE tenant = 'acme' AND number = 5";
    only(&found_after(&world, renumbered).await, "acme", &Fault::Missing { expected: 5, found: 9 });
}

async fn removed_inserted_and_moved_records_are_found(database: TestDatabase) {
    let world = written(database).await;
    let acme = "tenant = 'acme'";
    for (number, fault) in [
        (1, Fault::Missing { expected: 1, found: 2 }),
        (3, Fault::Missing { expected: 3, found: 4 }),
        (5, Fault::Cut { expected: 5, found: 4 }),
    ] {
        let report = found_after(&world, &format!("DELETE FROM cache_audit WHERE {acme} AND number = {number}")).await;
        only(&report, "acme", &fault);
    }
    let all = found_after(&world, &format!("DELETE FROM cache_audit WHERE {acme}")).await;
    only(&all, "acme", &Fault::Cut { expected: 5, found: 0 });
    let whole = format!("DELETE FROM cache_audit WHERE {acme};DELETE FROM cache_audit_heads WHERE {acme}");
    only(&found_after(&world, &whole).await, "acme", &Fault::ChainMissing);
    let swapped = format!(
        "UPDATE cache_audit SET number = 99 WHERE {acme} AND number = 2;\
         UPDATE cache_audit SET number = 2 WHERE {acme} AND number = 3;\
         UPDATE cache_audit SET number = 3 WHERE {acme} AND number = 99"
    );
    only(&found_after(&world, &swapped).await, "acme", &Fault::Altered { number: 2 });
    let columns = "at_ms, principal, agent, operation, outcome, entity, key, subject, status, trace_id, position, \
                   detail, times, spool, spool_number, mac";
    let copied = |from: &str, to: i64| {
        format!(
            "INSERT INTO cache_audit (tenant, number, {columns}) SELECT 'acme', {to}, {columns} FROM cache_audit \
             WHERE tenant = '{from}' AND number = 5"
        )
    };
    only(&found_after(&world, &copied("acme", 6)).await, "acme", &Fault::Altered { number: 6 });
    for beside in [i64::MIN, -1, 0] {
        only(&found_after(&world, &copied("acme", beside)).await, "acme", &Fault::Altered { number: 0 });
    }
    let anothers = format!("DELETE FROM cache_audit WHERE {acme} AND number = 5;{}", copied("globex", 5));
    only(&found_after(&world, &anothers).await, "acme", &Fault::Altered { number: 5 });
}

async fn heads_that_are_altered_are_found(database: TestDatabase) {
    let world = written(database).await;
    let x = "0".repeat(64);
    for change in [
        "number = number + 1".to_owned(),
        "mac = 'x'".into(),
        "pruned = 1".into(),
        "pruned_mac = 'x'".into(),
        "seal = 'x'".into(),
        format!("seal = '{x}'"),
        "seal = (SELECT seal FROM cache_audit_heads WHERE tenant = 'globex')".into(),
    ] {
        let report = found_after(&world, &format!("UPDATE cache_audit_heads SET {change} WHERE tenant = 'acme'")).await;
        assert_eq!(report.faults, [("acme".to_owned(), Fault::HeadAltered)], "{change}");
    }
    let cut = "DELETE FROM cache_audit WHERE tenant = 'acme' AND number = 5;\
               UPDATE cache_audit_heads SET number = 4, mac = (SELECT mac FROM cache_audit \
               WHERE tenant = 'acme' AND number = 4) WHERE tenant = 'acme'";
    only(&found_after(&world, cut).await, "acme", &Fault::HeadAltered);
    let gone = "DELETE FROM cache_audit_heads WHERE tenant = 'acme'";
    only(&found_after(&world, gone).await, "acme", &Fault::HeadMissing);
}

/// The next record must not make good what was altered before it.
async fn what_is_written_after_it_hides_nothing(database: TestDatabase) {
    let world = written(database).await;
    let cut = "DELETE FROM cache_audit WHERE tenant = 'acme' AND number = 5";
    run(&world.pool, cut).await;
    run(
        &world.pool,
        "UPDATE cache_audit_heads SET number = 4, mac = (SELECT mac FROM cache_audit WHERE tenant = 'acme' AND \
         number = 4) WHERE tenant = 'acme'",
    )
    .await;
    // And another chain loses its head, and a third gets a record of somebody else's.
    run(&world.pool, "DELETE FROM cache_audit_heads WHERE tenant = 'globex'").await;
    world.done("initech", "1").await;
    world.shipped().await;
    run(&world.pool, "UPDATE cache_audit SET tenant = 'initech', number = 2 WHERE tenant = 'globex' AND number = 5")
        .await;
    for tenant in ["acme", "globex", "initech"] {
        world.done(tenant, "later").await;
    }
    world.shipped().await;
    for tenant in ["acme", "globex", "initech"] {
        assert!(world.keys_of(tenant).await.contains(&"later".to_owned()), "{tenant}: nothing is lost by it");
    }
    let faults = world.trail().verify(&[]).await.unwrap().faults;
    let mut tenants: Vec<&str> = faults.iter().map(|(tenant, _)| tenant.as_str()).collect();
    tenants.sort_unstable();
    assert_eq!(tenants, ["acme", "globex", "initech"], "{faults:?}");
}

async fn a_database_that_was_put_back_is_found_by_what_was_noted(database: TestDatabase) {
    let world = written(database).await;
    for table in ["cache_audit", "cache_audit_heads"] {
        run(&world.pool, &format!("CREATE TABLE saved_{table} AS SELECT * FROM {table}")).await;
    }
    world.done("acme", "later").await;
    world.shipped().await;
    let heads = world.trail().heads().await.unwrap();
    let noted: Vec<Expected> = heads.iter().map(|head| Expected::parse(&head.to_string()).unwrap()).collect();
    for table in ["cache_audit", "cache_audit_heads"] {
        run(&world.pool, &format!("DELETE FROM {table}")).await;
        run(&world.pool, &format!("INSERT INTO {table} SELECT * FROM saved_{table}")).await;
    }
    assert!(world.trail().verify(&[]).await.unwrap().faults.is_empty(), "from within, nothing can be seen");
    only(&world.trail().verify(&noted).await.unwrap(), "acme", &Fault::NotAsNoted { number: 6 });
    // The node that wrote it notices, and says it in the chain.
    world.done("acme", "after").await;
    world.shipped().await;
    let faults = world.trail().verify(&[]).await.unwrap().faults;
    assert_eq!(faults, [("acme".to_owned(), Fault::Altered { number: 6 })]);
}

async fn what_was_altered_is_not_taken_out(database: TestDatabase) {
    let world = written(database).await;
    run(&world.pool, "UPDATE cache_audit SET principal = 'eve' WHERE tenant = 'acme' AND number = 2").await;
    let root = Actor::new("root");
    assert_eq!(world.audit.prune(u64::MAX, &root).await.unwrap(), 5, "those of globex");
    world.shipped().await;
    only(&world.trail().verify(&[]).await.unwrap(), "acme", &Fault::Altered { number: 2 });
}

fn operations(own: &[Found]) -> Vec<&str> {
    own.iter().map(|one| one.record.operation.as_str()).collect()
}

/// It says which chains there are: that is said again where it is taken out.
async fn the_installations_own_chain_is_taken_out_and_names_the_others_all_the_same(database: TestDatabase) {
    let world = written(database).await;
    for key in ["a", "b"] {
        world.audit.record(Class::Mutation, &Entry { at_ms: 1000, ..done("", key) }).await.unwrap();
    }
    world.shipped().await;
    let root = Actor::new("root");
    assert_eq!(operations(&world.of("").await), ["chain", "chain", "invalidate", "invalidate"]);
    assert_eq!(world.audit.prune(3000, &root).await.unwrap(), 0, "what stands behind younger ones stays");
    assert_eq!(world.trail().prune("", u64::MAX).await.unwrap(), 2);
    let own = world.of("").await;
    assert_eq!(operations(&own), ["chain", "chain"], "and nothing of what was tried");
    assert_eq!((own[0].number, &*own[0].record.key, own[1].number, &*own[1].record.key), (5, "globex", 6, "acme"));
    assert!(own[0].record.detail.starts_with("said again by retention; first recorded 1"), "{own:?}");
    assert!(world.trail().verify(&[]).await.unwrap().faults.is_empty());
    // Once more, and the trail goes on after it.
    world.done("", "c").await;
    world.shipped().await;
    let said = own[0].record.detail.clone();
    assert_eq!(world.audit.prune(u64::MAX, &root).await.unwrap(), 11, "all but the two, which are there again");
    world.done("acme", "after").await;
    world.done("", "d").await;
    world.shipped().await;
    let own = world.of("").await;
    assert_eq!(operations(&own), ["chain", "chain", "retention", "invalidate"]);
    assert_eq!(own[0].record.detail, said, "when it was first recorded stays");
    assert!(world.trail().verify(&[]).await.unwrap().faults.is_empty());
    for (change, fault) in [
        ("UPDATE cache_audit SET detail = '' WHERE tenant = '' AND number = 8", Fault::Altered { number: 8 }),
        ("DELETE FROM cache_audit WHERE tenant = '' AND number = 9", Fault::Missing { expected: 9, found: 10 }),
        ("UPDATE cache_audit_heads SET pruned = pruned + 1 WHERE tenant = ''", Fault::HeadAltered),
    ] {
        only(&found_after(&world, change).await, "", &fault);
    }
    let whole = "DELETE FROM cache_audit WHERE tenant = 'globex';DELETE FROM cache_audit_heads WHERE tenant = 'globex'";
    only(&found_after(&world, whole).await, "globex", &Fault::ChainMissing);
}

async fn that_a_mark_was_altered_is_said_for_good(database: TestDatabase) {
    let world = written(database).await;
    let spool = spool_of(&world.pool).await;
    run(&world.pool, "UPDATE cache_audit_spools SET seal = ''").await;
    world.done("", "later").await;
    world.shipped().await;
    assert_eq!(world.trail().prune("", u64::MAX).await.unwrap(), 1);
    assert_eq!(operations(&world.of("").await), ["chain", "chain", "altered"]);
    only(&world.trail().verify(&[]).await.unwrap(), "", &Fault::SpoolAltered { spool });
}

/// A node that was killed: two records are in the database, and one only in its spool, besides something that was begun.
/// Its folder is a copy, whose lock nobody holds.
async fn killed(database: &TestDatabase) -> Folder {
    let pool = database.migrated().await;
    let folder = Folder::new();
    let audit = start(folder.path(), &pool, Level::All);
    for key in ["1", "2"] {
        audit.record(Class::Mutation, &done("acme", key)).await.unwrap();
    }
    assert!(audit.flush(LIMIT).await);
    pool.close().await.unwrap();
    audit.record(Class::Mutation, &done("acme", "left")).await.unwrap();
    std::mem::forget(audit.begin(Class::Mutation, &[done("acme", "open")]).await.unwrap());
    let after = Folder::new();
    copy_spools(folder.path(), after.path());
    after
}

/// What the next start makes of it.
async fn restarted(database: TestDatabase, folder: Folder) -> (World, Report) {
    let pool = database.open().await;
    let audit = start(folder.path(), &pool, Level::All);
    // Leftovers are shipped before what is new.
    audit.record(Class::Mutation, &done("acme", "next")).await.unwrap();
    assert!(audit.flush(LIMIT).await);
    let world = World { audit, pool, folder, database };
    let report = world.trail().verify(&[]).await.unwrap();
    (world, report)
}

async fn spool_of(pool: &DatabaseConnection) -> String {
    let sql = Statement::from_string(pool.get_database_backend(), "SELECT spool FROM cache_audit_spools");
    pool.query_one_raw(sql).await.unwrap().unwrap().try_get("", "spool").unwrap()
}

async fn a_spool_that_is_said_to_be_shipped_is_shipped_all_the_same(database: TestDatabase) {
    let folder = killed(&database).await;
    let pool = database.open().await;
    let spool = spool_of(&pool).await;
    run(&pool, &format!("UPDATE cache_audit_spools SET shipped = {}", i64::MAX)).await;
    let altered = Fault::SpoolAltered { spool };
    only(&AuditTrail::new(pool.clone(), keys()).verify(&[]).await.unwrap(), "", &altered);
    pool.close().await.unwrap();
    let (world, report) = restarted(database, folder).await;
    assert_eq!(world.keys_of("acme").await, ["1", "2", "left", "open", "next"], "each once");
    only(&report, "", &altered);
}

async fn how_far_a_living_spool_is_shipped_cannot_be_altered_unseen(database: TestDatabase) {
    let world = written(database).await;
    let spool = spool_of(&world.pool).await;
    let altered = Fault::SpoolAltered { spool };
    let copied = "seal = (SELECT max(mac) FROM cache_audit)";
    for (change, key) in [
        ("UPDATE cache_audit_spools SET shipped = 1000000".to_owned(), "6"),
        (format!("UPDATE cache_audit_spools SET {copied}"), "7"),
        ("UPDATE cache_audit_spools SET seal = ''".to_owned(), "8"),
        ("DELETE FROM cache_audit_spools".to_owned(), "9"),
    ] {
        run(&world.pool, &change).await;
        world.done("acme", key).await;
        world.shipped().await;
        only(&world.trail().verify(&[]).await.unwrap(), "", &altered);
    }
    assert_eq!(world.keys_of("acme").await, ["1", "2", "3", "4", "5", "6", "7", "8", "9"], "each once");
    let told = world.of("").await.into_iter().filter(|one| one.record.operation == "altered").count();
    assert_eq!(told, 4, "each is on record");
}

async fn a_spool_of_a_version_that_did_not_seal_is_shipped_once(database: TestDatabase) {
    let folder = killed(&database).await;
    let pool = database.open().await;
    database::migrate_down(&pool, Some(1)).await.unwrap();
    database::migrate_up(&pool).await.unwrap();
    pool.close().await.unwrap();
    let (world, report) = restarted(database, folder).await;
    assert_eq!(world.keys_of("acme").await, ["1", "2", "left", "open", "next"], "each once");
    assert!(report.faults.is_empty(), "{:?}", report.faults);
}

/// SQLite keeps any type in any column.
#[tokio::test]
async fn a_column_that_is_altered_to_another_type_is_found() {
    let world = written(TestDatabase::sqlite()).await;
    let columns = [
        "at_ms",
        "principal",
        "agent",
        "operation",
        "outcome",
        "entity",
        "key",
        "subject",
        "status",
        "trace_id",
        "position",
        "detail",
        "times",
        "spool",
        "spool_number",
        "mac",
    ];
    for column in columns {
        let sql =
            format!("UPDATE cache_audit SET {column} = CAST({column} AS BLOB) WHERE tenant = 'acme' AND number = 3");
        only(&found_after(&world, &sql).await, "acme", &Fault::Altered { number: 3 });
    }
    for (number, fault) in [(3, Fault::Missing { expected: 3, found: 4 }), (5, Fault::Altered { number: 5 })] {
        let sql = format!("UPDATE cache_audit SET number = x'00' WHERE tenant = 'acme' AND number = {number}");
        only(&found_after(&world, &sql).await, "acme", &fault);
    }
    let renamed = "UPDATE cache_audit SET tenant = CAST(tenant AS BLOB) WHERE tenant = 'acme' AND number = 3";
    only(&found_after(&world, renamed).await, "acme", &Fault::Missing { expected: 3, found: 4 });
    for column in ["number", "mac", "pruned", "pruned_mac", "seal"] {
        let sql = format!("UPDATE cache_audit_heads SET {column} = CAST({column} AS BLOB) WHERE tenant = 'acme'");
        only(&found_after(&world, &sql).await, "acme", &Fault::HeadAltered);
    }
    let spool = spool_of(&world.pool).await;
    run(&world.pool, "UPDATE cache_audit_spools SET shipped = CAST(shipped AS BLOB)").await;
    only(&world.trail().verify(&[]).await.unwrap(), "", &Fault::SpoolAltered { spool });
    // The trail goes on after it, and what was altered is not taken out.
    run(&world.pool, "UPDATE cache_audit SET number = x'00' WHERE tenant = 'acme' AND number = 5").await;
    run(&world.pool, "UPDATE cache_audit_heads SET mac = x'00' WHERE tenant = 'acme'").await;
    world.done("acme", "later").await;
    world.shipped().await;
    let root = Actor::new("root");
    assert_eq!(world.audit.prune(u64::MAX, &root).await.unwrap(), 5, "those of globex");
}
