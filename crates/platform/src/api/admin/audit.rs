//! The audit trail, for administrators: of the acting client, or of everybody for who administers the platform and acts
//! for nobody.

use axum::{
    body::Body,
    http::header,
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use unstale_server::audit::{AuditRecord, ExportFormat, Filter, PAGE_MAX, export};

use crate::{api::prelude::*, store::StoreError};

/// Records of a page, unless something else is said.
const LIMIT: u64 = 100;

/// What is looked for; what is left out is not asked for.
#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// The tenant: a client's id, or `platform`. Only for platform administrators who act for no client.
    pub tenant: Option<String>,
    /// Who acted: a user's id.
    pub actor: Option<String>,
    /// By which agent, such as `mapping_agent`.
    pub agent: Option<String>,
    /// Whose data it is about: a user's id. It is looked up by its hash.
    pub subject: Option<String>,
    /// What was done, such as `invalidate`, `read` or `sign_in`.
    pub operation: Option<String>,
    /// How it ended, such as `done`, `refused` or `hit`.
    pub outcome: Option<String>,
    /// The kind of thing.
    pub entity: Option<String>,
    /// Exactly this key.
    pub key: Option<String>,
    /// In this trace: 32 hexadecimal digits.
    pub trace_id: Option<String>,
    /// At this time or later (RFC 3339).
    pub since: Option<DateTime<Utc>>,
    /// Before this time.
    pub until: Option<DateTime<Utc>>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Records of the page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<u64>,
    /// Of a file: `csv` or `jsonl`.
    #[param(default = "jsonl")]
    pub format: Option<String>,
}

/// Some of the trail, newest first.
#[derive(Serialize, ToSchema)]
pub struct AuditPage {
    pub items: Vec<AuditRecord>,
    /// To be sent as `cursor` for what is older; null at the end.
    pub next_cursor: Option<String>,
}

/// Search the audit trail.
#[utoipa::path(get, path = "/admin/audit", tag = "admin", params(AuditQuery),
    responses((status = 200, body = AuditPage)))]
pub(crate) async fn search_audit(
    State(platform): State<Platform>,
    caller: Caller,
    Query(query): Query<AuditQuery>,
) -> Result<Response, Problem> {
    let filter = filter(&platform, &caller, &query)?;
    let mut faults = Faults::default();
    let limit = query.limit.unwrap_or(LIMIT);
    faults.unless((1..=PAGE_MAX).contains(&limit), "limit", "must be 1 to 1000");
    let cursor = query.cursor.map(|cursor| cursor.parse());
    if let Some(Err(error)) = &cursor {
        faults.add("cursor", format!("{error}"));
    }
    faults.finish()?;
    let cursor = cursor.and_then(Result::ok);
    let page = platform.audit.trail().search(&filter, cursor.as_ref(), limit).await.map_err(StoreError::from)?;
    let items = page.found.into_iter().map(AuditRecord::from).collect();
    let page = AuditPage { items, next_cursor: page.next.map(|next| next.to_string()) };
    Ok((NO_STORE, axum::Json(page)).into_response())
}

/// The audit trail as a file.
#[utoipa::path(get, path = "/admin/audit/export", tag = "admin", params(AuditQuery), responses(
    (status = 200, description = "All that was found, newest first", body = String, content_type = "text/csv"),
))]
pub(crate) async fn export_audit(
    State(platform): State<Platform>,
    caller: Caller,
    Query(query): Query<AuditQuery>,
) -> Result<Response, Problem> {
    let filter = filter(&platform, &caller, &query)?;
    let format = query.format.as_deref().map_or(Some(ExportFormat::JsonLines), ExportFormat::parse);
    let mut faults = Faults::default();
    faults.unless(format.is_some(), "format", "must be csv or jsonl");
    faults.unless(query.cursor.is_none() && query.limit.is_none(), "limit", "a file holds all that is found");
    faults.finish()?;
    let format = format.unwrap_or(ExportFormat::JsonLines);
    let pieces = export(platform.audit.trail().clone(), filter, format).inspect_err(|error| {
        tracing::error!(%error, "an export of the audit trail broke off");
    });
    let disposition = format!("attachment; filename=\"audit.{}\"", format.suffix());
    let headers = [(header::CONTENT_TYPE, format.media_type().to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    Ok((NO_STORE, headers, Body::from_stream(pieces)).into_response())
}

/// What an administrator was shown is not kept anywhere.
const NO_STORE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// What is looked for, within what the caller may see.
fn filter(platform: &Platform, caller: &Caller, query: &AuditQuery) -> Result<Filter, Problem> {
    caller.require(Permission::ManageUsers)?;
    let tenant = match caller.acting_for() {
        // Another tenant's trail is one that there is not.
        Some(client) if query.tenant.as_ref().is_some_and(|named| *named != client.tenant().as_str()) => {
            return Err(Problem::not_found());
        }
        Some(client) => Some(client.tenant().as_str().to_owned()),
        None if caller.is_platform_admin() => query.tenant.clone(),
        None => return Err(Problem::not_found()),
    };
    let mut faults = Faults::default();
    let trace = query.trace_id.as_deref().map(|hex| u128::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 32));
    faults.unless(trace != Some(None), "trace_id", "must be 32 hexadecimal digits");
    faults.finish()?;
    let millis = |time: &DateTime<Utc>| u64::try_from(time.timestamp_millis()).unwrap_or_default();
    Ok(Filter {
        tenant,
        principal: query.actor.clone(),
        agent: query.agent.clone(),
        subject: query.subject.as_deref().map(|name| platform.audit.subject(name)),
        operation: query.operation.clone(),
        outcome: query.outcome.clone(),
        entity: query.entity.clone(),
        key: query.key.clone(),
        trace: trace.flatten(),
        since_ms: query.since.as_ref().map(millis),
        until_ms: query.until.as_ref().map(millis),
    })
}
