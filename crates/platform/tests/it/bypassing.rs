//! Changes that the code does not declare: of each kind one that it forgets, and what somebody types. Whatever is cached
//! is right afterwards, and what was forgotten is told.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::BoxFuture;
use platform::{
    coherence::{Change, Views, Write, platform_tenant, tags},
    store::{
        StoreError,
        repositories::{
            Scope, clients,
            corrections::{self, NewCorrection},
            engagements,
            flows::{self, FlowUpdate},
            imports, mappings, memberships, sessions, users,
        },
    },
    views::{FlowStatus, ImportStatus, Role},
};
use sea_orm::ConnectionTrait as _;
use unstale::{Cache, MemoryStore, Tag, Verdict};
use uuid::Uuid;

use crate::{
    coherence::reads,
    support::{
        database::Database,
        on_both_databases,
        world::{World, at, client_data, engagement_data, import_file, new_flow, new_user},
    },
};

on_both_databases!(
    every_omission_is_found_and_nothing_is_stale,
    an_omission_beside_declared_changes_is_found,
    what_is_typed_invalidates_what_shows_it,
    many_assets_are_few_rows,
    a_session_that_goes_on_for_longer_stands_and_one_that_is_ended_does_not,
);

type Operation = for<'a> fn(&'a World, &'a mut Write) -> BoxFuture<'a, Result<(), StoreError>>;

macro_rules! operations {
    ($($name:literal => |$world:ident, $w:ident| $made:expr;)*) => {
        [$(($name, (|$world, $w| Box::pin(async move { $made.await.map(drop) })) as Operation)),*]
    };
}

/// One for each kind of change that the platform makes, and for each way in which it may be made.
fn operations() -> Vec<(&'static str, Operation)> {
    operations! {
        "user registered" => |world, w| {
            let request = users::AccessRequest { requested_client: Some("Äcme".to_owned()), reason: None };
            async move { let _ = world; users::register(w, &new_user("rita"), &request, at(30)).await }
        };
        "user updated" => |world, w| users::set_platform_admin(w, world.carl, true, at(30));
        "user approved" => |world, w| users::approve(w, world.paul, world.acme.0, Role::Analyst, at(30));
        "user rejected" => |world, w| users::reject(w, world.paul, at(30));
        "role changed" => |world, w| memberships::set_role(w, world.anna, world.acme.0, Role::ClientAdmin);
        "access granted" => |world, w| memberships::grant(w, world.gus, world.acme.0, Role::Analyst, at(30));
        "access revoked" => |world, w| memberships::revoke(w, world.anna, world.globex.0, at(30));
        "defaults" => |world, w|
            users::set_defaults(w, world.carl, Some(world.acme.0), Some(world.acme_apps), at(30));
        "client created" => |world, w| async move { let _ = world; clients::create(w, &client_data("New"), at(30)).await };
        "client updated" => |world, w| clients::update(w, world.acme.0, &client_data("Acme Works"), at(30));
        "client deleted" => |world, w| clients::delete(w, world.globex.0, true);
        "engagement created" => |world, w| engagements::create(w, world.acme, &engagement_data("Net"), at(30));
        "engagement updated" => |world, w|
            engagements::update(w, Scope::All, world.acme_dc, &engagement_data("Data centre 2"), at(30));
        "engagement deleted" => |world, w| engagements::delete(w, Scope::All, world.acme_dc, true);
        "flow created" => |world, w| flows::create(w, world.acme, &new_flow(world.acme_dc, world.anna, "New"), at(30));
        "flow updated" => |world, w| {
            let update = FlowUpdate { status: Some(FlowStatus::Completed), ..FlowUpdate::default() };
            async move { flows::update(w, world.acme, world.acme_flow, &update, at(30)).await }
        };
        "flow deleted" => |world, w| flows::delete(w, world.acme, world.acme_flow);
        "import created" => |world, w| {
            let new = imports::NewImport {
                engagement_id: world.acme_apps,
                flow_id: Some(world.apps_flow),
                file_name: "apps.csv".to_owned(),
                size_bytes: 1,
                created_by: world.anna,
            };
            async move {
                let import = imports::create(w, world.acme, &new, at(30)).await?.id;
                imports::progress(w, world.acme, import, ImportStatus::Reading, 5).await
            }
        };
        "import finished" => |world, w|
            import_file(w, world.acme, world.acme_apps, Some(world.apps_flow), world.anna, 4);
        "mappings reviewed" => |world, w| async move {
            let ids = [world.mapping(world.acme, world.acme_import, "Machine").await];
            mappings::approve(w, world.acme, world.acme_import, &ids, world.carl, at(30)).await
        };
        "mapping changed" => |world, w| async move {
            let id = world.mapping(world.acme, world.acme_import, "Owner").await;
            mappings::retarget(w, world.acme, world.acme_import, id, Some("owner"), "carl", at(30)).await
        };
        "values corrected" => |world, w| async move {
            let corrections = [NewCorrection { position: 0, value: "Srv-2".to_owned(), replacement: "x".to_owned() }];
            corrections::correct(w, world.acme, world.acme_import, &corrections, world.carl, at(30)).await
        };
        "session created" => |world, w| sessions::create(w, world.carl, at(30), at(90));
        "session extended" => |world, w| sessions::extend(w, world.carl_session, at(30), at(99_000));
        "session revoked" => |world, w| sessions::revoke(w, world.carl_session, at(30));
        "sessions revoked" => |world, w| sessions::revoke_all(w, world.carl, at(30));
    }
    .into()
}

