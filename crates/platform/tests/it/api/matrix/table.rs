//! Every operation of the API: who may, what it answers from, and how to ask for somebody's ids with it.
//!
//! The table is written by hand: whoever adds an operation has to say here who may do it, and the attacks follow.

use axum::http::Method;
use platform::api;
use serde_json::{Value, json};

use super::super::world::{Answer, Ids, Person};

/// Who may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Whoever asks.
    Nothing,
    /// A session, and a part in the client that it is about.
    Membership,
    /// To administer that client.
    Administrator,
    /// To administer the platform.
    Operator,
    /// The same; to others it does not exist.
    HiddenOperator,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    /// Reads, and its answer is kept.
    Reads,
    /// Reads, and its answer is not kept.
    ReadsAnew,
    /// Reads what was done, refused attempts among it, with the ids that they named.
    ReadsTrail,
    /// Listens until somebody hangs up.
    Listens,
    /// Changes something.
    Changes,
    /// Changes what other clients' administrators may see, too: those who wait to be let in have no client yet.
    ChangesForAll,
    /// Is about the session itself, or is none of anybody's data.
    Aside,
}

/// An operation.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) method: Method,
    /// Below the API's base.
    pub(crate) path: &'static str,
    pub(crate) needs: Needs,
    pub(crate) does: Does,
}

use Does::{Aside, Changes, ChangesForAll, Listens, Reads, ReadsAnew, ReadsTrail};
use Needs::{Administrator, HiddenOperator, Membership, Nothing, Operator};

