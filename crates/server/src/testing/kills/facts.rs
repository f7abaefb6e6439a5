//! What is written and read: facts with versions, in one table; a page for each, and boards that show several.

use std::{sync::Arc, time::Duration};

use rand::RngExt as _;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};
use serde::{Deserialize, Serialize};
use unstale::{
    Cache, Invalidation, Loaded, Mode, Policy, ReadOptions, RedisSettings, RedisStore, Tag, Tenant, catalogue, record,
    testing::history::{Fact, Version},
};

use crate::{
    database::SCHEMA,
    outbox::triggers::{TableTriggers, TagColumns, text},
};

pub(super) const FACTS: Fact = 8;
pub(super) const BOARDS: u32 = 2;
const TENANTS: Fact = 3;
/// Loads must take long enough to be overtaken by writes.
const LOOK_MS_MAX: u64 = 3;
/// Long: nothing but invalidations ends an entry.
const POLICY: Policy = Policy::ttl(Duration::from_secs(3600));

catalogue! {
    /// Every key of the kill tests.
    const PATTERNS;
    /// What a page or a board shows.
    fn shown(id) -> Shown = "shown";
}

/// The versions that a page was made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Shown {
    pub(super) saw: Vec<(Fact, Version)>,
}
unstale::cacheable!(Shown, "kill tests: Shown v1");

/// What can be read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Page {
    Of(Fact),
    Board(u32),
}

impl Page {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..FACTS).map(Self::Of).chain((0..BOARDS).map(Self::Board))
    }

    fn tenant(self) -> Tenant {
        match self {
            Self::Of(fact) => tenant_of(fact),
            Self::Board(_) => tenant_of(0),
        }
    }

    fn key(self) -> String {
        match self {
            Self::Of(fact) => format!("page{fact}"),
            Self::Board(board) => format!("board{board}"),
        }
    }

    fn facts(self) -> Vec<Fact> {
        match self {
            Self::Of(fact) => vec![fact],
            Self::Board(board) => (0..FACTS).filter(|fact| fact % BOARDS == board).collect(),
        }
    }

    fn tag(self) -> Tag {
        match self {
            Self::Of(fact) => Tag::of(&tenant_of(fact), "fact", fact),
            Self::Board(board) => Tag::shared("board", board),
        }
    }
}

fn tenant_of(fact: Fact) -> Tenant {
    Tenant::new(format!("t{}", fact % TENANTS)).expect("a letter and a digit")
}

/// What a write of `fact` invalidates: two records, so that a process can die between them.
pub(super) fn invalidations(fact: Fact) -> Vec<Invalidation> {
    let note = format!("{{\"fact\":{fact}}}");
    vec![Invalidation::of([Page::Of(fact).tag()]).note(note), Invalidation::of([Page::Board(fact % BOARDS).tag()])]
}

pub(super) fn triggers() -> Vec<TableTriggers> {
    let facts = TableTriggers::new("facts", &["id"])
        .always(TagColumns::of(text("tenant"), "fact", Some(text("id"))))
        .always(TagColumns::shared("board", Some(text("board"))));
    vec![facts]
}

pub(super) async fn create(pool: &DatabaseConnection) -> Result<(), DbErr> {
    pool.execute_unprepared(
        "CREATE TABLE facts (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, board INTEGER NOT NULL, \
         version BIGINT NOT NULL)",
    )
    .await?;
    for fact in 0..FACTS {
        let (tenant, board) = (tenant_of(fact), fact % BOARDS);
        let row = format!("INSERT INTO facts (id, tenant, board, version) VALUES ({fact}, '{tenant}', {board}, 0)");
        pool.execute_unprepared(&row).await?;
    }
    crate::outbox::triggers::install(pool, &triggers()).await
}

/// Raises a fact's version by one.
pub(super) async fn raise(db: &impl ConnectionTrait, fact: Fact) -> Result<Version, DbErr> {
    let sql = format!("UPDATE facts SET version = version + 1 WHERE id = {fact} RETURNING version");
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound(format!("fact {fact}")))?;
    Ok(row.try_get::<i64>("", "version")?.unsigned_abs())
}

/// The same, typed by somebody who knows nothing of the outbox.
pub(super) fn typed(is_postgres: bool, fact: Fact) -> String {
    let schema = if is_postgres { format!("{SCHEMA}.") } else { String::new() };
    format!("UPDATE {schema}facts SET version = version + 1 WHERE id = {fact}")
}

/// What is committed.
pub(super) async fn versions(pool: &DatabaseConnection) -> Result<Vec<(Fact, Version)>, DbErr> {
    let all = Statement::from_string(pool.get_database_backend(), "SELECT id, version FROM facts");
    let mut versions = Vec::new();
    for row in pool.query_all_raw(all).await? {
        versions
            .push((row.try_get::<i32>("", "id")?.unsigned_abs(), row.try_get::<i64>("", "version")?.unsigned_abs()));
    }
    Ok(versions)
}

/// A cache on a Redis.
pub(super) async fn cache_on(redis: &str, namespace: &str) -> Result<Cache, unstale::StoreError> {
    let store = RedisStore::new(RedisSettings::new(redis, namespace)).expect("a URL of our own");
    Cache::builder(Arc::new(store)).build().await
}

/// Reads a page; strictly: it must show everything that was acknowledged before.
pub(super) async fn read(
    cache: &Cache,
    pool: &DatabaseConnection,
    page: Page,
    is_strict: bool,
) -> Result<Shown, String> {
    let policy = if is_strict { POLICY.mode(Mode::Strict) } else { POLICY };
    let pool = pool.clone();
    let load = move || async move {
        record(&page.tag());
        let mut saw = Vec::new();
        for fact in page.facts() {
            dawdle().await;
            let sql = format!("SELECT version FROM facts WHERE id = {fact}");
            let row = pool.query_one_raw(Statement::from_string(pool.get_database_backend(), sql)).await;
            let row = row.map_err(|error| error.to_string())?.ok_or("no such fact")?;
            let version: i64 = row.try_get("", "version").map_err(|error| error.to_string())?;
            saw.push((fact, version.unsigned_abs()));
        }
        dawdle().await;
        Ok::<_, String>(Loaded::value(Shown { saw }))
    };
    let fetched = cache.fetch(&shown(&page.tenant(), page.key()), &policy, &ReadOptions::default(), load).await;
    let fetched = fetched.map_err(|error| format!("{error:?}"))?;
    fetched.value().cloned().ok_or_else(|| "a page is never absent".to_owned())
}

async fn dawdle() {
    let millis = rand::rng().random_range(0..=LOOK_MS_MAX);
    tokio::time::sleep(Duration::from_millis(millis)).await;
}
