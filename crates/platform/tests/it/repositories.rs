//! What the repositories do, over both databases.

use platform::{
    store::{
        Conflict, StoreError,
        repositories::{
            Scope,
            assets::{self, AssetQuery, Vocabulary},
            clients::{self, ClientsOf},
            context, engagements,
            flows::{self, FlowFilter, FlowUpdate},
            imports::{self, NewImport},
            mappings, memberships, sessions,
            users::{self, AccessRequest},
        },
    },
    views::{FlowPhase, FlowStatus, ImportError, ImportStatus, MappingStatus, Role, StepStatus, UserStatus},
};
use serde_json::json;
use uuid::Uuid;

use crate::support::{
    database::Database,
    on_both_databases,
    world::{World, at, client_data, engagement_data, import_file, new_flow, new_user, rows},
};

/// The meaning of attributes in these tests.
pub const VOCABULARY: Vocabulary = Vocabulary { label: str::to_uppercase, name_attribute: "hostname" };

on_both_databases!(
    a_user_comes_in_by_request_and_approval,
    a_rejected_user_stays_out_and_keeps_the_address,
    addresses_are_unique_without_case,
    administrators_see_all_clients_and_members_their_own,
    access_that_is_taken_takes_the_defaults_along,
    sessions_end_by_revocation_by_time_and_with_their_user,
    clients_get_slugs_and_go_only_with_their_engagements,
    engagements_keep_what_they_are_told_and_go_only_with_their_flows,
    flows_are_created_found_changed_and_deleted,
    the_state_of_a_flow_follows_its_import_and_its_review,
    an_import_goes_from_queued_to_completed,
    an_import_that_fails_says_why_and_leaves_no_rows,
    what_a_process_left_unfinished_is_failed,
    mappings_are_reviewed_all_or_none,
    statistics_are_aggregated_from_the_mappings,
    a_mapping_with_another_target_is_reviewed_again,
    two_reviewers_cannot_fill_one_target_from_two_columns,
    two_reviewers_at_one_moment_cannot_either,
    assets_show_what_was_approved,
    assets_are_found_by_any_part_of_a_value,
    a_page_of_assets_takes_no_statement_that_it_can_do_without,
    a_list_says_by_itself_that_its_engagement_is_there,
    pages_of_assets_cover_everything_once,
    twenty_thousand_rows_are_imported_in_one_write,
    a_context_holds_what_the_user_stands_in,
    times_come_back_as_they_went_in,
);

#[track_caller]
fn conflict(error: StoreError) -> Conflict {
    match error {
        StoreError::Conflict(conflict) => conflict,
        other => panic!("{other:?} is no conflict"),
    }
}

#[track_caller]
fn is_not_found(error: &StoreError, expected: &str) {
    assert!(matches!(error, StoreError::NotFound { what } if *what == expected), "{error:?} is not about a {expected}");
}

async fn a_user_comes_in_by_request_and_approval(database: Database) {
    let world = World::build(database.migrated().await).await;
    let db = world.store.read();
    let pending = users::pending_approvals(db).await.unwrap().items;
    assert_eq!(pending.len(), 1);
    assert_eq!((pending[0].user_id, pending[0].reason.as_deref().map(String::as_str)), (world.paul, Some("audit")));
    world.write(async |w| users::approve(w, world.paul, world.acme.0, Role::ClientAdmin, at(30)).await).await;
    assert_eq!(users::pending_approvals(db).await.unwrap().items, []);
    let paul = users::admin_user(db, Scope::All, world.paul).await.unwrap();
    assert_eq!(paul.status, UserStatus::Active);
    assert_eq!((paul.memberships[0].client_name.as_str(), paul.memberships[0].role), ("Acme", Role::ClientAdmin));
    let again = world.refused(async |w| users::approve(w, world.paul, world.acme.0, Role::Analyst, at(31)).await).await;
    assert_eq!(conflict(again), Conflict::NotPending);
    let nobody =
        world.refused(async |w| users::approve(w, Uuid::nil(), world.acme.0, Role::Analyst, at(31)).await).await;
    is_not_found(&nobody, "user");
}

