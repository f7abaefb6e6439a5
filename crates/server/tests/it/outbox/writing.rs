//! The writer's side.

use std::{sync::Arc, time::Duration};

use sea_orm::ConnectionTrait as _;
use unstale::{Cache, Invalidation, MemoryStore};
use unstale_server::{
    on_both_databases,
    outbox::{Announcement, Excuse, StatementKind},
    testing::database::TestDatabase,
};

use super::world::{OTHER_SHELF, SHELF, World, tag};

on_both_databases!(
    a_write_is_published_at_once_and_marked_later,
    what_is_taken_back_leaves_nothing,
    a_write_without_tags_leaves_no_row,
    what_the_code_forgot_is_published_and_told,
    what_is_declared_covered_or_excused_is_not_forgotten,
    writes_of_others_are_not_taken_for_ones_own,
    what_the_log_did_not_take_is_said_by_the_relay_after_the_process_ended,
    a_caller_that_goes_away_leaves_nothing_unannounced,
);

async fn a_write_is_published_at_once_and_marked_later(database: TestDatabase) {
    let world = World::build(database).await;
    world.with_item(1, SHELF, "a").await;
    let of_shelf = format!("acme/on_shelf/{SHELF}");
    let declared = ["acme/item/1", of_shelf.as_str(), "*/item_gone/1", "*/called/a", "*/called/b"];
    let position = world.write("UPDATE items SET name = 'b' WHERE id = 1", &declared).await;
    assert!(!position.is_empty());
    world.heard.expect(&declared);
    assert_eq!(world.pending().await, 1, "it is not marked on the path of the request");
    world.outbox.flush().await;
    assert_eq!(world.pending().await, 0);
    assert_eq!(world.relay().drain().await.unwrap(), 0);
    assert_eq!(world.outbox.omissions_total(), 0, "{:?}", world.outbox.omissions());
}

async fn what_is_taken_back_leaves_nothing(database: TestDatabase) {
    let world = World::build(database).await;
    world.with_item(1, SHELF, "a").await;
    let transaction = world.outbox.begin().await.unwrap();
    transaction.execute_unprepared("UPDATE items SET name = 'b' WHERE id = 1").await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(world.pending().await, 0);
    world.relay().drain().await.unwrap();
    world.heard.expect(&[]);
}

async fn a_write_without_tags_leaves_no_row(database: TestDatabase) {
    let world = World::build(database).await;
    world.with_item(1, SHELF, "a").await;
    let position = world.write("UPDATE items SET seen_at = 7 WHERE id = 1", &[]).await;
    assert!(position.is_empty());
    assert_eq!((world.pending().await, world.outbox.omissions_total()), (0, 0));
}

async fn what_the_code_forgot_is_published_and_told(database: TestDatabase) {
    let world = World::build(database).await;
    world.with_item(1, SHELF, "a").await;
    let position = world.write("DELETE FROM items WHERE id = 1", &["acme/item/1"]).await;
    let (of_shelf, set) = (format!("acme/on_shelf/{SHELF}"), format!("*/shelf_set/{SHELF}"));
    world.heard.expect(&["acme/item/1", &of_shelf, &set, "*/item_gone/1", "*/called/a"]);
    assert!(position.iter().count() > 1, "the position is beyond what was forgotten, too");
    let mut told: Vec<_> = world.outbox.omissions().into_iter().map(|seen| seen.omission).collect();
    assert!(told.iter().all(|one| one.table == "items" && one.statement == StatementKind::Delete), "{told:?}");
    told.sort_by_key(|one| one.tag.to_text());
    let texts: Vec<String> = told.iter().map(unstale_server::outbox::Omission::tag_text).collect();
    assert_eq!(texts, ["called/…", "*/item_gone/1", set.as_str(), of_shelf.as_str()]);
    // What is to come is not told again.
    world.outbox.flush().await;
    assert_eq!(world.relay().drain().await.unwrap(), 0);
}

