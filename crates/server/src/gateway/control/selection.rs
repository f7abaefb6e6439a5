//! `POST /v1/invalidate` and `POST /v1/purge`: declaring wrong what groups, principals and sessions stand for.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use unstale::{Cache, Census, InvalidateError, Invalidation, PositionSet, Tag, Tenant};
use unstale_http::{WRITTEN_POSITION, group_tag};
use utoipa::ToSchema;

use super::{Control, access::Caller};
use crate::{
    audit::{Entry, Operation, Outcome},
    gateway::tags,
    problem::{FieldError, Json, Problem},
};

/// Names that one call may hold.
const NAMES_MAX: usize = 1000;
/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 512;
/// Entries in this node's memory that one call looks at.
const LOOKS_MAX: usize = 1_000_000;

/// What is to be declared wrong.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Selection {
    /// As the identity names it; `public` for what everybody may see.
    tenant: String,
    /// Such as `import:7`.
    #[serde(default)]
    #[schema(max_items = 1000)]
    groups: Vec<String>,
    /// Whose own answers are wrong, as the identity names them.
    #[serde(default)]
    #[schema(max_items = 1000)]
    principals: Vec<String>,
    /// Which are over.
    #[serde(default)]
    #[schema(max_items = 1000)]
    sessions: Vec<String>,
    /// Only count what this node's memory holds of it.
    #[serde(default)]
    dry_run: bool,
}

/// What is to be purged, and how.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::gateway) struct Purge {
    /// As the identity names it; `public` for what everybody may see.
    tenant: String,
    /// Such as `import:7`.
    #[serde(default)]
    #[schema(max_items = 1000)]
    groups: Vec<String>,
    /// Whose own answers are wrong, as the identity names them.
    #[serde(default)]
    #[schema(max_items = 1000)]
    principals: Vec<String>,
    /// Which are over.
    #[serde(default)]
    #[schema(max_items = 1000)]
    sessions: Vec<String>,
    /// Only count what this node's memory holds of it.
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    mode: Mode,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// Declare wrong: served no more, the bytes go in time. Only routes with `mode = "stale_ok"` may go on giving it for their
    /// `bound`, while a new answer is loaded.
    #[default]
    Soft,
    /// Served no more at all, by routes with `stale_ok` neither: here at once, on other nodes as soon as they hear of it. And the
    /// bytes that this node knows of are deleted, here and in the shared store.
    Hard,
}

/// What was done.
#[derive(Debug, Default, Serialize, ToSchema)]
struct Done {
    dry_run: bool,
    /// Names that were declared wrong.
    names: usize,
    /// To be sent with reads that must have seen it.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
    /// The shared store takes some of it later; this node serves nothing of it already.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pending: bool,
    /// What this node's memory holds of it, or held.
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<Held>,
}

/// What this node's memory holds of it, or held.
#[derive(Debug, Serialize, ToSchema)]
struct Held {
    entries: usize,
    bytes: u64,
    /// Entries that were looked at.
    looked_at: usize,
    /// Whether that was all of them.
    is_complete: bool,
}

/// Declare wrong what was kept of groups, principals and sessions
///
/// From now on it is served nowhere without being loaded anew, but by routes with `mode = "stale_ok"` within their `bound`.
#[utoipa::path(post, path = "/v1/invalidate", request_body = Selection, responses(
    (status = 200, description = "Done", body = Done, headers(("Unstale-Position" = String, description = "The position, as in the body"))),
    (status = 202, description = "Done on this node; the shared store takes it later (`pending`)", body = Done),
))]
pub(super) async fn invalidate(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Json(selection): Json<Selection>,
) -> Result<Response, Problem> {
    let Selection { tenant, groups, principals, sessions, dry_run } = selection;
    let purge = Purge { tenant, groups, principals, sessions, dry_run, mode: Mode::Soft };
    carry_out(&control, &caller, &purge, "invalidate").await
}

/// The same; with `"mode": "hard"` no route gives it on, and the bytes that this node knows of are deleted
#[utoipa::path(post, path = "/v1/purge", request_body = Purge, responses(
    (status = 200, description = "Done", body = Done, headers(("Unstale-Position" = String, description = "The position, as in the body"))),
    (status = 202, description = "Done on this node; the shared store takes it later (`pending`)", body = Done),
))]
pub(super) async fn purge(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Json(purge): Json<Purge>,
) -> Result<Response, Problem> {
    carry_out(&control, &caller, &purge, "purge").await
}