/// The world, in which whoever is turned away had a session: else nothing is forgotten with it.
async fn build(database: &Database) -> World {
    let world = World::build(database.migrated().await).await;
    world.write(async |w| sessions::create(w, world.paul, at(20), at(99_000)).await).await;
    world
}

/// Where a change is made; none if nothing cached shows it.
fn tables_of(change: &Change) -> &'static [&'static str] {
    match change {
        Change::UserRegistered { .. } | Change::UserUpdated { .. } => &["users"],
        Change::UserClientAccessChanged { .. } => &["memberships"],
        Change::UserDefaultsUpdated { .. } => &["user_defaults"],
        Change::PendingApprovalsChanged { .. } => &["access_requests"],
        Change::ClientModified { .. } => &["client_accounts"],
        Change::EngagementModified { .. } => &["engagements"],
        Change::FlowUpdated { .. } => &["discovery_flows"],
        Change::ImportProgressed { .. } | Change::ImportDeleted { .. } => &["imports"],
        Change::ImportFinished { .. } => &["imports", "field_mappings", "assets"],
        Change::FieldMappingBulkOperation { .. } => &["field_mappings"],
        Change::ValuesCorrected { .. } => &["assets", "value_corrections"],
        Change::SessionChanged { .. } | Change::SessionRevoked { .. } | Change::SessionsRevoked { .. } => &["sessions"],
        Change::UserSeen { .. } | Change::SessionsOverDeleted | Change::FlagUpdated { .. } => &[],
    }
}

fn omitted_in(world: &World) -> BTreeSet<String> {
    world.store.outbox().omissions().into_iter().map(|seen| seen.omission.table).collect()
}

fn assert_found(world: &World, name: &str, change: &Change) {
    let (found, tables) = (omitted_in(world), tables_of(change));
    assert!(tables.iter().any(|table| found.contains(*table)), "{name}: {change:?} was forgotten, found: {found:?}");
}

/// What was cached before, by the name of the view.
struct Before(BTreeMap<&'static str, String>);

impl Before {
    /// Reads every view into the cache; those of what is not there are not kept.
    async fn read(world: &World) -> Self {
        let views = Views::new(world.store.clone(), world.cache.clone());
        let mut before = BTreeMap::new();
        for (name, read) in reads(world) {
            read(views.clone()).await;
            let again = read(views.clone()).await;
            if again.verdict == Verdict::Hit {
                before.insert(name, again.text);
            }
        }
        assert!(before.len() > 40, "most are there");
        Self(before)
    }

    /// Panics if anything cached is out of date. Returns what has changed.
    async fn check(self, world: &World, what: &str) -> Vec<&'static str> {
        let views = Views::new(world.store.clone(), world.cache.clone());
        let nothing_kept = Cache::builder(std::sync::Arc::new(MemoryStore::default())).build().await.unwrap();
        let truth = Views::new(world.store.clone(), nothing_kept);
        let mut changed = Vec::new();
        for (name, read) in reads(world) {
            let Some(before) = self.0.get(name) else { continue };
            let (now, right) = (read(views.clone()).await, read(truth.clone()).await);
            assert_eq!(now.text, right.text, "after {what}, {name} is out of date ({})", now.verdict);
            if now.text != *before {
                changed.push(name);
            }
        }
        changed
    }
}

