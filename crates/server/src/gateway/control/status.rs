//! `GET /v1/status`: how the gateway is.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Control, access::Caller};

/// How the gateway is.
#[derive(Serialize, ToSchema)]
struct Status {
    routes: usize,
    connections: usize,
    tunnels_open: u64,
    /// How far this node has followed the log.
    frontier: String,
    cache: CacheStatus,
    upstreams: Vec<UpstreamStatus>,
}

#[derive(Serialize, ToSchema)]
struct CacheStatus {
    entries: usize,
    bytes: u64,
    bytes_max: u64,
    tenants: usize,
    loads: usize,
}

#[derive(Serialize, ToSchema)]
struct UpstreamStatus {
    name: String,
    requests: u64,
    retries: u64,
    failures: u64,
    servers: Vec<ServerStatus>,
}

#[derive(Serialize, ToSchema)]
struct ServerStatus {
    address: String,
    well: bool,
    running: usize,
    connections_unused: usize,
}

/// How the gateway is
#[utoipa::path(get, path = "/v1/status", responses((status = 200, description = "Now", body = Status)))]
pub(super) async fn status(State(control): State<Arc<Control>>, _caller: Caller) -> impl IntoResponse {
    let (state, build) = (control.shared.current.load_full(), &control.shared.build);
    let size = build.cache.size();
    let upstreams = state.upstreams.iter().map(|(name, (_, upstream))| {
        let report = upstream.report();
        let servers = report.servers.into_iter().map(|server| ServerStatus {
            address: server.address.to_string(),
            well: server.well,
            running: server.running,
            connections_unused: server.connections_unused,
        });
        UpstreamStatus {
            name: name.clone(),
            requests: report.requests,
            retries: report.retries,
            failures: report.failures,
            servers: servers.collect(),
        }
    });
    Json(Status {
        routes: state.plan.file.routes.len(),
        connections: control.listening.connections(),
        tunnels_open: build.forward.tunnels().open,
        frontier: build.cache.frontiers().to_string(),
        cache: CacheStatus {
            entries: size.entries,
            bytes: size.bytes,
            bytes_max: size.bytes_max,
            tenants: size.tenants,
            loads: size.flights,
        },
        upstreams: upstreams.collect(),
    })
}
