//! A small world: two clients, the people who work for them, and what they work on.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use platform::{
    coherence::{ClientId, Write},
    store::{
        Store, StoreError,
        repositories::{
            clients::{self, ClientData},
            engagements::{self, EngagementData},
            flows::{self, NewFlow},
            imports::{self, FileDescription, NewImport, NewMapping, NewRow},
            mappings, memberships, sessions,
            users::{self, AccessRequest, NewUser},
        },
    },
    views::{EngagementStatus, Role},
};
use serde_json::json;
use unstale::{Cache, MemoryStore};
use uuid::Uuid;

/// The ids of everything.
pub struct World {
    pub store: Store,
    pub cache: Cache,
    pub acme: ClientId,
    pub globex: ClientId,
    /// Platform administrator.
    pub ada: Uuid,
    /// Client administrator of Acme; starts in its data centre.
    pub carl: Uuid,
    /// Analyst of Acme and of Globex; starts in Globex.
    pub anna: Uuid,
    /// Analyst of Globex.
    pub gus: Uuid,
    /// Waits to be let in.
    pub paul: Uuid,
    pub acme_dc: Uuid,
    pub acme_apps: Uuid,
    pub globex_dc: Uuid,
    /// Carl's, in Acme's data centre, with an import.
    pub acme_flow: Uuid,
    /// Anna's, in Acme's applications.
    pub apps_flow: Uuid,
    /// Gus's, in Globex's data centre, with an import.
    pub globex_flow: Uuid,
    pub acme_import: Uuid,
    pub globex_import: Uuid,
    pub carl_session: Uuid,
    pub anna_session: Uuid,
    pub gus_session: Uuid,
}

/// The time of day in the tests: a fixed one, `seconds` later.
pub fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap() + TimeDelta::seconds(seconds)
}

pub fn new_user(name: &str) -> NewUser {
    NewUser { email: format!("{name}@example.com"), name: name.to_owned(), password_hash: format!("hash of {name}") }
}

pub fn client_data(name: &str) -> ClientData {
    ClientData { name: name.to_owned(), industry: Some("Manufacturing".to_owned()), description: None }
}

pub fn engagement_data(name: &str) -> EngagementData {
    EngagementData {
        name: name.to_owned(),
        description: None,
        status: EngagementStatus::Active,
        starts_on: Some("2026-11-01".parse().unwrap()),
        ends_on: None,
    }
}

pub fn new_flow(engagement: Uuid, owner: Uuid, name: &str) -> NewFlow {
    let metadata = json!({"colour": "green"});
    NewFlow { engagement_id: engagement, owner_id: owner, name: name.to_owned(), metadata }
}

pub fn new_mapping(position: u32, source: &str, target: Option<&str>) -> NewMapping {
    NewMapping {
        position,
        source_column: source.to_owned(),
        target_attribute: target.map(str::to_owned),
        confidence: if target.is_some() { 0.9 } else { 0.0 },
        reason: "the header says so".to_owned(),
        sample_values: vec!["one".to_owned(), "two".to_owned()],
    }
}

pub fn rows(from: u64, count: u64) -> Vec<NewRow> {
    let row = |number| NewRow {
        row_number: number,
        values: vec![format!("Srv-{number}"), format!("10.0.0.{}", number % 250), format!("Owner {}", number % 7)],
    };
    (from..from + count).map(row).collect()
}

/// Imports `count` rows of three columns: `Machine` → hostname, `IP` → `ip_address`, `Owner` → nothing.
pub async fn import_file(
    w: &mut Write,
    client: ClientId,
    engagement: Uuid,
    flow: Option<Uuid>,
    user: Uuid,
    count: u64,
) -> Result<Uuid, StoreError> {
    let new = NewImport {
        engagement_id: engagement,
        flow_id: flow,
        file_name: "servers.csv".to_owned(),
        size_bytes: 4096,
        created_by: user,
    };
    let import = imports::create(w, client, &new, at(10)).await?.id;
    fill_import(w, client, import, count).await?;
    Ok(import)
}

/// Finishes an import that was created.
pub async fn fill_import(w: &mut Write, client: ClientId, import: Uuid, count: u64) -> Result<(), StoreError> {
    let file = FileDescription {
        rows_total: count,
        headers: ["Machine", "IP", "Owner"].map(str::to_owned).to_vec(),
        encoding: "utf-8".to_owned(),
        delimiter: ",".to_owned(),
        format: "unknown".to_owned(),
    };
    let suggested = [
        new_mapping(0, "Machine", Some("hostname")),
        new_mapping(1, "IP", Some("ip_address")),
        new_mapping(2, "Owner", None),
    ];
    let it = imports::unfinished(w, client, import).await?;
    imports::describe(w, it, &file).await?;
    imports::add_mappings(w, it, &suggested, at(11)).await?;
    imports::insert_rows(w, it, &rows(2, count)).await?;
    imports::finish(w, it, count, at(12)).await
}