async fn every_omission_is_found_and_nothing_is_stale(database: Database) {
    for (name, operation) in operations() {
        let database = database.another().await;
        let world = build(&database).await;
        let before = Before::read(&world).await;
        let mut w = world.store.begin().await.unwrap();
        operation(&world, &mut w).await.unwrap();
        let mut forgotten = Vec::new();
        while !w.changes().is_empty() {
            forgotten.push(w.forget(0));
        }
        w.commit(&world.cache).await.unwrap();
        forgotten.iter().filter(|change| !tables_of(change).is_empty()).for_each(|one| assert_found(&world, name, one));
        before.check(&world, name).await;
    }
}

async fn an_omission_beside_declared_changes_is_found(database: Database) {
    for (name, operation) in operations() {
        // Once to see which changes it makes, then once for each of them.
        let mut at = 0;
        loop {
            let database = database.another().await;
            let world = build(&database).await;
            let mut w = world.store.begin().await.unwrap();
            operation(&world, &mut w).await.unwrap();
            if w.changes().len() < 2 {
                break;
            }
            let change = w.forget(at);
            let declared: Vec<_> = w.changes().iter().flat_map(Change::tags).collect();
            let is_declared_otherwise = change.tags().iter().all(|tag| declared.contains(tag));
            let (last, is_silent) = (at == w.changes().len(), tables_of(&change).is_empty());
            w.commit(&world.cache).await.unwrap();
            if !is_declared_otherwise && !is_silent {
                assert_found(&world, name, &change);
            }
            at += 1;
            if last {
                break;
            }
        }
    }
}

/// An id as somebody types it.
fn typed(world: &World, id: Uuid) -> String {
    if world.store.outbox().is_postgres() { format!("'{id}'") } else { format!("X'{}'", id.simple()) }
}

