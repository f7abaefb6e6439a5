//! Logs, request spans with W3C trace context, and Prometheus metrics.
//!
//! - [`init`] sets up log lines (`tracing`): text or JSON. Spans (request, load, query) are of level `debug`: with that
//!   filter each has a line when it closes, with the time it took; without, they cost nothing.
//! - [`HttpTelemetry`] is a tower layer: a span per request, its trace context, and the HTTP metrics.
//! - [`Metrics`] holds every metric and writes them out; [`Metrics::observer`] counts what the cache does.
//!
//! # Invariants
//! - No personal data: a span holds the matched route, never the path; a tenant's id, never a user's.
//! - Labels are bounded: routes and entities come from the code, methods and verdicts from a closed set.

mod context;
mod database;
mod engine;
mod http;
mod metrics;
mod records;
mod vitals;

use tracing_subscriber::{
    EnvFilter,
    fmt::format::FmtSpan,
    layer::SubscriberExt as _,
    util::{SubscriberInitExt as _, TryInitError},
};

pub(crate) use self::http::{AtOnce, Told, WatchedAnswer, WatchedRoute, current_trace};
pub use self::{
    context::TraceContext,
    database::DatabaseMetrics,
    http::{HttpTelemetry, HttpTelemetryService, RouteLabel, Watched, current_trace_id, record_tenant},
    metrics::{BuildInfo, CacheLatency, LiveMetrics, Metrics, OutboxMetrics, RedisLatency, RedisMetrics, WarmMetrics},
    records::{ConsistencyMetrics, RecordMetrics},
    vitals::VitalsMetrics,
};
use crate::settings::LogFormat;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is malformed.
    #[error("the log filter {filter:?} is not valid: {reason}")]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It was set up before.
    #[error("logging was set up before: {0}")]
    Again(#[from] TryInitError),
}

/// Sets up the process's log lines, to standard error. Once per process.
pub fn init(filter: &str, format: LogFormat) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| TelemetryError::Filter { filter: filter.to_owned(), reason: error.to_string() })?;
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_span_events(FmtSpan::CLOSE);
    match format {
        LogFormat::Text => registry.with(lines).try_init()?,
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init()?,
    }
    Ok(())
}
