//! The relay.

use std::{sync::Arc, time::Duration};

use sea_orm::{ConnectionTrait as _, Database, Statement};
use unstale::{Cache, Event, MemoryStore, Observer, store::Store as _};
use unstale_server::{
    on_both_databases,
    outbox::{Epochs, OutboxSettings, RelayError},
    testing::database::TestDatabase,
};

use super::world::{SHELF, World, at_once, tag};

/// Long enough for a machine that is busy.
const LIMIT: Duration = Duration::from_secs(60);

on_both_databases!(
    a_writer_has_its_time,
    a_clock_that_is_put_back_delays_nothing,
    what_is_typed_while_the_relay_publishes_the_same_is_not_lost,
    relays_share_the_work,
    what_the_store_lost_is_published_again,
    what_is_marked_after_the_store_lost_it_is_published_again,
    old_rows_are_forgotten_and_pending_ones_are_not,
    what_is_typed_is_published_while_the_relay_runs,
    rows_are_counted,
    who_ends_does_not_wait_for_another_write,
);

async fn a_writer_has_its_time(database: TestDatabase) {
    let grace = Duration::from_secs(3600);
    let world = World::with(database, OutboxSettings { grace, ..OutboxSettings::default() }).await;
    world.write("SELECT 1", &["acme/item/1"]).await;
    world.heard.take();
    world.insert(2, SHELF, "a").await;
    assert_eq!(world.relay().drain().await.unwrap(), 4, "what triggers wrote, nobody else publishes");
    assert_eq!(world.pending().await, 1);
}

async fn a_clock_that_is_put_back_delays_nothing(database: TestDatabase) {
    let grace = Duration::from_secs(3600);
    let world = World::with(database, OutboxSettings { grace, ..OutboxSettings::default() }).await;
    world.write("SELECT 1", &["acme/item/1"]).await;
    assert_eq!(world.relay().drain().await.unwrap(), 0, "its writer has its time");
    let ahead = "UPDATE cache_outbox SET created_at_ms = created_at_ms + 7200000";
    world.pool.execute_unprepared(ahead).await.unwrap();
    assert_eq!(world.relay().drain().await.unwrap(), 1);
}

/// Types the same once more when the relay's record is applied: the log holds it, the row is not marked.
struct TypesMeanwhile {
    url: String,
    left: std::sync::atomic::AtomicU32,
}

impl Observer for TypesMeanwhile {
    fn on_event(&self, event: &Event<'_>) {
        use std::sync::atomic::Ordering::SeqCst;
        if !matches!(event, Event::Applied { .. }) || self.left.swap(0, SeqCst) == 0 {
            return;
        }
        let url = self.url.clone();
        let typing = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let session = Database::connect(&url).await.unwrap();
                let schema = if url.starts_with("postgres") { "migration." } else { "" };
                let sql = format!("UPDATE {schema}items SET name = name || 'x' WHERE id = 1");
                session.execute_unprepared(&sql).await.unwrap();
                session.close().await.unwrap();
            });
        };
        std::thread::spawn(typing).join().unwrap();
    }
}

async fn what_is_typed_while_the_relay_publishes_the_same_is_not_lost(database: TestDatabase) {
    let world = World::build(database).await;
    world.with_item(1, SHELF, "a").await;
    let types = TypesMeanwhile { url: world.database.url(), left: 1.into() };
    let cache = Cache::builder(Arc::new(MemoryStore::default())).observer(Arc::new(types));
    let cache = cache.observer(world.heard.clone()).build().await.unwrap();
    world.type_in("UPDATE items SET name = 'b' WHERE id = 1").await;
    world.outbox.relay(cache).drain().await.unwrap();
    let of_item = tag("acme/item/1").id();
    let heard = world.heard.0.lock();
    assert_eq!(heard.iter().filter(|(tags, _)| tags.contains(&of_item)).count(), 2, "once for each change");
}

async fn relays_share_the_work(database: TestDatabase) {
    let world = World::with(database, OutboxSettings { batch_rows: 4, ..at_once() }).await;
    let is_postgres = world.is_postgres();
    for id in 0..40 {
        world.write("SELECT 1", &[&format!("acme/item/{id}")]).await;
    }
    world.heard.take();
    let relays = (0..4).map(|_| world.relay()).collect::<Vec<_>>();
    let drained = futures_util::future::join_all(relays.iter().map(unstale_server::outbox::Relay::drain)).await;
    let published: u64 = drained.into_iter().map(Result::unwrap).sum();
    assert_eq!(world.pending().await, 0);
    assert_eq!(world.heard.take().len(), 40);
    assert!(published >= 40 && (!is_postgres || published == 40), "{published}");
}

/// As if its host had vanished: nothing ends its connection.
#[tokio::test]
async fn a_relay_that_is_not_heard_of_loses_its_rows_to_another() {
    let settings = OutboxSettings { held_max: Duration::from_millis(200), ..at_once() };
    let world = World::with(TestDatabase::postgres().await, settings).await;
    world.insert(1, SHELF, "a").await;
    let before = world.store.requests();
    world.store.set_stalled(true);
    let stalled = world.relay();
    let stalled = tokio::spawn(async move { stalled.drain().await });
    let holds = async {
        while world.store.requests() == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, holds).await.expect("it has taken the rows, and says them to the log");
    let another = world.outbox.relay(Cache::builder(Arc::new(MemoryStore::default())).build().await.unwrap());
    let taking_over = async {
        while another.drain().await.unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, taking_over).await.expect("another relay gets them");
    assert_eq!(world.pending().await, 0);
    world.store.set_stalled(false);
    let told = stalled.await.unwrap();
    assert!(matches!(told, Err(RelayError::Database(_))), "{told:?}");
}

