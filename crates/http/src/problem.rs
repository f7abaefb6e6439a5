//! The layer's own answers: problem details (RFC 9457).

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Body;

use crate::body::CacheBody;

/// Something that the layer itself must refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// `Unstale-Position` is no position.
    BadPosition,
    /// The condition of an `If-Match` or `If-Unmodified-Since` does not hold.
    PreconditionFailed,
    /// The range lies beyond the end of the response.
    Unsatisfiable,
    /// The service behind the layer did not answer in the policy's time.
    TimedOut,
    /// The service behind the layer ended without an answer.
    NoAnswer,
    /// The request takes only what is stored, and nothing is that may be used.
    NotStored,
    /// A write was done, and others may still be shown what was before.
    NotVisible,
}

impl Problem {
    /// As a response.
    pub(crate) fn response<B: Body>(self) -> Response<CacheBody<B>> {
        let (status, slug, title, detail) = match self {
            Self::BadPosition => (
                StatusCode::BAD_REQUEST,
                "bad-position",
                "The position is malformed",
                "Send back the Unstale-Position of an earlier answer unchanged, or leave it out.",
            ),
            Self::NotStored => (
                StatusCode::GATEWAY_TIMEOUT,
                "not-stored",
                "There is no stored response",
                "Send the request without only-if-cached.",
            ),
            Self::PreconditionFailed => (
                StatusCode::PRECONDITION_FAILED,
                "precondition-failed",
                "The resource has changed",
                "Read the resource again and repeat the request with its new ETag.",
            ),
            Self::Unsatisfiable => (
                StatusCode::RANGE_NOT_SATISFIABLE,
                "range-not-satisfiable",
                "The range lies beyond the end",
                "Ask for bytes within the length that Content-Range gives, or for the whole.",
            ),
            Self::TimedOut => {
                (StatusCode::SERVICE_UNAVAILABLE, "timed-out", "The answer took too long", "Try again in a moment.")
            }
            Self::NotVisible => (
                StatusCode::SERVICE_UNAVAILABLE,
                "not-visible",
                "The change may not be visible yet",
                "The change was made but could not be announced. Look before you repeat it.",
            ),
            Self::NoAnswer => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "no-answer",
                "The request could not be answered",
                "Try again; if it happens again, tell the operator.",
            ),
        };
        let text = format!(
            r#"{{"type":"/problems/{slug}","title":"{title}","status":{},"detail":"{detail}"}}"#,
            status.as_u16()
        );
        let mut response = Response::new(CacheBody::full(Bytes::from(text)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self == Self::TimedOut {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
