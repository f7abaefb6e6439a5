//! The cache itself, for platform administrators: how it is used, what it holds, how it does, whether it is right.
//!
//! Nothing of this is cached: it is about the cache.

use chrono::{DateTime, TimeDelta, Utc};
use unstale_server::{
    configuration::{Change, Configuration, Entry, Version},
    consistency::Finding,
    metadata::{self, Page},
    outbox::SeenOmission,
    statistics::{Aggregate, By, Filter, Performance, aggregates, performance},
};

use crate::{api::prelude::*, experience::CacheExperience};

/// Versions of one answer.
const HISTORY_MAX: u64 = 100;
/// Rows of a page.
const PAGE_SIZE: u64 = 50;
const PAGE_SIZE_MAX: u64 = 500;
const INTERVALS_MAX: u64 = 1000;

/// The configuration in force, and what can be configured.
#[derive(Serialize, ToSchema)]
pub struct CacheConfiguration {
    /// The version in force; 0: everything is as the code says.
    pub version: i64,
    /// What is otherwise than the code says.
    pub configuration: Configuration,
    /// The key patterns that can be named.
    pub entries: Vec<Configurable>,
    /// The routes that can be named.
    pub endpoints: Vec<Configurable>,
}

/// Something that can be configured.
#[derive(Serialize, ToSchema)]
pub struct Configurable {
    pub name: String,
    /// The longest life that it may have.
    pub ttl_seconds_max: u64,
    /// It is always read strictly.
    pub is_strict: bool,
}

/// A new configuration. It replaces the one in force as a whole.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutCacheConfigurationRequest {
    pub configuration: Configuration,
    /// Why.
    pub reason: String,
    /// The version that it was made of; if another is in force by now, it is refused.
    pub version: Option<i64>,
}

/// Taking a change back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UndoCacheConfigurationRequest {
    /// Why.
    pub reason: String,
    /// The version that is to be in force before; if another is, it is refused.
    pub version: Option<i64>,
}

/// How the cache is used (platform admins).
#[utoipa::path(get, path = "/admin/cache/configuration", tag = "cache",
    responses((status = 200, body = CacheConfiguration)))]
pub(crate) async fn get_cache_configuration(
    State(platform): State<Platform>,
    caller: Caller,
) -> Result<Json<CacheConfiguration>, Problem> {
    caller.require_platform_admin()?;
    let live = &platform.records.configuration;
    let known = live.known();
    let configurable = |(name, entry): (&str, Entry)| Configurable {
        name: name.to_owned(),
        ttl_seconds_max: entry.ttl_max.as_secs(),
        is_strict: entry.is_strict,
    };
    let effective = live.effective();
    Ok(Json(CacheConfiguration {
        version: effective.version,
        configuration: effective.configuration.clone(),
        entries: known.each_entry().map(configurable).collect(),
        endpoints: known.each_endpoint().map(configurable).collect(),
    }))
}

/// What those who use pages get: the last hour of the node that answers (platform admins).
#[utoipa::path(get, path = "/admin/cache/experience", tag = "cache", responses((status = 200, body = CacheExperience)))]
pub(crate) async fn get_cache_experience(
    State(platform): State<Platform>,
    caller: Caller,
) -> Result<Json<CacheExperience>, Problem> {
    caller.require_platform_admin()?;
    Ok(Json(platform.experience.last_hour(platform.now())))
}

/// Change how the cache is used, on every node within a second or so (platform admins).
#[utoipa::path(put, path = "/admin/cache/configuration", tag = "cache",
    request_body = PutCacheConfigurationRequest, responses((status = 200, body = Version)))]
pub(crate) async fn put_cache_configuration(
    State(platform): State<Platform>,
    caller: Caller,
    Json(wanted): Json<PutCacheConfigurationRequest>,
) -> Result<Json<Version>, Problem> {
    caller.require_platform_admin()?;
    let change = change(&platform, &caller, &wanted.reason, wanted.version)?;
    let put = platform.records.configuration.put(&platform.cache, &wanted.configuration, &change).await;
    Ok(Json(put?))
}

/// Versions of the configuration, the newest first (platform admins).
#[utoipa::path(get, path = "/admin/cache/configuration/history", tag = "cache", params(HistoryQuery),
    responses((status = 200, body = Items<Version>)))]
