//! One test for each named trigger: the views that it changes, and those that it only has loaded again.

use platform::{
    coherence::{Views, Write},
    store::repositories::{
        Scope,
        assets::AssetQuery,
        clients,
        corrections::{self, NewCorrection},
        engagements,
        flows::{self, FlowUpdate},
        imports, mappings, memberships, sessions, users,
    },
    views::{FlowStatus, ImportStatus, Role, UserStatus},
};
use unstale::ReadOptions;

use super::{Effect, effect_of};

use crate::{
    repositories::VOCABULARY,
    support::{
        database::Database,
        world::{World, at, client_data, engagement_data, fill_import, import_file, new_flow, new_user},
    },
};

macro_rules! check {
    ($name:ident: |$world:ident, $w:ident| $change:expr; changed $changed:expr; reloaded $reloaded:expr) => {
        #[tokio::test]
        async fn $name() {
            let database = Database::sqlite();
            let $world = World::build(database.migrated().await).await;
            let effect = effect_of(&$world, async |$w: &mut Write| $change.await).await;
            let (mut changed, mut reloaded): (Vec<&str>, Vec<&str>) = (Vec::from($changed), Vec::from($reloaded));
            changed.sort_unstable();
            reloaded.sort_unstable();
            assert_eq!(effect, Effect { changed, reloaded });
        }
    };
}

check! { on_user_updated: |world, w| users::set_platform_admin(w, world.carl, true, at(30));
    changed [
        "acme/active users", "acme/admin users", "acme/client users", "acme/clients carl", "acme/context carl",
        "acme/engagement users dc", "acme/full carl", "platform/active users", "platform/admin users",
        "platform/client users acme", "platform/engagement users dc", "platform/session carl", "acme/standing carl",
    ];
    reloaded [
        "acme/active flows carl", "acme/engagement users apps", "acme/flow servers", "acme/flows", "acme/flows dc",
        "acme/flows reviewed",
    ]
}

check! { on_user_disabled: |world, w| users::set_status(w, world.anna, UserStatus::Disabled, at(30));
    changed [
        "acme/active users", "acme/admin users", "acme/client users", "acme/context anna", "globex/admin users",
        "globex/client users", "globex/context anna", "globex/engagement users", "platform/active users",
        "platform/admin users", "platform/client users acme", "platform/session anna", "acme/standing anna",
    ];
    reloaded [
        "acme/active flows anna", "acme/clients anna", "acme/engagement users apps", "acme/engagement users dc",
        "acme/flow apps", "acme/flows", "acme/flows apps", "platform/engagement users dc",
    ]
}

check! { on_user_registered: |world, w| users::register(w, &new_user("rita"), &users::AccessRequest::default(), at(30));
    changed ["platform/admin users", "platform/pending approvals"];
    reloaded ["platform/active users"]
}

check! { on_pending_approval_granted: |world, w| users::approve(w, world.paul, world.acme.0, Role::Analyst, at(30));
    changed [
        "acme/active users", "acme/admin clients carl", "acme/admin users", "acme/client", "acme/client users",
        "acme/pending approvals", "platform/active users", "platform/admin clients", "platform/admin users",
        "platform/client acme", "platform/client users acme", "platform/pending approvals",
    ];
    reloaded [
        "acme/engagement users apps", "acme/engagement users dc", "platform/clients ada",
        "platform/engagement users dc", "platform/full ada",
    ]
}

check! { on_pending_approval_rejected: |world, w| users::reject(w, world.paul, at(30));
    changed ["acme/pending approvals", "platform/admin users", "platform/pending approvals"];
    reloaded ["platform/active users"]
}

check! { on_user_client_access_role: |world, w| memberships::set_role(w, world.anna, world.acme.0, Role::ClientAdmin);
    changed [
        "acme/active users", "acme/admin users", "acme/client users", "acme/clients anna", "acme/context anna",
        "acme/roles anna", "platform/active users", "platform/admin users", "platform/client users acme",
        "platform/roles anna", "platform/session anna", "acme/standing anna",
    ];
    reloaded [
        "acme/engagement users apps", "acme/engagement users dc", "globex/context anna",
        "platform/engagement users dc",
    ]
}

check! { on_user_client_access_granted:
|world, w| memberships::grant(w, world.gus, world.acme.0, Role::Analyst, at(30));
    changed [
        "acme/active users", "acme/admin clients carl", "acme/admin users", "acme/client", "acme/client users",
        "globex/clients gus", "platform/active users", "platform/admin clients", "platform/admin users",
        "platform/client acme", "platform/client users acme", "platform/session gus",
    ];
    reloaded [
        "acme/engagement users apps", "acme/engagement users dc", "globex/context gus", "platform/clients ada",
        "platform/engagement users dc", "platform/full ada",
    ]
}

