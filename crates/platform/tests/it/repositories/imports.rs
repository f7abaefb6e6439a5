//! Imports, from queued to completed or failed.

use platform::{
    store::{
        Conflict,
        repositories::{
            assets::{self, AssetQuery},
            flows,
            imports::{self, NewImport},
        },
    },
    views::{FlowStatus, ImportError, ImportStatus},
};
use uuid::Uuid;

use super::{VOCABULARY, conflict, is_not_found};

use crate::support::{
    database::Database,
    on_both_databases,
    world::{World, at, import_file, rows},
};

on_both_databases!(
    an_import_goes_from_queued_to_completed,
    an_import_that_fails_says_why_and_leaves_no_rows,
    what_a_process_left_unfinished_is_failed,
    an_import_reads_only_what_it_decides_from,
    twenty_thousand_rows_are_imported_in_one_write,
);

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
    let late = world.refused(async |w| imports::unfinished(w, acme, import.id).await).await;
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
    let it = imports::unfinished(&w, acme, import).await.unwrap();
    imports::insert_rows(&mut w, it, &rows(2, 700)).await.unwrap();
    drop(w);
    let error = ImportError {
        code: "ragged_row".to_owned(),
        message: "row 702 has 2 fields".to_owned(),
        row: Some(702),
        column: None,
    };
    world.write(async |w| imports::fail(w, acme, import, &error, at(31)).await).await;
    let failed = imports::by_id(db, acme, import).await.unwrap();
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

/// Besides what it writes: whether its engagement is there; the import, and its flow.
async fn an_import_reads_only_what_it_decides_from(database: Database) {
    let world = World::build(database.migrated().await).await;
    let statements = world.store.queries().statements();
    let import = async |w: &mut _| {
        let import = import_file(w, world.acme, world.acme_apps, None, world.anna, 3).await?;
        Ok((import, world.store.queries().statements() - statements))
    };
    let (_, taken) = world.write(import).await;
    // A flow, an import, the flow's import; what is known of the file, its mappings, its rows; flow and import are through.
    assert_eq!(taken, 3 + 8);
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
