//! What pages of assets have in common is kept by itself: counted in statements.

use platform::{
    coherence::{CacheUse, Views},
    store::repositories::{assets::AssetQuery, mappings},
};
use unstale::ReadOptions;

use crate::{
    repositories::VOCABULARY,
    support::{
        database::Database,
        world::{World, at, import_file},
    },
};

/// How many there are and what their columns mean is read once for all pages, and anew when just that has changed.
#[tokio::test]
async fn pages_of_assets_share_what_they_have_in_common() {
    let database = Database::sqlite();
    let world = World::build(database.migrated().await).await;
    let views = Views::new(world.store.clone(), world.cache.clone());
    let (acme, options) = (world.acme, ReadOptions::default());
    let of = |page, search: &str| AssetQuery {
        engagement: Some(world.acme_dc),
        import: None,
        search: Some(search.to_owned()).filter(|search| !search.is_empty()),
        page,
        page_size: 2,
    };
    let read = async |query: AssetQuery| {
        let before = world.store.queries().statements();
        let page = views.asset_page(acme, query, VOCABULARY, &options).await.unwrap().into_value().unwrap();
        (world.store.queries().statements() - before, (*page).clone())
    };
    let statements = async |query: AssetQuery| read(query).await.0;
    assert_eq!(statements(of(1, "")).await, 2, "the rows with how many there are, what their columns mean");
    assert_eq!(statements(of(1, "")).await, 0);
    assert_eq!(statements(of(2, "")).await, 1, "the rows");
    assert_eq!(statements(of(1, "srv-3")).await, 1, "the rows, which are all there are");

    let mapping = world.mapping(acme, world.acme_import, "Machine").await;
    world.write(async |w| mappings::approve(w, acme, world.acme_import, &[mapping], world.carl, at(30)).await).await;
    let (taken, page) = read(of(1, "")).await;
    assert_eq!((taken, page.total, page.columns.len()), (2, 5, 1), "the rows, what their columns mean");
    let (taken, page) = read(of(2, "")).await;
    assert_eq!((taken, page.columns.len()), (1, 1), "the rows");

    world.write(async |w| import_file(w, acme, world.acme_dc, None, world.carl, 3).await).await;
    let (taken, page) = read(of(1, "")).await;
    assert_eq!((taken, page.total), (1, 8), "the rows with how many there are");
    assert_eq!(statements(of(4, "")).await, 2, "the rows, what the columns of the other import mean");
    let counted = AssetQuery { page_size: 0, ..of(1, "") };
    assert_eq!(statements(counted.clone()).await, 0, "it is the same for those who only count");
    world.write(async |w| import_file(w, acme, world.acme_dc, None, world.carl, 1).await).await;
    let (taken, page) = read(counted).await;
    assert_eq!((taken, page.total, page.items.len()), (1, 9, 0));
    let (taken, page) = read(of(1, "")).await;
    assert_eq!((taken, page.total), (1, 9), "the rows");

    let off = CacheUse { is_on: false, uses_store: false };
    for _ in 0..2 {
        assert_eq!(off.within(statements(of(1, ""))).await, 2, "nothing is kept, none of its parts either");
    }
    let all = page;
    assert_eq!(off.within(read(of(1, ""))).await.1, all);
}

/// Who has the mappings of an import under review has what pages of its assets apply of them.
#[tokio::test]
async fn what_is_under_review_is_not_read_again_for_pages_of_assets() {
    let database = Database::sqlite();
    let world = World::build(database.migrated().await).await;
    let views = Views::new(world.store.clone(), world.cache.clone());
    let (acme, import, options) = (world.acme, world.acme_import, ReadOptions::default());
    let query = AssetQuery { engagement: None, import: Some(import), search: None, page: 1, page_size: 10 };
    let page = async || {
        let before = world.store.queries().statements();
        let page = views.asset_page(acme, query.clone(), VOCABULARY, &options).await.unwrap().into_value().unwrap();
        (world.store.queries().statements() - before, (*page).clone())
    };
    let approve = async |column| {
        let mapping = world.mapping(acme, import, column).await;
        world.write(async |w| mappings::approve(w, acme, import, &[mapping], world.carl, at(30)).await).await;
    };
    approve("Machine").await;
    views.field_mappings(acme, import, &options).await.unwrap();
    let (taken, shown) = page().await;
    assert_eq!((taken, shown.columns.len()), (1, 1), "the rows");
    let off = CacheUse { is_on: false, uses_store: false };
    assert_eq!(off.within(page()).await, (2, shown), "it is what the database says");
    approve("IP").await;
    let (taken, shown) = page().await;
    assert_eq!((taken, shown.columns.len()), (2, 2), "the rows, what their columns mean: nobody reviews them now");
    assert_eq!(off.within(page()).await.1, shown);
}