check! { on_user_client_access_revoked: |world, w| memberships::revoke(w, world.anna, world.globex.0, at(30));
    changed [
        "acme/clients anna", "acme/defaults anna", "globex/admin users", "globex/client", "globex/client users",
        "globex/context anna", "globex/engagement users", "platform/active users", "platform/admin clients",
        "platform/admin users", "platform/client globex", "platform/roles anna", "platform/session anna",
    ];
    reloaded ["acme/context anna", "acme/roles anna", "platform/clients ada", "platform/full ada", "acme/standing anna"]
}

check! { on_user_defaults_updated:
    |world, w| users::set_defaults(w, world.carl, Some(world.acme.0), Some(world.acme_apps), at(30));
    changed [
        "acme/admin users", "acme/client users", "acme/context carl", "acme/defaults carl",
        "acme/engagement users apps", "acme/engagement users dc", "acme/full carl", "platform/admin users",
        "platform/client users acme", "platform/defaults carl", "platform/engagement users dc",
    ];
    reloaded ["acme/active users", "platform/active users", "platform/session carl"]
}

check! { on_client_created: |world, w| clients::create(w, &client_data("Initech"), at(30));
    changed ["platform/admin clients", "platform/clients ada", "platform/full ada"];
    reloaded []
}

check! { on_client_renamed: |world, w| clients::update(w, world.acme.0, &client_data("Acme Works"), at(30));
    changed [
        "acme/active users", "acme/admin clients carl", "acme/admin engagements", "acme/admin users", "acme/client",
        "acme/client users", "acme/clients anna", "acme/clients carl", "acme/context anna", "acme/context carl",
        "acme/engagement apps", "acme/engagement dc", "acme/engagement users dc", "acme/engagements",
        "acme/full carl", "acme/roles anna", "platform/active users", "platform/admin clients",
        "platform/admin engagements", "platform/admin users", "platform/client acme", "platform/client users acme",
        "platform/clients ada", "platform/engagement dc", "platform/engagement users dc",
        "platform/engagements acme", "platform/full ada", "platform/roles anna", "acme/standing anna",
        "acme/standing carl",
    ];
    reloaded [
        "acme/defaults carl", "acme/engagement users apps", "acme/pending approvals", "platform/defaults carl",
        "platform/session anna", "platform/session carl",
    ]
}

check! { on_client_deleted: |world, w| clients::delete(w, world.globex.0, true);
    changed [
        "acme/clients anna", "acme/defaults anna", "globex/admin users", "globex/assets", "globex/client",
        "globex/client users", "globex/clients gus", "globex/context anna", "globex/context gus", "globex/data quality",
        "globex/engagement users", "globex/engagements", "globex/field mappings", "globex/flow", "globex/flows",
        "globex/import", "globex/imports", "globex/pending approvals", "globex/state", "globex/statistics",
        "platform/active users", "platform/admin clients", "platform/admin engagements", "platform/admin users",
        "platform/client globex", "platform/clients ada", "platform/full ada", "platform/roles anna",
        "platform/session anna", "platform/session gus",
    ];
    reloaded ["acme/context anna"]
}

check! { on_engagement_created:
    |world, w| engagements::create(w, world.acme, &engagement_data("Network"), at(30));
    changed [
        "acme/admin clients carl", "acme/admin engagements", "acme/client", "acme/clients anna",
        "acme/clients carl", "acme/context anna", "acme/context carl", "acme/engagements", "acme/full carl",
        "platform/admin clients", "platform/admin engagements", "platform/client acme", "platform/clients ada",
        "platform/engagements acme", "platform/full ada", "acme/standing anna", "acme/standing carl",
    ];
    reloaded []
}

check! { on_engagement_updated:
    |world, w| engagements::update(w, Scope::All, world.acme_dc, &engagement_data("Data centre 2"), at(30));
    changed [
        "acme/active flows carl", "acme/admin engagements", "acme/context carl", "acme/engagement dc",
        "acme/engagements", "acme/flow servers", "acme/flows", "acme/flows dc", "acme/flows reviewed",
        "acme/full carl", "platform/admin engagements", "platform/engagement dc", "platform/engagements acme",
    ];
    reloaded ["acme/defaults carl", "platform/defaults carl"]
}