async fn a_rejected_user_stays_out_and_keeps_the_address(database: Database) {
    let world = World::build(database.migrated().await).await;
    world.write(async |w| users::reject(w, world.paul, at(30)).await).await;
    let db = world.store.read();
    assert_eq!(users::by_id(db, world.paul).await.unwrap().status, UserStatus::Disabled);
    assert_eq!(users::pending_approvals(db).await.unwrap().items, []);
    let request = AccessRequest::default();
    let again = world.refused(async |w| users::register(w, &new_user("paul"), &request, at(31)).await).await;
    assert_eq!(conflict(again), Conflict::EmailTaken);
}

async fn addresses_are_unique_without_case(database: Database) {
    let world = World::build(database.migrated().await).await;
    let upper = users::NewUser { email: " CARL@Example.COM".to_owned(), ..new_user("carl") };
    let taken = world.refused(async |w| users::create_active(w, &upper, false, at(30)).await).await;
    assert_eq!(conflict(taken), Conflict::EmailTaken);
    let carl = users::credentials(world.store.read(), "Carl@example.com").await.unwrap().unwrap();
    assert_eq!((carl.user.id, carl.password_hash.as_str()), (world.carl, "hash of carl"));
    assert!(users::credentials(world.store.read(), "nobody@example.com").await.unwrap().is_none());
}

async fn administrators_see_all_clients_and_members_their_own(database: Database) {
    let world = World::build(database.migrated().await).await;
    let db = world.store.read();
    let names = async |user| {
        let clients = memberships::clients_of(db, user).await.unwrap().items;
        clients
            .into_iter()
            .map(|client| (client.name, client.role.unwrap(), client.engagement_count))
            .collect::<Vec<_>>()
    };
    let (acme, globex) = ("Acme".to_owned(), "Globex".to_owned());
    assert_eq!(
        names(world.ada).await,
        [(acme.clone(), Role::PlatformAdmin, 2), (globex.clone(), Role::PlatformAdmin, 1)]
    );
    assert_eq!(names(world.anna).await, [(acme.clone(), Role::Analyst, 2), (globex, Role::Analyst, 1)]);
    assert_eq!(names(world.carl).await, [(acme, Role::ClientAdmin, 2)]);
    assert_eq!(names(world.paul).await, []);
    let administered = clients::list(db, ClientsOf::Administrator(world.carl)).await.unwrap().items;
    assert_eq!(administered.iter().map(|client| client.id).collect::<Vec<_>>(), [world.acme.0]);
    assert_eq!((administered[0].user_count, administered[0].engagement_count), (2, 2));
    assert_eq!(clients::list(db, ClientsOf::Administrator(world.anna)).await.unwrap().items, []);
    assert_eq!(clients::list(db, ClientsOf::Everybody).await.unwrap().items.len(), 2);
    assert_eq!(users::list(db, Scope::All).await.unwrap().items.len(), 5);
    let of_acme = users::list(db, Scope::Client(world.acme)).await.unwrap().items;
    assert_eq!(of_acme.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["anna", "carl"]);
}

async fn access_that_is_taken_takes_the_defaults_along(database: Database) {
    let world = World::build(database.migrated().await).await;
    world.write(async |w| memberships::revoke(w, world.anna, world.acme.0, at(30)).await).await;
    let db = world.store.read();
    assert_eq!(users::defaults(db, world.anna).await.unwrap().client_account_id, Some(world.globex.0));
    world.write(async |w| memberships::revoke(w, world.anna, world.globex.0, at(31)).await).await;
    let defaults = users::defaults(db, world.anna).await.unwrap();
    assert_eq!((defaults.client_account_id, defaults.engagement_id), (None, None));
    let again = world.refused(async |w| memberships::revoke(w, world.anna, world.globex.0, at(32)).await).await;
    is_not_found(&again, "member");
    assert_eq!(memberships::role(db, world.anna, world.acme.0).await.unwrap(), None);
    assert_eq!(memberships::role(db, world.ada, world.acme.0).await.unwrap(), Some(Role::PlatformAdmin));
}