impl World {
    /// Builds the world, through the repositories.
    pub async fn build(store: Store) -> Self {
        let cache = Cache::builder(Arc::new(MemoryStore::default())).build().await.unwrap();
        let world = Self::write_all(&store, &cache).await.unwrap();
        Self { store, cache, ..world }
    }

    async fn write_all(store: &Store, cache: &Cache) -> Result<Self, StoreError> {
        let mut write = store.begin().await?;
        let w = &mut write;
        let ada = users::create_active(w, &new_user("ada"), true, at(0)).await?.id;
        let carl = users::create_active(w, &new_user("carl"), false, at(0)).await?.id;
        let anna = users::create_active(w, &new_user("anna"), false, at(0)).await?.id;
        let gus = users::create_active(w, &new_user("gus"), false, at(0)).await?.id;
        let request = AccessRequest { requested_client: Some("Acme".to_owned()), reason: Some("audit".to_owned()) };
        let paul = users::register(w, &new_user("paul"), &request, at(0)).await?.id;
        let acme = ClientId(clients::create(w, &client_data("Acme"), at(1)).await?.id);
        let globex = ClientId(clients::create(w, &client_data("Globex"), at(1)).await?.id);
        memberships::grant(w, carl, acme.0, Role::ClientAdmin, at(2)).await?;
        memberships::grant(w, anna, acme.0, Role::Analyst, at(2)).await?;
        memberships::grant(w, anna, globex.0, Role::Analyst, at(3)).await?;
        memberships::grant(w, gus, globex.0, Role::Analyst, at(2)).await?;
        let acme_dc = engagements::create(w, acme, &engagement_data("Data centre"), at(4)).await?.id;
        let acme_apps = engagements::create(w, acme, &engagement_data("Applications"), at(4)).await?.id;
        let globex_dc = engagements::create(w, globex, &engagement_data("Globex DC"), at(4)).await?.id;
        users::set_defaults(w, carl, Some(acme.0), Some(acme_dc), at(5)).await?;
        users::set_defaults(w, anna, Some(globex.0), Some(globex_dc), at(5)).await?;
        let acme_flow = flows::create(w, acme, &new_flow(acme_dc, carl, "Servers"), at(6)).await?.summary.id;
        let apps_flow = flows::create(w, acme, &new_flow(acme_apps, anna, "Apps"), at(7)).await?.summary.id;
        let globex_flow = flows::create(w, globex, &new_flow(globex_dc, gus, "Globex"), at(8)).await?.summary.id;
        let acme_import = import_file(w, acme, acme_dc, Some(acme_flow), carl, 5).await?;
        let globex_import = import_file(w, globex, globex_dc, Some(globex_flow), gus, 3).await?;
        let until = at(10 * 365 * 24 * 3600);
        let carl_session = sessions::create(w, carl, at(20), until).await?;
        let anna_session = sessions::create(w, anna, at(21), until).await?;
        let gus_session = sessions::create(w, gus, at(22), until).await?;
        write.commit(cache).await.unwrap();
        Ok(Self {
            store: store.clone(),
            cache: cache.clone(),
            acme,
            globex,
            ada,
            carl,
            anna,
            gus,
            paul,
            acme_dc,
            acme_apps,
            globex_dc,
            acme_flow,
            apps_flow,
            globex_flow,
            acme_import,
            globex_import,
            carl_session,
            anna_session,
            gus_session,
        })
    }

    /// The mapping of a column.
    pub async fn mapping(&self, client: ClientId, import: Uuid, column: &str) -> Uuid {
        let mappings = mappings::list(self.store.read(), client, import).await.unwrap();
        mappings.items.into_iter().find(|mapping| mapping.source_column == column).unwrap().id
    }

    /// Writes and commits.
    pub async fn write<T>(&self, change: impl AsyncFnOnce(&mut Write) -> Result<T, StoreError>) -> T {
        let mut w = self.store.begin().await.unwrap();
        let value = change(&mut w).await.unwrap();
        w.commit(&self.cache).await.unwrap();
        value
    }

    /// Writes, expects to be refused, and takes everything back.
    pub async fn refused<T: std::fmt::Debug>(
        &self,
        change: impl AsyncFnOnce(&mut Write) -> Result<T, StoreError>,
    ) -> StoreError {
        let mut w = self.store.begin().await.unwrap();
        let error = change(&mut w).await.unwrap_err();
        w.roll_back().await.unwrap();
        error
    }
}