check! { on_engagement_deleted: |world, w| engagements::delete(w, Scope::All, world.acme_dc, true);
    changed [
        "acme/active flows carl", "acme/admin clients carl", "acme/admin engagements", "acme/admin users",
        "acme/assets", "acme/assets dc", "acme/assets import", "acme/client", "acme/client users",
        "acme/clients anna", "acme/clients carl", "acme/context anna", "acme/context carl", "acme/data quality",
        "acme/defaults carl",
        "acme/engagement dc", "acme/engagement users dc", "acme/engagements", "acme/field mappings",
        "acme/flow servers", "acme/flows", "acme/flows dc", "acme/flows reviewed", "acme/full carl", "acme/import",
        "acme/applied mappings", "acme/imports", "acme/imports dc", "acme/metadata servers", "acme/state servers",
        "acme/statistics", "platform/admin clients", "platform/admin engagements", "platform/admin users",
        "platform/client acme", "platform/client users acme", "platform/clients ada", "platform/defaults carl",
        "platform/engagement dc", "platform/engagement users dc", "platform/engagements acme", "platform/full ada",
        "acme/asset count dc", "acme/standing anna", "acme/standing carl",
    ];
    reloaded ["acme/active users", "acme/engagement users apps", "platform/active users"]
}

check! { on_flow_created:
    |world, w| flows::create(w, world.acme, &new_flow(world.acme_dc, world.anna, "Second"), at(30));
    changed [
        "acme/active flows anna", "acme/admin engagements", "acme/context anna", "acme/context carl",
        "acme/engagement dc", "acme/engagements", "acme/flows", "acme/flows dc", "acme/full carl",
        "platform/admin engagements", "platform/engagement dc", "platform/engagements acme",
    ];
    reloaded ["acme/flows reviewed"]
}

check! { on_flow_updated: |world, w| {
        let update = FlowUpdate { status: Some(FlowStatus::Completed), ..FlowUpdate::default() };
        async move { flows::update(w, world.acme, world.acme_flow, &update, at(30)).await }
    };
    changed [
        "acme/active flows carl", "acme/context carl", "acme/flow servers", "acme/flows", "acme/flows dc",
        "acme/flows reviewed", "acme/full carl", "acme/state servers",
    ];
    reloaded ["acme/metadata servers"]
}

check! { on_flow_deleted: |world, w| flows::delete(w, world.acme, world.acme_flow);
    changed [
        "acme/active flows carl", "acme/admin engagements", "acme/assets", "acme/assets dc", "acme/assets import",
        "acme/context carl", "acme/data quality", "acme/engagement dc", "acme/engagements", "acme/field mappings",
        "acme/flow servers",
        "acme/flows", "acme/flows dc", "acme/flows reviewed", "acme/full carl", "acme/import",
        "acme/applied mappings", "acme/imports", "acme/imports dc", "acme/metadata servers", "acme/state servers",
        "acme/statistics", "platform/admin engagements", "platform/engagement dc", "platform/engagements acme",
        "acme/asset count dc",
    ];
    reloaded []
}

check! { on_import_created: |world, w| {
        let new = imports::NewImport {
            engagement_id: world.acme_apps,
            flow_id: Some(world.apps_flow),
            file_name: "apps.csv".to_owned(),
            size_bytes: 1,
            created_by: world.anna,
        };
        async move { imports::create(w, world.acme, &new, at(30)).await }
    };
    changed [
        "acme/active flows anna", "acme/context anna", "acme/flow apps", "acme/flows", "acme/flows apps",
        "acme/imports", "acme/imports apps", "acme/state apps",
    ];
    reloaded ["acme/flows reviewed", "acme/metadata apps"]
}

check! { on_import_finished:
    |world, w| import_file(w, world.acme, world.acme_apps, Some(world.apps_flow), world.anna, 4);
    changed [
        "acme/active flows anna", "acme/assets", "acme/assets apps", "acme/context anna", "acme/flow apps",
        "acme/flows", "acme/flows apps", "acme/flows reviewed", "acme/imports", "acme/imports apps",
        "acme/state apps",
    ];
    reloaded ["acme/metadata apps"]
}

check! { on_field_mapping_bulk_operation: |world, w| async {
        let ids = [world.mapping(world.acme, world.acme_import, "Machine").await];
        mappings::approve(w, world.acme, world.acme_import, &ids, world.carl, at(30)).await
    };
    changed [
        "acme/assets", "acme/assets dc", "acme/assets import", "acme/data quality", "acme/field mappings",
        "acme/applied mappings",
        "acme/state servers", "acme/statistics",
    ];
    reloaded []
}

check! { on_values_corrected: |world, w| async {
        let corrections = [NewCorrection { position: 0, value: "Srv-2".to_owned(), replacement: "x".to_owned() }];
        corrections::correct(w, world.acme, world.acme_import, &corrections, world.carl, at(30)).await
    };
    changed ["acme/assets", "acme/assets dc", "acme/assets import", "acme/data quality"];
    reloaded ["acme/asset count dc"]
}