async fn sessions_end_by_revocation_by_time_and_with_their_user(database: Database) {
    let world = World::build(database.migrated().await).await;
    let db = world.store.read();
    let until = at(100);
    let session = world.write(async |w| sessions::create(w, world.anna, at(30), until).await).await;
    let principal = sessions::principal(db, session, at(99)).await.unwrap().unwrap();
    assert_eq!(principal.user.id, world.anna);
    assert_eq!(
        principal.roles.iter().map(|role| role.client_account_id).collect::<Vec<_>>(),
        [world.acme.0, world.globex.0]
    );
    assert_eq!((principal.default_client_account_id, principal.expires_at), (Some(world.globex.0), until));
    assert_eq!(sessions::principal(db, session, at(100)).await.unwrap(), None);
    world.write(async |w| sessions::extend(w, session, at(99), at(200)).await).await;
    assert!(sessions::principal(db, session, at(150)).await.unwrap().is_some());
    world.write(async |w| sessions::revoke(w, session, at(150)).await).await;
    assert_eq!(sessions::principal(db, session, at(151)).await.unwrap(), None);
    let gone = world.refused(async |w| sessions::extend(w, session, at(151), at(300)).await).await;
    is_not_found(&gone, "session");

    assert!(sessions::principal(db, world.anna_session, at(151)).await.unwrap().is_some());
    world.write(async |w| users::set_status(w, world.anna, UserStatus::Disabled, at(151)).await).await;
    assert_eq!(sessions::principal(db, world.anna_session, at(152)).await.unwrap(), None);
    world.write(async |w| users::set_status(w, world.anna, UserStatus::Active, at(153)).await).await;
    assert_eq!(sessions::principal(db, world.anna_session, at(154)).await.unwrap(), None, "revoked for good");
    assert_eq!(world.write(async |w| sessions::delete_over(w, at(500)).await).await, 1);
    assert_eq!(sessions::principal(db, Uuid::nil(), at(0)).await.unwrap(), None);
}

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

async fn an_import_goes_from_queued_to_completed(database: Database) {
    let world = World::build(database.migrated().await).await;
    let (db, acme) = (world.store.read(), world.acme);
    let new = NewImport {
        engagement_id: world.acme_apps,
        flow_id: None,
        file_name: "billing apps.csv".to_owned(),
        size_bytes: 12,
        created_by: world.anna,
    };
    let import = world.write(async |w| imports::create(w, acme, &new, at(30)).await).await;
    assert_eq!((import.status, import.columns), (ImportStatus::Queued, None));
    let flow = flows::by_id(db, acme, import.flow_id).await.unwrap().summary;
    assert_eq!((flow.name.as_str(), flow.owner_id, flow.import_id), ("billing apps", world.anna, Some(import.id)));
    assert_eq!(flow.status, FlowStatus::Running);
    world.write(async |w| imports::progress(w, acme, import.id, ImportStatus::Reading, 3).await).await;
    let reading = imports::by_id(db, acme, import.id).await.unwrap();
    assert_eq!((reading.status, reading.rows_done), (ImportStatus::Reading, 3));
    world.write(async |w| crate::support::world::fill_import(w, acme, import.id, 4).await).await;
    let done = imports::by_id(db, acme, import.id).await.unwrap();
    assert_eq!(
        (done.status, done.rows_done, done.rows_total, done.columns),
        (ImportStatus::Completed, 4, Some(4), Some(3))
    );
    assert_eq!(
        (done.encoding.as_deref(), done.delimiter.as_deref(), done.finished_at),
        (Some("utf-8"), Some(","), Some(at(12)))
    );
    let late = world.refused(async |w| imports::progress(w, acme, import.id, ImportStatus::Reading, 3).await).await;
    assert!(matches!(conflict(late), Conflict::ImportState { status: "completed", .. }));
    assert_eq!(imports::list(db, acme, Some(world.acme_apps)).await.unwrap().items, [done]);
    let newest: Vec<Uuid> = imports::list(db, acme, None).await.unwrap().items.iter().map(|one| one.id).collect();
    assert_eq!(newest, [import.id, world.acme_import]);
    let elsewhere = NewImport { engagement_id: world.acme_dc, flow_id: Some(world.apps_flow), ..new };
    is_not_found(&world.refused(async |w| imports::create(w, acme, &elsewhere, at(31)).await).await, "flow");
}