async fn what_is_declared_covered_or_excused_is_not_forgotten(database: TestDatabase) {
    let world = World::build(database).await;
    world.with_item(1, SHELF, "a").await;
    world.with_item(2, OTHER_SHELF, "a").await;
    let under = format!("acme/under_shelf/{SHELF}");
    world.write("UPDATE items SET name = 'b' WHERE id = 1", &[&under, "*/called/a", "*/called/b"]).await;
    assert_eq!(world.outbox.omissions_total(), 0, "{:?}", world.outbox.omissions());
    world.heard.expect(&[&under, "*/called/a", "*/called/b"]);
    // The other item lies on another shelf.
    world.write("UPDATE items SET name = 'c'", &[&under, "*/called/a", "*/called/b", "*/called/c"]).await;
    let told: Vec<String> = world.outbox.omissions().iter().map(|seen| seen.omission.tag.to_text()).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.contains(&"acme/item/2".to_owned()), "{told:?}");

    let transaction = world.outbox.begin().await.unwrap();
    transaction.execute_unprepared("DELETE FROM items").await.unwrap();
    let excused = vec![Excuse { table: "items", statement: StatementKind::Delete }];
    let announcement = Announcement { invalidations: Vec::new(), excused };
    world.heard.take();
    world.outbox.commit(transaction, announcement, &world.cache).await.unwrap();
    world.heard.expect(&[]);
    assert_eq!(world.outbox.omissions_total(), 3);
}

async fn writes_of_others_are_not_taken_for_ones_own(database: TestDatabase) {
    let world = World::build(database).await;
    world.insert(1, SHELF, "a").await;
    // Typed a moment ago, not published, and of the same tags.
    world.write("UPDATE items SET name = 'b' WHERE id = 1", &["*/called/a"]).await;
    let told: Vec<String> = world.outbox.omissions().iter().map(|seen| seen.omission.tag.to_text()).collect();
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told.iter().all(|text| !text.contains("shelf_set")), "it did not change: {told:?}");
    let set = format!("*/shelf_set/{SHELF}");
    world.heard.take();
    world.outbox.flush().await;
    world.relay().drain().await.unwrap();
    assert!(world.heard.take().contains(&tag(&set).id()), "what was typed is published all the same");
}

async fn what_the_log_did_not_take_is_said_by_the_relay_after_the_process_ended(database: TestDatabase) {
    let world = World::build(database).await;
    world.with_item(1, SHELF, "a").await;
    world.lose_all_requests(true);
    let transaction = world.outbox.begin().await.unwrap();
    let note = Invalidation::of([tag("acme/item/1")]).note("said");
    let announcement = Announcement { invalidations: vec![note], excused: Vec::new() };
    world.outbox.commit(transaction, announcement, &world.cache).await.unwrap();
    world.outbox.flush().await;
    assert_eq!((world.pending().await, world.cache.pending_invalidations()), (1, 1));
    assert!(world.relay().drain().await.is_err(), "the store is away");
    assert_eq!(world.cache.pending_invalidations(), 1, "it is not said into the void once more");
    // Another process takes over, with a cache of its own.
    let other = Cache::builder(Arc::new(MemoryStore::default())).observer(world.heard.clone()).build().await.unwrap();
    let drained = async {
        while world.outbox.relay(other.clone()).drain().await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), drained).await.unwrap();
    assert_eq!(world.heard.0.lock().last().unwrap().1, "said");
    world.heard.expect(&["acme/item/1"]);
    assert_eq!(world.pending().await, 0);
}

async fn a_caller_that_goes_away_leaves_nothing_unannounced(database: TestDatabase) {
    let world = World::build(database).await;
    let transaction = world.outbox.begin().await.unwrap();
    let invalidations = vec![Invalidation::of([tag("acme/item/1")])];
    let announcement = Announcement { invalidations, excused: Vec::new() };
    {
        let commit = std::pin::pin!(world.outbox.commit(transaction, announcement, &world.cache));
        let _ = futures_util::future::select(commit, std::future::ready(())).await;
    }
    let heard = async {
        while world.heard.0.lock().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), heard).await.expect("the write was announced");
}
