//! `/v1/statistics`, `/v1/performance`, `/v1/metadata` and `/v1/audit`: what was kept, read back by operators.

use std::sync::Arc;

use axum::{Json as Answer, extract::State};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::DbErr;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Control, access::Operator};
use crate::{
    audit::{AuditRecord, Filter as AuditFilter, PAGE_MAX},
    gateway::identity::tenancy,
    metadata::{self, PAGE_SIZE_MAX, Page},
    problem::{FieldError, Problem, Query},
    statistics::{self, Aggregate, By, Filter, Performance},
};

/// Intervals of one answer.
const INTERVALS_MAX: u64 = 1000;
/// Rows of a page, unless something else is said.
const PAGE_SIZE: u64 = 50;
/// Records of a page of the audit trail, unless something else is said.
const RECORDS: u64 = 100;

/// What was found.
#[derive(Serialize, ToSchema)]
pub(super) struct Items<T> {
    pub(super) items: Vec<T>,
}

/// Which statistics.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct StatisticsQuery {
    /// From this moment on (RFC 3339); by default a day before `to`.
    from: Option<DateTime<Utc>>,
    /// Before this one; by default now.
    to: Option<DateTime<Utc>>,
    /// `hour` by default.
    #[param(inline)]
    by: Option<By>,
    /// Of this route, as the file names it.
    route: Option<String>,
    /// Of this tenant.
    tenant: Option<String>,
}

/// Which intervals.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PerformanceQuery {
    /// From this moment on (RFC 3339); by default a day before `to`.
    from: Option<DateTime<Utc>>,
    /// Before this one; by default now.
    to: Option<DateTime<Utc>>,
    #[param(minimum = 1, maximum = 1000, default = 1000)]
    limit: Option<u64>,
}

/// Which keys.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct MetadataQuery {
    /// Of this tenant.
    tenant: Option<String>,
    /// Of this route, as the file names it.
    route: Option<String>,
    /// Only those whose time is not over.
    #[param(default = false)]
    fresh: Option<bool>,
    /// From 1.
    #[param(minimum = 1, default = 1)]
    page: Option<u64>,
    #[param(minimum = 1, maximum = 500, default = 50)]
    page_size: Option<u64>,
}

/// Which records; what is left out is not asked for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    /// Of this tenant.
    tenant: Option<String>,
    /// Who acted: a principal, or the name of a credential.
    actor: Option<String>,
    /// Whose data it is about. It is looked up by its hash.
    subject: Option<String>,
    /// What was done, such as `invalidate`, `read` or `configure`.
    operation: Option<String>,
    /// How it ended, such as `done`, `refused` or `hit`.
    outcome: Option<String>,
    /// The kind of thing: a route, `group`, `gateway`.
    entity: Option<String>,
    /// Exactly this key.
    key: Option<String>,
    /// At this time or later (RFC 3339).
    since: Option<DateTime<Utc>>,
    /// Before this time.
    until: Option<DateTime<Utc>>,
    /// Where the page before ended.
    cursor: Option<String>,
    /// Records of the page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u64>,
}

/// Some of the audit trail, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditPage {
    items: Vec<AuditRecord>,
    /// To be sent as `cursor` for what is older; null at the end.
    next_cursor: Option<String>,
}

/// What was read and loaded, by hour or day, tenant and route
#[utoipa::path(get, path = "/v1/statistics", tag = "operators", params(StatisticsQuery), responses(
    (status = 200, description = "The oldest first, all nodes together", body = Items<Aggregate>),
))]
pub(super) async fn statistics(
    State(control): State<Arc<Control>>,
    _operator: Operator,
    Query(query): Query<StatisticsQuery>,
) -> Result<Answer<Items<Aggregate>>, Problem> {
    let (from, to) = period(query.from, query.to)?;
    let client = query.tenant.map(|name| tenant(&name));
    let filter = Filter { from, to, by: query.by.unwrap_or_default(), client, entity: query.route };
    let found = statistics::aggregates(&control.records()?.pool, &filter).await;
    Ok(Answer(Items { items: found.map_err(|error| away(&error))? }))
}