async fn an_import_that_fails_says_why_and_leaves_no_rows(database: Database) {
    let world = World::build(database.migrated().await).await;
    let (db, acme) = (world.store.read(), world.acme);
    let new = NewImport {
        engagement_id: world.acme_dc,
        flow_id: Some(world.acme_flow),
        file_name: "bad.csv".to_owned(),
        size_bytes: 12,
        created_by: world.carl,
    };
    let import = world.write(async |w| imports::create(w, acme, &new, at(30)).await).await.id;
    let mut w = world.store.begin().await.unwrap();
    imports::insert_rows(&mut w, acme, import, &rows(2, 700)).await.unwrap();
    drop(w);
    let error = ImportError {
        code: "ragged_row".to_owned(),
        message: "row 702 has 2 fields".to_owned(),
        row: Some(702),
        column: None,
    };
    let failed = world.write(async |w| imports::fail(w, acme, import, &error, at(31)).await).await;
    assert_eq!((failed.status, failed.error, failed.finished_at), (ImportStatus::Failed, Some(error), Some(at(31))));
    let query = AssetQuery { engagement: None, import: Some(import), search: None, page: 1, page_size: 10 };
    assert_eq!(assets::page(db, acme, &query, VOCABULARY).await.unwrap().total, 0);
    assert_eq!(flows::by_id(db, acme, world.acme_flow).await.unwrap().summary.status, FlowStatus::Draft);
}

async fn what_a_process_left_unfinished_is_failed(database: Database) {
    let world = World::build(database.migrated().await).await;
    assert_eq!(world.write(async |w| imports::fail_unfinished(w, None, at(30)).await).await, 0);
    let new = NewImport {
        engagement_id: world.globex_dc,
        flow_id: Some(world.globex_flow),
        file_name: "long.csv".to_owned(),
        size_bytes: 12,
        created_by: world.gus,
    };
    let import = world.write(async |w| imports::create(w, world.globex, &new, at(30)).await).await.id;
    let others = [Uuid::now_v7()];
    assert_eq!(world.write(async |w| imports::fail_unfinished(w, Some(&others), at(31)).await).await, 0);
    let ours = [others[0], import];
    assert_eq!(world.write(async |w| imports::fail_unfinished(w, Some(&ours), at(31)).await).await, 1);
    let import = imports::by_id(world.store.read(), world.globex, import).await.unwrap();
    assert_eq!((import.status, import.error.unwrap().code.as_str()), (ImportStatus::Failed, "interrupted"));
}

