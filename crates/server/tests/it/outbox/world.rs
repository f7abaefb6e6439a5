//! A small application: items in shelves, and people who look after them.

use std::sync::Arc;

use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, DbBackend};
use unstale::{
    Bytes, Cache, Event, Invalidation, MemoryStore, Observer, Tag, TagId, Tenant,
    testing::{DistantStore, Faults},
};
use unstale_server::{
    outbox::{
        Announcement, Outbox, OutboxSettings, Relay,
        triggers::{self, TableTriggers, TagColumns, named, text, uuid},
    },
    telemetry::OutboxMetrics,
    testing::database::TestDatabase,
};

pub(super) fn acme() -> Tenant {
    Tenant::new("acme").unwrap()
}

pub(super) fn tag(written: &str) -> Tag {
    let (home, rest) = written.split_once('/').unwrap();
    let (kind, id) = rest.split_once('/').unwrap();
    let kind: &'static str = kind.to_owned().leak();
    if home == "*" { Tag::shared(kind, id) } else { Tag::of(&Tenant::new(home).unwrap(), kind, id) }
}

/// What the table of items tells.
pub(super) fn declared() -> Vec<TableTriggers> {
    let item = TagColumns::of(text("tenant"), "item", Some(text("id")));
    let on_shelf = TagColumns::of(text("tenant"), "on_shelf", Some(uuid("shelf")));
    let items = TableTriggers::new("items", &["id"])
        .ignoring(&["seen_at"])
        .always(item)
        .always(on_shelf)
        .when_changed(&["shelf"], TagColumns::shared("shelf_set", Some(uuid("shelf"))))
        .on_update_and_delete(TagColumns::shared("item_gone", Some(text("id"))))
        .for_each("keepers", "item", "id", TagColumns::shared("keeper", Some(text("name"))))
        .covered_by(TagColumns::of(text("tenant"), "under_shelf", Some(uuid("shelf"))))
        .always(TagColumns::shared("called", Some(named("name"))));
    let keepers = TableTriggers::new("keepers", &["name"])
        .on_insert_and_delete(TagColumns::shared("keepers", None))
        .on_delete_or_changed(&["item"], TagColumns::shared("keeps", Some(text("item"))));
    vec![items, keepers]
}

pub(super) const SHELF: &str = "0190a1b2-1111-7000-8000-00000000000a";
pub(super) const OTHER_SHELF: &str = "0190a1b2-1111-7000-8000-00000000000b";

/// The records that a cache has applied: their tags and notes.
#[derive(Debug, Default)]
pub(super) struct Heard(pub(super) parking_lot::Mutex<Vec<(Vec<TagId>, Bytes)>>);

impl Observer for Heard {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::Applied { record } = event {
            self.0.lock().push((record.tags.clone(), record.note.clone()));
        }
    }
}

impl Heard {
    /// The tags since this was asked last, sorted; those that were heard in several partitions or twice are one.
    pub(super) fn take(&self) -> Vec<TagId> {
        let mut tags: Vec<TagId> = std::mem::take(&mut *self.0.lock()).into_iter().flat_map(|(tags, _)| tags).collect();
        tags.sort_unstable();
        tags.dedup();
        tags
    }

    /// Panics unless exactly these tags were heard since this was asked last.
    pub(super) fn expect(&self, expected: &[&str]) {
        let mut ids: Vec<TagId> = expected.iter().map(|written| tag(written).id()).collect();
        ids.sort_unstable();
        assert_eq!(self.take(), ids, "expected {expected:?}");
    }
}

pub(super) struct World {
    pub(super) database: TestDatabase,
    pub(super) pool: DatabaseConnection,
    pub(super) outbox: Outbox,
    pub(super) store: Arc<DistantStore>,
    pub(super) cache: Cache,
    pub(super) heard: Arc<Heard>,
}

pub(super) fn at_once() -> OutboxSettings {
    OutboxSettings { grace: std::time::Duration::ZERO, ..OutboxSettings::default() }
}

impl World {
    pub(super) async fn build(database: TestDatabase) -> Self {
        Self::with(database, at_once()).await
    }

    pub(super) async fn with(database: TestDatabase, settings: OutboxSettings) -> Self {
        let pool = database.migrated().await;
        let (uuid, bytes) = match pool.get_database_backend() {
            DbBackend::Postgres => ("UUID", "TEXT"),
            _ => ("BLOB", "TEXT"),
        };
        let items = format!(
            "CREATE TABLE items (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, shelf {uuid}, name {bytes}, seen_at INTEGER)"
        );
        for sql in [
            items.as_str(),
            "CREATE TABLE keepers (name TEXT PRIMARY KEY, item INTEGER REFERENCES items (id) ON DELETE CASCADE)",
        ] {
            pool.execute_unprepared(sql).await.unwrap();
        }
        triggers::install(&pool, &declared()).await.unwrap();
        let outbox = Outbox::new(pool.clone(), settings, OutboxMetrics::default());
        let store = Arc::new(DistantStore::new(Arc::new(MemoryStore::default()), 1));
        let heard = Arc::new(Heard::default());
        let cache = Cache::builder(store.clone()).observer(heard.clone()).build().await.unwrap();
        Self { database, pool, outbox, store, cache, heard }
    }

    pub(super) fn is_postgres(&self) -> bool {
        self.pool.get_database_backend() == DbBackend::Postgres
    }

    pub(super) fn relay(&self) -> Relay {
        self.outbox.relay(self.cache.clone())
    }

    /// A shelf's UUID as somebody types it.
    pub(super) fn shelf(&self, id: &str) -> String {
        if self.is_postgres() { format!("'{id}'") } else { format!("X'{}'", id.replace('-', "")) }
    }

    /// What somebody types, in a session of their own.
    pub(super) async fn type_in(&self, sql: &str) {
        let session = Database::connect(self.database.url()).await.unwrap();
        for sql in sql.split(";;") {
            let sql = if self.is_postgres() { format!("SET search_path = migration; {sql}") } else { sql.to_owned() };
            session.execute_unprepared(&sql).await.unwrap();
        }
        session.close().await.unwrap();
    }

    pub(super) async fn insert(&self, id: u32, shelf: &str, name: &str) {
        let shelf = self.shelf(shelf);
        self.type_in(&format!("INSERT INTO items (id, tenant, shelf, name) VALUES ({id}, 'acme', {shelf}, '{name}')"))
            .await;
    }

    /// Inserts, and forgets that it was heard.
    pub(super) async fn with_item(&self, id: u32, shelf: &str, name: &str) {
        self.insert(id, shelf, name).await;
        self.relay().drain().await.unwrap();
        self.heard.take();
    }

    /// A statement of the application, which declares these tags.
    pub(super) async fn write(&self, sql: &str, declared: &[&str]) -> unstale::PositionSet {
        let transaction = self.outbox.begin().await.unwrap();
        transaction.execute_unprepared(sql).await.unwrap();
        let invalidations = vec![Invalidation::of(declared.iter().map(|written| tag(written)))];
        let announcement = Announcement { invalidations, excused: Vec::new() };
        self.outbox.commit(transaction, announcement, &self.cache).await.unwrap()
    }

    pub(super) async fn pending(&self) -> u64 {
        self.outbox.status().await.unwrap().pending
    }

    pub(super) fn lose_all_requests(&self, is_lost: bool) {
        let lost_requests_percent = if is_lost { 100 } else { 0 };
        self.store.set_faults(Faults { lost_requests_percent, lost_answers_percent: 0 });
    }
}
