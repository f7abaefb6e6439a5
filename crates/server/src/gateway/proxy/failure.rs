//! Why the gateway answers by itself: a problem that tells what to do, and `Proxy-Status` (RFC 9209).
//!
//! It tells the client nothing of where the servers are; that goes to the log.

use std::{io, time::Duration};

use axum::response::IntoResponse as _;
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::body::ForwardBody;
use crate::{
    gateway::upstream::{ConnectError, LeaseError, SendError},
    problem::Problem,
};

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// Why the gateway answers by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no upstream was chosen for the request")]
    NoTarget,
    #[error("the request came through here too often")]
    Circle,
    #[error("no server is well")]
    NoServer(Duration),
    #[error("{0}")]
    Busy(#[from] LeaseError),
    #[error("a server cannot be connected to: {0}")]
    Connect(ConnectError),
    #[error("a server did not answer: {0}")]
    Send(SendError),
    #[error("a server's answer cannot be passed on: {0}")]
    Answer(BadAnswer),
}

/// Why an answer cannot be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadAnswer {
    #[error("its transfer coding is not chunked alone")]
    TransferCoding,
    #[error("it switches protocols and was not asked to")]
    Switched,
}

/// How a failure is told.
struct Told {
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
    /// The type in `Proxy-Status`.
    error: &'static str,
    detail: &'static str,
    retry_after: Option<Duration>,
}

impl Failure {
    /// The response that tells of it. `name` is what the gateway calls itself.
    pub(crate) fn response(&self, name: &str) -> Response<ForwardBody> {
        let told = self.told();
        let mut problem = Problem::new(told.status, told.slug, told.title).detail(told.detail);
        if let Ok(value) = HeaderValue::try_from(format!("{name}; error={}", told.error)) {
            problem = problem.header(PROXY_STATUS, value);
        }
        if let Some(after) = told.retry_after {
            problem = problem.retry_after(after);
        }
        problem.into_response().map(ForwardBody::local)
    }

    fn told(&self) -> Told {
        match self {
            Self::NoTarget => Told::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "proxy_configuration_error",
                "The gateway does not know whom to ask. Report it to its operator: the route has no upstream.",
            ),
            Self::Circle => Told::new(
                StatusCode::LOOP_DETECTED,
                "proxy_loop_detected",
                "The request goes round in a circle. Report it to the gateway's operator: an upstream leads back here.",
            ),
            Self::NoServer(after) => Told {
                retry_after: Some(*after),
                ..Told::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "destination_unavailable",
                    "No server for this is well now. Try again after Retry-After.",
                )
            },
            Self::Busy(_) => Told {
                retry_after: Some(Duration::from_secs(1)),
                ..Told::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "connection_limit_reached",
                    "More was asked than the servers take. Try again after Retry-After.",
                )
            },
            Self::Connect(error) => connect_told(error),
            Self::Send(error) => send_told(error),
            Self::Answer(BadAnswer::TransferCoding) => Told::bad_gateway("http_response_transfer_coding", GARBLED),
            Self::Answer(BadAnswer::Switched) => Told::bad_gateway("http_upgrade_failed", GARBLED),
        }
    }
}

const UNREACHED: &str = "The server behind the gateway cannot be reached; your request did nothing. Try again.";
const BROKEN_OFF: &str =
    "The server behind the gateway broke off. It may or may not have acted: look before you send it again.";
const GARBLED: &str =
    "The server behind the gateway answered with something that is not HTTP. Report it to its operator.";

const UNTRUSTED: &str = "The server behind the gateway could not prove who it is. Report it to the gateway's operator.";

fn is_of_certificate(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}

fn connect_told(error: &ConnectError) -> Told {
    match error {
        ConnectError::Name(_) => Told::bad_gateway("dns_error", UNREACHED),
        ConnectError::Refused(_) => Told::bad_gateway("connection_refused", UNREACHED),
        ConnectError::Tls(error) if is_of_certificate(error) => Told::bad_gateway("tls_certificate_error", UNTRUSTED),
        ConnectError::Tls(_) => Told::bad_gateway("tls_protocol_error", UNREACHED),
        ConnectError::Handshake(_) => Told::bad_gateway("http_protocol_error", UNREACHED),
        ConnectError::TimedOut => Told::new(StatusCode::GATEWAY_TIMEOUT, "connection_timeout", UNREACHED),
    }
}

