//! Up, down and up again.

use platform::store::repositories::users;

use crate::support::{
    database::Database,
    on_both_databases,
    world::{World, at, new_user},
};

on_both_databases!(migrations_go_up_and_down_as_often_as_they_like, down_takes_everything_with_it);

async fn migrations_go_up_and_down_as_often_as_they_like(database: Database) {
    let store = database.empty().await;
    assert!(store.migrations().await.unwrap().iter().all(|migration| !migration.is_applied));
    for _ in 0..2 {
        store.migrate_up().await.unwrap();
        store.migrate_up().await.unwrap();
        assert!(store.migrations().await.unwrap().iter().all(|migration| migration.is_applied));
        let mut w = store.begin().await.unwrap();
        users::create_active(&mut w, &new_user("ada"), true, at(0)).await.unwrap();
        w.roll_back().await.unwrap();
        store.migrate_down(None).await.unwrap();
        store.migrate_down(None).await.unwrap();
        assert!(store.migrations().await.unwrap().iter().all(|migration| !migration.is_applied));
    }
}

async fn down_takes_everything_with_it(database: Database) {
    let world = World::build(database.migrated().await).await;
    world.store.migrate_down(None).await.unwrap();
    assert!(users::by_id(world.store.read(), world.ada).await.is_err());
    world.store.migrate_up().await.unwrap();
    let users = users::list(world.store.read(), platform::store::repositories::Scope::All).await.unwrap();
    assert_eq!(users.items, []);
}

#[tokio::test]
async fn a_database_in_memory_is_one_and_stays() {
    let store = platform::store::Store::connect("sqlite::memory:").await.unwrap();
    store.migrate_up().await.unwrap();
    let world = World::build(store).await;
    assert_eq!(users::by_id(world.store.read(), world.ada).await.unwrap().name.as_str(), "ada");
}

#[tokio::test]
async fn an_unknown_url_is_refused_without_repeating_it() {
    let error = platform::store::Store::connect("mysql://root:secret@localhost/x").await.unwrap_err().to_string();
    assert!(error.contains("sqlite://") && error.contains("postgres://") && !error.contains("secret"), "{error}");
}
