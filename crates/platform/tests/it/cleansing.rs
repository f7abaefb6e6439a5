//! Corrections of imported values, over both databases.

use platform::{
    coherence::Views,
    store::{
        Conflict, StoreError,
        repositories::{
            assets::{self, AssetQuery},
            corrections::{self, Corrected, NewCorrection},
            mappings,
        },
    },
    views::{AssetPage, DataQuality, IssueKind},
};
use unstale::ReadOptions;
use uuid::Uuid;

use crate::{
    repositories::VOCABULARY,
    support::{
        database::Database,
        on_both_databases,
        world::{World, at},
    },
};

on_both_databases!(
    a_correction_shows_wherever_the_value_stands_and_can_be_taken_back,
    corrected_assets_are_found_by_what_they_show,
    corrections_of_corrections_reach_back_to_the_file,
    a_cell_without_a_value_can_be_filled_and_a_value_emptied,
    what_is_not_shown_is_not_corrected,
    anothers_imports_and_corrections_are_none,
    two_people_correct_at_the_same_moment,
    corrections_go_with_their_import,
);

fn correction(position: u32, value: &str, replacement: &str) -> NewCorrection {
    NewCorrection { position, value: value.to_owned(), replacement: replacement.to_owned() }
}

async fn correct(world: &World, corrections: &[NewCorrection]) -> Result<Corrected, StoreError> {
    let mut write = world.store.begin().await?;
    let done = corrections::correct(&mut write, world.acme, world.acme_import, corrections, world.carl, at(50)).await;
    match done {
        Ok(done) => {
            write.commit(&world.cache).await.unwrap();
            Ok(done)
        }
        Err(error) => {
            write.roll_back().await?;
            Err(error)
        }
    }
}

async fn undo(world: &World, ids: &[Uuid]) -> Result<Corrected, StoreError> {
    let mut write = world.store.begin().await?;
    let done = corrections::undo(&mut write, world.acme, world.acme_import, ids).await?;
    write.commit(&world.cache).await.unwrap();
    Ok(done)
}

async fn found(world: &World, search: Option<&str>) -> AssetPage {
    let query = AssetQuery {
        engagement: None,
        import: Some(world.acme_import),
        search: search.map(str::to_owned),
        page: 1,
        page_size: 50,
    };
    assets::page(world.store.read(), world.acme, &query, VOCABULARY).await.unwrap()
}

/// The values of a column that has no approved mapping, in the order of the file.
async fn column(world: &World, name: &str) -> Vec<Option<String>> {
    found(world, None).await.items.into_iter().map(|asset| asset.unmapped.get(name).cloned()).collect()
}

async fn quality(world: &World) -> DataQuality {
    let views = Views::new(world.store.clone(), world.cache.clone());
    let read = views.data_quality(world.acme, world.acme_import, &ReadOptions::default()).await.unwrap();
    read.value().expect("the import is there").clone()
}

async fn a_correction_shows_wherever_the_value_stands_and_can_be_taken_back(database: Database) {
    let world = World::build(database.migrated().await).await;
    let before = column(&world, "Owner").await;
    let owner = before[0].clone().unwrap();
    let rows = before.iter().filter(|value| **value == before[0]).count() as u64;
    assert_eq!(quality(&world).await.corrections, []);
    let done = correct(&world, &[correction(2, &owner, "Finance")]).await.unwrap();
    assert_eq!((done.rows, done.corrections.len()), (rows, 1));
    let after = column(&world, "Owner").await;
    for (before, after) in before.iter().zip(&after) {
        let expected = if before.as_deref() == Some(&owner) { "Finance" } else { before.as_deref().unwrap() };
        assert_eq!(after.as_deref(), Some(expected));
    }
    let report = quality(&world).await;
    let [made] = &report.corrections[..] else { panic!("{report:?}") };
    assert_eq!((made.source_column.as_str(), made.rows, made.corrected_by), ("Owner", rows, Some(world.carl)));
    assert_eq!((&made.original, made.replacement.as_str(), &made.target_attribute), (&owner, "Finance", &None));
    assert_eq!(undo(&world, &done.corrections).await.unwrap().rows, rows);
    assert_eq!(column(&world, "Owner").await, before);
    assert_eq!(quality(&world).await.corrections, []);
    assert!(matches!(undo(&world, &done.corrections).await, Err(StoreError::NotFound { what: "correction" })));
}

