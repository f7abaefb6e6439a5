//! Assets: what is shown of rows, found, and turned over.

use platform::store::repositories::{
    assets::{self, AssetQuery},
    imports::{self, NewImport},
    mappings,
};

use super::VOCABULARY;

use crate::support::{
    database::Database,
    on_both_databases,
    world::{World, at, import_file},
};

on_both_databases!(
    assets_show_what_was_approved,
    assets_are_found_by_any_part_of_a_value,
    a_page_of_assets_takes_no_statement_that_it_can_do_without,
    pages_of_assets_cover_everything_once,
);

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
        let import = imports::create(w, acme, &new, at(30)).await?.id;
        let it = imports::unfinished(w, acme, import).await?;
        imports::insert_rows(w, it, &odd).await?;
        imports::finish(w, it, 5, at(31)).await?;
        Ok(import)
    };
    let import = world.write(import).await;
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
        // The rows with how many there are, what their columns mean.
        (AssetQuery { engagement, ..any.clone() }, 2),
        (AssetQuery { import, page: 2, ..any.clone() }, 2),
        // Beyond the last page no row says how many there are.
        (AssetQuery { engagement, page: 9, ..any.clone() }, 2),
        // A search is made once, and counted apart if one page does not hold all that it finds.
        (AssetQuery { engagement, search: Some("srv".to_owned()), ..any.clone() }, 3),
        (AssetQuery { engagement, search: Some("srv".to_owned()), page_size: 10, ..any.clone() }, 2),
        // The last page says how many there are.
        (AssetQuery { engagement, page: 3, ..any.clone() }, 2),
        (AssetQuery { import, page_size: 10, ..any.clone() }, 2),
        (AssetQuery { page_size: 10, ..any.clone() }, 2),
        // How many there are.
        (AssetQuery { engagement, page_size: 0, ..any.clone() }, 1),
        (AssetQuery { page_size: 0, ..any.clone() }, 1),
        // Of none it is asked whether there is what they would belong to.
        (AssetQuery { engagement, search: Some("nowhere".to_owned()), ..any.clone() }, 2),
        (AssetQuery { engagement: Some(world.acme_apps), ..any }, 2),
    ];
    for (query, statements) in cases {
        let before = world.store.queries().statements();
        let page = assets::page(world.store.read(), acme, &query, VOCABULARY).await.unwrap();
        assert_eq!(world.store.queries().statements() - before, statements, "{query:?}");
        let is_none = query.search.as_deref() == Some("nowhere") || query.engagement == Some(world.acme_apps);
        assert_eq!(page.total, if is_none { 0 } else { 5 }, "{query:?}");
    }
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