/// How each node did, interval by interval
#[utoipa::path(get, path = "/v1/performance", tag = "operators", params(PerformanceQuery), responses(
    (status = 200, description = "The newest first", body = Items<Performance>),
))]
pub(super) async fn performance(
    State(control): State<Arc<Control>>,
    _operator: Operator,
    Query(query): Query<PerformanceQuery>,
) -> Result<Answer<Items<Performance>>, Problem> {
    let (from, to) = period(query.from, query.to)?;
    let limit = within("limit", query.limit, INTERVALS_MAX, INTERVALS_MAX)?;
    let found = statistics::performance(&control.records()?.pool, from, to, limit).await;
    Ok(Answer(Items { items: found.map_err(|error| away(&error))? }))
}

/// The keys that were cached lately, the most read first
#[utoipa::path(get, path = "/v1/metadata", tag = "operators", params(MetadataQuery), responses(
    (status = 200, description = "A page of them", body = Page),
))]
pub(super) async fn metadata(
    State(control): State<Arc<Control>>,
    _operator: Operator,
    Query(query): Query<MetadataQuery>,
) -> Result<Answer<Page>, Problem> {
    let page = within("page", query.page, 1, u64::MAX)?;
    let page_size = within("page_size", query.page_size, PAGE_SIZE, PAGE_SIZE_MAX)?;
    let filter = metadata::Filter {
        client: query.tenant.map(|name| tenant(&name)),
        entity_type: query.route,
        entity_id: None,
        fresh_at: query.fresh.unwrap_or_default().then(Utc::now),
    };
    let found = metadata::list(&control.records()?.pool, &filter, page, page_size).await;
    found.map(Answer).map_err(|error| away(&error))
}

/// Search the audit trail
#[utoipa::path(get, path = "/v1/audit", tag = "operators", params(AuditQuery), responses(
    (status = 200, description = "A page, the newest first", body = AuditPage),
))]
pub(super) async fn audit(
    State(control): State<Arc<Control>>,
    _operator: Operator,
    Query(query): Query<AuditQuery>,
) -> Result<Answer<AuditPage>, Problem> {
    let nothing = || Problem::not_found().detail("This gateway has no audit trail: its file has no [audit].");
    let audit = control.shared.build.audit.as_ref().ok_or_else(nothing)?;
    let limit = within("limit", query.limit, RECORDS, PAGE_MAX)?;
    let cursor = query.cursor.map(|cursor| cursor.parse()).transpose();
    let cursor = cursor.map_err(|error| faulty("cursor", format!("{error}")))?;
    let millis = |time: &DateTime<Utc>| u64::try_from(time.timestamp_millis()).unwrap_or_default();
    let filter = AuditFilter {
        tenant: query.tenant.map(|name| tenant(&name)),
        principal: query.actor,
        subject: query.subject.as_deref().map(|name| audit.subject(name)),
        operation: query.operation,
        outcome: query.outcome,
        entity: query.entity,
        key: query.key,
        since_ms: query.since.as_ref().map(millis),
        until_ms: query.until.as_ref().map(millis),
        ..AuditFilter::default()
    };
    let page = audit.trail().search(&filter, cursor.as_ref(), limit).await;
    let page = page.map_err(|error| away(&error))?;
    let items = page.found.into_iter().map(AuditRecord::from).collect();
    Ok(Answer(AuditPage { items, next_cursor: page.next.map(|next| next.to_string()) }))
}

/// A database that does not answer, or not as it should.
pub(super) fn away(error: &DbErr) -> Problem {
    tracing::warn!(%error, "the database of records or audit trail failed a call of the API for backends");
    Problem::unavailable("The database does not answer as it should. Try again; the gateway's log says more.")
}

/// A tenant as it stands in tables.
fn tenant(name: &str) -> String {
    tenancy::tenant(name).map_or_else(String::new, |tenant| tenant.to_string())
}

fn faulty(field: &str, message: impl Into<String>) -> Problem {
    Problem::unprocessable([FieldError::new(field, message)])
}

/// A number between 1 and `most`.
pub(super) fn within(field: &str, given: Option<u64>, usual: u64, most: u64) -> Result<u64, Problem> {
    let number = given.unwrap_or(usual);
    if (1..=most).contains(&number) { Ok(number) } else { Err(faulty(field, format!("must be 1 to {most}"))) }
}

fn period(from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> Result<(DateTime<Utc>, DateTime<Utc>), Problem> {
    let to = to.unwrap_or_else(Utc::now);
    let from = from.unwrap_or(to - TimeDelta::days(1));
    if from < to { Ok((from, to)) } else { Err(faulty("from", "must be before to")) }
}
