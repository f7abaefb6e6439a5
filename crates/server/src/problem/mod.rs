//! Problem details for HTTP APIs (RFC 9457): the one form in which this server refuses.
//!
//! ```
//! use unstale_server::problem::{FieldError, Problem};
//!
//! let problem = Problem::unprocessable([FieldError::new("starts_on", "must not be after ends_on")]);
//! assert_eq!(problem.status().as_u16(), 422);
//! assert_eq!(problem.kind(), "/problems/unprocessable");
//! ```
//!
//! # Invariants
//! - `type` is `/problems/<slug>`; the slug is what callers tell problems apart by.
//! - An internal problem tells nothing of its cause: the cause is logged, and both carry the trace id.
//!
//! The extractors [`Json`], [`Path`] and [`Query`] refuse with problems that name the field and what was expected.

mod extract;

use std::{error::Error, fmt, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

pub use self::extract::{Json, Path, Query};
use crate::telemetry;

/// The media type of problem details.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request was refused, as the caller reads it.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Problem {
    /// `/problems/<slug>`: what kind of problem it is.
    #[serde(rename = "type")]
    kind: String,
    /// The kind in a few words, always the same for one kind.
    title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong this time and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The fields at fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// Further members.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    extensions: serde_json::Map<String, serde_json::Value>,
    #[serde(skip)]
    headers: HeaderMap,
}

/// An error's text as a sentence for people.
pub fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

/// One field at fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FieldError {
    /// The field, as a path from the top: `items[2].name`.
    pub field: String,
    /// What is wrong with it and what was expected.
    pub message: String,
}

impl FieldError {
    /// An error of `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl Problem {
    /// A problem of any kind. `slug` is lower-case words joined by `-`; `title` is the same for every problem of
    /// the kind.
    pub fn new(status: StatusCode, slug: &str, title: &str) -> Self {
        debug_assert!(status.is_client_error() || status.is_server_error(), "{status} is no refusal");
        Self {
            kind: format!("/problems/{slug}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: None,
            errors: Vec::new(),
            extensions: serde_json::Map::new(),
            headers: HeaderMap::new(),
        }
    }

    /// 400: the request cannot be read.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "The request cannot be read").detail(detail)
    }

    /// 401: nobody is signed in. Always the same text, so that it tells nothing of who exists.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Sign-in required")
            .detail("Sign in, or send a valid access token.")
            .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 403: the caller's role does not allow it.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed").detail(detail)
    }

    /// 404. The same body for what does not exist and for what the caller may not know of.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found").detail("There is nothing here that you can see.")
    }

    /// 409: it contradicts what is there.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "In conflict with the current state").detail(detail)
    }

    /// 422: well-formed, but some fields are wrong.
    pub fn unprocessable(errors: impl IntoIterator<Item = FieldError>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", "Some fields are not valid")
            .detail("Correct the fields named in errors and send the request again.")
            .errors(errors)
    }

    /// 413: the body is larger than the limit.
    pub fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large")
            .detail("Send a body within this endpoint's limit.")
    }

    /// 415: another content type is needed.
    pub fn unsupported_media_type(expected: &str) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Unsupported content type")
            .detail(format!("Send the body with Content-Type: {expected}."))
    }

    /// 429, with `Retry-After` in whole seconds (at least one).
    pub fn too_many_requests(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests")
            .detail(detail)
            .retry_after(retry_after)
    }

    /// 503: not now.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available now").detail(detail)
    }

    /// 500. The cause and all its sources go to the log; the caller gets the trace id to ask with, and no more.
    pub fn internal(cause: &(dyn Error + 'static)) -> Self {
        let trace_id = telemetry::current_trace_id();
        tracing::error!(trace_id = trace_id.as_deref(), error = %Chain(cause), "a request failed");
        let problem = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The server failed")
            .detail("This is not your fault. Try again; if it stays, report it with the trace id.");
        match trace_id {
            Some(trace_id) => problem.extension("trace_id", trace_id),
            None => problem,
        }
    }

    /// Says what is wrong this time and what to do.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds fields at fault.
    #[must_use]
    pub fn errors(mut self, errors: impl IntoIterator<Item = FieldError>) -> Self {
        self.errors.extend(errors);
        self
    }

    /// Adds a member. The names of RFC 9457's own members are not available.
    #[must_use]
    pub fn extension(mut self, name: &'static str, value: impl Into<serde_json::Value>) -> Self {
        let taken = ["type", "title", "status", "detail", "instance", "errors"].contains(&name);
        debug_assert!(!taken, "{name} is a member of every problem");
        if !taken {
            self.extensions.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Adds a header to the response.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Sets `Retry-After`, rounded up to whole seconds, at least one.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// `/problems/<slug>`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What is wrong this time, if it was said.
    pub fn detail_text(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// The fields at fault.
    pub fn field_errors(&self) -> &[FieldError] {
        &self.errors
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).expect("a problem has no keys but strings");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.extend(self.headers);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        // A refusal is of one moment and of one caller.
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.title)?;
        self.detail.iter().try_for_each(|detail| write!(f, ": {detail}"))?;
        self.errors.iter().try_for_each(|error| write!(f, "; {}: {}", error.field, error.message))
    }
}

impl Error for Problem {}

/// An error with all its sources on one line.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn body(response: Response) -> serde_json::Value {
        serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
    }

    #[tokio::test]
    async fn is_sent_as_the_rfc_says() {
        let problem = Problem::conflict("Two columns are approved for hostname.").extension("columns", vec!["A", "B"]);
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        let expected = serde_json::json!({
            "type": "/problems/conflict", "title": "In conflict with the current state", "status": 409,
            "detail": "Two columns are approved for hostname.", "columns": ["A", "B"],
        });
        assert_eq!(body(response).await, expected);
    }

    #[tokio::test]
    async fn an_internal_problem_tells_nothing_of_its_cause() {
        let cause = std::io::Error::other("password=hunter2 at /srv/db");
        let text = body(Problem::internal(&cause).into_response()).await.to_string();
        assert!(!text.contains("hunter2") && !text.contains("/srv"), "{text}");
    }

    #[test]
    fn retry_after_is_in_whole_seconds_and_never_zero() {
        let after = |millis| {
            let response = Problem::too_many_requests("Wait.", Duration::from_millis(millis)).into_response();
            response.headers()[header::RETRY_AFTER].to_str().unwrap().to_owned()
        };
        assert_eq!((after(0), after(1), after(1000), after(1001)), ("1".into(), "1".into(), "1".into(), "2".into()));
    }

    #[test]
    fn the_chain_of_causes_is_on_one_line() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] std::io::Error);
        assert_eq!(Chain(&Outer(std::io::Error::other("inner"))).to_string(), "outer: inner");
    }

    #[test]
    fn a_problem_can_be_read_back() {
        let sent = Problem::unprocessable([FieldError::new("name", "is empty")]).extension("limit", 3);
        let read: Problem = serde_json::from_str(&serde_json::to_string(&sent).unwrap()).unwrap();
        assert_eq!(read.field_errors(), sent.field_errors());
        assert_eq!(read.extensions["limit"], 3);
    }
}