async fn mappings_are_reviewed_all_or_none(database: Database) {
    let world = World::build(database.migrated().await).await;
    let (db, acme, import) = (world.store.read(), world.acme, world.acme_import);
    let mut ids = Vec::new();
    for column in ["Machine", "IP", "Owner"] {
        ids.push(world.mapping(acme, import, column).await);
    }
    let all = world.refused(async |w| mappings::approve(w, acme, import, &ids, world.carl, at(30)).await).await;
    assert_eq!(conflict(all), Conflict::WithoutTarget { columns: vec!["Owner".to_owned()] });
    let unknown = [ids[0], Uuid::nil()];
    let error = world.refused(async |w| mappings::approve(w, acme, import, &unknown, world.carl, at(30)).await).await;
    is_not_found(&error, "mapping");
    let twice = [ids[0], ids[0], ids[1]];
    let done = world.write(async |w| mappings::approve(w, acme, import, &twice, world.carl, at(31)).await).await;
    assert_eq!((done.updated, done.statistics.approved, done.statistics.suggested), (2, 2, 1));
    let again = world.write(async |w| mappings::approve(w, acme, import, &twice, world.anna, at(32)).await).await;
    assert_eq!((again.updated, again.statistics), (0, done.statistics));
    let list = mappings::list(db, acme, import).await.unwrap();
    assert_eq!((list.file_name.as_str(), list.engagement_id), ("servers.csv", world.acme_dc));
    assert_eq!((list.items[0].reviewed_by, list.items[0].reviewed_at), (Some(world.carl), Some(at(31))));
    assert_eq!(list.items[0].sample_values, ["one", "two"]);
    let rejected = world.write(async |w| mappings::reject(w, acme, import, &ids, world.carl, at(33)).await).await;
    assert_eq!((rejected.updated, rejected.statistics.rejected), (3, 3));
    assert_eq!(mappings::approved(db, acme, import).await.unwrap().approved, []);
}

async fn statistics_are_aggregated_from_the_mappings(database: Database) {
    let world = World::build(database.migrated().await).await;
    let (db, acme, import) = (world.store.read(), world.acme, world.acme_import);
    let machine = world.mapping(acme, import, "Machine").await;
    world.write(async |w| mappings::approve(w, acme, import, &[machine], world.carl, at(30)).await).await;
    let statistics = mappings::statistics(db, acme, import).await.unwrap();
    assert_eq!((statistics.total, statistics.suggested, statistics.approved, statistics.unmapped), (3, 2, 1, 1));
    assert!((statistics.average_confidence - 0.6).abs() < 1e-9);
    assert!((statistics.approved_percent - 100.0 / 3.0).abs() < 1e-9);
    let new = NewImport {
        engagement_id: world.acme_apps,
        flow_id: None,
        file_name: "empty.csv".to_owned(),
        size_bytes: 0,
        created_by: world.anna,
    };
    let empty = world.write(async |w| imports::create(w, acme, &new, at(31)).await).await.id;
    let statistics = mappings::statistics(db, acme, empty).await.unwrap();
    assert_eq!((statistics.total, statistics.approved_percent, statistics.average_confidence), (0, 0.0, 0.0));
}

async fn a_mapping_with_another_target_is_reviewed_again(database: Database) {
    let world = World::build(database.migrated().await).await;
    let (acme, import) = (world.acme, world.acme_import);
    let machine = world.mapping(acme, import, "Machine").await;
    world.write(async |w| mappings::approve(w, acme, import, &[machine], world.carl, at(30)).await).await;
    let retarget = async |target, now| {
        world.write(async |w| mappings::retarget(w, acme, import, machine, target, "carl", at(now)).await).await
    };
    let changed = retarget(Some("fqdn"), 31).await;
    assert_eq!((changed.target_attribute.as_deref(), changed.status), (Some("fqdn"), MappingStatus::Suggested));
    assert_eq!((changed.reason.as_str(), changed.reviewed_by), ("chosen by carl", None));
    assert!((changed.confidence - 1.0).abs() < f64::EPSILON);
    assert_eq!(retarget(None, 32).await.target_attribute, None);
    let unknown = async |w: &mut _| mappings::retarget(w, acme, import, Uuid::nil(), None, "carl", at(33)).await;
    is_not_found(&world.refused(unknown).await, "mapping");
}

