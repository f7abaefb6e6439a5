//! Several reads in one request.

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header, response::Parts},
    response::{IntoResponse as _, Response},
};
use futures_util::{StreamExt as _, stream};
use tokio::time::timeout;
use tower::{ServiceExt as _, util::BoxCloneSyncService};
use unstale::PositionSet;
use unstale_http::{Identity, WRITTEN_POSITION};

use super::{BASE, prelude::*};

/// The signed-in part of the API with its cache: what a request meets behind authentication.
pub(crate) type InnerService = BoxCloneSyncService<Request<Body>, Response, Infallible>;

/// Reads of a batch that run at once.
const AT_ONCE: usize = 4;
/// Longest id that a caller may choose, in bytes.
const ID_BYTES_MAX: usize = 128;
/// Longest answer to one read, in bytes.
const BODY_BYTES_MAX: usize = 8 << 20;
/// How long one read may take.
const READ_MAX: Duration = Duration::from_secs(30);
/// Request headers that hold for every read of the batch.
const PASSED_ON: &[&str] = &["host", "accept", "accept-language", "unstale-position", "traceparent"];

/// Most reads of one batch.
pub const REQUESTS_MAX: usize = 20;

/// Reads to be answered together.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchRequest {
    #[schema(min_items = 1, max_items = 20)]
    pub requests: Vec<BatchItemRequest>,
}

/// One read of a batch.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchItemRequest {
    /// Chosen by the caller, given back with the answer.
    pub id: String,
    /// Path and query, from `/api/v1/` on.
    #[schema(example = "/api/v1/context/me")]
    pub path: String,
    /// The ETag that the caller has.
    pub if_none_match: Option<String>,
    /// The position that the answer must have seen, in place of the batch's own (`Unstale-Position`).
    pub position: Option<String>,
}

/// The answers, in the order of the requests.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct BatchAnswers {
    pub responses: Vec<BatchAnswer>,
}

/// The answer to one read of a batch.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct BatchAnswer {
    pub id: String,
    pub status: u16,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// What the read alone would answer; null where it has no body.
    #[schema(value_type = Option<Object>)]
    pub body: serde_json::Value,
}

/// Answer several reads at once, each as if it were asked alone.
#[utoipa::path(post, path = "/batch", tag = "batch", request_body = BatchRequest,
    responses((status = 200, body = BatchAnswers)))]
pub(crate) async fn batch(
    State(platform): State<Platform>,
    caller: Caller,
    axum::Extension(identity): axum::Extension<Identity>,
    headers: HeaderMap,
    Json(wanted): Json<BatchRequest>,
) -> Result<axum::Json<BatchAnswers>, Problem> {
    let mut faults = Faults::default();
    let is_some = (1..=REQUESTS_MAX).contains(&wanted.requests.len());
    faults.unless(is_some, "requests", "must hold 1 to 20 requests");
    let reads: Vec<Option<Uri>> = wanted.requests.iter().map(|item| target(&item.path)).collect();
    for (place, (item, read)) in wanted.requests.iter().zip(&reads).enumerate() {
        let is_path = read.is_some();
        let expected = "must be a path below /api/v1/ that can be read, other than /batch and live events";
        faults.unless(is_path, &format!("requests[{place}].path"), expected);
        let is_short = item.id.len() <= ID_BYTES_MAX;
        faults.unless(is_short, &format!("requests[{place}].id"), "must not be longer than 128 bytes");
        let is_etag = item.if_none_match.as_ref().is_none_or(|etag| HeaderValue::from_str(etag).is_ok());
        faults.unless(is_etag, &format!("requests[{place}].if_none_match"), "must be an ETag");
        let is_position = item.position.as_ref().is_none_or(|position| position.parse::<PositionSet>().is_ok());
        faults.unless(is_position, &format!("requests[{place}].position"), "must be a position as it was given");
    }
    faults.finish()?;
    let inner = platform.inner.get().expect("the application was assembled before it was asked").clone();
    let asked = wanted.requests.into_iter().zip(reads.into_iter().flatten()).map(|(item, uri)| {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = uri;
        for name in PASSED_ON {
            for value in headers.get_all(*name) {
                request.headers_mut().append(HeaderName::from_static(name), value.clone());
            }
        }
        if let Some(etag) = item.if_none_match {
            let etag = HeaderValue::from_str(&etag).expect("it was judged above");
            request.headers_mut().insert(header::IF_NONE_MATCH, etag);
        }
        if let Some(position) = item.position {
            let position = HeaderValue::from_str(&position).expect("it was judged above");
            request.headers_mut().insert(WRITTEN_POSITION, position);
        }
        request.extensions_mut().insert(caller.clone());
        request.extensions_mut().insert(identity.clone());
        answer(item.id, inner.clone(), request)
    });
    // In the order of the requests, a few at once: one batch is not to take more than its share.
    let responses = stream::iter(asked).buffered(AT_ONCE).collect().await;
    Ok(axum::Json(BatchAnswers { responses }))
}

/// The address to read, if it is one of ours.
fn target(path: &str) -> Option<Uri> {
    let uri: Uri = path.parse().ok()?;
    let below = uri.path().strip_prefix(BASE)?.strip_prefix('/')?;
    let is_ours = uri.scheme().is_none() && uri.authority().is_none() && !below.is_empty();
    // Live events have no end, and a batch ends with the last of its answers.
    let is_live = below == "events" || below.starts_with("events/");
    (is_ours && !is_live && below != "batch").then_some(uri)
}

/// A whole answer, whose body may be too large.
type Whole = (Parts, Result<Bytes, axum::Error>);

async fn read(response: Response) -> Whole {
    let (head, body) = response.into_parts();
    (head, axum::body::to_bytes(body, BODY_BYTES_MAX).await)
}

async fn answer(id: String, inner: InnerService, request: Request<Body>) -> BatchAnswer {
    let reading = async {
        match inner.oneshot(request).await {
            Ok(response) => read(response).await,
            Err(never) => match never {},
        }
    };
    let (head, bytes) = match timeout(READ_MAX, reading).await {
        Ok(whole) => whole,
        Err(_) => read(Problem::unavailable("The answer took too long.").into_response()).await,
    };
    let body = match &bytes {
        Ok(bytes) if bytes.is_empty() => serde_json::Value::Null,
        Ok(bytes) => serde_json::from_slice(bytes).unwrap_or_default(),
        Err(_) => serde_json::Value::Null,
    };
    let status = if bytes.is_ok() { head.status } else { StatusCode::BAD_GATEWAY };
    let headers = head.headers.keys().filter(|name| **name != header::SET_COOKIE).map(|name| {
        let values = head.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        (name.as_str().to_owned(), values.collect::<Vec<_>>().join(", "))
    });
    BatchAnswer { id, status: status.as_u16(), headers: headers.collect(), body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reads_of_this_api_can_be_batched() {
        for good in ["/api/v1/context/me", "/api/v1/assets?q=a%20b", "/api/v1/batches"] {
            assert!(target(good).is_some(), "{good} was refused");
        }
        for bad in [
            "",
            "/",
            "/api/v1",
            "/api/v1/",
            "/api/v2/x",
            "/metrics",
            "api/v1/x",
            "/api/v1/batch",
            "/api/v1/events?a=b",
            "/api/v1/events/stream",
            "/api/v1/events/stream?client_account_id=1",
            "http://elsewhere/api/v1/context/me",
            "//elsewhere/api/v1/x",
            "/api/v1/ x",
        ] {
            assert!(target(bad).is_none(), "{bad} was accepted");
        }
    }
}
