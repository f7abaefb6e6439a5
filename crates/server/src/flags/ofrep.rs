//! The `OpenFeature` remote evaluation protocol (OFREP 0.2): flags for browsers, evaluated here.
//!
//! A bulk evaluation has an `ETag`; with `If-None-Match` the answer is 304 as long as nothing changed for the one who
//! asks. Who that is the application has verified: the `targetingKey` of the request is not believed.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Asking, Definition, Evaluation, Snapshot};

/// What is asked.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct EvaluationRequest {
    /// About whom and what; of its members only `endpoint` counts.
    #[serde(default)]
    pub context: EvaluationContext,
}

/// About whom and what.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct EvaluationContext {
    /// The endpoint, for flags that differ by endpoint.
    pub endpoint: Option<String>,
}

/// One flag.
#[derive(Debug, Serialize, ToSchema)]
pub struct EvaluatedFlag {
    /// Its name.
    #[schema(value_type = String)]
    pub key: &'static str,
    /// Whether it is on.
    pub value: bool,
    /// `on` or `off`.
    #[schema(value_type = String)]
    pub variant: &'static str,
    /// Why: `DEFAULT`, `STATIC`, `TARGETING_MATCH`, `SPLIT` or `DISABLED`.
    #[schema(value_type = String)]
    pub reason: &'static str,
}

/// All flags.
#[derive(Debug, Serialize, ToSchema)]
pub struct EvaluatedFlags {
    /// In the order of their definitions.
    pub flags: Vec<EvaluatedFlag>,
}

/// A flag that cannot be evaluated.
#[derive(Debug, Serialize, ToSchema)]
pub struct EvaluationFailure {
    /// What was asked for.
    pub key: String,
    /// `FLAG_NOT_FOUND`.
    #[serde(rename = "errorCode")]
    #[schema(value_type = String)]
    pub error_code: &'static str,
    /// What to do.
    #[serde(rename = "errorDetails")]
    pub error_details: String,
}

/// Answers a bulk evaluation.
pub fn answer_all(snapshot: &Snapshot, asking: &Asking<'_>, headers: &HeaderMap) -> Response {
    let flags = snapshot.evaluate_all(asking).into_iter().map(|(flag, evaluation)| wire(flag, evaluation)).collect();
    let body = serde_json::to_vec(&EvaluatedFlags { flags }).expect("flags are JSON");
    let etag = format!("\"{}\"", &blake3::hash(&body).to_hex()[..24]);
    let is_known = headers.get_all(header::IF_NONE_MATCH).iter().any(|value| matches(value, &etag));
    let etag = HeaderValue::try_from(etag).expect("hexadecimal digits make a header");
    let standing = [(header::ETAG, etag), (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))];
    if is_known {
        return (StatusCode::NOT_MODIFIED, standing).into_response();
    }
    (standing, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Answers the evaluation of one flag.
pub fn answer_one(snapshot: &Snapshot, key: &str, asking: &Asking<'_>) -> Response {
    let found = snapshot.evaluate_all(asking).into_iter().find(|(flag, _)| flag.key == key);
    if let Some((flag, evaluation)) = found {
        return axum::Json(wire(flag, evaluation)).into_response();
    }
    let known: Vec<&str> = snapshot.rules().map(|(flag, _)| flag.key).collect();
    let failure = EvaluationFailure {
        key: key.to_owned(),
        error_code: "FLAG_NOT_FOUND",
        error_details: format!("There are the flags {}.", known.join(", ")),
    };
    (StatusCode::NOT_FOUND, axum::Json(failure)).into_response()
}

fn wire(flag: &Definition, Evaluation { value, reason }: Evaluation) -> EvaluatedFlag {
    EvaluatedFlag { key: flag.key, value, variant: if value { "on" } else { "off" }, reason: reason.as_str() }
}

/// Weak comparison (RFC 9110, 8.8.3.2), as `If-None-Match` wants it.
fn matches(value: &HeaderValue, etag: &str) -> bool {
    let Ok(text) = value.to_str() else { return false };
    text.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == etag)
}
