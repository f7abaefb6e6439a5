//! Clients, their engagements, and the flows in these.

use platform::{
    store::{
        Conflict,
        repositories::{
            Scope,
            assets::{self, AssetQuery},
            clients, engagements,
            flows::{self, FlowFilter, FlowUpdate},
            imports, mappings, memberships, users,
        },
    },
    views::{FlowPhase, FlowStatus, StepStatus},
};
use serde_json::json;
use uuid::Uuid;

use super::{VOCABULARY, conflict, is_not_found};

use crate::support::{
    database::Database,
    on_both_databases,
    world::{World, at, client_data, engagement_data, new_flow},
};

on_both_databases!(
    clients_get_slugs_and_go_only_with_their_engagements,
    engagements_keep_what_they_are_told_and_go_only_with_their_flows,
    flows_are_created_found_changed_and_deleted,
    the_state_of_a_flow_follows_its_import_and_its_review,
    a_list_says_by_itself_that_its_engagement_is_there,
);

async fn clients_get_slugs_and_go_only_with_their_engagements(database: Database) {
    let world = World::build(database.migrated().await).await;
    let twin = world.write(async |w| clients::create(w, &client_data("ACME!"), at(30)).await).await;
    assert_eq!((twin.slug.as_str(), twin.engagement_count, twin.user_count), ("acme-2", 0, 0));
    let renamed = world.write(async |w| clients::update(w, twin.id, &client_data("Umbrella"), at(31)).await).await;
    assert_eq!((renamed.name.as_str(), renamed.slug.as_str()), ("Umbrella", "acme-2"));
    assert_eq!((renamed.created_at, renamed.updated_at), (at(30), at(31)));
    world.write(async |w| clients::delete(w, twin.id, false).await).await;
    let kept = world.refused(async |w| clients::delete(w, world.acme.0, false).await).await;
    assert_eq!(conflict(kept), Conflict::HasChildren { kind: "engagements", children: 2 });
    world.write(async |w| clients::delete(w, world.acme.0, true).await).await;
    let db = world.store.read();
    is_not_found(&clients::by_id(db, world.acme.0).await.unwrap_err(), "client");
    assert_eq!(users::defaults(db, world.carl).await.unwrap().client_account_id, None);
    assert_eq!(memberships::clients_of(db, world.anna).await.unwrap().items.len(), 1);
    is_not_found(&imports::by_id(db, world.acme, world.acme_import).await.unwrap_err(), "import");
    assert!(imports::by_id(db, world.globex, world.globex_import).await.is_ok());
    let gone = world.refused(async |w| clients::update(w, world.acme.0, &client_data("x"), at(32)).await).await;
    is_not_found(&gone, "client");
}

async fn engagements_keep_what_they_are_told_and_go_only_with_their_flows(database: Database) {
    let world = World::build(database.migrated().await).await;
    let db = world.store.read();
    let data = engagements::EngagementData {
        description: Some("all of it".to_owned()),
        status: platform::views::EngagementStatus::Completed,
        ends_on: Some("2027-01-31".parse().unwrap()),
        ..engagement_data("Renamed")
    };
    let scope = Scope::Client(world.acme);
    let updated = world.write(async |w| engagements::update(w, scope, world.acme_dc, &data, at(30)).await).await;
    assert_eq!(updated, engagements::by_id(db, Scope::All, world.acme_dc).await.unwrap());
    assert_eq!((updated.client_name.as_str(), updated.name.as_str(), updated.flow_count), ("Acme", "Renamed", 1));
    assert_eq!((updated.starts_on, updated.ends_on), (data.starts_on, data.ends_on));
    let kept = world.refused(async |w| engagements::delete(w, scope, world.acme_dc, false).await).await;
    assert_eq!(conflict(kept), Conflict::HasChildren { kind: "flows", children: 1 });
    let starters = engagements::users(db, scope, world.acme_dc).await.unwrap().items;
    assert_eq!(starters.iter().map(|user| user.id).collect::<Vec<_>>(), [world.carl]);
    world.write(async |w| engagements::delete(w, scope, world.acme_dc, true).await).await;
    is_not_found(&flows::by_id(db, world.acme, world.acme_flow).await.unwrap_err(), "flow");
    is_not_found(&mappings::list(db, world.acme, world.acme_import).await.unwrap_err(), "import");
    let defaults = users::defaults(db, world.carl).await.unwrap();
    assert_eq!((defaults.client_account_id, defaults.engagement_id), (Some(world.acme.0), None));
    let all = engagements::list(db, Scope::All).await.unwrap().items;
    assert_eq!(all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["Applications", "Globex DC"]);
}