pub(crate) async fn list_cache_configurations(
    State(platform): State<Platform>,
    caller: Caller,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<Items<Version>>, Problem> {
    caller.require_platform_admin()?;
    let limit = query.limit.unwrap_or(HISTORY_MAX);
    let mut faults = Faults::default();
    faults.unless((1..=HISTORY_MAX).contains(&limit), "limit", "must be 1 to 100");
    faults.finish()?;
    let items = platform.records.configuration.history(query.before, limit).await.map_err(|error| internal(&error))?;
    Ok(Json(Items { items }))
}

/// Which versions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// Only those before this one.
    pub before: Option<i64>,
    #[param(minimum = 1, maximum = 100, default = 100)]
    pub limit: Option<u64>,
}

/// Take back the last change of the configuration that is not taken back yet (platform admins).
#[utoipa::path(post, path = "/admin/cache/configuration/undo", tag = "cache",
    request_body = UndoCacheConfigurationRequest, responses((status = 200, body = Version)))]
pub(crate) async fn undo_cache_configuration(
    State(platform): State<Platform>,
    caller: Caller,
    Json(wanted): Json<UndoCacheConfigurationRequest>,
) -> Result<Json<Version>, Problem> {
    caller.require_platform_admin()?;
    let change = change(&platform, &caller, &wanted.reason, wanted.version)?;
    Ok(Json(platform.records.configuration.undo(&platform.cache, &change).await?))
}

/// Which statistics.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StatisticsQuery {
    /// From this moment on; by default a day before `to`.
    pub from: Option<DateTime<Utc>>,
    /// Before this one; by default now.
    pub to: Option<DateTime<Utc>>,
    /// `hour` by default.
    #[param(inline)]
    pub by: Option<By>,
    /// Of this kind of entry: a key pattern, such as `flow:complete`.
    pub entity: Option<String>,
    /// Of this client.
    pub client_id: Option<String>,
}

/// What was read and loaded, by hour or day, client and kind of entry (platform admins).
#[utoipa::path(get, path = "/admin/cache/statistics", tag = "cache", params(StatisticsQuery),
    responses((status = 200, body = Items<Aggregate>)))]
pub(crate) async fn list_cache_statistics(
    State(platform): State<Platform>,
    caller: Caller,
    Query(query): Query<StatisticsQuery>,
) -> Result<Json<Items<Aggregate>>, Problem> {
    caller.require_platform_admin()?;
    let (from, to) = period(&platform, query.from, query.to)?;
    let by = query.by.unwrap_or_default();
    let filter = Filter { from, to, by, client: query.client_id, entity: query.entity };
    let items = aggregates(&platform.records.pool, &filter).await.map_err(|error| internal(&error))?;
    Ok(Json(Items { items }))
}

/// Which intervals.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PerformanceQuery {
    /// From this moment on; by default a day before `to`.
    pub from: Option<DateTime<Utc>>,
    /// Before this one; by default now.
    pub to: Option<DateTime<Utc>>,
    #[param(minimum = 1, maximum = 1000, default = 1000)]
    pub limit: Option<u64>,
}

/// How each node did, interval by interval, the newest first (platform admins).
#[utoipa::path(get, path = "/admin/cache/performance", tag = "cache", params(PerformanceQuery),
    responses((status = 200, body = Items<Performance>)))]
pub(crate) async fn list_cache_performance(
    State(platform): State<Platform>,
    caller: Caller,
    Query(query): Query<PerformanceQuery>,
) -> Result<Json<Items<Performance>>, Problem> {
    caller.require_platform_admin()?;
    let (from, to) = period(&platform, query.from, query.to)?;
    let limit = query.limit.unwrap_or(INTERVALS_MAX);
    let mut faults = Faults::default();
    faults.unless((1..=INTERVALS_MAX).contains(&limit), "limit", "must be 1 to 1000");
    faults.finish()?;
    let items = performance(&platform.records.pool, from, to, limit).await.map_err(|error| internal(&error))?;
    Ok(Json(Items { items }))
}

/// Which keys.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MetadataQuery {
    /// Of this client.
    pub client_id: Option<String>,
    /// Of this kind: a key pattern, such as `flow:complete`.
    pub entity_type: Option<String>,
    /// With these parts.
    pub entity_id: Option<String>,
    /// Only those whose time is not over.
    #[param(default = false)]
    pub fresh: Option<bool>,
    /// From 1.
    #[param(minimum = 1, default = 1)]
    pub page: Option<u64>,
    #[param(minimum = 1, maximum = 500, default = 50)]
    pub page_size: Option<u64>,
}