async fn two_reviewers_cannot_fill_one_target_from_two_columns(database: Database) {
    let world = World::build(database.migrated().await).await;
    let (acme, import) = (world.acme, world.acme_import);
    let machine = world.mapping(acme, import, "Machine").await;
    let owner = world.mapping(acme, import, "Owner").await;
    let retarget = async |w: &mut _| mappings::retarget(w, acme, import, owner, Some("hostname"), "carl", at(30)).await;
    world.write(retarget).await;
    let both =
        world.refused(async |w| mappings::approve(w, acme, import, &[owner, machine], world.carl, at(31)).await).await;
    let columns = vec!["Machine".to_owned(), "Owner".to_owned()];
    assert_eq!(conflict(both), Conflict::TargetTaken { target: "hostname".to_owned(), columns: columns.clone() });
    world.write(async |w| mappings::approve(w, acme, import, &[machine], world.carl, at(32)).await).await;
    let second = world.refused(async |w| mappings::approve(w, acme, import, &[owner], world.carl, at(33)).await).await;
    assert_eq!(conflict(second), Conflict::TargetTaken { target: "hostname".to_owned(), columns });
}

async fn two_reviewers_at_one_moment_cannot_either(database: Database) {
    let world = World::build(database.migrated().await).await;
    let (acme, import) = (world.acme, world.acme_import);
    let machine = world.mapping(acme, import, "Machine").await;
    let owner = world.mapping(acme, import, "Owner").await;
    let retarget = async |w: &mut _| mappings::retarget(w, acme, import, owner, Some("hostname"), "carl", at(30)).await;
    world.write(retarget).await;
    let mut first = world.store.begin().await.unwrap();
    mappings::approve(&mut first, acme, import, &[machine], world.carl, at(31)).await.unwrap();
    // The second sees nothing of the first, and waits for it where the database makes it wait.
    let second = async {
        let mut second = world.store.begin().await?;
        mappings::approve(&mut second, acme, import, &[owner], world.anna, at(31)).await
    };
    let (first, second) = tokio::join!(first.commit(&world.cache), second);
    first.unwrap();
    let conflict = conflict(second.unwrap_err());
    assert!(matches!(conflict, Conflict::TargetTaken { .. } | Conflict::ReviewedMeanwhile), "{conflict:?}");
    let approved = mappings::approved(world.store.read(), acme, import).await.unwrap().approved;
    assert_eq!(approved.iter().map(|one| one.source_column.as_str()).collect::<Vec<_>>(), ["Machine"]);
}

async fn assets_show_what_was_approved(database: Database) {
    let world = World::build(database.migrated().await).await;
    let (db, acme, import) = (world.store.read(), world.acme, world.acme_import);
    let query = AssetQuery { engagement: Some(world.acme_dc), import: None, search: None, page: 1, page_size: 2 };
    let page = assets::page(db, acme, &query, VOCABULARY).await.unwrap();
    assert_eq!((page.total, page.items.len(), page.columns.len()), (5, 2, 0));
    assert_eq!(
        (page.items[0].name.as_deref(), page.items[0].attributes.len(), page.items[0].unmapped.len()),
        (None, 0, 3)
    );
    let ids = [world.mapping(acme, import, "Machine").await, world.mapping(acme, import, "IP").await];
    world.write(async |w| mappings::approve(w, acme, import, &ids, world.carl, at(30)).await).await;
    let page = assets::page(db, acme, &query, VOCABULARY).await.unwrap();
    let labels: Vec<_> = page.columns.iter().map(|column| column.label.as_str()).collect();
    assert_eq!(labels, ["HOSTNAME", "IP_ADDRESS"]);
    let first = &page.items[0];
    assert_eq!((first.name.as_deref(), first.row_number, first.import_id), (Some("Srv-2"), 2, import));
    assert_eq!(first.attributes["ip_address"], "10.0.0.2");
    assert_eq!(first.unmapped.iter().collect::<Vec<_>>(), [(&"Owner".to_owned(), &"Owner 2".to_owned())]);
    let columns = mappings::approved(db, acme, import).await.unwrap();
    assert_eq!((columns.columns.len(), columns.approved.len()), (3, 2));
}