async fn corrected_assets_are_found_by_what_they_show(database: Database) {
    let world = World::build(database.migrated().await).await;
    let machine = column(&world, "Machine").await[1].clone().unwrap();
    correct(&world, &[correction(0, &machine, "Mühle 100%")]).await.unwrap();
    assert_eq!(found(&world, Some("MÜHLE 100%")).await.total, 1);
    assert_eq!(found(&world, Some(&machine)).await.total, 0);
    let id = quality(&world).await.corrections[0].id;
    undo(&world, &[id]).await.unwrap();
    assert_eq!(found(&world, Some("mühle")).await.total, 0);
    assert_eq!(found(&world, Some(&machine)).await.total, 1);
}

async fn corrections_of_corrections_reach_back_to_the_file(database: Database) {
    let world = World::build(database.migrated().await).await;
    let machines: Vec<String> = column(&world, "Machine").await.into_iter().flatten().collect();
    let both = [correction(0, &machines[0], "one"), correction(0, &machines[1], "one")];
    let first = correct(&world, &both).await.unwrap();
    let second = correct(&world, &[correction(0, "one", "two")]).await.unwrap();
    assert_eq!(second.rows, 2);
    let sorted = |mut ids: Vec<Uuid>| {
        ids.sort_unstable();
        ids
    };
    assert_eq!(sorted(first.corrections), sorted(second.corrections), "there is none of `one`, which is in no file");
    let report = quality(&world).await;
    let made: Vec<_> = report.corrections.iter().map(|made| (&made.replacement[..], made.rows)).collect();
    assert_eq!(made, [("two", 1), ("two", 1)]);
    // Back to what the file says: the correction is one no more.
    let back = correct(&world, &[correction(0, "two", &machines[0])]).await.unwrap();
    assert_eq!((back.rows, back.corrections.len()), (2, 2));
    let shown = column(&world, "Machine").await;
    assert_eq!(shown[..2], [Some(machines[0].clone()), Some(machines[0].clone())]);
    let report = quality(&world).await;
    let [left] = &report.corrections[..] else { panic!("{report:?}") };
    assert_eq!((&left.original, &left.replacement), (&machines[1], &machines[0]));
}

async fn a_cell_without_a_value_can_be_filled_and_a_value_emptied(database: Database) {
    let world = World::build(database.migrated().await).await;
    let machine = column(&world, "Machine").await[0].clone().unwrap();
    correct(&world, &[correction(0, &machine, "")]).await.unwrap();
    assert_eq!(column(&world, "Machine").await[0], None);
    let done = correct(&world, &[correction(0, "", "found again")]).await.unwrap();
    assert_eq!(done.rows, 1);
    assert_eq!(column(&world, "Machine").await[0].as_deref(), Some("found again"));
}

async fn what_is_not_shown_is_not_corrected(database: Database) {
    let world = World::build(database.migrated().await).await;
    let before = found(&world, None).await;
    let owner = column(&world, "Owner").await[0].clone().unwrap();
    let both = [correction(2, &owner, "Finance"), correction(0, "in no file", "x")];
    let refused = correct(&world, &both).await.unwrap_err();
    let expected = Conflict::NothingToCorrect { value: "in no file".to_owned() };
    assert!(matches!(refused, StoreError::Conflict(conflict) if conflict == expected));
    // The value stands in another column, and in a part of a cell.
    assert!(correct(&world, &[correction(0, &owner, "x")]).await.is_err());
    let part = &owner[..owner.len() - 1];
    assert!(correct(&world, &[correction(2, part, "x")]).await.is_err());
    let beyond = correct(&world, &[correction(3, &owner, "x")]).await.unwrap_err();
    assert!(matches!(beyond, StoreError::NotFound { what: "column" }));
    assert_eq!(found(&world, None).await, before, "all or none");
    assert_eq!(quality(&world).await.corrections, []);
}