async fn carry_out(control: &Control, caller: &Caller, purge: &Purge, what: &str) -> Result<Response, Problem> {
    let tenant = caller.tenant(&purge.tenant)?;
    let tags = purge.tags(&tenant)?;
    let cache = &control.shared.build.cache;
    let mut done = Done { dry_run: purge.dry_run, names: tags.len(), ..Done::default() };
    if purge.dry_run {
        done.held = Some(count(cache, tags).await.into());
        return Ok(answer(done, None));
    }
    tracing::info!(caller = caller.name, %tenant, names = tags.len(), mode = ?purge.mode, "{what} by the API for backends");
    let intents = control.shared.begin_recorded(&purge.entries(control, caller, &tenant)).await?;
    let wrong = Invalidation::of(tags.iter().cloned());
    let wrong = if purge.mode == Mode::Hard { wrong.purging() } else { wrong };
    let invalidated = match cache.invalidate(&wrong).await {
        Ok(recorded) => Ok(recorded),
        Err(InvalidateError::Pending { recorded, .. }) => {
            done.pending = true;
            Ok(recorded)
        }
        Err(error) => Err(Problem::unavailable(error.to_string())),
    };
    let (outcome, position) = match &invalidated {
        Ok(recorded) if done.pending => (Outcome::Pending, recorded.to_string()),
        Ok(recorded) => (Outcome::Done, recorded.to_string()),
        // The cache may say it yet.
        Err(_) => (Outcome::Unknown, String::new()),
    };
    intents.end_synced(outcome, 0, &position).await;
    let recorded = invalidated?;
    if purge.mode == Mode::Hard {
        // After they were declared wrong: a load that runs cannot put them back.
        let removed = cache.remove_tagged(&tags, LOOKS_MAX).await;
        done.held = Some(removed.map_err(|error| Problem::unavailable(error.to_string()))?.into());
    }
    Ok(answer(done, Some(&recorded)))
}

/// Beside the requests: it may take some milliseconds.
async fn count(cache: &Cache, tags: Vec<Tag>) -> Census {
    let cache = cache.clone();
    tokio::task::spawn_blocking(move || cache.count_tagged(&tags, LOOKS_MAX)).await.unwrap_or_default()
}

fn answer(mut done: Done, recorded: Option<&PositionSet>) -> Response {
    let position = recorded.filter(|recorded| !recorded.is_empty()).map(ToString::to_string);
    let header = position.as_deref().and_then(|position| HeaderValue::try_from(position).ok());
    done.position = position;
    let mut response = axum::Json(&done).into_response();
    if done.pending {
        *response.status_mut() = StatusCode::ACCEPTED;
    }
    if let Some(header) = header {
        response.headers_mut().insert(WRITTEN_POSITION, header);
    }
    response
}

impl Purge {
    /// What is recorded of it: a record for each name. Those of principals and sessions are subjects.
    fn entries<'a>(&'a self, control: &Control, caller: &'a Caller, tenant: &'a Tenant) -> Vec<Entry<'a>> {
        let Some(audit) = &control.shared.build.audit else { return Vec::new() };
        let operation = if self.mode == Mode::Hard { Operation::PURGE } else { Operation::INVALIDATE };
        let new = || Entry { principal: &caller.name, ..Entry::new(tenant.as_str(), operation, Outcome::Unknown) };
        let groups = self.groups.iter().map(|group| Entry { entity: "group", key: group, ..new() });
        let principals = self.principals.iter().map(|name| audit.subject(name));
        let principals = principals.map(|subject| Entry { entity: "principal", subject: Some(subject), ..new() });
        let sessions = self.sessions.iter().map(|name| audit.subject(name));
        let sessions = sessions.map(|subject| Entry { entity: "session", subject: Some(subject), ..new() });
        groups.chain(principals).chain(sessions).collect()
    }

    /// What it declares wrong.
    pub(in crate::gateway) fn tags(&self, tenant: &Tenant) -> Result<Vec<Tag>, Problem> {
        let lists = [("groups", &self.groups), ("principals", &self.principals), ("sessions", &self.sessions)];
        let count: usize = lists.iter().map(|(_, names)| names.len()).sum();
        let mut errors = Vec::new();
        if count == 0 {
            errors.push(FieldError::new("groups", "name at least one group, principal or session"));
        }
        if count > NAMES_MAX {
            errors.push(FieldError::new("groups", format!("are {count} names: at most {NAMES_MAX} in one call")));
        }
        for (list, names) in lists {
            for (at, name) in names.iter().enumerate().filter(|(_, name)| !(1..=NAME_BYTES_MAX).contains(&name.len())) {
                let message = format!("has {} bytes: 1 to {NAME_BYTES_MAX} are expected", name.len());
                errors.push(FieldError::new(format!("{list}[{at}]"), message));
            }
        }
        if !errors.is_empty() {
            return Err(Problem::unprocessable(errors));
        }
        let groups = self.groups.iter().map(|name| group_tag(tenant, name));
        let principals = self.principals.iter().map(|name| tags::principal(tenant, name));
        let sessions = self.sessions.iter().map(|name| tags::session(tenant, name));
        Ok(groups.chain(principals).chain(sessions).collect())
    }
}

impl From<Census> for Held {
    fn from(census: Census) -> Self {
        let Census { entries, bytes, looked_at, is_complete } = census;
        Self { entries, bytes, looked_at, is_complete }
    }
}
