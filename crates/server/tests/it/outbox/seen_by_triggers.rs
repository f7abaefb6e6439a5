//! What triggers tell, of statements that somebody types.

use std::{path::Path, process::Command};

use sea_orm::ConnectionTrait as _;
use unstale::testing::Folder;
use unstale_server::{
    database::{PoolLimits, connect},
    on_both_databases,
    outbox::triggers,
    testing::{database::TestDatabase, postgres::BIN},
};

use super::world::{OTHER_SHELF, SHELF, World, declared};

on_both_databases!(
    every_kind_of_statement_tells_the_tags_of_its_rows,
    a_row_that_moves_tells_where_it_was_and_where_it_is,
    a_changed_key_is_one_row_that_went_and_one_that_came,
    what_is_ignored_or_unchanged_tells_nothing,
    what_a_cascade_takes_is_told,
    no_text_breaks_a_line,
    many_rows_are_few_lines,
    what_a_restore_brings_back_is_told,
    they_are_made_and_taken_away_as_often_as_one_likes,
);

/// What a statement told.
async fn typed(world: &World, sql: &str, expected: &[&str]) {
    world.type_in(sql).await;
    world.relay().drain().await.unwrap();
    world.heard.expect(expected);
}

async fn every_kind_of_statement_tells_the_tags_of_its_rows(database: TestDatabase) {
    let world = World::build(database).await;
    let (shelf, of_shelf, set) = (world.shelf(SHELF), format!("acme/on_shelf/{SHELF}"), format!("*/shelf_set/{SHELF}"));
    let insert = format!("INSERT INTO items (id, tenant, shelf, name) VALUES (1, 'acme', {shelf}, ' Ölfass ')");
    typed(&world, &insert, &["acme/item/1", &of_shelf, &set, "*/called/ölfass"]).await;
    let update = "UPDATE items SET name = NULL WHERE id = 1";
    typed(&world, update, &["acme/item/1", &of_shelf, "*/item_gone/1", "*/called/ölfass"]).await;
    typed(&world, "INSERT INTO keepers (name, item) VALUES ('kim', 1)", &["*/keepers/"]).await;
    let update = "UPDATE items SET name = 'x' WHERE id = 1";
    typed(&world, update, &["acme/item/1", &of_shelf, "*/item_gone/1", "*/called/x", "*/keeper/kim"]).await;
    // Its name is its key: to PostgreSQL, one keeper went and another came.
    let told: &[&str] = if world.is_postgres() { &["*/keeps/1"] } else { &[] };
    typed(&world, "UPDATE keepers SET name = 'bo'", told).await;
    if world.is_postgres() {
        // COPY is an INSERT of many, TRUNCATE a DELETE of all.
        let all = ["acme/item/1", &of_shelf, &set, "*/item_gone/1", "*/called/x", "*/keepers/", "*/keeps/1"];
        let told = [&all[..], &["*/keeper/bo"]].concat();
        typed(&world, "TRUNCATE items CASCADE", &told).await;
    } else {
        typed(&world, "DELETE FROM keepers", &["*/keepers/", "*/keeps/1"]).await;
        typed(&world, "DELETE FROM items", &["acme/item/1", &of_shelf, &set, "*/item_gone/1", "*/called/x"]).await;
    }
}

async fn a_row_that_moves_tells_where_it_was_and_where_it_is(database: TestDatabase) {
    let world = World::build(database).await;
    world.with_item(1, SHELF, "a").await;
    let (from, to) = (format!("acme/on_shelf/{SHELF}"), format!("acme/on_shelf/{OTHER_SHELF}"));
    let (set, other_set) = (format!("*/shelf_set/{SHELF}"), format!("*/shelf_set/{OTHER_SHELF}"));
    let told = ["acme/item/1", &from, &to, &set, &other_set, "*/item_gone/1", "*/called/a"];
    typed(&world, &format!("UPDATE items SET shelf = {} WHERE id = 1", world.shelf(OTHER_SHELF)), &told).await;
    let told = ["acme/item/1", &to, &other_set, "*/item_gone/1", "*/called/a"];
    typed(&world, "UPDATE items SET shelf = NULL WHERE id = 1", &told).await;
}

async fn a_changed_key_is_one_row_that_went_and_one_that_came(database: TestDatabase) {
    let world = World::build(database).await;
    world.with_item(1, SHELF, "a").await;
    let (of_shelf, set) = (format!("acme/on_shelf/{SHELF}"), format!("*/shelf_set/{SHELF}"));
    world.type_in("UPDATE items SET id = 2 WHERE id = 1").await;
    world.relay().drain().await.unwrap();
    let mut told =
        vec!["acme/item/1", "acme/item/2", "*/item_gone/1", "*/item_gone/2", of_shelf.as_str(), "*/called/a"];
    // Whether its shelf is another one then: PostgreSQL sees two rows, SQLite one.
    told.extend(world.is_postgres().then_some(set.as_str()));
    world.heard.expect(&told);
}

async fn what_is_ignored_or_unchanged_tells_nothing(database: TestDatabase) {
    let world = World::build(database).await;
    world.with_item(1, SHELF, "a").await;
    typed(&world, "UPDATE items SET seen_at = 5", &[]).await;
    typed(&world, "UPDATE items SET name = 'a'", &[]).await;
    typed(&world, "UPDATE items SET name = 'b' WHERE id = 99", &[]).await;
    assert_eq!(world.pending().await, 0);
}