async fn anothers_imports_and_corrections_are_none(database: Database) {
    let world = World::build(database.migrated().await).await;
    let owner = column(&world, "Owner").await[0].clone().unwrap();
    let made = correct(&world, &[correction(2, &owner, "Finance")]).await.unwrap().corrections;
    let mut write = world.store.begin().await.unwrap();
    let theirs = [correction(2, "Finance", "x")];
    let asked = corrections::correct(&mut write, world.globex, world.acme_import, &theirs, world.gus, at(51)).await;
    assert!(matches!(asked, Err(StoreError::NotFound { what: "import" })));
    let asked = corrections::undo(&mut write, world.globex, world.acme_import, &made).await;
    assert!(matches!(asked, Err(StoreError::NotFound { what: "import" })));
    let asked = corrections::undo(&mut write, world.globex, world.globex_import, &made).await;
    assert!(matches!(asked, Err(StoreError::NotFound { what: "correction" })));
    write.roll_back().await.unwrap();
    assert_eq!(quality(&world).await.corrections.len(), 1);
}

async fn two_people_correct_at_the_same_moment(database: Database) {
    let world = World::build(database.migrated().await).await;
    let before = found(&world, None).await;
    let (machine, owner) = (&before.items[0].unmapped["Machine"], &before.items[0].unmapped["Owner"]);
    let (one, other) = ([correction(0, machine, "one")], [correction(2, owner, "other")]);
    let (first, second) = tokio::join!(correct(&world, &one), correct(&world, &other));
    first.unwrap();
    second.unwrap();
    let shown = found(&world, None).await.items[0].unmapped.clone();
    assert_eq!((shown["Machine"].as_str(), shown["Owner"].as_str()), ("one", "other"));
}

async fn corrections_go_with_their_import(database: Database) {
    let world = World::build(database.migrated().await).await;
    let owner = column(&world, "Owner").await[0].clone().unwrap();
    correct(&world, &[correction(2, &owner, "Finance")]).await.unwrap();
    let flow = world.acme_flow;
    world.write(async |w| platform::store::repositories::flows::delete(w, world.acme, flow).await).await;
    let views = Views::new(world.store.clone(), world.cache.clone());
    let gone = views.data_quality(world.acme, world.acme_import, &ReadOptions::default()).await;
    assert!(gone.is_err());
}

#[tokio::test]
async fn the_report_is_of_what_is_approved_and_of_what_is_shown() {
    let database = Database::sqlite();
    let world = World::build(database.migrated().await).await;
    assert_eq!(quality(&world).await.attributes, []);
    let mapping = world.mapping(world.acme, world.acme_import, "IP").await;
    let (client, import, reviewer) = (world.acme, world.acme_import, world.carl);
    world.write(async |w| mappings::approve(w, client, import, &[mapping], reviewer, at(30)).await).await;
    let report = quality(&world).await;
    let [addresses] = &report.attributes[..] else { panic!("{report:?}") };
    assert_eq!(
        (addresses.target_attribute.as_str(), addresses.filled, &addresses.issues[..]),
        ("ip_address", 5, &[][..])
    );
    assert_eq!((report.rows, report.rows_inspected, report.values, report.doubtful), (5, 5, 5, 0));
    let address = found(&world, None).await.items[0].attributes["ip_address"].clone();
    correct(&world, &[correction(1, &address, "nowhere")]).await.unwrap();
    let report = quality(&world).await;
    let [issue] = &report.attributes[0].issues[..] else { panic!("{report:?}") };
    assert_eq!((issue.kind, issue.value.as_str(), issue.rows), (IssueKind::WrongType, "nowhere", 1));
    assert_eq!(report.corrections[0].target_attribute.as_deref(), Some("ip_address"));
}
