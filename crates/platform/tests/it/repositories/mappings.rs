//! Mappings under review.

use platform::{
    store::{
        Conflict,
        repositories::{
            imports::{self, NewImport},
            mappings,
        },
    },
    views::MappingStatus,
};
use uuid::Uuid;

use super::{conflict, is_not_found};

use crate::support::{
    database::Database,
    on_both_databases,
    world::{World, at},
};

on_both_databases!(
    mappings_are_reviewed_all_or_none,
    statistics_are_aggregated_from_the_mappings,
    a_mapping_with_another_target_is_reviewed_again,
    columns_without_a_target_are_kept_as_they_are,
    two_reviewers_cannot_fill_one_target_from_two_columns,
    two_reviewers_at_one_moment_cannot_either,
    mappings_and_their_import_are_read_with_one_statement,
);

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
    let empty = empty_import(&world).await;
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

async fn columns_without_a_target_are_kept_as_they_are(database: Database) {
    let world = World::build(database.migrated().await).await;
    let (acme, import) = (world.acme, world.acme_import);
    let machine = world.mapping(acme, import, "Machine").await;
    let owner = world.mapping(acme, import, "Owner").await;
    world.write(async |w| mappings::reject(w, acme, import, &[owner], world.anna, at(29)).await).await;
    let keep = async |ids: &[Uuid], now| {
        world.write(async |w| mappings::keep(w, acme, import, ids, "custom:", "carl", at(now)).await).await
    };
    let kept = keep(&[machine, owner], 30).await;
    assert_eq!((kept.updated, kept.statistics.unmapped, kept.statistics.suggested), (1, 0, 3));
    let list = mappings::list(world.store.read(), acme, import).await.unwrap();
    let target_of = |id| list.items.iter().find(|one| one.id == id).unwrap();
    assert_eq!(target_of(machine).target_attribute.as_deref(), Some("hostname"));
    let own = target_of(owner);
    assert_eq!((own.target_attribute.as_deref(), own.reason.as_str()), (Some("custom:Owner"), "kept as it is by carl"));
    assert_eq!((own.reviewed_by, own.updated_at), (None, at(30)));
    assert_eq!(keep(&[machine, owner], 31).await.updated, 0);
    let all: Vec<Uuid> = list.items.iter().map(|one| one.id).collect();
    let done = world.write(async |w| mappings::approve(w, acme, import, &all, world.carl, at(32)).await).await;
    assert_eq!((done.updated, done.statistics.approved), (3, 3));
    let unknown = async |w: &mut _| mappings::keep(w, acme, import, &[Uuid::nil()], "custom:", "carl", at(33)).await;
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

async fn mappings_and_their_import_are_read_with_one_statement(database: Database) {
    let world = World::build(database.migrated().await).await;
    let (db, acme, import) = (world.store.read(), world.acme, world.acme_import);
    let machine = world.mapping(acme, import, "Machine").await;
    let before = world.store.queries().statements();
    mappings::list(db, acme, import).await.unwrap();
    assert_eq!(world.store.queries().statements() - before, 1);
    mappings::approved(db, acme, import).await.unwrap();
    assert_eq!(world.store.queries().statements() - before, 2);
    let review = async |w: &mut _| {
        let before = world.store.queries().statements();
        mappings::approve(w, acme, import, &[machine], world.carl, at(30)).await?;
        Ok(world.store.queries().statements() - before)
    };
    assert_eq!(world.write(review).await, 3, "what there is, the change, how far the review has come");
    // Of an import without mappings, and of another client's.
    let empty = empty_import(&world).await;
    let list = mappings::list(db, acme, empty).await.unwrap();
    assert_eq!((list.file_name.as_str(), list.items.len()), ("empty.csv", 0));
    is_not_found(&mappings::list(db, acme, world.globex_import).await.unwrap_err(), "import");
    is_not_found(&mappings::approved(db, world.globex, import).await.unwrap_err(), "import");
}

/// An import without columns.
async fn empty_import(world: &World) -> Uuid {
    let new = NewImport {
        engagement_id: world.acme_apps,
        flow_id: None,
        file_name: "empty.csv".to_owned(),
        size_bytes: 0,
        created_by: world.anna,
    };
    world.write(async |w| imports::create(w, world.acme, &new, at(31)).await).await.id
}
