//! An id of another tenant is not found, in any repository, and nothing of it is changed.

use platform::{
    store::{
        StoreError,
        repositories::{
            Scope, assets, assets::AssetQuery, engagements, flows, flows::FlowFilter, flows::FlowUpdate, imports,
            mappings, memberships, users,
        },
    },
    views::{ImportError, ImportStatus},
};

use crate::support::{
    database::Database,
    on_both_databases,
    world::{World, at, engagement_data, fill_import, new_flow},
};

on_both_databases!(reads_find_nothing_of_others, writes_find_nothing_of_others, users_are_shown_without_other_clients);

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "what a call returned")]
fn not_found<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::NotFound { .. })), "{result:?}");
}

async fn reads_find_nothing_of_others(database: Database) {
    let world = World::build(database.migrated().await).await;
    let (db, acme) = (world.store.read(), world.acme);
    let (flow, import, engagement) = (world.globex_flow, world.globex_import, world.globex_dc);
    not_found(flows::by_id(db, acme, flow).await);
    not_found(flows::state(db, acme, flow).await);
    not_found(flows::metadata(db, acme, flow).await);
    not_found(flows::list(db, acme, FlowFilter { engagement: Some(engagement), status: None }).await);
    not_found(imports::by_id(db, acme, import).await);
    not_found(imports::list(db, acme, Some(engagement)).await);
    not_found(mappings::list(db, acme, import).await);
    not_found(mappings::statistics(db, acme, import).await);
    not_found(mappings::approved(db, acme, import).await);
    not_found(engagements::by_id(db, Scope::Client(acme), engagement).await);
    not_found(engagements::users(db, Scope::Client(acme), engagement).await);
    not_found(users::admin_user(db, Scope::Client(acme), world.gus).await);
    not_found(memberships::of_user(db, Scope::Client(acme), world.gus).await);
    let vocabulary = crate::repositories::VOCABULARY;
    let query = AssetQuery { engagement: None, import: Some(import), search: None, page: 1, page_size: 10 };
    not_found(assets::page(db, acme, &query, vocabulary).await);
    let query = AssetQuery { engagement: Some(engagement), import: None, ..query };
    not_found(assets::page(db, acme, &query, vocabulary).await);

    let flows = flows::list(db, acme, FlowFilter::default()).await.unwrap().items;
    assert!(flows.len() == 2 && flows.iter().all(|flow| flow.client_account_id == acme.0));
    assert_eq!(flows::active_of(db, acme, world.gus).await.unwrap().items, []);
    let query = AssetQuery { engagement: None, ..query };
    let assets = assets::page(db, acme, &query, vocabulary).await.unwrap();
    assert!(assets.total == 5 && assets.items.iter().all(|asset| asset.import_id == world.acme_import));
    assert_eq!(memberships::role(db, world.gus, acme.0).await.unwrap(), None);
}

async fn writes_find_nothing_of_others(database: Database) {
    let world = World::build(database.migrated().await).await;
    let (acme, db) = (world.acme, world.store.read());
    let (flow, import, engagement) = (world.globex_flow, world.globex_import, world.globex_dc);
    let mapping = world.mapping(world.globex, import, "Machine").await;
    let own_mapping = world.mapping(acme, world.acme_import, "Machine").await;
    let before = (
        flows::by_id(db, world.globex, flow).await.unwrap(),
        mappings::list(db, world.globex, import).await.unwrap(),
        engagements::by_id(db, Scope::All, engagement).await.unwrap(),
    );
    let mut w = world.store.begin().await.unwrap();
    let w = &mut w;
    not_found(flows::update(w, acme, flow, &FlowUpdate::default(), at(1)).await);
    not_found(flows::delete(w, acme, flow).await);
    not_found(flows::create(w, acme, &new_flow(engagement, world.carl, "x"), at(1)).await);
    not_found(mappings::approve(w, acme, import, &[mapping], world.carl, at(1)).await);
    not_found(mappings::reject(w, acme, world.acme_import, &[own_mapping, mapping], world.carl, at(1)).await);
    not_found(mappings::retarget(w, acme, world.acme_import, mapping, None, "carl", at(1)).await);
    not_found(imports::progress(w, acme, import, ImportStatus::Reading, 1).await);
    not_found(imports::unfinished(w, acme, import).await);
    not_found(fill_import(w, acme, import, 1).await);
    let error = ImportError { code: "x".to_owned(), message: "x".to_owned(), row: None, column: None };
    not_found(imports::fail(w, acme, import, &error, at(1)).await);
    not_found(engagements::update(w, Scope::Client(acme), engagement, &engagement_data("x"), at(1)).await);
    not_found(engagements::delete(w, Scope::Client(acme), engagement, true).await);
    not_found(users::set_defaults(w, world.carl, Some(world.globex.0), None, at(1)).await);
    not_found(users::set_defaults(w, world.carl, Some(acme.0), Some(engagement), at(1)).await);
    not_found(users::set_defaults(w, world.carl, None, Some(world.acme_dc), at(1)).await);
    assert_eq!(
        before,
        (
            flows::by_id(w.read(), world.globex, flow).await.unwrap(),
            mappings::list(w.read(), world.globex, import).await.unwrap(),
            engagements::by_id(w.read(), Scope::All, engagement).await.unwrap(),
        )
    );
}

async fn users_are_shown_without_other_clients(database: Database) {
    let world = World::build(database.migrated().await).await;
    let db = world.store.read();
    let anna = users::admin_user(db, Scope::Client(world.acme), world.anna).await.unwrap();
    assert_eq!(anna.memberships.iter().map(|role| role.client_account_id).collect::<Vec<_>>(), [world.acme.0]);
    assert_eq!((anna.default_client_account_id, anna.default_engagement_id), (None, None));
    let anna = users::admin_user(db, Scope::All, world.anna).await.unwrap();
    assert_eq!(anna.memberships.len(), 2);
    assert_eq!(anna.default_engagement_id, Some(world.globex_dc));
    let active = users::active(db, Scope::Client(world.globex)).await.unwrap().items;
    assert_eq!(active.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["gus", "anna"]);
    assert!(active.iter().all(|user| user.memberships.iter().all(|role| role.client_account_id == world.globex.0)));
}