/// Whether a body broke off because it went beyond its limit.
fn is_too_large(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(cause) = error {
        if cause.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        error = cause.source();
    }
    false
}

fn send_told(error: &SendError) -> Told {
    match error {
        SendError::Unsent(_) => Told::bad_gateway("connection_terminated", UNREACHED),
        SendError::Cut => Told::bad_gateway("http_response_incomplete", BROKEN_OFF),
        SendError::Closed => Told::bad_gateway("connection_terminated", BROKEN_OFF),
        SendError::Protocol(_) => Told::bad_gateway("http_protocol_error", GARBLED),
        SendError::HeadTimeout => Told::new(
            StatusCode::GATEWAY_TIMEOUT,
            "http_response_timeout",
            "The server behind the gateway did not answer in time. It may still act: look before you send it again.",
        ),
        SendError::ServerStalled => Told::new(
            StatusCode::GATEWAY_TIMEOUT,
            "connection_write_timeout",
            "The server behind the gateway did not take the whole request in time. Try again later.",
        ),
        SendError::ClientStalled => Told::new(
            StatusCode::REQUEST_TIMEOUT,
            "http_request_error",
            "The body of the request did not come in time. Send it again without a pause.",
        ),
        SendError::ClientBody(error) if is_too_large(error) => Told::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "http_request_error",
            "The body of the request is larger than this endpoint takes. Send one within its limit.",
        ),
        SendError::ClientBody(_) => Told::new(
            StatusCode::BAD_REQUEST,
            "http_request_error",
            "The body of the request ended before its end. Send it again, whole.",
        ),
    }
}

impl Told {
    fn new(status: StatusCode, error: &'static str, detail: &'static str) -> Self {
        let (slug, title) = match status {
            StatusCode::BAD_REQUEST => ("bad-request", "The request cannot be read"),
            StatusCode::REQUEST_TIMEOUT => ("request-timeout", "The request took too long"),
            StatusCode::PAYLOAD_TOO_LARGE => ("too-large", "The body is too large"),
            StatusCode::BAD_GATEWAY => ("bad-gateway", "The server behind the gateway failed"),
            StatusCode::GATEWAY_TIMEOUT => ("gateway-timeout", "The server behind the gateway is too slow"),
            StatusCode::SERVICE_UNAVAILABLE => ("unavailable", "Not available now"),
            StatusCode::LOOP_DETECTED => ("loop-detected", "The request goes round in a circle"),
            _ => ("misconfigured", "The gateway is not set up for this"),
        };
        Self { status, slug, title, error, detail, retry_after: None }
    }

    fn bad_gateway(error: &'static str, detail: &'static str) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, error, detail)
    }
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    fn check(failure: &Failure, status: u16, error: &str, retry_after: Option<&str>) {
        let response = failure.response("edge");
        let value = |name: HeaderName| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(response.status().as_u16(), status, "{failure}");
        assert_eq!(value(PROXY_STATUS).unwrap(), format!("edge; error={error}"));
        assert_eq!(value(header::RETRY_AFTER).as_deref(), retry_after);
        assert_eq!(value(header::CACHE_CONTROL).unwrap(), "no-store");
    }

    #[test]
    fn each_failure_has_a_status_and_a_reason() {
        check(&Failure::NoServer(Duration::from_secs(10)), 503, "destination_unavailable", Some("10"));
        check(&Failure::Busy(LeaseError::TooManyWait), 503, "connection_limit_reached", Some("1"));
        check(&Failure::Connect(ConnectError::TimedOut), 504, "connection_timeout", None);
        check(&Failure::Send(SendError::Closed), 502, "connection_terminated", None);
        check(&Failure::Send(SendError::HeadTimeout), 504, "http_response_timeout", None);
        check(&Failure::Send(SendError::ClientStalled), 408, "http_request_error", None);
        check(&Failure::Answer(BadAnswer::TransferCoding), 502, "http_response_transfer_coding", None);
        check(&Failure::Circle, 508, "proxy_loop_detected", None);
    }
}