/// What is undone or taken away comes last, for who goes through all of it.
const TABLE: &[(&str, Needs, Does)] = &[
    ("POST /auth/login", Nothing, Aside),
    ("POST /auth/register", Nothing, Aside),
    ("POST /auth/refresh", Membership, Aside),
    ("GET /auth/active-users", Membership, Reads),
    ("GET /context/me", Membership, Reads),
    ("GET /context/full", Membership, Reads),
    ("GET /context/standing", Membership, Reads),
    ("GET /context/start", Membership, Reads),
    ("GET /context-establishment/clients", Membership, Reads),
    ("GET /context-establishment/engagements", Membership, Reads),
    ("GET /users/{user_id}/defaults", Membership, Reads),
    ("PUT /users/{user_id}/defaults", Membership, Changes),
    ("PUT /users/{user_id}/roles", Administrator, Changes),
    ("GET /users/{user_id}/clients", Membership, Reads),
    ("PUT /users/{user_id}/clients/{client_id}", Administrator, Changes),
    ("GET /engagements", Membership, Reads),
    ("GET /engagements/{engagement_id}", Membership, Reads),
    ("GET /engagements/{engagement_id}/flows", Membership, Reads),
    ("GET /engagements/{engagement_id}/mapping-statistics", Membership, Reads),
    ("GET /discovery/flows", Membership, Reads),
    ("POST /discovery/flows", Membership, Changes),
    ("GET /discovery/flows/{flow_id}", Membership, Reads),
    ("PATCH /discovery/flows/{flow_id}", Membership, Changes),
    ("GET /discovery/flows/{flow_id}/state", Membership, Reads),
    ("GET /discovery/flows/{flow_id}/metadata", Membership, Reads),
    ("GET /imports", Membership, Reads),
    ("POST /imports", Membership, Changes),
    ("GET /imports/{import_id}", Membership, Reads),
    ("GET /target-attributes", Membership, Reads),
    ("GET /field-mappings/{import_id}", Membership, Reads),
    ("GET /field-mappings/{import_id}/statistics", Membership, Reads),
    ("POST /field-mappings/{import_id}/bulk-approve", Membership, Changes),
    ("POST /field-mappings/{import_id}/bulk-reject", Membership, Changes),
    ("POST /field-mappings/{import_id}/bulk-keep", Membership, Changes),
    ("PATCH /field-mappings/{import_id}/{mapping_id}", Membership, Changes),
    ("GET /data-cleansing/{import_id}", Membership, Reads),
    ("POST /data-cleansing/{import_id}/corrections", Membership, Changes),
    ("POST /data-cleansing/{import_id}/corrections/undo", Membership, Changes),
    ("GET /assets", Membership, Reads),
    ("GET /admin/clients", Administrator, Reads),
    ("POST /admin/clients", Operator, Changes),
    ("GET /admin/clients/{client_id}", Administrator, Reads),
    ("PUT /admin/clients/{client_id}", Administrator, Changes),
    ("GET /admin/clients/{client_id}/users", Administrator, Reads),
    ("GET /admin/engagements", Administrator, Reads),
    ("POST /admin/engagements", Administrator, Changes),
    ("GET /admin/engagements/{engagement_id}", Administrator, Reads),
    ("PUT /admin/engagements/{engagement_id}", Administrator, Changes),
    ("GET /admin/engagements/{engagement_id}/users", Administrator, Reads),
    ("GET /admin/users", Administrator, Reads),
    ("GET /admin/pending-approvals", Administrator, Reads),
    ("POST /admin/pending-approvals/{user_id}/approve", Administrator, ChangesForAll),
    ("POST /admin/pending-approvals/{user_id}/reject", Administrator, ChangesForAll),
    ("GET /admin/users/{user_id}/cache-report", HiddenOperator, ReadsAnew),
    ("GET /admin/audit", Administrator, ReadsTrail),
    ("GET /admin/audit/export", Administrator, ReadsTrail),
    ("GET /admin/cache/configuration", Operator, ReadsAnew),
    ("PUT /admin/cache/configuration", Operator, Aside),
    ("GET /admin/cache/configuration/history", Operator, ReadsAnew),
    ("POST /admin/cache/configuration/undo", Operator, Aside),
    ("GET /admin/cache/consistency", Operator, ReadsAnew),
    ("GET /admin/cache/experience", Operator, ReadsAnew),
    ("GET /admin/cache/flags", Operator, ReadsAnew),
    ("PUT /admin/cache/flags/{key}", Operator, Aside),
    ("GET /admin/cache/flags/{key}/history", Operator, ReadsAnew),
    ("GET /admin/cache/metadata", Operator, ReadsAnew),
    ("GET /admin/cache/omissions", Operator, ReadsAnew),
    ("GET /admin/cache/performance", Operator, ReadsAnew),
    ("GET /admin/cache/statistics", Operator, ReadsAnew),
    ("GET /events", Membership, Listens),
    ("GET /events/stream", Membership, Listens),
    ("POST /batch", Membership, Aside),
    ("POST /telemetry/vitals", Membership, Aside),
    ("DELETE /discovery/flows/{flow_id}", Membership, Changes),
    ("DELETE /admin/engagements/{engagement_id}", Administrator, Changes),
    ("DELETE /users/{user_id}/clients/{client_id}", Administrator, Changes),
    ("POST /admin/users/{user_id}/erase", HiddenOperator, Changes),
    ("DELETE /admin/clients/{client_id}", Operator, Changes),
    ("POST /auth/logout", Membership, Aside),
];

/// Addresses outside of the document: the protocol of feature flags has a specification of its own.
const UNDOCUMENTED: &[(&str, Needs, Does)] =
    &[("POST /ofrep/v1/evaluate/flags", Membership, Aside), ("POST /ofrep/v1/evaluate/flags/{key}", Membership, Aside)];

/// All of them, the documented ones first.
pub(crate) fn operations() -> Vec<Operation> {
    let base_is_above = |path: &str| path.starts_with("/ofrep/");
    let parsed = TABLE.iter().chain(UNDOCUMENTED).map(|&(line, needs, does)| {
        let (method, path) = line.split_once(' ').unwrap();
        Operation { method: method.parse().unwrap(), path, needs, does }
    });
    parsed.filter(|operation| !base_is_above(operation.path)).collect()
}

/// Those outside of the API's base.
pub(crate) fn undocumented() -> impl Iterator<Item = (Method, &'static str)> {
    UNDOCUMENTED.iter().map(|(line, ..)| {
        let (method, path) = line.split_once(' ').unwrap();
        (method.parse().unwrap(), path)
    })
}

impl Operation {
    pub(crate) fn name(&self) -> String {
        format!("{} {}{}", self.method, api::BASE, self.path)
    }

    pub(crate) fn is_read(&self) -> bool {
        matches!(self.does, Reads | ReadsAnew | ReadsTrail)
    }