check! { on_field_mapping_updated: |world, w| async {
    let id = world.mapping(world.acme, world.acme_import, "Owner").await;
    mappings::retarget(w, world.acme, world.acme_import, id, Some("owner"), "carl", at(30)).await
};
    changed ["acme/field mappings", "acme/statistics"];
    reloaded [
        "acme/assets", "acme/assets dc", "acme/assets import", "acme/data quality", "acme/applied mappings",
        "acme/state servers",
    ]
}

check! { on_session_revoked: |world, w| sessions::revoke(w, world.carl_session, at(30));
    changed ["platform/session carl"];
    reloaded []
}

check! { on_sessions_revoked: |world, w| sessions::revoke_all(w, world.carl, at(30));
    changed ["platform/session carl"];
    reloaded []
}

#[tokio::test]
async fn on_import_progressed() {
    let database = Database::sqlite();
    let world = World::build(database.migrated().await).await;
    let create = async |w: &mut Write| {
        let new = imports::NewImport {
            engagement_id: world.acme_dc,
            flow_id: Some(world.acme_flow),
            file_name: "more.csv".to_owned(),
            size_bytes: 1,
            created_by: world.carl,
        };
        imports::create(w, world.acme, &new, at(29)).await
    };
    let import = world.write(create).await.id;
    let progress = async |w: &mut Write| imports::progress(w, world.acme, import, ImportStatus::Reading, 500).await;
    let effect = effect_of(&world, progress).await;
    assert_eq!(
        effect,
        Effect { changed: vec!["acme/imports", "acme/imports dc", "acme/state servers"], reloaded: vec![] }
    );
}

#[tokio::test]
async fn what_moves_with_every_request_is_only_bounded_by_its_time_to_live() {
    let database = Database::sqlite();
    let world = World::build(database.migrated().await).await;
    let views = Views::new(world.store.clone(), world.cache.clone());
    let last_seen = async || {
        let users = views.admin_active_users(Scope::Client(world.acme), &ReadOptions::default()).await.unwrap();
        users.value().unwrap().items.iter().find(|user| user.id == world.carl).unwrap().last_seen_at
    };
    let before = last_seen().await;
    assert!(!world.write(async |w| users::seen(w, world.carl, at(79)).await).await, "within a minute of the last time");
    assert!(world.write(async |w| users::seen(w, world.carl, at(80)).await).await);
    assert_eq!(last_seen().await, before);
    assert_eq!(platform::coherence::policies::SEEN.ttl.as_secs(), 60);
}

/// Its mappings and assets were read, empty, while it was queued.
#[tokio::test]
async fn on_import_finished_after_it_was_looked_at() {
    let database = Database::sqlite();
    let world = World::build(database.migrated().await).await;
    let new = imports::NewImport {
        engagement_id: world.acme_dc,
        flow_id: None,
        file_name: "more.csv".to_owned(),
        size_bytes: 1,
        created_by: world.carl,
    };
    let import = world.write(async |w| imports::create(w, world.acme, &new, at(29)).await).await.id;
    let views = Views::new(world.store.clone(), world.cache.clone());
    let (options, acme) = (ReadOptions::default(), world.acme);
    let query = AssetQuery { engagement: None, import: Some(import), search: None, page: 1, page_size: 100 };
    let counts = async || {
        let assets = views.asset_page(acme, query.clone(), VOCABULARY, &options).await.unwrap();
        let mappings = views.field_mappings(acme, import, &options).await.unwrap();
        let statistics = views.mapping_statistics(acme, import, &options).await.unwrap();
        [assets.value().unwrap().total, mappings.value().unwrap().items.len() as u64, statistics.value().unwrap().total]
    };
    assert_eq!(counts().await, [0, 0, 0]);
    world.write(async |w| fill_import(w, acme, import, 4).await).await;
    assert_eq!(counts().await, [4, 3, 3]);
}

/// A client's administrators see who asks for their client, and hear of nobody else.
#[tokio::test]
async fn on_user_registered_for_a_client() {
    let database = Database::sqlite();
    let world = World::build(database.migrated().await).await;
    let request = users::AccessRequest { requested_client: Some(" globex ".to_owned()), reason: None };
    let effect = effect_of(&world, async |w| users::register(w, &new_user("rita"), &request, at(30)).await).await;
    let changed = vec!["globex/pending approvals", "platform/admin users", "platform/pending approvals"];
    assert_eq!(effect, Effect { changed, reloaded: vec!["platform/active users"] });
}