async fn flows_are_created_found_changed_and_deleted(database: Database) {
    let world = World::build(database.migrated().await).await;
    let (db, acme) = (world.store.read(), world.acme);
    let new = new_flow(world.acme_apps, world.carl, "New");
    let flow = world.write(async |w| flows::create(w, acme, &new, at(30)).await).await;
    assert_eq!((flow.summary.status, flow.summary.phase), (FlowStatus::Draft, FlowPhase::DataImport));
    assert_eq!((flow.summary.engagement_name.as_str(), flow.summary.owner_name.as_str()), ("Applications", "carl"));
    assert_eq!(flow.metadata, json!({"colour": "green"}));
    let update = FlowUpdate {
        name: Some("Renamed".to_owned()),
        status: Some(FlowStatus::Completed),
        progress_percent: Some(250),
        metadata: Some(json!({"b": [1, 2.5, null], "a": "ä"})),
        phase: None,
    };
    let changed = world.write(async |w| flows::update(w, acme, flow.summary.id, &update, at(31)).await).await;
    assert_eq!((changed.summary.progress_percent, changed.summary.updated_at), (100, at(31)));
    assert_eq!(
        flows::metadata(db, acme, flow.summary.id).await.unwrap().metadata,
        json!({"a": "ä", "b": [1, 2.5, null]})
    );
    let names = async |filter| {
        let flows = flows::list(db, acme, filter).await.unwrap().items;
        flows.into_iter().map(|flow| flow.name).collect::<Vec<_>>()
    };
    assert_eq!(names(FlowFilter::default()).await, ["Renamed", "Servers", "Apps"]);
    let completed = FlowFilter { engagement: Some(world.acme_apps), status: Some(FlowStatus::Completed) };
    assert_eq!(names(completed).await, ["Renamed"]);
    let active = flows::active_of(db, acme, world.carl).await.unwrap().items;
    assert_eq!(active.iter().map(|flow| flow.id).collect::<Vec<_>>(), [world.acme_flow]);
    world.write(async |w| flows::delete(w, acme, world.acme_flow).await).await;
    assert_eq!(names(FlowFilter::default()).await, ["Renamed", "Apps"]);
    assert_eq!(imports::list(db, acme, None).await.unwrap().items, []);
    let query = AssetQuery { engagement: None, import: None, search: None, page: 1, page_size: 10 };
    assert_eq!(assets::page(db, acme, &query, VOCABULARY).await.unwrap().total, 0);
}

async fn the_state_of_a_flow_follows_its_import_and_its_review(database: Database) {
    let world = World::build(database.migrated().await).await;
    let (db, acme) = (world.store.read(), world.acme);
    let state = flows::state(db, acme, world.acme_flow).await.unwrap();
    assert_eq!(
        (state.status, state.phase, state.progress_percent),
        (FlowStatus::AwaitingReview, FlowPhase::FieldMapping, 40)
    );
    assert_eq!(state.steps[0].status, StepStatus::Done);
    assert_eq!(state.steps[0].detail.as_deref(), Some("5 rows imported from servers.csv"));
    assert_eq!(state.steps[1].detail.as_deref(), Some("0 of 3 columns approved, 0 rejected"));
    let state = flows::state(db, acme, world.apps_flow).await.unwrap();
    assert!(state.steps.iter().all(|step| step.status == StepStatus::Pending && step.detail.is_none()));
}

async fn a_list_says_by_itself_that_its_engagement_is_there(database: Database) {
    let world = World::build(database.migrated().await).await;
    let (db, acme) = (world.store.read(), world.acme);
    let statements = async |engagement: Uuid| {
        let before = world.store.queries().statements();
        let filter = FlowFilter { engagement: Some(engagement), status: None };
        let found = flows::list(db, acme, filter).await.map(|flows| flows.items.len());
        let flows = (found, world.store.queries().statements() - before);
        let before = world.store.queries().statements();
        let found = imports::list(db, acme, Some(engagement)).await.map(|imports| imports.items.len());
        (flows, (found, world.store.queries().statements() - before))
    };
    let ((flows, of_flows), (imports, of_imports)) = statements(world.acme_dc).await;
    assert_eq!((flows.unwrap(), of_flows, imports.unwrap(), of_imports), (1, 1, 1, 1));
    // One that has no imports, and one that is not the client's.
    let (_, (imports, of_imports)) = statements(world.acme_apps).await;
    assert_eq!((imports.unwrap(), of_imports), (0, 2));
    let ((flows, _), (imports, _)) = statements(world.globex_dc).await;
    is_not_found(&flows.unwrap_err(), "engagement");
    is_not_found(&imports.unwrap_err(), "engagement");
}