    /// Whether a request names something of somebody's.
    pub(crate) fn names_something(&self) -> bool {
        let ids = Ids::unknown();
        self.path.contains("_id}")
            || self.body(&ids).is_some_and(|body| body.to_string().contains(&ids.client))
            || !self.queries(&ids).is_empty()
    }

    /// Where to ask for what `ids` name, below the base.
    pub(crate) fn targets(&self, ids: &Ids) -> Vec<String> {
        let path = ids.fill(&format!("{}{}", api::BASE, self.path.replace("{key}", "maintenance")));
        match self.queries(ids) {
            queries if queries.is_empty() => vec![path],
            queries => queries.into_iter().map(|query| format!("{path}?{query}")).collect(),
        }
    }

    /// Queries that name something of `ids`.
    fn queries(&self, ids: &Ids) -> Vec<String> {
        match (self.method.as_str(), self.path) {
            ("GET", "/context-establishment/engagements") => vec![format!("client_id={}", ids.client)],
            ("GET", "/discovery/flows" | "/imports") | ("POST", "/imports") => {
                vec![format!("engagement_id={}", ids.engagement)]
            }
            ("GET", "/assets") => {
                vec![format!("engagement_id={}", ids.engagement), format!("import_id={}", ids.import)]
            }
            ("GET", "/events" | "/events/stream") => vec![format!("client_account_id={}", ids.client)],
            ("DELETE", "/admin/clients/{client_id}" | "/admin/engagements/{engagement_id}") => {
                vec!["cascade=true".to_owned()]
            }
            _ => Vec::new(),
        }
    }

    /// A body that would be accepted, naming what it names of `ids`.
    fn body(&self, ids: &Ids) -> Option<Value> {
        Some(match (self.method.as_str(), self.path) {
            ("PUT", "/users/{user_id}/defaults") => {
                json!({ "client_account_id": ids.client, "engagement_id": ids.engagement })
            }
            ("PUT", "/users/{user_id}/roles") => json!({ "role": "analyst", "client_account_id": ids.client }),
            ("PUT", "/users/{user_id}/clients/{client_id}") => json!({ "role": "client_admin" }),
            ("POST", "/discovery/flows") => json!({ "engagement_id": ids.engagement, "name": "x" }),
            (
                "POST",
                "/field-mappings/{import_id}/bulk-approve"
                | "/field-mappings/{import_id}/bulk-reject"
                | "/field-mappings/{import_id}/bulk-keep",
            ) => {
                json!({ "mapping_ids": [ids.mapping] })
            }
            ("POST", "/data-cleansing/{import_id}/corrections") => {
                json!({ "corrections": [{ "position": 0, "value": ids.value, "replacement": "x" }] })
            }
            ("POST", "/data-cleansing/{import_id}/corrections/undo") => json!({ "correction_ids": [ids.correction] }),
            ("PATCH", "/field-mappings/{import_id}/{mapping_id}") => json!({ "target_attribute": "hostname" }),
            ("PATCH", "/discovery/flows/{flow_id}")
            | ("PUT", "/admin/clients/{client_id}")
            | ("POST", "/admin/clients") => json!({ "name": "x" }),
            ("POST", "/admin/engagements") => json!({ "name": "x", "client_account_id": ids.client }),
            ("PUT", "/admin/engagements/{engagement_id}") => json!({ "name": "x", "status": "active" }),
            ("POST", "/admin/pending-approvals/{user_id}/approve") => {
                json!({ "client_account_id": ids.client, "role": "analyst" })
            }
            ("PUT", "/admin/cache/configuration") => json!({ "configuration": {}, "reason": "x" }),
            ("POST", "/admin/cache/configuration/undo") => json!({ "reason": "x" }),
            ("PUT", "/admin/cache/flags/{key}") => json!({ "percentage": 0 }),
            ("POST", "/batch") => json!({ "requests": [{ "id": "1", "path": "/api/v1/context/me" }] }),
            _ => return None,
        })
    }

    /// One request.
    pub(crate) async fn ask(&self, person: &Person, target: &str, ids: &Ids, headers: &[(&str, &str)]) -> Answer {
        if self.method == Method::POST && self.path == "/imports" {
            return person.upload_to(target, "a.csv", b"Name\nx\n").await;
        }
        person.ask(self.method.clone(), target, self.body(ids), headers).await
    }
}