async fn what_the_store_lost_is_published_again(database: TestDatabase) {
    let world = World::build(database).await;
    world.write("SELECT 1", &["acme/item/1"]).await;
    world.write("SELECT 1", &["*/keeper/kim"]).await;
    world.outbox.flush().await;
    world.heard.take();
    let (relay, mut epochs) = (world.relay(), Epochs::default());
    assert_eq!(relay.publish_again(&mut epochs).await.unwrap(), 0, "nothing is lost");
    let partition = world.store.partitions().of(&super::world::acme());
    world.store.start_anew(partition).await.unwrap();
    // Known with the next read, or by following.
    let _ = tokio::time::timeout(Duration::from_millis(50), world.cache.follow(Duration::from_millis(5))).await;
    world.heard.take();
    assert_eq!(relay.publish_again(&mut epochs).await.unwrap(), 2);
    world.heard.expect(&["acme/item/1", "*/keeper/kim"]);
    assert_eq!(relay.publish_again(&mut epochs).await.unwrap(), 0);
    assert_eq!(relay.publish_again(&mut Epochs::default()).await.unwrap(), 0, "they are marked with their new places");
}

async fn what_is_marked_after_the_store_lost_it_is_published_again(database: TestDatabase) {
    let world = World::build(database).await;
    let (relay, mut epochs) = (world.relay(), Epochs::default());
    world.write("SELECT 1", &["acme/item/1"]).await;
    assert_eq!(relay.publish_again(&mut epochs).await.unwrap(), 0, "nothing is lost");
    let partition = world.store.partitions().of(&super::world::acme());
    world.store.start_anew(partition).await.unwrap();
    let _ = tokio::time::timeout(Duration::from_millis(50), world.cache.follow(Duration::from_millis(5))).await;
    world.heard.take();
    assert_eq!(relay.publish_again(&mut epochs).await.unwrap(), 0, "nothing is marked");
    world.outbox.flush().await;
    assert_eq!(relay.publish_again(&mut epochs).await.unwrap(), 1);
    world.heard.expect(&["acme/item/1"]);
    assert_eq!(relay.publish_again(&mut epochs).await.unwrap(), 0, "it is marked with its new place");
}

async fn old_rows_are_forgotten_and_pending_ones_are_not(database: TestDatabase) {
    let world = World::with(database, OutboxSettings { rows_max: 5, grace: Duration::MAX, ..at_once() }).await;
    for id in 0..9 {
        world.write("SELECT 1", &[&format!("acme/item/{id}")]).await;
    }
    assert_eq!(world.relay().prune().await.unwrap(), 0, "none is marked");
    world.outbox.flush().await;
    world.write("SELECT 1", &["acme/item/10"]).await;
    assert_eq!(world.relay().prune().await.unwrap(), 4, "too many");
    let age = Statement::from_string(
        world.pool.get_database_backend(),
        "UPDATE cache_outbox SET published_at_ms = published_at_ms - 3600000 WHERE published_at_ms IS NOT NULL",
    );
    world.pool.execute_raw(age).await.unwrap();
    assert_eq!(world.relay().prune().await.unwrap(), 5, "too old");
    assert_eq!(world.pending().await, 1);
}

async fn what_is_typed_is_published_while_the_relay_runs(database: TestDatabase) {
    // PostgreSQL wakes it: it would not look by itself within the test.
    let is_sqlite = database.url().starts_with("sqlite");
    let poll = Duration::from_millis(if is_sqlite { 20 } else { 3_600_000 });
    let world = World::with(database, OutboxSettings { poll: Some(poll), ..at_once() }).await;
    let relay = world.relay();
    let running = tokio::spawn(async move { relay.run().await });
    for id in 1..4_u32 {
        world.insert(id, SHELF, "a").await;
        let wanted = tag(&format!("acme/item/{id}")).id();
        let heard = async {
            while !world.heard.0.lock().iter().any(|(tags, _)| tags.contains(&wanted)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), heard).await.expect("the relay was woken");
    }
    running.abort();
}

async fn rows_are_counted(database: TestDatabase) {
    let world = World::build(database).await;
    let status = world.outbox.status().await.unwrap();
    assert_eq!((status.pending, status.oldest_pending_ms), (0, 0));
    world.write("SELECT 1", &["acme/item/1"]).await;
    let age = "UPDATE cache_outbox SET created_at_ms = created_at_ms - 60000";
    world.pool.execute_unprepared(age).await.unwrap();
    let status = world.outbox.status().await.unwrap();
    assert_eq!(status.pending, 1);
    assert!((60_000..600_000).contains(&status.oldest_pending_ms), "{status:?}");
}

async fn who_ends_does_not_wait_for_another_write(database: TestDatabase) {
    let world = World::with(database, OutboxSettings { mark_every: Duration::ZERO, ..OutboxSettings::default() }).await;
    let relay = world.relay();
    let running = tokio::spawn(async move { relay.run().await });
    world.write("SELECT 1", &["acme/item/1"]).await;
    // Until the relay has marked it, and waits for the next.
    while world.pending().await > 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::timeout(Duration::from_secs(60), world.outbox.flush()).await.expect("nothing is left to be marked");
    running.abort();
}