/// The keys that were cached lately, the most read first (platform admins).
#[utoipa::path(get, path = "/admin/cache/metadata", tag = "cache", params(MetadataQuery),
    responses((status = 200, body = Page)))]
pub(crate) async fn list_cache_metadata(
    State(platform): State<Platform>,
    caller: Caller,
    Query(query): Query<MetadataQuery>,
) -> Result<Json<Page>, Problem> {
    caller.require_platform_admin()?;
    let (page, page_size) = (query.page.unwrap_or(1), query.page_size.unwrap_or(PAGE_SIZE));
    let mut faults = Faults::default();
    faults.unless(page >= 1, "page", "must be 1 or more");
    faults.unless((1..=PAGE_SIZE_MAX).contains(&page_size), "page_size", "must be 1 to 500");
    faults.finish()?;
    let filter = metadata::Filter {
        client: query.client_id,
        entity_type: query.entity_type,
        entity_id: query.entity_id,
        fresh_at: query.fresh.unwrap_or_default().then(|| platform.now()),
    };
    let rows = metadata::list(&platform.records.pool, &filter, page, page_size).await;
    rows.map(Json).map_err(|error| internal(&error))
}

/// What the consistency watch of the answering node has found since its start, the newest first.
#[derive(Serialize, ToSchema)]
pub struct CacheConsistency {
    /// Hits that are being watched at this moment.
    pub watched: usize,
    pub findings: Vec<Finding>,
}

/// Hits that were incorrect, and why (platform admins).
#[utoipa::path(get, path = "/admin/cache/consistency", tag = "cache",
    responses((status = 200, body = CacheConsistency)))]
pub(crate) async fn get_cache_consistency(
    State(platform): State<Platform>,
    caller: Caller,
) -> Result<Json<CacheConsistency>, Problem> {
    caller.require_platform_admin()?;
    let watch = &platform.records.watch;
    Ok(Json(CacheConsistency { watched: watch.watched(), findings: watch.findings() }))
}

/// Code that forgot to say what it changed.
#[derive(Serialize, ToSchema)]
pub struct CacheOmission {
    pub table: String,
    /// `insert`, `update` or `delete`.
    pub statement: String,
    /// What was not declared; triggers said it instead.
    pub tag: String,
    pub count: u64,
    pub last_seen: DateTime<Utc>,
}

/// What code of this node forgot to declare wrong since it began, the newest first (platform admins).
#[utoipa::path(get, path = "/admin/cache/omissions", tag = "cache",
    responses((status = 200, body = Items<CacheOmission>)))]
pub(crate) async fn list_cache_omissions(
    State(platform): State<Platform>,
    caller: Caller,
) -> Result<Json<Items<CacheOmission>>, Problem> {
    caller.require_platform_admin()?;
    let wire = |seen: SeenOmission| CacheOmission {
        table: seen.omission.table.clone(),
        statement: seen.omission.statement.as_str().to_owned(),
        tag: seen.omission.tag_text(),
        count: seen.count,
        last_seen: i64::try_from(seen.last_seen.as_millis())
            .ok()
            .and_then(DateTime::from_timestamp_millis)
            .unwrap_or(DateTime::<Utc>::MAX_UTC),
    };
    Ok(Json(Items { items: platform.store.outbox().omissions().into_iter().map(wire).collect() }))
}

fn period(
    platform: &Platform,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
) -> Result<(DateTime<Utc>, DateTime<Utc>), Problem> {
    let to = to.unwrap_or_else(|| platform.now());
    let from = from.unwrap_or(to - TimeDelta::days(1));
    let mut faults = Faults::default();
    faults.unless(from < to, "from", "must be before to");
    faults.finish()?;
    Ok((from, to))
}

fn change(platform: &Platform, caller: &Caller, reason: &str, based_on: Option<i64>) -> Result<Change, Problem> {
    Change::asked(caller.user().id.to_string(), reason, based_on, platform.now())
}

fn internal(error: &sea_orm::DbErr) -> Problem {
    Problem::internal(error)
}