async fn what_is_typed_invalidates_what_shows_it(database: Database) {
    let world = World::build(database.migrated().await).await;
    let id = |id: Uuid| typed(&world, id);
    let (carl, anna, gus, paul) = (id(world.carl), id(world.anna), id(world.gus), id(world.paul));
    let (acme, globex, dc, apps) = (id(world.acme.0), id(world.globex.0), id(world.acme_dc), id(world.acme_apps));
    let (flow, import, globex_flow) = (id(world.acme_flow), id(world.acme_import), id(world.globex_flow));
    let (session, other_session) = (id(world.carl_session), id(world.anna_session));
    let statements = [
        format!("UPDATE users SET name = 'Karl' WHERE id = {carl}"),
        format!("UPDATE users SET status = 'disabled' WHERE id = {gus}"),
        format!("UPDATE client_accounts SET name = 'ACME' WHERE id = {acme}"),
        format!("UPDATE memberships SET role = 'client_admin' WHERE user_id = {anna} AND client_account_id = {acme}"),
        format!("DELETE FROM memberships WHERE user_id = {gus} AND client_account_id = {globex}"),
        format!("UPDATE engagements SET name = 'Basement' WHERE id = {dc}"),
        format!("UPDATE user_defaults SET engagement_id = {apps} WHERE user_id = {carl}"),
        format!("DELETE FROM user_defaults WHERE user_id = {carl}"),
        format!("UPDATE discovery_flows SET status = 'cancelled' WHERE id = {flow}"),
        format!("UPDATE discovery_flows SET owner_id = {anna} WHERE id = {flow}"),
        format!("UPDATE discovery_flows SET engagement_id = {apps} WHERE id = {flow}"),
        "UPDATE imports SET rows_done = 1".to_owned(),
        format!("UPDATE imports SET file_name = 'typed.csv' WHERE id = {import}"),
        "UPDATE field_mappings SET status = 'rejected' WHERE source_column = 'Machine'".to_owned(),
        format!("DELETE FROM field_mappings WHERE import_id = {import} AND source_column = 'IP'"),
        format!("DELETE FROM assets WHERE import_id = {import} AND row_number = 3"),
        "UPDATE assets SET import_id = import_id, search_text = 'x', raw = '[\"a\",\"b\",\"c\"]' WHERE row_number = 2"
            .to_owned(),
        format!(
            "INSERT INTO value_corrections (id, client_account_id, engagement_id, import_id, position, original, \
             replacement, corrected_at) \
             VALUES ({carl}, {acme}, {dc}, {import}, 2, 'Owner 4', 'typed', '2026-11-21 00:00:00+00:00')"
        ),
        "UPDATE value_corrections SET replacement = 'typed again'".to_owned(),
        "DELETE FROM value_corrections".to_owned(),
        format!("UPDATE access_requests SET requested_client = ' GLOBEX' WHERE user_id = {paul}"),
        format!("DELETE FROM access_requests WHERE user_id = {paul}"),
        format!("UPDATE sessions SET revoked_at = created_at WHERE id = {session}"),
        format!("DELETE FROM sessions WHERE id = {other_session}"),
        format!("DELETE FROM discovery_flows WHERE id = {globex_flow}"),
        format!("DELETE FROM engagements WHERE client_account_id = {globex}"),
        format!("DELETE FROM client_accounts WHERE id = {globex}"),
    ];
    let relay = world.store.outbox().relay(world.cache.clone());
    relay.drain().await.unwrap();
    for sql in statements {
        let before = Before::read(&world).await;
        let session = sea_orm::Database::connect(database.url()).await.unwrap();
        if world.store.outbox().is_postgres() {
            session.execute_unprepared(&format!("SET search_path = migration; {sql}")).await.unwrap();
        } else {
            session.execute_unprepared(&sql).await.unwrap();
        }
        session.close().await.unwrap();
        assert!(relay.drain().await.unwrap() > 0, "{sql}: nothing was told");
        let changed = before.check(&world, &sql).await;
        assert!(!changed.is_empty(), "{sql}: nothing shows it, so nothing is shown by it");
    }
    assert_eq!(world.store.outbox().omissions_total(), 0, "nobody forgot anything");
}

async fn many_assets_are_few_rows(database: Database) {
    let world = World::build(database.migrated().await).await;
    let session = sea_orm::Database::connect(database.url()).await.unwrap();
    world.store.outbox().flush().await;
    let schema = if world.store.outbox().is_postgres() { "migration." } else { "" };
    session.execute_unprepared(&format!("UPDATE {schema}assets SET search_text = 'x'")).await.unwrap();
    let pending = world.store.outbox().status().await.unwrap().pending;
    // Of two clients: the assets of an import, those of its engagement, and all.
    assert_eq!(pending, 6);
}

async fn a_session_that_goes_on_for_longer_stands_and_one_that_is_ended_does_not(database: Database) {
    let world = World::build(database.migrated().await).await;
    let relay = world.store.outbox().relay(world.cache.clone());
    relay.drain().await.unwrap();
    let session = world.carl_session;
    let (row, standing) = ([tags::session(session)], [tags::session_standing(session)]);
    let have_moved = |since, facts: &[Tag]| world.cache.has_changed_anywhere(&platform_tenant(), facts, &since);

    let before = world.cache.frontiers();
    world.write(async |w| sessions::extend(w, session, at(30), at(99_000)).await).await;
    relay.drain().await.unwrap();
    assert!(have_moved(before.clone(), &row), "its end is shown");
    assert!(!have_moved(before, &standing), "nothing that stands on it has ended");

    let before = world.cache.frontiers();
    world.write(async |w| sessions::revoke(w, session, at(31)).await).await;
    assert!(have_moved(before, &standing), "it was revoked");

    let other = typed(&world, world.anna_session);
    let schema = if world.store.outbox().is_postgres() { "migration." } else { "" };
    let ended = format!("UPDATE {schema}sessions SET expires_at = created_at WHERE id = {other}");
    let before = world.cache.frontiers();
    let typing = sea_orm::Database::connect(database.url()).await.unwrap();
    typing.execute_unprepared(&ended).await.unwrap();
    relay.drain().await.unwrap();
    assert!(have_moved(before, &[tags::session_standing(world.anna_session)]), "somebody typed another end");
}