async fn assets_are_found_by_any_part_of_a_value(database: Database) {
    let world = World::build(database.migrated().await).await;
    let acme = world.acme;
    let new = NewImport {
        engagement_id: world.acme_apps,
        flow_id: None,
        file_name: "odd.csv".to_owned(),
        size_bytes: 0,
        created_by: world.anna,
    };
    let row = |row_number, value: &str| imports::NewRow { row_number, values: vec![value.to_owned(), "x".to_owned()] };
    let odd = [row(2, "MÜNCHEN-db"), row(3, "100%"), row(4, "a_b"), row(5, r"c:\data"), row(6, "ab")];
    let import = async |w: &mut _| {
        let import = imports::create(w, acme, &new, at(30)).await?;
        imports::insert_rows(w, acme, import.id, &odd).await?;
        imports::finish(w, acme, import.id, 5, at(31)).await
    };
    let import = world.write(import).await.id;
    let found = async |search: &str| {
        let search = Some(search.to_owned());
        let query = AssetQuery { engagement: None, import: Some(import), search, page: 1, page_size: 10 };
        let page = assets::page(world.store.read(), acme, &query, VOCABULARY).await.unwrap();
        page.items.iter().map(|asset| asset.row_number).collect::<Vec<_>>()
    };
    assert_eq!(found("münchen").await, [2]);
    assert_eq!(found("%").await, [3]);
    assert_eq!(found("_").await, [4]);
    assert_eq!(found(r"C:\D").await, [5]);
    assert_eq!(found("").await, [2, 3, 4, 5, 6]);
    assert_eq!(found("'; DROP TABLE assets; --").await, Vec::<u64>::new());
}

async fn a_page_of_assets_takes_no_statement_that_it_can_do_without(database: Database) {
    let world = World::build(database.migrated().await).await;
    let (acme, engagement, import) = (world.acme, Some(world.acme_dc), Some(world.acme_import));
    let any = AssetQuery { engagement: None, import: None, search: None, page: 1, page_size: 2 };
    let cases = [
        // The rows, how many there are, what their columns mean.
        (AssetQuery { engagement, ..any.clone() }, 3),
        (AssetQuery { import, page: 2, ..any.clone() }, 3),
        // The last page says how many there are.
        (AssetQuery { engagement, page: 3, ..any.clone() }, 2),
        (AssetQuery { import, page_size: 10, ..any.clone() }, 2),
        (AssetQuery { page_size: 10, ..any.clone() }, 2),
        // How many there are.
        (AssetQuery { engagement, page_size: 0, ..any.clone() }, 1),
        (AssetQuery { page_size: 0, ..any.clone() }, 1),
        // Of none it is asked whether there is what they would belong to.
        (AssetQuery { engagement, search: Some("nowhere".to_owned()), ..any }, 2),
    ];
    for (query, statements) in cases {
        let before = world.store.queries().statements();
        let page = assets::page(world.store.read(), acme, &query, VOCABULARY).await.unwrap();
        assert_eq!(world.store.queries().statements() - before, statements, "{query:?}");
        assert_eq!(page.total, if query.search.is_some() { 0 } else { 5 }, "{query:?}");
    }
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

async fn pages_of_assets_cover_everything_once(database: Database) {
    let world = World::build(database.migrated().await).await;
    let acme = world.acme;
    world.write(async |w| import_file(w, acme, world.acme_apps, None, world.anna, 7).await).await;
    let mut ids = Vec::new();
    for page in 1..=4 {
        let query = AssetQuery { engagement: None, import: None, search: None, page, page_size: 5 };
        let page = assets::page(world.store.read(), acme, &query, VOCABULARY).await.unwrap();
        assert_eq!(page.total, 12);
        ids.extend(page.items.iter().map(|asset| asset.id));
    }
    assert_eq!(ids.len(), 12);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 12);
    let beyond = AssetQuery { engagement: None, import: None, search: None, page: u64::MAX, page_size: u64::MAX };
    let page = assets::page(world.store.read(), acme, &beyond, VOCABULARY).await.unwrap();
    assert_eq!((page.items.len(), page.page_size), (0, assets::PAGE_SIZE_MAX));
}