async fn what_a_cascade_takes_is_told(database: TestDatabase) {
    let world = World::build(database).await;
    world.with_item(1, SHELF, "a").await;
    world.type_in("INSERT INTO keepers (name, item) VALUES ('kim', 1)").await;
    world.relay().drain().await.unwrap();
    world.heard.take();
    // SQLite: foreign keys are off in sessions that do not ask for them.
    let sql = "DELETE FROM items WHERE id = 1";
    world.pool.execute_unprepared(sql).await.unwrap();
    world.relay().drain().await.unwrap();
    let told = world.heard.take();
    for expected in ["*/keepers/", "*/keeps/1"] {
        assert!(told.contains(&super::world::tag(expected).id()), "{expected} was not told");
    }
}

async fn no_text_breaks_a_line(database: TestDatabase) {
    let world = World::build(database).await;
    world.type_in("INSERT INTO keepers (name, item) VALUES ('a\\n\n/~\\', NULL)").await;
    world.type_in("INSERT INTO items (id, tenant, name) VALUES (1, 'acme', 'B\\\nC')").await;
    world.relay().drain().await.unwrap();
    world.heard.expect(&["*/keepers/", "acme/item/1", "*/called/b\\\nc"]);
    // A tenant that is none is told in the log, and stops nothing.
    world.type_in("INSERT INTO items (id, tenant, name) VALUES (2, 'a b', 'x')").await;
    world.relay().drain().await.unwrap();
    world.heard.expect(&["*/called/x"]);
    assert_eq!(world.pending().await, 0);
    // Longer than a row of an index may be.
    let long = "ä".repeat(9000);
    world.type_in(&format!("INSERT INTO items (id, tenant, name) VALUES (3, 'acme', '{long}')")).await;
    world.relay().drain().await.unwrap();
    world.heard.expect(&["acme/item/3", &format!("*/called/{long}")]);
}

async fn many_rows_are_few_lines(database: TestDatabase) {
    let world = World::build(database).await;
    let shelf = world.shelf(SHELF);
    let sql = |id: u32| format!("({id}, 'acme', {shelf}, 'same')");
    let transaction = world.outbox.begin().await.unwrap();
    for some in (0..2000).collect::<Vec<u32>>().chunks(500) {
        let rows = some.iter().map(|id| sql(*id)).collect::<Vec<_>>().join(", ");
        let insert = format!("INSERT INTO items (id, tenant, shelf, name) VALUES {rows}");
        transaction.execute_unprepared(&insert).await.unwrap();
    }
    transaction.commit().await.unwrap();
    // One for each item; the shelf, its set and the name once.
    assert_eq!(world.pending().await, 2000 + 3);
    world.relay().drain().await.unwrap();
    assert_eq!(world.heard.take().len(), 2000 + 3);
    assert_eq!(world.pending().await, 0);
}

/// Of a table's rows, by the database's own tools: `pg_dump` and `psql`, or SQLite's copy of a database.
async fn what_a_restore_brings_back_is_told(database: TestDatabase) {
    let world = World::build(database).await;
    let (before, after) = (world.shelf(SHELF), world.shelf(OTHER_SHELF));
    world.type_in(&format!("INSERT INTO items (id, tenant, shelf, name) VALUES (1, 'acme', {before}, 'old')")).await;
    let folder = Folder::new();
    let backup = folder.path().join("backup");
    let url = world.database.url();
    let run = |program: &str, arguments: &[&str]| {
        let ran = Command::new(Path::new(BIN).join(program)).args(arguments).arg(&url).output().unwrap();
        assert!(ran.status.success(), "{program}: {}", String::from_utf8_lossy(&ran.stderr));
    };
    let file = backup.to_str().unwrap();
    if world.is_postgres() {
        run("pg_dump", &["--data-only", "--table=*.items", "--file", file, "--dbname"]);
    } else {
        world.type_in(&format!("VACUUM INTO '{file}'")).await;
    }
    world.type_in(&format!("UPDATE items SET name = 'new', shelf = {after}")).await;
    world.relay().drain().await.unwrap();
    world.heard.take();
    if world.is_postgres() {
        run("psql", &["--set=ON_ERROR_STOP=1", "--command=DELETE FROM migration.items", "--file", file, "--dbname"]);
    } else {
        let one = PoolLimits { connections_max: 1, ..PoolLimits::default() };
        let pool = connect(&url, "who restores", &one).await.unwrap();
        let restore = "DELETE FROM items; INSERT INTO items SELECT * FROM saved.items";
        for sql in [&format!("ATTACH '{file}' AS saved"), restore] {
            pool.execute_unprepared(sql).await.unwrap();
        }
    }
    world.relay().drain().await.unwrap();
    let shelves = [SHELF, OTHER_SHELF].map(|shelf| [format!("acme/on_shelf/{shelf}"), format!("*/shelf_set/{shelf}")]);
    let told = ["acme/item/1", "*/item_gone/1", "*/called/new", "*/called/old"];
    let told: Vec<&str> = told.into_iter().chain(shelves.iter().flatten().map(String::as_str)).collect();
    world.heard.expect(&told);
}

async fn they_are_made_and_taken_away_as_often_as_one_likes(database: TestDatabase) {
    let world = World::build(database).await;
    triggers::install(&world.pool, &declared()).await.unwrap();
    for _ in 0..2 {
        triggers::remove(&world.pool, &declared()).await.unwrap();
        world.insert(1, SHELF, "a").await;
        assert_eq!(world.pending().await, 0);
        triggers::install(&world.pool, &declared()).await.unwrap();
        world.type_in("DELETE FROM items").await;
        world.relay().drain().await.unwrap();
        assert_eq!(world.heard.take().len(), 5);
    }
}
