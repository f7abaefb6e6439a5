//! The API for backends, on a listener of its own: declaring groups wrong, purging, warming, and how the gateway is.
//!
//! Every call but `/metrics`, `/healthz` and `/readyz` needs the token of a credential, which is good for the tenants that
//! the configuration names. See `docs/reference/gateway-api.md`.
//!
//! # Invariants
//! - Tokens are compared as hashes, in constant time, and never shown.
//! - What a call may name, and how often one may call, is limited.

#![allow(clippy::result_large_err, reason = "a problem is made once for a refused request, and moved a few times")]

mod access;
mod selection;
mod status;
mod warm;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};

use self::access::Access;
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
    access: Access,
}

/// The API's routes.
pub(crate) fn router(
    shared: &Arc<Shared>,
    service: &GatewayService,
    metrics: &Arc<Metrics>,
    listening: ListenHandle,
) -> Router {
    let control =
        Arc::new(Control { shared: shared.clone(), service: service.clone(), listening, access: Access::default() });
    let scraped = metrics.clone();
    Router::new()
        .route("/v1/invalidate", post(selection::invalidate))
        .route("/v1/purge", post(selection::purge))
        .route("/v1/warm", post(warm::warm))
        .route("/v1/status", get(status::status))
        .route("/metrics", get(move || async move { scraped.respond() }))
        .fallback(|| async { Problem::not_found() })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(HttpTelemetry::new(metrics.clone()))
        .with_state(control)
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
