//! The API for backends, on a listener of its own: declaring groups wrong, purging, warming, and how the gateway is; and
//! for operators: how the cache is used, and what was kept about it.
//!
//! Every call but `/metrics`, `/healthz` and `/readyz` needs the token of a credential, which is good for the tenants that
//! the configuration names. See `docs/reference/gateway-api.md`.
//!
//! # Invariants
//! - Tokens are compared as hashes, in constant time, and never shown.
//! - What a call may name, and how often one may call, is limited.

#![allow(unused_qualifications, reason = "the documentation macro repeats types with a path of their own")]
#![allow(clippy::result_large_err, reason = "a problem is made once for a refused request, and moved a few times")]

mod access;
mod openapi;
mod operate;
mod search;
mod selection;
mod status;
mod warm;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    response::Response,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::access::Access;
pub use self::openapi::openapi;
pub(super) use self::{selection::Purge, warm::Warm};
use super::{
    assembly::{GatewayService, Shared},
    listen::ListenHandle,
};
use crate::{
    problem::Problem,
    run::Readiness,
    telemetry::{HttpTelemetry, Metrics},
};

/// Longest body of a call, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What all calls share.
pub(crate) struct Control {
    shared: Arc<Shared>,
    service: GatewayService,
    listening: ListenHandle,
    metrics: Arc<Metrics>,
    access: Access,
}

/// The API's routes.
pub(crate) fn router(
    shared: &Arc<Shared>,
    service: &GatewayService,
    metrics: &Arc<Metrics>,
    listening: ListenHandle,
) -> Router {
    let control = Control {
        shared: shared.clone(),
        service: service.clone(),
        listening,
        metrics: metrics.clone(),
        access: Access::default(),
    };
    let (router, _) = calls().split_for_parts();
    router
        .fallback(|| async { Problem::not_found() })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(HttpTelemetry::new(metrics.clone()))
        .with_state(Arc::new(control))
}

/// Every call, and what the document says of it: from the same lines.
fn calls() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(selection::invalidate))
        .routes(routes!(selection::purge))
        .routes(routes!(warm::warm))
        .routes(routes!(status::status))
        .routes(routes!(operate::get_configuration, operate::put_configuration))
        .routes(routes!(operate::list_versions))
        .routes(routes!(operate::undo))
        .routes(routes!(search::statistics))
        .routes(routes!(search::performance))
        .routes(routes!(search::metadata))
        .routes(routes!(search::audit))
        .routes(routes!(scrape))
}

/// Metrics, for Prometheus
#[utoipa::path(get, path = "/metrics", security(()), responses(
    (status = 200, description = "All metrics", body = String, content_type = "application/openmetrics-text"),
))]
async fn scrape(State(control): State<Arc<Control>>) -> Response {
    control.metrics.respond()
}

/// The gateway is ready while one server behind it is well.
pub(crate) fn readiness(shared: &Arc<Shared>) -> Readiness {
    let shared = shared.clone();
    Readiness::new().check("upstreams", Duration::from_secs(1), move || {
        let state = shared.current.load_full();
        let well = state.upstreams.values().any(|(_, upstream)| upstream.report().servers.iter().any(|one| one.well));
        let answer = if well { Ok(()) } else { Err("no server of any upstream is well".to_owned()) };
        std::future::ready(answer)
    })
}
