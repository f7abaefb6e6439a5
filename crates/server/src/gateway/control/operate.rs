//! `/v1/configuration`: how the cache is used, changed while it runs.

use std::sync::Arc;

use axum::{Json as Answer, extract::State};
use chrono::Utc;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Control,
    access::Operator,
    search::{Items, away, within},
};
use crate::{
    audit::{Entry, Operation, Outcome},
    configuration::{Change, ChangeError, Configuration, Version},
    problem::{Json, Problem, Query},
    records::Records,
};

/// Versions of one answer.
const HISTORY_MAX: u64 = 100;

/// How the cache is used, and what can be said of it.
#[derive(Serialize, ToSchema)]
pub(super) struct InForce {
    /// The version in force; 0: everything is as the gateway's file says.
    version: i64,
    /// What is otherwise.
    configuration: Configuration,
    /// The routes that can be named in `endpoints`.
    routes: Vec<ConfigurableRoute>,
}

/// A route that can be named.
#[derive(Serialize, ToSchema)]
struct ConfigurableRoute {
    /// As the file names it.
    path: String,
    lifetime: LifetimeSays,
}

/// Who says how long answers are kept.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum LifetimeSays {
    /// The route does.
    Route,
    /// The upstream does: `ttl_seconds` and the like cannot be given.
    Origin,
}

/// How the cache is to be used from now on. It replaces what is in force as a whole.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PutConfiguration {
    configuration: Configuration,
    /// Why.
    reason: String,
    /// The version that it was made of; if another is in force by now, it is refused.
    version: Option<i64>,
}

/// What takes a change back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UndoConfiguration {
    /// Why.
    reason: String,
    /// The version that is to be in force before; if another is, it is refused.
    version: Option<i64>,
}

/// Which versions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct VersionsQuery {
    /// Only those before this one.
    before: Option<i64>,
    #[param(minimum = 1, maximum = 100, default = 100)]
    limit: Option<u64>,
}

impl Control {
    /// The records, if the file asks for them.
    pub(super) fn records(&self) -> Result<&Records, Problem> {
        let nothing = || Problem::not_found().detail("This gateway keeps no records: its file has no [records].");
        self.shared.build.records.as_ref().ok_or_else(nothing)
    }
}

/// How the cache is used, and what can be said of it
#[utoipa::path(get, path = "/v1/configuration", tag = "operators", responses(
    (status = 200, description = "What is in force", body = InForce),
))]
pub(super) async fn get_configuration(
    State(control): State<Arc<Control>>,
    _operator: Operator,
) -> Result<Answer<InForce>, Problem> {
    let live = &control.records()?.configuration;
    let (effective, known) = (live.effective(), live.known());
    let routes = known.each_endpoint().map(|(path, entry)| ConfigurableRoute {
        path: path.to_owned(),
        lifetime: if entry.is_origins { LifetimeSays::Origin } else { LifetimeSays::Route },
    });
    Ok(Answer(InForce {
        version: effective.version,
        configuration: effective.configuration.clone(),
        routes: routes.collect(),
    }))
}

/// Change how the cache is used, on every node within a second or so
#[utoipa::path(put, path = "/v1/configuration", tag = "operators", request_body = PutConfiguration, responses(
    (status = 200, description = "In force on this node", body = Version),
))]
pub(super) async fn put_configuration(
    State(control): State<Arc<Control>>,
    operator: Operator,
    Json(wanted): Json<PutConfiguration>,
) -> Result<Answer<Version>, Problem> {
    let change = change(&operator, &wanted.reason, wanted.version)?;
    let live = &control.records()?.configuration;
    let put = async { live.put(&control.shared.build.cache, &wanted.configuration, &change).await };
    control.recorded(&operator, "the cache's configuration is changed", put).await
}

/// Take back the last change that is not taken back yet
#[utoipa::path(post, path = "/v1/configuration/undo", tag = "operators", request_body = UndoConfiguration, responses(
    (status = 200, description = "In force on this node", body = Version),
))]
pub(super) async fn undo(
    State(control): State<Arc<Control>>,
    operator: Operator,
    Json(wanted): Json<UndoConfiguration>,
) -> Result<Answer<Version>, Problem> {
    let change = change(&operator, &wanted.reason, wanted.version)?;
    let live = &control.records()?.configuration;
    let undo = async { live.undo(&control.shared.build.cache, &change).await };
    control.recorded(&operator, "a change of the cache's configuration is taken back", undo).await
}

/// Versions of the configuration, the newest first
#[utoipa::path(get, path = "/v1/configuration/history", tag = "operators", params(VersionsQuery), responses(
    (status = 200, description = "Those that were found", body = Items<Version>),
))]
pub(super) async fn list_versions(
    State(control): State<Arc<Control>>,
    _operator: Operator,
    Query(query): Query<VersionsQuery>,
) -> Result<Answer<Items<Version>>, Problem> {
    let limit = within("limit", query.limit, HISTORY_MAX, HISTORY_MAX)?;
    let found = control.records()?.configuration.history(query.before, limit).await;
    Ok(Answer(Items { items: found.map_err(|error| away(&error))? }))
}

fn change(operator: &Operator, reason: &str, based_on: Option<i64>) -> Result<Change, Problem> {
    Change::asked(operator.0.name.clone(), reason, based_on, Utc::now())
}

impl Control {
    /// Makes a change that is on record, where there is a trail, before it is made.
    async fn recorded(
        &self,
        Operator(caller): &Operator,
        detail: &str,
        change: impl Future<Output = Result<Version, ChangeError>>,
    ) -> Result<Answer<Version>, Problem> {
        tracing::info!(caller = caller.name, "{detail} by the API for backends");
        let new = Entry::new("", Operation::CONFIGURE, Outcome::Unknown);
        let entry = Entry { principal: &caller.name, entity: "gateway", key: "cache configuration", detail, ..new };
        let intents = self.shared.begin_recorded(&[entry]).await?;
        let changed = change.await;
        let outcome = match &changed {
            Ok(_) => Outcome::Done,
            // The database may have taken it.
            Err(ChangeError::Database(_)) => Outcome::Unknown,
            Err(_) => Outcome::Refused,
        };
        intents.end_synced(outcome, 0, "").await;
        match changed {
            Ok(version) => Ok(Answer(version)),
            Err(ChangeError::Database(error)) => Err(away(&error)),
            Err(error) => Err(error.into()),
        }
    }
}