async fn twenty_thousand_rows_are_imported_in_one_write(database: Database) {
    let world = World::build(database.migrated().await).await;
    let statements = world.store.queries().statements();
    let import =
        world.write(async |w| import_file(w, world.acme, world.acme_apps, None, world.anna, 20_000).await).await;
    let statements = world.store.queries().statements() - statements;
    assert!(statements < 80, "{statements} statements are too many for 20,000 rows");
    let query = AssetQuery { engagement: None, import: Some(import), search: None, page: 400, page_size: 50 };
    let page = assets::page(world.store.read(), world.acme, &query, VOCABULARY).await.unwrap();
    assert_eq!((page.total, page.items.last().unwrap().row_number), (20_000, 20_001));
}

async fn a_context_holds_what_the_user_stands_in(database: Database) {
    let world = World::build(database.migrated().await).await;
    let db = world.store.read();
    let carl = context::full(db, Some(world.acme), world.carl).await.unwrap();
    assert_eq!(carl.me.client.as_ref().unwrap().name, "Acme");
    assert_eq!(carl.me.engagement.as_ref().unwrap().id, world.acme_dc);
    assert_eq!(carl.me.active_flows.iter().map(|flow| flow.id).collect::<Vec<_>>(), [world.acme_flow]);
    assert_eq!((carl.me.role, carl.clients.len(), carl.engagements.len()), (Some(Role::ClientAdmin), 1, 2));
    assert!(carl.me.permissions.contains(&"users:manage".to_owned()));
    assert_eq!(carl.me, context::me(db, Some(world.acme), world.carl).await.unwrap());
    let anna = context::me(db, Some(world.acme), world.anna).await.unwrap();
    assert_eq!(anna.engagement, None, "she starts in another client's");
    let ada = context::full(db, None, world.ada).await.unwrap();
    assert_eq!((ada.me.client, ada.me.role, ada.clients.len()), (None, Some(Role::PlatformAdmin), 2));
    assert!(ada.me.permissions.contains(&"clients:manage".to_owned()));
    let standing = context::standing(db, Some(world.acme), world.carl).await.unwrap();
    assert_eq!((&standing.user, &standing.client), (&carl.me.user, &carl.me.client));
    assert_eq!((standing.role, &standing.permissions), (carl.me.role, &carl.me.permissions));
    let standing = context::standing(db, None, world.ada).await.unwrap();
    assert_eq!((standing.client, standing.role), (None, Some(Role::PlatformAdmin)));
    is_not_found(&context::standing(db, Some(world.globex), world.carl).await.unwrap_err(), "client");
    is_not_found(&context::me(db, Some(world.globex), world.carl).await.unwrap_err(), "client");
    is_not_found(&context::me(db, None, Uuid::nil()).await.unwrap_err(), "user");
}

async fn times_come_back_as_they_went_in(database: Database) {
    let world = World::build(database.migrated().await).await;
    let odd = at(40) + chrono::TimeDelta::nanoseconds(123_456_789);
    let flow =
        world.write(async |w| flows::create(w, world.acme, &new_flow(world.acme_dc, world.anna, "t"), odd).await).await;
    assert_eq!(flow.created_at, at(40) + chrono::TimeDelta::microseconds(123_456));
    assert_eq!(flows::by_id(world.store.read(), world.acme, flow.summary.id).await.unwrap(), flow);
}
